"""Neovim: how long the plugin takes to draw ghost text once the reply is there, and to add to a long chat answer.

    python -m benchmarks.neovim

In the real Neovims, without a screen, with the language server itself; the engine is a stand-in that answers at once.
A time is from the reply in the client's hands until Neovim has redrawn its grid. Writes results/neovim.json.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "editors" / "neovim")]

import checkpoints
import nvim
from stand_in_engine import Engine

from benchmarks.results import keep, target

REPLIES = 50
WORDS = 5000

DRAWN = """
    _G.times = {}
    local rpc = vim.lsp.get_clients()[1].rpc
    local request = rpc.request
    rpc.request = function(method, params, callback, ...)
        return request(method, params, method:find('inline') and function(...)
            local start = vim.uv.hrtime()
            callback(...)
            vim.cmd.redraw()
            table.insert(_G.times, (vim.uv.hrtime() - start) / 1e6)
        end or callback, ...)
    end
"""

ADDED = """
    _G.times = {}
    local view = require('codellama.chat.view')
    local append = view.append
    view.append = function(text)
        local start = vim.uv.hrtime()
        append(text)
        vim.cmd.redraw()
        table.insert(_G.times, (vim.uv.hrtime() - start) / 1e6)
    end
"""


def main() -> None:
    """Measure, print, and write the results."""
    rows = []
    for version, method in (("0.11", "own"), ("0.12", "builtin"), ("0.12", "own")):
        times = drawn(version, method)
        median, worst = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        name = f"ghost text of three lines drawn after the reply, Neovim {version}, {method}, ms, median"
        rows.append(target(name, "under 2", median, median < 2, f"95th percentile {worst:.2f}"))
    for version in ("0.11", "0.12"):
        longest = max(added(version))
        name = f"the longest addition to a chat answer of {WORDS} words, Neovim {version}, ms"
        rows.append(target(name, "under 50", longest, longest < 50))
    keep("neovim", rows)


def drawn(version: str, method: str) -> list[float]:
    """Milliseconds from a reply until its ghost text is drawn, of several."""
    engine = Engine()
    engine.suggestion = "if a:\n        return b\n    return a"
    with tempfile.TemporaryDirectory() as name:
        editor = _editor(version, Path(name), engine, f"inline = {{ method = '{method}' }}")
        try:
            editor.lua(DRAWN)
            editor.input("jA")
            for count in range(1, REPLIES + 1):
                nvim.wait(lambda count=count: len(editor.lua("return _G.times")) >= count, what=f"reply {count}")
                assert editor.ghost()
                editor.input("<Esc>A")
            return [float(each) for each in editor.lua("return _G.times")]
        finally:
            editor.close()
            engine.close()


def added(version: str) -> list[float]:
    """Milliseconds of each addition to a long answer while it comes."""
    engine = Engine()
    block = "```python\nx = 1\n```\n\nsome words in a line of text\n"
    engine.answers = ["# Long\n\n" + block * (WORDS // 10)]
    with tempfile.TemporaryDirectory() as name:
        editor = _editor(version, Path(name), engine, "")
        try:
            editor.lua(ADDED)
            editor.command("CodeLlama chat Write.")
            nvim.wait(lambda: len(editor.chat_text()) > len(engine.answers[0]) and not editor.answering(), 60)
            return [float(each) for each in editor.lua("return _G.times")]
        finally:
            editor.close()
            engine.close()


def _editor(version: str, folder: Path, engine: Engine, setup: str) -> nvim.Neovim:
    settings = nvim.settings(engine, checkpoints.code_llama_tokenizer(folder / "tokenizer"))
    editor = nvim.in_project(version, folder, {**settings, "multiline": "always"}, setup=setup)
    editor.attached()
    return editor


if __name__ == "__main__":
    main()
