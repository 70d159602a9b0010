"""What may go wrong around the server, and the commands and pages that help then."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import forking
import nvim as neovim
from nvim import wait
from stand_in_engine import Engine

from lsp_server import __version__
from lsp_server.engine import address

INSTALL = "return require('codellama.server').install(...)"


def test_not_installed(start, version):
    nvim = start(version, installed=False)
    sentence = nvim.wait_said("not installed")
    assert sentence == f"Code Llama: codellama-ls is not installed; install it with: {nvim.lua(INSTALL)}"
    nvim.command("edit other.py")
    nvim.input("ijust typing<Esc>")
    wait(lambda: nvim.lines == ["just typing"])
    assert len(nvim.said) == 1, "said once"
    for command in ("chat Hello", "explain", "model", "commit", "status", "history", "stop", "toggle"):
        nvim.command(f"CodeLlama {command}")
    assert nvim.nvim.api.get_mode()["blocking"] is False
    assert len(nvim.nvim.windows) == 1
    assert nvim.lua("return require('codellama').statusline()") == ""


def test_killed_twice(start, engine, version):
    nvim = start(version)
    for _ in range(2):
        old = nvim.server_pid()
        os.kill(old, signal.SIGKILL)
        nvim.wait_said("ended unexpectedly")
        wait(lambda old=old: nvim.server_pid() not in (None, old), what="a new server")
        nvim.attached()
    nvim.input("jA")
    nvim.wait_ghost("return a + b")
    delays = [each for each in nvim.said if "starting it again in" in each]
    assert ["0.5" in delays[0], "1.0" in delays[1]] == [True, True]


def test_killed_again_and_again(start):
    nvim = start("0.11", lua="require('codellama.restart').FIRST_DELAY = 10; require('codellama.restart').MOST = 2")
    for _ in range(3):
        old = wait(nvim.server_pid)
        os.kill(old, signal.SIGKILL)
        wait(lambda old=old: nvim.server_pid() != old or "stays off" in "".join(nvim.said))
    nvim.wait_said("stays off")
    time.sleep(0.3)
    assert nvim.server_pid() is None
    nvim.command("CodeLlama restart")
    nvim.attached()


def test_killed_while_it_answers(start, engine, version, monkeypatch):
    monkeypatch.setattr(forking, "in_tests", False)  # a copy would see Neovim's end of the pipe close before its end
    nvim = start(version)
    engine.answers, engine.pause = ["".join(f"word {number} " for number in range(200))], 0.05
    nvim.command("CodeLlama chat Talk.")
    wait(lambda: "word" in nvim.chat_text())
    os.kill(nvim.server_pid(), signal.SIGKILL)
    wait(lambda: not nvim.answering(), what="the chat to notice")
    assert nvim.chat_text().endswith("*The server ended before the answer did; ask again.*")
    nvim.attached()
    engine.answers, engine.pause = ["Fine."], 0.0
    nvim.command("CodeLlama chat Again?")
    wait(lambda: "Fine." in nvim.chat_text())


def test_restarted_by_hand(start):
    nvim = start("0.12")
    old = nvim.server_pid()
    nvim.command("CodeLlama restart server")
    wait(lambda: nvim.server_pid() not in (None, old), what="a new server")
    nvim.attached()
    assert not [each for each in nvim.said if "unexpectedly" in each]


def test_engine_out_of_reach(start):
    """The engine is gone, or loads for minutes: typing goes on, and the reason is there to read."""
    nvim = start("0.11", settings={"engineUrl": "http://127.0.0.1:9"}, ready=False)
    wait(lambda: nvim.lua("return (require('codellama').status() or {}).kind") == "failed", what="the failure")
    assert nvim.lua("return require('codellama').statusline()") == "Code Llama: failed"
    nvim.input("jAtyped<Esc>")
    wait(lambda: nvim.lines[1] == "    typed")
    nvim.command("CodeLlama chat Hello")
    wait(lambda: not nvim.answering())
    assert "127.0.0.1:9" in nvim.chat_text()
    nvim.command("CodeLlama status")
    assert "127.0.0.1:9" in nvim.said[-1]


def test_an_engine_that_loads_for_long(start, engine, version, tmp_path, tokenizer_folder, monkeypatch):
    """The address of an engine that loads is in the runtime folder, as the project's own engine leaves it there."""
    folder, runtime = tokenizer_folder(), tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("CODELLAMA_LS_RUNTIME", str(runtime))
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "lsp_server"])
    try:
        found = address.Address(process.pid, __version__, str(folder), port=engine.port)
        address.files(str(folder)).address.write_text(json.dumps(dataclasses.asdict(found)))
        engine.health = {"status": "loading", "progress": 0.43, "message": "Loading the model, 43%."}
        settings = {"engineUrl": "", "tokenizer": "", "model": str(folder)}
        nvim = start(version, settings=settings, env={"CODELLAMA_LS_RUNTIME": str(runtime)}, ready=False)
        line = "return require('codellama').statusline()"
        wait(lambda: nvim.lua(line) == "Code Llama: loading 43%", what=lambda: nvim.lua(line))
        nvim.input("jAtyped<M-Bslash>")
        nvim.wait_said("no suggestion yet. Loading the model, 43%.")
        nvim.input("<Esc>")
        wait(lambda: nvim.lines[1] == "    typed", what="the text")
        nvim.command("CodeLlama chat Hello?")
        bar = "return vim.wo[vim.fn.win_findbuf(require('codellama.chat.view').log())[1]].winbar"
        wait(lambda: "Loading the model, 43%%." in nvim.lua(bar), what=lambda: nvim.lua(bar))
        nvim.command("CodeLlama stop")
        wait(lambda: nvim.chat_text().endswith("*Stopped.*"), what=nvim.chat_text)
        nvim.command("CodeLlama chat And now?")
        engine.answers = ["Here I am."]
        engine.health = {"status": "ready", "path": str(folder), "model": "stand-in", "context_length": 16384}
        wait(lambda: "Here I am." in nvim.chat_text(), what=nvim.chat_text)
        assert nvim.lua(line) in ("Code Llama: ready", "Code Llama: thinking")
    finally:
        process.kill()
        process.wait()


