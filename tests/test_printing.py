"""What is printed: what of a text is made visible, and that nothing is printed past the one place that does it."""

from __future__ import annotations

import ast
import errno
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from lsp_server import printing

PACKAGE = Path(printing.__file__).parent
# The place itself, in its two parts.
PLACES = {"printing.py", "commands/console.py"}
# The language server's channel to the editor: JSON-RPC, which no terminal reads.
CHANNEL = {
    "server/stdio.py": {"sys.stdout", "os.write"},
    "codellama/rendering.py": {"sys.stdout"},  # a process whose reader is this program
    "engine/ending.py": {"os.write"},  # a pipe of its own
    "logs.py": {"os.write"},  # a file, in lines that are visible
}
# What prints, or makes something that does.
NAMES = {"print", "pprint", "breakpoint", "help"}
STREAMS = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "sys.displayhook", "sys.excepthook"}
CALLS = {
    *("argparse.ArgumentParser", "getpass.getpass", "os.write", "traceback.print_exc"),
    *("traceback.print_exception", "traceback.print_stack", "faulthandler.enable"),
    *("logging.basicConfig", "logging.StreamHandler", "logging.Formatter"),
}
# Of rich, what only draws within a `Terminal` may be used anywhere.
DRAWN = {"rich.markdown", "rich.table", "rich.text", "rich.live"}
MADE = {"Console", "Live"}


def past_the_place(path: str, source: str) -> list[str]:
    """What in a module prints, or makes a thing that prints, by itself."""
    found, allowed = [], CHANNEL.get(path, set())
    for node in ast.walk(ast.parse(source)):
        named = ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""
        if named in STREAMS - allowed or (isinstance(node, ast.Name) and named in NAMES):
            found.append(named)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            full = {f"{module}.{alias.name}" for alias in node.names}
            if (module.split(".")[0] == "rich" and module not in DRAWN) or full & (CALLS | STREAMS):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in ("rich", "curses")]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in (CALLS | MADE) - allowed or called.split(".")[-1] in {"Console"}:
                found.append(called)
            if called in ("sys.exit", "exit", "SystemExit") and any(not _number(each) for each in node.args):
                found.append(ast.unparse(node))  # a text would be printed
        elif isinstance(node, ast.keyword) and node.arg == "hyperlinks" and ast.unparse(node.value) != "False":
            found.append("hyperlinks")
    return found


