"""Somebody at an editor who types, asks for suggestions and actions, and chats, all at once.

What they see is kept, and so is what they were promised: every request is answered, with a sentence where it failed;
what they typed is what the server has; what they asked and were told is in the conversation.
"""

from __future__ import annotations

import argparse as typed_module
import asyncio
import contextlib
import dataclasses
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

from acting_editor import ActingEditor, acting_editor
from lsprotocol import types
from pygls.exceptions import JsonRpcException

# Nobody waits longer for an answer of any kind.
ANSWER_SECONDS = 120.0
# Codes of errors that are an answer: a request was cancelled, or is about a text that has changed.
SUPERSEDED = {-32800, -32801, -32802}
# A server's code where it did not see what happened.
INTERNAL_ERROR = -32603

SOURCE = Path(typed_module.__file__).read_text(encoding="utf-8")
FUNCTION = "def area(width, height):\n    return width * height\n"
# Only what stands below the cursor tells what is missing, so that the model always has something to say here.
PROBE = """def count_{n}(path):
    count = 0
    with open(path) as file:
        ¦
            count += 1
    return count
""".replace("¦", "")
PROBED = (3, 8)

_ORDINARY = re.compile(r"is ready( on|\.)|^Thinking\.|has not been asked for yet")


@dataclasses.dataclass
class Said:
    """A question of a chat: `streamed` is what came of its answer, `failed` the sentence that came instead."""

    message: str
    token: str
    conversation: str = ""
    streamed: str = ""
    failed: str = ""


