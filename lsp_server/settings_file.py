"""The user's configuration file: the settings under those that an editor sends and those of a command line.

It holds them under their names, `maxTokens = 64`, in the user's own folder for such files (`places.config_file`). It
says where code is sent, so that no workspace has one, and one into which others may write is not read.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsp_server import places, printing, settings_sent
from lsp_server.errors import UserError
from lsp_server.files import read_bytes
from lsp_server.settings import SECTION, Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 2**18
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
# A key's statement begins like this, or a table of its name does; the same may stand within a text of several lines.
_BEGINNING = r"""\s*(?:\[\[?\s*)?["']?{}["']?\s*[\]=.]"""
# What editors have in front of each name.
_PREFIXED = f"settings have no `{SECTION}.` in front of them in this file; write `{{0}}`, not `{SECTION}.{{0}}`."
_HEADING = f"leave out the heading `[{SECTION}]`: settings stand in this file as they are, `model` for instance."


@dataclasses.dataclass(frozen=True)
class FromFile:
    """What the file says: the settings with its values, the lines at which they stand, by the settings' names in an
    editor, and a sentence for each thing in it that cannot be used."""

    path: Path | None
    settings: Settings = dataclasses.field(default_factory=Settings)
    lines: Mapping[str, int] = dataclasses.field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def where(self, name: str) -> str:
        """The place of a setting, as FILE:LINE."""
        return f"{self.path}:{self.lines[name]}"


def read() -> FromFile:
    """The settings of the file; the defaults where there is none, and for each that cannot be used."""
    try:
        path = places.config_file()
    except UserError as error:
        return FromFile(None, problems=(str(error),))
    try:
        text = _text(path)
        values = _parsed(text, path)
    except FileNotFoundError:
        return FromFile(path)
    except (UserError, OSError) as error:
        return FromFile(path, problems=(printing.sentence(error),))
    settings, wrong = settings_sent.read_each(values)
    lines = {name: _line(text, name) for name in values}
    problems = []
    for name, sentence in wrong.items():
        is_prefixed = name.partition(".")[0] == SECTION
        plain = (
            _unprefixed(name, values[name], text, lines[name]) if is_prefixed else sentence.replace(f"`{SECTION}.", "`")
        )
        problems.append(f"{path}, line {lines[name]}: {plain}")
    if settings.engine_token and _others(path, stat.S_IRWXG | stat.S_IRWXO):
        settings = dataclasses.replace(settings, engine_token="")
        said = f"others may read the token here, so it is not used: run `chmod 600 {path}`"
        problems.append(f"{path}, line {lines.pop('engineToken')}: {said}.")
    return FromFile(path, settings, {name: line for name, line in lines.items() if name not in wrong}, tuple(problems))


def _unprefixed(name: str, value: Any, text: str, line: int) -> str:
    """What is said of a setting that is written as editors have it."""
    if text.splitlines()[line - 1].lstrip().startswith("["):
        return _HEADING
    inner = name.partition(".")[2] or (next(iter(value), "model") if isinstance(value, dict) else "model")
    return _PREFIXED.format(inner)


def written(name: str, value: Any) -> Path:
    """Set one setting in the file, with all else in it as it was; makes the file where there is none. Returns its path.

    Raises UserError where what is there cannot be read or cannot be kept, and OSError.
    """
    path = places.config_file()
    try:
        text = _text(path)
    except FileNotFoundError:
        text = ""
    wanted = {**_parsed(text, path), name: value}
    statement = f"{name} = {json.dumps(value, ensure_ascii=False)}\n".replace("\x7f", "\\u007f")
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    if name in _parsed(text, path):
        begin = _line(text, name) - 1
        end = next(end for end in range(begin + 1, len(lines) + 1) if _keys(lines[:end]) is not None)
    else:  # in front of the first table, which would have it
        ends = (at for at, line in enumerate(lines) if line.lstrip().startswith("[") and _keys(lines[:at]) is not None)
        begin = end = next(ends, len(lines))
    changed = "".join([*lines[:begin], statement, *lines[end:]])
    if _parsed(changed, path) != wanted:
        raise UserError(f"{path} is written in a way that cannot be added to; put `{statement.strip()}` into it.")
    there = path.resolve()  # which may lie elsewhere, with the user's other such files
    there.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = there.with_name(f"{there.name}.{os.getpid()}.part")
    with open(partial, "w", encoding="utf-8", opener=places.private) as out:
        out.write(changed)
    partial.replace(there)
    return path


def _text(path: Path) -> str:
    """Raises UserError, OSError."""
    data = read_bytes(path, MOST_BYTES)
    if _others(path, stat.S_IWOTH):
        raise UserError(f"Others may write into {path}, so it is not read: run `chmod o-w {path}`.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        said = "this is not UTF-8; none of the file counts until that is mended"
        raise UserError(f"{path}, line {line}: {said}.") from error


def _others(path: Path, may: int) -> bool:
    """Whether others may do that with the file, where the system has such permissions."""
    return hasattr(os, "getuid") and bool(path.stat().st_mode & may)


def _parsed(text: str, path: Path) -> dict[str, Any]:
    """Raises UserError."""
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply; none of it counts.") from error
    except tomllib.TOMLDecodeError as error:
        at = _AT.search(str(error))
        said = str(error)[: at.start()] if at else str(error)
        line = at[1] if at and at[1] else len(text.rstrip().splitlines())
        raise UserError(
            f"{path}, line {line}: this is not TOML ({said[:1].lower()}{said[1:]}); none of the file counts until that "
            "is mended."
        ) from error
    return values


def _line(text: str, name: str) -> int:
    """The line, from 1, at which a setting begins in the text of a file that has it."""
    beginning = re.compile(_BEGINNING.format(re.escape(name)))
    lines = text.splitlines(keepends=True)
    found = (at for at, line in enumerate(lines) if beginning.match(line) and _is_new(lines[:at], name))
    return next(found, 0) + 1


def _is_new(lines: Sequence[str], name: str) -> bool:
    return (known := _keys(lines)) is not None and name not in known


def _keys(lines: Sequence[str]) -> set[str] | None:
    """The settings in the first lines of a file; None where they end in the middle of one."""
    try:
        return set(tomllib.loads("".join(lines)))
    except tomllib.TOMLDecodeError:
        return None
