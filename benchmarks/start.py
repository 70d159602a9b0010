"""Start and memory: how soon the language server answers and the engine has its first token, and what they hold.

    python -m benchmarks.start

Times are medians of several runs. The language server's stands beside the start of a Python that only imports the
protocol's library, so that a busy machine shows; the engine's beside those of llama.cpp and `transformers serve`.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil

from benchmarks import llama_cpp, systems
from benchmarks.results import keep, target
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading import starter

RUNS, ENGINE_RUNS = 9, 3


async def main() -> None:
    """Measure, print, and write the results."""
    folder = starter.ensure(lambda progress: None)
    tokenizer = CodeLlamaTokenizer.from_pretrained(folder)
    library = statistics.median(library_start() for _ in range(RUNS))
    starts = [server_start() for _ in range(RUNS)]
    server = statistics.median(seconds for seconds, _ in starts)
    memory = max(size for _, size in starts)
    targets = [
        target(
            "initialize answered, s", "under 0.5", server, server < 0.5, f"the library's import alone: {library:.2f} s"
        ),
        target("memory of the language server after initialize, MB", "under 150", memory / 1e6, memory < 150e6, ""),
    ]
    starters: dict[str, Callable[[], AbstractAsyncContextManager[systems.System]]] = {
        systems.Engine.name: systems.engine,
        systems.LlamaCpp.name: lambda: systems.llama_server(folder),
        systems.TransformersServe.name: lambda: systems.transformers_serve(folder, tokenizer),
    }
    shards = list(folder.glob("*.safetensors"))
    figures = []
    with systems.runtime():
        for name, start in starters.items():
            weights = [llama_cpp.gguf(folder)] if name == systems.LlamaCpp.name else shards
            row: dict[str, Any] = {"system": name}
            for cold in (True, False):
                runs = [await to_first_token(start, weights, cold=cold) for _ in range(ENGINE_RUNS)]
                seconds = statistics.median(seconds for seconds, _, _ in runs)
                row["cold_s" if cold else "warm_s"] = round(seconds, 2)
            row["memory_mb"] = round(statistics.median(size for _, size, _ in runs) / 1e6)
            row["peak_mb"] = round(max(peak for _, _, peak in runs) / 1e6)
            figures.append(row)
    keep("start", targets, figures=figures)


def library_start() -> float:
    """Seconds until a Python has imported what every server of this kind needs."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import pygls.lsp.server"], check=True)
    return time.perf_counter() - started


def server_start() -> tuple[float, int]:
    """(seconds from process start to the answer to `initialize`, bytes of memory then)."""
    body = json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {"processId": None, "rootUri": None, "capabilities": {}},
        }
    ).encode()
    started = time.perf_counter()
    command = [sys.executable, "-m", "lsp_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        server.stdin.flush()
        assert b"Content-Length" in server.stdout.readline()
        seconds = time.perf_counter() - started
        size = psutil.Process(server.pid).memory_info().rss
        server.kill()
    return seconds, size


async def to_first_token(
    start: Callable[[], AbstractAsyncContextManager[systems.System]], weights: list[Path], *, cold: bool
) -> tuple[float, int, int]:
    """(seconds from starting a system to its first token, bytes of memory then, the most it held until then).

    `cold`: the weights are read from the disk, not from what the system has kept of it in memory.
    """
    for file in weights:
        _drop(file) if cold else file.read_bytes()
    started = time.perf_counter()
    async with start() as system:
        await systems.run(system, [100, 200, 300], 1)
        seconds = time.perf_counter() - started
        size = psutil.Process(system.pid).memory_info().rss
        return seconds, size, _peak(system.pid) or size


def _drop(file: Path) -> None:
    """Have the system forget what it keeps of a file in memory, where it can be told so."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _peak(pid: int) -> int:
    """The most memory a process has held, in bytes; 0 where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    asyncio.run(main())
