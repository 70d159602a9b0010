"""That an engine does not grow: what is free in a heap goes back to the system, and what is prepared is limited. And in
what pages its weights lie."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from lsp_server.engine import process

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


# Products of 4 layers with any number of tokens up to 150, as prompts have them.
PRODUCTS = """
import torch
from lsp_server.engine.loading import heap
torch.set_num_threads(1)
weights = [torch.randn(rows, depth, dtype=torch.bfloat16) for rows, depth in ((960, 576), (576, 576), (3072, 576))]
before = heap.memory_held()
for tokens in range(17, 150):
    for weight in weights:
        torch.nn.functional.linear(torch.ones(tokens, weight.shape[1], dtype=torch.bfloat16), weight)
heap.give_back()
print((heap.memory_held() - before) // 1_000_000)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another library's heap")
def test_what_is_prepared_for_a_number_of_tokens_is_not_kept_for_good() -> None:
    environment = os.environ | process.PREPARED
    done = subprocess.run(
        [sys.executable, "-c", PRODUCTS], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < 100


PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
# How many bytes of a tensor lie in large pages, and how many are left once it is gone.
LARGE = """
import re, torch
from pathlib import Path
def large():
    return int(re.search(r"AnonHugePages: *([0-9]+) kB", Path("/proc/self/smaps_rollup").read_text())[1]) * 1024
weights = torch.ones(64 * 2**20, dtype=torch.int8)
held = large()
del weights
print(held, large())
"""


@pytest.mark.skipif(not PAGES.exists() or "[never]" in PAGES.read_text(), reason="this system has small pages only")
def test_large_tensors_lie_in_large_pages_and_go_back() -> None:
    environment = os.environ | process.PAGES
    done = subprocess.run(
        [sys.executable, "-c", LARGE], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    held, left = map(int, done.stdout.split())
    assert held > 32 * 2**20, "most of it"
    assert left < 8 * 2**20


# Of a model of 64 layers with 0.8 MB in each, how many bytes lie in large pages.
SMALL = """
import re, torch
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
from lsp_server.engine.passes.int8 import Int8Linear
from lsp_server.engine.passes.linears import round_linears
from lsp_server.engine.passes.llama_cpu import LlamaOnCpu
config = LlamaConfig(vocab_size=64, hidden_size=256, intermediate_size=704, num_hidden_layers=64, num_attention_heads=4)
model = LlamaForCausalLM(config).to(torch.bfloat16)
round_linears(model, Int8Linear)
def large():
    return int(re.search(r"AnonHugePages: *([0-9]+) kB", Path("/proc/self/smaps_rollup").read_text())[1]) * 1024
before = large()
ours = LlamaOnCpu(model)
print(large() - before)
"""


@pytest.mark.skipif(not PAGES.exists() or "[never]" in PAGES.read_text(), reason="this system has small pages only")
def test_so_do_the_weights_of_a_small_model() -> None:
    environment = os.environ | process.PREPARED | process.PAGES
    done = subprocess.run(
        [sys.executable, "-c", SMALL], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) > 40 * 2**20, "of 51 MB most"
