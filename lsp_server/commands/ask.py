"""`complete` and `prompt`: what editors do, from a terminal."""

from __future__ import annotations

import argparse
import asyncio
import codecs
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsp_server import places, printing
from lsp_server.actions import prompts as action_prompts
from lsp_server.actions.preview import Spot, preview
from lsp_server.chat.fitting import prompt_of
from lsp_server.codellama import CodeLlamaTokenizer, DialogError
from lsp_server.commands import Failed, going_on, unasked
from lsp_server.commands.chat import prompt_ids
from lsp_server.commands.console import notes
from lsp_server.commands.terminal import reached, samplings, settings_of
from lsp_server.completion import describing
from lsp_server.completion import prompt as prompts
from lsp_server.completion.suggest import Sampled, Suggestion, suggest
from lsp_server.context.buffer import Buffer
from lsp_server.context.in_time import in_time
from lsp_server.context.languages import language
from lsp_server.context.related.choice import Choice
from lsp_server.context.related.gathering import gathered, named
from lsp_server.context.related.piece import Added
from lsp_server.context.related.sources import SOURCES, Seen
from lsp_server.context.workspace import MAX_BYTES, Workspace
from lsp_server.files import read_bytes
from lsp_server.model import endpoint, local, roles
from lsp_server.settings import Settings

MESSAGES_BYTES = 32 * 2**20
# What a command waits for the index: what that holds by then is what it goes by.
INDEX_SECONDS = 3.0


def complete(options: argparse.Namespace) -> int:
    """Print the suggestion at a place in a file, or what comes after a text: to a pipe or a file exactly as it is."""
    if options.place == "-":
        return going_on.run(options)
    path, line, column = located(options.place)
    settings = settings_of(options)
    buffer = read(path, line, column)
    if hidden := _workspace(path).why_hidden(path.absolute()):
        suggestions, whys = [Suggestion(line - 1, column - 1, reason=hidden)], [""]
    else:
        suggestions, whys = asyncio.run(
            suggested(settings, path, buffer, (line - 1, column - 1), samplings(settings, options))
        )
    if options.json:
        described = [_described(each) | {"hidden": why} for each, why in zip(suggestions, whys, strict=True)]
        printing.as_json(described[0] if len(described) == 1 else described, indent=2)
        return 0
    for number, (suggestion, why) in enumerate(zip(suggestions, whys, strict=True), 1):
        if len(suggestions) > 1:
            notes.print(f"{number} of {len(suggestions)}", style="dim")
        if suggestion.text:
            printing.code(suggestion.text)
        else:
            notes.print(f"No suggestion: {suggestion.reason}")
        if why:
            notes.print(f"An editor does not show this of itself: {why}", style="dim")
    return 0


def prompt(options: argparse.Namespace) -> int:
    """Print what the model would see, without asking it: at a place in a file, of an action there, or of a chat, with
    one question or with all that was said.

    The text is for people, with every character made visible; `--json` has it exactly.
    """
    settings = settings_of(options)
    if options.chat is not None or options.messages is not None or options.action:
        settings = roles.of_chat(settings)
    _check_options(options)
    if options.place is not None:
        path, line, column = located(options.place)
        buffer = read(path, line, column)
        if hidden := _workspace(path).why_hidden(path.absolute()):
            raise Failed(hidden)
    tokenizer = CodeLlamaTokenizer.from_pretrained(
        _checkpoint(settings), infilling=settings.infilling, chat_format=settings.chat_format
    )
    length = settings.context_length or tokenizer.abilities.context_length
    healing = endpoint.heals(settings)
    made: prompts.Prompt | action_prompts.ActionPrompt
    if options.messages is not None:
        ids = dialog_ids(tokenizer, Path(options.messages))
        made = action_prompts.ActionPrompt("chat", ids, tokenizer.dialog_stop_ids, settings.max_tokens, ())
    elif options.chat is not None:
        ids = asyncio.run(prompt_ids(settings, tokenizer, length, options.chat, options.file))
        made = action_prompts.ActionPrompt("chat", ids, tokenizer.dialog_stop_ids, settings.max_tokens, ())
    elif options.action:
        root = Path.cwd() if path.resolve().is_relative_to(Path.cwd()) else path.resolve().parent
        given = {"target": options.target, "message": options.message, "layout": settings.layout, "healing": healing}
        spot = Spot(buffer, line - 1, column - 1, path.resolve(), root)
        made = asyncio.run(preview(options.action, spot, tokenizer, length, **given))
    else:
        return _show(settings, tokenizer, length, path, buffer, (line - 1, column - 1), as_json=options.json)
    if options.json:
        text: dict[str, object] = {"kind": made.kind, "ids": made.ids, "text": tokenizer.shown(made.ids)}
        text |= {"stopIds": list(made.stop_ids), "heal": made.heal}
        printing.as_json(text)
    else:
        printing.say(tokenizer.shown(made.ids))
    return 0


def _show(
    settings: Settings,
    tokenizer: CodeLlamaTokenizer,
    length: int,
    path: Path,
    buffer: Buffer,
    place: tuple[int, int],
    *,
    as_json: bool,
) -> int:
    """The prompt of a suggestion, and beside it what was taken of other files."""
    choice, names = related_to(settings, path, buffer, place)
    healing = endpoint.heals(settings)
    related = Added(choice.pieces, names if healing else {})  # the project's own engine can do both
    made = prompts.build(buffer, *place, settings, tokenizer, length, healing=healing, related=related)
    if as_json:
        printing.as_json(describing.as_json(made, tokenizer, choice.left_out))
    else:
        printing.say(tokenizer.shown(made.ids))
        for line in describing.summary(made, choice.left_out)[1:]:
            notes.print(line, markup=False)
    return 0


