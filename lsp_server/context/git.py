"""Git, asked about a repository without running anything that the repository names.

The configuration of a repository comes with it, and much of it is programs: `core.fsmonitor`, `diff.<driver>.textconv`,
filters, hooks, the transports of a partial clone. Not all of these can be overridden from outside, as drivers have
names of their own. So git is not given the repository, but a snapshot of it: a git folder of our own with a copy of the
index, the commit that HEAD names, and the way to the objects (the parts are those of gitrepository-layout(5)). It has
a configuration of our own, no hooks, no remotes, no attributes and no working tree; neither is the user's own
configuration read, so that the output is the same for everybody. Only `rev-parse` meets the repository's
configuration, which may say how references are kept; it runs nothing. And it is not given a git folder that leads out
of the project: see git_within.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from lsp_server.context.git_within import pointer, why_foreign, why_unread
from lsp_server.context.in_time import TooSlow, soon
from lsp_server.files import FileRefused, open_regular
from lsp_server.waiting import within

T = TypeVar("T")

# For all that is asked about a repository at one moment. Each question has half of what is left, so that after one that
# hangs there is time for another.
SECONDS = 12.0
# Of what one command prints.
MOST_BYTES = 2_000_000
# Of an index and the part of it that is shared. That of a million files takes about 100 MB.
MOST_INDEX_BYTES = 256_000_000
# git reads no larger file into memory; of one a tenth as large it says only that it differs.
MOST_MEMORY, LARGE_FILE = "256m", "24m"
_CHUNK_BYTES = 1 << 20

_CONFIG = f"""\
[core]
    repositoryFormatVersion = 1
    bare = true
    quotePath = false
    fsmonitor = false
    hooksPath = {os.devnull}
    attributesFile = {os.devnull}
    bigFileThreshold = {LARGE_FILE}
[protocol]
    allow = never
"""


class NoGit(RuntimeError):
    """Git cannot answer; the text says why, in one sentence."""


@dataclasses.dataclass(frozen=True)
class Repository:
    """`root`: the folder that holds `.git`. `folder`: the git folder, which is elsewhere for a linked working tree or a
    submodule. `common`: the one that all working trees of a repository share."""

    root: Path
    folder: Path
    common: Path


class Foreign(NoGit):
    """The git folder that a working tree has is not said to be its own."""

    def __init__(self, why: str, repository: Repository) -> None:
        super().__init__(why)
        self.repository = repository


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What is staged and committed in a repository at one moment, in a git folder of our own.

    `head`: the id of the last commit, "" before the first. `base`: what the index is compared with: that commit, or
    the empty tree. `until`: when git must have answered all, by the clock that only goes on.
    """

    repository: Repository
    folder: Path
    program: Path
    environment: Mapping[str, str]
    head: str
    base: str
    until: float

    async def git(self, *arguments: str, most: int = MOST_BYTES) -> bytes:
        """What git prints, at most its first `most` bytes. Raises NoGit; cancelling ends git too."""
        return await _run(self.program, arguments, self.folder, self.environment, most, self.until)


def find(folder: Path) -> Repository:
    """The repository whose working tree holds `folder`. Raises NoGit.

    A bare repository is none, as one may lie in any project's files.
    """
    if not os.path.isdir(folder):  # which raises for no name, as that of a path may
        raise NoGit(f"There is no folder {folder}.")
    start = _real(folder)
    for root in (start, *start.parents):
        try:
            found = _git_folders(root / ".git")
            why = why_foreign(root, *found) if found else ""
        except OSError as error:
            raise NoGit(f"{root / '.git'} cannot be read: {error.strerror or error}.") from error
        if found is not None:
            repository = Repository(root, *found)
            if why:
                raise Foreign(why, repository)
            return repository
    raise NoGit(f"{folder} is not in a git repository.")


