"""A project that was just cloned is opened: nothing in it is run, neither by Neovim's plugin nor by its server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nvim as neovim
import psutil
import pytest
from nvim import STATE, wait
from traps import Traps

from lsp_server import places

ENVIRONMENTS = {
    "as it is": {},
    "PYTHONPATH of a dot": {"PYTHONPATH": "."},
    "PYTHONPATH with an empty entry": {"PYTHONPATH": ":/nowhere"},
    "PYTHONPATH of the project": {"PYTHONPATH": "{project}"},
    "PYTHONHOME": {"PYTHONHOME": "{project}"},
    "other variables": {
        "PYTHONSTARTUP": "torch.py",
        "PYTHONINSPECT": "1",
        "PYTHONBREAKPOINT": "torch.Owned",
        "PYTHONWARNINGS": "ignore::torch.Owned",
        "PYTHONPLATLIBDIR": "{project}",
        "PYTHONUSERBASE": ".",
    },
    "PATH of dots": {"PATH": "::.:./bin:~/bin:{path}:."},
    "all": {"PYTHONPATH": ".:", "PYTHONSTARTUP": "torch.py", "PATH": ".:{path}"},
}


# Neovim itself runs the Python of the PATH in the folder that is open, with or without the plugin.
NO_PROVIDER = "vim.g.loaded_python3_provider = 0"


@pytest.fixture
def version() -> str:
    """One will do: how the server is started is the same in both."""
    return "0.12"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project that `start` opens a file of. Neovim is started in it, as one does in a terminal."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(neovim, "program", lambda *words: [sys.executable, *words])  # what a start takes, not a copy
    return folder


def given(values: dict[str, str], project: Path) -> dict[str, str]:
    path = f"{project.parent / 'bin'}:/usr/bin:/bin"
    return {name: value.format(project=project, path=path) for name, value in values.items()}


@pytest.mark.parametrize(
    ("version", "surroundings"), [*(("0.12", each) for each in ENVIRONMENTS), ("0.11", "all")]
)  # how a server is started is the same in both
def test_nothing_of_the_project_is_run(start, engine, version, project, tmp_path, surroundings):
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    (project / "staged.txt").write_text("A line.\n")
    subprocess.run(["git", "add", "staged.txt"], cwd=project, check=True)
    traps = Traps(project, tmp_path / "owned")
    variables = given(ENVIRONMENTS[surroundings], project)
    nvim = start(version, lua=NO_PROVIDER, env=variables)
    nvim.input("jA")
    nvim.wait_ghost("return a + b")
    nvim.input("<Tab>")
    wait(lambda: nvim.lines[1] == "    return a + b", what="acceptance")
    nvim.input("<Esc>")
    engine.answers = ["Add a line."]
    nvim.command("CodeLlama commit")
    nvim.wait_said("the commit message is in the register")
    nvim.command("CodeLlama restart server")
    wait(lambda: nvim.server_pid(), what="a new server")
    nvim.attached()
    assert traps.sprung == []
    for name, value in variables.items():
        assert nvim.lua("return vim.env[...]", name) == value, "Neovim's own environment stays"


def test_where_and_how_the_server_runs(start, version, project, tmp_path, monkeypatch):
    """Its folder is its own, and of Python's variables it gets those that load nothing."""
    for name in [each for each in os.environ if each.startswith("PYTHON")]:
        monkeypatch.delenv(name)
    kept = {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8", "PYTHONUSERBASE": str(tmp_path / "base")}
    loading = {"PYTHONPATH": "/nowhere", "PYTHONWARNINGS": "ignore", "PYTHONNEWLY_INVENTED": "x"}
    nvim = start(version, lua=NO_PROVIDER, env=kept | loading | {"PATH": f".:{tmp_path / 'bin'}:/usr/bin:/bin:"})
    server = psutil.Process(nvim.server_pid())
    assert server.cwd() == str(tmp_path / "xdg-state" / "nvim" / "codellama")
    assert Path(server.cwd()).stat().st_mode & 0o077 == 0
    assert {name: value for name, value in server.environ().items() if name.startswith("PYTHON")} == {
        **kept,
        "PYTHONSAFEPATH": "1",
    }
    assert server.environ()["PATH"] == f"{tmp_path / 'bin'}:/usr/bin:/bin"


@pytest.mark.parametrize("why", ["relative", "a file"])
def test_where_there_is_no_folder_for_it(start, version, project, tmp_path, why):
    state = "state" if why == "relative" else str(tmp_path / "state")
    (tmp_path / "state" / "nvim").mkdir(parents=True)
    (tmp_path / "state" / "nvim" / "codellama").write_text("A file where the folder would be.")
    nvim = start(version, lua=NO_PROVIDER, env={"XDG_STATE_HOME": state})
    folder = psutil.Process(nvim.server_pid()).cwd()
    assert not Path(folder).is_relative_to(project)
    assert folder == os.path.realpath(nvim.lua("return vim.fs.dirname(vim.fn.tempname())"))


def test_checkhealth_runs_nothing_of_the_project(start, version, project, tmp_path):
    traps = Traps(project, tmp_path / "owned")
    nvim = start(version, lua=NO_PROVIDER, env=given({"PYTHONPATH": ".", "PATH": ".:{path}"}, project))
    nvim.command("checkhealth codellama")
    page = wait(lambda: (lambda text: text if "Code Llama: this machine" in text else None)("\n".join(nvim.lines)))
    assert "gave no answer" not in page
    assert traps.sprung == []


@pytest.mark.parametrize("entry", ["", ".", "bin", "./bin", "~/bin"])
def test_a_program_that_only_this_folder_has_is_not_started(start, version, project, tmp_path, entry):
    traps = Traps(project, tmp_path / "owned")
    nvim = start(version, lua=NO_PROVIDER, installed=False, env={"PATH": f"{entry}:/usr/bin:/bin:{entry}"})
    said = nvim.wait_said("install")
    assert said.startswith(
        "Code Llama: the only codellama-ls on $PATH is in a folder that $PATH does not name by its whole path; "
        "install one with: "
    )
    assert nvim.server_pid() is None
    assert traps.sprung == []


@pytest.mark.parametrize(
    "program", ["./codellama-ls", "bin/codellama-ls", "../project/codellama-ls", "~/bin/codellama-ls"]
)
def test_a_relative_cmd_is_not_started(start, version, project, tmp_path, program):
    traps = Traps(project, tmp_path / "owned")
    nvim = start(version, lua=NO_PROVIDER, setup=f"cmd = {{ '{program}' }}", ready=False)
    assert nvim.wait_said("setup{cmd}") == (
        f"Code Llama: `{program}` of `setup{{cmd}}` would be another program in each folder; write its whole path."
    )
    nvim.command("CodeLlama restart")
    assert nvim.server_pid() is None
    assert traps.sprung == []


@pytest.mark.parametrize("cmd", [["codellama-ls"], ["sh", "-c", f"exec {sys.executable} -m lsp_server"]])
def test_a_cmd_by_name_is_looked_for_on_path(start, version, project, tmp_path, cmd):
    traps = Traps(project, tmp_path / "owned")
    nvim = start(
        version, lua=NO_PROVIDER, setup=f"cmd = {neovim.lua_value(cmd)}", env=given({"PATH": ".:{path}"}, project)
    )
    assert nvim.server_pid()
    assert traps.sprung == []


@pytest.mark.parametrize(("environment", "starts"), [("{project}/.venv", True), (".venv", False), ("", False)])
def test_an_active_environment_in_the_project(start, version, project, environment, starts):
    """Who activates one chose it; the path that this leaves is a whole one."""
    neovim.server_command(project / ".venv" / "bin")
    chosen = environment.format(project=project)
    nvim = start(version, lua=NO_PROVIDER, installed=False, env={"VIRTUAL_ENV": chosen})
    if starts:
        wait(nvim.server_pid, what="the server of the environment")
    else:
        nvim.wait_said("not installed")
        assert nvim.server_pid() is None


@pytest.mark.timeout(240)
@pytest.mark.parametrize("python_path", [None, ".:", "{project}"])
def test_the_local_engine_runs_nothing_of_the_project(start, starter, engines, project, tmp_path, python_path):
    """The whole way, with an engine that the server starts: the starter model, in a process of its own."""
    traps = Traps(project, tmp_path / "owned")
    env = {"CODELLAMA_LS_CACHE": str(places.cache_folder()), "CODELLAMA_LS_RUNTIME": str(engines)}
    env |= given({"PATH": ".:{path}"} | ({"PYTHONPATH": python_path} if python_path else {}), project)
    settings = {"engineUrl": "", "tokenizer": "", "chatFormat": "auto", "model": "starter", "maxTokens": 8}
    nvim = start("0.11", lua=NO_PROVIDER, settings=settings, env=env, ready=False)
    kind = "local s = require('codellama').status() return s and s.kind"
    wait(lambda: nvim.lua(kind) == "ready", 180, what=lambda: f"the starter model; {nvim.said}, {nvim.lua(STATE)}")
    nvim.input("jA")
    wait(nvim.ghost, 60, what="a suggestion of the starter model")
    assert traps.sprung == []
