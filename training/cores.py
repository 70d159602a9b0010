"""Work side by side on the cores of a CPU. A product that is spread over them gains little by the second core."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from lsp_server.engine.passes.threads import cores


def count(device: str) -> int:
    """How many pieces of work go on at once: one for each core that this process may use, or one on a GPU."""
    if device != "cpu":
        return 1
    return cores()


def pool(device: str) -> ThreadPoolExecutor:
    """So many threads, in each of which torch uses no other core."""
    if device != "cpu":
        return ThreadPoolExecutor(1)
    return ThreadPoolExecutor(count(device), initializer=torch.set_num_threads, initargs=(1,))
