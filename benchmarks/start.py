"""Start and memory: how soon the language server answers, and what it and the engine hold.

    python -m benchmarks.start

Times are medians of several runs and stand beside the start of a Python that only imports the protocol's library, so
that a busy machine shows. Writes benchmarks/results/start.json.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.results import keep, target
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import prompt
from lsp_server.context.buffer import Buffer
from lsp_server.engine import starter
from lsp_server.settings import Settings

RUNS = 9


def main() -> None:
    """Measure, print, and write the results."""
    folder = starter.ensure(lambda progress: None)
    library = statistics.median(library_start() for _ in range(RUNS))
    starts = [server_start() for _ in range(RUNS)]
    server = statistics.median(seconds for seconds, _ in starts)
    memory = max(size for _, size in starts)
    long = prompt_milliseconds(folder, 10_000)
    short = prompt_milliseconds(folder, 100)
    targets = [
        target(
            "initialize answered, s", "under 0.5", server, server < 0.5, f"the library's import alone: {library:.2f} s"
        ),
        target("memory of the language server after initialize, MB", "under 150", memory / 1e6, memory < 150e6, ""),
        target(
            "prompt in a 10,000-line file, ms, 95th percentile",
            "under 10",
            long,
            long < 10,
            f"100 lines: {short:.1f} ms",
        ),
    ]
    keep("start", targets)


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


def prompt_milliseconds(folder: Path, lines: int) -> float:
    """The 95th percentile of building a prompt at places all over a file, while one types."""
    tokenizer = CodeLlamaTokenizer.from_pretrained(folder)
    source = Path(statistics.__file__).read_text(encoding="utf-8").splitlines(keepends=True)
    buffer = Buffer("file:///a.py", "".join((source * (lines // len(source) + 1))[:lines]))
    times = []
    for row in range(0, lines, max(1, lines // 50)):
        for column in range(0, len(buffer.lines[row]), 8):
            started = time.perf_counter()
            prompt.build(buffer, row, column, Settings(), tokenizer, 8192)
            times.append(1000 * (time.perf_counter() - started))
    return statistics.quantiles(times, n=20)[-1]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cl-") as runtime:
        os.environ["CODELLAMA_LS_RUNTIME"] = runtime
        main()
