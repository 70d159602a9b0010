"""Whether what other files add to a prompt says the name that is wanted next, which the file itself does not have.

    python -m benchmarks.quality.named [--quick] [--holes N]

At holes across files (README.md), without a model: what is gathered there, in as many tokens as a prompt takes of it.
That is the most that a model can make of it. Some names are those of a language's own library, which another file
happens to define as well; nothing tells these.

And whether it is known which names there are, so that these are preferred, and the one that is wanted is among them:
there, wherever else a hole is in a name behind a dot, and at members of anything, of which all that follows in
the line is gone. A name that is wanted and not among those is as good as ruled out.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import median, p95
from benchmarks.quality.packages import SEED, sample
from benchmarks.results import keep, target
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.codellama.infilling import RELATED_TOKENS
from lsp_server.completion import placing
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.related.possible import KNOWN, possible
from lsp_server.context.related.sources import Seen
from lsp_server.engine.loading.naming import checkpoint_folder
from lsp_server.evaluation.across import KIND
from lsp_server.evaluation.asking import Place
from lsp_server.evaluation.holes import Hole
from training.others import found_at, says_what_is_wanted, seen_of

# Of all kinds of holes; one in six is one across files.
HOLES, QUICK = 8_000, 400
LEAST, LEAST_RIGHT = 0.4, 0.95
BEHIND_DOT = re.compile(r"(?:\.|->|::)\w*\Z")
# Members, and of one file; lines that have a comment or a string before them are left out.
MEMBERS, OF_A_FILE = 1_500, 4
MEMBER = re.compile(r"\b[A-Za-z_]\w*(?:\.|->|::)(?=#?[A-Za-z_])")
NO_CODE = re.compile(r"//|#|/\*|^\s*\*|[\"'`]")


@dataclasses.dataclass
class Preferred:
    """Places at which it was asked which names there are: at how many that is `known`, and at how many of these the one
    that is wanted is `right` among them, and the milliseconds of each."""

    places: int = 0
    known: int = 0
    right: int = 0
    times: list[float] = dataclasses.field(default_factory=list)

    def ask(self, place: Place, seen: Seen) -> None:
        """Ask at a place, as at the second key there."""
        hole = place.hole
        row, column = hole.prefix.count("\n"), len(hole.prefix) - hole.prefix.rfind("\n") - 1
        index = seen.index
        assert index is not None
        for more in ("", " "):
            buffer = Buffer(place.uri, hole.prefix + hole.suffix + more, language_id=hole.language)
            index.opened = [buffer.snapshot()]
            started = time.perf_counter()
            names = possible(index, seen.workspace, buffer, row, column)
        self.times.append(1000 * (time.perf_counter() - started))
        known = {name for name, nats in names.items() if nats >= KNOWN}
        self.places += 1
        self.known += bool(known)
        self.right += re.match(r"#?\w*", hole.middle)[0] in known  # type: ignore[index]

    def row(self, where: str) -> dict[str, Any]:
        return {
            "place": where,
            "places": self.places,
            "known": round(self.known / max(1, self.places), 4),
            "right": round(self.right / max(1, self.known), 4),
            "ms_median": round(median(self.times), 1) if self.times else 0.0,
            "ms_p95": round(p95(self.times), 1) if self.times else 0.0,
        }


def main(argv: list[str] | None = None) -> None:
    """Look, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"of {QUICK} holes")
    parser.add_argument("--holes", type=int, default=HOLES, help="of all kinds")
    options = parser.parse_args(argv)
    all_places = sample(QUICK if options.quick else options.holes)
    places = [each for each in all_places if each.hole.kind == KIND]
    others = [each for each in all_places if each.hole.kind != KIND and _is_behind_dot(each)]
    members = _members(all_places, QUICK // 2 if options.quick else MEMBERS)
    tokenizer = CodeLlamaTokenizer.from_pretrained(checkpoint_folder("starter", lambda progress: None))
    seen: dict[Path, Seen] = {}
    said: dict[str, list[bool]] = {"all": []}
    times: list[float] = []
    across, elsewhere, anything = Preferred(), Preferred(), Preferred()
    with tempfile.TemporaryDirectory() as folder:
        for place in places:
            if place.root not in seen:
                seen[place.root] = seen_of(place.root, Path(folder))
            text, ms = _added(place, seen[place.root], tokenizer)
            times.append(ms)
            found = says_what_is_wanted(text, place.hole)
            for group in ("all", place.hole.language):
                said.setdefault(group, []).append(found)
        for asked, some in ((across, places), (elsewhere, others), (anything, members)):
            for place in some:
                if place.root not in seen:
                    seen[place.root] = seen_of(place.root, Path(folder))
                asked.ask(place, seen[place.root])
    share = sum(said["all"]) / len(places)
    rows: list[dict[str, Any]] = [
        {"language": group, "holes": len(each), "named": round(sum(each) / len(each), 4)}
        for group, each in sorted(said.items())
    ]
    keep(
        "named",
        [
            target(f"places where {RELATED_TOKENS} tokens of other files say the name that is wanted",
                   f"at least {LEAST}", share, share >= LEAST, f"{len(places)} places"),
            *(
                _right(asked, where)
                for asked, where in ((across, KIND), (elsewhere, "other kinds"), (anything, "any member"))
                if asked.known
            ),
        ],
        named=rows,
        preferred=[across.row(KIND), elsewhere.row("behind a dot elsewhere"), anything.row("any member")],
        gathering_ms={"median": round(median(times), 1), "p95": round(p95(times), 1)},
    )  # fmt: skip


def _right(asked: Preferred, where: str) -> dict[str, Any]:
    """Whether what is preferred holds what is wanted."""
    share = asked.right / asked.known
    return target(f"of the places of {where} where it is known which names there are, those that have the one wanted",
                  f"at least {LEAST_RIGHT}", share, share >= LEAST_RIGHT, f"{asked.known} places")  # fmt: skip


def _is_behind_dot(place: Place) -> bool:
    prefix, middle = place.hole.prefix, place.hole.middle
    return BEHIND_DOT.search(prefix[-60:]) is not None and re.match(r"\w", middle) is not None


def _members(places: Sequence[Place], count: int) -> list[Place]:
    """So many places right behind a dot, in the files of others, the same each time."""
    rng = random.Random(SEED)
    files = sorted({(each.root, each.hole.name, each.hole.language) for each in places})
    rng.shuffle(files)
    found: list[Place] = []
    for root, name, spoken in files:
        text = (root / name).read_text(errors="replace")
        ends = [match.end() for match in MEMBER.finditer(text)]
        ends = [at for at in ends if not NO_CODE.search(text[text.rfind("\n", 0, at) + 1 : at])]
        for at in rng.sample(ends, min(OF_A_FILE, len(ends))):
            line = text.find("\n", at) if "\n" in text[at:] else len(text)
            found.append(Place(root, Hole("member", "", spoken, name, text[:at], text[at:line], text[line:])))
    return found[:count]


def _added(place: Place, seen: Seen, tokenizer: CodeLlamaTokenizer) -> tuple[str, float]:
    """(what stands in front of the code, the milliseconds that finding it takes)"""
    started = time.perf_counter()
    found = found_at(seen, place.uri, place.hole)
    ms = 1000 * (time.perf_counter() - started)
    return placing.fit(found.pieces, language(place.hole.language), RELATED_TOKENS, tokenizer).text, ms


if __name__ == "__main__":
    main()
