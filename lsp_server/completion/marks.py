"""How each language marks its strings and comments, as far as a reader without a grammar needs to know."""

from __future__ import annotations

import dataclasses
import functools
import re

from lsp_server.context.languages import language

OPEN = {"(": ")", "[": "]", "{": "}"}
CLOSE = {closing: opening for opening, closing in OPEN.items()}


@dataclasses.dataclass(frozen=True)
class Quote:
    """A way to write strings. `opening` is a pattern, `end` the template of one that `opening` fills in.

    `slot`: a pattern of what begins code inside the string; it ends in the bracket that has to be closed again.
    """

    opening: re.Pattern[str]
    end: str
    one_line: bool
    escapes: bool
    slot: str


@dataclasses.dataclass(frozen=True)
class Marks:
    """The marks of one language. `code` finds what matters in its code, and names it by the group that matched.

    `blocks`: comments over several lines, and what ends them. `prose`: no code but text. `partner`: an apostrophe
    begins a string only where another one ends it on its line; `characters`: only where one character stands between
    them. `joined`: a string may follow a word directly. `commands`: a string may follow a word and a space.
    """

    code: re.Pattern[str]
    quotes: tuple[Quote, ...]
    blocks: dict[str, str]
    prose: bool = False
    partner: bool = False
    characters: bool = False
    joined: bool = False
    commands: bool = False


def _quote(opening: str, end: str, *, several: bool = False, raw: bool = False, slot: str = "") -> Quote:
    return Quote(re.compile(opening), end, not several, not raw, slot)


def _triple(slot: str = "") -> Quote:
    return _quote('"""', '"""', several=True, slot=slot)


