"""The window: the part of a buffer around the cursor that fits a budget of tokens.

Both edges move in steps, never with each keystroke. A prompt whose first token moves shares nothing with the last one,
and the engine would compute all of it anew; so the start is a whole number of steps from the top of the buffer, and the
end a whole number from its bottom (typing moves the lines below the cursor, but not their distance to the end). Steps
are as long as they can be with most of the budget used: small windows and long lines have short ones.
The cost depends on the window, not on the length of the buffer.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

# Lines by which an edge moves, the first that uses enough: 16 are a quarter of what 1,024 tokens hold in ordinary code.
STEPS_LINES = (16, 8, 4, 2, 1)
# Where one line is too long for that, the budget divided by these: characters by which an edge moves inside it.
STEPS_CHARACTERS = (4, 16, 64)
# The share of a budget that is enough.
ENOUGH = 0.7
# No tokenizer of a code model makes fewer tokens than one for this many characters of ordinary code.
CHARACTERS_PER_TOKEN = 6
# The share of the budget for what stands before the cursor; the rest is for the suffix, where it is used.
PREFIX_SHARE = 0.75
# Where all that is before the cursor fits, the suffix has the rest, in so many parts: typing must not move its end.
PARTS = 8
# The tokens of a window where none are set: what is computed in a second, within these bounds; and what other servers,
# of which that is not known, are sent.
AUTOMATIC, MOST_AUTOMATIC, AUTOMATIC_REMOTE = 1024, 4096, 2048


class TokenCounter(Protocol):
    def encode_raw(self, text: str) -> list[int]: ...


@dataclasses.dataclass(frozen=True)
class Window:
    """The text before and after the cursor, line endings as `\n`; `cut_*`: whether the buffer goes on beyond it."""

    prefix: str
    suffix: str
    cut_before: bool = False
    cut_after: bool = False


def automatic(tokens_per_second: float | None, *, remote: bool) -> int:
    """The tokens of a window where none are set, for a model that computes so many of a prompt in a second."""
    if remote:
        return AUTOMATIC_REMOTE
    return max(AUTOMATIC, min(MOST_AUTOMATIC, int(tokens_per_second or 0) // AUTOMATIC * AUTOMATIC))


def fit(
    lines: Sequence[str], row: int, column: int, budget: int, counter: TokenCounter, *, with_suffix: bool
) -> Window:
    """The window around (`row`, `column`) of `budget` tokens, counted with `counter`.

    What one side leaves unused goes to the other. `lines` have their endings; see `context.buffer`.
    """
    if not with_suffix:
        before = _before(lines, row, column, budget, counter)
        return Window("".join(reversed(before.blocks)), "", not before.whole, False)
    suffix_budget = budget - int(budget * PREFIX_SHARE)
    after = _after(lines, row, column, suffix_budget, counter)
    # Reserved in steps as well: how many tokens the suffix takes must not move the start of the prefix.
    reserved = suffix_budget if after.tokens > suffix_budget // 2 else suffix_budget // 2
    before = _before(lines, row, column, budget - reserved, counter)
    if before.whole and not after.whole:
        part = max(1, budget // PARTS)
        left = budget - (before.tokens // part + 1) * part
        if left > suffix_budget:
            after = _after(lines, row, column, left, counter)
    return Window("".join(reversed(before.blocks)), "".join(after.blocks), not before.whole, not after.whole)


def normalized(text: str) -> str:
    """The text as models know it: every line ending is `\n`; a lone surrogate, which is no character, is U+FFFD."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class _Side(NamedTuple):
    """What of one side of the cursor is in the window, the block next to the cursor first, and whether that is all."""

    blocks: list[str]
    tokens: int
    whole: bool


def _before(lines: Sequence[str], row: int, column: int, budget: int, counter: TokenCounter) -> _Side:
    """What is in the window before the cursor."""
    here = lines[row][max(0, column - budget * CHARACTERS_PER_TOKEN - 1) : column]

    def by_lines(step: int) -> Iterator[str]:
        first = row - row % step
        yield "".join(lines[first:row]) + here
        for each in range(first, 0, -step):
            yield "".join(lines[each - step : each])

    def by_characters(line: int, step: int) -> Iterator[str]:
        text, end = lines[line], column if line == row else len(lines[line].rstrip("\r\n"))
        for first in range((end - 1) // step * step, -1, -step):
            yield text[first : first + step] if first + step < end else text[first : end if line == row else None]

    side = _steady(by_lines, budget, counter)
    if not _is_enough(side, budget):
        # By single lines now, so that their number says which one is too long: minified code, data.
        return _with_part(side, functools.partial(by_characters, row - len(side.blocks)), budget, counter)
    return side


def _after(lines: Sequence[str], row: int, column: int, budget: int, counter: TokenCounter) -> _Side:
    """What is in the window after the cursor."""
    here = lines[row][column : column + budget * CHARACTERS_PER_TOKEN + 1]

    def by_lines(step: int) -> Iterator[str]:
        yield here
        first = row + 1
        while first < len(lines):
            end = first + ((len(lines) - first) % step or step)
            yield "".join(lines[first:end])
            first = end

    def by_characters(line: int, step: int) -> Iterator[str]:
        text, first = lines[line], column if line == row else 0
        while first < len(text):
            end = first + ((len(text) - first) % step or step)
            yield text[first:end]
            first = end

    side = _steady(by_lines, budget, counter)
    if not _is_enough(side, budget):
        return _with_part(side, functools.partial(by_characters, row + len(side.blocks)), budget, counter)
    return side


def _is_enough(side: _Side, budget: int) -> bool:
    return side.whole or side.tokens >= ENOUGH * budget


def _steady(by_lines: Callable[[int], Iterator[str]], budget: int, counter: TokenCounter) -> _Side:
    """One side in the longest steps that use enough, or else in single lines."""
    side = _Side([], 0, False)
    for step in STEPS_LINES:
        side = _grown(_Side([], 0, False), by_lines(step), budget, counter)
        if _is_enough(side, budget):
            break
    return side


def _with_part(side: _Side, by_characters: Callable[[int], Iterator[str]], budget: int, counter: TokenCounter) -> _Side:
    """One side with the part of its next line for which there is room."""
    grown = side
    for divisor in STEPS_CHARACTERS:
        grown = _grown(side, by_characters(max(2, budget // divisor)), budget, counter)  # `\r\n` is not divided
        if _is_enough(grown, budget):
            break
    return grown._replace(whole=False)


def _grown(side: _Side, blocks: Iterator[str], budget: int, counter: TokenCounter) -> _Side:
    """One side with as many of the blocks as there is room for."""
    taken, tokens = list(side.blocks), side.tokens
    for block in blocks:
        if len(block) > budget * CHARACTERS_PER_TOKEN:
            return _Side(taken, tokens, False)
        text = normalized(block)
        # The one at the cursor changes with each key; all others are remembered.
        added = _tokens(counter, text) if taken else len(counter.encode_raw(text))
        if tokens + added > budget:
            return _Side(taken, tokens, False)
        taken.append(text)
        tokens += added
    return _Side(taken, tokens, True)


def _tokens(counter: TokenCounter, block: str) -> int:
    """Tokens of a block of text, remembered: those away from the cursor do not change while one types."""
    return _remembered(counter.encode_raw, block)


@functools.lru_cache(maxsize=2048)
def _remembered(encode: Callable[[str], list[int]], block: str) -> int:
    return len(encode(block))
