"""What a keystroke costs as things grow: the file, the window, the number of editors on one engine.

    python -m benchmarks.scale [--quick]

Over the protocol, with the starter model and nothing computed ahead. Also how soon a change is taken in while the
model works, what a cancelled request still costs, and what is prefilled for a key, whatever follows the cursor.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

import editor as editors

from benchmarks import systems, texts
from benchmarks.figures import median, p95
from benchmarks.results import keep, target
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import prompt as prompts
from lsp_server.context.buffer import Buffer
from lsp_server.engine.loading.naming import checkpoint_folder
from lsp_server.settings import Settings

LENGTHS = (10, 100, 1000, 10_000, 100_000)
WINDOWS = (256, 512, 1024, 2048, 4096)
EDITORS = (1, 4, 8, 16, 32)
# Nothing that the model would suggest: every key is asked about.
TYPED = "zq = wv(kx, 7) + qj"


async def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer lengths, windows and editors")
    quick = parser.parse_args(argv).quick
    tokenizer = CodeLlamaTokenizer.from_pretrained(checkpoint_folder("starter", lambda progress: None))
    figures: dict[str, dict[int, float]] = {}
    step = 2 if quick else 1
    prompt_p95 = {lines: prompt_milliseconds(tokenizer, lines) for lines in LENGTHS}
    figures["building a prompt, by lines of the file, ms, 95th percentile"] = prompt_p95
    with systems.runtime():
        async with systems.engine() as engine:
            figures["a key, by lines of the file, ms"] = {
                lines: median(await _keys(1, lines, {})) for lines in LENGTHS[::step]
            }
            figures["a key, by tokens of the window, ms"] = {
                tokens: median(await _keys(1, 2000, {"windowTokens": tokens})) for tokens in WINDOWS[::step]
            }
            figures["a key, by editors that type at once, ms"] = {
                number: median(await _keys(number, 200, {})) for number in EDITORS[::step]
            }
            taken_in = await _changes_during_generation(engine, tokenizer)
            further = await _after_cancel(engine, tokenizer)
            prefilled = {suffix: await _prefilled(engine, suffix) for suffix in (0, 100, 1000)}
    figures["tokens prefilled for a key, by lines after the cursor"] = {n: median(p) for n, p in prefilled.items()}
    worst = max(median(values) for values in prefilled.values())
    rows = [
        target(
            "prompt in a 10,000-line file, ms, 95th percentile",
            "under 10, flat in the file's length",
            prompt_p95[10_000],
            prompt_p95[10_000] < 10 and prompt_p95[100_000] < 2 * max(prompt_p95[1000], 1.0),
            ", ".join(f"{lines:,} lines: {value:.1f}" for lines, value in prompt_p95.items()),
        ),
        target(
            "a change taken in while the model works, ms, 95th percentile",
            "under 5",
            p95(taken_in),
            p95(taken_in) < 5,
            f"median {median(taken_in):.1f}, {len(taken_in)} times; with the answer to a request behind it",
        ),
        target(
            "forward passes after a cancel, 95th percentile",
            "at most 1",
            p95(further),
            p95(further) <= 1,
            f"{', '.join(map(str, further))}; those count that are made while the cancel is on its way",
        ),
        target(
            "tokens prefilled for a key at the end of a buffer, infilling, median",
            "under 8, whatever the suffix",
            worst,
            worst < 8,
            ", ".join(f"{lines} lines after: {median(values):g}" for lines, values in prefilled.items()),
        ),
    ]
    keep("scale", rows, figures=figures)


def prompt_milliseconds(tokenizer: CodeLlamaTokenizer, lines: int) -> float:
    """The 95th percentile of building a prompt, at each key of a line typed at 20 places all over a file."""
    buffer = Buffer("file:///a.py", _file(lines))
    times = []
    for row in range(0, lines, max(1, lines // 20)):
        rest = buffer.lines[row]
        for column in range(len(TYPED)):
            buffer.lines[row] = TYPED[: column + 1] + "\n"
            started = time.perf_counter()
            prompts.build(buffer, row, column + 1, Settings(), tokenizer, 8192, healing=True)
            times.append(1000 * (time.perf_counter() - started))
        buffer.lines[row] = rest
    return p95(times)


def _file(lines: int) -> str:
    """A file of so many lines of real code."""
    source = texts.standard_library(*texts.LONG_MODULES).splitlines(keepends=True)
    return "".join((source * (lines // len(source) + 1))[:lines])


@contextlib.asynccontextmanager
async def _windows(number: int, options: dict[str, Any]) -> Any:
    """So many editor windows, ready."""
    settings = {"debounceMs": 0, "idleMinutes": 0, "prefetch": False, **options}
    async with contextlib.AsyncExitStack() as stack:
        windows = [await stack.enter_async_context(editors.editor(settings, encoding="utf-32")) for _ in range(number)]
        for window in windows:
            window.open("untitled:first.py", "")
            await window.ready()
        yield windows


async def _keys(number: int, lines: int, options: dict[str, Any]) -> list[float]:
    """Milliseconds from key to suggestion of `number` editors that type at once, in the middle of files of `lines`."""

    async def typed(window: editors.Editor, index: int) -> list[float]:
        row, times = lines // 2, []
        text = _file(lines + 40 * index).splitlines(keepends=True)[40 * index :]  # no two editors in the same text
        text.insert(row, "\n")
        uri = window.open(f"untitled:{lines}.py", "".join(text))
        await window.suggest(uri, row, 0)
        for column, char in enumerate(TYPED):
            started = time.perf_counter()
            window.insert(uri, row, column, char)
            await window.suggest(uri, row, column + 1, typed=True)
            times.append(1000 * (time.perf_counter() - started))
        return times

    async with _windows(number, options) as windows:
        all_times = await asyncio.gather(*(typed(window, index) for index, window in enumerate(windows)))
    print(f"scale: {number} editors, {lines} lines, {options}", flush=True)
    return [value for times in all_times for value in times]


async def _changes_during_generation(engine: systems.Engine, tokenizer: CodeLlamaTokenizer) -> list[float]:
    """Milliseconds until a change is taken in while the model writes a long answer: from sending it to the answer to a
    request that comes after it and needs no model."""

    async def write() -> None:
        async for _ in engine.stream(texts.Ids(tokenizer).take(100), 4000, whole=True):
            pass

    times: list[float] = []
    async with _windows(1, {}) as (window,):
        uri = window.open("untitled:busy.py", _file(1000))
        writing = asyncio.ensure_future(write())
        while not writing.done() and len(times) < 200:
            await asyncio.sleep(0.03)
            started = time.perf_counter()
            window.insert(uri, 500, 0, "y")
            await window.suggest("untitled:not-open.py", 0, 0)
            times.append(1000 * (time.perf_counter() - started))
        writing.cancel()
    return times


async def _after_cancel(engine: systems.Engine, tokenizer: CodeLlamaTokenizer) -> list[int]:
    """Tokens that the engine generated and the client no longer read, for answers closed after a few: as many forward
    passes, for answers in which a pass made several are left out."""
    ids = texts.Ids(tokenizer)
    further: list[int] = []
    while len(further) < 20:
        before, read = await engine.totals(), 0
        async with contextlib.aclosing(engine.stream(ids.take(100), 200, whole=True)) as pieces:
            async for piece in pieces:
                read += piece.tokens
                if read >= 5 + len(further) % 10:
                    break
        while (after := await engine.totals())["generated_tokens"] == before["generated_tokens"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        made, guessed = (after[name] - before[name] for name in ("generated_tokens", "right_guesses"))
        if not guessed:
            further.append(made - read)
    return further


async def _prefilled(engine: systems.Engine, lines_after: int) -> list[int]:
    """Tokens prefilled for each key typed, with so many lines after the cursor, which the model sees as well."""
    async with _windows(1, {}) as (window,):
        text = _file(200 + lines_after).splitlines(keepends=True)
        text.insert(200, "\n")
        uri = window.open("untitled:infill.py", "".join(text))
        await window.suggest(uri, 200, 0)
        prefilled = []
        for column, char in enumerate(TYPED):
            before = (await engine.totals())["prefilled_tokens"]
            window.insert(uri, 200, column, char)
            await window.suggest(uri, 200, column + 1, typed=True)
            await asyncio.sleep(0.2)  # until what was cancelled is counted
            prefilled.append((await engine.totals())["prefilled_tokens"] - before)
        return prefilled


if __name__ == "__main__":
    asyncio.run(main())
