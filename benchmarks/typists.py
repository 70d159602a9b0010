"""Systems into which one types, each asked after every key: the project over the protocol, and servers that continue
prompts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lsprotocol import types

from benchmarks import systems
from benchmarks.keystrokes import Key, Trace
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion.suggest import Suggestion, generate, prepare
from lsp_server.context.buffer import Buffer
from lsp_server.model.access import Reached
from lsp_server.model.client import ModelClient
from lsp_server.model.reading import Piece
from lsp_server.settings import Settings

if TYPE_CHECKING:
    import editor as editors

# Suffix first, which leaves a prompt cache the most; llama.vim asks prefix first.
SETTINGS, AS_LLAMA_VIM = Settings(layout="spm"), Settings(layout="psm")
CONTEXT = 8192
# What the engine counts, and the names of the same in other systems' answers.
COUNTED = {
    "prefilled_tokens": "prefilled",
    "cached_tokens": "reused",
    "generated_tokens": "generated",
    "forward_passes": "passes",
}


class Typist(Protocol):
    """A system into which one types. `asked`: whether the model was asked for the last key's suggestion."""

    name: str
    asked: bool

    async def open(self, trace: Trace) -> None:
        """Show the text of a trace, as yet without its keys."""

    async def rest(self, text: str, cursor: int) -> None:
        """The cursor has moved elsewhere in the text."""

    async def press(self, key: Key, text: str) -> str:
        """Take in a key, after which the text is `text`, and give the suggestion at the cursor, or "".

        May be cancelled."""

    async def counts(self) -> dict[str, int]:
        """What the model has done until now, where that is known."""


class LanguageServer:
    """The project, over the protocol."""

    def __init__(self, window: editors.Editor, engine: systems.Engine) -> None:
        self.name = engine.name
        self._window, self._engine = window, engine
        self.asked = True
        self._uri, self._number = "", 0
        self._before = ""

    async def open(self, trace: Trace) -> None:
        if self._uri:
            item = types.TextDocumentIdentifier(self._uri)
            self._window.client.text_document_did_close(types.DidCloseTextDocumentParams(item))
        self._number += 1
        suffix = {"python": "py", "typescript": "ts", "rust": "rs"}[trace.language]
        self._uri = self._window.open(f"untitled:{self._number}.{suffix}", trace.text, trace.language)
        self._before = trace.text

    async def rest(self, text: str, cursor: int) -> None:
        """As VS Code does, which asks what can be done where the cursor is."""
        at = _position(text, cursor)
        context = types.CodeActionContext([], trigger_kind=types.CodeActionTriggerKind.Automatic)
        params = types.CodeActionParams(types.TextDocumentIdentifier(self._uri), types.Range(at, at), context)
        await self._window.client.text_document_code_action_async(params)

    async def press(self, key: Key, text: str) -> str:
        start = _position(self._before, key.at - key.deleted)
        end = _position(self._before, key.at)
        self._before = text
        change = types.TextDocumentContentChangePartial(types.Range(start, end), key.inserted)
        self._window.change(self._uri, change)
        at = _position(text, key.cursor)
        told = len(self._window.statuses)
        request = self._window.suggest(self._uri, at.line, at.character, typed=True)
        # Not cancelled with this: the next change ends it, in the server, which then answers that there is nothing.
        items = await asyncio.shield(asyncio.ensure_future(request))
        self.asked = any(status["kind"] == "thinking" for status in self._window.statuses[told:])
        if not items:
            return ""
        replaced = at.character - items[0].range.start.character  # the word before the cursor, maybe
        return str(items[0].insert_text)[replaced:]

    async def counts(self) -> dict[str, int]:
        totals = await self._engine.totals()
        return {name: totals[name] for name in COUNTED}


