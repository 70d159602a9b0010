"""Which working tree the file belongs to in which git has a commit message written.

It lies in the git folder of that working tree, which may be far from it: a linked working tree has its own below
`worktrees` of the first one's, a submodule below `modules` of that of the project around it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lsp_server.context.git import Foreign, NoGit, find
from lsp_server.context.git_folder import parsed
from lsp_server.files import open_regular

_MOST_BYTES = 200_000


def repository_of(file: Path, roots: Sequence[Path] = ()) -> Path | None:
    """The top of the working tree whose commit message `file` holds; None where that is not known. Reads the disk.

    What the git folder says of its working tree is believed only where that names the same git folder. `roots`: folders
    that are open, one of which it may be. A file in no git folder belongs to the working tree around it.
    """
    git_folder = Path(os.path.realpath(file.parent))
    if not _is_git_folder(git_folder):
        return file.parent
    for candidate in _candidates(git_folder, roots):
        try:
            found = find(candidate)
        except Foreign as error:  # of which no message is written, and why is said then
            found = error.repository
        except NoGit:
            continue
        if found.folder == git_folder:
            return found.root
    return None


def _candidates(git_folder: Path, roots: Sequence[Path]) -> Iterator[Path]:
    """Folders that may be the working tree, or lie in it."""
    yield git_folder.parent
    if named := _read(git_folder / "gitdir").strip():  # of a linked working tree: where its `.git` is
        yield (git_folder / named).parent
    for config in ("config", "config.worktree"):  # of a submodule
        for key, value in reversed(parsed(_read(git_folder / config))):
            if key == "core.worktree":
                yield git_folder / value
    yield from roots


def _is_git_folder(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and ((folder / "objects").is_dir() or (folder / "commondir").is_file())


def _read(file: Path) -> str:
    try:
        with open_regular(file) as opened:
            return os.fsdecode(opened.read(_MOST_BYTES))
    except OSError:
        return ""
