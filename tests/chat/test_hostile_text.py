"""Text of others on the user's terminal: of a model, a file's name, a stored conversation, a server, an argument.

What reaches a real terminal is looked at byte by byte. Of controls there may be those that rich and readline make of
their own: colours, moves over the line that is drawn anew, the cursor shown or not, and pasting in brackets.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lsp_server.chat.store import Store
from lsp_server.codellama import CodeLlamaTokenizer

from .wire import Engine

if sys.platform == "win32":
    pytest.skip("terminals", allow_module_level=True)
import pty

OWN = re.compile(
    r"\x1b\[[0-9;]*m"  # style
    r"|\x1b\[\?(?:25|2004)[hl]\r?"  # cursor, brackets
    r"|\r(?=\n)|\r?(?:\x1b\[1A)?\x1b\[2K"  # newlines of a terminal; the line that is drawn anew
)
# By hand, from ECMA-48, xterm's control sequences and Unicode's chapter 23: what must not arrive.
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
# (what somebody writes, what the user reads)
HOSTILE = {
    "\x1b]0;title\x07": "␛]0;title␇",
    "\x1b]52;c;cm0gLXJm\x07": "␛]52;c;cm0gLXJm␇",
    "\x1b]8;;http:away\x1b\\link": "␛]8;;http:away␛\\link",
    "\x1b[2J": "␛[2J",
    "\x1b[31mred": "␛[31mred",
    "\x9b2J": "<U+009B>2J",
    "\x9d0;t\x9c": "<U+009D>0;t<U+009C>",
    "over\rwritten": "over␍written",
    "b\x08\x08ack": "b␈␈ack",
    "\x7fdel": "␡del",
    "\u202eelif": "<U+202E>elif",
    "\u2066in\u2069": "<U+2066>in<U+2069>",
    "\u200bzero\ufeff": "<U+200B>zero<U+FEFF>",
    "\U000e0041tag": "<U+E0041>tag",
    "\ufff9under": "<U+FFF9>under",
}
TEXT = " ".join(HOSTILE)


@pytest.fixture
def engine(load: Callable[[str], CodeLlamaTokenizer]) -> Engine:
    return Engine(load("inst"))


@pytest.fixture
def command(
    engine: Engine, engines: Path, tmp_path: Path, tokenizer_folder: Callable[..., Path]
) -> Iterator[Callable[..., dict[str, Any]]]:
    """command("chat", "Hello"): arguments of `subprocess` for that command, with the stand-in as its engine."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(tokenizer_folder("7b"), folder)
    (folder / "chat_template.jinja").write_text("[INST] <<SYS>>")
    (tmp_path / "work").mkdir()
    environment = {**os.environ, "CODELLAMA_LS_DATA": str(tmp_path / "data"), "TERM": "xterm", "COLUMNS": "300"}
    environment["PYTHONPATH"] = os.getcwd()
    with engine.running() as url:

        def made(*words: str, remote: bool = True, **more: str) -> dict[str, Any]:
            options = ["--engine-url", url, "--tokenizer", str(folder)] if remote else []
            args = [sys.executable, "-m", "lsp_server", *words, *options]
            return {"args": args, "env": environment | more, "cwd": tmp_path / "work"}

        yield made


