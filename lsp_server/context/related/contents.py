"""What there is to know of one file of source: what it defines and imports, and its pieces with their identifiers."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterable, Sequence

from lsp_server.context.languages import LANGUAGES, Language, language, words
from lsp_server.context.related.outlines import Definition, outline_of
from lsp_server.context.related.statements import PROJECT_FILES, SCRIPTS, Import, imports_of, project_imports
from lsp_server.context.trees import Tree, parse
from lsp_server.context.window import normalized

# Bytes; what is longer is data or was generated.
MOST_BYTES = 256_000
# Characters of a line in the mean: longer ones are minified code or data.
LONGEST_LINE = 300
# Lines of a chunk: a shorter definition is joined to the next, a longer one cut.
LEAST_LINES, MOST_LINES = 5, 40
# Identifiers of a chunk, and the characters of one.
MOST_WORDS, LONGEST_WORD = 150, 60
_NO_CODE = frozenset(words("css scss html markdown plaintext yaml toml makefile dockerfile sql"))
_IDENTIFIER = re.compile(r"[^\W\d]\w{2,}")
_CPP = re.compile(
    r"(?m)^[^\S\n]*(?:class|namespace|template|using|public:|private:|protected:)\b|\bstd::|\bextern \"C\""
    r"|^[^\S\n]*struct[^\S\n]+\w+(?:[^\S\n]+final)?[^\S\n]*:[^\S\n]*\w"
)
# Words of the languages themselves, that tell nothing of what a piece is about.
_KEYWORDS = frozenset(
    words(
        "abstract and any args assert async auto await bool boolean break byte case catch chan char class cls const "
        "constexpr continue crate declare def default defer del delete double dyn elif else enum except export extends "
        "extern fallthrough false False final finally float for foreach from func function get global goto if impl "
        "implements import include inline instanceof int interface int32 int64 is kwargs lambda len let long loop map "
        "match mod module move mut namespace new nil None nonlocal not null nullptr number object operator or override "
        "package pass private protected pub public raise range readonly ref register require return Self self set "
        "short signed size_t sizeof static str string String struct super switch template this throw throws trait true "
        "True try type typedef typename typeof u32 u64 i32 i64 u8 undefined union unsafe unsigned use usize using var "
        "vec Vec virtual void volatile where while with yield print println printf"
    )
)


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some lines of a file, `first` to `last` (0-based, both included), with each of their identifiers once."""

    first: int
    last: int
    words: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Source:
    """What a file holds. `family`: the language, or what several languages are that can use each other's code."""

    family: str = ""
    definitions: tuple[Definition, ...] = ()
    imports: tuple[Import, ...] = ()
    chunks: tuple[Chunk, ...] = ()


def is_source(name: str) -> bool:
    """Whether a file of this name is held: source code, and what says where a project's modules are."""
    if name in PROJECT_FILES:
        return True
    spoken = language("", name)
    return spoken.id in LANGUAGES and spoken.id not in _NO_CODE


def language_of(name: str, text: str) -> Language:
    """The language of a file, by its name, and of a `.h` by its text."""
    spoken = language("", name)
    return LANGUAGES["cpp"] if spoken.id == "c" and name.endswith(".h") and _CPP.search(text) else spoken


def family_of(language_id: str) -> str:
    if language_id in SCRIPTS:
        return "script"
    return "c" if language_id in ("c", "cpp", "cuda-cpp", "objective-c") else language_id


def read(name: str, text: str, *, gently: bool = False) -> Source:
    """What a file called `name` holds. `gently`: see `trees.parse`."""
    if name in PROJECT_FILES:
        return Source("project", imports=tuple(project_imports(name, text)))
    spoken = language_of(name, text)
    if len(text) > LONGEST_LINE * (text.count("\n") + 1):
        return Source(family_of(spoken.id))
    return read_tree(text, spoken.id, parse(text, spoken.id, gently=gently), gently=gently)


def read_tree(text: str, language_id: str, tree: Tree | None, *, gently: bool = False) -> Source:
    """`read` of a text whose tree is there already, or has none."""
    try:
        definitions = () if tree is None else tuple(outline_of(tree))
        if gently:
            time.sleep(0)  # lets those that wait go first
        imports = () if tree is None else tuple(imports_of(tree))
        if gently:
            time.sleep(0)
    except RecursionError:  # brackets in each other, a thousand deep
        definitions, imports = (), ()
    lines = tree.lines if tree is not None else normalized(text).encode().split(b"\n")
    starts = (each.first for each in definitions)
    return Source(family_of(language_id), definitions, imports, tuple(chunks(lines, starts)))


def identifiers(text: str) -> list[str]:
    """The identifiers in a text, each once, in their order; none of the languages' own words."""
    found = (word for word in _IDENTIFIER.findall(text) if word not in _KEYWORDS and len(word) <= LONGEST_WORD)
    return list(dict.fromkeys(found))


def chunks(lines: Sequence[bytes], starts: Iterable[int]) -> list[Chunk]:
    """A file cut at where its definitions start, comments and decorators above them included."""
    cuts = {_above(lines, start) for start in starts}
    found: list[Chunk] = []
    first = 0
    while first < len(lines):
        end = min(len(lines), first + MOST_LINES)
        cut = next((row for row in range(first + LEAST_LINES, end) if row in cuts), end)
        if cut == first + MOST_LINES:
            cut = next((row for row in range(cut - 1, first + MOST_LINES // 2, -1) if not lines[row - 1].strip()), cut)
        named = identifiers(b"\n".join(lines[first:cut]).decode("utf-8", "replace"))
        if named:
            found.append(Chunk(first, cut - 1, tuple(named[:MOST_WORDS])))
        first = cut
    return found


def _above(lines: Sequence[bytes], row: int) -> int:
    while row and lines[row - 1].lstrip().startswith((b"#", b"//", b"/*", b"*", b"@", b"--")):
        row -= 1
    return row
