"""What a user sees: the real Neovim in a terminal. `SCREENSHOTS=1` keeps the pictures in the plugin's folder."""

from __future__ import annotations

import os
from pathlib import Path

import nvim as neovim
import pytest
from screen import Terminal

CODE = """def mean(values):
    {}


def add(a, b):
    return a + b


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def spread(values):
    return max(values) - min(values)


if __name__ == "__main__":
    numbers = [float(line) for line in open("numbers.txt")]
    print(mean(numbers), median(numbers), spread(numbers))
""".replace("{}", "")
ANSWER = (
    "`add` takes two values and returns their sum.\n\nWith types:\n\n```python\n"
    "def add(a: float, b: float) -> float:\n    return a + b\n```\n"
)
EDIT = """```python
def median(values):
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    middle, odd = divmod(len(ordered), 2)
    if odd:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
```"""


@pytest.mark.parametrize(("version", "dark"), [("0.11", False), ("0.12", True)])
def test_ghost_text_an_edit_and_chat_on_a_screen(version, dark, engine, tokenizer_folder, tmp_path):
    engine.suggestion = "return sum(values) / len(values)"
    engine.answers = [EDIT, ANSWER]
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / "stats.py").write_text(CODE)
    settings = neovim.settings(engine, tokenizer_folder())
    init = tmp_path / "init.lua"
    shade = "dark" if dark else "light"
    init.write_text(
        "vim.opt.runtimepath:prepend(vim.env.TEST_PLUGIN)\nvim.opt.swapfile = false\nvim.o.termguicolors = true\n"
        f"vim.o.background = '{shade}'\nvim.o.number = true\nvim.cmd.runtime('plugin/codellama.lua')\n"
        "vim.o.statusline = \"%t %m%=%{v:lua.require'codellama'.statusline()} \"\n"
        f"require('codellama').setup({{ settings = {neovim.lua_value(settings)}, chat = {{ size = 56 }} }})\n"
    )
    command = neovim.server_command(tmp_path / "bin")
    env = neovim.environment(tmp_path, {"TERM": "xterm-256color"}, path=command.parent)
    arguments = [str(neovim.binary(version)), "--clean", "-u", str(init), str(project / "stats.py")]
    terminal = Terminal(arguments, env, rows=28)
    pictures = neovim.PLUGIN / "screenshots" if os.environ.get("SCREENSHOTS") else tmp_path
    try:
        terminal.until("Code Llama: ready")
        terminal.type("jA")
        terminal.until("return sum(values)")
        terminal.pump(0.3)
        ghost, code = terminal.colours("sum(values) / len(values)"), terminal.colours("def add")
        assert len(ghost) == 1
        assert not ghost & code
        assert ghost != {"default"}
        terminal.picture(Path(pictures) / f"ghost-{shade}.svg", title=f"Neovim {version}", dark=dark)
        terminal.type("\t")
        terminal.until(lambda: terminal.colours("sum(values)") != ghost)
        terminal.type("\x1b:11\r:CodeLlama edit say so where there are no values\r")
        terminal.until("again g.")
        assert terminal.colours("raise ValueError") != terminal.colours("middle = len")
        terminal.picture(Path(pictures) / f"edit-{shade}.svg", title=f"Neovim {version}", dark=dark)
        terminal.type("g\x7f")
        terminal.until(lambda: not any("again g." in line for line in terminal.screen.display))
        terminal.type(":5,6CodeLlama chat\r")
        terminal.until("with stats.py, lines 5 to 6")
        terminal.until("-- INSERT --")
        terminal.type("What does this do?\x13")
        terminal.until("float) -> float")
        terminal.pump(0.6)  # what else is drawn, for the picture
        terminal.picture(Path(pictures) / f"chat-{shade}.svg", title=f"Neovim {version}", dark=dark)
    finally:
        terminal.close()
    assert list(Path(pictures).glob(f"*-{shade}.svg"))