def on_terminal(command: dict[str, Any], typed: str = "", until: str = "", encoding: str = "utf-8") -> tuple[int, str]:
    """(exit status, all that reached a terminal that is the command's output); it is ended once `until` was said."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(**command, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    assert process.stdin is not None
    process.stdin.write(typed.encode())
    process.stdin.close()
    seen, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux: nobody has the other end open
                break
            if not part:
                break
            seen += part
        if until and until.encode() in seen:
            process.terminate()
    process.kill()
    os.close(ours)
    return process.wait(), seen.decode(encoding, "surrogateescape")


def readable(seen: str) -> str:
    """What the user reads, on one line; fails where something reached the terminal that must not."""
    rest = OWN.sub("", seen)
    found = FORBIDDEN.search(rest.replace("\n", "").replace("\t", ""))
    assert found is None, repr(rest[max(0, found.start() - 80) : found.end() + 40])
    return " ".join(rest.split())


def assert_all_readable(text: str, but: tuple[str, ...] = ()) -> None:
    missing = [shown for written, shown in HOSTILE.items() if shown not in text and written not in but]
    assert not missing, text


def test_an_answer(engine: Engine, command: Callable[..., dict[str, Any]]) -> None:
    entities = "&#x202e; and &#x200b; and `Vec<T>`, or Vec<T> <!-- seen -->"
    fence = f"```python\n# {TEXT}\n```"
    link = "[https://good.example](https://evil.example/x)"
    engine.answer = f"Prose {TEXT} {entities} {link}\n\n- item \x1b[6n\n\n{fence}\n\nThe *end*."
    status, seen = on_terminal(command("chat", "Say."))
    assert status == 0, seen
    prose, code = readable(seen).rsplit("# ", 1)  # half of "&#x202e;" may have been drawn before it was whole
    assert_all_readable(prose, but=("\x1b]8;;http:away\x1b\\link",))  # `\l` of Markdown; and it is in the code
    assert_all_readable(code)
    assert "<U+202E> and <U+200B> and Vec<T>, or Vec<T> <!-- seen -->" in prose, "all of it is shown"
    assert "(https://evil.example/x)" in prose, "a link does not hide where it leads"
    assert "item ␛[6n" in prose
    assert "\x1b[3mend\x1b[0m" in seen, "Markdown is rendered"


def test_an_answer_in_a_pipe_is_for_people_too(engine: Engine, command: Callable[..., dict[str, Any]]) -> None:
    engine.answer = f"{TEXT}\r\nnext\r\n\tlast \x1b"
    done = subprocess.run(**command("chat", "Say."), capture_output=True)
    assert done.returncode == 0, done.stderr
    expected = " ".join(HOSTILE.values()) + "\nnext\n\tlast ␛\n"
    assert done.stdout.decode() == expected


def test_a_stored_conversation(engine: Engine, command: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    engine.answer = TEXT
    subprocess.run(**command("chat", TEXT), capture_output=True, check=True)
    typed = "/list\n/open 1\n/preview " + TEXT.replace("\r", "") + "\n/export /dev/stdout\n/export out.md\n"
    status, seen = on_terminal(command("chat"), typed)
    assert status == 0
    text = readable(seen)
    assert_all_readable(text)
    assert len(re.findall("␛]52;c;", text)) >= 6, "the list; question and answer opened, to be sent, and exported"
    assert TEXT in (tmp_path / "work" / "out.md").read_bytes().decode(), "a file has it exactly"


def test_a_title_is_one_line_of_the_list(command: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    subprocess.run(**command("chat", "Hello"), capture_output=True, check=True)
    store = Store(tmp_path / "data")
    store.rename(store.summaries()[0].id, "one\n  2  2020-01-01 00:00  forged")
    store.close()
    done = subprocess.run(**command("chat"), input="/list\n", capture_output=True, text=True)
    assert len([line for line in done.stderr.splitlines() if re.match(r" +\d+  20", line)]) == 1, done.stderr


def test_a_files_name(engine: Engine, command: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    name = f"{TEXT}.py"
    (tmp_path / "work" / name).write_text("x = 1\n")
    for words in (
        ["complete", f"{name}:9:1"],
        ["prompt", f"{name}:9:1"],
        ["complete", f"{TEXT}.c:1:1"],
        ["chat", "Explain.", "--file", f"{name}:7-8"],
    ):
        status, seen = on_terminal(command(*words))
        assert status == 1, seen
        assert_all_readable(readable(seen))
    typed = f"/attach {name}\n/attach {TEXT}.c\n/preview Yes?\n".replace("\r", "")
    status, seen = on_terminal(command("chat"), typed)
    assert status == 0
    assert "␛]52;c;" in readable(seen)


def test_a_files_name_that_is_not_text(command: Callable[..., dict[str, Any]]) -> None:
    asked = command("complete", "no\udce9\udc9b.py:1:1")
    status, seen = on_terminal(asked)
    assert (status, readable(seen)) == (1, "codellama-ls: There is no no<U+DCE9><U+DC9B>.py; check its name.")
    done = subprocess.run(**asked, capture_output=True, text=True)
    assert done.stderr == "codellama-ls: There is no no<U+DCE9><U+DC9B>.py; check its name.\n"


def test_a_servers_words(engine: Engine, command: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "work" / "a.py").write_text("x = 1\n")
    engine.refusal = f"[bold][/nonsense] {TEXT}\nTraceback: second"
    engine.name = f"[/red]{TEXT}"
    for words in (["chat", "Hello"], ["complete", "a.py:1:6"]):
        status, seen = on_terminal(command(*words))
        assert status == 1, seen
        assert_all_readable(readable(seen))
        assert "[bold][/nonsense]" in readable(seen)
        assert "Traceback: second" in seen.strip().splitlines()[-1], "one line"
    status, seen = on_terminal(command("chat"), "Hello\n")
    assert status == 0
    assert_all_readable(readable(seen))
    status, seen = on_terminal(command("doctor"))
    assert status == 0, seen
    assert_all_readable(readable(seen))


def test_code_is_exact_in_a_pipe_and_visible_on_a_terminal(
    engine: Engine, command: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "work" / "a.py").write_text("x =\n")
    engine.answer = '"👩\u200d💻 é"'
    place = command("complete", "a.py:1:4")
    done = subprocess.run(**place, capture_output=True)
    assert done.stdout == ' "👩\u200d💻 é"\n'.encode(), done.stderr
    narrow = command("complete", "a.py:1:4", PYTHONIOENCODING="cp1252")
    assert subprocess.run(**narrow, capture_output=True).stdout == done.stdout, "code is UTF-8, as files are"
    status, seen = on_terminal(place)
    assert status == 0
    assert '"👩<U+200D>💻 é"' in readable(seen)
    done = subprocess.run(**command("complete", "a.py:1:4", "--json"), capture_output=True, check=True)
    assert re.fullmatch(rb"[\n -~]+", done.stdout)
    assert json.loads(done.stdout)["suggestion"] == ' "👩\u200d💻 é"'


WITHOUT_UTF8 = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize(
    ("encoding", "more"),
    [("ascii", {"PYTHONIOENCODING": "ascii"}), ("cp1252", {"PYTHONIOENCODING": "cp1252"}), ("ascii", WITHOUT_UTF8)],
)
def test_an_encoding_that_cannot_hold_it(
    engine: Engine, command: Callable[..., dict[str, Any]], encoding: str, more: dict[str, str]
) -> None:
    engine.answer = "- 漢字 \x1b[2J **bold**\n\n```python\n漢\n```"
    asked = command("chat", "Say. ❓", **more)
    done = subprocess.run(**asked, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"<U+6F22><U+5B57>" in done.stdout
    status, seen = on_terminal(asked, encoding=encoding)
    assert status == 0, seen
    assert "<U+6F22><U+5B57>" in readable(seen)


@pytest.mark.parametrize("words", [["models"], ["complete", "漢\x1b.py:1:1"]])
def test_other_commands_with_such_an_encoding(words: list[str], command: Callable[..., dict[str, Any]]) -> None:
    done = subprocess.run(**command(*words, remote=False, **WITHOUT_UTF8), capture_output=True)
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    status, seen = on_terminal(command(*words, remote=False, **WITHOUT_UTF8), encoding="ascii")
    assert status == int(words[0] == "complete"), seen
    readable(seen)


def test_what_is_typed_need_not_be_text(command: Callable[..., dict[str, Any]]) -> None:
    done = subprocess.run(**command("chat"), input=b"caf\xe9?\n", capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"Yes.\n"), done.stderr


def test_an_argument(command: Callable[..., dict[str, Any]]) -> None:
    for words in (["complete", "a.py:1:1", f"--{TEXT}"], ["chat", "--max-tokens", TEXT], ["engine", f"--{TEXT}"]):
        status, seen = on_terminal(command(*words, remote=False))
        assert status == 2
        assert "usage: codellama-ls" in readable(seen)
    status, seen = on_terminal(command("complete", TEXT, remote=False))
    assert status == 1
    assert_all_readable(readable(seen))


def test_the_engines_log(command: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    folder = tmp_path / "work" / TEXT
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": TEXT, "architectures": [TEXT]}))
    _, seen = on_terminal(command("engine", "--model", str(folder), remote=False), until="ERROR")
    assert_all_readable(readable(seen))
    status, seen = on_terminal(command("complete", "a.py:1:1", "--model", str(folder), remote=False))
    assert status == 1
    readable(seen)


def test_a_reader_that_leaves_and_a_full_disk(command: Callable[..., dict[str, Any]]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(**command("models", remote=False), stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    if Path("/dev/full").exists():
        with open("/dev/full", "wb") as full:
            done = subprocess.run(**command("models", remote=False), stdout=full, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (1, b"codellama-ls: No space left on device.\n")
