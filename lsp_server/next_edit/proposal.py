"""What is offered: a small edit at one place, for one version of a document."""

from __future__ import annotations

import dataclasses
from typing import Literal

Kind = Literal["rename", "call", "repeat", "parallel"]


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
