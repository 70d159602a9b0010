"""How good the next edit is: what is offered in each scenario, and how soon in files of 5,000 lines; and what of it the
starter model fills.

    python -m benchmarks.next_edit [--all] [--model M]

Prints the table and what went wrong, and writes results/next_edit.json. `tests/next_edit/test_scenarios.py` and
`test_filled_scenarios.py` hold all changes to it.
"""

from __future__ import annotations

import asyncio
import sys

from benchmarks.next_edit.figures import Figures, measured
from benchmarks.next_edit.filled import all_played
from benchmarks.next_edit.scenario import Outcome, played, scenarios
from benchmarks.results import keep, target
from lsp_server.settings import Settings

LINES, WINDOW_LINES = 5000, 200
# Code that has nothing to do with any scenario; `#` is a number.
FILLERS = {
    "python": "\n\ndef filler_#(alpha, beta):\n    gamma = alpha + beta\n    if gamma > #:\n        gamma -= 1\n"
    '    return {"gamma": gamma}\n',
    "go": "\nfunc filler#(alpha, beta int) int {\n\tgamma := alpha + beta\n\tif gamma > # {\n\t\tgamma--\n\t}\n"
    "\treturn gamma\n}\n",
    "rust": "\nfn filler_#(alpha: u32, beta: u32) -> u32 {\n    let gamma = alpha + beta;\n    if gamma > # {\n"
    "        return beta;\n    }\n    gamma\n}\n",
    "java": "\nclass Filler# {\n    int filler(int alpha, int beta) {\n        int gamma = alpha + beta;\n"
    "        if (gamma > #) {\n            return beta;\n        }\n        return gamma;\n    }\n}\n",
}
FILLERS["typescript"] = "\nfunction filler#(alpha: number, beta: number) {\n  const gamma = alpha + beta;\n" + (
    "  if (gamma > #) {\n    return beta;\n  }\n  return gamma;\n}\n"
)
FILLERS["cpp"] = "\nint filler#(int alpha, int beta) {\n    int gamma = alpha + beta;\n    if (gamma > #) {\n" + (
    "        return beta;\n    }\n    return gamma;\n}\n"
)


def main() -> None:
    """Measure, print, and write the results."""
    outcomes = [played(each) for each in scenarios()]
    for each in outcomes:
        if not each.right or "--all" in sys.argv:
            print(_told(each))
    found = measured(outcomes)
    long = sorted(played(each, padding(each.language)).wall for each in scenarios())
    at_95 = long[int(0.95 * (len(long) - 1))]
    model = sys.argv[sys.argv.index("--model") + 1] if "--model" in sys.argv else "starter"
    by_model, waited = asyncio.run(_filled(Settings(model=model)))
    for each in by_model:
        if not each.right or "--all" in sys.argv:
            print(_told(each))
    filled = measured(by_model)
    filled_95 = waited[int(0.95 * (len(waited) - 1))]
    targets = [
        target("offers that are exactly right", "at least 90%", 100 * found.precision, found.precision >= 0.9),
        target("quiet where nothing is right", "at least 97%", 100 * found.quiet, found.quiet >= 0.97),
        target("found of what can be derived", "at least 85%", 100 * found.recall, found.recall >= 0.85),
        target("key to offer, 95th percentile", "30 ms in 5,000 lines", at_95, at_95 <= 30),
        target("filled by the model: exactly right", "at least 60%", 100 * filled.precision, filled.precision >= 0.6),
        target("filled by the model: quiet", "at least 97%", 100 * filled.quiet, filled.quiet >= 0.97),
        target("filled: key to offer, 95th percentile", "500 ms in 200 lines", filled_95, filled_95 <= 500),
    ]
    keep("next_edit", targets, scenarios=len(outcomes), filled=len(by_model), languages=_by_language(outcomes))


def padding(language: str, lines: int = LINES) -> str:
    """So much code that a text has so many lines."""
    filler = FILLERS[language]
    return "".join(filler.replace("#", str(number)) for number in range(lines // filler.count("\n")))


async def _filled(settings: Settings) -> tuple[list[Outcome], list[float]]:
    """(what the model fills in the scenarios, and after how many ms in files that are longer than its window)"""
    outcomes = await all_played(settings)
    longer = await all_played(settings, lambda each: padding(each.language, WINDOW_LINES))
    return outcomes, sorted(each.wall for each in longer)


def _by_language(outcomes: list[Outcome]) -> dict[str, Figures]:
    languages = sorted({each.scenario.language for each in outcomes})
    return {name: measured([each for each in outcomes if each.scenario.language == name]) for name in languages}


def _told(outcome: Outcome) -> str:
    offer = outcome.offer
    what = (
        "nothing" if offer is None else f"{offer.uri.rpartition('/')[2]}:{offer.row + 1} {offer.old!r} -> {offer.new!r}"
    )
    return f"{'right' if outcome.right else 'WRONG'}  {outcome.scenario.language}: {outcome.scenario.title}: {what}"


if __name__ == "__main__":
    main()
