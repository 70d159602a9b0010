"""Code actions in the real Neovim: by its own menu and by :CodeLlama."""

from __future__ import annotations

import re
import subprocess
import time

import pytest
from nvim import wait

CODE = "def add(a, b):\n    return a + b\n"
DOCUMENTED = '```python\ndef add(a, b):\n    """The sum."""\n    return a + b\n```'
FIXED = "```python\ndef add(a, b):\n    return a + c\n```"

PROBLEM = """
    local namespace = vim.api.nvim_create_namespace('other')
    local problem = { lnum = 1, col = 15, end_lnum = 1, end_col = 16, message = 'b is odd', source = 'lint' }
    vim.diagnostic.set(namespace, 0, { problem })
"""


def accept(nvim, row: int, line: str) -> None:
    """Look at the change, and accept it."""
    shown = """
        for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, -1, 0, -1, { details = true })) do
            for _, line in ipairs(mark[4].virt_lines or {}) do
                if vim.startswith(line[1][1], ...) then return true end
            end
        end
    """
    wait(lambda: nvim.lua(shown, line), what=lambda: f"the change; {nvim.said}")
    assert line not in nvim.lines
    wait(lambda: nvim.lua("return vim.fn.maparg('g<CR>', 'n') ~= ''"), what="all of it")
    nvim.input("g<CR>")
    wait(lambda: nvim.lines[row] == line, what=lambda: f"the edit; {nvim.said}, {nvim.lines}")


def test_neovims_own_menu(start, engine, version):
    nvim = start(version, text=CODE)
    engine.answers = [DOCUMENTED]
    nvim.lua("""
        vim.ui.select = function(items, options, done)
            _G.titles = vim.tbl_map(options.format_item, items)
            for _, item in ipairs(items) do
                if item.action.title:find('^Document') then return done(item) end
            end
        end
    """)
    nvim.input("gra")
    accept(nvim, 1, '    """The sum."""')
    assert "Document `add` (Code Llama)" in nvim.lua("return _G.titles")


def test_problems_of_other_servers_are_mended(start, engine, version):
    """Neovim sends a server only that server's own diagnostics."""
    nvim = start(version, text=CODE)
    engine.answers = [FIXED]
    nvim.command("2")
    nvim.command("CodeLlama fix")
    nvim.wait_said("no problem is reported on this line")
    nvim.lua(PROBLEM)
    nvim.command("CodeLlama fix")
    accept(nvim, 1, "    return a + c")
    nvim.input("u")
    wait(lambda: nvim.lines[1] == "    return a + b", what="the undo")


def test_documented_and_explained_by_command(start, engine, version):
    nvim = start(version, text=CODE)
    engine.answers = [DOCUMENTED, "It adds."]
    nvim.command("CodeLlama doc")
    accept(nvim, 1, '    """The sum."""')
    nvim.command("1,3CodeLlama explain")
    wait(lambda: len(nvim.nvim.windows) == 2, what=f"the answer; {nvim.said}")
    assert "It adds." in nvim.lines
    assert nvim.nvim.windows[0].buffer.name.endswith("main.py")
    nvim.input("q")
    wait(lambda: len(nvim.nvim.windows) == 1)


@pytest.mark.parametrize("option", ["readonly", "nomodifiable"])
def test_a_buffer_that_must_not_change(start, engine, version, option):
    nvim = start(version, text=CODE)
    engine.answers = [DOCUMENTED]
    nvim.command(f"setlocal {option}")
    nvim.command("CodeLlama doc")
    nvim.wait_said("so nothing was changed")
    assert nvim.lines == CODE.splitlines()


def test_the_file_is_closed_while_its_action_runs(start, engine, version):
    nvim = start(version, text=CODE)
    engine.answers = [DOCUMENTED]
    engine.gate.clear()
    nvim.command("CodeLlama doc")
    wait(lambda: engine.asked, what="the model to be asked")
    nvim.command("bwipeout")
    engine.gate.set()
    nvim.wait_said("closed")
    assert nvim.lua("return #vim.tbl_filter(vim.api.nvim_buf_is_loaded, vim.api.nvim_list_bufs())") <= 2
    assert "sum" not in "".join("".join(buffer[:]) for buffer in nvim.nvim.buffers if buffer.name.endswith("main.py"))


def test_stopped(start, engine, version):
    nvim = start(version, text=CODE)
    engine.answers = [DOCUMENTED]
    engine.gate.clear()
    nvim.command("CodeLlama doc")
    wait(lambda: engine.asked, what="the model to be asked")
    nvim.command("CodeLlama status")
    assert re.fullmatch(r"Code Llama: Document `add`: .*; :CodeLlama stop ends it\.", nvim.said[0])
    nvim.command("CodeLlama stop")
    assert nvim.said[1:] == ["Code Llama: stopped."]
    wait(lambda: engine.ended == 1, what="the model to be stopped")
    engine.gate.set()
    time.sleep(0.2)
    assert nvim.lines == CODE.splitlines()
    nvim.command("CodeLlama stop")
    nvim.wait_said("nothing is running")


def test_commit_message(start, engine, version, tmp_path):
    nvim = start(version, text=CODE)
    engine.answers = ["Add a sum"]
    project = tmp_path / "project"
    subprocess.run("rm -rf .git && git init -q . && git add main.py", shell=True, cwd=project, check=True)
    engine.gate.clear()
    nvim.command("CodeLlama commit")
    assert nvim.lua("return require('codellama').statusline()") == "Code Llama: writing"
    engine.gate.set()
    nvim.wait_said("commit message is in the register")
    assert nvim.lua("return vim.fn.getreg('\"')").startswith("Add a sum")
