"""`codellama-ls chat` as a process: plain where output is a pipe, rendered on a terminal, Ctrl-C as stop."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lsp_server.chat.store import Store
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.commands.rendering import complete_blocks

from .wire import Engine

TEMPLATE = "[INST] <<SYS>>"
# The command as the command line would call it.
PROGRAM = """
import argparse, sys
from lsp_server.commands import Failed, chat
parser = argparse.ArgumentParser()
parser.add_argument("question", nargs="?")
for name in ("--engine-url", "--tokenizer"):
    parser.add_argument(name, default="")
parser.add_argument("--file", action="append")
parser.add_argument("--max-tokens", type=int, default=1024)
parser.add_argument("--temperature", type=float, default=0.2)
try:
    sys.exit(chat.run(parser.parse_args(), {"explain": "Explain this code."}))
except Failed as error:
    sys.exit(f"codellama-ls: {error}")
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def engine(load: Callable[[str], CodeLlamaTokenizer]) -> Engine:
    return Engine(load("inst"))


@pytest.fixture
def command(engine: Engine, tmp_path: Path, tokenizer_folder: Callable[..., Path]) -> Iterator[dict[str, Any]]:
    """Arguments of `subprocess`, but for what stands at the end of `args`."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tokenizer_folder("7b"), folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    environment = {
        **os.environ,
        "CODELLAMA_LS_DATA": str(tmp_path / "data"),
        "PYTHONPATH": os.getcwd(),
        "TERM": "xterm",
    }
    (tmp_path / "work").mkdir()
    with engine.running() as url:
        args = [sys.executable, "-c", PROGRAM, "--engine-url", url, "--tokenizer", str(folder)]
        yield {"args": args, "env": environment, "cwd": tmp_path / "work"}


def told(command: dict[str, Any], *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    args = [*command["args"], *words]
    rest = {"env": command["env"], "cwd": command["cwd"], "timeout": 60}
    return subprocess.run(args, input=typed, capture_output=True, text=True, check=False, **rest)


def test_one_question_one_answer(engine: Engine, command: dict[str, Any], tmp_path: Path) -> None:
    engine.answer = "It is **one**.\n\n```python\nx\n```"
    (tmp_path / "work" / "a.py").write_text("a\nb\nc\n")
    done = told(command, "What is it?", "--file", "a.py:2-3")
    assert (done.returncode, done.stdout) == (0, engine.answer + "\n"), done.stderr
    assert re.search(r"\d+ prompt tokens \(0 reused\), \d+ generated, the first after [\d.]+ ms", done.stderr)
    assert "Selected in `a.py`, lines 2-3:\n```python\nb\nc\n```" in engine.tokenizer.decode(engine.prompts[0])
    (tmp_path / "work" / ".env").write_text("KEY=1")
    for place, words in ((".env", "secrets"), ("missing.py", "There is no missing"), ("a.py:9", "there is no line 9")):
        done = told(command, "What is it?", "--file", place)
        assert done.returncode == 1
        assert words in done.stderr
        assert done.stdout == ""


def test_what_is_piped_in_goes_with_a_question(engine: Engine, command: dict[str, Any], tmp_path: Path) -> None:
    done = told(command, "Why?", typed="error: no such table\n")
    assert (done.returncode, done.stdout) == (0, "Yes.\n"), done.stderr
    seen = engine.tokenizer.decode(engine.prompts[0])
    assert "`standard input`:\n```\nerror: no such table\n```\n\nWhy? [/INST]" in seen
    told(command, "Why?", typed="")
    assert "standard input" not in engine.tokenizer.decode(engine.prompts[1])
    (tmp_path / "log").write_bytes(b"\x89PNG\0\xff")
    with (tmp_path / "log").open("rb") as log:
        args = [*command["args"], "Why?"]
        done = subprocess.run(**{**command, "args": args}, stdin=log, capture_output=True, text=True)
    assert (done.returncode, done.stdout, len(engine.prompts)) == (1, "", 2)
    assert "The text on standard input is not UTF-8 (byte 0)" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_pipe_that_does_not_end_is_waited_for_until_ctrl_c(command: dict[str, Any]) -> None:
    args = [*command["args"], "Why?"]
    with subprocess.Popen(**{**command, "args": args}, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert (said, process.returncode) == ("Reading standard input to its end.\n", 130)


def test_a_conversation(engine: Engine, command: dict[str, Any], tmp_path: Path) -> None:
    lines = ["one \\", "and more", "/explain it", "/rename Named", "/list", "/export out.md", "/edit two", "/nonsense"]
    done = told(command, typed="\n".join(["/help", *lines, "/new", "three", "/open 1", "/open 9", "/quit", "never"]))
    assert done.returncode == 0, done.stderr
    shown = [engine.tokenizer.decode(prompt) for prompt in engine.prompts]
    assert "one \nand more [/INST]" in shown[0]
    assert "Explain this code.\n\nit [/INST]" in shown[1]
    assert "two [/INST]" in shown[2]
    assert "Explain" not in shown[2]
    assert len(shown) == 4, "and not what is no command"
    assert "  1  " in done.stderr
    assert "Say the number of a conversation" in done.stderr
    assert (tmp_path / "work" / "out.md").read_text().startswith("# Named\n")
    assert [one.title for one in Store(tmp_path / "data").summaries()] == ["three", "Named"]


def test_commands_that_lack_something_say_what(command: dict[str, Any], tmp_path: Path) -> None:
    none = "No conversation has begun; ask a question, or /open one of the /list."
    folder = tmp_path / "work" / "no"
    wanted = (
        ("/list", "There are no conversations yet."),
        ("/rename x", none),
        ("/export out.md", none),
        ("/regenerate", none),
        ("/edit x", none),
        ("one", ""),
        ("/rename", "/rename needs more: see /help."),
        ("/export", "/export needs more: see /help."),
        ("/edit", "/edit needs more: see /help."),
        ("/attach", "/attach needs more: see /help."),
        ("/list nothing of this", "There are no such conversations."),
        ("/export no/out.md", f"There is no folder {folder} to write into; make it first, or name another."),
        ("/export a.py", "a.py is there already, and would be lost; name a new file."),
        ("/attach a.py", "a.py goes with the next question."),
        ("/export out.md", "Written to out.md."),
    )
    (tmp_path / "work" / "a.py").write_text("a\n")
    done = told(command, typed="\n".join(typed for typed, _ in wanted))
    lines = [line for line in done.stderr.splitlines() if "prompt tokens" not in line]
    sentences = [said for _, said in wanted if said]
    assert lines[-len(sentences) :] == sentences
    assert done.stdout == "Yes.\n"
    assert (tmp_path / "work" / "a.py").read_text() == "a\n"


def test_what_is_no_question_is_told_and_not_sent(engine: Engine, command: dict[str, Any], tmp_path: Path) -> None:
    names = "/help, /new, /system, /attach, /list, /open, /delete, /rename, /export, /regenerate, /edit, /preview"
    known = f"there are {names}, /quit, /exit, /explain."
    code = "/explain is about code that goes with it: /attach FILE first, or write /explain @FILE."
    wanted = (
        ("/hlep", "There is no command /hlep; did you mean /help? Nothing was sent."),
        ("/zzzzz", f"There is no command /zzzzz; {known} Nothing was sent."),
        ("/explain", code),
        ("Why @a.py:3-2", "a.py:3-2 ends before it begins; write the first line first. Nothing was sent."),
        ("Why @a.py:900-20", "a.py has 3 lines; there is no line 900 to attach. Nothing was sent."),
        ("/attach a.py:3-2", "3-2 are no lines of a.py: they count from 1, the first before the last."),
        ("/attach a.py:0", "0 are no lines of a.py: they count from 1, the first before the last."),
        ("/open", "Say the number of a conversation in the last /list."),
    )
    (tmp_path / "work" / "a.py").write_text("a\nb\nc\n")
    done = told(command, typed="\n".join(typed for typed, _ in wanted))
    assert [line for line in done.stderr.splitlines() if line.strip()][-len(wanted) :] == [said for _, said in wanted]
    done = told(command, "/explain")
    assert (done.returncode, done.stdout, code in done.stderr) == (1, "", True)
    assert told(command, "/new").returncode == 1
    done = told(command, " ")
    assert done.returncode == 1
    assert "The question is empty; write one, or leave it out to talk." in done.stderr
    assert (engine.prompts, Store(tmp_path / "data").summaries()) == ([], [])
    asked = ("/explain @a.py:1-2", "/explain", "/etc/hosts is what?", "/sys is read-only, why?")
    done = told(command, typed="\n".join(asked))
    assert len(engine.prompts) == len(asked), "the second is about the code of the first"


def test_what_is_deleted_elsewhere_ends_no_chat(engine: Engine, command: dict[str, Any], tmp_path: Path) -> None:
    with subprocess.Popen(**command, stdin=-1, stdout=-1, stderr=-1, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("alpha\n")
        assert process.stdout.readline() == "Yes.\n"
        process.stdin.write("/rename First\n")  # the answer is kept by then
        store = Store(tmp_path / "data")
        deadline = time.monotonic() + 60
        while [each.title for each in store.summaries()] != ["First"] and time.monotonic() < deadline:
            time.sleep(0.05)
        store.delete(store.summaries()[0].id)
        _, told_of = process.communicate("two\nthree\n", timeout=60)
    assert told_of.count("This conversation was deleted elsewhere; here a new one begins") == 1
    assert "alpha" not in engine.tokenizer.decode(engine.prompts[1])
    assert "two" in engine.tokenizer.decode(engine.prompts[2])
    (left,) = store.summaries()
    assert (left.title, len(store.get(left.id).turns)) == ("two", 4)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_one_question_that_is_interrupted_says_so_by_its_status(engine: Engine, command: dict[str, Any]) -> None:
    engine.answer, engine.pause = "word " * 500, 0.02
    args = [*command["args"], "Count."]
    with subprocess.Popen(**{**command, "args": args}, stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 4)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, b"Stopped. " in said) == (130, True)


def test_help_fits_a_narrow_terminal(command: dict[str, Any]) -> None:
    wide = told(command, typed="/help")
    assert "\n/attach FILE[:L1-L2]  attach to the next question\n" in wide.stderr
    command["env"]["COLUMNS"] = "40"
    assert "\n/attach FILE[:L1-L2]\n    attach to the next question\n" in told(command, typed="/help").stderr


def test_the_command_asks_the_model_for_chat(engine: Engine, command: dict[str, Any]) -> None:
    found = dict(zip(command["args"][3::2], command["args"][4::2], strict=True))
    words = ["--engine-url", "http://127.0.0.1:9", "--chat-engine-url", found["--engine-url"]]
    words += ["--chat-tokenizer", found["--tokenizer"]]
    args = [sys.executable, "-m", "lsp_server", "chat", "What is it?", *words]
    done = subprocess.run(args, env=command["env"], cwd=command["cwd"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "Yes.\n"), done.stderr


@pytest.mark.skipif(os.name == "nt", reason="terminals")
def test_ctrl_c_stops_the_answer_and_then_ends(engine: Engine, command: dict[str, Any], tmp_path: Path) -> None:
    import pty
    import termios

    engine.answer, engine.pause = "".join(f"**word** {number} and more\n\n" for number in range(200)), 0.01
    ours, theirs = pty.openpty()
    mode = termios.tcgetattr(theirs)
    mode[3] |= termios.NOFLSH  # the system would throw away what is not read yet where it comes upon Ctrl-C
    termios.tcsetattr(theirs, termios.TCSANOW, mode)
    process = subprocess.Popen(**command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    seen = ""

    def until(words: str, seconds: float = 60) -> None:
        nonlocal seen
        deadline = time.monotonic() + seconds
        while words not in seen and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                seen += os.read(ours, 4096).decode(errors="replace")
        assert words in seen, seen[-500:]

    until("> ")
    os.write(ours, b"Count.\n")
    until("and more")
    until("word", 5)
    os.write(ours, b"\x03")  # as a key, which is no signal here: shown, it would move what is drawn anew
    process.send_signal(signal.SIGINT)
    until("Stopped. ")
    assert "\x1b[1mword\x1b[0m" in seen, "Markdown is rendered"
    assert "^C" not in seen
    seen = seen.rpartition("Stopped. ")[2]  # the next prompt may have come along with it
    until("> ")
    time.sleep(0.3)  # the prompt is shown a moment before keys and signals are waited for
    process.send_signal(signal.SIGINT)
    until("Ctrl-C again")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    os.close(ours)
    store = Store(tmp_path / "data")
    answer = store.get(store.summaries()[0].id).turns[1]
    assert answer.finished == "stopped"
    assert 0 < len(answer.content) < len(engine.answer)


def test_only_whole_blocks_are_printed_for_good() -> None:
    assert complete_blocks("one\n\ntwo\n\nthr") == ("one\n\ntwo\n\n", "thr")
    assert complete_blocks("one\n\n") == ("", "one\n\n")
    assert complete_blocks("one\n\n```\na\n\nb") == ("one\n\n", "```\na\n\nb")
    assert complete_blocks("- a\n\n- b\n\n  more") == ("", "- a\n\n- b\n\n  more")
