"""What git itself keeps of a repository and of its user, read without running git: where its rules are.

https://git-scm.com/docs/gitrepository-layout and https://git-scm.com/docs/git-config. Files are only read as far as
they are asked for through a `Look`, which knows what an answer was made from.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from lsp_server.context.gitignore import Steps, as_bytes, parse
from lsp_server.context.look import Look, Stamp
from lsp_server.files import FileRefused, read_bytes

# A configuration has a few lines for each branch, of which there are thousands in some repositories.
MOST_BYTES = 2_000_000
# How deep one configuration may include another.
MOST_DEEP = 5

_SECTION = re.compile(r"\[\s*([\w.-]+)(?:\s+\"((?:[^\"\\]|\\.)*)\")?\s*\]")
_SETTING = re.compile(r"\s*([A-Za-z][\w-]*)\s*(=?)")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}
_HEAD = re.compile(rb"ref:\s*refs/|[0-9a-f]{40}")


def git_folder(look: Look, folder: str) -> str:
    """The `.git` of a working tree whose top is `folder`, which a file may name instead; "" where it is none.

    As git has it, one that is not whole is none, and the repository around it goes on.
    """
    found = os.path.join(folder, ".git")
    if look.is_file(found):
        found = _named(look, found)
        if not found.startswith("gitdir:"):
            return ""
        found = os.path.join(folder, found.removeprefix("gitdir:").lstrip())
    parts = (os.path.join(common_folder(look, found), part) for part in ("objects", "refs"))
    return found if _is_head(look, os.path.join(found, "HEAD")) and all(map(look.is_folder, parts)) else ""


def common_folder(look: Look, git: str) -> str:
    """Where a linked working tree has what it shares with the others."""
    named = _named(look, os.path.join(git, "commondir"))
    return os.path.normpath(os.path.join(git, named)) if named else git


def _named(look: Look, file: str) -> str:
    """The path in a file that holds nothing else."""
    return look.data(file, MOST_BYTES).decode(errors="surrogateescape").rstrip("\r\n")


def _is_head(look: Look, file: str) -> bool:
    """Whether this says which commit is checked out. In old repositories it is a link, to no file before the first."""
    link = look.link(file)
    return link.startswith("refs/") if link else _HEAD.match(look.data(file, MOST_BYTES)) is not None


def user_rules(look: Look, top: str, git: str) -> str:
    """The file with the rules that the user has for all repositories: `core.excludesFile`, or where git looks else."""
    named = _setting(look, git, "excludesfile")
    if named is None:
        return os.path.join(_config_home(), "git", "ignore")
    return os.path.join(top, os.path.expanduser(named)) if named else ""


def folds_case(look: Look, git: str) -> bool:
    """Whether capital and small letters are the same in the names of a repository's files."""
    told = _setting(look, git, "ignorecase")
    if told is None:
        return sys.platform in ("darwin", "win32")
    return told.lower() not in ("false", "no", "off", "0", "")


def _config_home() -> str:
    return os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")


