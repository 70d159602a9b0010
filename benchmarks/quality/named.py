"""Whether what other files add to a prompt says the name that is wanted next, which the file itself does not have.

    python -m benchmarks.quality.named [--quick] [--holes N]

At holes across files (README.md), without a model: what is gathered there, in as many tokens as a prompt takes of it.
That is the most that a model can make of it. Some names are those of a language's own library, which another file
happens to define as well; nothing tells these.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import median, p95
from benchmarks.quality.packages import sample
from benchmarks.results import keep, target
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.codellama.infilling import RELATED_TOKENS
from lsp_server.completion import placing
from lsp_server.context.languages import language
from lsp_server.context.related.sources import Seen
from lsp_server.engine.loading.naming import checkpoint_folder
from lsp_server.evaluation.across import KIND
from lsp_server.evaluation.asking import Place
from training.others import found_at, says_what_is_wanted, seen_of

# Of all kinds of holes; one in six is one across files.
HOLES, QUICK = 8_000, 400
LEAST = 0.4


def main(argv: list[str] | None = None) -> None:
    """Look, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"of {QUICK} holes")
    parser.add_argument("--holes", type=int, default=HOLES, help="of all kinds")
    options = parser.parse_args(argv)
    places = [each for each in sample(QUICK if options.quick else options.holes) if each.hole.kind == KIND]
    tokenizer = CodeLlamaTokenizer.from_pretrained(checkpoint_folder("starter", lambda progress: None))
    seen: dict[Path, Seen] = {}
    said: dict[str, list[bool]] = {"all": []}
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for place in places:
            if place.root not in seen:
                seen[place.root] = seen_of(place.root, Path(folder))
            text, ms = _added(place, seen[place.root], tokenizer)
            times.append(ms)
            found = says_what_is_wanted(text, place.hole)
            for group in ("all", place.hole.language):
                said.setdefault(group, []).append(found)
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
        ],
        named=rows,
        gathering_ms={"median": round(median(times), 1), "p95": round(p95(times), 1)},
    )  # fmt: skip


def _added(place: Place, seen: Seen, tokenizer: CodeLlamaTokenizer) -> tuple[str, float]:
    """(what stands in front of the code, the milliseconds that finding it takes)"""
    started = time.perf_counter()
    found = found_at(seen, place.uri, place.hole)
    ms = 1000 * (time.perf_counter() - started)
    return placing.fit(found.pieces, language(place.hole.language), RELATED_TOKENS, tokenizer).text, ms


if __name__ == "__main__":
    main()
