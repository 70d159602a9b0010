"""Windows that want other options of an engine than it has: with real engines, on a tiny checkpoint."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import checkpoints
import pytest
from forking import engine, program

from lsp_server import __version__
from lsp_server.engine import address
from lsp_server.model import local
from lsp_server.model.access import ModelAccess, ModelState
from lsp_server.model.answering import Answer, Question
from lsp_server.settings import Settings, restarts

# Another window: asks the engine how it is, once for each line that it is told.
ANOTHER = """
import asyncio, sys
from lsp_server.model import endpoint, local
from lsp_server.model.client import ModelClient
async def ask():
    client = ModelClient(endpoint.local(local.running(sys.argv[1])))
    print((await client.health()).status, flush=True)
    await client.aclose()
for _ in sys.stdin:
    asyncio.run(ask())
"""

pytestmark = [
    pytest.mark.usefixtures("engines", "copied_engines"),
    pytest.mark.skipif(sys.platform == "win32", reason="engines that end in order"),
]
Window = tuple[ModelAccess, list[ModelState]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.random_checkpoint(tmp_path_factory.mktemp("tiny"), layers=1, hidden=64)


@pytest.fixture
async def window(tiny: Path) -> AsyncIterator[Callable[..., Window]]:
    """window(insists=..., **settings): a window's access to the model, and what its user is told."""
    made: list[ModelAccess] = []

    def open_(*, insists: bool = False, **values: Any) -> Window:
        states: list[ModelState] = []
        settings = Settings(model=str(tiny), **{"context_length": 1024, **values})
        made.append(ModelAccess(settings, states.append, insists=insists))
        return made[-1], states

    yield open_
    for each in made:
        each.close()
    await local.end(str(tiny))


