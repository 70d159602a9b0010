"""What other work of the user's a suggestion may go by, in pieces."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Piece:
    """A piece of other work of the user's that a suggestion may go by. `source`: what found it. `path`: what the user
    calls the file. `text`: whole lines, line endings as `\n`. `line`: its first line there (0-based), None where it is
    no contiguous piece. `score`: the higher, the more useful, within one source. `why`: one short phrase for the user.
    """

    source: str  # "imports", "edits", "similar", "counterpart", "open", "copied", "cells"
    path: str
    text: str
    line: int | None = None
    score: float = 0.0
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Added:
    """What other work of the user's adds at a place: `pieces` for the prompt, the most useful first, and `names`, how
    the name that is written there may go on, as far as that is known: by so many nats is each more probable than a
    model finds that sees but the prompt."""

    pieces: tuple[Piece, ...] = ()
    names: Mapping[str, float] = dataclasses.field(default_factory=dict)


NOTHING_ADDED = Added()
