"""A model that goes in circles: the same line, or the same few, again and again."""

from __future__ import annotations

from collections.abc import Sequence

# Lines that make one round of a circle; how often one line comes before it is one, and several, the last time in part.
LONGEST_ROUND, ROUNDS, ROUNDS_OF_SEVERAL = 3, 3, 2
# Lines above a suggestion that may be the first round.
LOOKED_AT = LONGEST_ROUND


def circle(lines: Sequence[str], above: Sequence[str], before: str) -> tuple[int, int] | None:
    """Of `lines` that go in circles, the first one that only repeats others and the one behind the last round; else
    None.

    `before` stands on the cursor's line, which the first of them continues, and `above` are the lines above that. These
    may hold the first round. Blanks at the end of a line make no difference.
    """
    whole = [line.rstrip() for line in (*above, before + lines[0], *lines[1:])] if lines else []
    for end in range(len(above) + 1, len(whole) + 1):
        for length in range(1, LONGEST_ROUND + 1):
            start = end - (ROUNDS if length == 1 else ROUNDS_OF_SEVERAL * length + 1)
            if start < max(0, len(above) - length) or not any(whole[start : start + length]):
                continue
            if whole[start : end - length] == whole[start + length : end]:
                return max(0, start + length - len(above)), end - len(above)
    return None
