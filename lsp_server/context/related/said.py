"""What a type is, as each language writes it: the class that its objects are of, and the types within it.

Texts are those of a declaration; a type that is no class by itself, a list or a union, has no class here.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Sequence

from lsp_server.context.languages import language, words
from lsp_server.context.related.contents import family_of
from lsp_server.context.related.outlines import Definition

# What stands before a type and changes nothing of what its objects have.
_BEFORE = {
    "python": re.compile(r"['\"]"),
    "script": re.compile(r":\s*|(?:readonly|asserts)\s+"),
    "rust": re.compile(r"&\s*|'\w+\s+|(?:mut|dyn|impl|ref)\s+"),
    "go": re.compile(r"[*&]\s*"),
    "java": re.compile(r"(?:final|static)\s+|@\w+(?:\([^()]*\))?\s+"),
    "c": re.compile(r"(?:const|volatile|static|struct|class|enum|union|typename|constexpr)\s+"),
}
_BEHIND = {
    "python": re.compile(r"['\"]\Z|\s*\|\s*None\Z"),
    "script": re.compile(r"\s*\|\s*(?:null|undefined)\Z"),
    "c": re.compile(r"\s*(?:[*&]|\bconst)\Z"),
}
# Of these an object has what one of its first argument has.
_SAME = {
    "python": words("Optional Annotated Final ClassVar Required NotRequired"),
    "script": words("Readonly Partial Required NonNullable"),
    "rust": words("Box Rc Arc Cow Ref RefMut MutexGuard RwLockReadGuard RwLockWriteGuard"),
}
# What is waited for, may fail, or is pointed to; and what has many of one kind, with which of its arguments that is.
_INNER = words("Option Result Promise Awaitable Coroutine Future optional shared_ptr unique_ptr")
_MANY = words(
    "list List Sequence Iterable Iterator set Set frozenset FrozenSet Collection MutableSequence Vec VecDeque HashSet "
    "BTreeSet Array ReadonlyArray ArrayList LinkedList HashSet vector deque"
)
_GENERATORS = words(
    "Iterator Generator AsyncIterator AsyncGenerator ContextManager AbstractContextManager AsyncContextManager "
    "AbstractAsyncContextManager"
)
_ARGUMENTS = re.compile(r"(?P<of>[\w.:]+?)(?:::)?\s*[<\[](?P<in>.*)[>\]]\Z", re.DOTALL)
_PLAIN = re.compile(r"[^\W\d][\w$]*(?:(?:\.|::)[^\W\d][\w$]*)*\Z")
_CUT = " ..."
_OPENS, _CLOSES = "([{<", ")]}>"


def family(path: str) -> str:
    """The languages that can use each other's code, of which one has files that end as this."""
    return _of_suffix(posixpath.splitext(path)[1])


@functools.lru_cache(maxsize=64)
def _of_suffix(suffix: str) -> str:
    return family_of(language("", f"x{suffix}").id)


def class_said(text: str, spoken: str) -> str:
    """The class that an object of a type is of, as it is written, with what stands before it; "" for none. `spoken`:
    see `family`."""
    text = _stripped(text, spoken)
    found = _ARGUMENTS.match(text)
    if found is not None:
        if text.endswith("]") and spoken not in ("python", "go"):  # an array
            return ""
        if _last(found["of"]) in _SAME.get(spoken, ()):
            inner = arguments(found["in"])
            return class_said(inner[0], spoken) if inner else ""
        text = found["of"]
    return text if _PLAIN.match(text) else ""


def itself_said(text: str, spoken: str) -> str:
    """The class that a type says to be the value itself: Python's `type[A]`, TypeScript's `typeof A`; "" for none."""
    text = _stripped(text, spoken)
    if spoken == "script":
        return text.removeprefix("typeof ").strip() if text.startswith("typeof ") else ""
    found = _ARGUMENTS.match(text) if spoken == "python" else None
    if found is None or _last(found["of"]) not in ("type", "Type"):
        return ""
    inner = arguments(found["in"])
    return class_said(inner[0], spoken) if inner else ""


def within(text: str, spoken: str) -> str:
    """The type of what is there once it was waited for, or did not fail; "" where a type is none of such."""
    found = _ARGUMENTS.match(_stripped(text, spoken))
    inner = arguments(found["in"]) if found is not None and _last(found["of"]) in _INNER else []
    return inner[0] if inner else ""


def yielded(text: str) -> str:
    """The type of what a context manager of Python gives that is made of a generator; "" for none."""
    found = _ARGUMENTS.match(_stripped(text, "python"))
    inner = arguments(found["in"]) if found is not None and _last(found["of"]) in _GENERATORS else []
    return inner[0] if inner else ""


