"""Servers of others that are slow, busy, closed, hung and replaced: what the user sees in the real Neovim, and that all
goes on after."""

from __future__ import annotations

import pytest
from nvim import wait
from stand_in_engine import Engine

LINE = "return require('codellama').statusline()"
MESSAGE = "local s = require('codellama').status() return s.kind .. ': ' .. s.message"


@pytest.fixture
def nvim(start):
    return start("0.12", settings={"firstTokenSeconds": 2})


def told(nvim, words):
    """Wait until the status has these words; all of it."""
    wait(lambda: words in nvim.lua(MESSAGE), what=lambda: f"{words!r}, not {nvim.lua(MESSAGE)!r}")
    return nvim.lua(MESSAGE)


def works(nvim, engine):
    """The next key brings a suggestion, and a question is answered."""
    nvim.input("<Esc>ggjA")
    nvim.wait_ghost(engine.suggestion)
    nvim.input("<Esc>")
    wait(lambda: nvim.mode == "n")
    before = nvim.chat_text().count(engine.answers[0])
    nvim.command("CodeLlama chat Still there?")
    wait(lambda: not nvim.answering() and nvim.chat_text().count(engine.answers[0]) > before, what=nvim.chat_text)
    wait(lambda: nvim.lua(LINE) == "Code Llama: ready", what=lambda: nvim.lua(LINE))
    nvim.command("wincmd p")


def test_a_slow_one(nvim, engine):
    engine.suggestion_pause = 1.0
    nvim.input("jA")
    wait(lambda: nvim.lua(LINE) == "Code Llama: thinking", what=lambda: nvim.lua(LINE))
    nvim.wait_ghost(engine.suggestion)
    wait(lambda: nvim.lua(LINE) == "Code Llama: ready", what=lambda: nvim.lua(LINE))


def test_a_busy_one(nvim, engine):
    """A suggestion is not waited for; a question is, and is answered."""
    engine.refuses = 503
    nvim.input("jA")
    assert told(nvim, "is busy (status 503); it is asked again in").startswith("busy: ")
    assert not nvim.ghost()
    nvim.command("CodeLlama chat When you have time?")
    bar = "return vim.wo[vim.fn.win_findbuf(require('codellama.chat.view').log())[1]].winbar"
    wait(lambda: "is busy (status 503)" in nvim.lua(bar), what=lambda: nvim.lua(bar))
    engine.answers = ["I have."]
    engine.refuses = 0
    wait(lambda: "I have." in nvim.chat_text(), what=nvim.chat_text)
    nvim.command("wincmd p")
    works(nvim, engine)


def test_one_that_is_closed(nvim, engine):
    engine.refuses = 401
    nvim.command("CodeLlama chat May I?")
    sentence = "lets nobody in without a token (Unauthorized); set codellama.engineToken."
    assert told(nvim, sentence).startswith("failed: ")
    assert nvim.lua(LINE) == "Code Llama: failed"
    wait(lambda: not nvim.answering())
    assert sentence in nvim.chat_text()
    nvim.wait_said(sentence)
    engine.refuses = 0
    nvim.command("wincmd p")
    nvim.command("CodeLlama restart")
    works(nvim, engine)


def test_one_that_hangs(nvim, engine):
    engine.hangs = True
    nvim.input("jA")
    nvim.command("CodeLlama chat Are you there?")
    wait(lambda: not nvim.answering())
    assert "was silent for 2 s; it may be overloaded" in nvim.chat_text()
    assert nvim.lua(LINE) == "Code Llama: busy"
    assert "was silent for 2 s" in told(nvim, "busy: ")
    engine.hangs = False
    nvim.command("wincmd p")
    works(nvim, engine)


def test_another_by_the_setting(nvim, engine):
    other = Engine()
    try:
        other.suggestion, other.answers = "return b + a", ["I am another."]
        nvim.lua(
            "local client = vim.lsp.get_clients({ name = 'codellama' })[1] client.settings.codellama.engineUrl = ... "
            "client:notify('workspace/didChangeConfiguration', { settings = client.settings })",
            other.url,
        )
        wait(lambda: other.url in nvim.lua("return vim.inspect(require('codellama').status())"))
        works(nvim, other)
        assert not engine.suggestions_asked
    finally:
        other.close()