@contextlib.asynccontextmanager
async def snapshot(folder: Path) -> AsyncIterator[Snapshot]:
    """A snapshot of the repository that holds `folder`. Raises NoGit; cancelling ends all that it does."""
    until = time.monotonic() + SECONDS
    repository = await _soon(lambda stop: find(folder), folder)
    program, environment = await _soon(lambda stop: _program(repository.root), repository.root)
    if why := await _soon(
        lambda stop: why_unread(repository.folder, repository.common, _index(repository), stop), repository.root
    ):
        raise NoGit(why)
    with tempfile.TemporaryDirectory(prefix="codellama-ls-git-", ignore_cleanup_errors=True) as name:
        ours = Path(name)
        there = environment | {"GIT_DIR": str(repository.folder), "GIT_COMMON_DIR": str(repository.common)}
        asked = ("rev-parse", "--show-object-format", "--verify", "-q", "HEAD")
        # Before the first commit HEAD names nothing, and the exit status is 1.
        said = await _run(program, asked, ours, there, MOST_BYTES, until, fails=True)
        object_format, head = (*said.decode("ascii", "replace").split(), "", "")[:2]
        if object_format not in ("sha1", "sha256"):
            raise NoGit(f"git could not read the repository in {repository.root}.")
        await _soon(lambda stop: _fill(ours, repository, object_format, head, stop), repository.root)
        environment |= {"GIT_DIR": str(ours), "GIT_OBJECT_DIRECTORY": str(repository.common / "objects")}
        base = head or hashlib.new(object_format, b"tree 0\0", usedforsecurity=False).hexdigest()
        yield Snapshot(repository, ours, program, environment, head, base, until)


async def _soon(work: Callable[[threading.Event], T], what: Path) -> T:
    """What `work` with files returns, which it is told to leave when nobody waits for it any more. Raises NoGit."""
    stop = threading.Event()
    try:
        return await soon(lambda: work(stop), str(what))
    except TooSlow as error:
        raise NoGit(str(error)) from error
    except OSError as error:
        raise NoGit(f"The git folder of {what} cannot be read: {error.strerror or error}.") from error
    finally:
        stop.set()


def _git_folders(entry: Path) -> tuple[Path, Path] | None:
    """(the git folder, the one shared by all working trees) that a `.git` is or names; None where it is none."""
    folder = entry
    if entry.is_file():
        kind, _, path = pointer(entry).partition(": ")
        if kind != "gitdir":
            return None
        folder = entry.parent / path
    shared = pointer(folder / "commondir")
    common = folder / shared if shared else folder
    head = folder / "HEAD"  # in old repositories a link, to no file before the first commit
    whole = (head.is_file() or head.is_symlink()) and (common / "objects").is_dir() and (common / "refs").is_dir()
    return (_real(folder), _real(common)) if whole else None


def _real(path: Path) -> Path:
    """With links resolved; links in a circle are no error."""
    return Path(os.path.realpath(path))


def _program(root: Path) -> tuple[Path, dict[str, str]]:
    """(git, the environment it runs in). Raises NoGit.

    Programs come from no folder of the repository, nor from one that depends on where we are: those can hold anything.
    What the environment tells git of other repositories, or of programs to run, is left out.
    """
    entries = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    folders = [entry for entry in entries if entry.is_absolute() and not _real(entry).is_relative_to(root)]
    candidates = (folder / ("git.exe" if os.name == "nt" else "git") for folder in folders)
    usable = (
        each
        for each in candidates
        if each.is_file() and os.access(each, os.X_OK) and not _real(each).is_relative_to(root)
    )
    program = next(usable, None)
    if program is None:
        raise NoGit("git is not installed, or not on the PATH, so no commit message can be written.")
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("GIT_")}
    environment |= {
        "PATH": os.pathsep.join(map(str, folders)),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_ALLOC_LIMIT": MOST_MEMORY,
    }
    return program, environment