@pytest.fixture
def another(tiny: Path) -> Iterator[Callable[[], None]]:
    """another(): another process asks the engine; it lasts as long as the test."""
    with subprocess.Popen(program("-c", ANOTHER, str(tiny)), stdin=-1, stdout=-1, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask() -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            assert process.stdout.readline() == "ready\n"

        yield ask
        process.stdin.close()


def pid(model: Path) -> int:
    found = local.running(str(model))
    assert found is not None
    return found.pid


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("waited in vain")


async def options(access: ModelAccess) -> dict[str, Any]:
    return (await (await access.wait()).client.health()).options


async def test_a_changed_context_reaches_an_engine_that_runs(
    tiny: Path, window: Callable[..., Window], another: Callable[[], None]
) -> None:
    (before, _), (other, told) = window(), window()
    assert (await before.wait()).context_length == 1024
    assert (await other.wait()).context_length == 1024
    first = pid(tiny)
    before.close()
    after, states = window(insists=True, context_length=2048)
    assert (await after.wait()).context_length == 2048
    assert pid(tiny) != first
    assert any("settings that were changed" in state.message for state in states)
    assert not any(state.lost for state in states), "which is no crash"
    another()
    # The other window goes on with the new engine, and is told with which settings.
    answer = Answer(await other.wait(), Question([1, 500], [2], 2))
    assert [part async for part in answer.parts()]
    assert (await other.wait()).context_length == 2048
    assert "contextLength 2048 instead of 1024" in told[-1].message
    assert not any(state.lost for state in told)


async def test_what_can_change_while_it_runs_ends_no_engine(tiny: Path, window: Callable[..., Window]) -> None:
    before, _ = window()
    await before.wait()
    first = pid(tiny)
    before.close()
    after, _ = window(insists=True, threads=2, idle_minutes=7, log_level="debug", infilling="off", chat_format="inst")
    assert await options(after) == {
        **{"context_length": 1024, "threads": 2, "idle_minutes": 7, "log_level": "debug"},
        **{"infilling": "off", "chat_format": "inst", "quantization": "auto"},
    }
    assert pid(tiny) == first
    assert after.state.message.endswith("."), "and there is nothing to tell"
    assert "instead of" not in after.state.message


async def test_who_comes_with_other_settings_joins_and_is_told(
    tiny: Path, window: Callable[..., Window], another: Callable[[], None]
) -> None:
    first, told = window()
    await first.wait()
    began = pid(tiny)
    another()
    second, states = window(context_length=2048, threads=1, log_level="debug")
    assert (await second.wait()).context_length == 1024
    assert pid(tiny) == began
    assert "with contextLength 1024 instead of 2048, threads 0 instead of 1;" in states[-1].message
    assert "logLevel" not in states[-1].message
    assert states[-1].note
    assert states[-1].message.endswith(f" {states[-1].note}"), "which is shown"
    assert "instead of" not in told[-1].message
    assert told[-1].note == ""
    # The same as if another checkout had started it.
    file, found = address.files(str(tiny)).address, local.running(str(tiny))
    assert found is not None
    address.write(file, dataclasses.replace(found, root="/other/checkout"))
    third, states = window()
    await third.wait()
    assert pid(tiny) == began
    assert f"of another installation (version {__version__} in /other/checkout); restart it" in states[-1].note
    address.write(file, found)
    assert (await options(first))["context_length"] == 1024


async def test_an_engine_that_nobody_uses_takes_other_settings(
    tiny: Path, window: Callable[..., Window], another: Callable[[], None]
) -> None:
    first, _ = window()
    await first.wait()
    began = pid(tiny)
    alike, states = window(quantization="8", threads=1)
    assert (await options(alike))["threads"] == 1
    assert (await (await alike.wait()).client.health()).device == "CPU, 1 thread"
    assert pid(tiny) == began, "8 bits are what `auto` comes to without a card"
    assert alike.state.note == ""
    fewer, _ = window(quantization="4", context_length=512)
    assert (await fewer.wait()).context_length == 512
    health = await (await fewer.wait()).client.health()
    assert pid(tiny) != began
    assert (health.options["quantization"], health.quantizations) == ("4", ["4"])
    assert " in 4 bits for a context of 512 tokens" in health.message
    another()
    late, states = window(quantization="8", context_length=512)
    await late.wait()
    assert "with quantization 4 instead of 8;" in states[-1].note


async def test_an_engine_that_was_started_by_hand_keeps_its_options(tiny: Path, window: Callable[..., Window]) -> None:
    words = ("--model", str(tiny), "--context-length", "512", "--threads", "1")
    with subprocess.Popen(engine("-m", "lsp_server.engine", *words)) as process:  # noqa: ASYNC220
        await until(lambda: local.running(str(tiny)) is not None)
        by_hand = pid(tiny)
        late, states = window(context_length=1024)
        assert (await late.wait()).context_length == 512
        assert pid(tiny) == by_hand
        assert "with contextLength 512 instead of 1024, threads 1 instead of 0;" in states[-1].note
        again, states = window(context_length=1024)
        assert (await again.wait()).context_length == 512
        process.terminate()


async def test_changed_while_the_engine_loads(tiny: Path, window: Callable[..., Window]) -> None:
    before, states = window()
    before.start()
    await until(lambda: before.state.kind == "loading")
    before.close()
    after, _ = window(insists=True, context_length=2048)
    assert (await after.wait()).context_length == 2048
    assert not after.insists
    assert states


async def test_an_engine_that_is_stopped_while_somebody_waits_is_replaced(
    tiny: Path, window: Callable[..., Window]
) -> None:
    (asking, told), (other, _) = window(), window()
    model = await asking.wait()
    first = pid(tiny)
    os.kill(first, signal.SIGSTOP)
    answer = Answer(model, Question([1, 500], [2], 2))
    assert await asyncio.wait_for(anext(answer.parts()), 60)
    second = pid(tiny)
    assert second != first
    (lost,) = (state.message for state in told if state.lost and state.kind == "starting")
    assert lost == "The engine hung and was ended; starting it again."
    os.kill(second, signal.SIGSTOP)
    await asyncio.wait_for(other.wait(), 60)
    assert pid(tiny) not in (first, second)


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: str(field.name))
def test_every_setting_says_what_it_restarts(field: dataclasses.Field[Any]) -> None:
    engine = {"infilling", "chat_format", "context_length", "quantization", "idle_minutes", "threads", "log_level"}
    client = {"model", "engine_url", "engine_token", "tokenizer", "allow_plain_http", "ca_file", "remote_model"}
    client |= {"first_token_seconds", "next_token_seconds"}
    client |= {
        "chat_model",
        "chat_engine_url",
        "chat_remote_model",
        "chat_tokenizer",
        "next_edit_model",
        "next_edit_url",
    }
    wanted = "engine" if field.name in engine else "client" if field.name in client else "nothing"
    other = dataclasses.replace(Settings(), **{field.name: object()})
    assert restarts(Settings(), other) == wanted
    assert restarts(Settings(), Settings()) == "nothing"


def test_where_the_model_is_elsewhere_there_is_no_engine_to_restart() -> None:
    here = Settings(engine_url="http://gpu-box:8000")
    assert restarts(here, dataclasses.replace(here, infilling="off")) == "client"
    assert restarts(here, dataclasses.replace(here, max_tokens=5)) == "nothing"
