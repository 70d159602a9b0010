"""What a file says it imports, in the words of its language; where that is, is found by `imports`."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from lsp_server.context.definitions import last_name
from lsp_server.context.languages import words
from lsp_server.context.trees import Tree, nodes, text_of

# Of one file.
MOST = 400
SCRIPTS = ("typescript", "typescriptreact", "javascript", "javascriptreact")
_TYPES = {
    "python": ("import_statement", "import_from_statement"),
    **dict.fromkeys(SCRIPTS, ("import_statement", "export_statement")),
    "rust": ("use_declaration", "mod_item", "macro_invocation", "impl_item", "struct_item", "enum_item"),
    "go": ("import_spec",),
    "java": ("import_declaration", "package_declaration"),
    **dict.fromkeys(("c", "cpp", "cuda-cpp"), ("preproc_include",)),
}
ALL = ("*", "*")
# Kinds of an `Import` by which nothing comes from elsewhere.
WITHIN = frozenset(words("impl derive macro inline"))
# Traits of which an object of Rust has what is written for it, or what nearly all have.
PLAIN_TRAITS = frozenset(
    words(
        "Clone Copy Debug Display Default Drop Eq PartialEq Ord PartialOrd Hash From Into TryFrom TryInto FromStr "
        "AsRef AsMut Borrow BorrowMut ToOwned ToString Send Sync Unpin Sized Error Add Sub Mul Div Neg Not Index "
        "IndexMut FromIterator Extend IntoIterator Serialize Deserialize AddAssign SubAssign BitOr BitAnd"
    )
)
# Files that say where the modules of a project are.
PROJECT_FILES = frozenset(words("go.mod Cargo.toml package.json tsconfig.json jsconfig.json"))
# A file of a stranger's may be anything, so each of these takes what it has looked at: blanks end with their line, and
# a string or comment that is not closed goes on to its end, and is not looked for again from the next quote on.
_GO_MODULE = re.compile(r"^[^\S\n]*module[^\S\n]+\"?([^\s\"]+)", re.MULTILINE)
_CARGO_NAME = re.compile(r"^[^\S\n]*name[^\S\n]*=[^\S\n]*\"([^\"\n]+)\"", re.MULTILINE)
_STRING = r'("(?:[^"\\\n]|\\.)*"?)'
_COMMENTS = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_DERIVE = re.compile(r"#\[derive\(([^()]*)\)\]")
_COMMAS = re.compile(rf"{_STRING}|,(?=\s*[}}\]])")


@dataclasses.dataclass(frozen=True)
class Import:
    """One thing that a file imports. `module`: as the language writes it, of Python with the dots before it.

    `names`: (what it is called there, what it is called here), ALL for everything. `alias`: what the module itself is
    called here. `kind`: of Rust "mod" declares a child, "inline" has it in the file itself, "macro" may make any name,
    "impl" gives what is called `alias` the members of a trait that is written for it, "derive" those of one that is
    not; "package" says where the file itself is (Java); of a project file: "module" names the project, "paths" what
    (TypeScript) stands for which folders.
    """

    module: str
    names: tuple[tuple[str, str], ...] = ()
    alias: str = ""
    kind: str = ""


def imports_of(tree: Tree) -> list[Import]:
    """What a file imports, in the order of its text."""
    read = _READERS.get(tree.language.id)
    if read is None:
        return []
    found: list[Import] = []
    for node in nodes(tree, _TYPES[tree.language.id]):
        found += read(node)
    if tree.language.id in SCRIPTS and b"require(" in tree.data:
        for node in nodes(tree, ("variable_declarator",)):
            found += _required(node)
    return list(dict.fromkeys(found))[:MOST]


def _python(node: Any) -> Iterator[Import]:
    listed = [_renamed(child) for child in node.children_by_field_name("name")]
    if node.type == "import_statement":
        for name, alias in listed:
            yield Import(name, alias=alias if alias != name else name.rpartition(".")[2])
        return
    module = "".join(text_of(node.child_by_field_name("module_name")).split())
    if any(child.type == "wildcard_import" for child in node.named_children):
        yield Import(module, (ALL,))
    elif listed:
        yield Import(module, tuple(listed))


def _renamed(node: Any) -> tuple[str, str]:
    """(name there, name here) of `a`, `a as b`, `a: b`."""
    name = node.child_by_field_name("name") or node.child_by_field_name("key") or node.child_by_field_name("path")
    alias = node.child_by_field_name("alias") or node.child_by_field_name("value")
    there = text_of(name if name is not None else node)
    return there, text_of(alias) or there


def _script(node: Any) -> Iterator[Import]:
    source = node.child_by_field_name("source")
    if source is None:
        for child in node.named_children:  # import x = require("./x")
            if child.type == "import_require_clause":
                yield Import(_unquoted(child.child_by_field_name("source")), alias=text_of(child.named_children[0]))
        return
    names: list[tuple[str, str]] = []
    alias = ""
    clauses = [child for child in node.named_children if child.type in ("import_clause", "export_clause")]
    for part in [part for clause in clauses for part in (clause, *clause.named_children)]:
        if part.type in ("import_specifier", "export_specifier"):
            names.append(_renamed(part))
        elif part.type == "named_imports":
            names += [_renamed(each) for each in part.named_children if each.type == "import_specifier"]
        elif part.type == "identifier":
            names.append(("default", text_of(part)))
        elif part.type == "namespace_import":
            alias = text_of(part.named_children[-1]) if part.named_children else ""
    if node.type == "export_statement" and not clauses:
        inside = next((child for child in node.named_children if child.type == "namespace_export"), None)
        alias, names = (text_of(inside.named_children[-1]), []) if inside is not None else ("", [ALL])
    yield Import(_unquoted(source), tuple(names), alias)


def _required(node: Any) -> Iterator[Import]:
    value, name = node.child_by_field_name("value"), node.child_by_field_name("name")
    if value is None or value.type != "call_expression" or text_of(value.child_by_field_name("function")) != "require":
        return
    given = value.child_by_field_name("arguments").named_children
    if not given or given[0].type != "string":
        return
    if name is not None and name.type == "object_pattern":
        yield Import(_unquoted(given[0]), tuple(_renamed(each) for each in name.named_children))
    else:
        yield Import(_unquoted(given[0]), alias=text_of(name))


def _unquoted(node: Any) -> str:
    return text_of(node).strip("\"'`<> ")


def _rust(node: Any) -> Iterator[Import]:
    if node.type == "mod_item":
        name = text_of(node.child_by_field_name("name"))
        yield Import(name, alias=name, kind="mod" if node.child_by_field_name("body") is None else "inline")
        return
    if node.type == "impl_item":
        trait, of = (last_name(text_of(node.child_by_field_name(field))) for field in ("trait", "type"))
        if trait and of and trait not in PLAIN_TRAITS:
            yield Import(trait, alias=of, kind="impl")
        return
    if node.type in ("struct_item", "enum_item"):
        of = text_of(node.child_by_field_name("name"))
        yield from (Import(trait, alias=of, kind="derive") for trait in _derived(node))
        return
    if node.type == "macro_invocation":
        outer = node.parent
        if outer is not None and outer.type == "expression_statement":
            outer = outer.parent
        if outer is not None and outer.type in ("source_file", "declaration_list"):
            yield Import(text_of(node.child_by_field_name("macro")), kind="macro")
        return
    yield from _used(node.child_by_field_name("argument"), "", 0)


def _derived(node: Any) -> list[str]:
    """The traits that `#[derive(...)]` above a type gives it."""
    found: list[str] = []
    above = node.prev_named_sibling
    while above is not None and above.type in ("attribute_item", "line_comment", "block_comment"):
        listed = _DERIVE.match(text_of(above))
        found += map(last_name, listed[1].split(",")) if listed is not None else []
        above = above.prev_named_sibling
    return [each for each in found if each and each not in PLAIN_TRAITS]


def _used(node: Any, before: str, depth: int) -> Iterator[Import]:
    """What a part of a `use` names, below the path before it."""
    if node is None or depth > 20:
        return
    if node.type == "use_list":
        for child in node.named_children:
            yield from _used(child, before, depth + 1)
    elif node.type == "scoped_use_list":
        path = text_of(node.child_by_field_name("path"))
        yield from _used(node.child_by_field_name("list"), _joined(before, path), depth + 1)
    elif node.type == "use_wildcard":
        yield Import(_joined(before, text_of(node).removesuffix("*").removesuffix("::")), (ALL,))
    else:
        whole, here = _renamed(node) if node.type == "use_as_clause" else (text_of(node), "")
        module, _, name = _joined(before, whole).rpartition("::")
        if name == "self":
            module, _, name = module.rpartition("::")
        yield Import(module, ((name, here or name),))


def _joined(before: str, path: str) -> str:
    return "::".join(part for part in (before, "".join(path.split())) if part)


def _go(node: Any) -> Iterator[Import]:
    module, name = _unquoted(node.child_by_field_name("path")), node.child_by_field_name("name")
    if name is not None and name.type == "dot":
        yield Import(module, (ALL,))
    else:
        yield Import(module, alias=text_of(name) or re.sub(r"/v\d+$", "", module).rpartition("/")[2])


def _java(node: Any) -> Iterator[Import]:
    named = next((child for child in node.named_children if "identifier" in child.type), None)
    whole = "".join(text_of(named).split())
    if node.type == "package_declaration":
        yield Import(whole, kind="package")
    elif any(child.type == "asterisk" for child in node.named_children):
        yield Import(whole, (ALL,))
    else:
        module, _, name = whole.rpartition(".")
        yield Import(module, ((name, name),))


def _c(node: Any) -> Iterator[Import]:
    path = node.child_by_field_name("path")
    if path is not None and path.type in ("string_literal", "system_lib_string"):
        yield Import(_unquoted(path), (ALL,))


_READERS = {
    "python": _python,
    **dict.fromkeys(SCRIPTS, _script),
    "rust": _rust,
    "go": _go,
    "java": _java,
    **dict.fromkeys(("c", "cpp", "cuda-cpp"), _c),
}


def project_imports(name: str, text: str) -> list[Import]:
    """What a project file says of where modules are; nothing where it cannot be read."""
    if name == "go.mod":
        found = _GO_MODULE.search(text)
        return [Import(found[1], kind="module")] if found else []
    if name == "Cargo.toml":
        section = f"\n{text}".partition("\n[package]")[2].partition("\n[")[0]
        found = _CARGO_NAME.search(section)
        return [Import(found[1].replace("-", "_"), kind="module")] if found else []
    try:
        said = json.loads(_without_comments(text))
    except (ValueError, RecursionError):
        return []
    if not isinstance(said, dict):
        return []
    if name == "package.json":
        main = [str(said[key]) for key in ("source", "types", "module", "main") if isinstance(said.get(key), str)]
        called = said.get("name")
        return [Import(called, tuple((each, "") for each in main), kind="module")] if isinstance(called, str) else []
    return list(_paths(said.get("compilerOptions")))


def _paths(options: Any) -> Iterator[Import]:
    """`baseUrl` and `paths` of a tsconfig.json: each pattern with the folders that it stands for."""
    if not isinstance(options, dict):
        return
    base = options.get("baseUrl")
    listed = options.get("paths")
    for pattern, folders in listed.items() if isinstance(listed, dict) else ():
        if isinstance(folders, list):
            where = [PurePath(base if isinstance(base, str) else ".", str(each)).as_posix() for each in folders]
            yield Import(pattern, tuple((each, "") for each in where), kind="paths")
    if isinstance(base, str):
        yield Import("*", ((PurePath(base, "*").as_posix(), ""),), kind="paths")


def _without_comments(text: str) -> str:
    """JSON as TypeScript's own files have it, with comments and commas too many, made plain."""
    plain = _COMMENTS.sub(lambda found: found[1] or "", text)
    return _COMMAS.sub(lambda found: found[1] or "", plain)
