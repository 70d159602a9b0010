"""The whole way, with the real engine and the starter model, in two Neovims that share it."""

from __future__ import annotations

import os

import pytest
from nvim import wait

from lsp_server import places

# What is missing is named by the line below it.
TEXT = 'import sys\n\n\ndef main():\n    n\n    print(f"Hello, {name}!")\n'
READY = "local s = require('codellama').status() return s and s.kind"


@pytest.mark.timeout(240)
def test_suggestion_and_chat_from_the_starter(start, starter, engines):
    env = {"CODELLAMA_LS_CACHE": str(places.cache_folder()), "CODELLAMA_LS_RUNTIME": str(engines)}
    settings = {"engineUrl": "", "tokenizer": "", "chatFormat": "auto", "model": "starter", "maxTokens": 16}
    settings["minProbability"] = 0  # which name, nothing tells
    assert os.environ["CODELLAMA_LS_RUNTIME"] == str(engines)
    models = set()
    for version in ("0.11", "0.12"):
        nvim = start(version, text=TEXT, settings=settings, env=env, ready=False)
        wait(lambda nvim=nvim: nvim.lua(READY) == "ready", 150, what="the starter model")
        models.add(nvim.lua("return require('codellama').status().model"))
        nvim.input("5GA")
        wait(nvim.ghost, 60, what="a suggestion of the starter model")
        shown = nvim.ghost()[0][2]
        assert ("n" + shown).startswith("name = ")
        nvim.input("<Tab>")
        wait(lambda nvim=nvim, shown=shown: nvim.lines[4] == "    n" + shown, what="acceptance")
        nvim.input("<Esc>")
        nvim.command("CodeLlama chat What does textwrap do?")
        wait(lambda nvim=nvim: "## Code Llama\n\n" in nvim.chat_text(), what="the turn")
        wait(lambda nvim=nvim: len(nvim.chat_text().split("## Code Llama\n\n")[1]) > 20, 60, what="the answer")
        if nvim.answering():
            nvim.command("CodeLlama stop")
        wait(lambda nvim=nvim: not nvim.answering())
        print(version, repr(shown), nvim.chat_text()[-200:])
    assert len(models) == 1
