"""What other files of its package a hole is shown with, as the product shows them: comments in front of the code."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import placing
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.related.gathering import gathered
from lsp_server.context.related.index import Index
from lsp_server.context.related.sources import SOURCES, Seen
from lsp_server.context.window import Window
from lsp_server.context.workspace import Workspace
from lsp_server.evaluation.holes import File, Hole
from lsp_server.settings import Settings
from training import data

# Of the sources those that need nobody who types.
NAMES = ("imports", "similar", "counterpart")
REFRESH_SECONDS = 60.0


def seen_of(folder: Path, cache: Path) -> Seen:
    """A package with its whole index, which is kept in `cache`."""
    workspace = Workspace((folder,))
    index = Index(workspace, cache)
    while not index.refresh(REFRESH_SECONDS).complete:
        pass
    return Seen(workspace, index=index)


class Others:
    """The packages below `state`, the index of each of which is made when it is first asked for. Of one process.

    `share`: of the holes with room for it so many are shown with other files.
    """

    def __init__(self, state: Path, tokenizer: CodeLlamaTokenizer, share: float) -> None:
        self.share = share
        self._state, self._tokenizer = state, tokenizer
        self._folders = {
            f"{each.manager} {each.package} {each.version} ": data.folder_of(state, each) for each in data.sources()
        }
        self._seen: dict[Path, Seen] = {}

    def in_front(self, file: File, cut: Hole, tokens: int) -> Hole:
        """A hole of a file with at most so many tokens of other files in front of its prefix; as it is where nothing is
        found."""
        named = next((each for each in self._folders if file.name.startswith(each)), None)
        at = file.text.find(cut.prefix + cut.middle + cut.suffix)
        if named is None or at < 0:
            return cut
        folder = self._folders[named]
        above = file.text[:at] + cut.prefix
        below = file.text[at + len(cut.prefix) + len(cut.middle) :]
        path = folder / file.name.removeprefix(named)
        buffer = Buffer(path.as_uri(), above + below, language_id=file.language)
        row, column = above.count("\n"), len(above) - above.rfind("\n") - 1
        sources = {name: SOURCES[name] for name in NAMES}
        found = gathered(self._seen_of(folder), buffer, row, column, Settings(), sources)
        placed = placing.fit(found.pieces, language(file.language), tokens, self._tokenizer)
        view = Window(cut.prefix, cut.suffix, cut_before=at > 0)
        return cut if placing.is_in_head(view) else dataclasses.replace(cut, prefix=placing.before(placed, view))

    def _seen_of(self, folder: Path) -> Seen:
        if folder not in self._seen:
            self._seen[folder] = seen_of(folder, self._state / "index")
        return self._seen[folder]