def related_to(
    settings: Settings, path: Path, buffer: Buffer, place: tuple[int, int]
) -> tuple[Choice, Mapping[str, float]]:
    """What the files around a file add to a suggestion in it, and how the name at that place may go on."""
    if not settings.related_tokens:
        return Choice(), {}
    workspace = _workspace(path)
    index = None
    inside = workspace.within(path.absolute()) is not None
    if settings.workspace_index and inside and _is_project(workspace.roots[0]):
        from lsp_server.context.related.index import Index

        index = Index(workspace, places.index_folder())
        index.refresh(INDEX_SECONDS)
    try:
        choice = gathered(Seen(workspace, index=index), buffer, *place, settings, SOURCES)
        names = {} if index is None or not settings.related_imports else named(index, workspace, buffer, *place)
        return choice, names
    finally:
        if index is not None:
            index.close()


def _is_project(folder: Path) -> bool:
    """Whether a folder lies in a repository: others, such as the user's own, may be too large to be looked through."""
    return any((each / ".git").exists() for each in (folder, *folder.parents))


def _workspace(path: Path) -> Workspace:
    """The folder that the command was typed in, with the file that was named."""
    workspace = Workspace((Path.cwd(),))
    workspace.allow(path.absolute())
    return workspace


def _check_options(options: argparse.Namespace) -> None:
    """Raises Failed where an option has nothing to do with what is to be shown, which it would seem to change."""
    belongs = (
        ("--file", options.file, "--chat", options.chat is not None),
        ("--action", options.action, "FILE:LINE:COL", options.place is not None),
        ("--target", options.target, "--action translate", options.action == "translate"),
        ("--message", options.message, "--action fix", options.action in ("fix", "explain-diagnostic")),
    )
    for option, given, other, there in belongs:
        if given and not there:
            raise Failed(f"{option} goes with {other}; leave it out, or give that too.")


def dialog_ids(tokenizer: CodeLlamaTokenizer, path: Path) -> list[int]:
    """The ids of the dialog in a JSON file, exactly as the chat sends them. Raises Failed, OSError.

    Whether they fit the model's context is not looked at; the chat would leave out the oldest questions.
    """
    try:
        messages = json.loads(_decoded(path, read_bytes(path, MESSAGES_BYTES)))
    except (ValueError, RecursionError) as error:
        raise Failed(f"{path} is not valid JSON ({error}); it should hold a list of messages.") from error
    if not isinstance(messages, list):
        raise Failed(f'{path} should hold a list of messages, [{{"role": "user", "content": "..."}}, ...].')
    try:
        ids, _ = prompt_of(tokenizer, messages)
    except DialogError as error:
        raise Failed(f"{path} cannot be put to the model: {error}") from error
    if tokenizer.abilities.chat_reason:
        notes.print(tokenizer.abilities.chat_reason, markup=False)
    return ids


async def suggested(
    settings: Settings, path: Path, buffer: Buffer, place: tuple[int, int], sampled: Sequence[Sampled] = (Sampled(),)
) -> tuple[list[Suggestion], list[str]]:
    """The suggestions at a place, one for each way to choose their tokens; and why an editor would hide each, or ""."""
    gathering = asyncio.ensure_future(asyncio.to_thread(related_to, settings, path, buffer, place))
    async with reached(settings) as model:
        choice, names = await gathering
        related = Added(choice.pieces, names)
        made = [await suggest(model, buffer, *place, settings, related, sampling=each) for each in sampled]
        return made, [unasked.why_hidden(model, buffer, each, settings, related) for each in made]


def located(place: str) -> tuple[Path, int, int]:
    """(file, line, column) of `FILE:LINE:COL`, counted from 1. Raises Failed."""
    head, _, column = place.rpartition(":")
    name, _, line = head.rpartition(":")
    if not name or not (line.isdecimal() and column.isdecimal()) or int(line) < 1 or int(column) < 1:
        raise Failed(f"{place} is not FILE:LINE:COL, with line and column counted from 1.")
    return Path(name), int(line), int(column)


def read_text(path: Path) -> str:
    """The text of a file. Raises Failed where it is not UTF-8, OSError where it cannot be read, TooSlow."""
    return _decoded(path, in_time(lambda: read_bytes(path, MAX_BYTES), path.name))


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise Failed(f"{path} is not a text, but holds other data; name a file of code.") from error
        coding = "UTF-16" if b"\0" in data else "LATIN1"
        raise Failed(
            f"{path} is not UTF-8 (byte {error.start}); convert it first, e.g. with `iconv -f {coding} -t UTF-8`."
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
        from lsp_server.engine.loading import starter

        with notes.doing("Preparing the starter model.") as line:
            return starter.ensure(lambda progress: line(progress.message))
    return local.tokenizer_files(name)


def _described(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "suggestion": suggestion.text,
        "reason": suggestion.reason,
        "prompt": suggestion.prompt.kind if suggestion.prompt else None,
        "timings": suggestion.timings,
    }
