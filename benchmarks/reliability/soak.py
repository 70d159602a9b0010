"""Twenty thousand requests with edits: what the language server and the engine hold is the same at the end.

    python -m benchmarks.reliability.soak [--quick] [--requests N]

Keys, slips, pasted and replaced texts in documents that are opened and closed again; most keys end the request before
them, each tenth is waited for, and now and then there is a chat. Writes results/reliability_soak.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from acting_editor import ActingEditor, acting_editor
from lsprotocol import types

from benchmarks.reliability.load import Sample, growth, held, quarters, watched
from benchmarks.reliability.scene import folders, the_engine
from benchmarks.reliability.user import SOURCE
from benchmarks.results import FOLDER, keep, target

NAME = "reliability_soak"
REQUESTS, QUICK_REQUESTS = 20_000, 12
DOCUMENTS = 12
# Each so many requests: one is waited for, a document is closed for another, a question is asked in the chat.
WAITED, CLOSED, CHATTED = 10, 40, 1000
# Not more at once than somebody's keys bring about.
MOST_OPEN = 6
# Keys at one place before somebody goes elsewhere, at most.
BURST = 40

# Has a server write down how many tasks it has, when it is sent a signal.
COUNTING = """
import asyncio, signal
def count(*_):
    with open({file!r}, "w") as file:
        file.write(str(len(asyncio.all_tasks())))
signal.signal(signal.SIGUSR1, count)
"""


class Keys:
    """Edits of documents, and a request after each."""

    def __init__(self, window: ActingEditor, chance: random.Random) -> None:
        self._window, self._chance = window, chance
        self._open: list[tuple[str, list[str]]] = []
        self._here: tuple[str, list[str]] = ("", [])
        self._row, self._stays = 0, 0  # where it is typed there, and how many keys more
        self._number = 0
        self.asked = self.shown = self.errors = 0
        self._asking: set[asyncio.Task[Any]] = set()

    async def press(self) -> None:
        """Edit somewhere, and ask there."""
        if len(self._open) < DOCUMENTS or self.asked % CLOSED == 0:
            self._another()
        if not self._stays:
            self._stays, self._here = self._chance.randint(1, BURST), self._chance.choice(self._open[-3:])
            self._row = self._chance.randrange(len(self._here[1]))
        self._stays -= 1
        uri, lines = self._here
        row, kind = min(self._row, len(lines) - 1), self._chance.random()
        column = len(lines[row])
        if kind < 0.80:
            lines[row] += (char := self._chance.choice("abcdefgh ().,="))
            self._window.insert(uri, row, column, char)
        elif kind < 0.90:
            start, end = types.Position(row, max(0, column - 2)), types.Position(row, column)
            lines[row] = lines[row][: max(0, column - 2)]
            self._window.change(uri, types.TextDocumentContentChangePartial(types.Range(start, end), ""))
        elif kind < 0.98:
            lines[row : row + 1] = [lines[row], "    pass"]
            self._window.insert(uri, row, column, "\n    pass")
        else:
            lines[:] = self._text()
            self._window.change(uri, types.TextDocumentContentChangeWholeDocument("\n".join(lines)))
            row = min(row, len(lines) - 1)
        self.asked += 1
        task = asyncio.ensure_future(self._ask(self._window.suggest(uri, row, len(lines[row]), typed=True)))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        if self.asked % WAITED == 0:
            await task
        while len(self._asking) > MOST_OPEN:
            await asyncio.wait(self._asking, return_when=asyncio.FIRST_COMPLETED)
        if self.asked % CHATTED == 0:
            print(f"soak: {self.asked} requests", flush=True)
            params = {"message": f"What is {self.asked}?", "maxTokens": 16}
            await self._ask(self._window.client.protocol.send_request_async("codellama/chat/send", params))
        await asyncio.sleep(0)

    async def end(self) -> None:
        while self._asking:
            await asyncio.wait(self._asking)

    async def _ask(self, request: Any) -> None:
        try:
            self.shown += bool(await asyncio.wait_for(request, 120))
        except Exception as error:
            self.errors += 1
            print(f"soak: {type(error).__name__}: {error}", flush=True)

    def _another(self) -> None:
        if len(self._open) >= DOCUMENTS:
            uri, _ = self._open.pop(0)
            item = types.TextDocumentIdentifier(uri)
            self._window.client.text_document_did_close(types.DidCloseTextDocumentParams(item))
        self._number += 1
        lines = self._text()
        uri = self._window.open(f"untitled:{self._number}.py", "\n".join(lines))
        self._open.append((uri, lines))

    def _text(self) -> list[str]:
        lines = SOURCE.split("\n")
        first = self._chance.randrange(len(lines) - 300)
        return lines[first : first + 300]


async def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REQUESTS} requests")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER", help="where the results are written")
    options = parser.parse_args(argv)
    number = QUICK_REQUESTS if options.quick else options.requests
    with folders() as folder:
        (folder / "work").mkdir()
        counted = folder / "tasks"
        counting = COUNTING.format(file=str(counted))
        async with acting_editor({"idleMinutes": 0}, folder / "work", prepared=counting) as window:
            window.open("untitled:first.py", "")
            await window.ready()
            engine, server = the_engine(), psutil.Process(window.pid)

            def look() -> Sample:
                with contextlib.suppress(OSError):
                    os.kill(window.pid, signal.SIGUSR1)
                tasks = int(counted.read_text() or 0) if counted.exists() else 0
                window.statuses.clear()  # this process holds something, too
                own = {f"server {name}": value for name, value in {**held(server), "tasks": tasks}.items()}
                return {**own, **{f"engine {name}": value for name, value in held(engine).items()}}

            keys, began = Keys(window, random.Random(1)), time.monotonic()
            async with watched(look) as samples:
                while keys.asked < number:
                    await keys.press()
                await keys.end()
            seconds = time.monotonic() - began
    held_then = quarters(samples[len(samples) // 20 :])  # the first moments fill what is kept
    grown = growth(held_then)
    rows = [target("requests", f"{number}", keys.asked, keys.asked >= number, f"{seconds:.0f} s, {keys.shown} answers")]
    rows.append(target("errors", "0", keys.errors, keys.errors == 0))
    for name, more in grown.items():
        most = 10.0 if name.endswith("MB") else 3
        unit = ", per cent" if name.endswith("MB") else ""
        values = held_then[name]
        note = f"{values['first']:g}, then {values['last']:g}; at most {values['most']:g}"
        rows.append(target(f"{name}, growth{unit}", f"at most {most:g}", more, more <= most, note))
    keep(NAME, rows, options.to, figures=held_then)
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
