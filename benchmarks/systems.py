"""What is compared: the project's engine, llama.cpp's server, `transformers serve`, and transformers itself.

All hold the same checkpoint in 8 bits and are asked the same: so many tokens, greedily, after the same token ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx
import psutil

from benchmarks import llama_cpp
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine import address
from lsp_server.engine.passes import threads
from lsp_server.engine.process import THREADS
from lsp_server.model import local
from lsp_server.settings import Settings

LIMITS = httpx.Limits(max_keepalive_connections=0)  # a server that closes an idle connection would lose a request
# What has the engine compute as on a processor with AVX2 and nothing newer: oneDNN, which then has no bfloat16, MKL,
# torch's own kernels, and the compiled passes, each by its own variable.
AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "NUMBA_CPU_NAME": "haswell",
}
START_SECONDS = 1200.0  # 70 GB of weights are read from a disk in this time


@dataclasses.dataclass(frozen=True)
class Piece:
    """What arrived at once: some text, `tokens` of it, or None where the system does not say."""

    text: str
    tokens: int | None = None


@dataclasses.dataclass
class Run:
    """One answer. `seconds`: from asking to each piece that arrived; `ended`: to the end of the answer, which may have
    no piece at all; `counts`: what the system says that it cost."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    ended: float = 0.0
    text: str = ""
    tokens: int = 0
    at_first: int = 0  # tokens in the first piece
    counts: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def first_ms(self) -> float:
        return 1000 * self.seconds[0]

    @property
    def total_ms(self) -> float:
        return 1000 * (self.seconds[-1] if self.seconds else self.ended)

    @property
    def ms_per_token(self) -> float:
        """Mean time of a token after those that came first."""
        return 1000 * (self.seconds[-1] - self.seconds[0]) / max(1, self.tokens - self.at_first)


class System(Protocol):
    """Something that continues a prompt."""

    name: str
    pid: int

    def stream(self, ids: Sequence[int], tokens: int, *, whole: bool, chat: bool = False) -> AsyncGenerator[Any, None]:
        """Pieces of the continuation of `ids` by at most `tokens` tokens, then a dict of counts. `whole`: do not stop
        before. `chat`: as somebody who can wait, where the system knows the difference. Closing it ends the work."""


async def run(system: System, ids: Sequence[int], tokens: int, *, whole: bool = True, chat: bool = False) -> Run:
    """Ask, and note when what arrives."""
    answer = Run()
    started = time.perf_counter()
    async with contextlib.aclosing(system.stream(ids, tokens, whole=whole, chat=chat)) as pieces:
        async for piece in pieces:
            if isinstance(piece, dict):
                answer.counts = piece
                continue
            answer.seconds.append(time.perf_counter() - started)
            answer.text += piece.text
            answer.tokens += 1 if piece.tokens is None else piece.tokens
            answer.at_first = answer.at_first or answer.tokens
    answer.ended = time.perf_counter() - started
    answer.tokens = int(answer.counts.get("generated", answer.tokens))
    return answer


