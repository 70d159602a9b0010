"""A model that goes in circles: one sentence, line or list again and again, which it seldom leaves by itself."""

from __future__ import annotations

import re

# Characters at the end of a text that are looked at; a longer round is not noticed.
LOOKED_AT = 4096
# How often something comes in a row, and how many characters that makes, before it is a circle.
ROUNDS, LEAST = 6, 300
# Without a letter it may be a rule, a table's frame, or data.
LEAST_SIGNS = 1500
# What is new in the text is looked at in steps of that many characters.
STEP = 64

# The number of an item in a list goes up while the item stays the same.
_ITEM = re.compile(r"^([ \t]*)\d+(?=[.)] )", re.MULTILINE)


class Circles:
    """Whether a text that grows goes in circles by now."""

    def __init__(self) -> None:
        self._end = ""
        self._new = 0

    def closed_by(self, text: str) -> bool:
        """Whether it does with `text` at its end."""
        self._end = (self._end + text)[-LOOKED_AT:]
        self._new += len(text)
        if self._new < STEP:
            return False
        self._new = 0
        return goes_in_circles(self._end)


def goes_in_circles(text: str) -> bool:
    """Whether the end of a text says the same again and again. In time linear in its length, of LOOKED_AT at most."""
    end = _ITEM.sub(r"\g<1>0", text[-LOOKED_AT:])[::-1]
    # The failure function of Knuth, Morris and Pratt: of each beginning the longest end that it begins with.
    longest = [0] * (len(end) + 1)
    known = 0
    for at in range(1, len(end)):
        while known and end[known] != end[at]:
            known = longest[known]
        known += end[known] == end[at]
        longest[at + 1] = known
        length, period = at + 1, at + 1 - known
        if length >= LEAST and length >= ROUNDS * period:
            has_letters = any(each.isalpha() for each in end[:period])
            if has_letters or length >= LEAST_SIGNS:
                return True
    return False
