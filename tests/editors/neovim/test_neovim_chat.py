"""Chat in a split, in the real Neovim: by the keyboard alone."""

from __future__ import annotations

import time

from nvim import wait

ANSWER = "Use **this**:\n\n```python\ndef add(a: int, b: int) -> int:\n    return a + b\n```\n\nIt has types."


# Options with which nothing goes along with a question by itself.
ALONE = "chat = { around = false }"


def ask(nvim, words: str) -> None:
    nvim.command(f"CodeLlama chat {words}")


def done(nvim) -> str:
    wait(lambda: not nvim.answering(), what="the end of the answer")
    return nvim.chat_text()


def to_log(nvim) -> None:
    nvim.lua(
        "local b = require('codellama.chat.view').log() "
        "vim.cmd.stopinsert() vim.api.nvim_set_current_win(vim.fn.win_findbuf(b)[1])"
    )


OTHER_LANGUAGE = """
    vim.api.nvim_buf_call(..., function() vim.cmd('noautocmd setlocal filetype=typescript') end)
    vim.ui.select = function(choices, options, done)
        _G.asked = { options.prompt, vim.tbl_map(options.format_item, choices) }
        done(choices[1])
    end
"""


def test_asked_streamed_yanked_and_applied(start, engine, version):
    nvim = start(version, text="def add(a, b):\n    return a + b\n\nx = 1\n")
    engine.answers, engine.pause = [ANSWER], 0.02
    nvim.command("1,2CodeLlama chat")
    wait(lambda: nvim.mode == "i", what="the place to write")
    assert len(nvim.nvim.windows) == 3
    nvim.input("Add types.<C-s>")
    sizes = set()

    def grown():
        sizes.add(len(nvim.chat_text()))
        return nvim.chat_text() and not nvim.answering()

    wait(grown, what="the answer")
    assert len(sizes) > 3, "streamed"
    text = nvim.chat_text()
    assert ANSWER in text
    assert "> with main.py, lines 1 to 2" in text
    assert text.startswith("## You\n\nAdd types.")
    to_log(nvim)
    nvim.input("gy")
    wait(lambda: "yanked" in "".join(nvim.said))
    assert nvim.lua("return vim.fn.getreg('\"')") == "def add(a: int, b: int) -> int:\n    return a + b\n"
    block = text.split("\n").index("```python") + 1
    assert nvim.lua("return vim.fn.foldlevel(...)", block + 1) == 1
    assert nvim.lua("return vim.fn.foldlevel(...)", block + 4) == 0
    # The lines have moved meanwhile.
    source = nvim.lua("return require('codellama.chat.view').source()")
    file = nvim.lua("return vim.api.nvim_win_get_buf(...)", source)
    nvim.nvim.buffers[file][0:0] = ["# on top"]
    nvim.input("ga")
    wait(lambda: nvim.nvim.buffers[file][1] == "def add(a: int, b: int) -> int:", what="the block in place")
    assert nvim.nvim.buffers[file][:] == [
        "# on top",
        "def add(a: int, b: int) -> int:",
        "    return a + b",
        "",
        "x = 1",
    ]
    nvim.nvim.buffers[file][2] = "    return b + a"
    nvim.input("ga")
    nvim.wait_said("have changed or are gone")
    nvim.lua(OTHER_LANGUAGE, file)
    nvim.input("ga")
    wait(lambda: nvim.lua("return _G.asked"), what="the question where it goes")
    assert nvim.lua("return _G.asked") == [
        "Where does the python code go?",
        ["a new buffer (python)", "at line 2 of main.py (typescript)"],
    ]
    assert nvim.lines == ["def add(a: int, b: int) -> int:", "    return a + b"]
    assert nvim.nvim.buffers[file][1:3] == ["def add(a: int, b: int) -> int:", "    return b + a"]
    nvim.command("bwipeout!")
    nvim.lua("vim.api.nvim_set_current_win(vim.fn.win_findbuf(require('codellama.chat.view').log())[1])")
    nvim.input("q")
    wait(lambda: len(nvim.nvim.windows) == 1, what="the chat to close")
    nvim.command("CodeLlama chat")
    wait(lambda: ANSWER in nvim.chat_text(), what="the chat as it was")