def _setting(look: Look, git: str, name: str) -> str | None:
    """The last value of `core.name`, of the system, of the user, of the repository, of this working tree of it and of
    the environment; None where there is none. Raises TooCostly where there are too many conditions."""
    steps = Steps()
    files = [] if os.environ.get("GIT_CONFIG_NOSYSTEM") else [os.environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig")]
    named = os.environ.get("GIT_CONFIG_GLOBAL")
    files += [os.path.join(_config_home(), "git", "config"), "~/.gitconfig"] if named is None else [named]
    if git:
        own = os.path.join(common_folder(look, git), "config")
        extended = dict(_settings(look, own, git, MOST_DEEP, steps)).get("extensions.worktreeconfig") == "true"
        files += [own, os.path.join(git, "config.worktree")] if extended else [own]
    value = None
    for file in filter(None, files):
        for key, found in _settings(look, os.path.expanduser(file), git, MOST_DEEP, steps):
            value = found if key == f"core.{name}" else value
    told = _of_environment(f"core.{name}")
    return value if told is None else told


def _of_environment(name: str) -> str | None:
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    value = None
    for number in range(int(count) if count.isascii() and count.isdecimal() and len(count) < 4 else 0):
        if os.environ.get(f"GIT_CONFIG_KEY_{number}", "").lower() == name:
            value = os.environ.get(f"GIT_CONFIG_VALUE_{number}")
    return value


def _settings(look: Look, file: str, git: str, deep: int, steps: Steps) -> Iterator[tuple[str, str]]:
    """The settings of a file in their order, and of those that it includes for the repository whose `.git` is given.
    Raises TooCostly: a file may include itself often."""
    for key, value in _read(file, look.stamp(file)) if look.is_file(file) else ():
        steps.file = file
        steps.spend(1)
        condition = key.removeprefix("includeif.").removesuffix(".path") if key.startswith("includeif.") else ""
        if deep and (key == "include.path" or (condition and _holds(look, condition, file, git, steps))):
            included = os.path.join(os.path.dirname(file), os.path.expanduser(value))
            yield from _settings(look, included, git, deep - 1, steps)
        yield key, value


def _holds(look: Look, condition: str, file: str, git: str, steps: Steps) -> bool:
    """Whether an `includeIf` in a file counts for a repository. What is asked of its remotes is taken to be so."""
    kind, _, wanted = condition.partition(":")
    if kind == "hasconfig":
        return True
    if not git:
        return False
    wanted += "**" if wanted.endswith("/") else ""
    if kind == "onbranch":
        head = re.match(r"ref:\s*refs/heads/(.*)", _named(look, os.path.join(git, "HEAD")))
        return head is not None and _is_like(head[1], wanted, steps, fold=False)
    if kind not in ("gitdir", "gitdir/i"):
        return False
    if wanted.startswith("~/"):
        wanted = os.path.realpath(os.path.expanduser("~")) + wanted[1:]
    elif wanted.startswith("./"):
        wanted = os.path.dirname(os.path.realpath(file)) + wanted[1:]
    elif not os.path.isabs(wanted):
        wanted = "**/" + wanted
    names = {os.path.realpath(git), os.path.abspath(git)}
    return any(_is_like(name, wanted, steps, fold=kind == "gitdir/i") for name in names)


def _is_like(path: str, wanted: str, steps: Steps, *, fold: bool) -> bool:
    """Whether a whole path is as a glob says."""
    anchored = "/" + wanted.replace(os.sep, "/").lstrip("/")
    steps.read(len(anchored))
    rules = parse(os.fsencode(anchored), "a condition of git's configuration", fold=fold)
    text = as_bytes(path.replace(os.sep, "/").lstrip("/"), fold=fold)
    return bool(rules.verdict(text, steps, is_folder=False))


@functools.lru_cache(maxsize=32)
def _read(file: str, stamp: Stamp) -> list[tuple[str, str]]:
    try:
        return parsed(read_bytes(Path(file), MOST_BYTES).decode(errors="surrogateescape"))
    except (OSError, FileRefused):
        return []


def parsed(text: str) -> list[tuple[str, str]]:
    """The settings in the text of a configuration: (`section.name` in small letters, its value). A subsection is left
    out with all that is in it, but for the conditions of `includeIf`, which are ones."""
    found: list[tuple[str, str]] = []
    section = ""
    at = 0
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    while at < len(text):
        if text[at] in " \t\n":
            at += 1
        elif text[at] in "#;":
            at = _end_of_line(text, at)
        elif header := _SECTION.match(text, at):
            section, at = header[1].lower(), header.end()
            if header[2] is not None:
                below = re.sub(r"\\(.)", r"\1", header[2])
                section = f"includeif.{below}" if section == "includeif" else ""
        elif setting := _SETTING.match(text, at):
            value, at = _value(text, setting.end()) if setting[2] else ("true", _end_of_line(text, at))
            found += [(f"{section}.{setting[1].lower()}", value)] if section else []
        else:
            at = _end_of_line(text, at)
    return found


def _value(text: str, at: int) -> tuple[str, int]:
    """(the value that begins at a place, where its line ends)"""
    parts: list[str] = []
    quoted = False
    kept = 0  # characters that stay: spaces at the end do not
    while at < len(text) and text[at] != "\n":
        here = text[at]
        if here == "\\":
            at += 1
            escaped = text[at : at + 1]
            if escaped != "\n":
                parts.append(_ESCAPES.get(escaped, escaped))
                kept = len(parts)
        elif here == '"':
            quoted = not quoted
            kept = len(parts)
        elif here in "#;" and not quoted:
            at = _end_of_line(text, at)
            break
        elif quoted or here not in " \t":
            parts.append(here)
            kept = len(parts)
        elif parts:
            parts.append(here)
        at += 1
    return "".join(parts[:kept]), at


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def repository_of(look: Look, path: Path) -> tuple[str, str] | None:
    """(the top of the working tree that holds a path, its `.git`), the innermost one; None where there is none."""
    for folder in path.parents:
        if git := git_folder(look, str(folder)):
            return str(folder), git
    return None
