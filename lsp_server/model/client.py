"""The client of an engine: prompts to an OpenAI-compatible server, answers as they are generated.

Prompts are token ids, which the project's own engine takes, and vLLM, and llama.cpp. A server that refuses them gets
text, or the messages of a conversation. Ending the iteration closes the connection, which ends the work in the engine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import re
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from lsp_server.engine.generating.speed import Speed
from lsp_server.engine.options import Options
from lsp_server.model.dialect import NOTHING_THERE, Dialect, Way, alike
from lsp_server.model.endpoint import Endpoint
from lsp_server.model.events import DONE
from lsp_server.model.exchange import ANSWER_SECONDS, EngineDenied, EngineLost, EngineRefused
from lsp_server.model.reading import Piece, Reading, error, events, read
from lsp_server.model.refusal import Refusal
from lsp_server.model.served import common
from lsp_server.model.servers import BUSY, Rest, Servers
from lsp_server.model.words import CONVERSATIONS, IDS_ALONE, Words
from lsp_server.settings import camel

# A token id of ours is none of the server's.
_OTHER_VOCABULARY = re.compile(r"\bout of (the )?vocab|\bout-of-vocab|\binvalid token", re.IGNORECASE)
# vLLM's convention: the lower number goes first.
PRIORITY_COMPLETION, PRIORITY_ACTION, PRIORITY_CHAT, PRIORITY_AHEAD = 0, 5, 10, 20
# For these somebody waits who would rather do so than have none.
PATIENT = frozenset({PRIORITY_ACTION, PRIORITY_CHAT})
# With these a server does not let one in, or has nothing at this address: that stays so until a setting changes.
KEPT_OUT, NOT_THERE = (401, 403), 404
# No context has fewer tokens; such a number means something else.
LEAST_ROOM = 64


@dataclasses.dataclass(frozen=True)
class Choice:
    """How each token is chosen. `logit_bias`: what is added to logits, by id; -100 rules a token out. `logprobs`: the
    answer is to say how probable each was. `candidates`: among so many the first line is chosen, by how well `follow`,
    the next ids behind the answer, follows. `names`: with one of them the answer probably goes on, and by so many
    nats is each more probable. The project's own engine alone can do these two."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    logit_bias: Mapping[int, float] | None = None
    logprobs: bool = False
    candidates: int = 1
    follow: tuple[int, ...] = ()
    names: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """As a request has it."""
        fields: dict[str, Any] = {"temperature": self.temperature, "top_p": self.top_p}
        if self.seed is not None:
            fields["seed"] = self.seed
        if self.logit_bias:
            fields["logit_bias"] = {str(each): bias for each, bias in self.logit_bias.items()}
        if self.logprobs:
            fields["logprobs"] = 0  # and how probable others were, of none
        if self.candidates > 1:
            fields |= {"candidates": self.candidates, "follow": list(self.follow)}
        if self.names:
            fields["names"] = dict(self.names)
        return fields


GREEDY = Choice()


@dataclasses.dataclass(frozen=True)
class Health:
    """What an engine says of itself. `status`: loading, ready or failed; `progress` from 0 to 1."""

    status: str
    progress: float = 0.0
    message: str = ""
    model: str = ""
    folder: str = ""
    version: str = ""
    pid: int = 0
    context_length: int = 0
    device: str = ""
    plan: str = ""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    quantizations: list[str] = dataclasses.field(default_factory=list)  # values that come to the bits that it has
    by_settings: bool = False  # its options are settings, not those of who started it by hand
    users: list[int] = dataclasses.field(default_factory=list)  # processes of this user that have asked it
    prefill_tokens_per_second: float | None = None