def test_stopped(start, engine, version):
    nvim = start(version)
    engine.answers, engine.pause = ["".join(f"word {number} " for number in range(200))], 0.05
    ask(nvim, "Talk.")
    wait(lambda: "word" in nvim.chat_text())
    nvim.command("CodeLlama stop")
    assert not nvim.answering()
    wait(lambda: engine.ended == 1, what="the model to be stopped")
    text = nvim.chat_text()
    assert text.endswith("*Stopped.*")
    time.sleep(0.3)
    assert nvim.chat_text() == text
    engine.answers, engine.pause = ["Fine."], 0.0
    ask(nvim, "And now?")
    assert "Fine." in done(nvim)


def test_closed_by_force_while_the_answer_comes(start, engine, version):
    """`:q!` takes a buffer out of memory, whatever it is set to."""
    nvim = start(version, setup=ALONE)
    engine.answers, engine.pause = ["One. ", "".join(f"word {number} " for number in range(40)), "Three."], 0.03
    ask(nvim, "First?")
    done(nvim)
    ask(nvim, "Second?")
    wait(lambda: "word" in nvim.chat_text())
    to_log(nvim)
    nvim.command("quit!")
    nvim.lua("require('codellama.chat.view').write()")
    nvim.nvim.current.buffer[:] = ["half a question"]
    nvim.command("quit!")
    assert len(nvim.nvim.windows) == 1
    text = done(nvim)
    assert text.startswith("## You\n\nFirst?\n\n## Code Llama\n\nOne.")
    assert text.count("word") == 40
    assert nvim.nvim.command_output("messages") == ""
    nvim.command("CodeLlama chat")
    assert nvim.lines == ["half a question"]
    nvim.lua("vim.cmd.stopinsert()")
    to_log(nvim)
    nvim.input("gr")
    wait(lambda: "Three." in done(nvim), what="the last question to be answered again")
    assert "word" not in nvim.chat_text()
    nvim.command("bdelete!")
    ask(nvim, "Fourth?")
    assert done(nvim).startswith("## You\n\nFourth?")


def test_history_regenerate_and_new(start, engine):
    nvim = start("0.11", setup=ALONE)
    engine.answers = ["The first.", "The second.", "The second, again."]
    ask(nvim, "One?")
    done(nvim)
    ask(nvim, "Two?")
    done(nvim)
    to_log(nvim)
    nvim.input("gr")
    wait(lambda: "again" in done(nvim))
    text = nvim.chat_text()
    assert text.count("## Code Llama") == 2
    assert "The second.\n" not in text + "\n"
    assert "## You\n\nTwo?\n\n## Code Llama" in text
    nvim.input("gn")
    wait(lambda: nvim.chat_text() == "")
    to_log(nvim)
    nvim.lua("""
        vim.ui.select = function(items, options, done)
            _G.titles = vim.tbl_map(options.format_item, items)
            done(items[1])
        end
    """)
    nvim.input("gh")
    wait(lambda: "The second, again." in nvim.chat_text(), what="the conversation of before")
    assert "The first." in nvim.chat_text()
    assert "One?" in nvim.lua("return _G.titles[1]")
    ask(nvim, "Three?")
    assert done(nvim).count("## You") == 3
    to_log(nvim)
    nvim.lua("vim.fn.confirm = function() return 1 end")
    nvim.input("gD")
    nvim.wait_said("is deleted")
    assert nvim.chat_text() == ""


