"""The index of a session's workspace, kept in step with its files beside everything else that goes on."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from lsp_server import places
from lsp_server.context.workspace import Workspace
from lsp_server.settings import Settings

if TYPE_CHECKING:
    from lsp_server.context.related.index import Index

log = logging.getLogger(__name__)

# Seconds of work without a look at what was saved meanwhile, and between two passes over all files.
SLICE_SECONDS, RENEW_SECONDS = 0.5, 300.0


class Keeping:
    """Use from one event loop; `settings` and `workspace` give those of now.

    Nothing is looked through before `want`, and nothing where no folder is open or the setting is off.
    """

    def __init__(self, settings: Callable[[], Settings], workspace: Callable[[], Workspace]) -> None:
        self._settings = settings
        self._workspace = workspace
        self._kept: _Kept | None = None
        self._earlier = 0

    @property
    def index(self) -> Index | None:
        """The index as far as it is, None where there is none; it knows the documents as they are open now."""
        if self._kept is None or (index := self._kept.index) is None:
            return None
        index.opened = self._workspace().buffers()
        return index

    @property
    def changes(self) -> int:
        """Another value once a pass over all files, or what was saved, has changed the index."""
        return self._earlier + (self._kept.changes if self._kept is not None else 0)

    def want(self) -> None:
        """See that there is an index of the folders that are open now, if it is wanted."""
        workspace = self._workspace()
        roots = tuple(workspace.roots) if self._settings().workspace_index else ()
        if self._kept is not None and self._kept.roots != roots:
            self.close()
        if self._kept is None and roots:
            self._kept = _Kept(workspace, roots)

    async def complete(self, seconds: float) -> None:
        """Wait, so many seconds at most, until a first pass over all files is over; at once where there is no index."""
        if self._kept is not None:  # not in a thread, which would keep the program from ending
            await asyncio.wait([asyncio.wrap_future(self._kept.complete)], timeout=seconds)

    def saved(self, path: Path) -> None:
        """A file was written by the editor."""
        if self._kept is not None:
            self._kept.saved.put(path)

    def close(self) -> None:
        """Give the index up; it stays on disk."""
        if self._kept is not None:
            self._kept.saved.put(None)
            self._earlier = self.changes + 1
            self._kept = None


class _Kept:
    """One index, and the thread that works on it until None is `saved`."""

    def __init__(self, workspace: Workspace, roots: tuple[Path, ...]) -> None:
        self.roots = roots
        self.index: Index | None = None
        self.changes = 0
        self.saved: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self.complete: Future[None] = Future()
        self._workspace = workspace
        threading.Thread(target=self._work, name="index", daemon=True).start()

    def _work(self) -> None:
        from lsp_server.context.related.index import Index

        try:
            index = Index(self._workspace, places.index_folder())
            self.index = index
            while True:
                progress = index.refresh(SLICE_SECONDS)
                if progress.complete:
                    self.changes = index.changes
                    self._completed()
                    log.info("The index holds %d files. %s", progress.files, progress.why)
                if not self._waited(index, RENEW_SECONDS if progress.complete else 0.0):
                    break
            self.index = None
            index.close()
        except Exception:  # suggestions go on without
            log.exception("the index of the workspace ended")
            self.index = None
        finally:
            self._completed()

    def _completed(self) -> None:
        if not self.complete.done():
            self.complete.set_result(None)

    def _waited(self, index: Index, seconds: float) -> bool:
        """Take in what is saved, until nothing was for so long; whether to go on."""
        while True:
            try:
                path = self.saved.get(timeout=seconds) if seconds else self.saved.get_nowait()
            except queue.Empty:
                return True
            if path is None:
                return False
            index.reread([path])
            self.changes = index.changes
