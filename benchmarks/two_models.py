"""Keys beside a chat: one model writes the suggestions, another answers in the chat, both on this machine.

    python -m benchmarks.two_models [--quick]

Over the protocol, with the starter for suggestions and a copy of it, in an engine of its own, for the chat. Each key is
one that no suggestion said, so that the model is asked; blocks of keys with an answer being written beside them and
blocks without take turns. Writes results/two_models.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

import editor as editors

from benchmarks import systems, texts
from benchmarks.figures import median, p95
from benchmarks.results import keep, target
from lsp_server.engine.loading import starter

BLOCKS, QUICK_BLOCKS, KEYS = 8, 2, 25
ROW = 300
QUESTION = "Write a long story about a parser, in many chapters, and never stop."
# Nothing that the model would suggest; one letter a key.
TYPED = "zqwvxkjzqvwxkjqzvkwxjqzvk"
MOST = 1.1


async def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a quarter of the keys")
    options = parser.parse_args(argv)
    logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)  # of answers to the chats that were ended
    times: dict[bool, list[float]] = {False: [], True: []}
    with systems.runtime(), tempfile.TemporaryDirectory() as name:
        other = Path(name, "starter-for-chat")
        shutil.copytree(starter.ensure(lambda progress: None), other)
        settings = {"chatModel": str(other), "chatMaxTokens": 2000, "debounceMs": 0, "idleMinutes": 5}
        async with editors.editor(settings, encoding="utf-32") as window:
            window.open("untitled:first.py", "")
            await window.ready()
            await _answer(window, "Hello", 4)  # both are there
            for number in range((QUICK_BLOCKS if options.quick else BLOCKS) * 2):
                async with _chatting(window) if number % 2 else contextlib.nullcontext():
                    times[bool(number % 2)] += await _block(window, f"untitled:{number}.py")
    alone, beside = (p95(times[chats]) for chats in (False, True))
    note = ", ".join(
        f"{what} median {median(times[chats]):.0f} and p95 {p95(times[chats]):.0f} ms"
        for what, chats in (("alone", False), ("beside a chat", True))
    )
    what = "a key that asks the model, beside a chat of another model, 95th percentile, times that without"
    keep("two_models", [target(what, f"at most {MOST}", beside / alone, beside / alone <= MOST, note)], times=times)


async def _answer(window: editors.Editor, message: str, tokens: int) -> Any:
    options = {"message": message, "maxTokens": tokens}
    return await window.client.protocol.send_request_async("codellama/chat/send", options)


@contextlib.asynccontextmanager
async def _chatting(window: editors.Editor) -> Any:
    """While an answer is written, and after it the next one."""

    async def forever() -> None:
        while True:
            await _answer(window, QUESTION, 2000)

    task = asyncio.create_task(forever())
    await asyncio.sleep(2)  # the prompt has been read
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(1)


async def _block(window: editors.Editor, uri: str) -> list[float]:
    """Milliseconds for each of the keys in a file of its own; the first, at a place not seen, is not counted."""
    source = texts.standard_library(*texts.LONG_MODULES).splitlines(keepends=True)
    first = int(uri.partition(":")[2].partition(".")[0]) * 200
    window.open(uri, "".join(source[first : first + 2 * ROW]))
    window.insert(uri, ROW, 0, "\n")
    times = []
    for column, letter in enumerate(TYPED[:KEYS]):
        started = time.perf_counter()
        window.insert(uri, ROW, column, letter)
        await window.suggest(uri, ROW, column + 1, typed=True)
        times.append(1000 * (time.perf_counter() - started))
    return times[1:]


if __name__ == "__main__":
    asyncio.run(main())
