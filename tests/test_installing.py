"""What messages tell the user to run: a command that works for the installation at hand."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from lsp_server import installing

ROOT = Path(__file__).parents[1]
posix = pytest.mark.skipif(os.name == "nt", reason="quoted for another shell")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """installed(origin, mark=..., by=...): as a tool that leaves `mark` has put the program here from `origin`."""

    def put(origin: dict[str, Any] | None, mark: str = "", by: str = "pip") -> None:
        files = {"METADATA": "Name: codellama-ls", "INSTALLER": f"{by}\n"}
        if origin is not None:
            files["direct_url.json"] = json.dumps(origin)
        monkeypatch.setattr(installing, "_record", lambda name: files.get(name, ""))
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        monkeypatch.setattr(sys, "executable", "/env/bin/python")
        if mark:
            (tmp_path / mark).touch()

    return put


PIP, UV = "/env/bin/python -m pip install", "uv pip install --python /env/bin/python"


@posix
@pytest.mark.parametrize(
    ("mark", "by", "command"),
    [
        ("", "pip", PIP),
        ("", "uv", UV),
        ("pipx_metadata.json", "pip", "pipx install --force"),
        ("uv-receipt.toml", "uv", "uv tool install --force"),
    ],
)
def test_each_tool_installs_again_from_where_it_came(
    installed: Any, tmp_path: Path, mark: str, by: str, command: str
) -> None:
    clone, wheel = tmp_path / "my clone", tmp_path / "codellama_ls-0.1.0-py3-none-any.whl"
    clone.mkdir()
    wheel.touch()
    installed({"url": clone.as_uri(), "dir_info": {"editable": True}}, mark, by)
    assert installing.engine() == f"{command} --editable '{clone}[engine]'"
    installed({"url": clone.as_uri(), "dir_info": {}}, mark, by)
    assert installing.engine() == f"{command} '{clone}[engine]'"
    installed({"url": wheel.as_uri(), "archive_info": {}}, mark, by)
    assert installing.engine() == f"{command} '{wheel}[engine]'"
    installed({"url": "https://a.example/x.whl", "archive_info": {}}, mark, by)
    assert installing.engine() == f"{command} 'codellama-ls[engine] @ https://a.example/x.whl'"
    installed({"url": "https://a.example/x.git", "vcs_info": {"vcs": "git"}}, mark, by)
    assert installing.engine() == f"{command} 'codellama-ls[engine] @ git+https://a.example/x.git'"
    installed(None, mark, by)  # an index that has it
    assert installing.engine() == f"{command} 'codellama-ls[engine]'"


@posix
@pytest.mark.parametrize(
    ("mark", "by", "command"),
    [("", "pip", PIP), ("uv-receipt.toml", "uv", UV), ("pipx_metadata.json", "pip", "pipx inject codellama-ls")],
)
def test_where_the_wheel_is_gone_the_packages_are_named(
    installed: Any, tmp_path: Path, mark: str, by: str, command: str
) -> None:
    installed({"url": (tmp_path / "gone.whl").as_uri(), "archive_info": {}}, mark, by)
    said = installing.engine()
    assert said.startswith(f"{command} ")
    words = shlex.split(said.removeprefix(command))
    assert any(word.startswith("torch>=") for word in words)
    assert not any(word.startswith(("codellama", "pytest", "pygls")) for word in words)
    assert installing.adding("httpx[socks]") == f"{command} 'httpx[socks]'"


def test_what_is_run_where_it_lies_is_installed_from_there(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "_record", lambda name: "")
    assert f"--editable '{ROOT}[engine]'" in installing.engine() or os.name == "nt"


def test_on_windows_it_is_what_powershell_takes(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [r"C:\my tools\python.exe", "-m", "pip", "install", "codellama-ls[engine]"]
    monkeypatch.setattr(os, "name", "nt")
    said = installing._shell(words)
    monkeypatch.undo()
    assert said == r'& "C:\my tools\python.exe" -m pip install "codellama-ls[engine]"'


def test_no_message_tells_an_install_command_of_its_own() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / "lsp_server").rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if ("pip install" in line or "pipx install" in line or "uv tool" in line) and path.name != "installing.py"
    ]
    # Where there is no pip at all, only uv can have made the environment.
    assert [each for each in wrong if "starter.py" not in each] == []


@posix
def test_the_program_is_named_by_what_the_shell_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "clone" / ".venv" / "bin" / "codellama-ls"
    script.parent.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert installing.command("setup") == f"{script.parent}/python -m lsp_server setup"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert installing.command("setup", "--yes") == f"{script} setup --yes"
    monkeypatch.chdir(tmp_path / "clone")
    assert installing.command("setup") == ".venv/bin/codellama-ls setup"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "codellama-ls").symlink_to(script)  # as pipx does
    assert installing.command("setup") == "codellama-ls setup"
    (tmp_path / "bin" / "codellama-ls").unlink()
    (tmp_path / "bin" / "codellama-ls").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "codellama-ls").chmod(0o755)
    assert installing.command("setup") == ".venv/bin/codellama-ls setup", "as the other is another one"
