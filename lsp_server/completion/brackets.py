"""Brackets in a piece of code, read without a grammar: good enough to keep a suggestion from unbalancing its file."""

from __future__ import annotations

OPEN = {"(": ")", "[": "]", "{": "}"}
CLOSE = {closing: opening for opening, closing in OPEN.items()}


def unmatched(code: str) -> tuple[list[int], list[int]]:
    """Where in `code` the brackets stand that it closes without opening, and those that it opens without closing.

    Brackets in a string on one line do not count. An apostrophe that finds no partner on its line is one of prose or
    a lifetime, not a string.
    """
    closers: list[int] = []
    openers: list[int] = []
    index = 0
    while index < len(code):
        char = code[index]
        if char in "\"'`":
            index = _string_end(code, index)
        elif char in OPEN:
            openers.append(index)
        elif char in CLOSE:
            if openers and code[openers[-1]] == CLOSE[char]:
                openers.pop()
            else:
                closers.append(index)
        index += 1
    return closers, openers


def _string_end(code: str, start: int) -> int:
    """The index of the quote that ends the string opened at `start`; `start` itself where the line ends before."""
    index = start + 1
    while index < len(code) and code[index] != "\n":
        if code[index] == "\\":
            index += 1
        elif code[index] == code[start]:
            return index
        index += 1
    return start
