"""From keystroke to ghost text: a trace of keys played into the real language server, and to llama.cpp and
`transformers serve` on the same weights.

    python -m benchmarks.typing [--quick] [--without llama.cpp]

Every system sees the same texts and is asked after each key for the same prompt, at most as many tokens, and ended by
the same rules; none waits before it asks (`debounceMs` is 0). The project is measured as an editor meets it, over the
protocol: from sending the change to the answer. For the others only the answer is timed: the prompt is built and cut
by the project's own code, and building it costs them nothing.

`llama.cpp, as llama.vim asks` also has what llama.vim has: suggestions are remembered and served again while one types
along, and the one after the suggestion shown is asked for ahead.

Before the first key and before a jump the cursor rests where the key will be, as each system's editor tells it.

Played twice: once patiently, the next key never before the answer, which measures every system at every key; and
once at the keys' own time, where a key ends the request before it, which counts what is never shown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

import editor as editors

from benchmarks import keystrokes, systems, texts
from benchmarks.figures import median, p95
from benchmarks.keystrokes import Key, Trace
from benchmarks.results import keep, target
from benchmarks.typists import LanguageServer, LlamaVim, Server, Typist
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading.naming import checkpoint_folder

SEED = 5
KEYS = 26  # at least so many in each file
LOOK_BACK = 256  # characters typed along a suggestion, at most, for it to count as known


@dataclasses.dataclass
class Event:
    """One key: what it did, and how long until the suggestion, or None where a later key came first.

    `known`: the suggestion was to be seen before, as the rest of one shown at this place. `asked`: whether the model
    was asked.
    """

    kind: str
    milliseconds: float | None
    suggestion: str = ""
    known: bool = False
    asked: bool = True


async def play(typist: Typist, trace: Trace, *, patient: bool) -> list[Event]:
    """Type a trace. `patient`: no key before the last one's answer."""
    await typist.open(trace)
    text, events = trace.text, []
    shown: dict[tuple[str, str], str] = {}
    running: asyncio.Task[None] | None = None
    await typist.rest(text, trace.keys[0].at)
    await asyncio.sleep(1)
    due = time.perf_counter()
    for key in trace.keys:
        if key.kind == "jump":
            await typist.rest(text, key.at)
        due = max(due + key.pause, time.perf_counter() + (key.pause if patient else 0))
        await asyncio.sleep(due - time.perf_counter())
        if running is not None and not running.done():
            running.cancel()
            await asyncio.wait([running])
        text = key.apply(text)
        event = Event(key.kind, None)
        events.append(event)
        running = asyncio.ensure_future(_press(typist, key, text, event, shown))
        if patient:
            await running
    if running is not None:
        await running
    return events


async def _press(typist: Typist, key: Key, text: str, event: Event, shown: dict[tuple[str, str], str]) -> None:
    before, after = text[: key.cursor], text[key.cursor :]
    event.known = any(
        earlier.startswith(before[cut:]) and len(earlier) > len(before) - cut
        for cut in range(max(0, len(before) - LOOK_BACK), len(before) + 1)
        if (earlier := shown.get((before[:cut], after)))
    )
    started = time.perf_counter()
    event.suggestion = await typist.press(key, text)
    seconds = time.perf_counter() - started
    event.milliseconds = 1000 * (typist.seconds if isinstance(typist, Server) else seconds)
    event.asked = typist.asked
    shown[before, after] = event.suggestion


def _figures(played: dict[str, list[Event]], timed: dict[str, list[Event]], counts: dict[str, Any]) -> list[Any]:
    """One row for each system: patiently played, and at the keys' own time."""
    rows = []
    for name, events in played.items():
        times = [event.milliseconds for event in events if event.milliseconds is not None]
        in_time = [event.milliseconds for event in timed[name] if event.milliseconds is not None]
        rows.append(
            {
                "system": name,
                "keys": len(events),
                "median_ms": round(median(times), 2),
                "p95_ms": round(p95(times), 2),
                "without_the_model": sum(not event.asked for event in events),
                "with_suggestion": sum(bool(event.suggestion) for event in events),
                "in_time": len(in_time),
                "in_time_median_ms": round(median(in_time), 2) if in_time else None,
                "in_time_p95_ms": round(p95(in_time), 2) if in_time else None,
                "superseded": len(timed[name]) - len(in_time),
                **counts[name],
            }
        )
    return rows


