"""What is offered: a small edit at one place, for one version of a document."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

Kind = Literal["rename", "call", "repeat", "parallel", "filled", "rewritten"]
# Where, in the text of a hole, the part goes that only a model can write.
GAP = "\0"


@dataclasses.dataclass(frozen=True)
class Proposal:
    """In a document, from (row, column) up to (end_row, end_column), columns in characters, `old` becomes `new`.

    `why` is for the user: `total → amount`. `version` is that of the document it was made for; None for a file that is
    not open. `cause` is the same for all that follows from the same change."""

    uri: str
    version: int | None
    row: int
    column: int
    end_row: int
    end_column: int
    old: str
    new: str
    kind: Kind
    why: str

    @property
    def cause(self) -> tuple[str, str]:
        return self.kind, self.why


@dataclasses.dataclass(frozen=True)
class Hole:
    """A place that wants a change of which a part is known: `known` has a GAP in its new text, for at most `lines`
    lines. `is_item`: what goes there is one of several between commas. `shown`: the lines that were changed, for a
    model that does not see them from the place."""

    known: Proposal
    lines: int = 1
    is_item: bool = False
    shown: str = ""

    def filled(self, text: str) -> Proposal:
        return dataclasses.replace(self.known, new=self.known.new.replace(GAP, text))


def applied(lines: Sequence[str], proposal: Proposal) -> str | None:
    """Some lines with a proposal made; None where it does not fit."""
    if proposal.end_row >= len(lines):
        return None
    text = "\n".join(lines[proposal.row : proposal.end_row + 1])
    start = proposal.column
    end = len(text) - (len(lines[proposal.end_row]) - proposal.end_column)
    if text[start:end] != proposal.old:
        return None
    made = text[:start] + proposal.new + text[end:]
    return "\n".join([*lines[: proposal.row], made, *lines[proposal.end_row + 1 :]])
