"""The engine as a process: one for each model and user, from taking the lock to the idle end.

The server listens before the model is loaded, so that every editor window sees the loading and its progress.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import shlex
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from lsp_server import __version__, logs, places, printing
from lsp_server.engine import address, priority, sockets
from lsp_server.engine.ending import Ending
from lsp_server.engine.options import Options
from lsp_server.errors import UserError
from lsp_server.settings import Settings

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer
    from lsp_server.engine.serving.server import Server
    from lsp_server.engine.serving.state import EngineState, InfillPrompt

log = logging.getLogger("lsp_server.engine")

# How long a failed engine stays, so that every window can read why.
FAILED_SECONDS = 20.0
# A slow disk or a debugger must not make two engines; one that is ending needs a moment to let go of the lock.
LOCK_SECONDS = 5.0
# How often it is looked whether the engine can still be found.
REACH_SECONDS = 1.0
# Between two times that free memory is given back.
GIVE_BACK_SECONDS = 5.0
# What an orderly end waits for, each: the loading thread, and a forward pass that is under way.
STOP_SECONDS = 1.5
# Of the environment, read when torch is imported. Idle threads that spin, the default, make a forward pass fifty times
# slower as soon as anything else runs on the machine: a compiler, a test suite, the editor. Where the library can, they
# spin for some 40 microseconds, which is nearly as good as ever on a quiet machine.
THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}
# And: how many products oneDNN, and torch over it, keep prepared. Each is for one number of tokens, holds 0.6 MB
# for good and is made in half a millisecond; of the thousand that they keep by themselves an engine grows in a day.
PREPARED = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
# And: that large tensors, of Linux, lie in pages of 2 MB. Weights are read in 0.93 of the time.
PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}


def main(
    argv: list[str] | None = None,
    infilling: Callable[..., InfillPrompt] | None = None,
    settings: Settings | None = None,
) -> int:
    """Run an engine in the foreground; returns the exit status (0 done, 1 failed, 2 wrong usage).

    `infilling`: how a tokenizer and what a program sends become a prompt, as an `InfillMaker` has it. `settings`: those
    that hold where an option is left out, the defaults where None.
    """
    options = _parse(argv, settings or Settings())
    printing.prepare()
    printing.log_to_stderr(options.log_level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for name, value in (THREADS | PREPARED | PAGES).items():
        os.environ.setdefault(name, value)
    try:
        with contextlib.ExitStack() as doors:
            door = None
            if options.listen is not None:
                door = doors.enter_context(sockets.door(options.listen, sockets.token_of(options.token_file)))
            return _run(options, door, infilling)
    except (UserError, OSError) as error:
        printing.note(f"codellama-ls: {printing.sentence(error)}")
        return 1


def _run(options: argparse.Namespace, door: sockets.Door | None, infilling: Callable[..., InfillPrompt] | None) -> int:
    options.model = places.absolute_name(options.model)
    files = address.files(options.model)
    os.chdir(places.runtime_folder())  # libraries read configuration there: not that of the folder at hand
    priority.meet(Path.cwd())
    ending = Ending()
    lock = filelock.FileLock(files.lock, mode=0o600)
    if not _taken(lock, ending):
        if ending.asked:
            return 0
        running = address.read(files.address)
        who = f" (process {running.pid})" if running is not None else ""
        if door is None:
            printing.note(f"An engine for {options.model} is running already{who}.")
            return 0
        stop = f"codellama-ls stop {shlex.quote(options.model)}"
        raise UserError(f"An engine for {options.model} is running already{who}; `{stop}` ends it.")
    try:
        found = sockets.Found(files, lock, options.model, options.port)
    except BaseException:
        lock.release()
        raise
    try:
        ending.files = [files.address, *files.sockets()]
        status = asyncio.run(_serve(found, door, options, ending, infilling))
    finally:
        found.close()
    return ending.leave(0 if ending.asked else status)


def _taken(lock: filelock.BaseFileLock, ending: Ending) -> bool:
    """Wait for the lock; whether it is held now."""
    deadline = time.monotonic() + LOCK_SECONDS
    while not ending.asked and time.monotonic() < deadline:
        with contextlib.suppress(filelock.Timeout):
            lock.acquire(timeout=0.1)
            return True
    return False


def _parse(argv: list[str] | None, settings: Settings) -> argparse.Namespace:
    parser = printing.Parser(prog="codellama-ls engine", description="Hold the model and answer requests.")
    parser.add_argument("--model", default=settings.model, help="a hub id, a checkpoint folder, or `starter`")
    parser.add_argument(
        "--context-length",
        type=int,
        default=settings.context_length,
        help="tokens of context to make room for; 0: automatic",
    )
    text = "end after this long without work; 0: never, as with --listen"
    parser.add_argument("--idle-minutes", type=float, help=f"{text} (default: 30)")
    parser.add_argument(
        "--threads",
        type=int,
        default=settings.threads,
        help="processor threads; 0: one for each core, fewer while other programs compute",
    )
    text = "bits of a weight; auto: 8 where they fit the graphics cards, else 4 where those do, else 8 (16: to compare)"
    parser.add_argument("--quantization", default=settings.quantization, choices=("auto", "8", "4", "16"), help=text)
    parser.add_argument("--infilling", default=settings.infilling, choices=("auto", "on", "off"))
    formats = ("auto", "inst", "source-step", "template")
    parser.add_argument("--chat-format", default=settings.chat_format, choices=formats)
    parser.add_argument("--port", type=_port, help="listen on this loopback port with a token, not on a Unix socket")
    text = "also serve other programs there, in the forms of OpenAI's and of llama.cpp's server; e.g. 127.0.0.1:8012"
    parser.add_argument("--listen", type=_place, metavar="HOST:PORT", help=text)
    text = f"with --listen: a file of yours alone with the token that they carry; without it ${sockets.TOKEN_VARIABLE}"
    parser.add_argument("--token-file", metavar="FILE", help=text)
    text = "let all else on this machine compute first, as the model for chat does beside that for suggestions"
    parser.add_argument("--gives-way", action="store_true", help=text)
    # What a window or a command adds, whose settings the other options are; not for who starts an engine by hand.
    parser.add_argument("--by-settings", action="store_true", help=argparse.SUPPRESS)
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", default=settings.log_level, choices=levels)
    options = parser.parse_args(argv)
    if options.token_file is not None and options.listen is None:
        parser.error("--token-file goes with --listen")
    if options.idle_minutes is None:  # who started it for other programs ends it
        options.idle_minutes = settings.idle_minutes if options.listen is None else 0.0
    return options


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; it is a number from 0 (any that is free) to 65535")
    return int(text)


def _place(text: str) -> sockets.Place:
    try:
        return sockets.place(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no place to listen on: {error}") from error


async def _serve(
    found: sockets.Found,
    door: sockets.Door | None,
    options: argparse.Namespace,
    ending: Ending,
    infilling: Callable[..., InfillPrompt] | None,
) -> int:
    from lsp_server.engine.serving.guard import LOOPBACK
    from lsp_server.engine.serving.http import create_app
    from lsp_server.engine.serving.server import Server
    from lsp_server.engine.serving.state import EngineState

    state = EngineState(
        model=options.model,
        version=__version__,
        pid=os.getpid(),
        options=_options(options),
        gives_way=options.gives_way,
        by_settings=options.by_settings,
    )
    server = Server(state, create_app(state, token=found.token or None))
    servers = [server]
    if door is not None:
        hosts = {*LOOPBACK, door.at.host.lower()} if door.loopback else None
        servers.append(Server(state, create_app(state, token=door.token, others=True, hosts=hosts)))
        printing.note(f"Other programs reach this engine at {door.at.url}.")

    def end() -> None:
        for each in servers:
            each.should_exit = True

    ending.on_asked = end
    if ending.asked:
        return 0
    stop = threading.Event()
    loading = threading.Thread(target=_load, args=(state, stop, infilling), name="loading", daemon=True)
    loading.start()
    watching = [
        asyncio.create_task(_end_when_idle(end, state)),
        asyncio.create_task(_stay_within_reach(end, server, found, state)),
        asyncio.create_task(_give_memory_back(state)),
    ]
    try:
        listeners = [found.listener] if door is None else [found.listener, door.listener]
        await asyncio.gather(
            *(each.serve(sockets=[listener]) for each, listener in zip(servers, listeners, strict=True))
        )
    finally:
        stop.set()
        for each in watching:
            each.cancel()
        loading.join(STOP_SECONDS)
        if state.scheduler is not None:
            state.scheduler.close(STOP_SECONDS)
    return 1 if state.status == "failed" else 0


def _options(options: argparse.Namespace) -> Options:
    return Options(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Options)})


def _load(
    state: EngineState,
    stop: threading.Event,
    infilling: Callable[..., InfillPrompt] | None = None,
) -> None:
    """Bring the model from its name to a scheduler; runs in a thread of its own and reports through `state`."""
    from lsp_server.engine.loading.checkpoint import Progress, validate
    from lsp_server.engine.loading.naming import checkpoint_folder
    from lsp_server.engine.loading.weights import LoadStopped

    def report(progress: Progress) -> None:
        if stop.is_set():
            raise LoadStopped
        state.progress = progress.done
        state.message = f"{progress.stage.capitalize()} {progress.message}."

    try:
        options = state.options
        folder = checkpoint_folder(state.model, report)
        checkpoint = validate(folder)
        codec = _codec(folder, options)
        state.folder = str(folder)
        state.message, state.progress = "Starting torch.", 0.0  # no part of it can be measured
        # Without this bitsandbytes compiles its CPU kernels at the first prompt: 16 s on two cores, for no gain later.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        import torch

        from lsp_server.engine.generating import pace
        from lsp_server.engine.generating.healing import Spellings
        from lsp_server.engine.generating.scheduler import Scheduler
        from lsp_server.engine.loading import plan, sizes, weights
        from lsp_server.engine.passes import choice, threads

        torch.set_num_threads(options.threads or threads.cores())
        devices = plan.devices()
        measured = sizes.measure(checkpoint.config, checkpoint.tensors)
        made = plan.roomy(measured, devices, options.context_length, options.quantization)
        log.info("%s", made.describe())
        state.alike = plan.alike(made, measured, devices)
        state.plan, state.reserved = made.describe(), made.reserved
        loaded = weights.load(checkpoint, made, report, stop)

        def prepared(done: float) -> None:
            if done < 1:
                report(Progress("preparing", done, "the weights for this machine"))
            else:
                report(Progress("compiling", 0.0, "for this processor"))

        shared = threads.SharedThreads(options.threads)
        model, remark = choice.chosen(
            loaded.model,
            shared,
            max(made.context_length, *pace.SIZES),  # as many are measured, whatever the context
            on_cpu=prepared,
            on_cards=lambda done: report(Progress("compiling", done, "for the cards, which takes a while once")),
        )
        spellings = Spellings(codec.vocabulary.bytes_of, codec.vocab_size)
        state.scheduler = scheduler = Scheduler(
            model,
            context_length=made.context_length,
            kv_budget_tokens=made.max_kv_tokens,
            spellings=spellings,
            pace=pace.measured(model, lambda done: report(Progress("measuring", done, "how fast the model is"))),
        )
        log.info("a prompt is computed at %s tokens a second", scheduler.pace.tokens_per_second)

        def serve_text(codec: CodeLlamaTokenizer) -> None:
            state.codec = codec
            state.infill = None if infilling is None else functools.partial(infilling, codec)

        def change(options: Options) -> None:
            """Go on with other options."""
            codec = _codec(folder, options)
            scheduler.between(lambda: shared.fix(options.threads))
            logging.getLogger().setLevel(options.log_level.upper())
            serve_text(codec)
            state.device = weights.device_name(made, options.threads or threads.cores())
            state.options = options

        state.change = change
        state.longest_token = spellings.longest
        state.context_length = state.scheduler.context_length
        serve_text(codec)
        state.device = loaded.device
        state.message = "; ".join(filter(None, (made.summary(), remark)))
        state.progress = 1.0
        if state.gives_way:  # not before, as whoever waits for it would wait ten times as long
            priority.give_way()
        state.status = "ready"
        log.info("ready: %s on %s", state.model, loaded.device)
    except Exception as error:
        if stop.is_set():
            return
        text = str(error)
        if not isinstance(error, UserError):
            log.exception("loading failed")
            text = f"The model could not be loaded: {type(error).__name__}: {error}"
        log.error("%s", text)
        state.message = text
        state.status = "failed"


def _codec(folder: Path, options: Options) -> CodeLlamaTokenizer:
    from lsp_server.codellama import CodeLlamaTokenizer

    return CodeLlamaTokenizer.from_pretrained(folder, infilling=options.infilling, chat_format=options.chat_format)


async def _stay_within_reach(end: Callable[[], None], server: Server, found: sockets.Found, state: EngineState) -> None:
    """Make again what is removed of the files by which the engine is found; end where another has taken its place."""
    while True:
        await asyncio.sleep(REACH_SECONDS)
        try:
            listener = await asyncio.to_thread(found.mend)
            if listener is not None:
                await server.listen(listener)
            await asyncio.to_thread(lambda: found.reserve(state.reserved()))
            await asyncio.to_thread(logs.turn_over, found.files.log)
        except sockets.Taken as taken:
            log.error("ending: %s", taken)
            break
        except (OSError, UserError) as error:  # a full disk: until there is room
            log.warning("the engine cannot be found: %s", printing.sentence(error))
    end()


async def _give_memory_back(state: EngineState) -> None:
    """Have the system get what the passes since the last time needed for a moment."""
    from lsp_server.engine.loading import heap

    passes = 0
    while True:
        await asyncio.sleep(GIVE_BACK_SECONDS)
        if state.scheduler is not None and state.scheduler.totals.forward_passes != passes:
            passes = state.scheduler.totals.forward_passes
            await asyncio.to_thread(heap.give_back)


async def _end_when_idle(end: Callable[[], None], state: EngineState) -> None:
    """Call `end` when there was no work for as long as its options say, or where loading failed; a while after that
    where a window or a command started it, which is to read why."""
    while True:
        idle_seconds = state.options.idle_minutes * 60
        await asyncio.sleep(min(1.0, idle_seconds / 4) if idle_seconds else 1.0)
        if state.status == "failed":
            await asyncio.sleep(FAILED_SECONDS if state.by_settings else 0)
            break
        if state.scheduler is not None and state.scheduler.broken:
            log.error("ending, to be started anew: %s", state.scheduler.broken)
            break
        idle_seconds = state.options.idle_minutes * 60
        idle = state.scheduler.idle_seconds if state.scheduler is not None else 0.0
        if idle_seconds and idle > idle_seconds:
            log.info("ending after %.0f s without work", idle_seconds)
            break
    end()