_BRACES, _DOLLAR, _HASH = r"\{(?!\{)", r"\$\{", r"#\{"
_DOUBLE, _SINGLE, _BACKTICK = _quote('"', '"'), _quote("'", "'"), _quote("`", "`")
_PLAIN = (_DOUBLE, _SINGLE)
_EITHER_TRIPLE = "(\"\"\"|''')"
_FORMATTED = r"(?:(?<=(?<!\w)[fFtT])|(?<=(?<!\w)[fFtT][rR])|(?<=(?<!\w)[rR][fFtT]))"
_HEREDOC = _quote(r"<<[-~]?(['\"]?)([A-Za-z_]\w*)\1", r"(?m:^[ \\t]*\2\\b)", several=True, raw=True)
_SCRIPT = (*_PLAIN, _quote("`", "`", several=True, slot=_DOLLAR))
_DOLLARS = (_triple(_DOLLAR), _quote('"', '"', slot=_DOLLAR), _SINGLE)
_CPP = (_quote(r'(?<=R)"(\w*)\(', r'\\)\1"', several=True, raw=True), *_PLAIN)
# What is not here has quotes on one line, double or single.
_QUOTES: dict[str, tuple[Quote, ...]] = {
    "": (_quote(_EITHER_TRIPLE, r"\1", several=True), *_PLAIN, _quote("`", "`", slot=_DOLLAR)),
    "python": (
        _quote(_FORMATTED + _EITHER_TRIPLE, r"\1", several=True, slot=_BRACES),
        _quote(_FORMATTED + "([\"'])", r"\1", slot=_BRACES),
        _quote(_EITHER_TRIPLE, r"\1", several=True),
        *_PLAIN,
    ),
    **dict.fromkeys(("javascript", "javascriptreact", "typescript", "typescriptreact", "vue", "svelte"), _SCRIPT),
    "go": (*_PLAIN, _quote("`", "`", several=True, raw=True)),
    "rust": (
        _quote('(?<=r##)"', '"##', several=True, raw=True),
        _quote('(?<=r#)"', '"#', several=True, raw=True),
        _quote('(?<=r)"', '"', several=True, raw=True),
        _quote('"', '"', several=True),
        _SINGLE,
    ),
    "java": (_triple(), *_PLAIN),
    "cpp": _CPP,
    "cuda-cpp": _CPP,
    "csharp": (
        _quote('"""', '"""', several=True, raw=True),
        _quote(r'(?:(?<=\$@)|(?<=@\$))"', '"', several=True, raw=True, slot=_BRACES),
        _quote('(?<=@)"', '"', several=True, raw=True),
        _quote(r'(?<=\$)"', '"', slot=_BRACES),
        *_PLAIN,
    ),
    **dict.fromkeys(("kotlin", "scala", "groovy"), _DOLLARS),
    "dart": (
        _quote(_EITHER_TRIPLE, r"\1", several=True, slot=_DOLLAR),
        _quote("([\"'])", r"\1", slot=_DOLLAR),
    ),
    "swift": (_triple(r"\\\("), _quote('"', '"', slot=r"\\\(")),
    "php": (
        _quote(r"<<<(['\"]?)(\w+)\1", r"(?m:^[ \\t]*\2\\b)", several=True, raw=True),
        _quote("([\"'])", r"\1", several=True),
    ),
    "ruby": (
        _HEREDOC,
        _quote('(["`])', r"\1", several=True, slot=_HASH),
        _quote("'", "'", several=True),
    ),
    "shellscript": (
        _HEREDOC,
        _quote('"', '"', several=True, slot=r"\$[({]"),
        _quote("'", "'", several=True, raw=True),
    ),
    "perl": (_HEREDOC, _quote("([\"'])", r"\1", several=True)),
    "lua": (*_PLAIN, _quote(r"\[(=*)\[", r"\\]\1\\]", several=True, raw=True)),
    "elixir": (
        _quote(_EITHER_TRIPLE, r"\1", several=True, slot=_HASH),
        _quote("([\"'])", r"\1", slot=_HASH),
    ),
    "julia": (_triple(), *_PLAIN),
    "sql": (_quote("'", "'", several=True, raw=True), _DOUBLE),
    "powershell": (
        _quote('"', '"', several=True, raw=True, slot=r"\$\("),
        _quote("'", "'", several=True, raw=True),
    ),
    "toml": (_quote(_EITHER_TRIPLE, r"\1", several=True), *_PLAIN),
    "yaml": (_DOUBLE, _quote("'", "'", raw=True)),
}
_PROSE = {"markdown", "plaintext", "git-commit", "latex", "tex", "restructuredtext", "asciidoc", "ini", "properties"}
_PLAIN_VALUES = {"yaml", "dockercompose"}
_MARKUP = {"html", "xml", "xsl", "vue", "svelte", "astro", "handlebars"}
_LISPS = {"clojure", "lisp", "commonlisp", "scheme", "racket", "elisp", "emacs-lisp"}
_CHARACTERS = {"rust", "haskell", "fsharp", "ocaml", "scala", "zig", "julia", "swift", "ada", "vhdl", *_LISPS}
_SLASHED = {"javascript", "javascriptreact", "typescript", "typescriptreact", "ruby", "vue", "svelte", "swift"}
# What begins a string without a quote.
_OTHER_OPENINGS = {"lua": r"\[=*\[", "php": "<<<", **dict.fromkeys(("ruby", "shellscript", "perl"), "<<")}
# What stands in code for itself: a character behind a backslash or a question mark, a variable named by a sign, a
# pattern or a list between delimiters of its own.
_BEHIND_BACKSLASH = r"\\[^\n]"
_BEHIND_QUESTION = r"(?<![\w)\]}?])\?\\?[()\[\]{}\"'`](?!\w)"
_SLASHES, _BARS = r"/(?:\\.|[^/\\\n])*/", r"\|(?:\\.|[^|\\\n])*\|"
_BRACED = r"\{(?:\\.|[^{}\\\n])*\}"
_AROUND = rf"(?:{_SLASHES}|{_BARS}|{_BRACED}|\((?:\\.|[^()\\\n])*\)|\[(?:\\.|[^\[\]\\\n])*\]|<(?:\\.|[^<>\\\n])*>)"
_LITERALS = {
    "shellscript": rf"{_BEHIND_BACKSLASH}|\$\{{[^{{}}\n\"'`$]*\}}",
    "ruby": rf"{_BEHIND_QUESTION}|%[qQwWiIrxs]{_AROUND}",
    "elixir": rf"{_BEHIND_QUESTION}|~[a-zA-Z]+{_AROUND}",
    "perl": (
        r"(?<![\w$@%&])\$[\]\[()](?!\w)|(?<![\w$@%&>-])(?:"
        rf"(?:s|y|tr)(?:/(?:\\.|[^/\\\n])*{_SLASHES}|{_BRACED}\s*{_BRACED})|(?:m|q|qq|qr|qw){_AROUND})"
        rf"|(?<=~)\s*{_SLASHES}"
    ),
}
# In most languages a number sign is an operator, too, or part of a word (`$#`, `a#b`).
_HASH_COMMENT = r"(?<![^\s;(){}\[\],])#"
# In a shell it is one in a parameter's name, too: `${#name}`.
_SHELL_COMMENT = r"(?<![^\s;()])#"
# Where the language is not known: what is a comment in nearly every one that has the sign.
_ANY_COMMENT = r"(?<!\S)#(?=\s)|(?m:^[ \t]*//)|(?<=[;{}]\s)//"


