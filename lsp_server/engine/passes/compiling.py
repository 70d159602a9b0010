"""How the passes' inner functions are compiled: by numba, where they are first used, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
import torch
from numba.extending import intrinsic, overload

Floats = np.ndarray[Any, np.dtype[np.float32]]
Scales = np.ndarray[Any, np.dtype[np.float32 | np.int16]]
Bytes = np.ndarray[Any, np.dtype[np.int8 | np.uint8]]
Numbers = np.ndarray[Any, np.dtype[np.int64]]

# Sums may be taken in another order, and a product and a sum as one; nothing else that floats promise is given up.
_FAST = {"fastmath": {"reassoc", "nsz", "contract"}}
_OPTIONS = {"cache": True, "error_model": "numpy", "nogil": True}
# numba takes what it has kept of a function for good while the function's own file is as it was. What it calls is in
# other files of this folder, so it is all of them here.
SOURCES = tuple(
    (file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(Path(__file__).parent.glob("*.py"))
)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def _decorator(**options: Any) -> Callable[[_Function], _Function]:
    def decorated(function: _Function) -> _Function:
        dispatcher = numba.njit(**_OPTIONS, **options)(function)
        dispatcher._cache._cache_file._source_stamp = SOURCES
        made: _Function = dispatcher
        return made

    return decorated


compiled = _decorator(**_FAST)
parallel = _decorator(**_FAST, parallel=True)
# Where all that floats promise is kept: sums are taken in the order that is written down.
exactly = _decorator()
exactly_parallel = _decorator(parallel=True)
# And where the way to a function and back, with its many arguments, would take a part of the time.
exactly_in_place = _decorator(forceinline=True)
_Made = TypeVar("_Made")


def instructions(made: type[_Made] | None) -> Callable[[Callable[..., Any]], Callable[..., _Made]]:
    """numba's `intrinsic`: a function made of LLVM's instructions; `made` is the type that they give."""
    decorator: Callable[[Callable[..., Any]], Callable[..., _Made]] = intrinsic
    return decorator


def by_types(choose: Callable[..., Callable[..., Any]]) -> Callable[..., Any]:
    """A function, for compiled ones, of which `choose` gives the body for the types of the arguments."""

    def function(*arguments: Any) -> Any:
        raise NotImplementedError("only compiled functions call it")

    overload(function, strict=False)(choose)  # the annotations differ
    return function


def set_threads() -> int:
    """Have the parallel functions compute on as many threads as torch, in the calling thread; how many they are."""
    threads = min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS)
    numba.set_num_threads(threads)
    return int(threads)
