"""The next edit in the real Neovim: where it is shown, and what the keys do."""

from __future__ import annotations

from nvim import wait

FIVE = "def area(shape):\n    w = shape.side\n    print(w)\n    check(w)\n    double = w * 2\n    return double * w\n"
CALLS = "def area(w, unit):\n    return w\n\n\nprint(area(1, 2))\nprint(area(3, 4))\n"
OTHER = "from main import area\n\ntotal = area(5, 6)\nshown = total\n"
REPEAT = 'print("a", 1)\nprint("b", 2)\nprint("c", 3)\n'


def shown(nvim):
    """(row, text) of what is shown."""
    space = nvim.nvim.api.create_namespace("codellama.next_edit")
    marks = nvim.nvim.api.buf_get_extmarks(0, space, 0, -1, {"details": True})
    return [(row, mark["virt_text"][0][0]) for _, row, _, mark in marks if "virt_text" in mark]


def wait_shown(nvim, row, text):
    wait(
        lambda: shown(nvim) == [(row, text)],
        what=lambda: f"{text!r} on row {row}; there is {shown(nvim)}, {nvim.lines}, {nvim.said}",
    )


def test_the_other_four_uses_with_five_keys_and_undo_in_one_step_each(start, engine, version):
    nvim = start(version, text=FIVE)
    nvim.input("jwciwside<Esc>")
    wait_shown(nvim, 2, "side")
    assert nvim.lines[2] == "    print(w)", "nothing is changed yet"
    nvim.input("<Tab>")
    wait(lambda: nvim.nvim.current.window.cursor == (3, 10), what=lambda: nvim.nvim.current.window.cursor)
    for row, then in ((2, (3, "side")), (3, (4, "side")), (4, (5, "side"))):
        nvim.input("<Tab>")
        wait_shown(nvim, *then)
        wait(lambda row=row: nvim.nvim.current.window.cursor[0] == row + 2, what="the cursor goes on")
    nvim.input("<Tab>")
    wanted = FIVE.replace("w ", "side ").replace("(w)", "(side)").replace("* w", "* side").splitlines()
    wait(lambda: nvim.lines == wanted, what=lambda: nvim.lines)
    assert shown(nvim) == []
    nvim.input("u")
    wait(lambda: nvim.lines[5] == "    return double * w" and nvim.lines[4] == "    double = side * 2")

    # What is not wanted goes, and leaves its keys as they were.
    assert nvim.lua("return vim.fn.maparg('<Tab>', 'n')") == ""


def test_a_parameter_through_two_files_what_is_repeated_and_what_is_not_wanted(start, engine, version, tmp_path):
    nvim = start(version, text=CALLS)
    (tmp_path / "project" / "other.py").write_text(OTHER)
    nvim.command(f"badd {tmp_path / 'project' / 'other.py'} | call bufload('other.py')")
    nvim.command("buffer other.py | buffer main.py")
    nvim.command("normal! gg0f,")
    nvim.input("dt)")  # the second parameter
    wait_shown(nvim, 4, "1")
    nvim.input("<Tab><Tab>")
    wait(lambda: nvim.lines[4] == "print(area(1))", what=lambda: nvim.lines)
    wait_shown(nvim, 5, "3")
    nvim.input("<Tab>")
    wait(lambda: nvim.lines[5] == "print(area(3))", what=lambda: nvim.lines)
    wait(lambda: "other.py:3" in (shown(nvim) or [(0, "")])[0][1], what=lambda: shown(nvim))
    nvim.input("<Tab>")
    wait_shown(nvim, 2, "5")
    nvim.input("<Tab>")
    wait(lambda: nvim.lines[2] == "total = area(5)", what=lambda: nvim.lines)

    nvim.nvim.current.buffer[:] = REPEAT.splitlines()
    for row in (1, 2):
        nvim.input(f"{row}G0ciwlog<Esc>")
        wait(lambda row=row: nvim.lines[row - 1].startswith("log"))
    wait_shown(nvim, 2, "log")
    nvim.input("<Esc>")
    wait(lambda: shown(nvim) == [], what="it goes")
    nvim.command("CodeLlama next")
    nvim.wait_said("nothing follows from the last change")
    assert nvim.lua("return vim.fn.maparg('<Tab>', 'n') .. vim.fn.maparg('<Esc>', 'n')") == ""
