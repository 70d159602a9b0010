"""The clients in the user's editors: which editors there are, what would be put into them, and what `setup` has put."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from lsp_server import __version__, installing, places, processes
from lsp_server.commands import Failed
from lsp_server.errors import reason
from lsp_server.files import read_bytes

# Programs that install extensions of VS Code, and what they are called.
VSCODES = {
    "code": "VS Code",
    "code-insiders": "VS Code Insiders",
    "codium": "VSCodium",
    "code-server": "code-server",
}
EXTENSION = "codellama-ls.codellama"
_SECONDS = 120
_RECORD, _RECORD_BYTES = "setup.json", 2**16
SNIPPET = "-- Made by `codellama-ls setup`, removed by `codellama-ls uninstall`.\nrequire('codellama').setup({})\n"


@dataclasses.dataclass(frozen=True)
class Editor:
    """An editor that is here. `version`: that of our client in it, "" where there is none, None where it was not to be
    found out."""

    name: str
    program: str
    version: str | None


@dataclasses.dataclass(frozen=True)
class Change:
    """Something that is done to an editor: what it is, for the user, and how. `do` raises Failed, OSError."""

    what: str
    do: Callable[[], object]


def editors() -> list[Editor]:
    """The editors that are here and that we have a client for."""
    found = []
    for name, called in VSCODES.items():
        if program := processes.program(name):
            found.append(Editor(called, program, _extension(program)))
    if program := processes.program("nvim"):
        found.append(Editor("Neovim", program, _plugin()))
    return found


def install(editor: Editor) -> list[Change] | str:
    """What puts our client into an editor, or the one of this version in the place of another; why that cannot be done
    from here, behind the editor's name."""
    if editor.version is None:
        return f"{editor.program} does not say which extensions it has, so it is left alone"
    if editor.name == "Neovim":
        return _into_neovim(editor)
    package = _package("editors/vscode/dist/*.vsix", "codellama-*.vsix")
    if package is None:
        source = installing.came_from()
        if source is not None and source.is_dir():
            return f"the extension is not built yet: run `make check-vscode` in {source}, and this again"
        return "there is no codellama-*.vsix beside what this program was installed from: take that of the release"
    command = [editor.program, "--install-extension", str(package), "--force"]

    def run() -> None:
        said = _said(command)
        if said is None or EXTENSION not in (_said([editor.program, "--list-extensions"]) or ""):
            raise Failed(f"`{' '.join(command)}` did not install the extension ({said or 'it failed'}).")
        _remember("extensions", editor.program)

    return [Change(f"install {package} by {editor.program}", run)]


def installed() -> list[Change]:
    """What removes each client that `setup` has put somewhere."""
    record = _record()
    changes = []
    for program in record["extensions"]:
        command = [program, "--uninstall-extension", EXTENSION]
        changes.append(Change(f"the extension, by {program}", functools.partial(_forget_extension, command)))
    for path in record["files"]:
        changes.append(Change(path, functools.partial(_forget_file, Path(path))))
    return changes