class ModelClient:
    """Requests to one endpoint, or to several that serve one model, in the `dialect` that they have shown to
    understand. Use from one event loop.

    `model`: what requests name; "" for nothing, None where that has not been asked for. `owner`: whom the model is said
    to be owned by. `prefill_tokens_per_second`: at which it has computed prompts of late, where it says so; `speed`:
    the same of any length. `on_denied` is told why it refuses all that it is asked, and `on_room` for how many
    tokens it has room, where that is less than it was asked for. `rests`: see Servers. Raises
    network.NoWay.
    """

    prefill_tokens_per_second: float | None = None
    speed: Speed | None = None

    def __init__(
        self,
        endpoint: Endpoint,
        *others: Endpoint,
        dialect: Dialect | None = None,
        rests: dict[str, Rest] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.dialect = dialect or Dialect(ours=endpoint.ours)
        self.servers = Servers((endpoint, *others), rests)
        self.on_denied: Callable[[str], None] = lambda sentence: None
        self.on_room: Callable[[int], None] = lambda tokens: None
        self.model: str | None = None
        self.owner = ""

    async def aclose(self) -> None:
        """Let go of the server, once the requests under way have ended."""
        await self.servers.aclose()

    def waits(self, seconds: float) -> bool:
        """Whether somebody has waited so long for the next part of an answer."""
        return self.servers.wait(seconds)

    async def health(self) -> Health:
        """What the project's own engine says of itself. Raises EngineLost, EngineRefused."""
        _, content = await self._get("/health")
        try:
            body = json.loads(content)
            known = {field.name for field in dataclasses.fields(Health)} - {"folder"}
            health = Health(folder=body.get("path") or "", **{key: body[key] for key in known & body.keys()})
        except (ValueError, AttributeError, TypeError) as error:
            raise EngineRefused(f"{self.endpoint.name} does not say how it is: it is not of this program.") from error
        self._hear(body)
        return health

    async def known_tokens(self, prompt: Sequence[int]) -> int:
        """How much of a prompt the project's own engine would not have to compute; 0 where nobody says."""
        if not self.endpoint.ours:
            return 0
        try:
            asked = {"prompt": list(prompt)}
            async with self.servers.exchange("POST", "/known", asked, seconds=ANSWER_SECONDS) as exchange:
                return int(json.loads(await exchange.content())["known"])
        except (EngineLost, EngineRefused, ValueError, LookupError, TypeError):
            return 0

    async def give_options(self, options: Options) -> bool:
        """Have the project's own engine go on with these options; whether it does: not all can change while it runs."""
        sent = {camel(name): value for name, value in dataclasses.asdict(options).items()}
        try:
            async with self.servers.exchange("POST", "/options", sent, seconds=ANSWER_SECONDS) as exchange:
                return exchange.status == 200
        except (EngineLost, EngineRefused):
            return False

    async def served_model(self) -> tuple[str, int]:
        """(name, context length or 0) of the model that the servers have in common; one that is not there, or does not
        have it, is asked for nothing while others are.

        Raises EngineLost, EngineRefused, and EngineBusy where it is still loading.
        """
        found = await common(self.servers)
        self.model, self.owner = found.id, found.owner
        return found.id, found.context_length

    async def says(self, path: str) -> list[Any]:
        """What the servers say at an address that not every one has. Raises EngineLost where none of them is there."""
        found = await self.servers.each(path, ANSWER_SECONDS, able=True)
        if any(isinstance(each, EngineLost) for each in found):
            # Some close the connection behind an error of theirs, as others may send their next.
            found = await self.servers.each(path, ANSWER_SECONDS, able=True)
        lost = [each for each in found if isinstance(each, EngineLost)]
        if lost and len(lost) == len(found):
            raise lost[0]
        answers = [each for each in found if isinstance(each, tuple)]
        return [read(content) for _, status, content in answers if status == 200]

    async def complete(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        stop_ids: Sequence[int] = (),
        stop_texts: Sequence[str] = (),
        heal: int = 0,
        choice: Choice = GREEDY,
        priority: int = PRIORITY_COMPLETION,
        words: Words = IDS_ALONE,
    ) -> AsyncGenerator[Piece, None]:
        """The continuation of `prompt`, piece by piece; the last piece has `finish_reason` and `usage`.

        The last `heal` ids count only as text, with which the answer begins: the project's own engine alone can do
        that. A field that the server refuses is left out; stop ids are then looked for in what it sends, or the
        `stop_texts` where it sends no ids. `words`: the prompt otherwise, for a server that takes no ids.
        Where somebody waits patiently, pieces say how far the prompt is computed, if the server does.

        Raises EngineLost, EngineRefused. Close the iterator (`contextlib.aclosing`) to end the work early.
        """
        if self.model is None:
            self.model, _ = await self.served_model()
        fields: dict[str, Any] = {
            **({"model": self.model} if self.model else {}),
            "max_tokens": max_tokens,
            "stop_token_ids": list(stop_ids),
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
            "priority": priority,
            **choice.fields(),
            **({"heal": heal} if heal else {}),
            **({"return_progress": True} if priority in PATIENT else {}),
        }
        ways = self.dialect.ways(words.can)
        if not ways:
            raise EngineRefused(_conversations_alone(self.endpoint))
        without: frozenset[str] = frozenset()
        refused: dict[Way, Refusal] = {}
        while True:
            way = next(each for each in ways if each not in refused)
            put = await words.put(prompt, way, self.dialect)
            own = self.dialect.own(fields, stop_ids)
            sent = self.dialect.said({**fields, **own, **put.fields}, {*without, *put.without})
            unknown = way != "ids" or not self.dialect.takes("stop_token_ids") or "stop_token_ids" in without
            ends = () if self.endpoint.ours else stop_ids
            reading = Reading(self.endpoint, max_tokens, ends, stop_texts if unknown else (), words.ends)
            learn = functools.partial(self.dialect.learn, without, way, tuple(refused))
            waits = priority in PATIENT and not refused  # a server that fails at one way may do so at the next
            async with contextlib.aclosing(self._answer(put.path, sent, reading, learn, waits=waits)) as pieces:
                async for piece in pieces:
                    yield piece
            if reading.refusal is None or reading.begun or reading.later:
                break
            if about := self.dialect.refused(sent, reading.refusal):
                without |= about
            elif self.dialect.may_take_another(way, reading.refusal):
                refused |= {each: reading.refusal for each in alike(way, reading.refusal)}
                if refused.keys() >= set(ways):
                    reading.refusal = _most_telling(list(refused.values()))
                    break
            else:
                break
            self.servers.go_on(reading.at)
        if rest := reading.texts.flush():
            yield Piece(text=rest)
        if reading.refusal is not None or not reading.finish_reason:
            raise await self._problem(reading.at, self._learned(reading.refusal, len(prompt) + max_tokens))
        self.dialect.count(put.text, reading.usage)
        yield Piece(finish_reason=reading.finish_reason, usage=reading.usage)

    async def _answer(
        self, path: str, sent: Mapping[str, Any], reading: Reading, learn: Callable[[], None], *, waits: bool
    ) -> AsyncGenerator[Piece, None]:
        """The pieces of the answer to one request, which `reading` takes in; `learn` is called when it begins.
        `waits`: see Servers."""
        try:
            async with self.servers.exchange("POST", path, sent, waits=waits) as exchange:
                reading.at, reading.later = exchange.endpoint, bool(exchange.retry_after)
                async for event in events(exchange, reading):
                    if event is DONE:
                        reading.done()
                        exchange.whole = True
                        return
                    if said := error(event):
                        reading.refusal = Refusal.said(said, exchange.status)
                        exchange.status = reading.refusal.status
                        return
                    if not reading.begun:
                        learn()
                    self._hear(event.get("timings"))
                    for piece in reading.pieces(event):
                        yield piece
                        exchange.heard()
                    if reading.ended(exchange):
                        return
        except EngineLost as lost:
            import httpx

            cut = isinstance(lost.__cause__, (httpx.ReadError, httpx.RemoteProtocolError))
            if cut and reading.begun:
                raise await self._problem(reading.at, None) from lost  # it was there a moment ago
            raise

    def _hear(self, said: Any) -> None:
        """Take in what a server says of its speed."""
        if not isinstance(said, dict):
            return
        if speed := _positive(said.get("prefill_tokens_per_second")):
            self.prefill_tokens_per_second = speed
        found = said.get("prefill_speed")
        if isinstance(found, dict) and (first := _positive(found.get("tokens_per_second"))):
            self.speed = Speed(first, _positive(found.get("slows_by")))

    def _learned(self, refusal: Refusal | None, tokens: int) -> Refusal | None:
        """The refusal of a request of so many tokens; what is asked next is shorter where these were too many."""
        if refusal is None or not LEAST_ROOM <= refusal.room < tokens:
            return refusal
        self.dialect.room = refusal.room
        self.on_room(refusal.room)
        return dataclasses.replace(refusal, sentence=f"{refusal.sentence.rstrip('.')}; the next prompts are shorter.")

    async def _problem(self, at: Endpoint, refusal: Refusal | None) -> EngineLost | EngineRefused:
        """Why there is no whole answer of a server."""
        if refusal is None:
            further = "" if at.ours else ", and if that does not help, look at its log"
            return EngineLost(f"{at.name} broke off in the middle of its answer; ask again{further}.")
        said = refusal.sentence or _answered(at, refusal)
        if at.ours:
            # With this it is ending, or was started anew.
            return (EngineLost if refusal.status == 503 else EngineRefused)(said)
        if _OTHER_VOCABULARY.search(said):
            said = f"{said.rstrip('.')}: name the checkpoint that {at.url} serves in codellama.tokenizer."
        if refusal.status not in (*KEPT_OUT, NOT_THERE):
            return EngineRefused(said)
        if refusal.status == NOT_THERE and await self._has_another():
            return EngineLost(f"{at.name} has another model now; ask again.")
        if refusal.status == NOT_THERE and await self._converses(refusal):
            return EngineRefused(_conversations_alone(at))
        if refusal.status in KEPT_OUT:
            said = at.keeps_out(refusal.sentence or f"status {refusal.status}")
        else:
            said = f"{said.rstrip('.')}; check codellama.engineUrl and codellama.remoteModel."
        self.on_denied(said)
        return EngineDenied(said)

    async def _converses(self, refusal: Refusal) -> bool:
        """Whether a server at which there is nothing for prompts has something for conversations; not where the refusal
        is about its model."""
        ways: tuple[Way, ...] = ("ids", "chat", "text")
        if (
            not all(self.dialect.may_take_another(each, refusal) for each in ways)
            or "model" in refusal.sentence.lower()
        ):
            return False
        asked = {"model": self.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        try:
            async with self.servers.exchange("POST", CONVERSATIONS, asked, seconds=ANSWER_SECONDS) as exchange:
                there = exchange.status not in (*NOTHING_THERE, *BUSY)
        except (EngineLost, EngineRefused):
            return False
        if there:
            self.dialect.learn((), "chat", ways)
        return there

    async def _has_another(self) -> bool:
        """Whether the servers list another model than they did."""
        if before := self.servers.models:
            with contextlib.suppress(EngineLost, EngineRefused):
                await self.served_model()
        return self.servers.models != before

    async def _get(self, path: str) -> tuple[int, bytes]:
        """(status, content). Raises EngineLost, EngineRefused."""
        async with self.servers.exchange("GET", path, seconds=ANSWER_SECONDS) as exchange:
            return exchange.status, await exchange.content()


def _conversations_alone(at: Endpoint) -> str:
    return f"{at.name} takes conversations alone, so there are no suggestions from it."


def _answered(at: Endpoint, refusal: Refusal) -> str:
    kind = f"status {refusal.status}" if refusal.status else "an error, and does not say which"
    return f"{at.name} answered with {kind}."


def _positive(value: Any) -> float:
    """A number that is one, and 0 for all else."""
    return float(value) if isinstance(value, (int, float)) and 0 < value <= sys.float_info.max else 0.0


def _most_telling(refusals: Sequence[Refusal]) -> Refusal:
    """Of what a server says to one prompt put in several ways: not that there is nothing at an address, where it says
    more; of that the last, as it takes the last way rather than the others."""
    return next((each for each in reversed(refusals) if each.status not in NOTHING_THERE), refusals[0])
