"""What the model must never see: secrets, and what the user's project ignores.

A local model would keep a secret to itself, but a suggestion made from one ends up in a file, and a remote engine would
be sent it. So these files are left alone whatever the engine, by whatever name they are reached: the one that was
given, each that a link on the way stands for, and the real one.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path

from lsp_server.context.git_folder import common_folder, folds_case, repository_of, user_rules
from lsp_server.context.gitignore import EVERYTHING, MOST_BYTES, Rules, Steps, TooCostly, as_bytes, parse
from lsp_server.context.look import Look, Lost, Stamp
from lsp_server.context.secret_names import is_secret
from lsp_server.files import FileRefused, read_bytes

log = logging.getLogger(__name__)

# A project can name further files in the second, in the same syntax; it has the last word.
IGNORE_FILES = (".gitignore", ".codellamaignore")

Chain = tuple[tuple[int, str, Rules], ...]
"""Files with rules, the one with the last word first: how many folders below the top it is, its path, its rules."""

_NONE = Rules()


class Privacy:
    """What one look at the disk says is hidden.

    Heeded are the rules of the repository that holds a file, as git has them, from its top down, with its
    `.git/info/exclude` and the user's own for all repositories; and in the same way those of each of `roots` that holds
    it, and of the repository around that. Where there is no such folder, those beside the file.
    """

    def __init__(self, look: Look, roots: tuple[Path, ...] = ()) -> None:
        self._look = look
        self._roots = tuple(dict.fromkeys(name for root in roots for name in look.way(root)))
        self._folders: dict[tuple[str, tuple[str, ...]], tuple[str, Chain]] = {}
        self._tops_of: dict[Path, tuple[tuple[str, str], ...]] = {}
        self._folding: dict[str, bool] = {}
        self._steps = Steps()

    def why_hidden(self, path: Path) -> str:
        """Why the model must not see a file, as one sentence; empty where it may. Raises TooSlow."""
        secret = f"{path.name} looks like a file of secrets; such files are never shown to the model."
        if is_secret(str(path)):
            return secret
        if not path.is_absolute():
            return ""
        try:
            names = self._look.way(path)
        except Lost as error:
            return str(error)
        if any(is_secret(str(name)) for name in names[1:]):
            return secret
        self._steps = Steps()
        try:
            for name in names:
                for top, git in self._tops(name):
                    if rules := self._ignored(top, git, name):
                        return f"{path.name} is ignored by {rules}; ignored files are never shown to the model."
        except TooCostly as error:
            return str(error)
        return ""

    def ignores_folder(self, folder: Path) -> bool:
        """Whether all that is in a folder, which is not reached by a link, is ignored. Raises TooSlow."""
        self._steps = Steps()
        try:
            return any(self._folder(top, git, _below(top, folder))[0] for top, git in self._tops(folder / "any"))
        except TooCostly:
            return True

    def _tops(self, name: Path) -> tuple[tuple[str, str], ...]:
        """(top, its `.git` or "") of each tree whose rules say what of a file."""
        found = self._tops_of.get(name.parent)
        if found is None:
            around = [repository_of(self._look, name)]
            for root in self._roots:
                if name.parent.is_relative_to(root):
                    around.append(repository_of(self._look, root / "any") or (str(root), ""))
            found = tuple(dict.fromkeys(each for each in around if each)) or ((str(name.parent), ""),)
            self._tops_of[name.parent] = found
        return found

    def _ignored(self, top: str, git: str, name: Path) -> str:
        """The file whose rule ignores another, or a folder on the way to it; "" for none."""
        parts = _below(top, name)
        if not parts or ".git" in parts:  # git's own files are nobody's to ignore
            return ""
        why, rules = self._folder(top, git, parts[:-1])
        return why or self._said(rules, parts, git, is_folder=False)

    def _folder(self, top: str, git: str, parts: tuple[str, ...]) -> tuple[str, Chain]:
        """(the file whose rule ignores a folder, the rules for what is in it)"""
        found = self._folders.get((top, parts))
        if found is None:
            if not parts:
                found = "", self._own(top, git, parts) + self._of_all(top, git)
            else:
                why, rules = self._folder(top, git, parts[:-1])
                why = why or self._said(rules, parts, git, is_folder=True)
                # In what is ignored git reads no rules, so nothing in it can be shown again.
                found = (why, rules) if why else ("", self._own(top, git, parts) + rules)
            self._folders[top, parts] = found
        return found

    def _said(self, rules: Chain, parts: tuple[str, ...], git: str, *, is_folder: bool) -> str:
        """The file of these that ignores a path; "" where the last word is another."""
        fold = self._folds(git)
        for depth, file, each in rules:
            self._steps.file = file
            told = each.verdict(as_bytes("/".join(parts[depth:]), fold=fold), self._steps, is_folder=is_folder)
            if told is not None:
                return file if told else ""
        return ""

    def _own(self, top: str, git: str, parts: tuple[str, ...]) -> Chain:
        folder = Path(top, *parts)
        return tuple(self._read(len(parts), str(folder / name), git) for name in reversed(IGNORE_FILES))

    def _of_all(self, top: str, git: str) -> Chain:
        """What is not said in the tree itself: by the repository, and by the user for all of them."""
        files = [str(Path(common_folder(self._look, git), "info", "exclude"))] if git else []
        files.append(user_rules(self._look, top, git))
        return tuple(self._read(0, file, git) for file in files if file)

    def _read(self, depth: int, file: str, git: str) -> tuple[int, str, Rules]:
        if not self._look.is_file(file):
            return depth, file, _NONE
        stamp = self._look.stamp(file)
        self._steps.file = file
        self._steps.read(stamp[3])  # the size: see Stamp
        return depth, file, _rules(file, stamp, self._folds(git))

    def _folds(self, git: str) -> bool:
        if git not in self._folding:
            self._folding[git] = folds_case(self._look, git)
        return self._folding[git]


def _below(top: str, name: Path) -> tuple[str, ...]:
    return name.relative_to(top).parts


@functools.lru_cache(maxsize=512)
def _rules(file: str, stamp: Stamp, fold: bool) -> Rules:
    """The rules of a file, which is read again when its stamp is another. What cannot be known errs on hiding."""
    try:
        return parse(read_bytes(Path(file), MOST_BYTES), file, fold=fold)
    except (OSError, FileRefused) as error:
        log.warning("The rules of %s are not known, so all that they could ignore is hidden: %s", file, error)
        return Rules([EVERYTHING])
