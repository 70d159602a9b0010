"""A model's code in the place of the lines it replaces: their indentation, line endings and end of file.

Models answer at no indentation, at that of the lines they were given, or with the first line's lost; in spaces where
the file has tabs; and without the blanks at the ends of lines.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from lsp_server.context.trees import rows_in_strings

_CLOSER = re.compile(r"[)\]}]|(?:end|fi|done|esac)\b")
# The first line of what goes on as deep in the next code line: an attribute, or the start of a comment above.
_ABOVE = re.compile(r"@|#\[|\[\w[\w.]*(?:\(.*\))?\]$|///?|--|#(?!include|define|if|endif)")
_TAB = 8
# Form feeds part the pages of old sources, and a byte order mark begins a file: no model writes them again.
_INVISIBLE = "\f\v\ufeff"


def newline_of(lines: Sequence[str]) -> str:
    """The line ending that most of the lines have; `\n` where none has one."""
    counts = {ending: 0 for ending in ("\n", "\r\n", "\r")}
    for line in lines:
        if line.endswith("\r\n"):
            counts["\r\n"] += 1
        elif line.endswith(("\n", "\r")):
            counts[line[-1]] += 1
    return max(counts, key=lambda ending: counts[ending])


def unit_of(lines: Sequence[str]) -> str:
    """One step of indentation as these lines have it: a tab, or two or more spaces; "" where nothing is indented."""
    tabs = sum(line.startswith("\t") for line in lines)
    depths = [len(line) - len(line.lstrip(" ")) for line in lines if line.startswith("  ") and line.strip()]
    if tabs > len(depths):
        return "\t"
    steps: dict[int, int] = {}
    previous = 0
    for line in lines:
        if not line.strip() or line.lstrip().startswith("*"):
            continue
        depth = len(line) - len(line.lstrip(" "))
        if depth - previous in (2, 3, 4, 8):
            steps[depth - previous] = steps.get(depth - previous, 0) + 1
        previous = depth
    return " " * max(steps, key=lambda step: steps[step]) if steps else ""


def fit(
    code: str, original_lines: Sequence[str], *, indent: str, newline: str, unit: str = "", language_id: str = ""
) -> str:
    """`code` as it replaces `original_lines` (with their endings), at `indent`, every line ending as `newline`.

    Lines that are the original's but for blanks at their ends and the kind of line ending come back as they were. The
    last line has an ending exactly if the original's has. `unit` is the file's step of indentation; "" leaves the
    code's. Text inside strings of several lines is not moved.
    """
    lines = re.split(r"\r\n|\r|\n", code.strip("\r\n"))
    while lines and not lines[0].strip():
        lines = lines[1:]
    lines = [line if line.strip() else "" for line in lines]
    fixed = rows_in_strings("\n".join(lines), language_id)
    original = [line.rstrip("\r\n") for line in original_lines]
    if unit.strip("\t") == unit != "" and not any("\t" in _leading(line) for line in original):
        lines = [
            line if row in fixed else _leading(line).replace("\t", unit) + line.lstrip(" \t")
            for row, line in enumerate(lines)
        ]
    texts = {line.strip(): line for line in original}
    depths = [_depth(line) for line in lines]
    moving = [row for row, line in enumerate(lines) if line and row not in fixed]
    base = _base(lines, depths, moving, original, indent, unit)
    step = (
        _step(lines, depths, moving, base, unit) if unit and not _follows(lines, original, moving, base, indent) else 0
    )
    placed: list[str] = []
    for row, line in enumerate(lines):
        if row in fixed:
            placed.append(line if line in original else texts.get(line.strip(), line))
        elif not line:
            placed.append("")
        elif row == 0:
            placed.append(indent + line.lstrip())
        else:
            placed.append(_blanks(line, depths[row] - base, base, step, indent, unit) + line.lstrip())
    ended = [line + newline for line in placed]
    kept = _kept(ended, original_lines)
    if kept and original_lines and not original_lines[-1].endswith(("\n", "\r")):
        kept[-1] = kept[-1].rstrip("\r\n")
    return "".join(kept)


def _base(lines: list[str], depths: list[int], moving: list[int], original: list[str], indent: str, unit: str) -> int:
    """The depth that the code stands at: its first line's, unless that lost its own and the others kept theirs.

    That with which most lines stand where the same lines of the original do; else as the first lines tell.
    """
    if not moving:
        return 0
    first, rest = moving[0], moving[1:]
    if depths[first] or not rest or min(depths[row] for row in rest) == 0:
        return depths[first]
    width = _depth(indent + "x")
    there = {(_depth(line) - width, line.strip()) for line in original}
    found = {base: sum((depths[row] - base, lines[row].strip()) in there for row in rest) for base in (0, width)}
    if found[0] != found[width]:
        return max(found, key=lambda base: found[base])
    return _guessed_base(lines, depths, first, rest, width, unit)


def _guessed_base(lines: list[str], depths: list[int], first: int, rest: list[int], width: int, unit: str) -> int:
    """The depth of a first line without indentation, told by those below, all of which have some."""
    shallowest = min(depths[row] for row in rest)
    opener = re.sub(r"\s(?:#|//|--).*", "", lines[first]).strip()  # without the remark behind it
    if opener.endswith(("(", "[", "{")):  # what closes it stands as deep
        closers = [depths[row] for row in rest if _CLOSER.match(lines[row].lstrip())]
        if closers:
            return min(closers)
    if opener.startswith(("/*", '"""')):
        below = [row for row in rest if not lines[row].lstrip().startswith("*")]
        return min((depths[row] for row in below), default=0)
    if _ABOVE.match(lines[first].strip()):
        return depths[rest[0]]
    if opener.endswith(":"):
        step = len(unit) if unit.strip("\t") else _TAB if unit else 4
        return width if width and shallowest >= width + step and shallowest > step else 0
    if _CLOSER.match(lines[rest[-1]].lstrip()):
        return depths[rest[-1]]
    return shallowest if shallowest == width else 0  # a plain statement: the next stands as deep


