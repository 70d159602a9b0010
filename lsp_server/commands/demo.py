"""`demo`: the main job on real files of this Python installation: completions, a code action, a chat answer."""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import dataclasses
import difflib
import genericpath
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.text import Text

from lsp_server import installing
from lsp_server.actions.catalog import action_of
from lsp_server.actions.run import run as run_action
from lsp_server.actions.site import site_of, task_of
from lsp_server.chat.conversation import answer
from lsp_server.commands.ask import read, read_text
from lsp_server.commands.console import output
from lsp_server.commands.rendering import Shown
from lsp_server.commands.terminal import reached, settings_of
from lsp_server.completion.suggest import suggest
from lsp_server.context.edits import apply
from lsp_server.model.access import Reached
from lsp_server.settings import Settings


@dataclasses.dataclass(frozen=True)
class Gap:
    """A line of a module of the standard library, which every Python has: the first that is `typed` and `left` below
    `function`. What is `left` is taken away and asked for again."""

    module: ModuleType
    function: str
    typed: str
    left: str

    @property
    def file(self) -> Path:
        return Path(str(self.module.__file__))

    def find(self) -> tuple[list[str], int]:
        """The module's lines, and the number of that line from 0."""
        lines = read_text(self.file).splitlines()
        return lines, lines.index(self.typed + self.left, lines.index(self.function))


WRAP = "def wrap(text, width=70, **kwargs):"
REST = Gap(textwrap, WRAP, "    w = TextWrapper(", "width=width, **kwargs)")
# What this line has to define, only the lines below it tell.
WHOLE = Gap(bisect, "def bisect_right(a, x, lo=0, hi=None, *, key=None):", "            ", "mid = (lo + hi) // 2")
LINES_ABOVE, LINES_BELOW = 6, 4

# A function there, whose body is taken away and asked for again.
STUB = Path(genericpath.__file__)
FUNCTION, BODY = "def getsize(filename):", "    return os.stat"


def run(options: argparse.Namespace) -> int:
    """Show two completions, a code action and a chat answer."""
    asyncio.run(_run(settings_of(options)))
    output.print(f"\nYour editor gets this, from a model that fits this machine, by: {installing.command('setup')}")
    return 0


async def _run(settings: Settings) -> None:
    async with reached(settings) as model:
        for gap in (REST, WHOLE):
            await show_completion(model, gap, settings)
        await _act(model)
        lines, row = REST.find()
        headline("Chat", "about textwrap.py")
        function = "\n".join(lines[lines.index(WRAP) : row + 2])
        question = f"What does this Python function do? Answer in two sentences.\n```python\n{function}\n```"
        output.print(Text("What does the function `wrap` do?", style="bold"))
        messages = [{"role": "system", "content": settings.system_prompt}, {"role": "user", "content": question}]
        async with contextlib.aclosing(answer(model, messages, max_tokens=96, temperature=0.0)) as deltas:
            with Shown() as shown:
                async for delta in deltas:
                    shown.add(delta.text)
                    cost = delta.cost
        output.print(Text(f"{cost['generatedTokens']} tokens, {cost['tokensPerSecond']} a second", style="italic"))
        output.print(Text(f"By {model.model} on {model.device}.", style="dim"))


def headline(what: str, where: str) -> None:
    output.rule(Text.assemble((what, "bold"), f" {where}"), align="left")


async def show_completion(model: Reached, gap: Gap, settings: Settings) -> Mapping[str, Any]:
    """Show the suggestion in a gap, between the lines around it; its timings."""
    lines, row = gap.find()
    file, column = gap.file, len(gap.typed)
    buffer = read(file, row + 1, column + 1)
    buffer.lines[row] = gap.typed + "\n"  # as if the user were typing here
    headline("Completion", f"in {file.name}, line {row + 1}")
    suggestion = await suggest(model, buffer, row, column, settings)
    output.print(Text("\n".join(lines[row - LINES_ABOVE : row]), style="dim"))
    output.print(Text(gap.typed) + Text(suggestion.text or "", style="bold green"))
    output.print(Text("\n".join(lines[row + 1 : row + 1 + LINES_BELOW]), style="dim"))
    timing = suggestion.timings
    first = timing.get("firstTokenMs") or 0.0
    said = f"{timing.get('tokens', 0)} tokens, the first after {first:.0f} ms, all in {timing.get('totalMs', 0):.0f} ms"
    output.print(Text(suggestion.reason or said, style="italic"))
    return timing


async def _act(model: Reached) -> None:
    """Show what the code action `implement` makes of a function without a body, as a diff."""
    lines = read_text(STUB).splitlines()
    row = lines.index(FUNCTION)
    buffer = read(STUB, row + 1, 1)
    body = next(index for index in range(row, len(lines)) if lines[index].startswith(BODY))
    del buffer.lines[body]
    place = site_of(buffer, (row, 4), (row, 4), [], path=STUB.name)
    action = action_of("implement")
    assert action is not None
    task = task_of(action, buffer, place, None, path=STUB.name)
    assert task is not None
    headline("Code action", f"Implement getsize, in {STUB.name}")
    outcome = await run_action(model, task)
    before, after = buffer.source.splitlines(), apply(buffer.lines, outcome.edits).splitlines()
    for line in list(difflib.unified_diff(before, after, lineterm="", n=2))[3:]:
        output.print(Text(line, style={"+": "green", "-": "red"}.get(line[0], "dim")))
    if outcome.problem:
        output.print(Text(f"An editor would show this and not apply it: {outcome.problem}", style="italic"))
