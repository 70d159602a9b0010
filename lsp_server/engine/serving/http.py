"""The engine over HTTP: OpenAI's completions API on a socket of the user's alone, and for other programs on a port.

The `forms` in which a program may ask have files of their own, as has who may ask, `guard`. Nothing here logs what a
prompt or an answer says.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import re
import secrets
import weakref
from collections.abc import AsyncIterator, Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lsp_server.engine.generating.handle import Handle
from lsp_server.engine.generating.request import PromptTooLong, QueueFull, SchedulerClosed
from lsp_server.engine.generating.request import Request as GenerationRequest
from lsp_server.engine.serving import llama_cpp, metrics, ollama, wire
from lsp_server.engine.serving.answer import (
    AnswerPart,
    EventStream,
    Sequences,
    cancelled_on_disconnect,
    pieces,
)
from lsp_server.engine.serving.forms import Form, forms
from lsp_server.engine.serving.guard import LOOPBACK, Guard
from lsp_server.engine.serving.state import EngineState
from lsp_server.engine.serving.users import Users
from lsp_server.engine.serving.wire import ApiRequest, Refusal
from lsp_server.errors import UserError
from lsp_server.logs import NAMED

if TYPE_CHECKING:
    from lsp_server.engine.generating.scheduler import Scheduler

# Besides the prompt: texts and ids to stop at, biases.
_SMALL_BODY_BYTES = 2**20
# For one id of a prompt, or one byte of its text, at most: `1234567, ` and `\\u0000`.
_BYTES_FOR_AN_ID, _BYTES_FOR_A_BYTE = 12, 6
# What is read off the loop, and the most of a text, whatever the longest token is.
_LONG_BYTES, _MOST_TEXT_BYTES = 2**16, 7 * 2**20
_BODY_SECONDS = 30.0
# Room that is kept for an answer to who does not say how long it may be.
_USUAL_TOKENS = 256
# Names of requests that are logged as they are.
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# Texts that are made into tokens at a time.
_MOST_MAKING = 2
_MAKING: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = weakref.WeakKeyDictionary()

T = TypeVar("T")


class _Json(JSONResponse):
    """In ASCII: names of files and of fields may hold halves of a surrogate pair, which are not text."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