def test_an_earlier_question_is_changed_and_asked_again(start, engine, version):
    nvim = start(version, text="def add(a, b):\n    return a + b\n")
    engine.answers = ["The first.", "The second.", "The third."]
    nvim.command("1,2CodeLlama chat One?")
    done(nvim)
    ask(nvim, "Two?")
    done(nvim)
    before = nvim.chat_text()
    nvim.command("CodeLlama chat")
    written = "return table.concat(require('codellama.chat.view').written(), '\\n')"
    nvim.input("a draft<Esc>")
    wait(lambda: nvim.lua(written) == "a draft" and nvim.mode == "n", what="the draft")
    to_log(nvim)
    nvim.input("ggge")
    wait(lambda: nvim.lua(written) == "One?" and nvim.mode == "i", what="the question to be there to change")
    nvim.input("<Esc>")
    wait(lambda: nvim.mode == "n")
    nvim.input("<C-c>")
    wait(lambda: nvim.lua(written) == "a draft", what="the draft to be back")
    assert nvim.chat_text() == before
    to_log(nvim)
    nvim.input("ggge")
    wait(lambda: nvim.lua(written) == "One?" and nvim.mode == "i")
    nvim.input("<BS>, in one word?<C-s>")
    wait(lambda: "The third." in done(nvim), what="the new answer")
    assert nvim.chat_text().startswith(
        "## You\n\nOne, in one word?\n\n> with main.py, lines 1 to 2\n\n## Code Llama\n\nThe third."
    )
    assert "Two?" not in nvim.chat_text()
    assert nvim.lua(written) == ""
    asked = engine.asked[-1]["prompt"]
    # The lines that were attached are sent along again, and the server has dropped what followed too.
    nvim.lua("vim.ui.select = function(items, _, done) _G.found = #items done(items[1]) end")
    to_log(nvim)
    nvim.input("gn")
    wait(lambda: nvim.chat_text() == "" and nvim.mode == "i", what="a new conversation")
    nvim.command("CodeLlama history")
    wait(lambda: nvim.lua("return _G.found") == 1, what="one conversation")
    wait(lambda: "One, in one word?" in nvim.chat_text() and "Two?" not in nvim.chat_text(), what="it, as it is kept")
    assert "> with main.py, lines 1 to 2" in nvim.chat_text()
    assert asked != engine.asked[0]["prompt"]
    to_log(nvim)
    nvim.input("Gge")
    wait(lambda: nvim.lua(written) == "One, in one word?", what="the question of the answer at the cursor")


def test_a_question_that_was_not_answered_is_asked_again(start, engine):
    """The engine fails: the question is kept, and can be changed or asked again as it is."""
    nvim = start("0.12", setup=ALONE)
    engine.answers = ["Fine.", "Better."]
    engine.refuses = 500
    ask(nvim, "Hello?")
    assert "## You\n\nHello?" in done(nvim)
    engine.refuses = 0
    to_log(nvim)
    nvim.input("gr")
    wait(lambda: "Fine." in done(nvim), what="an answer")
    assert nvim.chat_text().count("## ") == 2
    to_log(nvim)
    nvim.input("ge")
    nvim.input("!<C-s>")
    wait(lambda: "Better." in done(nvim), what="another answer")
    assert nvim.chat_text().startswith("## You\n\nHello?!\n\n## Code Llama\n\nBetter.")
    assert nvim.chat_text().count("## ") == 2


def test_what_an_answer_may_hold(start, engine):
    """HTML, a modeline, control characters, a line of 100,000 characters, a fence that stays open."""
    nvim = start("0.12")
    long = "".join(map(str, range(22_000)))
    answer = (
        f"<script>alert(1)</script> [x](command:rm) \x1b[31m\x00\r\n{long}\n"
        "vim: set modifiable :\n```lua\nvim.fn.system('x')"
    )
    engine.answers = [answer, "Next."]
    begin = time.monotonic()
    ask(nvim, "Be nasty.")
    text = done(nvim)
    assert time.monotonic() - begin < 30
    assert "<script>alert(1)</script>" in text
    assert long in text
    assert text.partition("vim.fn.system('x')\n```\n")[2].startswith("\n*")  # closed before what it cost
    log = nvim.lua("return require('codellama.chat.view').log()")
    assert nvim.lua("return vim.bo[...].modifiable", log) is False
    ask(nvim, "Go on.")
    text = done(nvim)
    blocks = "return #require('codellama.chat.blocks').find(vim.split(..., '\\n'))"
    assert nvim.lua(blocks, text) == 1
    assert nvim.lua("return vim.fn.foldlevel(vim.api.nvim_buf_line_count(...))", log) == 0