def each_of(text: str, spoken: str) -> str:
    """The type of the elements of a type; "" where it is not known to have any."""
    text = _stripped(text, spoken)
    if spoken == "go":
        found = re.match(r"\[\d*\](.+)", text)
        return found[1] if found is not None else ""
    if text.endswith("[]"):
        return text[:-2]
    if spoken == "rust" and text.startswith("[") and text.endswith("]"):
        return text[1:-1].partition(";")[0]
    found = _ARGUMENTS.match(text)
    inner = arguments(found["in"]) if found is not None and _last(found["of"]) in _MANY else []
    return inner[0] if len(inner) == 1 else ""


def arguments(text: str) -> list[str]:
    """What stands between the commas of a text that are in no brackets of it."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        if sign in _OPENS:
            depth += 1
        elif sign in _CLOSES and text[at - 1 : at + 1] not in ("->", "=>"):
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [each for each in (*(part.strip() for part in parts), text[start:].strip()) if each]


def result_said(definition: Definition, spoken: str) -> str:
    """The type of what a function gives, as its header says it; "" where it does not."""
    head = next((line for line in definition.text.split("\n") if f"{definition.name}" in line and "(" in line), "")
    before, opened, behind = head.partition("(")
    if not opened:
        return ""
    if spoken in ("java", "c"):
        return _before_name(before, definition.name)
    if spoken == "go" and definition.attached:  # behind the receiver
        behind = behind.partition("(")[2]
    behind = _behind_brackets(behind)
    if spoken == "python":
        found = re.match(r"\s*->\s*(.+?):(?: \.\.\.)?\Z", behind)
    elif spoken == "rust":
        found = re.match(r"\s*->\s*(.+?)(?:\s+where\b.*)?;?\Z", behind)
    elif spoken == "script":
        found = re.match(r"\s*:\s*(.+?)(?:;|\s*(?:=>\s*)?\{ \.\.\. \})?\Z", behind)
    else:
        found = re.match(r"\s*(.+)\Z", behind)
    said = found[1].strip() if found is not None else ""
    if spoken == "go" and said.startswith("("):
        first = next(iter(arguments(said[1:-1])), "")
        return first.rpartition(" ")[2]
    return said


def value_said(definition: Definition, spoken: str) -> str:
    """The type that a field or variable is said to be of; "" for none."""
    text, name = definition.text.split("\n")[-1].rstrip(",;"), re.escape(definition.name)
    if text.endswith(_CUT):
        return ""
    if spoken in ("java", "c"):
        before = re.split(rf"\b{name}\b\s*(?:=|\Z)", text, maxsplit=1)
        return _before_name(f"{before[0]}{definition.name}", definition.name) if len(before) > 1 else ""
    if spoken == "go" and text.partition("`")[0].strip().rpartition(".")[2].strip("*") == definition.name:  # embedded
        return text.partition("`")[0].strip()
    if spoken == "go":
        found = re.match(rf"(?:(?:var|const)\s+)?(?:\w+,\s*)*{name}(?:,\s*\w+)*\s+([^=`]+?)\s*(?:=.*|`.*)?\Z", text)
    else:
        found = re.search(rf"(?:^|[\s#]){name}[?!]?\s*:\s*([^=]+?)\s*(?:=(?!>).*)?\Z", text)
    return found[1].strip() if found is not None else ""


def made_said(definition: Definition) -> str:
    """The class that a field or variable is made of at once, as in `name = Class(...)`; "" for none."""
    found = re.search(
        rf"\b{re.escape(definition.name)}\b[^=]*?=\s*(?:&\s*)?(?:new\s+)?([A-Z]\w*|[a-z_][\w.]*\.[A-Z]\w*)"
        r"(?:<[^()]*>)?\s*[({][^()]*(?:\([^()]*\)[^()]*)*[)}][;,]?\Z",
        definition.text,
    )
    return found[1] if found is not None else ""


def _before_name(before: str, name: str) -> str:
    """The type that stands before a name, without the words that say how it is kept."""
    before = before.rstrip().removesuffix(name).rstrip(":")
    before = re.sub(
        r"@\w+(?:\([^()]*\))?\s*|\b(?:public|private|protected|static|final|abstract|synchronized|native|default|inline|"
        r"virtual|extern|explicit|friend|mutable|transient|volatile|constexpr)\b\s*",
        "",
        before.replace("\n", " "),
    ).strip()
    return re.sub(r"\A<[^<>]*(?:<[^<>]*>[^<>]*)*>\s*", "", before)


def _behind_brackets(text: str) -> str:
    depth = 1
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return text[at + 1 :]
    return ""


def _stripped(text: str, spoken: str) -> str:
    text, before, behind = text.strip(), _BEFORE.get(spoken), _BEHIND.get(spoken)
    while True:
        known = text
        if before is not None and (found := before.match(text)) is not None:
            text = text[found.end() :].strip()
        if behind is not None:
            text = behind.sub("", text).strip()
        if text == known:
            return text


def _last(name: str) -> str:
    return re.split(r"\.|::", name)[-1]


def parts_of(name: str) -> Sequence[str]:
    """`shop.Store`, `shop::Store`: what stands between the signs."""
    return [part for part in re.split(r"\.|::", name) if part]
