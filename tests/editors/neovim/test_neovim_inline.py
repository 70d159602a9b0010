"""Suggestions as one types, in the real Neovim: by its own inline completion and by the plugin's ghost text."""

from __future__ import annotations

import time

import pytest
from nvim import wait

WAYS = [("0.11", "own"), ("0.12", "builtin"), ("0.12", "own")]
# What does not depend on who draws the text is tried in two of them.
two_ways = pytest.mark.parametrize(("version", "method"), WAYS[:2], ids=lambda value: value)
ways = pytest.mark.parametrize(("version", "method"), WAYS, ids=lambda value: value)


@ways
def test_shown_and_accepted(start, engine, version, method):
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}")
    assert nvim.lua("return require('codellama.inline').method()") == method
    nvim.input("jA")
    nvim.wait_ghost("return a + b")
    assert nvim.lines[1] == "    "
    engine.suggestion = ""  # to what is asked once it is accepted
    nvim.input("<Tab>")
    wait(lambda: nvim.lines[1] == "    return a + b", what="acceptance")
    assert nvim.nvim.current.window.cursor == (2, 16)
    nvim.input("<Tab>")  # meant for the next suggestion, which has not come
    wait(lambda: not nvim.ghost(), what="the ghost text to go")
    time.sleep(0.2)
    assert nvim.lines == ["def add(a, b):", "    return a + b"]
    nvim.input("<CR>x<Tab>y<Esc>")  # typed on: without ghost text, it is a Tab
    wait(lambda: nvim.mode == "n")
    assert nvim.lines[2].replace("\t", " ").split() == ["x", "y"]
    nvim.input("u")
    wait(lambda: len(nvim.lines) == 2)
    nvim.input("u")
    wait(lambda: nvim.lines[1] == "    ", what="undoing the acceptance alone")


@ways
def test_typed_before_the_server_listens(start, engine, version, method):
    """The first keys after `nvim FILE` come before anybody is there to ask: what they call for comes later."""
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}", ready=False)
    nvim.input("jA")
    wait(lambda: nvim.mode == "i")
    assert not nvim.lua("return #vim.lsp.get_clients({ name = 'codellama', bufnr = 0 })")
    nvim.wait_ghost("return a + b")


@ways
def test_accepted_in_parts(start, engine, version, method):
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}")
    engine.suggestion = "return foo(a) + b"
    nvim.input("jA")
    nvim.wait_ghost("return foo(a) + b")
    engine.suggestion = "something else"  # the rest is shown without asking anew
    for key, line, rest in [
        ("<M-w>", "    return", " foo(a) + b"),
        ("<M-w>", "    return foo", "(a) + b"),
        ("<M-w>", "    return foo(", "a) + b"),
    ]:
        nvim.input(key)
        wait(lambda line=line: nvim.lines[1] == line, what=line)
        nvim.wait_ghost(rest)
    nvim.input("<M-l>")
    wait(lambda: nvim.lines[1] == "    return foo(a) + b", what="the line")


@ways
def test_in_the_middle_of_a_line(start, engine, version, method):
    """Drawn between the code on either side of the cursor; taken whole, and by word."""
    line = "    return add(a, b) + 1"
    nvim = start(version, text=f"def f(a, b):\n{line}\n", setup=f"inline = {{ method = '{method}' }}")
    at = (2, line.index("a, b"))
    for key, taken, rest in [("<Tab>", "a * ", ""), ("<M-w>", "a", " * ")]:
        nvim.nvim.current.buffer[1] = line
        nvim.nvim.current.window.cursor = at
        engine.suggestion = "a * a, b) + 1\n"  # and the rest of the line again
        nvim.input("i")
        nvim.wait_ghost("a * ")
        assert nvim.ghost()[0][:2] == (1, at[1])
        marks = nvim.nvim.api.buf_get_extmarks(0, -1, 0, -1, {"details": True})
        assert {mark[3]["virt_text_pos"] for mark in marks if mark[3].get("virt_text")} == {"inline"}
        engine.suggestion = ""
        nvim.input(key)
        wait(lambda taken=taken: nvim.lines[1] == f"    return add({taken}a, b) + 1", what=lambda: nvim.lines[1])
        if rest:
            nvim.wait_ghost(rest)
        nvim.input("<Esc>")
        wait(lambda: nvim.mode == "n")


