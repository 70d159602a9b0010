"""What can be typed: every command with its options. One that stands for a setting is None where it is left out."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import re
from collections.abc import Callable
from typing import Any

from lsp_server import __version__, printing
from lsp_server.settings import Settings


class _Parser(printing.Parser):
    """What says which command or option was probably meant by one that there is not, and how this command is used."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(self._too_much(rest[0].partition("=")[0]))
        return known, rest

    def _too_much(self, word: str) -> str:
        if not word.startswith("-"):
            return f"{word!r} is one word too many; `{self.prog} --help` says what can stand there."
        near = difflib.get_close_matches(word, self._option_string_actions, n=1)
        then = f"did you mean {near[0]}?" if near else f"`{self.prog} --help` lists those there are."
        return f"there is no option {word}; {then}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            near = difflib.get_close_matches(str(value).lower(), action.choices, n=1)
            then = f"did you mean `{self.prog} {near[0]}`?" if near else f"`{self.prog} --help` lists those there are."
            self.error(f"there is no command {value!r}; {then}")
        super()._check_value(action, value)


class _Joined(argparse.Action):
    """A text in one word or, where the quotes were left out, in several."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        setattr(namespace, self.dest, " ".join(values) if values else None)


class Commands:
    """The commands of a parser, as they are added; `run` of each is `module:function`, see `cli`."""

    def __init__(self, parser: argparse.ArgumentParser, title: str = "commands") -> None:
        self._made = parser.add_subparsers(title=title, metavar="COMMAND")

    def add(self, name: str, run: str, text: str) -> argparse.ArgumentParser:
        made = self._made.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made


def parser() -> argparse.ArgumentParser:
    """That of the whole command line."""
    made = _Parser(
        prog="codellama-ls",
        description="Code Llama in your editor. Without a command: the language server on standard input and output.",
    )
    made.add_argument("--version", action="version", version=f"codellama-ls {__version__}")
    made.add_argument("--stdio", action="store_true", help="accepted for editors that pass it; it is the only way")
    made.set_defaults(run="server.app:main")
    commands = Commands(made)
    _setup(commands)
    _complete(commands)
    _prompt(commands)
    _chat(commands)
    text = "Completions, an edit and a chat answer on real files."
    _models_here(commands.add("demo", "commands.demo:run", text))
    _models(commands)
    ps = commands.add("ps", "commands.engines:ps", "Which engines run: model, memory, since when, used by whom.")
    ps.add_argument("--json", action="store_true")
    stop = commands.add("stop", "commands.engines:stop", "End the engines that run, or that of one model.")
    stop.add_argument("model", nargs="?", help="as --model names it; without: all")
    _config(commands)
    _stats(commands)
    text = "What works here, what does not, and the command that mends it."
    doctor = commands.add("doctor", "commands.doctor:run", text)
    _models_here(doctor, chats=True)
    doctor.add_argument("--json", action="store_true", help="with nothing private in it")
    _evaluate(commands)
    commands.add("engine", "", "Run the engine in the foreground (--help lists its options).")
    text = 'What a shell needs to complete these words; e.g. `eval "$(codellama-ls completion bash)"`.'
    completion = commands.add("completion", "commands.completion:run", text)
    completion.add_argument("shell", choices=("bash", "zsh", "fish", "powershell"))
    _uninstall(commands)
    text = "What the commands are, or what one of them takes; e.g. `codellama-ls help models pull`."
    commands.add("help", "", text).add_argument("words", nargs="*", metavar="COMMAND")
    return made


def _complete(commands: Commands) -> None:
    text = "Print the suggestion at a place in a file, or go on with a text."
    made = commands.add("complete", "commands.ask:complete", text)
    _models_here(made)
    place_help = "line and column count from 1, columns in characters; `-`: go on with the text on standard input"
    made.add_argument("place", metavar="FILE:LINE:COL", help=place_help)
    made.add_argument("--json", action="store_true", help="with timings, and the reason where there is no suggestion")
    text = f"most tokens (default: {Settings.max_tokens})"
    made.add_argument("--max-tokens", type=_number(int, 1, 1024), metavar="N", help=text)
    text = "0, the default: the most likely tokens; the more, the freer"
    made.add_argument("--temperature", type=_number(float, 0, 2), metavar="T", help=text)
    _sampling(made, "", Settings.top_p)
    text = "several lines; auto: on an empty line, and after one that opens a block"
    made.add_argument("--multiline", choices=("auto", "always", "never"), help=text)


def _prompt(commands: Commands) -> None:
    text = "Print exactly what the model would see at a place in a file."
    made = commands.add("prompt", "commands.ask:prompt", text)
    _models_here(made, chats=True)
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


def _chat(commands: Commands) -> None:
    text = "Ask the model a question, or without one talk with it."
    made = commands.add("chat", "commands.chat:run", text)
    _models_here(made, chats=True)
    text = "with it goes what is piped in; without it each line that is typed is one"
    made.add_argument("question", nargs="*", action=_Joined, type=printing.typed, help=text)
    file_help = "show the model this file, or these lines of it; may be repeated"
    made.add_argument("--file", metavar="FILE[:L1-L2]", action="append", help=file_help)
    text = f"most tokens of an answer (default: {Settings.chat_max_tokens})"
    kind = _number(int, 1, 131072)
    made.add_argument("--max-tokens", dest="chat_max_tokens", type=kind, metavar="N", help=text)
    text = f"0: the most likely tokens; the more, the freer (default: {Settings.chat_temperature:g})"
    kind = _number(float, 0, 2)
    made.add_argument("--temperature", dest="chat_temperature", type=kind, metavar="T", help=text)
    _sampling(made, "chat_", Settings.chat_top_p)
    text = "what the model is told of its role; without it the setting's default"
    made.add_argument("--system", metavar="TEXT", type=printing.typed, help=text)


def _setup(commands: Commands) -> None:
    text = "From here to the first suggestion: a model that fits, and the clients of your editors."
    made = commands.add("setup", "commands.setup:run", text)
    _models_here(made)
    made.add_argument("--yes", action="store_true", help="do what it proposes, without asking")
    made.add_argument("--no-editors", action="store_true", help="leave the editors alone")


def _uninstall(commands: Commands) -> None:
    text = "Show and remove what this program has put on this machine."
    made = commands.add("uninstall", "commands.uninstall:run", text)
    made.add_argument("--yes", action="store_true", help="without asking")
    made.add_argument("--config", action="store_true", help="the configuration file too")
    made.add_argument("--chats", action="store_true", help="your conversations too")


def _models(commands: Commands) -> None:
    text = "The Code Llama family: abilities, memory, and what fits here and how fast, in 8, 4 and 16 bits."
    made = commands.add("models", "commands.models:run", text)
    made.add_argument("--json", action="store_true")
    text = "as if there were these graphics cards, in GiB: 24, 2x24 or 24,80; 0: none"
    made.add_argument("--gpus", type=_cards, metavar="GIB", help=text)
    text = "as if so much memory were free"
    made.add_argument("--memory", type=_number(float, 0, 10**6), metavar="GIB", help=text)
    inner = Commands(made)
    pull = inner.add("pull", "commands.stored:pull", "Fetch a model, or unpack one, and go on where that had stopped.")
    verify = inner.add("verify", "commands.stored:verify", "Look at each byte of a model that is on the disk.")
    text = "Remove what was fetched or unpacked of a model."
    remove = inner.add("remove", "commands.stored:remove", text)
    for each in (pull, verify, remove):
        each.add_argument("name", metavar="NAME", help="as --model names it")


def _evaluate(commands: Commands) -> None:
    made = commands.add("eval", "commands.evaluate:run", "How good the suggestions of a model are on your own code.")
    _models_here(made)
    made.add_argument("folder", nargs="?", default=".", help="whose source files it is asked about; default: this one")
    made.add_argument("--against", default="none", choices=("none", "4bit", "bf16"), help="its weights in other bits")
    text = "ask once more with a setting: NAME, or NAME=VALUE"
    made.add_argument("--with", dest="on", metavar="NAME", action="append", default=[], help=text)
    text = "ask once more without a source of context or a filter"
    made.add_argument("--without", dest="off", metavar="NAME", action="append", default=[], help=text)
    made.add_argument("--holes", type=_number(int, 1, 100_000), default=60, help="how many places, of all kinds")
    made.add_argument("--seed", type=_number(int, 0, 2**31), default=20, help="other places with another number")
    made.add_argument("--json", metavar="FILE", help="also write all of it there")


def _stats(commands: Commands) -> None:
    text = "What became of the suggestions of the last days, as counted on this machine."
    made = commands.add("stats", "commands.stats:run", text)
    made.add_argument("--days", type=_number(int, 1, 400), default=30, help="so many, today among them (default: 30)")
    how = made.add_mutually_exclusive_group()
    how.add_argument("--page", metavar="FILE.html", help="write them as a page, which needs nothing else")
    how.add_argument("--json", action="store_true")
    how.add_argument("--forget", action="store_true", help="delete all that was counted")


def _config(commands: Commands) -> None:
    text = (
        "What each setting is for the commands, and where that comes from; you set them in the file that --path names."
    )
    made = commands.add("config", "commands.config:run", text)
    _models_here(made, chats=True)
    what = made.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help="as JSON; tokens and addresses are left out")
    what.add_argument("--path", action="store_true", help="print where the configuration file is, or would be")
    what.add_argument("--schema", action="store_true", help="print the JSON schema of that file")


def _models_here(made: argparse.ArgumentParser, *, chats: bool = False) -> None:
    """The options that say which model, and where it is."""

    def add(name: str, text: str | None = None, **more: Any) -> None:
        made.add_argument(name, help=text, **more)

    add("--model", "a hub id, a checkpoint folder, a GGUF file, or `starter` (the default)")
    add("--engine-url", "a server that has the model, e.g. http://gpu-box:8000", metavar="URL")
    # Other users can read a command line.
    text = "its bearer token; without this option $CODELLAMA_LS_ENGINE_TOKEN"
    add("--engine-token", text, metavar="TOKEN")
    add("--allow-plain-http", "send the token by plain http to another machine too", action="store_true", default=None)
    add("--ca-file", "the certificate of who vouches for that server", metavar="FILE")
    add("--remote-model", "what that server calls the model", metavar="NAME")
    add("--tokenizer", "with --engine-url: where the tokenizer is, if not --model")
    if chats:
        add("--chat-model", "the model for chat and code actions, where that is another one than --model")
        text = "a server that has it; without this option --engine-url, with --chat-remote-model"
        add("--chat-engine-url", text, metavar="URL")
        add("--chat-remote-model", "what that server calls it", metavar="NAME")
        add("--chat-tokenizer", "where its tokenizer is, if not --chat-model")
    text = "whether the code after the cursor counts; auto: where the model was trained for it"
    add("--infilling", text, choices=("auto", "on", "off"))
    text = "how a dialog is written for the model; auto: as its files say"
    add("--chat-format", text, choices=("auto", "inst", "source-step", "template"))
    text = "psm: the code before the cursor first, spm: that after it; auto: mostly spm"
    add("--layout", text, choices=("auto", "psm", "spm"))


def _sampling(made: argparse.ArgumentParser, prefix: str, top_p: float) -> None:
    text = f"the tokens that make up so much of the probability are chosen from (default: {top_p:g})"
    made.add_argument("--top-p", dest=f"{prefix}top_p", type=_number(float, 0, 1), metavar="P", help=text)
    text = "the same one with the same prompt gives the same answer"
    made.add_argument("--seed", type=_number(int, 0, 2**31 - 32), metavar="N", help=text)
    text = "so many answers, one after the other; with a temperature they differ"
    made.add_argument("--count", type=_number(int, 1, 16), default=1, metavar="N", help=text)


def _cards(word: str) -> str:
    """What reads graphics cards that are thought of; `machine.thought_of` makes them."""
    if not re.fullmatch(r"0|none|(\d{1,2}x)?\d{1,4}(\.\d+)?(,(\d{1,2}x)?\d{1,4}(\.\d+)?)*", word):
        raise argparse.ArgumentTypeError(f"must be GiB as in 24, 2x24 or 24,80, or 0 for none, not {word!r}")
    return word


def _number(kind: type[int] | type[float], low: int, high: int) -> Callable[[str], float]:
    """What reads an option that is a number; a wrong one is wrong usage, told before anything is started."""
    name = "a whole number" if kind is int else "a number"

    def read(word: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= (value := kind(word)) <= high:
                return value
        raise argparse.ArgumentTypeError(f"must be {name} from {low} to {high}, not {word!r}")

    return read