class Engine:
    """The project's engine, a process of its own, over its socket."""

    name = "codellama-ls"

    def __init__(self, at: address.Address) -> None:
        self.pid = at.pid
        self._model = at.model
        transport = httpx.AsyncHTTPTransport(uds=at.socket or None, limits=LIMITS)
        headers = {"Authorization": f"Bearer {at.token}"} if at.token else {}
        self._http = httpx.AsyncClient(base_url=at.url, transport=transport, headers=headers, timeout=600)

    async def stream(
        self, ids: Sequence[int], tokens: int, *, whole: bool, chat: bool = False
    ) -> AsyncGenerator[Any, None]:
        body = {
            "model": self._model,
            "prompt": list(ids),
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
            "return_token_ids": True,
            "ignore_eos": whole,
            "priority": 10 if chat else 0,
        }
        async with contextlib.aclosing(_events(self._http, "/v1/completions", body)) as events:
            async for event in events:
                choice = event["choices"][0]
                if choice.get("token_ids"):
                    yield Piece(choice["text"], len(choice["token_ids"]))
                if timings := event.get("timings"):
                    yield {
                        "prefilled": timings["prefilled_tokens"],
                        "reused": timings["cached_tokens"],
                        "generated": timings["generated_tokens"],
                        "passes": timings["forward_passes"],
                    }

    async def most_likely(self, ids: Sequence[int], number: int) -> dict[int, float]:
        """The `number` most likely next ids after `ids`, and their log-probabilities."""
        body = {"model": self._model, "prompt": list(ids), "max_tokens": 1, "temperature": 0, "logprobs": number}
        answer = (await self._http.post("/v1/completions", json=body)).json()
        top = answer["choices"][0]["logprobs"]["top_logprobs"][0]
        return {int(name.removeprefix("token_id:")): value for name, value in top.items()}

    async def loaded(self) -> bool:
        """Whether the model is there. Raises RuntimeError where it will never be."""
        state = (await self._http.get("/health")).json()
        if state["status"] == "failed":
            raise RuntimeError(state["message"])
        return bool(state["status"] == "ready")

    async def totals(self) -> dict[str, int]:
        """Sums over all requests that have ended, by the names of `/metrics` without `engine_` and `_total`."""
        lines = (await self._http.get("/metrics")).text.splitlines()
        pairs = (line.removeprefix("engine_").split(" ", 1) for line in lines if not line.startswith("#"))
        return {name.removesuffix("_total"): int(float(value)) for name, value in pairs if name.endswith("_total")}


class LlamaCpp:
    """llama.cpp's server on Q8_0 weights, its prompt cache on."""

    name = "llama.cpp Q8_0"

    def __init__(self, url: str, pid: int) -> None:
        self.pid = pid
        self._http = httpx.AsyncClient(base_url=url, limits=LIMITS, timeout=600)

    async def stream(
        self, ids: Sequence[int], tokens: int, *, whole: bool, chat: bool = False
    ) -> AsyncGenerator[Any, None]:
        body = {
            "prompt": list(ids),
            "n_predict": tokens,
            "temperature": 0,
            "cache_prompt": True,
            "stream": True,
            "return_tokens": True,
            "timings_per_token": True,  # the counts with each piece, also where the answer is not read to its end
            "ignore_eos": whole,
        }
        async with contextlib.aclosing(_events(self._http, "/completion", body)) as events:
            async for event in events:
                if event.get("content") or event.get("tokens"):
                    yield Piece(event.get("content", ""), len(event["tokens"]) if event.get("tokens") else None)
                if timings := event.get("timings"):
                    yield {
                        "prefilled": timings["prompt_n"],
                        "reused": timings.get("cache_n", 0),
                        "generated": timings["predicted_n"],
                    }


class TransformersServe:
    """`transformers serve --quantization bnb-8bit`, which takes its prompts as text."""

    name = "transformers serve, bitsandbytes 8-bit"

    def __init__(self, url: str, pid: int, model: str, tokenizer: CodeLlamaTokenizer) -> None:
        self.pid = pid
        self._model, self._tokenizer = model, tokenizer
        self._http = httpx.AsyncClient(base_url=url, limits=LIMITS, timeout=600)

    async def stream(
        self, ids: Sequence[int], tokens: int, *, whole: bool, chat: bool = False
    ) -> AsyncGenerator[Any, None]:
        body = {
            "model": self._model,
            "prompt": self._tokenizer.shown(ids),  # control tokens are told by their names
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
        }
        async with contextlib.aclosing(_events(self._http, "/v1/completions", body)) as events:
            async for event in events:
                if text := event["choices"][0].get("text"):
                    yield Piece(text)
                if usage := event.get("usage"):
                    yield {"prefilled": usage["prompt_tokens"], "reused": 0, "generated": usage["completion_tokens"]}


