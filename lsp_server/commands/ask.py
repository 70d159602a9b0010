"""`complete` and `prompt`: what editors do, from a terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from lsp_server.actions import prompts as action_prompts
from lsp_server.actions.preview import preview
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.commands import Failed
from lsp_server.commands.chat import prompt_ids
from lsp_server.commands.terminal import notes, reached, settings_of
from lsp_server.completion import prompt as prompts
from lsp_server.completion.suggest import Suggestion, suggest
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.privacy import why_hidden
from lsp_server.model import local
from lsp_server.settings import Settings


def complete(options: argparse.Namespace) -> int:
    """Print the suggestion at a place in a file."""
    path, line, column = located(options.place)
    settings = settings_of(options)
    buffer = read(path, line, column)
    if hidden := why_hidden(path.resolve(), (Path.cwd(),)):
        suggestion = Suggestion(line - 1, column - 1, reason=hidden)
    else:
        suggestion = asyncio.run(suggested(settings, buffer, line - 1, column - 1))
    if options.json:
        print(json.dumps(_described(suggestion), indent=2, ensure_ascii=False))
    elif suggestion.text:
        print(suggestion.text)
    else:
        notes.print(f"No suggestion: {suggestion.reason}", markup=False)
    return 0


def prompt(options: argparse.Namespace) -> int:
    """Print what the model would see, without asking it: at a place in a file, of an action there, or of a chat."""
    settings = settings_of(options)
    if options.chat is None:
        path, line, column = located(options.place or "nothing")
        buffer = read(path, line, column)
    tokenizer = CodeLlamaTokenizer.from_pretrained(
        _checkpoint(settings), infilling=settings.infilling, chat_format=settings.chat_format
    )
    length = settings.context_length or tokenizer.abilities.context_length
    healing = not settings.engine_url
    made: prompts.Prompt | action_prompts.Prompt
    if options.chat is not None:
        ids = asyncio.run(prompt_ids(settings, tokenizer, length, options.chat, options.file))
        made = action_prompts.Prompt("chat", ids, tokenizer.dialog_stop_ids, settings.max_tokens, ())
    elif options.action:
        root = Path.cwd() if path.resolve().is_relative_to(Path.cwd()) else path.resolve().parent
        given = {"target": options.target, "message": options.message, "layout": settings.layout, "healing": healing}
        where = (buffer, line - 1, column - 1)
        made = asyncio.run(preview(options.action, *where, tokenizer, length, file=path.resolve(), root=root, **given))
    else:
        made = prompts.build(buffer, line - 1, column - 1, settings, tokenizer, length, healing=healing)
    if options.json:
        text: dict[str, object] = {"kind": made.kind, "ids": made.ids, "text": tokenizer.shown(made.ids)}
        text |= {"stopIds": list(made.stop_ids), "heal": made.heal}
        print(json.dumps(text, indent=None, ensure_ascii=False))
    else:
        print(tokenizer.shown(made.ids))
    return 0


async def suggested(settings: Settings, buffer: Buffer, row: int, column: int) -> Suggestion:
    async with reached(settings) as model:
        return await suggest(model, buffer, row, column, settings)


def located(place: str) -> tuple[Path, int, int]:
    """(file, line, column) of `FILE:LINE:COL`, counted from 1. Raises Failed."""
    head, _, column = place.rpartition(":")
    name, _, line = head.rpartition(":")
    if not name or not (line.isdecimal() and column.isdecimal()) or int(line) < 1 or int(column) < 1:
        raise Failed(f"{place} is not FILE:LINE:COL, with line and column counted from 1.")
    return Path(name), int(line), int(column)


def read_text(path: Path) -> str:
    """The text of a file. Raises Failed where it is not UTF-8, OSError where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Failed(
            f"{path} is not UTF-8 (byte {error.start}); convert it first, e.g. with `iconv -t UTF-8`."
        ) from error


def read(path: Path, line: int, column: int) -> Buffer:
    """The file as a buffer in which there is that place. Raises Failed, OSError."""
    buffer = Buffer(path.resolve().as_uri(), read_text(path), language_id=language("", str(path)).id)
    if line > len(buffer.lines):
        raise Failed(f"{path} has {len(buffer.lines)} lines; there is no line {line}.")
    length = len(buffer.lines[line - 1].rstrip("\r\n"))
    if column > length + 1:
        raise Failed(f"Line {line} of {path} has {length} characters; its last column is {length + 1}, not {column}.")
    return buffer


def _checkpoint(settings: Settings) -> Path:
    """The folder with the tokenizer of the model that the settings name."""
    name = settings.tokenizer or settings.model
    if name == "starter":
        from lsp_server.engine import starter

        with notes.status("Preparing the starter model.") as line:
            return starter.ensure(lambda progress: line.update(progress.message))
    return local.tokenizer_files(name)


def _described(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "suggestion": suggestion.text,
        "reason": suggestion.reason,
        "prompt": suggestion.prompt.kind if suggestion.prompt else None,
        "timings": suggestion.timings,
    }