def create_app(
    state: EngineState,
    *,
    token: str | None = None,
    others: bool = False,
    hosts: Collection[str] | None = LOOPBACK,
) -> Starlette:
    """The application that serves `state`, which may change while it runs.

    With a `token`, for a TCP port, every request must carry it and must not come from a web page. Without one, what
    protects the engine is that only its user can open the socket.

    `others`: it serves programs that are not ours, in llama.cpp's forms too, where they call this machine one of the
    `hosts`; None where they may call it anything. Fields that they know and we do not are passed over.
    """

    async def health(request: Request) -> Response:
        body = state.health()
        return _Json(body, 200 if body["status"] == "ready" else 503)

    async def models(request: Request) -> Response:
        model = {"id": state.model, "object": "model", "owned_by": "local", "root": state.folder}
        return _Json({"object": "list", "data": [{**model, "max_model_len": state.context_length}]})

    def asked(form: Form) -> Route:
        async def generate(request: Request) -> Response:
            return await _generate(state, request, form)

        return Route(form.path, generate, methods=["POST"])

    def described(path: str, describe: Callable[[EngineState], dict[str, Any]], method: str = "GET") -> Route:
        async def page(request: Request) -> Response:
            _ready(state)
            return _Json(describe(state))

        return Route(path, page, methods=[method])

    async def options(request: Request) -> Response:
        """Change what a running engine can change of its options: settings as an editor sends them."""
        _ready(state)
        changed = wire.options(await _body(request, _SMALL_BODY_BYTES), state.options, state.alike)
        if changed != state.options:
            await run_in_threadpool(state.change, changed)
        return _Json(dataclasses.asdict(state.options))

    async def known(request: Request) -> Response:
        """How much of a prompt would not have to be computed."""
        scheduler = _ready(state)
        body = await _body(request, _SMALL_BODY_BYTES + _BYTES_FOR_AN_ID * scheduler.context_length)
        ids = await run_in_threadpool(wire.prompt_ids, body, scheduler.vocab_size)
        return _Json({"tokens": len(ids), "known": await run_in_threadpool(scheduler.known, ids)})

    async def metrics_text(request: Request) -> Response:
        return Response(metrics.render(state), headers={"content-type": metrics.CONTENT_TYPE})

    routes = [
        Route("/health", health),
        Route("/metrics", metrics_text),
        Route("/v1/models", models),
        *map(asked, forms(others=others)),
    ]
    if others:
        routes += [
            Route("/", lambda request: Response(ollama.RUNNING, media_type="text/plain")),
            described("/props", llama_cpp.props),
            described("/api/version", lambda state: ollama.VERSION),
            described("/api/tags", ollama.tags),
            described("/api/ps", ollama.running),
            described("/api/show", ollama.show, "POST"),
        ]
    else:  # an engine that others use goes on as it was started
        routes += [Route("/options", options, methods=["POST"]), Route("/known", known, methods=["POST"])]
    guarded = others or token is not None
    around = [Middleware(Guard, token=token, refuse=_refuse, hosts=hosts)] if guarded else []
    app = Starlette(
        routes=routes,
        middleware=around if others else [*around, Middleware(Users, users=state.users)],
        exception_handlers={
            Refusal: _on_refusal,
            HTTPException: _on_http_exception,
            ClientDisconnect: _on_disconnect,
            Exception: _on_exception,
        },
    )
    app.router.redirect_slashes = False
    return app


# Generating.


@dataclasses.dataclass(frozen=True)
class _Prompt:
    """What the model sees of a request, and where its answer ends; the rest is that of `InfillPrompt`."""

    ids: list[int]
    stop_ids: frozenset[int]
    heal: int = 0
    pending: str = ""
    cut: bool = False


async def _generate(state: EngineState, request: Request, form: Form) -> Response:
    """Answer a request that comes in a form."""
    scheduler = _ready(state)
    ask = await _read(state, scheduler, request, form.read)
    if form.written and isinstance(ask.prompt, str) and ask.suffix is None:
        ask = _unwritten(ask)
    if ask.model and ask.model not in (state.model, state.folder):
        raise Refusal(f"The model {ask.model[:200]!r} is not served here, but {state.model!r}.", "model", status=404)
    if ask.stop_texts and state.codec is None:
        raise Refusal("stop needs a tokenizer, which this engine does not have: send stop_token_ids.", "stop")
    if ask.max_tokens == 0:  # which requests of llama.cpp's and Ollama's alone may say
        return _Json(form.nothing(ask, state.model))
    _check_length(ask, scheduler.context_length, state.longest_token)
    prompt = await _prompt(ask, state, scheduler)
    # Whatever is asked, no more than the context is generated: `submit` sees to that.
    most = ask.max_tokens or scheduler.context_length
    sampling = ask.sampling
    if ask.suffix is not None and not ask.chooses:  # as our own suggestions are
        sampling = dataclasses.replace(sampling, temperature=0.0)
    if ask.messages is not None and state.codec is not None:
        biases = (*state.codec.dialog_bias.items(), *sampling.logit_bias)
        sampling = dataclasses.replace(sampling, logit_bias=biases)
    wanted = GenerationRequest(prompt.ids, most, prompt.stop_ids, sampling, ask.priority, prompt.heal, _name(request))
    tells = ask.stream and ask.return_progress
    wanted = dataclasses.replace(
        wanted, candidates=ask.candidates, follow=ask.follow, names=ask.names, tells_prefill=tells
    )
    sequences = Sequences(functools.partial(_submit, scheduler, wanted, _param(ask)), ask.count)

    def parts(handle: Handle) -> AsyncIterator[AnswerPart]:
        return pieces(ask, handle, prompt.stop_ids, state.codec, prompt.pending)

    answer = form.write(ask, sequences, parts, state.model, scheduler.pace, cut=prompt.cut)
    if ask.stream:
        return EventStream(answer.events(), sequences, answer.media_type)
    async with cancelled_on_disconnect(request.receive, sequences):
        return _Json(await answer.whole())


