"""The keys of the plugin, where there is nothing for them to do: what happens is what happens without the plugin.

What is right is not written down here: a second Neovim, in which the plugin is not set up, is typed into alongside.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nvim as neovim
import pytest
from nvim import Neovim, wait
from test_neovim_inline import ways

LINES = ["alpha beta alpine", "delta (one two)", "epsilon zeta"]
KEYS = ["<Tab>", "<M-w>", "<M-l>", "<M-n>", "<M-p>", "<C-]>"]

BEFORE = {
    "nothing": "",
    "text": "for _, k in ipairs(KEYS) do vim.keymap.set('i', k, 'mapped') end",
    "text mapped on": """
        vim.keymap.set('i', '<C-q>', 'further')
        for _, k in ipairs(KEYS) do vim.keymap.set('i', k, 'a<C-q>b', { remap = true }) end
    """,
    "expression": """
        vim.g.count = 0
        for _, k in ipairs(KEYS) do
          vim.keymap.set('i', k, function() vim.g.count = vim.g.count + 1 return '<C-w>' .. vim.g.count end,
            { expr = true })
        end
    """,
    "expression in Vim script": """
        for _, k in ipairs(KEYS) do vim.cmd('inoremap <expr> ' .. k .. ' "<" . col(".") . ">"') end
    """,
    "function": """
        for _, k in ipairs(KEYS) do
          vim.keymap.set('i', k, function() vim.api.nvim_put({ 'put' }, 'c', false, true) end)
        end
    """,
    "command": "for _, k in ipairs(KEYS) do vim.keymap.set('i', k, '<Cmd>normal! iran<CR>') end",
    "of the buffer": """
        vim.api.nvim_create_autocmd('BufEnter', { callback = function(event)
          for _, k in ipairs(KEYS) do vim.keymap.set('i', k, 'buffer', { buffer = event.buf }) end
        end })
    """,
    "of the buffer, over another": """
        for _, k in ipairs(KEYS) do vim.keymap.set('i', k, 'global') end
        vim.api.nvim_create_autocmd('BufEnter', { callback = function(event)
          for _, k in ipairs(KEYS) do
            vim.keymap.set('i', k, function() return 'buffer' end, { buffer = event.buf, expr = true })
          end
        end })
    """,
    "itself and more": "for _, k in ipairs(KEYS) do vim.keymap.set('i', k, k .. 'y', { remap = true }) end",
    "a longer one": "for _, k in ipairs(KEYS) do vim.keymap.set('i', k .. 'x', 'longer') end",
    "keys it stands for": """
        for _, k in ipairs({ 'w', 'l', 'n', 'p' }) do vim.keymap.set('n', k, 'Inormal ' .. k .. '<Esc>') end
        vim.keymap.set('i', '<Esc>', 'bye<Esc>')
    """,
    "langmap": "vim.o.langmap = 'wx,lx,nx,px'",
    "a language": "vim.cmd('lnoremap <Tab> tab') vim.cmd('lnoremap <M-w> word') vim.o.iminsert = 1",
    "abbreviations": "vim.cmd('iabbrev ab abbreviated')",
}
TYPED = {
    "alone": "A{key}x<Esc>",
    "in the middle": "wi{key}{key}x<Esc>",
    "after a word": "A ab{key}x<Esc>",
    "after one command": "A<C-o>{key}x<Esc>",
    "with one command": "A{key}<C-o>0x<Esc>",
    "in a macro": "qaA{key}x<Esc>qj0@aj@a",
    "repeated": "A{key}x<Esc>j.u",
    "overwriting": "wR{key}xy<Esc>",
    "by :normal": ':exe "normal A\\{key}x"<CR>',
    "as text": "A<C-v>{key}<Esc>",
    "in a fold": ":2,3fold<CR>A{key}jx<Esc>",
}


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Callable[[str, str], Neovim]]:
    """plain(version, lua): a Neovim without the plugin, in a project of its own."""
    started: list[Neovim] = []

    def make(version: str, lua: str) -> Neovim:
        folder = tmp_path / "plain"
        folder.mkdir()
        (folder / "main.py").write_text(neovim.TEXT)
        options = f"vim.opt.swapfile = false\n{lua}\n"
        started.append(Neovim(version, folder, folder / "main.py", options, neovim.environment(folder), plugin=False))
        return started[-1]

    yield make
    for each in started:
        each.close()


def with_keys(lua: str) -> str:
    return f"local KEYS = {neovim.lua_value(KEYS)}\n{lua}"


numbers = itertools.count()
RESET = """
    local lines = ...
    vim.api.nvim_buf_set_lines(0, 0, -1, false, lines)
    vim.fn.setreg('a', '') vim.fn.setreg('/', '') vim.fn.setreg('"', 'yanked')
    vim.g.count = 0
    vim.cmd('normal! zE')
    vim.api.nvim_win_set_cursor(0, { 1, 0 })
