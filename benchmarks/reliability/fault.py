"""What a fault is, what became of one, and what many came to."""

from __future__ import annotations

import dataclasses
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.reliability.scene import Scene, folders

Happens = Callable[[Scene, random.Random], AbstractAsyncContextManager[None]]


@dataclasses.dataclass(frozen=True)
class Fault:
    """`happens`: from its beginning to its end, between which `lasts` seconds pass, at least and at most. `place`: the
    folders in which it can. `remote`: it is one of a server elsewhere. `missing`: why it cannot happen here. `share`:
    of the injections of a kind."""

    name: str
    happens: Happens
    lasts: tuple[float, float] = (0.0, 0.0)
    place: Callable[[], AbstractContextManager[Path]] = folders
    remote: bool = False
    missing: Callable[[], str] = lambda: ""
    share: float = 1.0


@dataclasses.dataclass(frozen=True)
class Injection:
    """One fault that happened. `seconds`: from its end, for a death from that, to a suggestion that the model wrote
    then. `asked`: requests since it began; `broken`: promises that were not kept; `restarts`: as `User` has it."""

    seconds: float
    asked: int
    seen: list[str]
    broken: list[str]
    restarts: int = 0


def row(fault: Fault, done: Sequence[Injection], seed: int) -> dict[str, Any]:
    """What a kind of fault came to: `seen` with how often, everything else for each injection or summed up."""
    return {
        "fault": fault.name,
        "seeds": [seed],
        "requests": sum(each.asked for each in done),
        "seconds": [round(each.seconds, 1) for each in done],
        "restarted": sum(each.restarts > 0 for each in done),
        "seen": dict(Counter(sentence for each in done for sentence in dict.fromkeys(map(general, each.seen)))),
        "broken": [sentence for each in done for sentence in each.broken],
    }


def added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two rows of a kind as one."""
    both = {name: one[name] + other[name] for name in ("seeds", "requests", "seconds", "restarted", "broken")}
    seen = dict(Counter(one["seen"]) + Counter(other["seen"]))
    return {"fault": one["fault"], **both, "seen": seen}


def general(sentence: str) -> str:
    """A sentence without what differs from one run to the next: folders, ports, process ids."""
    sentence = re.sub(r"http://127\.0\.0\.1:\d+", "http://gpu-box", sentence)
    sentence = re.sub(r"(/[\w.@-]+){2,}", "FOLDER", sentence)
    return re.sub(r"process \d+", "process N", sentence)
