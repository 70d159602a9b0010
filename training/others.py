"""What other files of its package a hole is shown with, as the product shows them: comments in front of the code."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.codellama.infilling import RELATED_TOKENS
from lsp_server.completion import placing
from lsp_server.context.buffer import Buffer
from lsp_server.context.languages import language
from lsp_server.context.related.choice import Choice
from lsp_server.context.related.gathering import gathered
from lsp_server.context.related.index import Index
from lsp_server.context.related.sources import SOURCES, Seen
from lsp_server.context.window import Window
from lsp_server.context.workspace import Workspace
from lsp_server.evaluation.across import KIND as ACROSS
from lsp_server.evaluation.across import across_holes, defined
from lsp_server.evaluation.holes import File, Hole, hole, narrowed
from lsp_server.evaluation.sample import WHOLE
from lsp_server.settings import Settings
from training import data

# Of the sources those that need nobody who types.
NAMES = ("imports", "similar", "counterpart")
REFRESH_SECONDS = 60.0
CHARACTERS_PER_TOKEN = 3.2


def seen_of(folder: Path, cache: Path) -> Seen:
    """A package with its whole index, which is kept in `cache`."""
    workspace = Workspace((folder,))
    index = Index(workspace, cache)
    while not index.refresh(REFRESH_SECONDS).complete:
        pass
    return Seen(workspace, index=index)


def found_at(seen: Seen, uri: str, whole: Hole) -> Choice:
    """What the product finds at a hole, of the sources that need nobody who types."""
    buffer = Buffer(uri, whole.prefix + whole.suffix, language_id=whole.language)
    row, column = whole.prefix.count("\n"), len(whole.prefix) - whole.prefix.rfind("\n") - 1
    return gathered(seen, buffer, row, column, Settings(), {name: SOURCES[name] for name in NAMES})


def says_what_is_wanted(text: str, cut: Hole) -> bool:
    """Whether a text has the name in whose midst the hole begins."""
    name = re.search(r"\w*\Z", cut.prefix)[0] + re.match(r"\w*", cut.middle)[0]  # type: ignore[index]
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


class Others:
    """The packages below `state`, and what is found in them when it is first asked for. Of one process.

    `share`: so many of the steps that are no chat are shown with other files. `files`: what is trained on.
    """

    def __init__(self, state: Path, tokenizer: CodeLlamaTokenizer, share: float, files: Sequence[File] = ()) -> None:
        self.share = share
        self._state, self._tokenizer = state, tokenizer
        self._folders = {
            f"{each.manager} {each.package} {each.version} ": data.folder_of(state, each) for each in data.sources()
        }
        self._files = files
        self._seen: dict[Path, Seen] = {}
        self._defined: dict[str, Mapping[str, set[str]]] = {}

    def hole(self, file: File, kind: str, rng: random.Random, tokens: int) -> Hole | None:
        """A hole of this kind in a file with what other files of its package say there in front, about so many tokens
        in all; None where the file has none at the place that is drawn, or nothing is found.

        Of the kind `across` the wanted name is said by what is found: where it is not, there is nothing to learn.
        """
        whole = self._across(file, rng) if kind == ACROSS else hole(file, rng, kind, WHOLE, WHOLE)
        found = whole and self._in_front(file, whole, min(RELATED_TOKENS, 2 * tokens // 3))
        if not whole or not found or (kind == ACROSS and not says_what_is_wanted(found.text, whole)):
            return None
        room = int((tokens - found.tokens) * CHARACTERS_PER_TOKEN) - len(whole.middle)
        before = int(room * rng.uniform(0.5, 0.85))
        cut = narrowed(whole, before, room - before)
        view = Window(cut.prefix, cut.suffix, cut_before=len(cut.prefix) < len(whole.prefix))
        return None if placing.is_in_head(view) else dataclasses.replace(cut, prefix=placing.before(found, view))

    def _across(self, file: File, rng: random.Random) -> Hole | None:
        package = self._package(file)
        if package is None:
            return None
        if package not in self._defined:
            self._defined[package] = defined([each for each in self._files if each.name.startswith(package)])
        found = across_holes(file, self._defined[package], rng)
        return rng.choice(found) if found else None

    def _in_front(self, file: File, whole: Hole, tokens: int) -> placing.Placed | None:
        """What the product would put there."""
        package = self._package(file)
        if package is None:
            return None
        folder = self._folders[package]
        found = found_at(self._seen_of(folder), (folder / file.name.removeprefix(package)).as_uri(), whole)
        placed = placing.fit(found.pieces, language(file.language), tokens, self._tokenizer)
        return placed if placed.text else None

    def _package(self, file: File) -> str | None:
        return next((each for each in self._folders if file.name.startswith(each)), None)

    def _seen_of(self, folder: Path) -> Seen:
        if folder not in self._seen:
            self._seen[folder] = seen_of(folder, self._state / "index")
        return self._seen[folder]
