"""What the model would be asked, and what was yanked in it, in the real Neovim."""

from __future__ import annotations

from nvim import wait

CODE = "value = \n" + "\n" * 200 + "def area(radius):\n    return radius * radius * 3\n"


def test_what_was_yanked_is_shown_in_the_prompt(start, engine, version):
    nvim = start(version, text=CODE)
    nvim.command("202,203yank")
    nvim.command("1")
    nvim.command("CodeLlama prompt")
    wait(lambda: len(nvim.nvim.windows) == 2, what=f"the prompt; {nvim.said}")
    assert any("main.py (copied, copied in the editor)" in line for line in nvim.lines)
    text = "\n".join(nvim.lines)
    assert "# Path: main.py\n# def area(radius):\n#     return radius * radius * 3\n" in text
    assert nvim.nvim.windows[0].buffer.name.endswith("main.py")


def test_what_is_deleted_or_large_is_not_sent(start, engine, version):
    nvim = start(version, text=CODE)
    nvim.command("202,203delete")
    nvim.command("1,150yank")
    nvim.command("undo")
    nvim.command("1")
    nvim.command("CodeLlama prompt")
    wait(lambda: len(nvim.nvim.windows) == 2, what=f"the prompt; {nvim.said}")
    assert "copied" not in "\n".join(nvim.lines)