@functools.cache
def marks_of(language_id: str) -> Marks:
    """The marks of a language, and of an unknown one, or where the id is empty, those that most have."""
    spoken = language(language_id)
    quotes = _QUOTES.get(spoken.id if language_id else "", _PLAIN)
    if not any(each.opening.match("`") for each in quotes):
        quotes = (*quotes, _BACKTICK)
    line, blocks = _comments(language_id)
    groups = [r"(?P<newline>\n)"]
    if literal := _LITERALS.get(spoken.id, _BEHIND_BACKSLASH if spoken.id in _LISPS else ""):
        groups.append(f"(?P<literal>{literal})")
    if blocks:
        groups.append(f"(?P<block>{'|'.join(map(re.escape, blocks))})")
    if line:
        groups.append(f"(?P<comment>{line})")
    other = _OTHER_OPENINGS.get(spoken.id, "")
    groups.append("(?P<string>[\"'`]" + (f"|{other})" if other else ")"))
    # Where values need no quotes a round one is a sign like others.
    groups.append(r"(?P<bracket>[\[\]{}])" if spoken.id in _PLAIN_VALUES else r"(?P<bracket>[()\[\]{}])")
    if spoken.id in _SLASHED:
        groups.append("(?P<slash>/)")
    return Marks(
        re.compile("|".join(groups)),
        quotes,
        blocks,
        prose=spoken.id in _PROSE,
        partner=not language_id or spoken.id in _MARKUP,
        characters=spoken.id in _CHARACTERS,
        joined=spoken.id in ("shellscript", "powershell"),
        commands=spoken.id in ("shellscript", "ruby", "powershell"),
    )


def _comments(language_id: str) -> tuple[str, dict[str, str]]:
    """(the pattern of what begins a comment to the end of the line, what begins a longer one and what ends it)"""
    spoken = language(language_id)
    if not language_id:
        return _ANY_COMMENT, {"/*": "*/"}
    if spoken.id in _LISPS:
        return ";", {}
    if spoken.id in _MARKUP:
        return "", {"<!--": "-->", "/*": "*/"}
    blocks = dict([spoken.block_comment]) if spoken.block_comment else {}
    if spoken.line_comment == "//":
        hash_too = f"|{_HASH_COMMENT}(?!\\[)" if spoken.id == "php" else ""
        return "(?<!:)//" + hash_too, blocks
    if spoken.line_comment == "#":
        return {"python": "#", "shellscript": _SHELL_COMMENT}.get(spoken.id, _HASH_COMMENT), blocks
    return re.escape(spoken.line_comment), blocks
