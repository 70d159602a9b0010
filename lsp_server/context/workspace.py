"""The user's work: the folders that are open, the documents with their text, and the files on disk.

Everything that looks at the user's files does it here, so what holds for one holds for all: names are resolved once,
with every link on the way; nothing outside the workspace is read or written unless it is open in the editor; what is
hidden from the model stays so by whatever name it is reached; no file, folder or file system can hold up a request for
long or fill the memory.

Methods that look at the disk block for a few seconds at most, and then raise TooSlow: they are for threads. For the
event loop there is `hidden`; and all that looks at no disk: `roots`, `buffer`, `buffers`, `open_at`, `file`, `within`,
`name_of`, `folder_of`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from lsp_server.context.buffer import Buffer
from lsp_server.context.in_time import SECONDS, TooSlow, in_time, soon
from lsp_server.context.journal import Journal
from lsp_server.context.look import Look, Lost
from lsp_server.context.privacy import Privacy
from lsp_server.context.uris import file_of, names_in, scheme_of
from lsp_server.context.walking import walking
from lsp_server.errors import UserError
from lsp_server.files import FileRefused, read_bytes

# More than any context holds; a mistaken attachment must not fill the memory.
MAX_BYTES = 4_000_000
MOST_FILES = 20_000
WALK_SECONDS = 2.0
# Documents and files of which it is known whether they are hidden.
MOST_KEPT = 1_000
# Files that are read in one go.
BATCH = 32


class OutOfReach(UserError):
    """A file lies outside the workspace, is hidden, or cannot be read; the message is one sentence for the user."""


@dataclasses.dataclass(frozen=True)
class Walk:
    """Files that were found. `complete`: there are no others."""

    files: tuple[Path, ...]
    complete: bool


class Workspace:
    """The folders that are open, and the documents: `documents` gives those that are open now, `notebooks` the URIs of
    the cells of each notebook, in their order. `journal`: of what was changed in them."""

    def __init__(
        self,
        roots: Iterable[Path] = (),
        documents: Callable[[], Iterable[Buffer]] = tuple,
        notebooks: Callable[[], Iterable[Sequence[str]]] = tuple,
    ) -> None:
        self.journal = Journal()
        self._documents = documents
        self._notebooks = notebooks
        self._named: list[Path] = []
        self._verdicts: dict[str | Path, tuple[Look, str]] = {}
        self.use(roots)

    def use(self, roots: Iterable[Path]) -> None:
        """The folders that are open from now on."""
        self.roots = tuple(roots)
        self._verdicts.clear()

    def allow(self, path: Path) -> None:
        """A file that the user named on the command line: it counts like an open one."""
        self._named.append(path)

    def buffers(self) -> list[Buffer]:
        """The open documents, each as an unchanging snapshot."""
        return [each.snapshot() for each in list(self._documents())]

    def buffer(self, uri: str) -> Buffer | None:
        """A snapshot of an open document, which may be known by another spelling of its URI; None where it is not
        open."""
        open_now = list(self._documents())
        found = next((each for each in open_now if each.uri == uri), None)
        if found is None and (path := file_of(uri)) is not None:
            return self.open_at(path)
        return found.snapshot() if found else None

    def cells_around(self, uri: str) -> tuple[list[Buffer], list[Buffer]]:
        """The cells of the same notebook before a cell and behind it, as snapshots; none for what is no cell."""
        cells = next((list(each) for each in self._notebooks() if uri in each), [uri])
        at = cells.index(uri)
        before, behind = ([self.buffer(each) for each in part] for part in (cells[:at], cells[at + 1 :]))
        return [each for each in before if each], [each for each in behind if each]

    def open_at(self, path: Path) -> Buffer | None:
        """A snapshot of the open document of a file."""
        found = next((each for each in list(self._documents()) if file_of(each.uri) == path), None)
        return found.snapshot() if found else None

    def file(self, uri: str) -> Path | None:
        """The file behind a `file:` URI; None for an unsaved buffer and the like."""
        return file_of(uri)

    def folder_of(self, path: Path) -> Path | None:
        """The folder of the workspace that holds a file by its name, the innermost one; None outside of all."""
        holding = (root for root in self.roots if path.is_relative_to(root))
        return max(holding, key=lambda root: len(root.parts), default=None)

    def within(self, path: Path) -> str | None:
        """The path in its folder of the workspace, with forward slashes; None outside."""
        folder = self.folder_of(path)
        return None if folder is None else path.relative_to(folder).as_posix()

    def name_of(self, uri: str) -> str:
        """What the user calls a document: its path in the workspace, its whole path outside, or its URI."""
        path = file_of(uri)
        return uri if path is None else self.within(path) or str(path)

    def why_hidden(self, of: str | Path) -> str:
        """Why the model must not see a document or file, by any of its names, as one sentence; "" where it may. Blocks.

        `of`: a URI of any scheme, or a path.
        """
        try:
            return in_time(lambda: self._why_hidden(of), _short(of))
        except TooSlow as error:  # what is not known to be shown is hidden
            return str(error)

    def why_each_hidden(self, paths: Iterable[Path]) -> Iterator[str]:
        """`why_hidden` of many files, looked at together. Blocks."""
        left = iter(paths)
        privacy = Privacy(Look(), self.roots)
        while batch := list(itertools.islice(left, BATCH)):
            try:
                yield from in_time(functools.partial(list, map(privacy.why_hidden, batch)), "The workspace")
            except TooSlow as error:
                yield from [str(error)] * len(batch)

    async def hidden(self, uri: str) -> str:
        """`why_hidden` for each key: kept for each document, and found anew where a rule or a link has changed."""
        try:
            return await soon(lambda: self._why_hidden(uri), _short(uri), about=(id(self), uri))
        except TooSlow as error:
            return str(error)

    async def showable(self, names: Iterable[str], seconds: float = SECONDS) -> frozenset[str]:
        """Those of some names, as `name_of` gives them, of which the model may see the text now: of files that are in
        the workspace or open, and not hidden. None of them where the file system is too slow."""
        wanted = frozenset(names)
        try:
            return await soon(lambda: frozenset(filter(self.is_showable, wanted)), "The workspace", seconds)
        except TooSlow:
            return frozenset()

    def is_showable(self, name: str) -> bool:
        """`showable` of one name. Blocks."""
        path = Path(name)
        if not path.is_absolute() and scheme_of(name):  # no file, such as a buffer without a name
            return any(each.uri == name for each in list(self._documents())) and not self._why_hidden(name)
        places = [path] if path.is_absolute() else [root / path for root in self.roots]
        there = [place for place in places if os.path.lexists(place)] or places[:1]
        try:
            return bool([self._reached(place) for place in there])
        except OutOfReach:
            return False

    def read(self, path: Path, limit: int = MAX_BYTES) -> bytes:
        """What is in a file, of at most `limit` bytes. Raises OutOfReach, TooSlow. Blocks."""
        return in_time(lambda: self._read(path, limit), path.name)

    def read_all(self, paths: Iterable[Path], limit: int) -> Iterator[tuple[Path, bytes]]:
        """`read` of many files, those left out that cannot be read; ends early where the file system is too slow."""
        left = iter(paths)
        privacy = Privacy(Look(), self.roots)
        while batch := list(itertools.islice(left, BATCH)):
            try:
                yield from in_time(functools.partial(self._readable, batch, limit, privacy), "The workspace")
            except TooSlow:
                return

    def text(self, path: Path, limit: int = MAX_BYTES) -> str:
        """`read` of a text, without a byte order mark. Raises OutOfReach also where it is no text, or not UTF-8."""
        return decoded(self.read(path, limit), path.name)

    def may_write(self, path: Path) -> None:
        """Raises OutOfReach where an edit of a file, which may not be there yet, would change or make one outside the
        workspace that is not open, or one that is hidden, or no regular file; TooSlow. Blocks."""
        in_time(lambda: self._writable(path), path.name)

    def is_file(self, path: Path) -> bool:
        """Whether there is such a file, in the workspace or not. Raises TooSlow. Blocks."""
        return in_time(lambda: os.path.isfile(path), path.name)

    def is_read_only(self, path: Path) -> bool:
        """Whether a file is there and the user may not change it. Raises TooSlow. Blocks."""
        return in_time(lambda: os.path.exists(path) and not os.access(path, os.W_OK), path.name)

    def walk(
        self,
        wanted: Callable[[str], bool] = lambda name: True,
        *,
        folder: Path | None = None,
        most: int = MOST_FILES,
        seconds: float = WALK_SECONDS,
    ) -> Walk:
        """Files whose name is `wanted`, those near the top first: of all folders of the workspace, or below `folder`.
        What is hidden, where no code of the user's is, and what links lead to outside is left out. Blocks."""
        tops = self.roots if folder is None else (folder,)
        found: list[Path] = []
        work = walking(tops, wanted, self.roots, self._is_inside, found, most=most, seconds=seconds)
        try:
            complete = in_time(work, "The workspace", seconds + 1)
        except TooSlow:
            complete = False
        return Walk(tuple(found), complete)

    def _why_hidden(self, of: str | Path) -> str:
        kept = self._verdicts.get(of)
        if kept is not None and kept[0].still_holds():
            return kept[1]
        look = Look(SECONDS)
        try:
            privacy = Privacy(look, self.roots)
            names = names_in(of) if isinstance(of, str) else (of,)
            why = next((why for name in names if (why := privacy.why_hidden(name))), "")
        except TooSlow as error:  # not kept
            return str(error)
        if len(self._verdicts) >= MOST_KEPT:
            self._verdicts.clear()
        self._verdicts[of] = look, why
        return why

    def _reached(self, path: Path, privacy: Privacy | None = None) -> Path:
        """The real file of a name. Raises OutOfReach."""
        try:
            real = Look(SECONDS).way(path)[-1]
        except Lost as error:
            raise OutOfReach(str(error)) from error
        if not self._is_inside(real):
            raise OutOfReach(f"{path.name} lies outside the workspace; open it in the editor first.")
        if hidden := privacy.why_hidden(path) if privacy else self._why_hidden(path):
            raise OutOfReach(hidden)
        return real

    def _is_inside(self, real: Path) -> bool:
        """Whether a real file lies in the workspace, or is open. With no folder open, the folders of the open documents
        are the workspace."""
        if any(real.is_relative_to(os.path.realpath(root)) for root in self.roots):
            return True
        files = [file_of(each.uri) for each in list(self._documents())]
        opened = [Path(os.path.realpath(file)) for file in (*files, *self._named) if file is not None]
        return real in opened or (not self.roots and any(real.is_relative_to(each.parent) for each in opened))

    def _writable(self, path: Path) -> None:
        real = self._reached(path)
        if os.path.exists(real) and not os.path.isfile(real):
            raise OutOfReach(f"{path.name} is no regular file.")

    def _readable(self, paths: Iterable[Path], limit: int, privacy: Privacy) -> list[tuple[Path, bytes]]:
        found = []
        for path in paths:
            with contextlib.suppress(OutOfReach):
                found.append((path, self._read(path, limit, privacy)))
        return found

    def _read(self, path: Path, limit: int, privacy: Privacy | None = None) -> bytes:
        real = self._reached(path, privacy)
        try:
            if os.path.isdir(real):
                raise OutOfReach(f"{path.name} is a folder.")
            data = read_bytes(real, limit)
        except FileRefused as error:
            raise OutOfReach(str(error).replace(str(real), path.name)) from error
        except OSError as error:
            raise OutOfReach(f"{path.name} cannot be read: {error.strerror or error}.") from error
        if os.path.realpath(real) != str(real):  # a folder on the way was made a link meanwhile
            raise OutOfReach(f"{path.name} was moved while it was read; try again.")
        return data


def decoded(data: bytes, name: str) -> str:
    """The text in a file, without a byte order mark. Raises OutOfReach."""
    if b"\0" in data:
        raise OutOfReach(f"{name} is not a text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OutOfReach(f"{name} is not UTF-8 (byte {error.start}).") from error


def _short(of: str | Path) -> str:
    """A document or file as a sentence begins with it."""
    return str(of).rpartition("/")[2] or "The file"
