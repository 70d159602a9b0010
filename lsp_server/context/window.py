"""The window: the part of a buffer around the cursor that fits a budget of tokens.

Both edges move in steps, never with each keystroke. A prompt whose first token moves shares nothing with the last one,
and the engine would compute all of it anew; so the start is a whole number of steps from the top of the buffer, and the
end a whole number from its bottom (typing moves the lines below the cursor, but not their distance to the end).
The cost depends on the window, not on the length of the buffer.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Protocol

# Lines by which an edge moves: a quarter of what 1,024 tokens hold in ordinary code.
STEP_LINES = 16
# Characters by which the start moves inside one very long line.
STEP_CHARACTERS = 512
# No tokenizer of a code model makes fewer tokens than one for this many characters of ordinary code.
CHARACTERS_PER_TOKEN = 6
# The share of the budget for what stands before the cursor; the rest is for the suffix, where it is used.
PREFIX_SHARE = 0.75


class TokenCounter(Protocol):
    def encode_raw(self, text: str) -> list[int]: ...


@dataclasses.dataclass(frozen=True)
class Window:
    """The text before and after the cursor, line endings as `\n`; `cut_*`: whether the buffer goes on beyond it."""

    prefix: str
    suffix: str
    cut_before: bool = False
    cut_after: bool = False


def fit(
    lines: Sequence[str], row: int, column: int, budget: int, counter: TokenCounter, *, with_suffix: bool
) -> Window:
    """The window around (`row`, `column`) of `budget` tokens, counted with `counter`.

    What one side leaves unused goes to the other. `lines` have their endings; see `context.buffer`.
    """
    if not with_suffix:
        prefix, cut, _ = _before(lines, row, column, budget, counter)
        return Window(prefix, "", cut, False)
    suffix_budget = budget - int(budget * PREFIX_SHARE)
    suffix, cut_after, suffix_tokens = _after(lines, row, column, suffix_budget, counter)
    # Reserved in steps as well: how many tokens the suffix takes must not move the start of the prefix.
    reserved = suffix_budget if suffix_tokens > suffix_budget // 2 else suffix_budget // 2
    prefix, cut_before, prefix_tokens = _before(lines, row, column, budget - reserved, counter)
    if cut_after and not cut_before and prefix_tokens < budget // 2:
        suffix, cut_after, _ = _after(lines, row, column, budget // 2, counter)
    return Window(prefix, suffix, cut_before, cut_after)


def normalized(text: str) -> str:
    """The text as models know it: every line ending is `\n`; a lone surrogate, which is no character, is U+FFFD."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _before(lines: Sequence[str], row: int, column: int, budget: int, counter: TokenCounter) -> tuple[str, bool, int]:
    """(text, whether lines were left out, tokens) before the cursor."""
    allowed = budget * CHARACTERS_PER_TOKEN
    if column > allowed:  # one line is longer than the budget: minified code, data
        start = -(-(column - allowed) // STEP_CHARACTERS) * STEP_CHARACTERS
        text = lines[row][start:column]
        tokens = len(counter.encode_raw(normalized(text)))
        while tokens > budget and start + STEP_CHARACTERS < column:
            start += STEP_CHARACTERS
            text = lines[row][start:column]
            tokens = len(counter.encode_raw(normalized(text)))
        return normalized(text), True, tokens
    first = row - row % STEP_LINES
    text = normalized("".join(lines[first:row]) + lines[row][:column])
    tokens = len(counter.encode_raw(text))
    while first < row and tokens > budget:  # the cursor's own step is too much: drop its lines from the top
        first += 1
        text = normalized("".join(lines[first:row]) + lines[row][:column])
        tokens = len(counter.encode_raw(text))
    blocks = [text]
    while first >= STEP_LINES and first % STEP_LINES == 0:
        block = normalized("".join(lines[first - STEP_LINES : first]))
        added = _tokens(counter, block) if len(block) <= allowed else budget + 1
        if tokens + added > budget:
            break
        blocks.append(block)
        tokens += added
        first -= STEP_LINES
    return "".join(reversed(blocks)), first > 0, tokens


def _after(lines: Sequence[str], row: int, column: int, budget: int, counter: TokenCounter) -> tuple[str, bool, int]:
    """(text, whether lines were left out, tokens) after the cursor."""
    allowed = budget * CHARACTERS_PER_TOKEN
    rest = lines[row][column : column + allowed]
    text, tokens = normalized(rest), len(counter.encode_raw(normalized(rest)))
    if len(lines[row]) - column > allowed or tokens > budget:
        return text[: max(1, len(text) * budget // max(tokens, 1))], True, min(tokens, budget)
    blocks = [text]
    last = row + 1  # lines before it are in
    while last < len(lines):
        end = last + ((len(lines) - last) % STEP_LINES or STEP_LINES)
        block = normalized("".join(lines[last:end]))
        added = _tokens(counter, block) if len(block) <= allowed else budget + 1
        if tokens + added > budget:
            if last == row + 1:  # not even the first step fits: take the lines that do
                for line in (normalized(line) for line in lines[last:end]):
                    added = len(counter.encode_raw(line)) if len(line) <= allowed else budget + 1
                    if tokens + added > budget:
                        break
                    blocks.append(line)
                    tokens += added
            return "".join(blocks), True, tokens
        blocks.append(block)
        tokens += added
        last = end
    return "".join(blocks), False, tokens


def _tokens(counter: TokenCounter, block: str) -> int:
    """Tokens of a whole step of lines, remembered: those away from the cursor do not change while one types."""
    return _remembered(counter.encode_raw, block)


@functools.lru_cache(maxsize=512)
def _remembered(encode: Callable[[str], list[int]], block: str) -> int:
    return len(encode(block))