def _targets(played: dict[str, list[Event]]) -> list[dict[str, Any]]:
    times = {name: [event.milliseconds or 0.0 for event in events] for name, events in played.items()}
    ours = times[systems.Engine.name]
    rows = []
    for name, most, tail in (
        (systems.TransformersServe.name, 10.0, 5.0),
        (systems.LlamaCpp.name, 2.0, 1.2),
        (LlamaVim.NAME, 2.0, 1.2),
    ):
        if name not in times:
            continue
        for what, of, least in (("median", median, most), ("95th percentile", p95, tail)):
            ratio = of(times[name]) / of(ours)
            note = f"{of(ours):.0f} ms against {of(times[name]):.0f} ms over {len(ours)} keys"
            wanted = f"at least {least:g}"
            full = f"keystroke to suggestion, {what}: times faster than {name}"
            rows.append(target(full, wanted, ratio, ratio >= least, note))
    known = [event for event in played[systems.Engine.name] if event.known]
    if known:
        worst = p95([event.milliseconds or 0.0 for event in known])
        asked = sum(bool(event.asked) for event in known)
        note = f"{len(known)} of {len(ours)} keys; the model was asked at {asked} of them"
        what = "suggestion that is already known, ms, 95th percentile, and no forward pass"
        rows.append(target(what, "under 20", worst, worst < 20 and not asked, note))
    return rows


async def main(argv: list[str] | None = None) -> None:
    """Play, print, and write the results."""
    options = _parse(argv)
    folder = checkpoint_folder("starter", lambda progress: None)
    tokenizer = CodeLlamaTokenizer.from_pretrained(folder)
    files = texts.sources()[:: 3 if options.quick else 1]
    traces = [keystrokes.trace(file.name, file.language, file.text, KEYS, seed=SEED) for file in files]
    played: dict[str, list[Event]] = {}
    timed: dict[str, list[Event]] = {}
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(systems.runtime())
        typists = [typist async for typist in _typists(stack, folder, tokenizer, options.without)]
        for number, trace in enumerate(traces):
            for typist in typists[number % len(typists) :] + typists[: number % len(typists)]:
                before = await typist.counts()
                played.setdefault(typist.name, []).extend(await play(typist, trace, patient=True))
                after = await typist.counts()
                counts[typist.name].update({name: after[name] - before.get(name, 0) for name in after})
                timed.setdefault(typist.name, []).extend(await play(typist, trace, patient=False))
            print(f"typing: file {number + 1} of {len(traces)}, {len(trace.keys)} keys", flush=True)
    events = {name: [dataclasses.asdict(event) for event in events] for name, events in played.items()}
    for rows in events.values():
        for row in rows:
            row["suggestion"] = len(row["suggestion"])
    trace_note = {trace.name: len(trace.keys) for trace in traces}
    keep("typing", _targets(played), figures=_figures(played, timed, counts), trace=trace_note, events=events)


async def _typists(
    stack: contextlib.AsyncExitStack, folder: Path, tokenizer: CodeLlamaTokenizer, without: list[str]
) -> AsyncIterator[Typist]:
    engine = await stack.enter_async_context(systems.engine())
    options = {"debounceMs": 0, "idleMinutes": 0}
    window = await stack.enter_async_context(editors.editor(options, encoding="utf-32"))
    server = LanguageServer(window, engine)
    await server.open(Trace("", "python", "", ()))
    await window.ready()
    yield server
    if "llama.cpp" not in without:
        llama = await stack.enter_async_context(systems.llama_server(folder))
        yield Server(llama, tokenizer)
        remembering = LlamaVim(llama, tokenizer)
        stack.push_async_callback(remembering.close)
        yield remembering
    if "transformers serve" not in without:
        yield Server(await stack.enter_async_context(systems.transformers_serve(folder, tokenizer)), tokenizer)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a third of the files")
    parser.add_argument("--without", action="append", default=[], choices=("llama.cpp", "transformers serve"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    asyncio.run(main())