"""
STATE = """
    return {
      lines = vim.api.nvim_buf_get_lines(0, 0, -1, false),
      cursor = vim.api.nvim_win_get_cursor(0),
      mode = vim.api.nvim_get_mode().mode,
      macro = vim.fn.keytrans(vim.fn.getreg('a')),
      unnamed = vim.fn.getreg('"'),
      fold = vim.fn.foldclosed(2),
    }
"""


def typed(nvim: Neovim, keys: str) -> dict[str, object]:
    """What there is after these keys have been typed into LINES, and how they got into the register a."""
    number = next(numbers)
    nvim.command("stopinsert")
    wait(lambda: nvim.mode == "n", what=f"normal mode instead of {nvim.mode}")
    nvim.lua(RESET, LINES)
    nvim.input(keys)
    nvim.input(f"<Cmd>let g:typed = {number}<CR>")
    wait(lambda: nvim.lua("return vim.g.typed") == number, what=f"{keys} to be typed")
    return dict(nvim.lua(STATE))


@pytest.mark.parametrize("before", BEFORE)
def test_without_a_suggestion_a_key_does_what_it_does_without_the_plugin(start, plain, engine, version, before):
    engine.suggestion = ""
    lua = with_keys(BEFORE[before])
    ours, theirs = start(version, lua=lua), plain(version, lua)
    wrong = []
    for key in KEYS if before in ("nothing", "langmap", "keys it stands for") else KEYS[:2] + KEYS[-1:]:
        for way, keys in TYPED.items():
            keys = keys.replace("{key}", key)
            if (came := typed(ours, keys)) != (right := typed(theirs, keys)):
                wrong.append((key, way, came, right))
    assert not wrong


@pytest.mark.parametrize("before", ["nothing", "text", "of the buffer", "of the buffer, over another", "langmap"])
@ways
def test_once_a_suggestion_is_gone_so_are_its_keys(start, plain, engine, version, method, before):
    lua = with_keys(BEFORE[before])
    ours = start(version, lua=lua, setup=f"inline = {{ method = '{method}' }}")
    theirs = plain(version, lua)
    words = [f"{letter}z" for letter in "abdeghijkmno"]  # one each: an answer for the last one may come late
    for (key, typing), word in zip(itertools.product(KEYS, [False, True]), words, strict=True):
        leave = word if typing else "<C-]>"
        engine.suggestion = "return a + b"
        typed(ours, "")
        ours.input("A")
        ours.wait_ghost("return a + b")
        assert ours.lua("return vim.fn.maparg(..., 'i', false, true).desc", key).startswith("Code Llama")
        engine.suggestion = ""
        ours.input(leave)
        wait(lambda: not ours.ghost(), what="the ghost text to go")
        ours.input(f"{key}x<Esc>")
        wait(lambda: ours.mode == "n")
        right = typed(theirs, f"A{word if typing else ''}{key}x<Esc>")["lines"]
        wait(lambda right=right: ours.lines == right, what=lambda right=right: f"{right}, there is {ours.lines}")


@pytest.mark.parametrize("before", ["nothing", "text", "of the buffer", "function"])
@ways
def test_with_a_suggestion_the_key_takes_it(start, engine, version, method, before):
    nvim = start(version, lua=with_keys(BEFORE[before]), setup=f"inline = {{ method = '{method}' }}")
    for _ in range(2):
        engine.suggestion = "return foo(a)"
        typed(nvim, "")
        nvim.input("A")
        nvim.wait_ghost("return foo(a)")
        engine.suggestion = ""
        nvim.input("<M-w>")
        wait(lambda: nvim.lines[0] == f"{LINES[0]}return", what="a word")
        nvim.input("<M-w><M-w>")  # the second and the third at once, before anybody is asked for the rest
        wait(lambda: nvim.lines[0] in (f"{LINES[0]}return foo", f"{LINES[0]}return foo("), what="another word")
        nvim.wait_ghost("return foo(a)".removeprefix(nvim.lines[0].removeprefix(LINES[0])))
        nvim.input("<Tab>")
        wait(lambda: nvim.lines[0] == f"{LINES[0]}return foo(a)", what="the rest")
        nvim.input("<Esc>")


@ways
def test_word_by_word_without_a_pause(start, engine, version, method):
    """What is left is there at once: a key that found nothing would leave insert mode, as Neovim has it."""
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}")
    engine.suggestion = "one if two else five"
    nvim.input("jA")
    nvim.wait_ghost("one if two else five")
    for count in range(1, 5):
        nvim.input("<M-w>")
        words = ["one", "if", "two", "else", "five"][:count]
        wait(lambda words=words: nvim.lines[1].split() == words, what=f"{words}, there is {nvim.lines}")
    assert nvim.mode == "i"


def test_a_key_that_is_mapped_while_there_is_a_suggestion_stays_mapped(start, engine, version):
    nvim = start(version)
    nvim.input("jA")
    nvim.wait_ghost("return a + b")
    nvim.lua("vim.keymap.set('i', '<M-w>', 'mine', { buffer = 0 })")
    engine.suggestion = ""
    nvim.input("<C-]>")
    wait(lambda: not nvim.ghost(), what="the ghost text to go")
    nvim.input("<M-w><Esc>")
    wait(lambda: nvim.mode == "n")
    assert nvim.lines[1].strip() == "mine"


@pytest.mark.parametrize("before", ["nothing", "text", "of the buffer"])
@ways
def test_the_popup_menu_has_the_keys(start, plain, engine, version, method, before):
    """While an entry is selected, a key does what it does there without the plugin, also where there is ghost text."""
    lua = with_keys(BEFORE[before])
    ours = start(version, lua=lua, setup=f"inline = {{ method = '{method}' }}")
    theirs = plain(version, lua)
    engine.suggestion = "pha"
    for key in KEYS:
        typed(ours, "")
        ours.input("oal")
        wait(lambda: ours.ghost(), what="ghost text")
        ours.input("<C-n>")
        wait(lambda: ours.lua("return vim.fn.pumvisible()") == 1, what="the menu")
        wait(lambda: ours.ghost(), what="ghost text beside the menu")
        ours.input(f"{key}x<Esc>")
        wait(lambda: ours.mode == "n")
        right = typed(theirs, f"oal<C-n>{key}x<Esc>")["lines"]
        assert ours.lines == right, key


@pytest.mark.parametrize("before", ["nothing", "text"])
def test_asking_is_for_buffers_with_a_server(start, plain, engine, version, before):
    lua = "" if before == "nothing" else "vim.keymap.set('i', '<M-Bslash>', 'asked')"
    ours, theirs = start(version, lua=lua), plain(version, lua)
    for nvim in (ours, theirs):
        nvim.command("set hidden")
        nvim.command("enew")
    for keys in ["A<M-Bslash>x<Esc>", "qaA<M-Bslash>x<Esc>qj@a"]:
        assert typed(ours, keys) == typed(theirs, keys)
    ours.command("buffer 1")
    engine.suggestion = "return a + b"
    ours.input("<Esc>")
    ours.command("CodeLlama disable")
    ours.input("A<M-Bslash>")
    ours.wait_ghost("return a + b")


def test_other_keys_of_setup_later(start, version):
    """Keys that setup() no longer names are free at once."""
    nvim = start(version)
    nvim.input("jA")
    nvim.wait_ghost("return a + b")
    nvim.lua("require('codellama').setup({ keys = { accept = '<C-y>', accept_word = false } })")
    mapped = "return vim.fn.maparg(..., 'i', false, true).desc or ''"
    assert nvim.lua(mapped, "<C-y>") == "Code Llama: accept"
    assert not nvim.lua(mapped, "<M-w>").startswith("Code Llama")
    nvim.input("<C-y>")
    wait(lambda: nvim.lines[1] == "    return a + b", what="acceptance")


def test_nothing_is_suggested_while_a_macro_is_recorded(start, engine, version):
    """Played again it would not be there, and its keys would do something else."""
    nvim = start(version)
    asked = engine.suggestions_asked
    nvim.input("qaA")
    nvim.input("x<BS>")
    time.sleep(0.6)
    assert engine.suggestions_asked == asked
    assert not nvim.ghost()
    nvim.input("<Esc>qA")
    wait(lambda: nvim.ghost(), what="a suggestion afterwards")
