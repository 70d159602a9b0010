"""Whether a git folder keeps to the project that it came with.

A `.git` is data of a stranger's like every file of a project, and git follows it anywhere: it may name another
project's git folder, or hold a link to that one's index, branches or objects. So a git folder outside the project
counts only where it says itself that this is its working tree, which nobody can have it say who may not write there.
And what git reads of it must be files and folders: no links, which lead elsewhere, and no pipes, which are waited for.

Objects may still be elsewhere (`objects/info/alternates`, which `git clone --shared` and `--reference` make). They are
named by a hash of what is in them, so whoever can have one shown knows it, or was told its name.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from lsp_server.context.git_folder import parsed
from lsp_server.context.look import link_of
from lsp_server.files import open_regular

# git packs objects when there are some thousands; a project of a hundred thousand branches is a large one.
MOST_ENTRIES = 1_000_000
_MOST_BYTES = 200_000
_FILES = ("HEAD", "commondir", "config", "config.worktree", "gitdir", "packed-refs", "shallow")
# What old versions of git made of a reference to another: never followed, but read as a name.
_REFERENCE = re.compile(r"refs(/(?!\.)[^/]+)+")


def why_foreign(root: Path, folder: Path, common: Path) -> str:
    """Why a git folder is not that of the working tree `root`, as one sentence; "" where it is. All are real paths.
    Raises OSError."""
    inside = folder.is_relative_to(root)
    if not inside and not _names(folder, root):
        if folder.parent.name == "worktrees":
            remedy = f"`git worktree repair {root}` in the first working tree says so"
        else:
            remedy = f"`git config core.worktree {root}` there says so"
        return f"{root / '.git'} leads to {folder}, which does not name {root} as its working tree; if it is, {remedy}."
    shared = folder.parent.name == "worktrees" and common == folder.parent.parent
    if common != folder and not (shared and (common.is_relative_to(root) or not inside)):
        return f"{folder / 'commondir'} leads to {common}, which has no such working tree; delete that file."
    return ""


def _names(folder: Path, root: Path) -> bool:
    """Whether a git folder says that `root` is its working tree, as git has it for a linked one and for a submodule."""
    named = folder / pointer(folder / "gitdir")
    if named.name == ".git" and _is_same(named.parent, root):
        return True
    texts = (_text(folder / name) for name in ("config", "config.worktree"))
    trees = (value for text in texts for key, value in parsed(text) if key == "core.worktree")
    return any(_is_same(folder / tree, root) for tree in trees)


def _is_same(path: Path, root: Path) -> bool:
    """Whether a path is that of a folder, however it is spelt."""
    try:
        return os.path.samefile(path, root)
    except (OSError, ValueError):
        return False


def why_unread(folder: Path, common: Path, index: Path, stop: threading.Event) -> str:
    """Why a git folder is not read, as one sentence; "" where it is. Raises OSError. Ends early once `stop` is set."""
    both = dict.fromkeys((folder, common))
    files = [each / name for each in both for name in _FILES]
    trees = [each / name for each in both for name in ("refs", "reftable")]
    for file in (*files, index):
        mode = _mode(file)
        if mode and not stat.S_ISREG(mode) and not (file.name == "HEAD" and _is_reference(file)):
            return _odd(file)
    count = 0
    for top in (*trees, common / "objects"):
        mode = _mode(top)
        if mode and not stat.S_ISDIR(mode):
            return _odd(top)
        for entry in _below(top) if mode else ():
            count += 1
            if count > MOST_ENTRIES:
                return f"{common} holds more than {MOST_ENTRIES} files; `git gc` there packs them."
            if stop.is_set():
                return ""
            if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False):
                continue
            if top.name != "refs" or not _is_reference(Path(entry.path)):
                return _odd(Path(entry.path))
    return ""


def pointer(file: Path) -> str:
    """The path in a file that holds nothing else; "" where there is no such file. Raises OSError."""
    return _text(file).rstrip("\r\n")


def _text(file: Path) -> str:
    if not file.is_file():
        return ""
    with open_regular(file) as opened:
        return os.fsdecode(opened.read(_MOST_BYTES))


def _below(top: Path) -> Iterator[os.DirEntry[str]]:
    """All that is in a folder and in those in it."""
    left = [str(top)]
    while left:
        folder = left.pop()
        if not os.path.isdir(folder):  # git may have packed what was in it
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)


def _mode(path: Path) -> int:
    """What kind of thing is there, links not followed; 0 for nothing."""
    try:
        return os.lstat(path).st_mode
    except FileNotFoundError:
        return 0


def _is_reference(path: Path) -> bool:
    return _REFERENCE.fullmatch(link_of(str(path)) or "") is not None


def _odd(path: Path) -> str:
    if os.path.islink(path):
        return f"{path} is a link, and none is followed in a git folder; put what it stands for in its place."
    return f"{path} is not what git puts there, so the repository is not read; put an ordinary file there."