def test_where_a_block_ends(start):
    """As CommonMark has it: a closing fence is as long as the opening one, of the same character, and indented by three
    spaces at most."""
    nvim = start("0.11")
    code = 'def f():\n    """Do it.\n\n    ```\n    f()\n    ```\n    """\n    return 1'
    text = f"An edit:\n\n```python\n{code}\n```\n\nDone.\n"
    find = "return require('codellama.chat.blocks').find(vim.split(..., '\\n'))"
    (block,) = nvim.lua(find, text)
    assert (block["first"], block["last"], block["closed"]) == (3, 12, True)
    assert block["code"] == code.split("\n")
    for inside in ("\t```", "    ```", "``", "~~~", "``~", "```lua"):
        (block,) = nvim.lua(find, f"```\n{inside}\n```\n")
        assert block["code"] == [inside]
    for end in ("```", "   ```", "````", "```  "):
        (block,) = nvim.lua(find, f"```\nx\n{end}\ny")
        assert (block["code"], block["closed"]) == (["x"], True)
    (block,) = nvim.lua(find, "1. So:\n    ```\n    x\n    ```\n    y")
    assert (block["code"], block["closed"]) == (["x"], True)


def test_a_long_answer(start, engine):
    """5,000 words, all of them; how long each addition takes is in benchmarks/neovim.py."""
    nvim = start("0.11")
    answer = "# Long\n\n" + "".join(
        f"```python\nx = {number}\n```\n\nsome words in a line of text\n" for number in range(700)
    )
    engine.answers = [answer]
    ask(nvim, "Write.")
    assert answer.strip() in done(nvim)


def test_what_goes_along_with_a_question(start, engine):
    """What is around the cursor by itself, the file for one key; and how far all that is read."""
    nvim = start("0.12", text="def add(a, b):\n    return a + b\n\n\ndef two():\n    return 2\n")
    nvim.nvim.current.window.cursor = (6, 4)
    engine.progress = {"total": 1000, "cache": 0, "processed": 400, "others": 1}
    engine.gate.clear()
    nvim.command("CodeLlama chat")
    bar = "return vim.wo[vim.fn.win_findbuf(require('codellama.chat.view').%s())[1]].winbar"
    wait(lambda: nvim.lua(bar % "input").startswith("<C-s> sends   around line 6 of main.py, gf: whole file"))
    nvim.input("What is this?<C-s>")
    reading = "Reading 40%% of 1,000 tokens. The model is shared: another answer is being written."
    wait(lambda: reading in nvim.lua(bar % "log"), what=lambda: nvim.lua(bar % "log") + nvim.chat_text())
    engine.gate.set()
    assert "> with main.py, around line 6" in done(nvim)
    assert nvim.lua(bar % "log") == "Code Llama  %<"
    nvim.input("<Esc>gcgf")
    wait(lambda: nvim.lua(bar % "input").startswith("<C-s> sends   main.py   "))
    nvim.input("iAnd @")
    wait(lambda: nvim.lua("return vim.fn.pumvisible()") == 1, what="the names")
    nvim.input("<C-n><C-y>?<C-s>")
    wait(nvim.answering)
    assert "And @main.py?" in done(nvim)
    wait(lambda: nvim.lua(bar % "input").startswith("<C-s> sends   gf: main.py"))
    nvim.input("i/ex")
    wait(lambda: nvim.lua("return vim.fn.pumvisible()") == 1, what="the commands")
    offered = {each["word"]: each["menu"] for each in nvim.lua("return vim.fn.complete_info({'items'}).items")}
    assert offered == {"/explain": "Explain what this code does and how"}
    nvim.input("<C-n><C-y> Twice.<C-s>")
    wait(nvim.answering)
    assert "/explain Twice." in done(nvim)