def test_the_model_is_missing(start, tmp_path):
    settings = {"engineUrl": "", "tokenizer": "", "model": str(tmp_path / "no-model-here")}
    env = {"CODELLAMA_LS_RUNTIME": str(tmp_path / "runtime"), "CODELLAMA_LS_CACHE": str(tmp_path / "cache")}
    nvim = start("0.12", settings=settings, env={**env, "HF_HUB_OFFLINE": "1"}, ready=False)
    failed = "return (require('codellama').status() or {}).kind == 'failed'"
    nvim.input("jAtyped<Esc>")
    wait(lambda: nvim.lua(failed), 60, what=lambda: f"the failure; {nvim.said}")
    assert nvim.lines[1] == "    typed"
    nvim.command("CodeLlama status")
    assert "no-model-here" in nvim.said[-1]
    nvim.command("CodeLlama chat Hello?")
    wait(lambda: not nvim.answering() and "no-model-here" in nvim.chat_text(), what=nvim.chat_text)


def test_a_model_for_chat_beside_that_of_the_suggestions(start, engine, version):
    other = Engine()
    try:
        nvim = start(version, settings={"chatEngineUrl": other.url})
        chat = "return vim.tbl_get(require('codellama').status() or {}, 'chat', 'kind')"
        wait(lambda: nvim.lua(chat) == "ready", what=lambda: nvim.lua(neovim.STATE))
        nvim.command("CodeLlama status")
        assert nvim.said[-1].endswith(f"stand-in is ready on {engine.url}. Chat: stand-in is ready on {other.url}.")
        other.answers, engine.answers = ["I am the other."], ["I am not asked."]
        nvim.command("CodeLlama chat Who are you?")
        wait(lambda: "I am the other." in nvim.chat_text(), what=nvim.chat_text)
        nvim.command("wincmd p")
        nvim.command("checkhealth codellama")
        text = "\n".join(nvim.lines)
        assert f"engine for suggestions: {engine.url} serves stand-in" in text
        assert f"engine for chat: {other.url} serves stand-in" in text
    finally:
        other.close()


