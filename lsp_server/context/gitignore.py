"""The rules of a `.gitignore`, as git matches them, in a time that is bounded whatever they say, and of all together.

https://git-scm.com/docs/gitignore, and git's dir.c and wildmatch.c for what that leaves open. Where others make regular
expressions of the rules, `*a*a*a*b` and a long name never end; here a `*` is given back one character at a time only if
it is the last one met, which is enough, for what the earlier ones could still give would be no more. So is a `**`, by
folders. All that is done for one file is counted in steps, of which there are only so many.

Git compares bytes. Rules and paths are text here with a character for each byte: see `as_bytes`.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from lsp_server.errors import UserError

log = logging.getLogger(__name__)

# A rule file is data of a stranger's. What goes beyond these errs on hiding.
MOST_BYTES = 100_000
MOST_RULES = 5_000
MOST_IN_RULE = 512
# What is done for one file: some tenths of a second. A large project takes some thousand steps.
MOST_STEPS = 1_000_000
# Reading a rule, and asking for a match, by what they take in the time of a step: a character looked at.
_STEPS_OF_A_BYTE, _STEPS_OF_A_MATCH = 3, 8

_SPECIAL = re.compile(r"[*?\[\\]")
_CLASSES = {
    "alnum": "[0-9A-Za-z]", "alpha": "[A-Za-z]", "blank": "[ \t]", "cntrl": "[\0-\x1f\x7f]", "digit": "[0-9]",
    "graph": "[!-~]", "lower": "[a-z]", "print": "[ -~]", "punct": "[!-/:-@\\[-`{-~]", "space": "[ \t-\r]",
    "upper": "[A-Z]", "xdigit": "[0-9A-Fa-f]",
}  # fmt: skip
_LETTERS = frozenset(map(chr, range(256))) - {"/"}
# What a character of a glob may be besides itself, or what a folder may be besides a glob.
_ANY, _MANY = "any", "many"

Glob = Sequence[Any]
"""For each character of a name: itself, a set of characters, `_ANY`, or `_MANY` for any number of any."""


class TooCostly(UserError):
    """The rules that are heeded for a file are too many, or too hard to match; the message is one sentence."""


class Steps:
    """What may still be done to know whether a file is ignored. `file`: the one whose rules are heeded now."""

    def __init__(self, file: str = "", left: int = MOST_STEPS) -> None:
        self.file = file
        self._left = left

    def spend(self, count: int) -> None:
        """Raises TooCostly where there are no more."""
        self._left -= count
        if self._left < 0:
            raise TooCostly(
                f"The rules in {self.file} take too long to follow, so what they may ignore is never shown to the "
                "model; shorten them."
            )

    def read(self, size: int) -> None:
        """A file of `size` bytes is read. Raises TooCostly."""
        self.spend(min(size, MOST_BYTES) * _STEPS_OF_A_BYTE)


@dataclasses.dataclass(frozen=True)
class Rule:
    """One line. `start` is what a name or path must begin with, `rest` what follows: None where nothing may, a str
    where the name must end so, a glob for a name, or a sequence of globs and `_MANY` for the folders of a path."""

    shows: bool
    folders_only: bool
    whole_path: bool
    start: str
    rest: Any

    def goes_on(self, left: str, steps: Steps) -> bool:
        """Whether what is left of a name or path behind `start` is as this says. Raises TooCostly."""
        if self.rest is None:
            return not left
        if isinstance(self.rest, str):
            return left.endswith(self.rest)
        if not self.whole_path:
            return _fits(self.rest, left, _is, steps)
        return _fits(self.rest, left.split("/"), lambda glob, part: _fits(glob, part, _is, steps), steps)


EVERYTHING = Rule(False, False, False, "", "")


class Rules:
    """The rules of a file, those with the last word first."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self._rules = tuple(rules)
        # Most names are none that a rule could mean, which a look at both their ends tells.
        of_names = [rule for rule in rules if not rule.whole_path]
        self._names = frozenset(rule.start for rule in of_names if rule.rest is None)
        self._ends = tuple(rule.rest for rule in of_names if isinstance(rule.rest, str))
        self._starts = tuple(rule.start for rule in of_names if isinstance(rule.rest, list))
        self._paths = tuple(rule.start for rule in rules if rule.whole_path)

    def verdict(self, path: str, steps: Steps | None = None, *, is_folder: bool) -> bool | None:
        """Whether a path below the file is hidden; None where nothing is said of it. Raises TooCostly."""
        steps = steps or Steps()
        steps.spend(1 + len(self._rules) // 8)
        name = path.rpartition("/")[2]
        if not (
            name in self._names
            or name.endswith(self._ends)
            or name.startswith(self._starts)
            or path.startswith(self._paths)
        ):
            return None
        steps.spend(len(self._rules))
        for rule in self._rules:
            text = path if rule.whole_path else name
            if not text.startswith(rule.start) or (rule.folders_only and not is_folder):
                continue
            if rule.goes_on(text[len(rule.start) :], steps):
                return not rule.shows
        return None


def as_bytes(path: str, *, fold: bool = False) -> str:
    """A path with a character for each byte that it has on disk; `fold`: in small letters."""
    data = os.fsencode(path)
    return (data.lower() if fold else data).decode("latin-1")


def parse(data: bytes, source: str, *, fold: bool = False) -> Rules:
    """The rules in the text of a file. `source` names it in the log; `fold`: capital
    and small letters are the same."""
    rules: list[Rule] = []
    text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    for number, line in enumerate(text.split("\n"), 1):
        line = _untrailed(line.removesuffix("\r").partition("\0")[0])
        if not line or line.startswith("#"):
            continue
        if len(rules) >= MOST_RULES:
            log.warning("%s has more than %d rules, so all that it could ignore is hidden.", source, MOST_RULES)
            rules.append(EVERYTHING)
            break
        if len(line) > MOST_IN_RULE:
            log.warning("Line %d of %s is too long for a rule, so it is taken to ignore everything.", number, source)
            rules += [] if line.startswith("!") else [EVERYTHING]
        elif (rule := _rule(line, fold)) is not None:
            rules.append(rule)
    return Rules(rules[::-1])


def _untrailed(line: str) -> str:
    """Without the spaces at the end, unless a backslash keeps them."""
    end = len(line.rstrip(" "))
    if end == len(line) or (end - len(line[:end].rstrip("\\"))) % 2 == 0:
        return line[:end]
    return line[: end + 1]


def _rule(line: str, fold: bool) -> Rule | None:
    """The rule in a line; None for one that matches nothing."""
    shows, line = line.startswith("!"), line.removeprefix("!")
    folders_only, line = line.endswith("/"), line.removesuffix("/")
    whole_path, line = "/" in line, line.removeprefix("/")
    found = _SPECIAL.search(line)
    start, rest = (line, "") if found is None else (line[: found.start()], line[found.start() :])
    start = _lower(start) if fold else start
    if not rest:
        return Rule(shows, folders_only, whole_path, start, None) if line else None
    if not whole_path and rest[0] == "*" and not _SPECIAL.search(rest, 1) and not start:
        return Rule(shows, folders_only, False, start, _lower(rest[1:]) if fold else rest[1:])
    made = _folders(rest, fold) if whole_path else _glob(rest, fold)
    return None if made is None else Rule(shows, folders_only, whole_path, start, made)


def _lower(text: str) -> str:
    """In small letters, as git has them: those of ASCII alone."""
    return text.encode("latin-1").lower().decode("latin-1")


def _folders(text: str, fold: bool) -> list[Any] | None:
    """The globs of a path, `_MANY` for `**` between slashes or at an end; None where one can match nothing.

    As in git, what stands before the first special character is taken off first, so `**` right behind it counts as at
    the beginning.
    """
    found: list[Any] = []
    part = ""
    at = 0
    while at <= len(text):
        escaped = text.startswith("\\/", at)
        here = text[at : at + 1]
        if here in ("/", "") or escaped:
            many = len(part) > 1 and not part.strip("*")
            glob = _glob(part, fold)
            if glob is None:
                return None
            if not many:
                found.append(glob)
            else:  # at the end, or before an escaped slash, it is at least one folder
                found += [_MANY] if here == "/" else [glob, _MANY]
            part, end = "", at + 1 + escaped
        elif here == "[":
            end = _class(text, at, fold)[1]
        else:
            end = min(len(text), at + 1 + (here == "\\"))
        part += "" if here in ("/", "") or escaped else text[at:end]
        at = end
    return found


def _glob(text: str, fold: bool) -> Glob | None:
    """A glob for a name; None for one that matches nothing. `fold`: the name is in small letters. As in git, a letter
    behind a backslash, or alone in brackets, is meant as it is written even so."""
    found: list[Any] = []
    at = 0
    while at < len(text):
        here = text[at]
        if here == "[":
            letters, at = _class(text, at, fold)
            if letters is None:
                return None
            found.append(letters)
            continue
        if here == "\\":
            at += 1
            if at == len(text):
                return None
            found.append(text[at])
        elif here == "*":
            found += [] if found[-1:] == [_MANY] else [_MANY]
        else:
            found.append(_ANY if here == "?" else _lower(here) if fold else here)
        at += 1
    return found


def _class(text: str, at: int, fold: bool) -> tuple[frozenset[str] | None, int]:
    """(the characters of the `[...]` at a place, where it ends); (None, the end of the text) for what is no class."""
    broken = None, len(text)
    at += 1
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    found: set[str] = set()
    before = ""
    first = True
    while first or text[at : at + 1] != "]":
        first = False
        here = text[at : at + 1]
        if not here:
            return broken
        if here == "\\":
            at += 1
            here = text[at : at + 1]
            if not here:
                return broken
            found.add(here)
        elif here == "-" and before and text[at + 1 : at + 2] not in ("", "]"):
            at += 1
            if text[at] == "\\":
                at += 1
            if at == len(text):
                return broken
            among = "".join(map(chr, range(ord(before), ord(text[at]) + 1)))
            found.update(among + _lower(among) if fold else among)
            here = ""
        elif text.startswith("[:", at):
            end = text.find("]", at + 2)
            if end < 0:
                return broken
            if end == at + 2 or text[end - 1] != ":":
                found.add("[")
            else:
                name = text[at + 2 : end - 1]
                named = _named("alpha" if fold and name == "upper" else name)
                if not named:
                    return broken
                found |= named
                at, here = end, ""
        else:
            found.add(here)
        before = here
        at += 1
    return _LETTERS - found if negated else _LETTERS & found, at + 1


@functools.lru_cache
def _named(name: str) -> frozenset[str]:
    """The characters of a `[:name:]`; none for a name that is none."""
    among = _CLASSES.get(name)
    return frozenset(re.findall(among, "".join(map(chr, range(256))))) if among else frozenset()


def _is(wanted: Any, letter: str) -> bool:
    return wanted is _ANY or (letter in wanted if isinstance(wanted, frozenset) else letter == wanted)


def _fits(wanted: Sequence[Any], given: Sequence[str], is_one: Callable[[Any, str], bool], steps: Steps) -> bool:
    """Whether the things given are those wanted, one by one, with any number of them for `_MANY`. Raises TooCostly."""
    at = place = done = 0
    many, resume = -1, 0
    fits = True
    while fits and place < len(given):
        done += 1
        if at < len(wanted) and wanted[at] is _MANY:
            many, resume = at, place
            at += 1
        elif at < len(wanted) and is_one(wanted[at], given[place]):
            at += 1
            place += 1
        elif many >= 0:
            resume += 1
            at, place = many + 1, resume
        else:
            fits = False
    steps.spend(_STEPS_OF_A_MATCH + done)
    return fits and all(each is _MANY for each in wanted[at:])
