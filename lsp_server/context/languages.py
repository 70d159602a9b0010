"""The languages we know: what people and models call them, how they are commented, and which grammar reads them.

Ids are those of the language server protocol ("Text Document Language Identifiers"). A language without a grammar here,
or whose grammar is not installed, still has its names and comments; its blocks are found by indentation.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from lsp_server.context.commented import COMMENTED


@dataclasses.dataclass(frozen=True)
class Grammar:
    """How to read a language with tree-sitter. The node types are those of the grammar in `module`.

    `functions` and `classes` are definitions; `scopes` hold definitions but are none (modules, namespaces). `unnamed`
    are function expressions, which get their name from what they are assigned to. `strings` may span lines.
    """

    module: str
    function: str = "language"
    functions: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()
    strings: tuple[str, ...] = ()
    types: tuple[str, ...] = ()  # nodes that only say a type


@dataclasses.dataclass(frozen=True)
class Language:
    """One language. `name` is for people, `fence` for code fences; `aliases` are what models write there instead.

    `doc` says in words where documentation goes and in what form. `doc_inside`: it is the first statement of the body.
    `doc_marks`: what a comment above a definition starts with if it documents it; `()` where none does. `more_marks`:
    what else begins a line that is a comment, in dialects.
    """

    id: str
    name: str
    fence: str
    line_comment: str
    suffixes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    block_comment: tuple[str, str] | None = None
    doc: str = "a comment above it"
    doc_inside: bool = False
    doc_marks: tuple[str, ...] = ()
    braces: bool = True
    grammar: Grammar | None = None
    more_marks: tuple[str, ...] = ()

    @property
    def has_comments(self) -> bool:
        return bool(self.line_comment or self.block_comment)

    def is_called(self, word: str) -> bool:
        """Whether `word` names this language, in any case: an id, a fence name or a file suffix."""
        word = word.lower()
        return word in {self.id, self.fence, self.name.lower(), *self.aliases, *(s[1:] for s in self.suffixes)}


_C_COMMENT = ("/*", "*/")
_PYTHON = Grammar(
    "tree_sitter_python",
    functions=("function_definition",),
    classes=("class_definition",),
    strings=("string",),
    types=("type",),
)
_SCRIPT_FUNCTIONS = ("function_declaration", "generator_function_declaration", "method_definition")
_SCRIPT_UNNAMED = ("arrow_function", "function_expression", "generator_function")
_JAVASCRIPT = Grammar(
    "tree_sitter_javascript",
    functions=_SCRIPT_FUNCTIONS,
    classes=("class_declaration",),
    unnamed=_SCRIPT_UNNAMED,
    strings=("template_string",),
)
_TYPESCRIPT = Grammar(
    "tree_sitter_typescript",
    "language_typescript",
    functions=(*_SCRIPT_FUNCTIONS, "function_signature", "abstract_method_signature", "method_signature"),
    classes=(
        "class_declaration",
        "abstract_class_declaration",
        "interface_declaration",
        "enum_declaration",
        "type_alias_declaration",
    ),
    scopes=("internal_module", "module"),
    unnamed=_SCRIPT_UNNAMED,
    strings=("template_string",),
    types=("type_annotation", "type_parameters", "type_arguments", "asserts_annotation", "type_predicate_annotation"),
)
_RUST = Grammar(
    "tree_sitter_rust",
    functions=("function_item", "function_signature_item", "macro_definition"),
    classes=("struct_item", "enum_item", "union_item", "trait_item", "impl_item", "type_item"),
    scopes=("mod_item",),
    strings=("string_literal", "raw_string_literal"),
)
_GO = Grammar(
    "tree_sitter_go",
    functions=("function_declaration", "method_declaration"),
    classes=("type_spec", "type_alias"),
    unnamed=("func_literal",),
    strings=("raw_string_literal",),
)
_JAVA = Grammar(
    "tree_sitter_java",
    functions=("method_declaration", "constructor_declaration", "compact_constructor_declaration"),
    classes=(
        "class_declaration",
        "interface_declaration",
        "enum_declaration",
        "record_declaration",
        "annotation_type_declaration",
    ),
    strings=("string_literal",),
)
_C = Grammar(
    "tree_sitter_c",
    functions=("function_definition",),
    classes=("struct_specifier", "union_specifier", "enum_specifier"),
)
_CPP = Grammar(
    "tree_sitter_cpp",
    functions=("function_definition",),
    classes=("class_specifier", "struct_specifier", "union_specifier", "enum_specifier"),
    scopes=("namespace_definition",),
    strings=("raw_string_literal",),
)
_CSHARP = Grammar(
    "tree_sitter_c_sharp",
    functions=(
        "method_declaration",
        "constructor_declaration",
        "destructor_declaration",
        "operator_declaration",
        "property_declaration",
        "local_function_statement",
    ),
    classes=(
        "class_declaration",
        "struct_declaration",
        "interface_declaration",
        "enum_declaration",
        "record_declaration",
    ),
    scopes=("namespace_declaration",),
    strings=("verbatim_string_literal", "raw_string_literal", "interpolated_string_expression"),
)
_RUBY = Grammar(
    "tree_sitter_ruby",
    functions=("method", "singleton_method"),
    classes=("class",),
    scopes=("module",),
    strings=("string", "heredoc_body"),
)
_PHP = Grammar(
    "tree_sitter_php",
    "language_php",
    functions=("function_definition", "method_declaration"),
    classes=("class_declaration", "interface_declaration", "trait_declaration", "enum_declaration"),
    scopes=("namespace_definition",),
    strings=("string", "encapsed_string", "heredoc_body", "nowdoc_body"),
)
_BASH = Grammar(
    "tree_sitter_bash", functions=("function_definition",), strings=("string", "raw_string", "heredoc_body")
)
_LUA = Grammar(
    "tree_sitter_lua", functions=("function_declaration",), unnamed=("function_definition",), strings=("string",)
)


def _c_like(id: str, name: str, suffixes: str, grammar: Grammar | None = None, **more: Any) -> Language:
    """A language with `//` and `/* */`, documented by `/** */` above unless `more` says otherwise."""
    fields: dict[str, Any] = {
        "fence": id,
        "block_comment": _C_COMMENT,
        "doc": "a /** ... */ comment above it",
        "doc_marks": ("/**",),
        **more,
    }
    return Language(id=id, name=name, line_comment="//", suffixes=words(suffixes), grammar=grammar, **fields)


def _hashed(id: str, name: str, suffixes: str, *, fence: str = "", braces: bool = False, aliases: str = "") -> Language:
    """A language with `#` comments and no grammar here."""
    return Language(id, name, fence or id, "#", words(suffixes), words(aliases), doc_marks=("#",), braces=braces)


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _commented(row: str) -> Language:
    """A language of `commented`."""
    ids, name, marks, block, suffixes = (part.split() for part in row.split(" | "))
    marks, block, suffixes = ([each for each in found if each != "-"] for found in (marks, block, suffixes))
    between = (" ".join(block[: len(block) // 2]), " ".join(block[len(block) // 2 :])) if block else None
    return Language(
        ids[0],
        " ".join(name),
        ids[0],
        marks[0] if marks else "",
        tuple(suffixes),
        tuple(ids[1:]),
        between,
        f"a comment ({marks[0] if marks else ' ... '.join(between or ())}) above it",
        doc_marks=(*marks, *(between or ())[:1]),
        braces=marks[:1] == ["//"],
        more_marks=tuple(marks[1:]),
    )


_JSDOC = "a JSDoc comment (/** ... */) above it"
_DOXYGEN = "a Doxygen comment (/** ... */) above it"
_SLASHES: dict[str, Any] = {"doc": "/// comment lines above it", "doc_marks": ("///", "/**")}

_TABLE = (
    Language(
        "python",
        "Python",
        "python",
        "#",
        words(".py .pyi .pyw"),
        words("python3 py3 python2 ipython"),
        doc="a docstring (triple double quotes) as the first statement of its body",
        doc_inside=True,
        braces=False,
        grammar=_PYTHON,
    ),
    _c_like("typescript", "TypeScript", ".ts .mts .cts", _TYPESCRIPT, doc=_JSDOC),
    _c_like(
        "typescriptreact",
        "TypeScript (React)",
        ".tsx",
        dataclasses.replace(_TYPESCRIPT, function="language_tsx"),
        doc=_JSDOC,
        fence="tsx",
        aliases=("typescript", "ts"),
    ),
    _c_like(
        "javascript", "JavaScript", ".js .mjs .cjs", _JAVASCRIPT, doc=_JSDOC, aliases=("node", "ecmascript", "jsx")
    ),
    _c_like(
        "javascriptreact",
        "JavaScript (React)",
        ".jsx",
        _JAVASCRIPT,
        doc=_JSDOC,
        fence="jsx",
        aliases=("javascript", "js"),
    ),
    _c_like("rust", "Rust", ".rs", _RUST, **_SLASHES),
    _c_like(
        "go",
        "Go",
        ".go",
        _GO,
        aliases=("golang",),
        doc="// comment lines above it, starting with its name",
        doc_marks=("//", "/*"),
    ),
    _c_like("java", "Java", ".java", _JAVA, doc="a Javadoc comment (/** ... */) above it"),
    _c_like("c", "C", ".c .h", _C, doc=_DOXYGEN, doc_marks=("/*", "//")),
    _c_like(
        "cpp",
        "C++",
        ".cpp .cc .cxx .hpp .hh .hxx .ipp",
        _CPP,
        doc=_DOXYGEN,
        doc_marks=("/*", "//"),
        aliases=("c++", "cplusplus", "c"),
    ),
    _c_like(
        "cuda-cpp", "CUDA C++", ".cu .cuh", _CPP, fence="cuda", doc=_DOXYGEN, doc_marks=("/*", "//"), aliases=("cpp",)
    ),
    _c_like(
        "csharp",
        "C#",
        ".cs",
        _CSHARP,
        aliases=("c#",),
        doc="an XML documentation comment (/// <summary>) above it",
        doc_marks=("///", "/**"),
    ),
    _c_like("php", "PHP", ".php", _PHP, doc="a PHPDoc comment (/** ... */) above it"),
    _c_like("objective-c", "Objective-C", ".m", fence="objectivec", aliases=("objc",)),
    _c_like("kotlin", "Kotlin", ".kt .kts", doc="a KDoc comment (/** ... */) above it"),
    _c_like("scala", "Scala", ".scala .sc"),
    _c_like("groovy", "Groovy", ".groovy .gradle"),
    _c_like("swift", "Swift", ".swift", **_SLASHES),
    _c_like("dart", "Dart", ".dart", **_SLASHES),
    _c_like("zig", "Zig", ".zig", **_SLASHES),
    _c_like("fsharp", "F#", ".fs .fsx", aliases=("f#",), braces=False, **_SLASHES),
    Language("css", "CSS", "css", "", (".css",), block_comment=_C_COMMENT, doc_marks=("/*",)),
    _c_like("scss", "SCSS", ".scss", doc_marks=("/*", "//")),
    Language(
        "ruby",
        "Ruby",
        "ruby",
        "#",
        words(".rb .rake"),
        doc="a YARD comment (# lines) above it",
        doc_marks=("#",),
        braces=False,
        grammar=_RUBY,
    ),
    Language(
        "shellscript",
        "shell script",
        "bash",
        "#",
        words(".sh .bash .zsh"),
        words("shell zsh console"),
        doc="a comment (# lines) above it",
        doc_marks=("#",),
        grammar=_BASH,
    ),
    Language(
        "lua",
        "Lua",
        "lua",
        "--",
        (".lua",),
        doc="a LuaDoc comment (--- lines) above it",
        doc_marks=("--",),
        block_comment=("--[[", "]]"),
        braces=False,
        grammar=_LUA,
    ),
    _hashed("perl", "Perl", ".pl .pm", braces=True),
    _hashed("r", "R", ".r", braces=True),
    _hashed("elixir", "Elixir", ".ex .exs"),
    _hashed("julia", "Julia", ".jl"),
    _hashed("powershell", "PowerShell", ".ps1 .psm1", braces=True, aliases="pwsh"),
    _hashed("makefile", "Makefile", ".mk", aliases="make"),
    _hashed("dockerfile", "Dockerfile", ".dockerfile", aliases="docker"),
    _hashed("yaml", "YAML", ".yaml .yml"),
    _hashed("toml", "TOML", ".toml"),
    _hashed("ini", "INI", ".ini .cfg"),
    Language("erlang", "Erlang", "erlang", "%", words(".erl .hrl"), doc_marks=("%%",), braces=False),
    Language("matlab", "MATLAB", "matlab", "%", aliases=("octave",), doc_marks=("%",), braces=False),
    Language("fortran", "Fortran", "fortran", "!", words(".f90 .f95 .f03 .f08"), doc_marks=("!",), braces=False),
    Language("haskell", "Haskell", "haskell", "--", (".hs",), doc_marks=("-- |",), braces=False),
    Language("sql", "SQL", "sql", "--", (".sql",), block_comment=_C_COMMENT, doc_marks=("--",), braces=False),
    Language("html", "HTML", "html", "", words(".html .htm"), block_comment=("<!--", "-->"), braces=False),
    Language("markdown", "Markdown", "markdown", "", (".md",), block_comment=("<!--", "-->"), braces=False),
    Language("plaintext", "plain text", "text", "", (".txt",), braces=False),
)
_COMMENTED = tuple(_commented(row) for row in COMMENTED.strip().splitlines())
LANGUAGES = {language.id: language for language in _TABLE}
_LITTLE_KNOWN = {id: language for language in _COMMENTED for id in (language.id, *language.aliases)}
_BY_SUFFIX = {suffix: language for language in reversed((*_TABLE, *_COMMENTED)) for suffix in language.suffixes}
# What editors send that is not the protocol's id.
_OTHER_IDS = dict(
    pair.split("=")
    for pair in words(
        "sh=shellscript bash=shellscript zsh=shellscript cuda=cuda-cpp objc=objective-c octave=matlab "
        "fortran-modern=fortran fortranfreeform=fortran tsx=typescriptreact jsx=javascriptreact "
        "javascript.jsx=javascriptreact c++=cpp cs=csharp text=plaintext make=makefile ps1=powershell "
        "dosini=ini conf=ini"
    )
)


def is_known(spoken: Language) -> bool:
    """Whether it is one of the table, and no other of which only the id is known."""
    return spoken.id in LANGUAGES or spoken.id in _LITTLE_KNOWN


def language(language_id: str, path: str = "") -> Language:
    """The language of an id, or where the id is unknown of the suffix of `path`; an unknown one is named by its id.

    Those of `commented` are not in LANGUAGES.
    """
    language_id = language_id.lower()
    spoken = LANGUAGES.get(_OTHER_IDS.get(language_id, language_id)) or _LITTLE_KNOWN.get(language_id)
    if spoken is None and path:
        spoken = _BY_SUFFIX.get(pathlib.PurePath(path).suffix.lower())
    if spoken is not None:
        return spoken
    return Language(
        language_id, language_id or "code", language_id, "//", block_comment=_C_COMMENT, doc_marks=("/*", "//")
    )