def _extension(program: str) -> str | None:
    said = _said([program, "--list-extensions", "--show-versions"])
    if said is None:
        return None
    found = re.search(rf"^{re.escape(EXTENSION)}@(\S+)$", said, re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def _said(command: list[str]) -> str | None:
    """What a program says; None where it fails. It is given nothing to read, so that it asks nothing."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            cwd=places.data_folder(),
            env=processes.environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _into_neovim(editor: Editor) -> list[Change] | str:
    """The plugin as a package that Neovim loads by itself, and a file of ours among those that it reads at its start:
    nothing that the user wrote is changed."""
    said = re.match(r"NVIM v(\d+)\.(\d+)", _said([editor.program, "--version"]) or "")
    if said is None or (int(said[1]), int(said[2])) < (0, 11):
        return f"{editor.program} is older than 0.11, which the plugin needs"
    clone, archive = _package("editors/neovim", ""), _package("", "codellama-nvim-*.tar.gz")
    if clone is None and archive is None:
        return "there is no codellama-nvim-*.tar.gz beside what this program was installed from: take the release's"
    folder = _neovim("data") / "site/pack/codellama/start/codellama"
    snippet = _neovim("config") / "plugin/codellama.lua"
    if editor.version and not folder.exists():
        return f"its plugin is for version {editor.version}: update it the way it was installed"

    def put() -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _forget_file(folder)
        if clone is not None:
            folder.symlink_to(clone)
        elif archive is not None:
            with tarfile.open(archive) as files:
                files.extractall(folder.parent, filter="data")
        _remember("files", str(folder))

    def write() -> None:
        snippet.parent.mkdir(parents=True, exist_ok=True)
        snippet.write_text(SNIPPET, encoding="utf-8")
        _remember("files", str(snippet))

    changes = [Change(f"{'link' if clone else 'unpack'} {clone or archive} to {folder}", put)]
    if not snippet.exists():
        changes.append(Change(f"write {snippet}, with `{SNIPPET.splitlines()[1]}`", write))
    return changes


def _plugin() -> str | None:
    """The version of the plugin, wherever it is: "" where it is nowhere that Neovim or a plugin manager puts it."""
    data = _neovim("data")
    places_of = ("site/pack/*/start/*", "site/pack/*/opt/*", "lazy/*", "plugged/*")
    for pattern in places_of:
        for path in data.glob(f"{pattern}/lua/codellama/server.lua"):
            found = re.search(r"^M\.NEEDS = '([\d.]+)'", read_bytes(path, 2**20).decode(errors="replace"), re.MULTILINE)
            return found[1] if found else None
    return ""


def _neovim(kind: str) -> Path:
    """Neovim's own folder of a kind, `data` or `config`, as its `stdpath` has it."""
    name = os.environ.get("NVIM_APPNAME") or "nvim"
    variable = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
    if os.path.isabs(variable):
        return Path(variable) / name
    if os.name == "nt":
        return Path(platformdirs.user_data_path(appauthor=False, roaming=False)) / f"{name}{'-data' * (kind == 'data')}"
    return Path.home() / {"data": ".local/share", "config": ".config"}[kind] / name


def _package(in_clone: str, beside: str) -> Path | None:
    """A client's package: in the clone that this program runs from, or beside the wheel that it was installed from, of
    the same version where there are several."""
    source = installing.came_from()
    if source is None:
        return None
    folder, pattern = (source, in_clone) if source.is_dir() else (source.parent, beside)
    found = sorted(folder.glob(pattern)) if pattern else []
    return next((each for each in found if __version__ in each.name), found[-1] if found else None)


def _record() -> dict[str, Any]:
    """What `setup` has put somewhere: programs that have the extension, and files."""
    record: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        record = json.loads(read_bytes(places.data_folder() / _RECORD, _RECORD_BYTES))
    kept = {}
    for kind in ("extensions", "files"):
        values = record.get(kind) if isinstance(record, dict) else None
        kept[kind] = [each for each in values or [] if isinstance(each, str) and os.path.isabs(each)]
    return kept


def _remember(kind: str, value: str) -> None:
    record = _record()
    record[kind] = sorted({*record[kind], value})
    _keep(record)


def _keep(record: dict[str, Any]) -> None:
    file = places.data_folder() / _RECORD
    if not any(record.values()):
        return file.unlink(missing_ok=True)
    with open(file, "w", encoding="utf-8", opener=places.private) as out:
        json.dump(record, out)


def _forget_extension(command: list[str]) -> None:
    _said(command)
    if EXTENSION in (_said([command[0], "--list-extensions"]) or ""):
        raise Failed(f"`{' '.join(command)}` did not remove the extension.")
    record = _record()
    _keep({**record, "extensions": [each for each in record["extensions"] if each != command[0]]})


def _forget_file(path: Path) -> None:
    """Remove a file or folder that `setup` has made. Raises Failed, where it cannot be removed."""
    try:
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
    except OSError as error:
        raise Failed(f"{path} cannot be removed ({reason(error)}); remove it by hand.") from error
    record = _record()
    if str(path) in record["files"]:
        _keep({**record, "files": [each for each in record["files"] if each != str(path)]})