def test_two_windows_on_one_folder(start, engine):
    first, second = start("0.11"), start("0.12")
    engine.answers, engine.pause = ["".join(f"word {number} " for number in range(40))], 0.02
    for number, nvim in enumerate((first, second)):
        nvim.command(f"CodeLlama chat Question {number}?")
    for nvim in (first, second):
        wait(lambda nvim=nvim: not nvim.answering(), what="both answers")
        assert nvim.chat_text().count("word ") == 40
    choose = "vim.ui.select = function(items, o, _) _G.titles = vim.tbl_map(o.format_item, items) end"
    for nvim in (first, second):
        nvim.lua(choose)
        nvim.command("CodeLlama history")
        titles = wait(lambda nvim=nvim: nvim.lua("return _G.titles"), what="the conversations of both")
        assert sorted(each.split("  ")[-1] for each in titles) == ["Question 0?", "Question 1?"]


def test_the_command_that_installs_goes_by_what_is_here(start, tmp_path):
    clone = neovim.PLUGIN.parents[1]
    for program, command in (
        ("none", "python3 -m venv {own} && {own}/bin/python -m pip install"),
        ("pipx", "pipx install"),
        ("uv", "uv tool install"),
    ):
        (tmp_path / "tools").mkdir(exist_ok=True)
        (tmp_path / "tools" / program).touch(0o755)
        nvim = start("0.11", installed=False, env={"PATH": str(tmp_path / "tools")})
        own = "~/.local/share/codellama-ls/venv"
        assert nvim.lua(INSTALL) == f"{command.format(own=own)} '{clone}[engine]'"
        assert ("install --force" in nvim.lua(INSTALL, True)) == (program != "none")


def test_what_that_command_makes_is_found_and_an_archives_own_wheel_is_named(start, tmp_path):
    plugin = shutil.copytree(neovim.PLUGIN, tmp_path / "plugin", ignore=shutil.ignore_patterns("screenshots"))
    (plugin / "server").mkdir()
    (plugin / "server" / "codellama_ls-0.1.0-py3-none-any.whl").touch()
    nvim = start("0.11", installed=False, env={"TEST_PLUGIN": str(plugin)})
    assert nvim.lua(INSTALL).endswith(f"'{plugin}/server/codellama_ls-0.1.0-py3-none-any.whl[engine]'")
    assert nvim.lua("return require('codellama.server').find()") is None
    home = Path(nvim.lua("return vim.fn.expand('~')"))
    made = neovim.server_command(home / ".local/share/codellama-ls/venv/bin")
    assert nvim.lua("return require('codellama.server').find()") == [str(made)]


def test_versions(start):
    nvim = start("0.11", installed=False)
    problem = "return require('codellama.server').version_problem(...)"
    assert nvim.lua(problem, "0.1.0") is None
    assert nvim.lua(problem, "0.2.1") is None
    assert nvim.lua(problem, "nonsense") is None
    assert "older than this plugin needs" in nvim.lua(problem, "0.0.9")
    assert nvim.lua(problem, "0.0.9").endswith(f"upgrade it with: {nvim.lua(INSTALL, True)}")
    assert "newer than this plugin knows" in nvim.lua(problem, "1.0.0")


def test_a_server_that_is_too_old(start):
    nvim = start("0.12", lua="require('codellama.server').NEEDS = '0.9.0'")
    nvim.wait_said("older than this plugin needs (0.9.0); upgrade it with: ")


def test_wrong_options(start):
    nvim = start("0.11", installed=False, setup="inlin = {}, chat = 3, keys = 'x',")
    for words in ("no option `inlin`", "`chat` must be a table", "`keys` must be"):
        nvim.wait_said(words)