def _fill(ours: Path, repository: Repository, object_format: str, head: str, stop: threading.Event) -> None:
    """Make `ours` a git folder with what is in the repository. Raises OSError."""
    extension = "[extensions]\n    objectFormat = sha256\n" if object_format == "sha256" else ""
    (ours / "config").write_text(_CONFIG + extension, encoding="utf-8")
    (ours / "HEAD").write_text((head or "ref: refs/heads/none") + "\n", encoding="ascii")
    (ours / "refs").mkdir()
    left = MOST_INDEX_BYTES
    index = _index(repository)
    if index.exists():
        left = _copy(index, ours / "index", left, stop)
        if shared := _shared(ours / "index", repository.folder, 32 if object_format == "sha256" else 20, stop):
            left = _copy(shared, ours / shared.name, left, stop)
    if (repository.common / "shallow").exists():
        _copy(repository.common / "shallow", ours / "shallow", left, stop)


def _index(repository: Repository) -> Path:
    """The index. `git commit -a` starts the editor with an index beside the usual one, and names it."""
    named = os.environ.get("GIT_INDEX_FILE")
    if named:
        path = _real(repository.root / named)
        if path.parent == repository.folder and path.is_file():
            return path
    return repository.folder / "index"


def _shared(index: Path, folder: Path, length: int, stop: threading.Event) -> Path | None:
    """The file with the part that an index which is split in two shares with others; None for a whole one.

    The index has an extension for it, `link`, which says its own size and then the hash of that part, of `length` bytes
    (gitformat-index(5)). The extensions are behind all entries, whose names may look like one; but not like the name of
    a file that is there.
    """
    extension = re.compile(rb"link(?=(.{4})(.{%d}))" % length, re.DOTALL)
    data = b""
    with index.open("rb") as opened:
        while (part := opened.read(_CHUNK_BYTES)) and not stop.is_set():
            data = data[-8 - length :] + part
            for found in extension.finditer(data):
                if length <= int.from_bytes(found[1], "big") < MOST_INDEX_BYTES:
                    shared = folder / f"sharedindex.{found[2].hex()}"
                    if os.path.lexists(shared):
                        return shared
    return None


def _copy(source: Path, target: Path, most: int, stop: threading.Event) -> int:
    """Copy a file of at most `most` bytes, but no link, device or pipe; how many bytes are left. Raises OSError."""
    if source.is_symlink():
        raise OSError(f"{source.name} is a link")
    try:
        opened = open_regular(source)
    except FileRefused as error:
        raise OSError(f"{source.name} is not a file") from error
    with opened as read, target.open("wb") as written:
        while not stop.is_set() and (part := read.read(_CHUNK_BYTES)):
            most -= len(part)
            if most < 0:
                raise OSError(f"{source.name} is larger than {MOST_INDEX_BYTES // 1_000_000} MB")
            written.write(part)
    return most


async def _run(
    program: Path,
    arguments: tuple[str, ...],
    folder: Path,
    environment: Mapping[str, str],
    most: int,
    until: float,
    *,
    fails: bool = False,
) -> bytes:
    """What git prints, bounded in bytes and time. `fails`: its exit status may be 1. Raises NoGit."""
    seconds = max(0.0, until - time.monotonic()) / 2
    try:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, cwd=folder, env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        raise NoGit(f"git could not be run: {error.strerror or error}.") from error

    async def read() -> bytes:
        assert process.stdout is not None
        out = await _bounded(process.stdout, most)
        if len(out) == most and process.returncode is None:  # it has more to say; we have enough
            process.kill()
        return out

    assert process.stderr is not None
    try:
        asked = asyncio.gather(read(), _bounded(process.stderr, MOST_BYTES), process.wait())
        out, err, _ = await within(asked, seconds)
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise NoGit(f"git {arguments[0]} did not answer within {seconds:.1f} s.") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), 1.0)
    if process.returncode and len(out) < most and not (fails and process.returncode == 1):
        problem = err.decode("utf-8", "replace").strip().splitlines()
        raise NoGit(f"git {arguments[0]} failed: {problem[0] if problem else process.returncode}")
    return out


async def _bounded(stream: asyncio.StreamReader, most: int) -> bytes:
    """The beginning of a stream, at most `most` bytes."""
    parts: list[bytes] = []
    size = 0
    while size < most and (part := await stream.read(65536)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:most]
