"""What the documentation says to write, written as it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import nvim as neovim
import pytest
from nvim import wait

README = (neovim.PLUGIN / "README.md").read_text()
HELP = (neovim.PLUGIN / "doc" / "codellama.txt").read_text()
PROTOCOL = (neovim.PLUGIN.parents[1] / "docs" / "protocol.md").read_text()
SOURCE = "https://your.git.server/codellama-ls"


def snippet(text: str, words: str) -> str:
    """The block of Lua that has these words, in Markdown or in the help."""
    blocks = re.findall(r"```lua\n(.*?)\n *```", text, re.DOTALL) + re.findall(r">lua\n(.*?)\n<", text, re.DOTALL)
    found = [block for block in blocks if words in block]
    assert len(found) == 1, f"{len(found)} snippets have {words!r}"
    return textwrap.dedent(found[0])


@pytest.fixture
def home(tmp_path):
    """A home with the plugin where the documentation clones it to."""
    folder = tmp_path / "src" / "codellama-ls" / "editors"
    folder.mkdir(parents=True)
    shutil.copytree(neovim.PLUGIN, folder / "neovim", ignore=shutil.ignore_patterns("screenshots"))
    return tmp_path


def run(version: str, home: Path, lua: str, engine) -> neovim.Neovim:
    """Neovim with this as the whole init.lua, but for what the tests listen with, and for the model."""
    (home / "project" / ".git").mkdir(parents=True, exist_ok=True)
    file = home / "project" / "main.py"
    file.write_text(neovim.TEXT)
    command = neovim.server_command(home / "bin")
    env = neovim.environment(home, path=command.parent)
    del env["TEST_PLUGIN"]
    listening = "vim.opt.swapfile = false _G.said = {} vim.notify = function(m) table.insert(_G.said, m) end\n"
    given = lua.replace("model = 'starter'", model := f"engineUrl = '{engine.url}'")
    given = given.replace("setup()", f"setup({{ settings = {{ {model} }} }})")
    return neovim.Neovim(version, home, file, listening + given, env, plugin=False)


def works(nvim: neovim.Neovim) -> None:
    try:
        wait(
            lambda: nvim.lua("return #vim.lsp.get_clients({ bufnr = 0, name = 'codellama' })") == 1,
            what=lambda: f"the server; {nvim.said}, {nvim.nvim.command_output('messages')}",
        )
        assert nvim.lua("return vim.fn.exists(':CodeLlama')") == 2
        assert nvim.lua("return vim.fn.maparg('<Plug>(codellama-accept)', 'i') ~= ''")
        assert not nvim.said
    finally:
        nvim.close()


def test_vim_pack(home, engine):
    lua = snippet(README, "vim.pack.add")
    repository = home / "src" / "codellama-ls"
    git = "git init -q . && git add . && git -c user.name=A -c user.email=a@b.c commit -qm A"
    subprocess.run(git, shell=True, cwd=repository, check=True)
    assert SOURCE in lua
    confirmed = "vim.fn.confirm = function() return 1 end\n"
    works(run("0.12", home, confirmed + lua.replace(SOURCE, f"file://{repository}"), engine))


def test_runtimepath(home, engine, version):
    line = re.search(r"Without any: `(.*?)`", README)[1]
    works(run(version, home, f"{line}\nrequire('codellama').setup({{ settings = {{ model = 'starter' }} }})", engine))


def test_runtimepath_of_the_help(home, engine, version):
    lua = snippet(HELP, "runtimepath").replace("/path/to/", f"{home}/src/")
    works(run(version, home, lua, engine))


def test_lazy_nvim(home, engine, version):
    """lazy.nvim is not here: what it does with these fields, by its documentation, is done by hand."""
    load = """
        local spec = SPEC
        vim.opt.runtimepath:append(vim.fs.normalize(spec.dir))
        require(spec.main).setup(spec.opts)
    """
    works(run(version, home, load.replace("SPEC", snippet(README, "event = ")), engine))


def test_statusline(start, version):
    nvim = start(version)
    nvim.lua(snippet(HELP, "vim.o.statusline"))
    shown = nvim.lua("return vim.api.nvim_eval_statusline(vim.o.statusline, {}).str")
    assert shown.endswith("Code Llama: ready")


def test_the_help_has_the_defaults(start):
    nvim = start("0.11", installed=False)
    block = snippet(HELP, "accept_line = ")
    given = block.replace("require('codellama').setup(", "return vim.deep_equal(require('codellama.config').defaults, ")
    assert nvim.lua(given)


def test_the_help_has_every_command_and_link(start):
    nvim = start("0.11", installed=False)
    for name in nvim.lua("return vim.tbl_keys(require('codellama.commands').COMMANDS)"):
        assert re.search(rf"^:.*\b{name}\b", HELP, re.MULTILINE), name
    for key, _ in nvim.lua("return require('codellama.chat.keys').HELP"):
        assert all(re.search(rf"^    .*{re.escape(each)}", HELP, re.MULTILINE) for each in re.split(r"[, ]+", key)), key
    tags = set(re.findall(r"\*(\S+)\*", HELP))
    links = set(re.findall(r"\|(codellama-\S+?)\|", HELP))
    assert links <= tags


# Asks as sidekick.nvim does, and makes the edit as it does.
ASKS = """
local client = vim.tbl_filter(function(each)
  return each.name:lower():find('copilot')
end, vim.lsp.get_clients({ bufnr = 0 }))[1]
local params = client and vim.lsp.util.make_position_params(0, client.offset_encoding)
if not params then
  return
end
local buffer = vim.api.nvim_get_current_buf()
params.textDocument.version = vim.lsp.util.buf_versions[buffer]
params.context = { triggerKind = 2 }
local answer = client:request_sync('textDocument/copilotInlineEdit', params, 10000, buffer)
local edit = answer and answer.result and answer.result.edits[1]
if edit and edit.textDocument.version == vim.lsp.util.buf_versions[buffer] then
  vim.lsp.util.apply_text_edits({ { range = edit.range, newText = edit.text } }, buffer, client.offset_encoding)
  client:exec_cmd(edit.command)
  return edit.text
end
"""


def test_a_plugin_for_another_servers_next_edits_finds_ours(home, engine, version, monkeypatch):
    configuration = home / "config.toml"
    configuration.write_text(f'engineUrl = "{engine.url}"\n')
    monkeypatch.setenv("CODELLAMA_LS_CONFIG", str(configuration))
    nvim = run(version, home, snippet(PROTOCOL, "codellama-copilot"), engine)
    try:
        nvim.nvim.current.buffer[:] = ["one = 1", "print(one)", "check(one)"]
        wait(lambda: nvim.lua("return #vim.lsp.get_clients({ bufnr = 0 })") == 1, what=lambda: nvim.said)
        nvim.input("ggciwuno<Esc>")
        for row in (1, 2):
            wait(lambda: nvim.lua(ASKS) == "uno", what=lambda: nvim.lines)
            assert "uno" in nvim.lines[row]
        assert nvim.lines == ["uno = 1", "print(uno)", "check(uno)"]
        assert not nvim.said
    finally:
        nvim.close()
