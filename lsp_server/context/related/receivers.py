"""What stands before the dot at a cursor, and the types that a file gives its names: what may be called there."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence

# Lines and characters before the cursor that are looked at: of a chain of calls over several lines, too.
LINES, LOOK_BACK = 10, 400
# Characters of a file whose declarations are looked for.
MOST_CHARACTERS = 100_000
_TYPED = re.compile(r"\w*\Z")
_SIGN = re.compile(r"[!?]*(?:\.|->|::)\s*\Z")
_NAME = re.compile(r"[^\W\d]\w*\Z")
_OPENS = {")": "(", "]": "[", ">": "<"}
# What may stand around a type or before it: `&'a mut `, `Option<`, `list[`, `java.util.`, `*pkg.`.
_AROUND = r"(?:[&*]|'\w+\s|(?:mut|dyn|impl|const|new|await)\s|\w{1,40}\s?[<\[]|\w{1,40}(?:\.|::)){0,6}"
_TYPE = r"(?P<type>[A-Z]\w*)"
# `Type name;`; `name: Type`; `name = Type(`, `name := &Type{`; `name *pkg.Type`.
_DECLARED = (
    re.compile(rf"\b{_TYPE}(?:<[^;(){{}}=\n]{{0,80}}>)?(?:\[\])*[ \t*&]+(?P<name>[a-z_]\w*)\s*(?=[;=,):])"),
    re.compile(rf"\b(?P<name>[^\W\d]\w*)[?!]?\s?:\s?{_AROUND}{_TYPE}"),
    re.compile(rf"\b(?P<name>[^\W\d]\w*)\s?:?=\s?{_AROUND}{_TYPE}(?=[({{<]|::)"),
    re.compile(rf"\b(?P<name>[a-z_]\w*)[ \t](?:[*&]|\[\]){{0,3}}(?:\w{{1,40}}\.)?{_TYPE}\b"),
    # `name, ok := value.(*pkg.Type)`; `Enum::Type(ref mut name) =>`; `except pkg.Type as name`
    re.compile(rf"\b(?P<name>[a-z_]\w*)(?:, ?\w{{1,40}})? :?= [\w.]{{1,80}}\.\(\*?(?:\w{{1,40}}\.)?{_TYPE}\)"),
    re.compile(rf"\w::{_TYPE}\((?:ref |mut |&){{0,3}}(?P<name>[a-z_]\w*)\)"),
    re.compile(rf"\b{_TYPE}(?:\([^()\n]{{0,80}}\))? as (?P<name>[a-z_]\w*)(?=:)"),
    # `name = given || new pkg.Type(`
    re.compile(rf"\b(?P<name>[^\W\d]\w*) ?= [^;={{}}\n]{{1,60}}\bnew (?:\w{{1,40}}\.){{0,4}}{_TYPE}\b"),
)
# `name = make(...)`, `name, err := pkg.make(...)`, `const name = await this.make(...)`: what a call of `make` returns.
_MADE = re.compile(
    r"\b([^\W\d]\w*)(?:, ?\w{1,40}){0,2} ?:?= (?:await )?(?:\w{1,40}(?:\(\))?(?:\.|->|::)){0,4}([^\W\d]\w*)"
    r"\([^()]{0,200}(?:\([^()]{0,80}\)[^()]{0,80}){0,4}\)[;?]{0,2}[ \t]*$",
    re.MULTILINE,
)
# What stands for an object of the class around a cursor, and for that class.
SELF, CLASS = frozenset({"self", "this"}), frozenset({"cls", "Self"})


@dataclasses.dataclass(frozen=True)
class Receiver:
    """`name`: the last name before the dot, "" where there is none; `called`: whether it is what a call of it returns.
    `typed`: the letters of the member, or of the name, that are there; `is_member`: a dot stands before them."""

    name: str = ""
    called: bool = False
    typed: str = ""
    is_member: bool = False

    def is_class(self, name: str) -> bool:
        """Whether it is the class of this name itself, and not one of its objects."""
        return self.name in (name, "Self") and not self.called

    @property
    def is_self(self) -> bool:
        """Whether it is of the class around the cursor."""
        return not self.called and self.name in SELF | CLASS


NOTHING = Receiver()


def text_before(lines: Sequence[str], row: int, column: int) -> str:
    """What stands before a place, 0-based, as far as it may tell what may be written there."""
    return "".join(lines[max(0, row - LINES) : row]) + "".join(lines[row : row + 1])[:column]


def receiver_at(before: str) -> Receiver:
    """That of the end of a text."""
    before = before[-LOOK_BACK:]
    typed = _TYPED.search(before)[0]  # type: ignore[index]
    sign = _SIGN.search(before, 0, len(before) - len(typed))
    if sign is None:
        return Receiver(typed=typed)
    end = _before_blanks(before, sign.start())
    start = _before_brackets(before, end)
    name = _NAME.search(before, 0, start)
    if name is None:
        return Receiver(typed=typed, is_member=True)
    return Receiver(name[0], start < end, typed, is_member=True)


@functools.lru_cache(maxsize=4)  # several sources ask
def types_in(text: str) -> Mapping[str, frozenset[str]]:
    """By name: the types that a text gives it, anywhere."""
    found: dict[str, set[str]] = {}
    for pattern in _DECLARED:
        for match in pattern.finditer(text, 0, MOST_CHARACTERS):
            found.setdefault(match["name"], set()).add(match["type"])
    return {name: frozenset(types) for name, types in found.items()}


@functools.lru_cache(maxsize=4)
def makers_in(text: str) -> Mapping[str, frozenset[str]]:
    """By name: the functions whose results a text gives it, anywhere."""
    found: dict[str, set[str]] = {}
    for match in _MADE.finditer(text, 0, MOST_CHARACTERS):
        found.setdefault(match[1], set()).add(match[2])
    return {name: frozenset(makers) for name, makers in found.items()}


def _before_blanks(text: str, end: int) -> int:
    return len(text[:end].rstrip())


def _before_brackets(text: str, end: int) -> int:
    """Where the brackets begin that end there, each with its partner."""
    while end and text[end - 1] in _OPENS:
        opening, closing, depth, at = _OPENS[text[end - 1]], text[end - 1], 0, end
        while at:
            at -= 1
            depth += (text[at] == closing) - (text[at] == opening)
            if depth == 0:
                break
        if depth:
            break
        end = _before_blanks(text, at)
    return end
