"""The command `codellama-ls`. Exit status: 0 done; 1 failed, with one line on stderr; 2 wrong usage."""

from __future__ import annotations

from lsp_server import processes

processes.isolate()  # before anything else is loaded

import argparse
import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Callable

from lsp_server import __version__, printing
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
    if words[:1] == ["engine"]:  # has its own options, and is started often: nothing else is loaded
        from lsp_server.commands.engine import run as engine

        return engine(words[1:])
    options = _parser().parse_args(words)
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


def _parser() -> argparse.ArgumentParser:
    from lsp_server.settings import Settings  # not for the engine, which has its own options

    parser = printing.Parser(
        prog="codellama-ls",
        description="Code Llama in your editor. Without a command: the language server on standard input and output.",
    )
    parser.add_argument("--version", action="version", version=f"codellama-ls {__version__}")
    parser.add_argument("--stdio", action="store_true", help="accepted for editors that pass it; it is the only way")
    parser.set_defaults(run="server.app:main")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, run: str, text: str, *, model: bool = True, chats: bool = False) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        if model:
            made.add_argument(
                "--model", default="starter", help="a hub id, a checkpoint folder, a GGUF file, or `starter` (default)"
            )
            made.add_argument("--engine-url", default="", help="a server that has the model, e.g. http://gpu-box:8000")
            token = os.environ.get("CODELLAMA_LS_ENGINE_TOKEN", "")  # other users can read a command line
            text = "its bearer token; without this option $CODELLAMA_LS_ENGINE_TOKEN"
            made.add_argument("--engine-token", default=token, help=text)
            text = "send the token by plain http to another machine too"
            made.add_argument("--allow-plain-http", action="store_true", help=text)
            made.add_argument("--ca-file", default="", help="the certificate of who vouches for that server")
            made.add_argument("--remote-model", default="", help="what that server calls the model")
            made.add_argument(
                "--tokenizer", default="", help="with --engine-url: where the tokenizer is, if not --model"
            )
            if chats:
                text = "the model for chat and code actions, where that is another one than --model"
                made.add_argument("--chat-model", default="", help=text)
                text = "a server that has it; without this option --engine-url, with --chat-remote-model"
                made.add_argument("--chat-engine-url", default="", help=text)
                made.add_argument("--chat-remote-model", default="", help="what that server calls it")
                made.add_argument("--chat-tokenizer", default="", help="where its tokenizer is, if not --chat-model")
            made.add_argument("--infilling", default="auto", choices=("auto", "on", "off"))
            formats = ("auto", "inst", "source-step", "template")
            made.add_argument("--chat-format", default="auto", choices=formats)
            made.add_argument("--layout", default="auto", choices=("auto", "psm", "spm"))
        return made

    def sampling(made: argparse.ArgumentParser, top_p: float) -> None:
        text = f"the tokens that make up so much of the probability are chosen from (default: {top_p:g})"
        made.add_argument("--top-p", type=_number(float, 0, 1), default=top_p, help=text)
        text = "the same one with the same prompt gives the same answer"
        made.add_argument("--seed", type=_number(int, 0, 2**31 - 32), help=text)
        text = "so many answers, one after the other; with a temperature they differ"
        made.add_argument("--count", type=_number(int, 1, 16), default=1, help=text)

    text = "Print the suggestion at a place in a file, or go on with a text."
    made = command("complete", "commands.ask:complete", text)
    place_help = "line and column count from 1, columns in characters; `-`: go on with the text on standard input"
    made.add_argument("place", metavar="FILE:LINE:COL", help=place_help)
    made.add_argument("--json", action="store_true", help="with timings, and the reason where there is no suggestion")
    made.add_argument("--max-tokens", type=_number(int, 1, 1024), default=Settings.max_tokens)
    text = "0, the default: the most likely tokens; the more, the freer"
    made.add_argument("--temperature", type=_number(float, 0, 2), default=Settings.temperature, help=text)
    sampling(made, Settings.top_p)
    made.add_argument("--multiline", default="auto", choices=("auto", "always", "never"))

    text = "Print exactly what the model would see at a place in a file."
    made = command("prompt", "commands.ask:prompt", text, chats=True)
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("place", metavar="FILE:LINE:COL", nargs="?")
    what.add_argument(
        "--chat", metavar="QUESTION", type=printing.typed, help="that of a chat with this question, and no place"
    )
    dialog = 'that of a chat in which this was said, [{"role", "content"}, ...], and no place'
    what.add_argument("--messages", metavar="FILE.json", help=dialog)
    made.add_argument("--json", action="store_true", help="as text and token ids")
    made.add_argument("--action", metavar="ID", help="that of a code action, e.g. document, tests, fix, commit")
    made.add_argument("--file", metavar="FILE[:L1-L2]", action="append", default=[], help="with --chat: attached to it")
    made.add_argument("--target", default="", type=printing.typed, metavar="LANGUAGE", help="with --action translate")
    made.add_argument("--message", default="", type=printing.typed, help="with --action fix: what is reported there")

    text = "Ask the model a question, or without one talk with it."
    made = command("chat", "commands.chat:run", text, chats=True)
    made.add_argument("question", nargs="?", type=printing.typed)
    file_help = "show the model this file, or these lines of it; may be repeated"
    made.add_argument("--file", metavar="FILE[:L1-L2]", action="append", help=file_help)
    made.add_argument("--max-tokens", type=_number(int, 1, 131072), default=Settings.chat_max_tokens)
    made.add_argument("--temperature", type=_number(float, 0, 2), default=Settings.chat_temperature)
    sampling(made, Settings.chat_top_p)
    text = "what the model is told of its role; without it the setting's default"
    made.add_argument("--system", metavar="TEXT", type=printing.typed, help=text)

    command("demo", "commands.demo:run", "Completions, an edit and a chat answer on real files, by the starter.")
    command("engine", "", "Run the engine in the foreground (--help lists its options).", model=False)
    made = command(
        "models",
        "commands.models:run",
        "The Code Llama family: abilities, memory in 8 bits, and what fits here.",
        model=False,
    )
    made.add_argument("--json", action="store_true")
    made = command("eval", "commands.evaluate:run", "How good the suggestions of a model are on your own code.")
    made.add_argument("folder", nargs="?", default=".", help="whose source files it is asked about; default: this one")
    made.add_argument("--against", default="none", choices=("none", "4bit", "bf16"), help="its weights in other bits")
    text = "ask once more with a setting: NAME, or NAME=VALUE"
    made.add_argument("--with", dest="on", metavar="NAME", action="append", default=[], help=text)
    text = "ask once more without a source of context or a filter"
    made.add_argument("--without", dest="off", metavar="NAME", action="append", default=[], help=text)
    made.add_argument("--holes", type=_number(int, 1, 100_000), default=60, help="how many places, of all kinds")
    made.add_argument("--seed", type=_number(int, 0, 2**31), default=20, help="other places with another number")
    made.add_argument("--json", metavar="FILE", help="also write all of it there")
    text = "What works here, what does not, and the command that mends it."
    made = command("doctor", "commands.doctor:run", text, chats=True)
    made.add_argument("--json", action="store_true")
    return parser


def _number(kind: type[int] | type[float], low: int, high: int) -> Callable[[str], float]:
    """What reads an option that is a number; a wrong one is wrong usage, told before anything is started."""
    name = "a whole number" if kind is int else "a number"

    def read(word: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(word)) <= high:
                return value
        raise argparse.ArgumentTypeError(f"must be {name} from {low} to {high}, not {word!r}")

    return read
