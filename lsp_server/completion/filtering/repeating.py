"""What a suggestion says again: itself, what stands above it, what stands below it and to its right."""

from __future__ import annotations

import re

from lsp_server.completion.brackets import unmatched
from lsp_server.completion.repeats import circle
from lsp_server.completion.stopping import Place
from lsp_server.context.buffer import depth_of

# How often the same two to forty characters come in a row at the end of what a model writes that is stuck, of how many
# characters these are at least, and how far back it is looked.
ROUNDS, LEAST, LONGEST, LOOKED_AT = 6, 30, 40, 2000
# Of the cursor's line what is more than a word that may come twice.
LEAST_BEGUN = 8
_STATEMENT = re.compile(
    r"(?:return|raise|throw|break|continue|goto)\b|(?:from|import|use|using|package|#include|require)\b"
    r"|(?:pub |export |async |static |public |private )*(?:def|class|fn|func|function|struct|enum|interface|trait) \w"
)


def once(text: str, here: Place) -> str:
    """Without the lines that only repeat those before them, and what follows these."""
    lines = text.split("\n")
    found = circle(lines, here.lines_above, here.line_before)
    return text if found is None else "\n".join(lines[: found[0]])


def without_loop(text: str, here: Place) -> str:
    """Without the last line where it ends in the same signs again and again: not in a rule, nor in numbers."""
    end = text.rstrip()[-LOOKED_AT:]
    backwards = end[::-1]
    for length in range(2, min(LONGEST, len(end) // ROUNDS) + 1):
        unit = end[-length:]
        if not any(map(str.isalpha, unit)) or unit == unit[0] * length:
            continue
        alike = next(
            (index for index in range(len(end) - length) if backwards[index] != backwards[index + length]),
            len(end) - length,
        )
        if alike + length >= max(LEAST, ROUNDS * length):
            start = len(text.rstrip()) - alike - length
            return text[: text.rfind("\n", 0, start + 1) + 1].rstrip("\n")
    return text


def without_line_begun(text: str, here: Place) -> str:
    """Without the beginning of the cursor's line, which a model may write anew."""
    begun = here.line_before.strip()
    if len(begun) < LEAST_BEGUN or not re.search(r"\w\W", begun):
        return text
    bare = text.lstrip()
    if not bare.startswith(begun):
        return text
    rest = bare[len(begun) :]
    return rest.lstrip(" ") if here.line_before.endswith((" ", "\t")) else rest


def without_lines_above(text: str, here: Place) -> str:
    """Without all of it where it is the lines that stand directly above, two or more or one that is never wanted twice.

    Lines of data and calls may well come twice.
    """
    lines = [line.rstrip() for line in _joined(here, text.rstrip().split("\n"))]
    above = [line.rstrip() for line in here.prefix.rsplit("\n", len(lines) + 1)[-len(lines) - 1 : -1]]
    if lines != above[-len(lines) :]:
        return text
    words = [line for line in lines if re.search(r"\w{3}", line)]
    if len(words) >= 2 or (len(lines) == 1 and _STATEMENT.match(lines[0].strip())):
        return ""
    return text


def without_lines_below(text: str, here: Place) -> str:
    """Without its last lines where they are the lines that follow in the buffer, as they are there or nearly so, and
    from a line on that is the next one there."""
    below = here.lines_below
    if not below:
        return text
    lines = text.split("\n")
    whole = _joined(here, lines)
    if len(lines) == 1:
        whole = [whole[0] + here.line_after]
    wanted = [_plain(line) for line in below]
    plain = [_plain(line) for line in whole]
    for count in range(min(len(lines), len(below)), 0, -1):
        if all(map(_is_said_below, plain[-count:], wanted[:count])) and _can_go(text, lines, count, here):
            return "\n".join(lines[:-count])
    next_line = below[0].rstrip()
    for index in range(1, len(lines)):
        if lines[index].rstrip() == next_line and len(re.findall(r"\w", next_line)) > 2:
            return "\n".join(lines[:index])
    return text


def _joined(here: Place, lines: list[str]) -> list[str]:
    """The lines as they would stand in the buffer: the first one continues the cursor's line."""
    return [here.line_before + lines[0], *lines[1:]]


def _plain(line: str) -> tuple[int, str]:
    """A line by its depth and by what is said in it, whatever quotes, blanks and signs at its end there are."""
    bare = re.sub(r"\s+", "", line).translate({ord("'"): '"', ord("`"): '"'})
    return depth_of(line), bare.rstrip(",;") or bare


def _is_said_below(line: tuple[int, str], below: tuple[int, str]) -> bool:
    """Whether a plain line is one of those below, there perhaps deeper: as deep as a block that is not begun yet. A
    line that is less deep there may well come twice, as the end of a block and what follows it."""
    return line[1] == below[1] and line[0] <= below[0]


def _can_go(text: str, lines: list[str], count: int, here: Place) -> bool:
    """Whether nothing but brackets that the suggestion itself needs is in its last lines."""
    if any(re.search(r"\w", line) for line in lines[-count:]):
        return True
    _, openers = unmatched(here.read("\n".join(lines[:-count])))
    return bool(unmatched(here.read(text))[1]) or not openers
