"""Somebody types parts of a file: the same keys, pauses, slips and jumps whenever it is played.

A trace takes a few runs of lines out of a real file and types them back in, one after the other. What a key does does
not depend on what is suggested, so every system is asked at the same places.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Literal

Kind = Literal["type", "slip", "delete", "accept", "jump"]

# Seconds between two keys: log-normal, its median within a word, at a word's end, and after a line.
WITHIN_WORD, WORD_END, LINE_END, JUMP = 0.15, 0.25, 0.8, 1.5
SPREAD = 0.35
LONGEST_PAUSE = 4.0
# How often: a slip of the finger, some characters taken back, the rest of a line at once as when accepting.
SLIP, TAKEN_BACK, ACCEPTED = 0.03, 0.02, 0.04
LONGEST_LINE = 100


@dataclasses.dataclass(frozen=True)
class Key:
    """One change of the text: after `pause` seconds, at character `at`, `deleted` characters before it go and
    `inserted` come. `slip` is a wrong character, `delete` takes characters back, `accept` brings the rest of a line,
    `jump` is the first key elsewhere; all others `type`."""

    kind: Kind
    pause: float
    at: int
    deleted: int = 0
    inserted: str = ""

    def apply(self, text: str) -> str:
        return text[: self.at - self.deleted] + self.inserted + text[self.at :]

    @property
    def cursor(self) -> int:
        """Where the cursor is afterwards."""
        return self.at - self.deleted + len(self.inserted)


@dataclasses.dataclass(frozen=True)
class Trace:
    """`text`: the file with parts missing; `keys` bring them back."""

    name: str
    language: str
    text: str
    keys: tuple[Key, ...]


def trace(name: str, language: str, text: str, keys: int, *, seed: int, places: int = 2) -> Trace:
    """At least `keys` keys that type `places` parts of `text`, and seldom more than twice as many, unless much of it is
    accepted at once. Raises ValueError where `text` has no such parts."""
    rng = random.Random(f"{seed} {name}")
    parts = _parts(text, keys // places, places, rng)
    missing = text
    for start, end in reversed(parts):
        missing = missing[:start] + missing[end:]
    made: list[Key] = []
    left_out = 0
    # Not from top to bottom, which would be no jump: the last part first. Parts before it are still missing then.
    for index in reversed(range(len(parts))):
        start, end = parts[index]
        left_out = sum(b - a for a, b in parts[:index])
        made += _typed(text[start:end], start - left_out, rng, first=not made)
    return Trace(name, language, missing, tuple(made))


def _parts(text: str, length: int, places: int, rng: random.Random) -> list[tuple[int, int]]:
    """`places` parts (start, end) of `length` to twice as many characters to be typed, in order: whole lines of code,
    each beginning with the end of the line above it."""
    ends = [index for index, char in enumerate(text) if char == "\n"]
    fit = []
    for first in range(len(ends) - 1):
        for last in range(first + 1, min(first + 9, len(ends))):
            line = text[ends[last - 1] + 1 : ends[last]]
            if not line.strip() or len(line) > LONGEST_LINE or not line.isascii():
                break
            typed = sum(len(part.strip()) for part in text[ends[first] : ends[last]].split("\n"))
            if typed >= length:
                if typed <= 2 * length:
                    fit.append((ends[first], ends[last]))
                break
    chosen: list[tuple[int, int]] = []
    while len(chosen) < places:
        # Far enough apart that a jump is one, and below the head of the file: nobody begins with a licence.
        free = [
            (start, end)
            for start, end in fit
            if start > len(text) // 10 and all(end + 500 < a or start > b + 500 for a, b in chosen)
        ]
        if not free:
            raise ValueError("the file has no lines to type")
        chosen.append(rng.choice(free))
    return sorted(chosen)


def _typed(part: str, start: int, rng: random.Random, *, first: bool) -> list[Key]:
    """The keys that type `part` at character `start`."""
    keys: list[Key] = []
    at = start

    def press(kind: Kind, middle: float, *, deleted: int = 0, inserted: str = "") -> None:
        nonlocal at
        if not keys and not first:
            kind, middle = "jump", JUMP
        pause = min(LONGEST_PAUSE, rng.lognormvariate(math.log(middle), SPREAD))
        keys.append(Key(kind, round(pause, 3), at, deleted, inserted))
        at = keys[-1].cursor

    index = 0
    while index < len(part):
        char = part[index]
        before = part[index - 1] if index else "\n"
        pause = LINE_END if before == "\n" else WITHIN_WORD if before.isalnum() and char.isalnum() else WORD_END
        if char == "\n":  # the editor indents by itself
            end = index + 1
            while end < len(part) and part[end] in " \t":
                end += 1
            press("type", WORD_END, inserted=part[index:end])
            index = end
            continue
        rest = part[index:].partition("\n")[0]
        chance = rng.random()
        if chance < SLIP:
            wrong = rng.choice("asdfghjkl")
            press("slip", pause, inserted=wrong)
            press("delete", WORD_END, deleted=1)
        elif chance < SLIP + TAKEN_BACK and index >= 3 and "\n" not in part[index - 3 : index]:
            for _ in range(3):
                press("delete", WITHIN_WORD, deleted=1)
            index -= 3
            for char in part[index : index + 3]:
                press("type", WITHIN_WORD, inserted=char)
                index += 1
            continue
        elif chance < SLIP + TAKEN_BACK + ACCEPTED and len(rest) > 3 and not before.isalnum():
            press("accept", WORD_END, inserted=rest)
            index += len(rest)
            continue
        press("type", pause, inserted=char)
        index += 1
    return keys


def replayed(one: Trace) -> str:
    """The text after all keys."""
    text = one.text
    for key in one.keys:
        text = key.apply(text)
    return text


def seconds(traces: Sequence[Trace]) -> float:
    """How long the pauses take."""
    return sum(key.pause for one in traces for key in one.keys)
