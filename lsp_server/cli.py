"""The command `codellama-ls`. Exit status: 0 done; 1 failed, with one line on stderr; 2 wrong usage."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Callable

from lsp_server import __version__
from lsp_server.commands import Failed


def main(argv: list[str] | None = None) -> int:
    """Run one command; without one, be the language server on standard input and output."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["engine"]:  # has its own options, and is started often: nothing else is loaded
        from lsp_server.engine.process import main as engine

        return engine(words[1:])
    options = _parser().parse_args(words)
    try:
        return int(_loaded(options.run)(options))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head` is satisfied
        sys.stderr.close()
        return 0
    except Exception as error:
        if not _expected(error):
            raise
        print(f"codellama-ls: {error}", file=sys.stderr)
        return 1


def _loaded(run: str) -> Callable[[argparse.Namespace], int]:
    """The function `module:function`: loaded by name, so that the language server does not pay for the other commands.

    What modules are made of lives until the end. Looking through it for garbage, while it is made and ever again, would
    cost a tenth of the start and hold up a key for 20 ms now and then.
    """
    module, _, function = run.partition(":")
    gc.disable()
    try:
        return getattr(importlib.import_module(f"lsp_server.{module}"), function)
    finally:
        gc.freeze()
        gc.enable()


def _expected(error: Exception) -> bool:
    """Whether an error is one whose message was written for the user."""
    return isinstance(error, (Failed, OSError)) or type(error).__module__.startswith("lsp_server.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="codellama-ls",
        description="Code Llama in your editor. Without a command: the language server on standard input and output.",
    )
    parser.add_argument("--version", action="version", version=f"codellama-ls {__version__}")
    parser.add_argument("--stdio", action="store_true", help="accepted for editors that pass it; it is the only way")
    parser.set_defaults(run="server.app:main")
    commands = parser.add_subparsers(title="commands", metavar="")

    def command(name: str, run: str, text: str, *, model: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        if model:
            made.add_argument(
                "--model", default="starter", help="a hub id, a checkpoint folder, or `starter` (default)"
            )
            made.add_argument("--engine-url", default="", help="a server that has the model, e.g. http://gpu-box:8000")
            token = os.environ.get("CODELLAMA_LS_ENGINE_TOKEN", "")  # other users can read a command line
            text = "its bearer token; without this option $CODELLAMA_LS_ENGINE_TOKEN"
            made.add_argument("--engine-token", default=token, help=text)
            made.add_argument(
                "--tokenizer", default="", help="with --engine-url: where the tokenizer is, if not --model"
            )
            made.add_argument("--infilling", default="auto", choices=("auto", "on", "off"))
            formats = ("auto", "inst", "source-step", "template")
            made.add_argument("--chat-format", default="auto", choices=formats)
            made.add_argument("--layout", default="auto", choices=("auto", "psm", "spm"))
        return made

    made = command("complete", "commands.ask:complete", "Print the suggestion at a place in a file.")
    made.add_argument("place", metavar="FILE:LINE:COL", help="line and column count from 1, columns in characters")
    made.add_argument("--json", action="store_true", help="with timings, and the reason where there is no suggestion")
    made.add_argument("--max-tokens", type=int, default=64)
    made.add_argument("--multiline", default="auto", choices=("auto", "always", "never"))

    made = command("prompt", "commands.ask:prompt", "Print exactly what the model would see at a place in a file.")
    made.add_argument("place", metavar="FILE:LINE:COL", nargs="?")
    made.add_argument("--json", action="store_true", help="as text and token ids")
    made.add_argument("--action", metavar="ID", help="that of a code action, e.g. document, tests, fix, commit")
    made.add_argument("--chat", metavar="QUESTION", help="that of a chat with this question, and no place")
    made.add_argument("--file", metavar="FILE[:L1-L2]", action="append", default=[], help="with --chat: attached to it")
    made.add_argument("--target", default="", metavar="LANGUAGE", help="with --action translate")
    made.add_argument("--message", default="", help="with --action fix: what is reported there")

    made = command("chat", "commands.chat:run", "Ask the model a question, or without one talk with it.")
    made.add_argument("question", nargs="?")
    file_help = "show the model this file, or these lines of it; may be repeated"
    made.add_argument("--file", metavar="FILE[:L1-L2]", action="append", help=file_help)
    made.add_argument("--max-tokens", type=int, default=1024)
    made.add_argument("--temperature", type=float, default=0.2)

    command("demo", "commands.demo:run", "Completions, an edit and a chat answer on real files, by the starter.")
    command("engine", "", "Run the engine in the foreground (--help lists its options).", model=False)
    made = command(
        "models",
        "commands.models:run",
        "The Code Llama family: abilities, memory in 8 bits, and what fits here.",
        model=False,
    )
    made.add_argument("--json", action="store_true")
    made = command("doctor", "commands.doctor:run", "What works here, what does not, and the command that mends it.")
    made.add_argument("--json", action="store_true")
    return parser
