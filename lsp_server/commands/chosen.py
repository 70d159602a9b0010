"""The settings of a command: those of its options, over the environment's, over the configuration file's."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsp_server import places, settings_file, settings_sent
from lsp_server.commands import Failed
from lsp_server.model import roles
from lsp_server.settings import Settings, camel

TOKEN = "CODELLAMA_LS_ENGINE_TOKEN"
# What options are called like the settings that they stand for.
_SERVER = ("engine_url", "engine_token", "allow_plain_http", "ca_file", "remote_model", "tokenizer")
_CHOICE = ("max_tokens", "temperature", "top_p", "chat_max_tokens", "chat_temperature", "chat_top_p", "multiline")
OPTIONS = ("model", *_SERVER, *roles.NAMES.values(), "infilling", "chat_format", "layout", *_CHOICE)


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The settings; where each comes from that has not its default, by its name in an editor; the configuration file,
    and what is wrong with it."""

    settings: Settings
    sources: Mapping[str, str]
    file: Path | None
    problems: tuple[str, ...]


def chosen(options: argparse.Namespace) -> Chosen:
    """What holds for a command that was given these options. Raises Failed where one of them cannot be used."""
    file = settings_file.read()
    sources = {name: file.where(name) for name in file.lines}
    around: dict[str, Any] = {}
    if token := os.environ.get(TOKEN):
        around["engineToken"] = token
        sources["engineToken"] = f"${TOKEN}"
    typed = {camel(name): value for name in OPTIONS if (value := getattr(options, name, None)) is not None}
    for name in ("model", "tokenizer", "chatModel", "chatTokenizer"):
        if typed.get(name):  # a relative path is meant from where the command was typed
            typed[name] = places.absolute_name(typed[name])
    settings, wrong = settings_sent.read_each({**around, **typed}, file.settings)
    if refused := [sentence for name, sentence in wrong.items() if name in {**around, **typed}]:
        raise Failed(refused[0])
    sources |= dict.fromkeys(typed, "command line")
    for name in wrong:  # a token that belongs to another address
        sources.pop(name, None)
    return Chosen(settings, sources, file.path, (*file.problems, *wrong.values()))
