"""`complete -`: a text from standard input, and what the model writes after it, with nothing around either."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import Any

from lsp_server import printing
from lsp_server.commands import Failed, piped
from lsp_server.commands.console import notes
from lsp_server.commands.terminal import reached, samplings, settings_of
from lsp_server.completion.suggest import Sampled
from lsp_server.model.access import Reached
from lsp_server.model.answering import Answer, Question
from lsp_server.model.client import Choice


def run(options: argparse.Namespace) -> int:
    """Print what comes after the text on standard input, as it is written."""
    return asyncio.run(_run(options, _text()))


async def _run(options: argparse.Namespace, text: str) -> int:
    answers, settings = [], settings_of(options)
    async with reached(settings) as model:
        ids = model.tokenizer.completion_ids(text)
        room = model.context_length - len(ids)
        if room < 1:
            raise Failed(
                f"The text has {len(ids)} tokens, but {model.model} has room for {model.context_length}: send its end."
            )
        sampled = samplings(settings, options)
        for number, each in enumerate(sampled, 1):
            if len(sampled) > 1 and not options.json:
                notes.print(f"{number} of {len(sampled)}", style="dim")
            answers.append(await _written(model, ids, min(settings.max_tokens, room), each, shows=not options.json))
    if options.json:
        printing.as_json(answers[0] if len(answers) == 1 else answers, indent=2)
    return 0


async def _written(model: Reached, ids: list[int], most: int, sampled: Sampled, *, shows: bool) -> dict[str, Any]:
    """One answer, which is shown while it is written; what `--json` says of it."""
    choice = Choice(sampled.temperature, sampled.top_p, sampled.seed)
    answer = Answer(model, Question(ids, model.tokenizer.completion_stop_ids, most, choice=choice))
    text = ""
    async with contextlib.aclosing(answer.parts()) as parts:
        async for part in parts:
            text += "".join(part)
            if shows:
                printing.code_part("".join(part))
    if shows and not text.endswith("\n"):
        printing.end_code()
    return {"text": text, "finishReason": answer.finish_reason, "promptTokens": len(ids), "tokens": answer.tokens}


def _text() -> str:
    """What is gone on with. Raises Failed where that is nothing, or no text."""
    if text := piped.text():
        return text
    raise Failed("There is nothing on standard input: pipe a text in, as in `codellama-ls complete - < FILE`.")
