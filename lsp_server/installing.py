"""What a user runs to add to this installation: the one place that knows.

It depends on how the program came here (PEP 610's direct_url.json says: from a clone, a wheel of a release, an address,
or by its name from a package index) and on what put it here: pip, pipx or uv, each of which leaves a mark.

Imported with the language server, which starts without what only a message needs.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Literal

PACKAGE = "codellama-ls"

Tool = Literal["pip", "uv", "pipx", "uv tool"]


def engine() -> str:
    """The command that adds the engine's packages."""
    tool, source = _tool(), _source("engine")
    if source is None:  # what it came from is gone: its packages by their own names
        return adding(*_extra("engine"))
    words = {"pipx": ["pipx", "install", "--force"], "uv tool": ["uv", "tool", "install", "--force"]}
    return _shell([*words.get(tool, _in_environment(tool)), *source])


def command(*words: str) -> str:
    """The command line that runs this program here: by its name where the shell finds that, else by its path."""
    import shutil

    script = Path(sys.executable).with_name(f"{PACKAGE}.exe" if os.name == "nt" else PACKAGE)
    if not script.is_file():
        return _shell([sys.executable, "-m", "lsp_server", *words])
    found = shutil.which(PACKAGE)
    if found and os.path.isabs(found) and os.path.samefile(found, script):
        return _shell([PACKAGE, *words])
    inside = script.is_relative_to(Path.cwd())
    return _shell([str(script.relative_to(Path.cwd()) if inside else script), *words])


def adding(*requirements: str) -> str:
    """The command that adds other packages beside this one, e.g. `httpx[socks]`."""
    tool = _tool()
    if tool == "pipx":
        return _shell(["pipx", "inject", PACKAGE, *requirements])
    return _shell([*_in_environment(tool), *requirements])


def came_from() -> Path | None:
    """The clone or the file that this program was installed from, where it is still there."""
    source = _source("engine")
    path = Path(source[-1].removesuffix("[engine]")) if source else None
    return path if path is not None and path.is_absolute() and path.exists() else None


def removing() -> str:
    """The command that removes this program."""
    words = {"pipx": ["pipx", "uninstall"], "uv tool": ["uv", "tool", "uninstall"]}
    in_environment = {
        "uv": ["uv", "pip", "uninstall", "--python", sys.executable],
        "pip": [sys.executable, "-m", "pip", "uninstall"],
    }
    tool = _tool()
    return _shell([*(words.get(tool) or in_environment[tool]), PACKAGE])


def _in_environment(tool: Tool) -> list[str]:
    """The words that install into the environment that runs this program, whichever is active."""
    if tool in ("uv", "uv tool"):
        return ["uv", "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install"]


def _tool() -> Tool:
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return "pipx"
    if (prefix / "uv-receipt.toml").is_file():
        return "uv tool"
    return "uv" if _record("INSTALLER").strip() == "uv" else "pip"


def _source(extra: str) -> list[str] | None:
    """What names this package with an extra, as pip, pipx and uv take it; None where it cannot be had again."""
    clone = Path(__file__).parents[1]
    if not _record("METADATA") and (clone / "pyproject.toml").is_file():  # run where it lies
        return ["--editable", f"{clone}[{extra}]"]
    origin = json.loads(_record("direct_url.json") or "{}")
    url, editable = str(origin.get("url", "")), bool(origin.get("dir_info", {}).get("editable"))
    if not url:
        return [f"{PACKAGE}[{extra}]"]
    if not url.startswith("file:"):
        system = origin.get("vcs_info", {}).get("vcs")
        return [f"{PACKAGE}[{extra}] @ {system}+{url}" if system else f"{PACKAGE}[{extra}] @ {url}"]
    import urllib.parse
    import urllib.request

    path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
    if not path.exists():
        return None
    return ["--editable"] * editable + [f"{path}[{extra}]"]


def _extra(name: str) -> list[str]:
    """The packages of an extra that this machine needs, as they are told to pip."""
    import importlib.metadata

    from packaging.requirements import Requirement

    found = []
    for needed in map(Requirement, importlib.metadata.requires(PACKAGE) or []):
        if needed.marker and needed.marker.evaluate({"extra": name}) and not needed.marker.evaluate({"extra": ""}):
            extras = f"[{','.join(sorted(needed.extras))}]" if needed.extras else ""
            found.append(f"{needed.name}{extras}{needed.specifier}")
    return found


def _record(name: str) -> str:
    """A file that the installer left beside the package; "" where there is none."""
    import importlib.metadata

    try:
        return importlib.metadata.distribution(PACKAGE).read_text(name) or ""
    except importlib.metadata.PackageNotFoundError:
        return ""


def _shell(words: list[str]) -> str:
    """A command as one pastes it into a shell; on Windows into PowerShell."""
    if os.name != "nt":
        return shlex.join(words)
    quoted = [f'"{word}"' if set(word) & set(" []<>=&;()@^,") else word for word in words]
    return f"& {' '.join(quoted)}" if quoted[0].startswith('"') else " ".join(quoted)
