"""The engine over HTTP: OpenAI's completions API on a socket of the user's alone.

Everything about requests and answers as JSON is in `wire`. Nothing here logs what a prompt or an answer says.
"""

from __future__ import annotations

import dataclasses
import hmac

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lsp_server.engine import metrics, wire
from lsp_server.engine.answer import Answer, EventStream, cancelled_on_disconnect, pieces
from lsp_server.engine.request import PromptTooLong, QueueFull, SchedulerClosed
from lsp_server.engine.request import Request as GenerationRequest
from lsp_server.engine.state import EngineState, TextCodec
from lsp_server.engine.wire import Ask, Refusal

_MAX_BODY_BYTES = 32 * 2**20
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def create_app(state: EngineState, *, token: str | None = None) -> Starlette:
    """The application that serves `state`, which may change while it runs.

    With a `token`, for a TCP port on the loopback interface, every request must carry it and must not come from a web
    page. Without one, what protects the engine is that only its user can open the socket.
    """

    async def health(request: Request) -> Response:
        body = state.health()
        return JSONResponse(body, 200 if body["status"] == "ready" else 503)

    async def models(request: Request) -> Response:
        model = {"id": state.model, "object": "model", "owned_by": "local", "root": state.folder}
        return JSONResponse({"object": "list", "data": [{**model, "max_model_len": state.context_length}]})

    async def completions(request: Request) -> Response:
        return await _generate(state, request, chat=False)

    async def chat_completions(request: Request) -> Response:
        return await _generate(state, request, chat=True)

    async def metrics_text(request: Request) -> Response:
        return Response(metrics.render(state), headers={"content-type": metrics.CONTENT_TYPE})

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/metrics", metrics_text),
            Route("/v1/models", models),
            Route("/v1/completions", completions, methods=["POST"]),
            Route("/v1/chat/completions", chat_completions, methods=["POST"]),
        ],
        middleware=[Middleware(_Guard, token=token)] if token is not None else [],
        exception_handlers={
            Refusal: _on_refusal,
            HTTPException: _on_http_exception,
            ClientDisconnect: _on_disconnect,
            Exception: _on_exception,
        },
    )


# Generating.


async def _generate(state: EngineState, request: Request, *, chat: bool) -> Response:
    health = state.health()
    scheduler = state.scheduler
    if health["status"] != "ready" or scheduler is None:
        loading = health["status"] == "loading"
        reason = f"The engine is {health['status']}: {health['message']}" if health["message"] else "The engine loads."
        raise Refusal(reason, status=503, retry_after=1 if loading else None)
    ask = wire.parse(await _body(request), chat=chat, vocab_size=scheduler.vocab_size)
    if ask.model and ask.model not in (state.model, state.folder):
        raise Refusal(f"The model {ask.model[:200]!r} is not served here, but {state.model!r}.", "model", status=404)
    if ask.stop_texts and state.codec is None:
        raise Refusal("stop needs a tokenizer, which this engine does not have: send stop_token_ids.", "stop")
    ids, stop_ids = await _prompt_ids(ask, state.codec, scheduler.vocab_size)
    # Whatever is asked, no more than the context is generated: `submit` sees to that.
    most = ask.max_tokens or scheduler.context_length
    sampling = ask.sampling
    if ask.messages is not None and state.codec is not None:
        biases = (*state.codec.dialog_bias.items(), *sampling.logit_bias)
        sampling = dataclasses.replace(sampling, logit_bias=biases)
    wanted = GenerationRequest(ids, most, stop_ids, sampling, ask.priority, ask.heal)
    try:
        handle = scheduler.submit(wanted)
    except PromptTooLong as error:
        scheduler.totals.requests["refused"] += 1
        raise Refusal(str(error), "messages" if chat else "prompt") from None
    except QueueFull as error:
        scheduler.totals.requests["refused"] += 1
        raise Refusal(str(error), status=429, retry_after=1) from None
    except SchedulerClosed as error:
        raise Refusal(str(error), status=503) from None
    parts = pieces(ask, handle, stop_ids, state.codec)
    answer = Answer(ask, handle, state.model)
    if ask.stream:
        return EventStream(answer.events(parts), handle)
    async with cancelled_on_disconnect(request.receive, handle):
        return JSONResponse(await answer.whole(parts))


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise Refusal(f"The request is larger than {_MAX_BODY_BYTES} bytes.", status=413)
    return bytes(body)


async def _prompt_ids(ask: Ask, codec: TextCodec | None, vocab_size: int) -> tuple[list[int], frozenset[int]]:
    """The prompt's ids and the ids that end the answer."""
    ends = (codec.completion_stop_ids if ask.messages is None else codec.dialog_stop_ids) if codec is not None else ()
    stop_ids = ask.stop_ids if ask.ignore_eos else ask.stop_ids.union(ends)
    if isinstance(ask.prompt, list):
        return ask.prompt, stop_ids
    param = "prompt" if ask.messages is None else "messages"
    if codec is None:
        raise Refusal("This engine has no tokenizer: send the prompt as token ids.", param)
    try:
        # In a thread, since a long text takes a while.
        if ask.messages is not None:
            ids = await run_in_threadpool(codec.dialog_ids, ask.messages)
        else:
            ids = await run_in_threadpool(codec.completion_ids, ask.prompt or "")
    except ValueError as error:
        raise Refusal(str(error), param) from None
    if not ids:
        raise Refusal(f"{param} is empty.", param)
    if max(ids) >= vocab_size:  # on a GPU such an id would break every later request too
        raise Refusal("The checkpoint's tokenizer has ids that its model does not know.", status=500)
    return ids, stop_ids


# Refusing.


class _Guard:
    """Lets through requests that carry the token and were not made by a web page.

    A page can reach a loopback port. It cannot know the token; should that leak, a page still shows itself by its
    Origin, or by a Host that its own DNS points here.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            host = headers.get(b"host", b"").decode("latin-1")
            if host.startswith("["):
                host = host[1:].partition("]")[0]
            else:
                host = host.partition(":")[0]
            if b"origin" in headers or host.lower() not in _LOOPBACK:
                await _refuse("Web pages are not served.", 403)(scope, receive, send)
                return
            if not hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + self._token):
                await _refuse("The engine's token is missing or wrong.", 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refuse(message: str, status: int, param: str | None = None, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(wire.error(message, status=status, param=param), status, headers)


def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
    return _refuse(str(error), error.status, error.param, headers)


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refuse(f"{error.detail}: {request.method} {request.url.path}", error.status_code)


def _on_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


def _on_exception(request: Request, error: Exception) -> Response:
    return _refuse(f"The engine failed to answer: {type(error).__name__}.", 500)