async def _read(
    state: EngineState, scheduler: Scheduler, request: Request, read: Callable[[bytes, int], ApiRequest]
) -> ApiRequest:
    """What is asked. Raises Refusal."""
    for_a_token = max(_BYTES_FOR_AN_ID, _BYTES_FOR_A_BYTE * state.longest_token)
    # A vocabulary may have one token of 500 spaces; nobody sends a context full of them.
    most = max(
        _BYTES_FOR_AN_ID * scheduler.context_length, min(_MOST_TEXT_BYTES, for_a_token * scheduler.context_length)
    )
    body = await _body(request, _SMALL_BODY_BYTES + most)
    if len(body) < _LONG_BYTES:
        return read(body, scheduler.vocab_size)
    return await _in_turn(read, body, scheduler.vocab_size)


def _unwritten(ask: ApiRequest) -> ApiRequest:
    """The same request with the prefix and suffix apart that a program wrote into its prompt. Raises Refusal."""
    from lsp_server.codellama import written_infill

    try:
        found = written_infill(str(ask.prompt))
    except UserError as error:
        raise Refusal(str(error), "prompt") from None
    return ask if found is None else dataclasses.replace(ask, prompt=found[0], suffix=found[1])


def _submit(scheduler: Scheduler, wanted: GenerationRequest, param: str, number: int) -> Handle:
    """Have a request generated for the time with this number, from 0. Raises Refusal."""
    sampling = wanted.sampling
    if sampling.seed is not None:
        sampling = dataclasses.replace(sampling, seed=sampling.seed + number)
    try:
        return scheduler.submit(dataclasses.replace(wanted, sampling=sampling))
    except PromptTooLong as error:
        scheduler.totals.requests["refused"] += 1
        raise Refusal(str(error), param) from None
    except QueueFull as error:
        scheduler.totals.requests["refused"] += 1
        raise Refusal(str(error), status=429, retry_after=1) from None
    except SchedulerClosed as error:
        raise Refusal(str(error), status=503) from None


def _name(request: Request) -> str:
    """Under which a request is logged: that which it was sent with, where it can stand in a line."""
    sent = request.headers.get(NAMED, "")
    return sent if _NAME.fullmatch(sent) else secrets.token_hex(4)


def _param(ask: ApiRequest) -> str:
    return "prompt" if ask.messages is None else "messages"


def _ready(state: EngineState) -> Scheduler:
    """What serves requests. Raises Refusal while there is nothing."""
    health, scheduler = state.health(), state.scheduler
    if health["status"] != "ready" or scheduler is None:
        loading = health["status"] == "loading"
        reason = f"The engine is {health['status']}: {health['message']}" if health["message"] else "The engine loads."
        raise Refusal(reason, status=503, retry_after=1 if loading else None)
    return scheduler


async def _body(request: Request, most: int) -> bytes:
    """What was sent, at most so many bytes. Raises Refusal."""
    body = bytearray()

    async def read() -> None:
        async for chunk in request.stream():
            body.extend(chunk)
            if len(body) > most:
                raise Refusal(f"The request is larger than {most} bytes, which is more than fits here.", status=413)

    try:
        await asyncio.wait_for(read(), _BODY_SECONDS)
    except asyncio.TimeoutError:
        raise Refusal(f"The request did not come within {_BODY_SECONDS:.0f} seconds.", status=408) from None
    return bytes(body)


