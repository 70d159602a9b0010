"""The client of an engine: prompts as token ids to an OpenAI-compatible server, answers as they are generated.

Works against the project's own engine and against any server that takes token ids, such as vLLM. Ending the iteration
closes the connection, which ends the work in the engine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # imported when a model is first reached: an editor waits for `initialize`, not for HTTP
    import httpx

# An engine that is there takes a connection at once. It may be slow to say what it is while it loads, or while the
# machine is busy; and the first token of a long prompt on a slow machine may take minutes.
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
READ_SECONDS = 600.0
# An idle connection is given up before the server does it, which most do after five seconds: a request that is sent
# while the server closes is lost.
IDLE_SECONDS = 4.0
# vLLM's convention: the lower number goes first.
PRIORITY_COMPLETION, PRIORITY_ACTION, PRIORITY_CHAT, PRIORITY_AHEAD = 0, 5, 10, 20


class EngineLost(ConnectionError):
    """The engine is not there, or went away in the middle of an answer."""


class EngineRefused(RuntimeError):
    """The engine answered that it will not do this; the message is its sentence."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of an answer: token ids where the server gives them, else text. The last one has the rest."""

    ids: tuple[int, ...] = ()
    text: str = ""
    finish_reason: str = ""
    usage: dict[str, Any] = dataclasses.field(default_factory=dict)


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


class ModelClient:
    """Requests to one engine, at a Unix socket or a URL."""

    def __init__(self, url: str, *, socket: str = "", token: str = "") -> None:
        import httpx

        self.url = url
        limits = httpx.Limits(max_connections=32, keepalive_expiry=IDLE_SECONDS)
        transport = httpx.AsyncHTTPTransport(uds=socket or None, limits=limits)
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/").removesuffix("/v1"),
            transport=transport,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        )
        self._model = ""

    async def aclose(self) -> None:
        await self._http.aclose()

    async def health(self) -> Health:
        """What the project's own engine says of itself. Raises EngineLost, EngineRefused."""
        response = await self._get("/health")
        try:
            body = response.json()
            known = {field.name for field in dataclasses.fields(Health)} - {"folder"}
            return Health(folder=body.get("path") or "", **{key: body[key] for key in known & body.keys()})
        except (ValueError, AttributeError, TypeError) as error:
            raise EngineRefused(f"What answers at {self.url} is not an engine of this program.") from error

    async def served_model(self) -> tuple[str, int]:
        """(name, context length or 0) of the model a server serves. Raises EngineLost, EngineRefused."""
        response = await self._get("/v1/models")
        try:
            model = response.json()["data"][0]
            return str(model["id"]), int(model.get("max_model_len") or 0)
        except (ValueError, LookupError, TypeError) as error:
            raise EngineRefused(
                f"{self.url} does not list a model at /v1/models (status {response.status_code}); "
                "check codellama.engineUrl and codellama.engineToken."
            ) from error

    async def complete(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        stop_ids: Sequence[int] = (),
        heal: int = 0,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        priority: int = PRIORITY_COMPLETION,
        logit_bias: Mapping[int, float] | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """The continuation of `prompt`, piece by piece; the last piece has `finish_reason` and `usage`.

        The last `heal` ids count only as text, with which the answer begins: the project's own engine alone can do
        that. `logit_bias`: what is added to logits, by id; -100 rules a token out.

        Raises EngineLost, EngineRefused. Close the iterator (`contextlib.aclosing`) to end the work early.
        """
        if not self._model:
            self._model, _ = await self.served_model()
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "stop_token_ids": list(stop_ids),
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
            "priority": priority,
        }
        if seed is not None:
            body["seed"] = seed
        if heal:
            body["heal"] = heal
        if logit_bias:
            body["logit_bias"] = {str(each): bias for each, bias in logit_bias.items()}
        finish_reason = ""
        usage: dict[str, Any] = {}
        with _as_engine_lost(self.url):
            async with self._http.stream("POST", "/v1/completions", json=body) as response:
                if response.status_code != 200:
                    raise EngineRefused(_sentence(await response.aread(), response.status_code, self.url))
                async for event in _events(response):
                    usage = event.get("usage") or usage
                    if "error" in event:
                        raise EngineRefused(str(event["error"].get("message", event["error"])))
                    for choice in event.get("choices", ()):
                        finish_reason = choice.get("finish_reason") or finish_reason
                        ids = tuple(choice.get("token_ids") or ())
                        if ids or choice.get("text"):
                            yield Piece(ids, choice.get("text") or "")
        if not finish_reason:
            raise EngineLost(f"The engine at {self.url} broke off in the middle of its answer.")
        yield Piece(finish_reason=finish_reason, usage=usage)

    async def _get(self, path: str) -> httpx.Response:
        import httpx

        with _as_engine_lost(self.url):
            return await self._http.get(path, timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS))


@contextlib.contextmanager
def _as_engine_lost(url: str) -> Any:
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        raise EngineLost(f"No engine answers at {url} ({type(error).__name__}).") from error


async def _events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects of a stream of server-sent events, up to `[DONE]`."""
    async for line in response.aiter_lines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or not data:
            continue
        if data == "[DONE]":
            return
        yield json.loads(data)


def _sentence(body: bytes, status: int, url: str) -> str:
    """The server's own sentence on why it refused, in the shapes that servers use."""
    try:
        parsed = json.loads(body)
        error = parsed.get("error", parsed)
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, AttributeError):
        return f"{url} answered with status {status}."
