"""`demo`: the main job on real files of this Python installation: a completion, a code action, a chat answer."""

from __future__ import annotations

import argparse
import asyncio
import calendar
import contextlib
import difflib
import textwrap
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lsp_server.actions.catalog import action_of
from lsp_server.actions.edits import apply
from lsp_server.actions.place import place_of, task_of
from lsp_server.actions.run import run as run_action
from lsp_server.chat.conversation import answer
from lsp_server.commands.ask import reached, read, read_text, settings_of
from lsp_server.completion.suggest import suggest
from lsp_server.model.access import Reached
from lsp_server.settings import Settings

# A place in the standard library that every Python has; the rest of the line typed there is left to the model.
FILE = Path(textwrap.__file__)
BEFORE = "def wrap(text, width=70, **kwargs):"
TYPED = "    w = TextWrapper("
LINES_ABOVE, LINES_BELOW = 6, 4

# A function there, whose body is taken away and asked for again.
STUB = Path(calendar.__file__)
FUNCTION, BODY = "def isleap(year):", "    return year % 4"

console = Console(highlight=False)


def run(options: argparse.Namespace) -> int:
    """Show a completion and a chat answer."""
    asyncio.run(_run(settings_of(options)))
    return 0


async def _run(settings: Settings) -> None:
    lines = read_text(FILE).splitlines()
    row = lines.index(TYPED + "width=width, **kwargs)", lines.index(BEFORE))
    buffer = read(FILE, row + 1, len(TYPED) + 1)
    # As if the user were typing here: the rest of this line is not written yet.
    buffer.lines[row] = TYPED + "\n"
    async with reached(settings) as model:
        console.rule(f"[bold]Completion[/] in {FILE.name}, line {row + 1}", align="left")
        suggestion = await suggest(model, buffer, row, len(TYPED), settings)
        above, below = lines[row - LINES_ABOVE : row], lines[row + 1 : row + 1 + LINES_BELOW]
        console.print(Text("\n".join(above), style="dim"))
        console.print(Text(TYPED) + Text(suggestion.text or "", style="bold green"))
        console.print(Text("\n".join(below), style="dim"))
        timing = suggestion.timings
        first = timing.get("firstTokenMs") or 0.0
        total = timing.get("totalMs", 0.0)
        said = f"{timing.get('tokens', 0)} tokens, the first after {first:.0f} ms, all in {total:.0f} ms"
        console.print(Text(suggestion.reason or said, style="italic"))
        await _act(model)
        console.rule(f"[bold]Chat[/] about {FILE.name}", align="left")
        function = "\n".join(lines[lines.index(BEFORE) : row + 2])
        question = f"What does this Python function do? Answer in two sentences.\n```python\n{function}\n```"
        console.print(Text("What does the function `wrap` do?", style="bold"))
        messages = [{"role": "system", "content": settings.system_prompt}, {"role": "user", "content": question}]
        async with contextlib.aclosing(answer(model, messages, max_tokens=96, temperature=0.0)) as deltas:
            async for delta in deltas:
                console.print(delta.text, end="", markup=False, soft_wrap=True)
                cost = delta.cost
        console.print()
        console.print(Text(f"{cost['generatedTokens']} tokens, {cost['tokensPerSecond']} a second", style="italic"))
        console.print(Text(f"By {model.model} on {model.device}.", style="dim"))


async def _act(model: Reached) -> None:
    """Show what the code action `implement` makes of a function without a body, as a diff."""
    lines = read_text(STUB).splitlines()
    row = lines.index(FUNCTION)
    buffer = read(STUB, row + 1, 1)
    body = next(index for index in range(row, len(lines)) if lines[index].startswith(BODY))
    del buffer.lines[body]
    place = place_of(buffer, (row, 4), (row, 4), [], path=STUB.name)
    action = action_of("implement")
    assert action is not None
    task = task_of(action, buffer, place, None, path=STUB.name)
    assert task is not None
    console.rule(f"[bold]Code action[/] Implement isleap, in {STUB.name}", align="left")
    outcome = await run_action(model, task)
    before, after = buffer.source.splitlines(), apply(buffer.lines, outcome.edits).splitlines()
    for line in list(difflib.unified_diff(before, after, lineterm="", n=2))[3:]:
        console.print(Text(line, style={"+": "green", "-": "red"}.get(line[0], "dim")))
    if outcome.problem:
        console.print(Text(f"An editor would show this and not apply it: {outcome.problem}", style="italic"))
