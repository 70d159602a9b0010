"""That memory which is free in the middle of a heap goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# 200 MB in blocks that the heap holds, of which one in a hundred stays, the last among them.
CODE = """
import ctypes
from lsp_server.engine.loading import heap
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
before = heap.memory_held()
blocks = [libc.malloc(100_000) for _ in range(2_000)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
for number, block in enumerate(blocks):
    if number % 100 != 99:
        libc.free(block)
full = heap.memory_held() - before
heap.give_back()
print(full // 1_000_000, (heap.memory_held() - before) // 1_000_000)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library's heap")
def test_what_is_free_between_blocks_that_stay_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60)
    full, left = map(int, done.stdout.split())
    assert full > 150
    assert left < 50