def _step(lines: list[str], depths: list[int], moving: list[int], base: int, unit: str) -> int:
    """Columns of one step of the code's indentation, where it is to become `unit`; 0 where it may stay as it is."""
    if any("\t" in _leading(line) for line in lines):
        return 0
    found = unit_of([" " * (depths[row] - base) + lines[row].lstrip() for row in moving if depths[row] >= base])
    if not found or found == unit:
        return 0
    # Spaces among spaces are left alone where they also align things, which would be lost.
    aligned = any((depths[row] - base) % len(found) and not lines[row].lstrip().startswith("*") for row in moving)
    return 0 if aligned and unit != "\t" else len(found)


def _follows(lines: list[str], original: list[str], moving: list[int], base: int, indent: str) -> bool:
    """Whether lines of the code are indented as the same lines of the original, in the original's own blanks."""
    there = set(original)
    same = other = 0
    stripped = {line.strip() for line in original}
    for row in moving:
        text = lines[row].strip()
        blanks = _leading(lines[row])
        if _depth(lines[row]) <= base or len(text) < 2 or text not in stripped:
            continue
        if any(blank + text in there for blank in (indent + blanks, blanks, indent + blanks[base:])):
            same += 1
        else:
            other += 1
    return same > other


def _blanks(line: str, depth: int, base: int, step: int, indent: str, unit: str) -> str:
    """The blanks of `line` when it stands `depth` columns deeper than `indent`; in `unit`s where `step` is known."""
    if depth < 0:  # the first line was not the shallowest
        return indent[: max(0, len(indent) + (depth // _TAB if "\t" in indent else depth))]
    if step:
        return indent + unit * (depth // step) + " " * (depth % step)
    return indent + _without(base, line)


def _without(columns: int, line: str) -> str:
    """The blanks that `line` begins with, but for the first `columns` columns of them."""
    blanks = _leading(line)
    taken = 0
    while blanks and taken < columns:
        taken += _TAB if blanks[0] == "\t" else 1
        blanks = blanks[1:]
    return blanks


def _kept(new: list[str], original: Sequence[str]) -> list[str]:
    """The new lines; those that differ from the original's only in what cannot be seen (blanks at the end, the ending,
    marks at the start) are as they were. A mark of a line that became another one stays in its place."""
    result = list(new)
    bare_new, bare_original = [_bare(line) for line in new], [_bare(line) for line in original]
    matcher = difflib.SequenceMatcher(None, bare_original, bare_new, autojunk=False)
    for tag, first, last, new_first, new_last in matcher.get_opcodes():
        for line, row in zip(original[first:last], range(new_first, new_last), strict=False):
            if tag == "equal" and line.endswith(("\n", "\r")):
                result[row] = line
            elif marks := _marks(line):
                result[row] = marks + result[row].lstrip(_INVISIBLE)
    return result


def _bare(line: str) -> str:
    lead = line[: len(line) - len(line.lstrip(" \t" + _INVISIBLE))]
    return "".join(char for char in lead if char in " \t") + line[len(lead) :].rstrip()


def _marks(line: str) -> str:
    """What cannot be seen at the start of a line, but is no blank."""
    return line[: len(line) - len(line.lstrip(_INVISIBLE))]


def _depth(line: str) -> int:
    return len(_leading(line).expandtabs(_TAB))


def _leading(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]
