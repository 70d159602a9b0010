"""Every command in the pages and the README runs: here, or where a mark above it says.

    <!-- run by FILE -->          a test or script that runs it, and names its subcommand
    <!-- run by FILE::TEST -->
    <!-- not run: WHY -->

What asks a model is given one that stands in for it.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from actions.stand_in import stand_in
from forking import program

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("editors/*/README.md"))]
PAGES += [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md")]
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>run by|not run:) (?P<where>[^>]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
SHELLS = ("console", "sh", "shell", "bash")
APP = "import os\n\n\n" + "".join(f"def f{n}(x):\n    y = x + {n}\n    return y\n\n\n" for n in range(4))


@dataclass(frozen=True)
class Block:
    """The commands of one block, and who runs them: `mark` is "" where nobody is named."""

    page: str
    commands: tuple[str, ...]
    mark: str
    where: str


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
            if match["kind"] in SHELLS:
                commands = re.findall(r"^ *\$ (.+)$", match["text"], re.MULTILINE)
                name = page.relative_to(ROOT).as_posix()
                found.append(Block(name, tuple(commands), match["mark"] or "", match["where"] or ""))
    return found


def test_commands_are_written_so_that_they_are_found() -> None:
    assert [block for block in blocks() if not block.commands] == [], (
        "begin each command with `$ ` in a ```console block"
    )
    assert len(blocks()) > 10


def test_who_is_said_to_run_a_command_names_it() -> None:
    for block in blocks():
        if block.mark == "run by":
            file, _, rest = block.where.partition(":")
            text = (ROOT / file).read_text(encoding="utf-8")
            name = rest.removeprefix(":").strip()
            assert name in text, block
            if rest.startswith(":"):
                assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), block
            if block.commands[0].startswith("codellama-ls "):
                assert re.search(rf"\b{shlex.split(block.commands[0])[1]}\b", text), block
        elif block.mark == "not run:":
            assert len(block.where.split()) >= 3, f"say why: {block}"


async def test_the_others_run(tmp_path: Path, tokenizer_folder: Callable[..., Path], engines: Path) -> None:
    project, home, programs = tmp_path / "project", tmp_path / "home", tmp_path / "bin"
    for folder in (project / "src", home, programs):
        folder.mkdir(parents=True)
    (project / "src" / "app.py").write_text(APP, encoding="utf-8")
    dialog = [{"role": "user", "content": "What is a heap?"}]
    (project / "dialog.json").write_text(json.dumps(dialog), encoding="utf-8")
    env = {"HOME": str(home), "PATH": f"{programs}:/usr/bin:/bin", "CODELLAMA_LS_RUNTIME": str(engines)}
    async with stand_in() as engine:
        engine.answers = ["x + 1"]
        model = f"--engine-url {engine.url} --chat-format inst --tokenizer {tokenizer_folder('7b')}"
        ours = shlex.join(program("-m", "lsp_server"))
        script = f'case "$1" in complete|prompt|chat) exec {ours} "$@" {model};; *) exec {ours} "$@";; esac'
        (programs / "codellama-ls").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "codellama-ls").chmod(0o755)
        every = [(block.page, command) for block in blocks() if not block.mark for command in block.commands]
        done = await asyncio.gather(*(run(command, project, env) for _, command in every))
    wrong = [
        f"{page}: {command}\n{said}" for (page, command), (status, said) in zip(every, done, strict=True) if status
    ]
    assert wrong == []
    assert len(every) >= 10


async def run(command: str, folder: Path, env: dict[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "bash", "-euc", command, cwd=folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode or 0, output.decode()[-600:]


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the pages' commands are for a POSIX shell")
