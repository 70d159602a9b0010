"""Threads for a forward pass, beside other programs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lsp_server.engine.passes import threads


@pytest.fixture
def machine(monkeypatch):
    """Eight cores, whose clocks a test moves: machine(seconds, others=...) lets time pass."""
    clock = {"now": 100.0, "own": 10.0, "busy": 500.0}
    set_to = []
    monkeypatch.setattr(threads, "processors", lambda: list(range(8)))
    monkeypatch.setattr(threads, "_busy_seconds", lambda: clock["busy"])
    monkeypatch.setattr(threads.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(threads.time, "process_time", lambda: clock["own"])
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: set_to[-1] if set_to else 8)
    monkeypatch.setattr(threads.torch, "set_num_threads", set_to.append)

    def passed(seconds, *, others, own=4.0):
        clock["now"] += seconds
        clock["own"] += own * seconds
        clock["busy"] += (own + others) * seconds

    passed.set_to = set_to
    return passed


def test_others_get_the_cores_they_use_but_half(machine):
    shared = threads.SharedThreads()
    for others, wanted in ((2.0, 6), (3.0, 5), (40.0, 4), (0.3, 8)):
        machine(1, others=others)
        shared.adapt()
        assert machine.set_to[-1] == wanted


def test_what_others_do_meanwhile_or_for_a_moment_says_nothing(machine):
    shared = threads.SharedThreads()
    machine(0.1, others=8.0)
    shared.adapt()
    machine(2, others=8.0, own=0.1)
    shared.adapt()
    assert machine.set_to == []
    machine(1, others=4.0)
    shared.adapt()
    assert machine.set_to == [4]


@pytest.mark.skipif(not hasattr(os, "nice"), reason="the system does not say whose work gives way")
def test_the_work_of_a_program_that_gives_way_is_seen_by_such_alone(monkeypatch):
    def busy(gives_way):
        monkeypatch.setattr(threads.priority, "gives_way", lambda: gives_way)
        return threads._busy_seconds()

    code = "from lsp_server.engine import priority; priority.give_way(); print(priority.gives_way(), flush=True)\n"
    group = Path("/proc/self/autogroup")
    session = group.read_text() if group.exists() else ""
    with subprocess.Popen([sys.executable, "-c", f"{code}while True: pass"], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline().split() == [b"True"]
        assert not session or group.read_text() == session, "that of the tests is left alone"
        before, began = busy(True) - busy(False), sum(psutil.Process(other.pid).cpu_times()[:2])
        while (used := sum(psutil.Process(other.pid).cpu_times()[:2]) - began) < 0.5:
            time.sleep(0.1)
        seen = busy(True) - busy(False) - before
        other.kill()
    assert seen > 0.9 * used - 0.1


def test_the_work_of_another_program_is_seen():
    before, own = threads._busy_seconds(), time.process_time()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        time.sleep(1.5)
        used = sum(psutil.Process(other.pid).cpu_times()[:2])
        seen = threads._busy_seconds() - before - (time.process_time() - own)
        other.kill()
    assert used > 0.3
    assert seen > 0.9 * used - 0.05


def test_cores_are_those_that_may_be_used():
    command = "from lsp_server.engine.passes import threads; print(threads.cores(), len(threads.processors()))"
    run = [sys.executable, "-c", command]
    if sys.platform == "linux":
        run = ["taskset", "-c", "0", *run]
        assert subprocess.check_output(run, text=True).split() == ["1", "1"]
    assert 1 <= threads.cores() <= len(threads.processors())