class User:
    """One window and who sits at it. `broken`: promises that were not kept, one sentence each. `restarts`: how often
    they had to run the command for that."""

    def __init__(self, window: ActingEditor, folder: Path, chance: random.Random) -> None:
        self.window, self.broken = window, list[str]()
        self.said: list[Said] = []
        self.errors: list[str] = []
        self.asked = self.restarts = 0
        self._chance, self._folder = chance, folder
        self._working: list[asyncio.Task[None]] = []
        self._pending: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._by_token: dict[str, Said] = {}
        self._probes = 0
        window.client.protocol.fm.features[types.PROGRESS] = self._on_progress

    # Working.

    def begin(self) -> None:
        """Type, ask for actions and chat, all from now on."""
        self.text = SOURCE[: self._chance.randrange(len(SOURCE) // 2)]
        self.typed = self.window.open((self._folder / "typed.py").as_uri(), self.text)
        self.acted = self.window.open((self._folder / "acted.py").as_uri(), FUNCTION)
        self._working = [asyncio.ensure_future(each()) for each in (self._type, self._chat, self._act)]

    async def stop(self) -> None:
        """Do nothing new, and wait for the answers; but nobody needs the code action any more, which may be long."""
        self._stopping = True
        *_, acting = self._working
        acting.cancel()
        await asyncio.wait(self._working)
        while self._pending:
            await asyncio.wait(self._pending)

    def abandon(self) -> None:
        """Their window is gone, or will be: nobody waits for an answer any more."""
        for each in [*self._working, *self._pending]:
            each.cancel()
        for said in self.said:
            if not said.conversation:  # which is the first that is told of a question
                said.failed = said.failed or "not taken in"

    async def _type(self) -> None:
        rest = SOURCE[len(self.text) :]
        for char in rest:
            if self._stopping:
                return
            row, column = self.end
            self.window.insert(self.typed, row, column, char)
            self.text += char
            self._ask("a suggestion", self.window.suggest(self.typed, *self.end, typed=True))
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))

    async def _act(self) -> None:
        while not self._stopping:
            items = await self._ask("the menu", self.window.menu(self.acted, (0, 4)))
            if items:
                await self._ask("an action", self.window.choose(items, "Explain"))
            await asyncio.sleep(self._chance.uniform(1.0, 4.0))

    async def _chat(self) -> None:
        while not self._stopping:
            await self.ask_chat(anew=self._chance.random() < 0.3)
            await asyncio.sleep(self._chance.uniform(0.1, 0.6))

    async def ask_chat(self, *, anew: bool = False) -> Said:
        """Ask something in the conversation at hand."""
        number = len(self.said)
        said = Said(f"What is {number} times {self._chance.randrange(100)}?", f"{id(self)}-{number}")
        self._by_token[said.token] = said
        going_on = next((each.conversation for each in reversed(self.said) if each.conversation), "")
        self.said.append(said)
        params: dict[str, Any] = {"message": said.message, "partialResultToken": said.token, "maxTokens": 32}
        if going_on and not anew:
            params["conversationId"] = going_on
        answer = await self._ask("a chat", self._request("codellama/chat/send", params), said)
        if answer is not None:
            said.conversation = answer.conversationId
        return said

    # What may be expected.

    async def until_served(self) -> float:
        """Wait for a suggestion that the model writes now; how many seconds that takes. Where the status says that all
        has failed, they do what it asks for, which is done by then, and have it tried again."""
        began, restarted = time.monotonic(), False
        self._probes += 1
        uri = self.window.open(f"untitled:probe-{self._probes}.py", PROBE.replace("{n}", str(self._probes)))
        while not await self._ask("a suggestion", self.window.suggest(uri, *PROBED)):
            if time.monotonic() - began > ANSWER_SECONDS:
                self.broken.append("no suggestion any more")
                break
            if not restarted and self.window.statuses[-1:] and self.window.statuses[-1]["kind"] == "failed":
                restarted = True
                self.restarts += 1
                await self.restart()
            await asyncio.sleep(0.2)
        self.window.client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
        return time.monotonic() - began

    async def restart(self) -> None:
        """Run the command that starts the engine anew, or reaches the server again."""
        await self.window.command(types.Command("", "codellama.restart"))

    async def look_for_losses(self) -> None:
        """Whether the server has what was typed, and the conversations all that was said. For who has stopped."""
        if failed := (await self.ask_chat()).failed:
            self.broken.append(f"no chat any more: {failed}")
        row, column = self.end
        values = {"uri": self.typed, "position": {"line": row, "character": column}}
        shown = await self._ask(
            "the prompt", self.window.command(types.Command("", "codellama.prompt", arguments=[values]))
        )
        if shown is not None and self.text[-200:].rstrip() not in shown["text"]:
            self.broken.append(f"the buffer: {self.text[-40:]!r} is not what the server has")
        await self.look_for_words(self.said)

    async def look_for_words(self, said: list[Said], lacking: int = 0) -> None:
        """Whether what was said, maybe in a window that is gone, is in the conversations; of an answer that was cut
        short, all but so many characters."""
        for each in said:
            if not each.conversation:
                if not each.failed:
                    self.broken.append(f"a question without an answer: {each.message}")
                continue
            params = {"conversationId": each.conversation}
            kept = await self._ask("a conversation", self._request("codellama/chat/get", params))
            turns = [] if kept is None else [turn.content for turn in kept.turns]
            at = turns.index(each.message) if each.message in turns else -1
            if at < 0 and not each.failed:
                self.broken.append(f"a question is not in its conversation: {each.message}")
            shown = each.streamed[: max(0, len(each.streamed) - lacking)]
            if at >= 0 and shown.strip() not in "".join(turns[at + 1 : at + 2]):
                self.broken.append(f"an answer is not in its conversation: {each.streamed!r}")

    def seen(self) -> list[str]:
        """The sentences on what went wrong: of the status, messages, errors, and reasons why there is no suggestion."""
        sentences: list[str] = []
        for status in self.window.statuses:
            about = (status.get("suggestion") or {}).get("reason", "")
            if status["kind"] in ("starting", "failed", "ready") and not _ORDINARY.search(status["message"]):
                sentences.append(status["message"])
            if re.search("engine|server", about, re.IGNORECASE):
                sentences.append(about)
        sentences += [message.removeprefix("Code Llama: ") for message in self.window.messages]
        return list(dict.fromkeys([*sentences, *self.errors]))

    def forget_seen(self) -> None:
        """What was seen until now was not about what comes."""
        self.window.statuses.clear()
        self.window.client.messages.clear()
        self.errors.clear()

    @property
    def end(self) -> tuple[int, int]:
        """Line and character of the end of what was typed."""
        return self.text.count("\n"), len(self.text) - (self.text.rfind("\n") + 1)

    # The wire.

    def _request(self, method: str, params: dict[str, Any]) -> Awaitable[Any]:
        return self.window.client.protocol.send_request_async(method, params)

    def _ask(self, what: str, request: Awaitable[Any], said: Said | None = None) -> asyncio.Task[Any]:
        self.asked += 1
        task = asyncio.ensure_future(self._answer(what, request, said))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        return task

    async def _answer(self, what: str, request: Awaitable[Any], said: Said | None) -> Any:
        """The answer, or None where it is an error, which must have a sentence."""
        failed = ""
        try:
            return await asyncio.wait_for(asyncio.shield(self._kept(request)), ANSWER_SECONDS)
        except (TimeoutError, asyncio.TimeoutError):
            self.broken.append(f"{what} is not answered within {ANSWER_SECONDS:.0f} s")
        except JsonRpcException as error:
            failed = error.message
            if error.code == INTERNAL_ERROR or "Traceback" in failed or not failed.strip():
                self.broken.append(f"{what} fails without a sentence: {error.code} {failed!r}")
            elif error.code not in SUPERSEDED:
                self.errors.append(failed)
        if said is not None:
            said.failed = failed or "unanswered"
        return None

    def _kept(self, request: Awaitable[Any]) -> asyncio.Future[Any]:
        """A request that goes on when nobody waits for it any more: where one was cancelled and is answered all the
        same, the library's client ends."""
        future = asyncio.ensure_future(request)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())  # which then is nobody's
        return future

    def _on_progress(self, params: Any) -> None:
        said = self._by_token.get(str(params.token))
        if said is not None:
            said.conversation = params.value.get("conversationId", said.conversation)
            said.streamed += params.value.get("delta", "")


@contextlib.asynccontextmanager
async def at_work(
    folder: Path, chance: random.Random, options: dict[str, Any], command: list[str] | None = None
) -> AsyncIterator[User]:
    """Somebody at a new window, the model ready."""
    async with acting_editor(options, folder, command=command) as window:
        user = User(window, folder, chance)
        window.open("untitled:first.py", "")
        await window.ready(300)
        yield user
