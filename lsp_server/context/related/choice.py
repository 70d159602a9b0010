"""Which pieces are of use at a place: ranked over all sources, and none that says what another one says."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from lsp_server.context.related.piece import Piece

# The sources, the one of most use first, where their pieces are equally good within each.
ORDER = ("cells", "edits", "imports", "similar", "counterpart", "copied", "open")
# Pieces that are kept, and those of one source; more fit in no prompt.
MOST, MOST_OF_ONE = 24, 8
# The share of a piece's lines that are to be read elsewhere in the prompt, from which on it adds nothing.
KNOWN_SHARE = 0.8
# Lines before and after the cursor that count as what the model sees anyway.
SEEN_BEFORE, SEEN_AFTER = 100, 40


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """A piece that is not in the prompt, and why, as one short phrase for the user."""

    piece: Piece
    why: str


@dataclasses.dataclass(frozen=True)
class Choice:
    """The pieces for a place, the most useful first, and those that were found and not taken."""

    pieces: tuple[Piece, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def choose(found: Mapping[str, Sequence[Piece]], lines: Sequence[str], row: int) -> Choice:
    """The best of what each source found for `row` of a buffer: first the best of each, then the next of each, so that
    no source crowds out the others."""
    ranked = {source: sorted(pieces, key=lambda piece: -piece.score) for source, pieces in found.items()}
    order = sorted(ranked, key=lambda source: ORDER.index(source) if source in ORDER else len(ORDER))
    most = max(map(len, ranked.values()), default=0)
    seen = _telling("".join(lines[max(0, row - SEEN_BEFORE) : row + SEEN_AFTER]))
    taken: list[Piece] = []
    left_out: list[LeftOut] = []
    for rank in range(most):
        for source in order:
            if rank >= len(ranked[source]):
                continue
            piece = ranked[source][rank]
            said = _telling(piece.text)
            if not said:
                continue
            if rank >= MOST_OF_ONE or len(taken) >= MOST:
                left_out.append(LeftOut(piece, "there is enough of its kind"))
            elif (share := len(said & seen) / len(said)) >= KNOWN_SHARE:
                known = "around the cursor" if said <= _telling("".join(lines)) else "in other pieces"
                left_out.append(LeftOut(piece, f"{100 * share:.0f}% of its lines are {known} already"))
            else:
                taken.append(piece)
                seen |= said
    return Choice(tuple(taken), tuple(left_out))


def _telling(text: str) -> set[str]:
    """The lines of a text that say something: without indentation, and none of signs alone."""
    return {line for line in map(str.strip, _lines(text)) if any(char.isalnum() for char in line)}


def _lines(text: str) -> Iterable[str]:
    return text.replace("\r", "\n").split("\n")
