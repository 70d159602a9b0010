"""Definitions as text: a class with those of its members that there is room for, the ones in use before others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lsp_server.context.languages import Language
from lsp_server.context.related.near import Near
from lsp_server.context.related.outlines import Definition

_INDENT = "    "
# Characters of the names of members for whose signatures there is no room, and the part of all that they take at most.
LISTED, LISTED_PART = 400, 3
# What a member that is the class's own affair begins with; it is shown only where it is used.
_PRIVATE = ("private ", "#", "_", "def _", "async def _", "static #", "protected ")


def rendered(
    spoken: Language,
    definition: Definition,
    members: Sequence[Definition],
    attached: Sequence[Definition],
    near: Near,
    most: int,
) -> str:
    """A definition in up to `most` characters, whole lines without the last line ending; "" where not even its header
    fits. `members`: of a class, those in its body; `attached`: those outside of it."""
    if definition.kind != "class":
        return definition.text if len(definition.text) <= most else ""
    known = {each.name for each in members}
    further = [each for each in attached if each.name not in known]
    room = most - len(definition.text) - len(definition.tail) - 2 * len(_INDENT) - 10
    if room < 0:
        return ""
    shown = [each for each in (*members, *further) if near.member(each.name) or not _is_private(each)]
    wanted = sorted(shown, key=lambda each: -near.member(each.name))
    costs = {id(each): len(each.text) + (len(_INDENT) + 1) * (1 + each.text.count("\n")) for each in wanted}
    spare = min(LISTED, room // LISTED_PART) if sum(costs.values()) > room else 0
    room -= spare
    chosen: set[int] = set()
    for each in wanted:
        if costs[id(each)] <= room:
            room -= costs[id(each)]
            chosen.add(id(each))
    inside = [each for each in members if id(each) in chosen]
    outside = [each for each in further if id(each) in chosen]
    cut = listed((each.name for each in wanted if id(each) not in chosen), spare - 2 * len(_INDENT))
    return "\n".join([*_whole(spoken, definition, inside, cut), *_outside(spoken, outside)])


def listed(names: Iterable[str], most: int) -> str:
    """Names, each once, as one line of up to so many characters; "" for none."""
    line = ""
    for name in dict.fromkeys(names):
        if len(line) + len(name) + 2 <= most:
            line += f", {name}" if line else name
    return line


def _whole(spoken: Language, definition: Definition, inside: Sequence[Definition], cut: str) -> list[str]:
    """The lines of a class; `cut`: the names of members that are not shown."""
    texts = dict.fromkeys(_member(each) for each in inside)  # what is declared together has the same
    lines = [_INDENT + line for text in texts for line in text.split("\n")]
    if cut:
        lines.append(f"{_INDENT}...  # {cut}" if spoken.id == "python" else f"{_INDENT}{spoken.line_comment} ... {cut}")
    if lines:
        return [definition.text, *lines, *([definition.tail] if definition.tail else [])]
    if not definition.tail:
        bare = spoken.id == "python" and '"""' not in definition.text
        return [definition.text + " ..." if bare else definition.text]
    return [definition.text + definition.tail]


def _member(each: Definition) -> str:
    """A class in a class is named alone."""
    return f"{each.text} ... {each.tail}".rstrip() if each.kind == "class" else each.text


def _outside(spoken: Language, attached: Sequence[Definition]) -> list[str]:
    if not attached or spoken.id != "rust":
        return [each.text for each in attached]
    owner = attached[0].container
    return [f"impl {owner} {{", *(_INDENT + each.text for each in attached), "}"]


def _is_private(each: Definition) -> bool:
    return each.text.startswith(_PRIVATE) and not each.name.startswith("__init__")