@two_ways
def test_accepted_by_line(start, engine, version, method):
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}", settings={"multiline": "always"})
    engine.suggestion = "if a:\n        return b\n    return a"
    nvim.input("jA")
    nvim.wait_ghost("if a:")
    assert nvim.ghost()[0][3] == ["        return b", "    return a"]
    nvim.input("<M-l>")
    wait(lambda: nvim.lines[1] == "    if a:", what="the first line")
    wait(lambda: nvim.ghost() and nvim.ghost()[0][3] == ["        return b", "    return a"], what="the rest")
    nvim.input("<M-l>")
    wait(lambda: nvim.lines[2:3] == ["        return b"], what="the second line")
    wait(nvim.ghost, what="the last line")
    nvim.input("<Tab>")
    wait(lambda: nvim.lines[1:] == ["    if a:", "        return b", "    return a"], what=str(nvim.lines))


@two_ways
@pytest.mark.parametrize(("key", "line"), [("e", "    return a + b"), ("x", "    rx"), ("<BS>", None)])
def test_typed_on_before_accepting(start, engine, version, method, key, line):
    """Neovim itself leaves characters over, raises, or inserts what does not fit, within 200 ms after a key."""
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}")
    nvim.input("jAr")
    engine.suggestion = "eturn a + b"
    nvim.wait_ghost("eturn a + b")
    engine.suggestion = ""
    nvim.input(key)
    nvim.input("<Tab>")
    time.sleep(0.4)
    if line is None:  # what was asked for one character later may be taken as a whole, or not at all
        assert nvim.lines[1].strip() in ("", "return a + b")
    else:
        assert nvim.lines[1].rstrip() == line
    assert not [each for each in nvim.said if "rror" in each]


@two_ways
def test_an_answer_to_an_older_text_is_not_shown(start, engine, version, method):
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}")
    engine.suggestion_pause = 0.5
    nvim.input("jA")
    wait(lambda: engine.suggestions_asked == 1, what="the first request")
    engine.suggestion = ""
    nvim.input("pass")
    seen = []
    end = time.monotonic() + 0.9
    while time.monotonic() < end:
        seen += nvim.ghost()
    assert not seen
    nvim.input("<Esc>")


@two_ways
def test_multibyte(start, engine, version, method):
    text = 'def add(a, b):\n    s = "é€😀"; \n'
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}", text=text)
    engine.suggestion = "s += '€😀x'"
    nvim.input("jA")
    nvim.wait_ghost("s += '€😀x'")
    nvim.input("<Tab>")
    wait(lambda: nvim.lines[1] == "    s = \"é€😀\"; s += '€😀x'", what=str(nvim.lines))


@two_ways
def test_off_here_and_everywhere(start, engine, version, method):
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}")
    assert nvim.lua("return require('codellama').statusline()") == "Code Llama: ready"
    nvim.command("CodeLlama disable")
    assert nvim.lua("return require('codellama').statusline()") == "Code Llama: off here"
    nvim.input("jA")
    time.sleep(0.5)
    assert not nvim.ghost()
    assert engine.suggestions_asked == 0
    nvim.input("<Esc>")
    nvim.command("CodeLlama enable")
    nvim.input("A")
    nvim.wait_ghost("return a + b")
    nvim.input("<C-]>")
    wait(lambda: not nvim.ghost(), what="the ghost text to go")
    nvim.input("<Tab><Esc>")
    wait(lambda: nvim.mode == "n")
    assert "return" not in nvim.lines[1]
    nvim.command("CodeLlama toggle")
    asked = engine.suggestions_asked
    nvim.input("A")
    time.sleep(0.4)
    assert engine.suggestions_asked == asked
    nvim.input("<Esc>")
    nvim.command("CodeLlama toggle")
    nvim.command("CodeLlama snooze")
    nvim.wait_said("Suggestions are off until")
    assert nvim.lua("return require('codellama').statusline()").startswith("Code Llama: off until ")
    nvim.input("A")
    time.sleep(0.4)
    assert engine.suggestions_asked == asked
    nvim.input("<Esc>")
    nvim.command("CodeLlama snooze")
    nvim.command("CodeLlama snooze 0.01")
    wait(lambda: nvim.lua("return require('codellama').statusline()") == "Code Llama: ready", what="its end")
    nvim.input("A")
    wait(lambda: engine.suggestions_asked > asked)


def test_a_key_without_ghost_text_does_what_it_did_before(start, engine, version):
    engine.suggestion = ""
    before = """
        vim.keymap.set('i', '<Tab>', function() return 'one' end, { expr = true })
        vim.keymap.set('i', '<M-w>', 'two')
        vim.keymap.set('i', '<M-l>', function() vim.api.nvim_put({ 'three' }, 'c', false, true) end)
    """
    nvim = start(version, lua=before)
    nvim.input("jA<Tab>")
    wait(lambda: nvim.lines[1] == "    one")
    nvim.input("<M-w>")
    wait(lambda: nvim.lines[1] == "    onetwo")
    nvim.input("<M-l>")
    wait(lambda: nvim.lines[1] == "    onetwothree")


