"""Small repositories, and what is found in them for a cursor."""

from __future__ import annotations

from pathlib import Path

from lsp_server.context.buffer import Buffer
from lsp_server.context.related.index import Index
from lsp_server.context.related.piece import Piece
from lsp_server.context.related.signatures import imported
from lsp_server.context.uris import uri_of
from lsp_server.context.workspace import Workspace

CURSOR = "‸"


class Project:
    """A repository in `folder`, with an index of its own."""

    def __init__(self, folder: Path, files: dict[str, str | bytes]) -> None:
        self.root = folder / "work"
        self.root.mkdir()
        self.opened: list[Buffer] = []
        self.workspace = Workspace((self.root,), lambda: self.opened)
        self.cache = folder / "cache"
        self.index = Index(self.workspace, self.cache)
        for name, text in files.items():
            self.write(name, text)
        self.refresh()

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def refresh(self) -> None:
        while not self.index.refresh(60).complete:
            pass

    def open(self, name: str, text: str, language_id: str = "") -> tuple[Buffer, int, int]:
        """A document that is opened, and the place of its cursor mark."""
        before, _, after = text.partition(CURSOR)
        buffer = Buffer(uri_of(self.root / name), before + after, version=1, language_id=language_id)
        self.opened.append(buffer)
        return buffer, before.count("\n"), len(before.rpartition("\n")[2])

    def imported(self, name: str, text: str, most: int = 4000) -> list[Piece]:
        return imported(self.index, self.workspace, *self.open(name, text), most)

    def shown(self, name: str, text: str, most: int = 4000) -> str:
        """All that is found for a cursor, with the files that it is of."""
        return "".join(f"== {piece.path}\n{piece.text}" for piece in self.imported(name, text, most))
