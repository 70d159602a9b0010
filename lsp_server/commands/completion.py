"""`completion`: what a shell needs to complete the words of `codellama-ls`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import shtab

from lsp_server import printing
from lsp_server.codellama import VARIANTS
from lsp_server.commands import usage

_MODELS = shtab.cmd(f"printf '%s\\n' starter {' '.join(each.hub_id for each in VARIANTS)}")
_OF_MODELS = ("model", "chat_model", "tokenizer", "chat_tokenizer", "name")
_OF_FILES = ("place", "file", "ca_file", "messages")


def run(options: argparse.Namespace) -> int:
    """Print the script of a shell."""
    parser = usage.parser()
    for action in _actions(parser):
        if action.dest in _OF_MODELS:
            action.complete = _MODELS  # type: ignore[attr-defined]
        elif action.dest in _OF_FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    printing.code(shtab.complete(parser, options.shell).rstrip("\n"))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