class Client(ModelClient):
    """A server as the project's code reaches its engine. Raises what the server's `stream` raises."""

    def __init__(self, system: systems.System) -> None:
        self._system = system
        self.counts: Counter[str] = Counter()

    async def complete(self, prompt: Sequence[int], *, max_tokens: int, **unused: Any) -> AsyncGenerator[Piece, None]:
        # What is counted if the system does not say: a whole prompt, and a token for each piece.
        counts: dict[str, float] = {"prefilled": len(prompt), "generated": 0}
        said = False
        try:
            async with contextlib.aclosing(self._system.stream(prompt, max_tokens, whole=False)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, systems.Piece):
                        counts["generated"] += not said
                        yield Piece(text=piece.text)
                    else:
                        counts, said = piece, True
        finally:
            self.counts.update({name: int(counts[key]) for name, key in COUNTED.items() if key in counts})
        yield Piece(finish_reason="length" if counts["generated"] >= max_tokens else "stop")


class Server:
    """A server that continues prompts: asked, cut and tidied by the project's own code, as its engine is."""

    def __init__(
        self, system: systems.System, tokenizer: CodeLlamaTokenizer, name: str = "", settings: Settings = SETTINGS
    ) -> None:
        self.name = name or system.name
        self._settings = settings
        self.seconds = 0.0  # that the last key's suggestion took
        self.asked = True
        self._client = Client(system)
        self._model = Reached(self._client, tokenizer, CONTEXT, system.name, "")
        self._language = ""

    async def open(self, trace: Trace) -> None:
        self._language = trace.language

    async def rest(self, text: str, cursor: int) -> None:
        pass

    async def press(self, key: Key, text: str) -> str:
        return await self.suggestion(text, key.cursor)

    async def suggestion(self, text: str, cursor: int) -> str:
        """The suggestion at a cursor."""
        self.seconds = 0.0
        buffer = Buffer("untitled:one", text, language_id=self._language, encoding="utf-32")
        at = _position(text, cursor)
        asked = prepare(self._model, buffer, at.line, at.character, self._settings)
        if isinstance(asked, Suggestion):
            return ""
        started = time.perf_counter()
        try:
            return (await generate(self._model, asked, self._settings)).text
        finally:
            self.seconds = time.perf_counter() - started

    async def counts(self) -> dict[str, int]:
        return dict(self._client.counts)


class LlamaVim(Server):
    """llama.cpp with llama.vim's memory: its suggestions by the text before the cursor, looked up to 128 characters
    back, the suggestion after the shown one asked for while that is looked at, and the one where the cursor moves."""

    NAME = "llama.cpp Q8_0, with llama.vim's memory"
    LOOK_BACK = 128

    def __init__(self, system: systems.System, tokenizer: CodeLlamaTokenizer) -> None:
        super().__init__(system, tokenizer, self.NAME, AS_LLAMA_VIM)
        self._known: dict[tuple[str, str], str] = {}
        self._ahead: asyncio.Task[None] | None = None

    async def open(self, trace: Trace) -> None:
        await self.close()
        self._known.clear()
        await super().open(trace)

    async def rest(self, text: str, cursor: int) -> None:
        """As it does where the cursor moves."""
        await self.close()
        self._ahead = asyncio.ensure_future(self._ask_ahead(text[:cursor], text[cursor:]))

    async def press(self, key: Key, text: str) -> str:
        await self.close()
        before, after = text[: key.cursor], text[key.cursor :]
        shown = self._remembered(before, after)
        self.asked = not shown
        if shown:
            self.seconds = 0.0
        else:
            shown = self._known[before, after] = await self.suggestion(text, key.cursor)
        if shown and (before + shown, after) not in self._known:
            self._ahead = asyncio.ensure_future(self._ask_ahead(before + shown, after))
        return shown

    def _remembered(self, before: str, after: str) -> str:
        for back in range(min(self.LOOK_BACK, len(before)) + 1):
            cut = len(before) - back
            shown, typed = self._known.get((before[:cut], after), ""), before[cut:]
            if shown.startswith(typed) and shown[back:]:
                return shown[back:]
        return ""

    async def _ask_ahead(self, before: str, after: str) -> None:
        self._known[before, after] = await self.suggestion(before + after, len(before))

    async def close(self) -> None:
        """End what is asked for ahead."""
        if self._ahead is not None:
            self._ahead.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ahead
            self._ahead = None


def _position(text: str, at: int) -> types.Position:
    """Line and character, in characters, of a place in a text whose lines end in `\\n`."""
    row = text.count("\n", 0, at)
    return types.Position(row, at - (text.rfind("\n", 0, at) + 1))