def test_no_keys_unasked(start, version):
    nvim = start(version, setup="keys = false", ready=False, installed=False)
    mine = (
        "return #vim.tbl_filter(function(m) return (m.desc or ''):find('^Code Llama') and not m.lhs:find('Plug') end, "
    )
    assert nvim.lua(mine + "vim.api.nvim_get_keymap('i'))") == 0


@two_ways
def test_next_and_previous_of_several(start, engine, version, method):
    engine.others = ["return a - b", "return a * b"]
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}")

    def shown() -> str:
        return "".join(each[2] for each in nvim.ghost())

    nvim.input("jA")
    wait(lambda: shown() == "return a + b", what="the first")
    assert engine.suggestions_asked == 1, "others are asked for when they are wanted"
    others = ["- b (2/3)", "* b (3/3)", "+ b (1/3)", "* b (3/3)", "- b (2/3)"]
    for key, text in zip("nnnpp", others, strict=True):
        nvim.input(f"<M-{key}>")
        wait(lambda text=text: shown() == f"return a {text}", what=f"{text}, there is {nvim.ghost()}")
    nvim.input("<M-w>")
    wait(lambda: nvim.lines[1] == "    return", what="a word of the second")
    wait(lambda: shown() == " a - b", what="the rest of the second")
    nvim.input("<Tab>")
    wait(lambda: nvim.lines[1] == "    return a - b", what="all of the second")


@two_ways
def test_next_where_there_is_no_other(start, engine, version, method):
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}")
    nvim.input("jA")
    nvim.wait_ghost("return a + b")
    nvim.input("<M-n>")
    nvim.wait_said("there is no other suggestion here")
    nvim.wait_ghost("return a + b")


KINDS = """
    _G.kinds = {}
    local rpc = vim.lsp.get_clients()[1].rpc
    local request = rpc.request
    rpc.request = function(method, params, ...)
        if method:find('inline') then table.insert(_G.kinds, params.context.triggerKind) end
        return request(method, params, ...)
    end
"""
"""Keeps why each suggestion was asked for: 1 is by hand, for which the server does not wait whether one types on."""


@two_ways
def test_asked_for_by_hand(start, engine, version, method):
    """Where suggestions are off, nothing comes of itself, and one that is asked for comes at once."""
    nvim = start(version, setup=f"inline = {{ method = '{method}', enabled = false }}")
    nvim.lua(KINDS)
    nvim.input("jA")
    for _ in range(2):
        nvim.input("<M-Bslash>")
        nvim.wait_ghost("return a + b")
        asked = engine.suggestions_asked
        nvim.input("<C-]>")
        wait(lambda: not nvim.ghost(), what="the ghost text to go")
        nvim.input("x<BS>")
        time.sleep(0.5)
        assert engine.suggestions_asked == asked
        assert not nvim.ghost()
    nvim.input("<M-Bslash>")
    nvim.wait_ghost("return a + b")
    nvim.input("<Tab>")
    wait(lambda: nvim.lines[1] == "    return a + b", what="acceptance")
    assert nvim.lua("return _G.kinds") == [1, 1, 1]
    nvim.input("<Esc>")
    nvim.command("CodeLlama toggle")
    nvim.input("o")
    wait(lambda: nvim.lua("return _G.kinds")[3:] == [2], what="one that comes of itself")


@two_ways
def test_asked_for_in_vain(start, engine, version, method):
    settings = {"disabledLanguages": ["python"]}  # so that the model is not even looked for
    nvim = start(version, setup=f"inline = {{ method = '{method}' }}", settings=settings, ready=False)
    wait(lambda: nvim.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, what="the server")
    nvim.input("jA<M-Bslash>")
    nvim.wait_said("no suggestion here. Suggestions are turned off for python (codellama.disabledLanguages).")
    nvim.input("<Esc>")
    nvim.command("enew")
    nvim.input("i<M-Bslash>")  # no server here: the key does what it did before
    time.sleep(0.3)
    assert len([each for each in nvim.said if "no suggestion" in each]) == 1


def test_typing_in_the_chat_asks_for_nothing(start, engine):
    nvim = start("0.12")
    nvim.input("jA")
    nvim.wait_ghost("return a + b")
    nvim.input("<Esc>")
    nvim.command("CodeLlama chat")
    asked = engine.suggestions_asked
    nvim.input("a question")
    time.sleep(0.6)
    assert engine.suggestions_asked == asked
