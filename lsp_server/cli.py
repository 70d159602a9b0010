"""The command `codellama-ls`. Exit status: 0 done; 1 failed, with one line on stderr; 2 wrong usage."""

from __future__ import annotations

from lsp_server import processes

processes.isolate()  # before anything else is loaded

import argparse
import gc
import importlib
import sys
from collections.abc import Callable

from lsp_server import printing
from lsp_server.errors import UserError


def main(argv: list[str] | None = None) -> int:
    """Run one command; without one, be the language server on standard input and output."""
    words = sys.argv[1:] if argv is None else argv
    printing.prepare()
    try:
        status = _run(words)
        printing.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` is satisfied
        printing.give_up()
        return 0
    except Exception as error:
        if not isinstance(error, (UserError, OSError)):
            raise
        printing.note(f"codellama-ls: {printing.sentence(error)}")
        return 1


def _run(words: list[str]) -> int:
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if words[:1] == ["engine"]:  # has its own options, and is started often: nothing else is loaded
        from lsp_server.commands.engine import run as engine

        return engine(words[1:])
    from lsp_server.commands import usage

    options = usage.parser().parse_args(words)
    return int(_loaded(options.run)(options))


def _loaded(run: str) -> Callable[[argparse.Namespace], int]:
    """The function `module:function`: loaded by name, so that the language server does not pay for the other commands.

    What modules are made of lives until the end. Looking through it for garbage, while it is made and ever again, would
    cost a tenth of the start and hold up a key for 20 ms now and then.
    """
    module, _, function = run.partition(":")
    gc.disable()
    try:
        loaded = importlib.import_module(f"lsp_server.{module}")
    finally:
        gc.freeze()
        gc.enable()
    command: Callable[[argparse.Namespace], int] = getattr(loaded, function)
    return command