async def _events(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    """The objects of a stream of server-sent events."""
    async with http.stream("POST", path, json=body) as response:
        if response.status_code != 200:
            raise RuntimeError(f"{path}: {response.status_code} {(await response.aread()).decode()[:500]}")
        async for line in response.aiter_lines():
            data = line.removeprefix("data:").strip()
            if line.startswith("data:") and data != "[DONE]":
                event = json.loads(data)
                if "error" in event:
                    raise RuntimeError(f"{path}: {event['error']}")
                yield event


# Starting and ending them.


@contextlib.contextmanager
def runtime() -> Iterator[Path]:
    """A runtime folder of this benchmark's own, so that its engines are nobody else's; they end with it. What is
    counted of its suggestions is not the user's, either."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that being ended ends what was started, too
    with (
        tempfile.TemporaryDirectory(prefix="cl-") as name,  # short, as a socket's path must be
        tempfile.TemporaryDirectory() as data,
        environment({"CODELLAMA_LS_RUNTIME": name, "CODELLAMA_LS_DATA": data}),
    ):
        try:
            yield Path(name)
        finally:
            for file in Path(name).glob("*.json"):
                found = address.read(file)
                if found is not None and psutil.pid_exists(found.pid):
                    end(psutil.Process(found.pid))


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """With these variables of the environment for what is started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.asynccontextmanager
async def engine(model: str = "starter", **settings: Any) -> AsyncIterator[Engine]:
    """The engine of `model`, loaded. In a folder of `runtime`."""
    at = await local.ensure(Settings(model=model, idle_minutes=0, **settings))
    served = Engine(at)
    await _until(served.loaded)
    try:
        yield served
    finally:
        end(psutil.Process(at.pid))


@contextlib.asynccontextmanager
async def llama_server(
    folder: Path, kind: str = "q8_0", context_length: int = 0, *, avx2: bool = False
) -> AsyncIterator[LlamaCpp]:
    """llama.cpp's server on the weights of the checkpoint in `folder`, made and converted first where need be.
    `context_length` 0: all that the model was trained for. `avx2`: compiled for a processor with that alone.

    The options are those that llama.vim's README recommends, on as many threads as there are cores.
    """
    url, port = _free()
    model = llama_cpp.gguf(folder, kind)
    command = [str(llama_cpp.server(avx2=avx2)), "-m", str(model), "--port", str(port), "-t", str(threads.cores())]
    command += ["--ctx-size", str(context_length), "-ub", "1024", "-b", "1024", "--cache-reuse", "256", "-fa", "on"]
    infill = CodeLlamaTokenizer.from_pretrained(folder).infill_tokens
    if infill is not None and infill.end is not None:  # which its converter does not know
        command += ["--override-kv", f"tokenizer.ggml.eot_token_id=int:{infill.end}"]
    async with _process(command, url + "/health") as pid:
        yield LlamaCpp(url, pid)


@contextlib.asynccontextmanager
async def transformers_serve(folder: Path, tokenizer: CodeLlamaTokenizer) -> AsyncIterator[TransformersServe]:
    """`transformers serve` on the checkpoint in `folder`, in the type that is its fastest here."""
    url, port = _free()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder), "--port", str(port)]
    command += ["--quantization", "bnb-8bit", "--dtype", "bfloat16", "--log-level", "error"]
    async with _process(command, url + "/health") as pid:
        yield TransformersServe(url, pid, str(folder), tokenizer)


@contextlib.asynccontextmanager
async def _process(command: list[str], health: str) -> AsyncIterator[int]:
    """A server while it serves; its process id."""
    environment = {**os.environ, **THREADS, "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: ASYNC220
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
        try:
            async with httpx.AsyncClient() as http:

                async def answers() -> bool:
                    if process.poll() is not None:
                        log.seek(0)
                        raise RuntimeError(f"{command[0]} ended: {log.read().decode(errors='replace')[-2000:]}")
                    return (await http.get(health)).status_code == 200

                await _until(answers)
            yield process.pid
        finally:
            if process.poll() is None:  # otherwise what it said is being raised
                end(psutil.Process(process.pid))


def end(process: psutil.Process) -> None:
    """End a process and what it started."""
    for one in [*process.children(recursive=True), process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.terminate()
    _, left = psutil.wait_procs([process], timeout=15)
    for one in left:
        one.kill()


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    end_at = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            if await condition():
                return
        if time.monotonic() > end_at:
            raise TimeoutError("a server did not start")
        await asyncio.sleep(0.1)


def _free() -> tuple[str, int]:
    """A free port of this machine, and the URL of a server there."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    return f"http://127.0.0.1:{port}", port
