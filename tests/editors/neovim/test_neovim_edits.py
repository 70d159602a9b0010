"""Edits in the real Neovim: shown in their place as they are written, accepted or discarded, all or by hunk."""

from __future__ import annotations

from pathlib import Path

import pytest
from nvim import wait

CODE = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n"
BOTH = (
    "```python\ndef add(a: int, b: int) -> int:\n    return a + b\n\n\n"
    "def sub(a: int, b: int) -> int:\n    return a - b\n```"
)
ADD, SUB = BOTH.splitlines()[1], BOTH.splitlines()[5]
MARKS = """
    local found = {}
    for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, -1, 0, -1, { details = true })) do
        if mark[4].line_hl_group then table.insert(found, 'old ' .. mark[2]) end
        for _, line in ipairs(mark[4].virt_lines or {}) do
            local text = table.concat(vim.tbl_map(function(chunk) return chunk[1] end, line))
            table.insert(found, (line[1][2] == 'CodeLlamaNew' and 'new ' or 'says ') .. vim.trim(text))
        end
    end
    return found
"""


def shown(nvim, kind: str) -> list[str]:
    """What is drawn of a change: its `old` rows, its `new` lines, and what it `says` above them."""
    return [each.partition(" ")[2] for each in nvim.lua(MARKS) if each.startswith(kind)]


def begin(start, engine, version, *, answer: str = BOTH, instruction: str = "add types"):
    nvim = start(version, text=CODE)
    engine.answers = [answer]
    nvim.command(f"%CodeLlama edit {instruction}")
    wait(lambda: any("again g." in each for each in shown(nvim, "says")), what=lambda: f"the change; {nvim.said}")
    return nvim


def test_streamed_in_its_place_and_accepted(start, engine, version):
    nvim = start(version, text=CODE)
    engine.answers, engine.pause = [BOTH], 0.05
    nvim.command("%CodeLlama edit add types")
    wait(lambda: shown(nvim, "new") == [ADD], what=lambda: f"the first line; {nvim.lua(MARKS)}")
    wait(lambda: any("token" in each for each in shown(nvim, "says")))
    assert nvim.lua("return require('codellama').statusline()") == "Code Llama: writing"
    assert "stops" in shown(nvim, "says")[0]
    wait(lambda: shown(nvim, "new") == [ADD, SUB], what=lambda: f"both; {nvim.lua(MARKS)}")
    wait(lambda: "all g<CR>" in shown(nvim, "says")[0], what=lambda: f"the end; {nvim.lua(MARKS)}")
    assert shown(nvim, "old") == ["0", "4"]
    assert nvim.lines == CODE.splitlines(), "nothing is changed yet"
    nvim.input("g<CR>")
    wait(lambda: nvim.lines[0] == ADD)
    assert (nvim.lines[4], nvim.lua(MARKS)) == (SUB, [])
    nvim.input("u")
    wait(lambda: nvim.lines == CODE.splitlines(), what="one step of undo")
    assert nvim.lua("return vim.fn.maparg('g<CR>', 'n')") == "", "the keys are given back"


@pytest.mark.parametrize("version", ["0.11"])
def test_by_hunk(start, engine, version):
    nvim = begin(start, engine, version)
    nvim.input("gg")
    nvim.input("]c")
    nvim.input("<CR>")
    wait(lambda: nvim.lines[4] == SUB)
    assert nvim.lines[0] == "def add(a, b):"
    assert shown(nvim, "new") == [ADD]
    nvim.input("gg")
    nvim.input("<BS>")
    wait(lambda: nvim.lua(MARKS) == [])
    assert nvim.lines == [*CODE.splitlines()[:4], SUB, "    return a - b"]


@pytest.mark.parametrize("version", ["0.11"])
def test_the_text_moves_on(start, engine, version):
    """Lines above move the change along; what the user changed themselves stays as they have it."""
    nvim = begin(start, engine, version)
    nvim.input("ggOimport os<Esc>Go# end<Esc>")
    nvim.command("6s/b/c/")
    nvim.command("CodeLlama accept")
    nvim.wait_said("1 of 2 hunks were left out")
    assert nvim.lines == ["import os", ADD, "    return a + b", "", "", "def suc(a, b):", "    return a - b", "# end"]


def test_stopped_by_escape_and_asked_again(start, engine, version):
    nvim = start(version, text=CODE)
    engine.answers, engine.pause = [BOTH], 0.1
    nvim.command("%CodeLlama edit add types")
    wait(lambda: shown(nvim, "new"))
    nvim.input("<Esc>")
    nvim.wait_said("stopped.")
    assert nvim.lua(MARKS) == []
    wait(lambda: engine.ended == 1, what="the model to be stopped")
    engine.pause = 0
    nvim.lua("vim.ui.input = function(options, done) _G.asked = options.default; done('add types, please') end")
    nvim.command("CodeLlama again")
    wait(lambda: shown(nvim, "new") == [ADD, SUB], what=lambda: f"the change; {nvim.said}")
    assert nvim.lua("return _G.asked") == "add types"
    nvim.input("g.")  # with other words still
    wait(lambda: nvim.lua("return _G.asked") == "add types, please")
    wait(lambda: "again g." in shown(nvim, "says")[0])
    nvim.command("CodeLlama discard")
    assert (nvim.lines, nvim.lua(MARKS)) == (CODE.splitlines(), [])


@pytest.mark.parametrize("version", ["0.11"])
def test_what_may_be_wrong_stands_there(start, engine, version):
    nvim = begin(start, engine, version, answer="```python\ndef add(a, b)\n    return a +\n```")
    assert shown(nvim, "says")[1].startswith(
        "Look closely before you accept it. With the model's answer the file would"
    )


@pytest.mark.parametrize("version", ["0.11"])
def test_an_answer_that_does_not_fit_any_more_is_told(start, engine, version):
    nvim = start(version, text=CODE)
    engine.answers = [BOTH]
    engine.gate.clear()
    nvim.command("%CodeLlama edit add types")
    wait(lambda: engine.asked)
    nvim.command("1s/add/plus/")
    engine.gate.set()
    nvim.wait_said("1 of 2 hunks were left out")
    assert shown(nvim, "new") == [SUB]


@pytest.mark.parametrize("version", ["0.11"])
def test_tests_are_shown_in_their_file(start, engine, version):
    nvim = start(version, text=CODE)
    engine.answers = ["```python\nfrom main import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n```"]
    nvim.command("CodeLlama tests")
    wait(lambda: "def test_add():" in shown(nvim, "new"), what=lambda: f"the tests; {nvim.said}, {nvim.lua(MARKS)}")
    assert nvim.nvim.current.buffer.name.endswith("test_main.py")
    assert nvim.lines == [""]
    nvim.input("g<CR>")
    wait(lambda: nvim.lines[-1] == "    assert add(1, 2) == 3")
    nvim.command("silent write")
    assert "def test_add():" in Path(nvim.nvim.current.buffer.name).read_text()