def test_commands_are_completed(start, version):
    nvim = start(version)
    complete = nvim.nvim.funcs.getcompletion
    wanted = {"explain", "fix", "doc", "tests", "chat", "stop", "status", "model", "restart", "log", "toggle"}
    assert wanted | {"enable", "disable", "commit"} <= set(complete("CodeLlama ", "cmdline"))
    assert complete("CodeLlama st", "cmdline") == ["status", "stop"]
    assert "starter" in complete("CodeLlama model s", "cmdline")
    nvim.command("CodeLlama nonsense")
    nvim.wait_said("no sub-command nonsense")
    nvim.lua("vim.lsp.log.error('something')")
    choose = "vim.ui.select = function(items, _, chosen) for _, each in ipairs(items) do "
    choose += "if each.title == '{}' then chosen(each) end end end"
    for title, file in (("Language server", "server.log"), ("Neovim's of language servers", "lsp.log")):
        nvim.lua(choose.format(title.replace("'", "\\'")))
        nvim.command("CodeLlama log")
        wait(lambda file=file: nvim.nvim.current.buffer.name.endswith(file))
        nvim.command("close")
    nvim.command("CodeLlama model")
    nvim.wait_said("the model is stand-in")


def test_enabled_without_setup(start, version, tmp_path, engine, tokenizer_folder):
    """`vim.lsp.config` and `vim.lsp.enable` alone."""
    (tmp_path / "project" / ".git").mkdir(parents=True)
    file = tmp_path / "project" / "main.py"
    file.write_text("def add(a, b):\n    \n")
    given = {"engineUrl": engine.url, "tokenizer": str(tokenizer_folder()), "maxTokens": 33}
    options = f"vim.lsp.config('codellama', {{ init_options = {neovim.lua_value(given)} }}) vim.lsp.enable('codellama')"
    command = neovim.server_command(tmp_path / "bin")
    nvim = neovim.Neovim(version, tmp_path, file, options, neovim.environment(tmp_path, path=command.parent))
    try:
        nvim.attached()
        nvim.input("jA")
        nvim.wait_ghost("return a + b")
        nvim.lua("vim.keymap.set('i', '<C-y>', '<Plug>(codellama-accept)')")
        nvim.input("<C-y>")
        wait(lambda: nvim.lines[1] == "    return a + b")
    finally:
        nvim.close()


def test_while_the_server_starts_it_is_not_said_to_be_missing(start, version):
    nvim = start(version, setup="cmd = { '/bin/sleep', '60' }", ready=False)
    wait(lambda: nvim.lua("return require('codellama.server').is_starting"), what="the process of the server")
    nvim.command("CodeLlama explain")
    nvim.wait_said("the server is starting; try again in a moment.")
    nvim.command("CodeLlama status")
    nvim.wait_said("Code Llama: the server is starting.")


def test_a_model_that_failed_is_not_told_with_a_suggestion_of_before(start):
    nvim = start("0.11")
    nvim.lua("""
        local client = vim.lsp.get_clients({ name = 'codellama' })[1]
        local suggestion = { uri = '', shown = false, reason = 'The text changed meanwhile.' }
        require('codellama.status').told(client.id, { kind = 'failed', message = 'No.', suggestion = suggestion })
    """)
    nvim.command("CodeLlama status")
    assert nvim.said[-1] == "Code Llama: No."


def test_health_and_help(start, engine, version):
    nvim = start(version)
    nvim.command("checkhealth codellama")
    page = wait(lambda: (lambda text: text if "Code Llama: this machine" in text else None)("\n".join(nvim.lines)))
    assert "found: " in page
    assert "for one file" in page
    assert f"{engine.url} serves" in page, "the machine is looked at with the settings of the editor"
    assert "engine packages" not in page
    assert "Error executing" not in page
    nvim.command("bwipeout!")
    nvim.command("help codellama")
    assert nvim.nvim.current.buffer.name.endswith("codellama.txt")
    for subject in ("codellama-setup", ":CodeLlama", "codellama-chat", "codellama-settings", "codellama-lsp"):
        nvim.command(f"help {subject}")