def _number(node: ast.expr) -> bool:
    return not isinstance(node, (ast.JoinedStr, ast.BinOp)) and not (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_nothing_is_printed_elsewhere() -> None:
    files = {str(file.relative_to(PACKAGE).as_posix()): file for file in PACKAGE.rglob("*.py")}
    assert files.keys() >= PLACES | CHANNEL.keys()
    found = {
        name: past
        for name, file in files.items()
        if name not in PLACES and (past := past_the_place(name, file.read_text(encoding="utf-8")))
    }
    assert not found, "print by lsp_server.printing or lsp_server.commands.console"


@pytest.mark.parametrize(
    "source",
    [
        "print('x')",
        "import sys; sys.stdout.write('x')",
        "import sys; write = sys.stderr.write",
        "from sys import stdout",
        "from rich.console import Console",
        "from rich import print as show",
        "import rich",
        "c = terminal.Console()",
        "import logging; logging.basicConfig(level=1)",
        "import argparse; argparse.ArgumentParser()",
        "from argparse import ArgumentParser",
        "import json, sys; json.dump(1, sys.stdout)",
        "import sys; sys.exit(f'bad {x}')",
        "raise SystemExit('bad')",
        "from rich.live import Live; Live()",
    ],
)
def test_the_search_finds(source: str) -> None:
    assert past_the_place("commands/x.py", source)


def test_every_control_of_unicode_is_seen() -> None:
    """Python's own table of Unicode says which characters control, format, or separate lines."""
    before_a_word = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    hidden = {each for each in range(sys.maxunicode + 1) if unicodedata.category(chr(each)) in kinds}
    for each in hidden - before_a_word - {ord("\t"), ord("\n")}:
        shown = printing.visible(chr(each))
        assert shown.isprintable(), hex(each)
        assert shown, hex(each)


@pytest.mark.parametrize(
    "text",
    ["\ttab\nline", "naïve — “q”", "漢字 かな 한국어", "שלום مرحبا हिन्दी", "👩🏽 ❤️ 🇫🇷 │ e\u0301 \ue0b0", "[b] :+1:"],
)  # fmt: skip
def test_what_is_seen_anyway_stays(text: str) -> None:
    assert printing.visible(text) == text


def test_newlines() -> None:
    assert printing.visible("one\r\ntwo\rthree\n\r") == "one\ntwo␍three\n␍"
    assert printing.one_line("\n one\r\n\n  two\u2028three ") == "one two<U+2028>three"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "a\x1b.py"), "There is no a␛.py; check its name."),
        (IsADirectoryError(errno.EISDIR, "Is a directory", b"src"), "src is a folder; name a file."),
        (OSError(errno.EIO, "Input/output error", "{0} \u202e"), "{0} <U+202E>: Input/output error."),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device."),
        (ConnectionError("The engine\nis gone."), "The engine is gone."),
    ],
)  # fmt: skip
def test_an_error_is_one_sentence(error: OSError, said: str) -> None:
    assert printing.sentence(error) == said


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_a_log_line_cannot_be_forged() -> None:
    code = "import logging, warnings; from lsp_server import printing; printing.log_to_stderr('INFO'); "
    code += r"logging.info('file %s', 'a\x1b[2J\n2020-01-01 00:00:00,000 ERROR forged'); warnings.warn('b\u202e'); "
    code += r"logging.getLogger('uvicorn.error').warning('c\x9b')"
    first, second, third, *rest = python(code).stderr.splitlines()
    assert first.endswith(" INFO file a␛[2J")
    assert second == "    2020-01-01 00:00:00,000 ERROR forged"
    assert "b<U+202E>" in third
    assert rest[-1].endswith(" WARNING c<U+009B>")


ENDED = """
import asyncio, logging, sys
import anyio
from lsp_server import printing

async def main():
    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        await asyncio.sleep(10)

    async with await asyncio.start_unix_server(serve, sys.argv[1]):
        stream = await anyio.connect_unix(sys.argv[1])
        reading = asyncio.ensure_future(stream.receive())
        while not writers:
            await asyncio.sleep(0.01)
        writers[0].write(b"x")
        asyncio.get_running_loop().call_soon(reading.cancel)
        await asyncio.sleep(0.1)
        asyncio.get_running_loop().call_soon(int, "x")
        await asyncio.sleep(0.1)

printing.log_to_stderr("INFO")
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")
def test_a_request_that_is_ended_as_its_answer_comes_is_not_worth_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ENDED, str(tmp_path / "s")], capture_output=True, text=True)
    assert "InvalidStateError" not in done.stderr
    assert "invalid literal for int()" in done.stderr, "any other fault is told"


def test_a_fault_keeps_its_traceback_and_is_harmless() -> None:
    code = r"from lsp_server import printing; printing.prepare(); raise ZeroDivisionError('\x1b]0;t\x07 \udc80')"
    said = python(code).stderr
    assert said.startswith("Traceback (most recent call last)")
    assert said.endswith("ZeroDivisionError: ␛]0;t␇ <U+DC80>\n")
    code = r"import threading; from lsp_server import printing; printing.prepare(); "
    code += r"threading.Thread(target=lambda: 1 / int('0\x1b'.strip('\x1b'))).start(); "
    assert "ZeroDivisionError" in python(code).stderr


def test_json_is_ascii_without_controls() -> None:
    code = r"from lsp_server import printing; printing.as_json({'a': 'é\x1b\x7f\x9b\u202e\ud800'})"
    assert python(code).stdout == '{"a": "\\u00e9\\u001b\\u007f\\u009b\\u202e\\ud800"}\n'


def test_code_is_exact_where_no_terminal_reads_it() -> None:
    code = r"from lsp_server import printing; printing.prepare(); printing.code('\x1b[2J\u202e\r\né\ud800')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.stdout == "\x1b[2J\u202e\r\né<U+D800>\n".encode()