def _check_length(ask: ApiRequest, context_length: int, longest: int) -> None:
    """Refuse a text that no context holds before it is made into tokens, which takes long and much memory."""
    if ask.suffix is not None:
        return  # of what is to be infilled the part around the place is taken that has room
    texts = [each["content"] for each in ask.messages or ()] + ([ask.prompt] if isinstance(ask.prompt, str) else [])
    size, most = sum(len(text.encode()) for text in texts), context_length * longest
    if size > most:
        raise Refusal(
            f"The text has {size:,} bytes; the context of {context_length:,} tokens takes at most {most:,}.",
            _param(ask),
        )


async def _prompt(ask: ApiRequest, state: EngineState, scheduler: Scheduler) -> _Prompt:
    """The prompt's ids, the ids that end the answer, and what else follows from the prompt. Raises Refusal."""
    codec, param = state.codec, _param(ask)
    ends = (codec.completion_stop_ids if ask.messages is None else codec.dialog_stop_ids) if codec is not None else ()
    stop_ids = ask.stop_ids if ask.ignore_eos else ask.stop_ids.union(ends)
    if isinstance(ask.prompt, list):
        return _Prompt(ask.prompt, stop_ids, ask.heal)
    if codec is None:
        raise Refusal("This engine has no tokenizer: send the prompt as token ids.", param)
    try:
        if ask.suffix is not None:
            prompt = await _infill(ask, state, scheduler.context_length)
        elif ask.messages is not None:
            prompt = _Prompt(await _in_turn(codec.dialog_ids, ask.messages), stop_ids)
        else:
            prompt = _Prompt(await _in_turn(codec.completion_ids, ask.prompt or ""), stop_ids)
    except UserError as error:
        raise error if isinstance(error, Refusal) else Refusal(str(error), param) from None
    if not prompt.ids:
        raise Refusal(f"{param} is empty.", param)
    if max(prompt.ids) >= scheduler.vocab_size:  # on a GPU such an id would break every later request too
        raise Refusal("The checkpoint's tokenizer has ids that its model does not know.", status=500)
    return prompt


async def _infill(ask: ApiRequest, state: EngineState, context_length: int) -> _Prompt:
    """The prompt that asks for the text before the suffix. Raises UserError."""
    if state.infill is None:
        raise Refusal(
            "suffix is not supported by an engine that serves editors alone: start one with `codellama-ls engine`.",
            "suffix",
            status=501,
        )
    most = ask.max_tokens or _USUAL_TOKENS
    make = functools.partial(state.infill, context_length=context_length, max_tokens=most)
    made = await _in_turn(make, ask.prompt or "", ask.suffix or "", ask.extra)
    stop_ids = ask.stop_ids if ask.ignore_eos else ask.stop_ids.union(made.stop_ids)
    return _Prompt(made.ids, stop_ids, made.heal, made.pending, made.cut)


async def _in_turn(make: Callable[..., T], *arguments: Any) -> T:
    """What `make` makes of a text: in a thread, since a long one takes a while, and few at a time, since it takes many
    times its own memory."""
    async with _making():
        return await run_in_threadpool(make, *arguments)


def _making() -> asyncio.Semaphore:
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _MAKING:
        _MAKING[loop] = asyncio.Semaphore(_MOST_MAKING)
    return _MAKING[loop]


# Refusing.


def _refuse(
    message: str, status: int, param: str | None = None, headers: dict[str, str] | None = None, *, path: str = ""
) -> Response:
    """`path`: where it was asked; some programs know another form of an error."""
    as_ollama = path.startswith(ollama.PREFIX)
    body = ollama.error(message) if as_ollama else wire.error(message, status=status, param=param)
    return _Json(body, status, headers)


def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
    return _refuse(str(error), error.status, error.param, headers, path=request.url.path)


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path}"
    return _refuse(message, error.status_code, path=request.url.path)


def _on_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


def _on_exception(request: Request, error: Exception) -> Response:
    return _refuse(f"The engine failed to answer: {type(error).__name__}.", 500, path=request.url.path)
