"""The engine as a process: one for each model and user, from taking the lock to the idle end.

The server listens before the model is loaded, so that every editor window sees the loading and its progress.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import filelock

from lsp_server import __version__
from lsp_server.engine import address

if TYPE_CHECKING:
    from lsp_server.engine.checkpoint import Progress
    from lsp_server.engine.http import EngineState

log = logging.getLogger("lsp_server.engine")

# How long a failed engine stays, so that every window can read why.
FAILED_SECONDS = 20.0
# A slow disk or a debugger must not make two engines; one that is ending needs a moment to let go of the lock.
LOCK_SECONDS = 5.0
# Of the environment, read when torch is imported. Idle threads that spin, the default, make a forward pass fifty times
# slower as soon as anything else runs on the machine: a compiler, a test suite, the editor. Where the library can, they
# spin for some 40 microseconds, which is nearly as good as ever on a quiet machine.
THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}


def main(argv: list[str] | None = None) -> int:
    """Run an engine in the foreground; returns the exit status (0 done, 1 failed, 2 wrong usage)."""
    options = _parse(argv)
    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for name, value in THREADS.items():
        os.environ.setdefault(name, value)
    files = address.files(options.model)
    lock = filelock.FileLock(files.lock, timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except filelock.Timeout:
        print(f"An engine for {options.model} is running already.", file=sys.stderr)
        return 0
    with lock, _listening(files, options) as listener:
        return asyncio.run(_serve(listener, options))


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="codellama-ls engine", description="Hold the model and answer requests.")
    parser.add_argument("--model", default="starter", help="a hub id, a checkpoint folder, or `starter`")
    parser.add_argument(
        "--context-length", type=int, default=0, help="tokens of context to make room for; 0: automatic"
    )
    parser.add_argument("--idle-minutes", type=float, default=30.0, help="end after this long without work; 0: never")
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        help="processor threads; 0: one for each core, fewer while other programs compute",
    )
    parser.add_argument("--infilling", default="auto", choices=("auto", "on", "off"))
    parser.add_argument("--chat-format", default="auto", choices=("auto", "inst", "source-step", "template"))
    parser.add_argument("--port", type=int, help="listen on this loopback port with a token, not on a Unix socket")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    return parser.parse_args(argv)


@contextlib.contextmanager
def _listening(files: address.EngineFiles, options: argparse.Namespace) -> Iterator[socket.socket]:
    """A listening socket of this user's alone, announced in the address file until the end.

    The caller holds the lock, so a socket file that is there is a dead engine's.
    """
    token = ""
    if options.port is None and hasattr(socket, "AF_UNIX") and sys.platform != "win32":
        files.socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)  # the socket is never, not even for a moment, open to others
        try:
            listener.bind(str(files.socket))
        finally:
            os.umask(before)
    else:
        token = secrets.token_urlsafe(32)
        listener = socket.socket(socket.AF_INET)
        listener.bind(("127.0.0.1", options.port or 0))
    listener.listen(128)
    options.token = token
    address.write(
        files.address,
        address.Address(
            pid=os.getpid(),
            version=__version__,
            model=options.model,
            socket="" if token else str(files.socket),
            port=listener.getsockname()[1] if token else 0,
            token=token,
        ),
    )
    try:
        yield listener
    finally:
        files.address.unlink(missing_ok=True)
        listener.close()
        if not token:
            files.socket.unlink(missing_ok=True)


async def _serve(listener: socket.socket, options: argparse.Namespace) -> int:
    import uvicorn

    from lsp_server.engine.http import EngineState, create_app

    state = EngineState(model=options.model, version=__version__, pid=os.getpid())
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(state, token=options.token or None),
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
    )
    stop = threading.Event()
    loading = threading.Thread(target=_load, args=(state, options, stop), name="loading", daemon=True)
    loading.start()
    watching = asyncio.create_task(_end_when_idle(server, state, options.idle_minutes * 60))
    try:
        await server.serve(sockets=[listener])
    finally:
        stop.set()
        watching.cancel()
        if state.scheduler is not None:
            state.scheduler.close()
    return 1 if state.status == "failed" else 0


def _load(state: EngineState, options: argparse.Namespace, stop: threading.Event) -> None:
    """Bring the model from its name to a scheduler; runs in a thread of its own and reports through `state`."""
    from lsp_server.engine.checkpoint import CheckpointProblem, validate
    from lsp_server.engine.naming import checkpoint_folder

    def report(progress: Progress) -> None:
        state.progress = progress.done
        state.message = f"{progress.stage.capitalize()} {progress.message}"

    try:
        folder = checkpoint_folder(options.model, report)
        checkpoint = validate(folder)
        from lsp_server.codellama import CodeLlamaTokenizer

        codec = CodeLlamaTokenizer.from_pretrained(folder, infilling=options.infilling, chat_format=options.chat_format)
        state.folder = str(folder)
        state.message = "Starting torch"
        # Without this bitsandbytes compiles its CPU kernels at the first prompt: 16 s on two cores, for no gain later.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        import torch

        from lsp_server.engine import int8, llama, loading, plan, threads
        from lsp_server.engine.decoding import Model, TransformersModel
        from lsp_server.engine.healing import Spellings
        from lsp_server.engine.scheduler import Scheduler

        torch.set_num_threads(options.threads or threads.cores())
        made = plan.make_roomy(checkpoint.config, plan.devices(), context_length=options.context_length)
        log.info("%s", made.describe())
        state.plan = made.describe()
        loaded = loading.load(checkpoint, made, report, stop)
        int8.replace_linears(loaded.model)
        model: Model
        if llama.can_take(loaded.model):
            model = llama.LlamaOnCpu(loaded.model, None if options.threads else threads.SharedThreads())
        else:
            model = TransformersModel(loaded.model)
        state.scheduler = Scheduler(
            model,
            context_length=made.context_length,
            kv_budget_tokens=made.max_kv_tokens,
            spellings=Spellings(codec.vocabulary.bytes_of, codec.vocab_size),
        )
        state.context_length = state.scheduler.context_length
        state.codec = codec
        state.device = loaded.device
        state.message = made.summary()
        state.progress = 1.0
        state.status = "ready"
        log.info("ready: %s on %s", options.model, loaded.device)
    except Exception as error:
        if stop.is_set():
            return
        known = isinstance(error, (CheckpointProblem, ValueError)) or type(error).__module__.startswith("lsp_server")
        if not known:
            log.exception("loading failed")
        text = str(error) if known else f"The model could not be loaded: {type(error).__name__}: {error}"
        log.error("%s", text)
        state.message = text
        state.status = "failed"


async def _end_when_idle(server: object, state: EngineState, idle_seconds: float) -> None:
    """Ask the server to end when there was no work for `idle_seconds`, or a while after loading failed."""
    while True:
        await asyncio.sleep(min(1.0, idle_seconds / 4) if idle_seconds else 1.0)
        if state.status == "failed":
            await asyncio.sleep(FAILED_SECONDS)
            break
        if state.scheduler is not None and state.scheduler.broken:
            log.error("ending, to be started anew: %s", state.scheduler.broken)
            break
        idle = state.scheduler.idle_seconds if state.scheduler is not None else 0.0
        if idle_seconds and idle > idle_seconds:
            log.info("ending after %.0f s without work", idle_seconds)
            break
    server.should_exit = True  # type: ignore[attr-defined]
