"""A folder whose every file name is a trap: nothing of it is run, read as configuration, or worked in."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lsp_server import places, processes
from lsp_server.engine import address

PROGRAM = Path(sys.executable).with_name("codellama-ls")


def names() -> set[str]:
    """Whatever any process of ours may import by name."""
    installed = importlib.metadata.packages_distributions()
    found = {*sys.stdlib_module_names, *installed, "lsp_server", "sitecustomize", "usercustomize"}
    return {name for name in found if name.isidentifier()}


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with a module, and a package, of each of these names; whichever is run leaves a file `OWNED`."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in names():
        code = f"open({str(folder / 'OWNED')!r}, 'a').write('{name}\\n')\n"
        if len(name) % 2:
            (folder / f"{name}.py").write_text(code)
        else:
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(code)
    for program in ("git", "python", "python3", "nvidia-smi", "node", "ldconfig", "gcc", "cc", "lscpu"):
        (folder / program).write_text(f"#!/bin/sh\necho {program} >> {folder / 'OWNED'}\n")
        (folder / program).chmod(0o755)
    (folder / ".numba_config.yaml").write_text("disable_jit: 1\n")
    (folder / "a.py").write_text("x = 1\ny = \n")
    return folder


def owned(folder: Path) -> str:
    file = folder / "OWNED"
    return file.read_text() if file.exists() else ""


def engine_process(model: str = "starter") -> psutil.Process:
    found = address.read(address.files(model).address)
    assert found is not None
    return psutil.Process(found.pid)


@pytest.mark.usefixtures("starter")
def test_a_completion_in_a_folder_of_traps(trap: Path, engines: Path) -> None:
    around = {**os.environ, "PATH": f":.:{os.environ['PATH']}:"}
    for command in (["complete", "a.py:2:5"], ["doctor"], ["models"], ["prompt", "a.py:2:5"]):
        done = subprocess.run([PROGRAM, *command], cwd=trap, env=around, capture_output=True, text=True, timeout=120)
        assert (done.returncode, owned(trap)) == (0, ""), done.stderr
    assert engine_process().cwd() == str(engines)
    assert "PYTHONSAFEPATH" in engine_process().environ()


@pytest.mark.parametrize("module", ["lsp_server.engine", "lsp_server.engine.loading.starter", "pip"])
def test_each_python_that_is_started_looks_at_its_own_path_alone(trap: Path, module: str) -> None:
    around = {**os.environ, "PYTHONPATH": f":{trap}:.", "PYTHONSTARTUP": str(trap / "os.py"), "PYTHONHOME": ""}
    around["PYTHONWARNINGS"] = "error::sched.Warning"
    command = processes.python(module, "--help")
    subprocess.run(command, cwd=trap, env=around, capture_output=True, timeout=120)
    assert owned(trap) == ""


def test_the_environment_of_a_process_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ".")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "bin", "/usr/bin"]))
    made = processes.environment(MORE="1")
    assert {name for name in made if name.startswith("PYTHON")} == {"PYTHONSAFEPATH"}
    assert (made["PATH"], made["MORE"]) == ("/usr/bin", "1")


def test_a_program_of_the_working_folder_is_none(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = os.environ["PATH"]
    monkeypatch.chdir(trap)
    by_link, tools, below = trap.parent / "by link", trap.parent / "tools", trap / "bin"
    by_link.symlink_to(trap)
    for folder in (tools, below):
        folder.mkdir()
        (folder / "nvidia-smi").symlink_to(trap / "nvidia-smi")
    for folder in ("", ".", "bin", trap, by_link, tools, below, by_link / "bin"):
        monkeypatch.setenv("PATH", str(folder))
        assert processes.program("nvidia-smi") is None, folder
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{usual}")
    assert processes.program("sh") is not None
    monkeypatch.chdir("/")
    assert processes.program("sh") is not None


@pytest.mark.usefixtures("starter")
def test_an_honest_project_with_modules_of_the_librarys_names(tmp_path: Path, engines: Path) -> None:
    """`python -m lsp_server` in a folder that has a random.py."""
    for name in ("random", "types", "filelock", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    (tmp_path / "a.py").write_text("x = 1\ny = \n")
    command = processes.python("lsp_server", "complete", "a.py:2:5")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_folder_is_no_hub_id(tmp_path: Path, engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`org/name` means the hub's model, whatever lies in the working folder."""
    (tmp_path / "codellama" / "CodeLlama-7b-Instruct-hf").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert places.named_folder("codellama/CodeLlama-7b-Instruct-hf") is None
    assert places.named_folder("starter") is None
    assert places.named_folder(str(tmp_path)) == tmp_path
    assert places.absolute_name("./codellama") == str(tmp_path / "codellama")
    assert places.absolute_name("codellama/CodeLlama-7b-Instruct-hf") == "codellama/CodeLlama-7b-Instruct-hf"
    (tmp_path / "a.py").write_text("x\n")
    around = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [PROGRAM, "prompt", "a.py:1:1", "--model", "codellama/CodeLlama-7b-Instruct-hf"],
        cwd=tmp_path,
        env=around,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "could not be fetched" in done.stderr


@pytest.mark.usefixtures("starter")
def test_an_engine_told_to_end_leaves_nothing_behind(engines: Path, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = \n")
    command = [PROGRAM, "complete", "a.py:2:5"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120).returncode == 0
    modes = {file.suffix: stat.S_IMODE(file.stat().st_mode) for file in engines.iterdir()}
    assert modes == {".json": 0o600, ".lock": 0o600, ".sock": 0o600, ".log": 0o600}
    process = engine_process()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert {file.suffix for file in engines.iterdir()} == {".lock", ".log"}


def test_an_engine_told_to_end_while_it_loads(engines: Path) -> None:
    started = subprocess.Popen(
        processes.python("lsp_server.engine", "--model", "starter"), stderr=subprocess.DEVNULL, cwd=engines
    )
    until = time.monotonic() + 60
    while not (files := address.files("starter")).address.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    started.terminate()
    assert started.wait(60) == 0
    assert not files.address.exists()
    assert not files.sockets()
