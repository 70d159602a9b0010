"""The whole way: an editor, the language server over stdio, the engine, and the starter model in 8 bits."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import psutil
import pytest
from e2e.typed_file import TYPED, line_range, row_of
from editor import Editor, editor
from lsprotocol import types

from lsp_server.engine import address

pytestmark = pytest.mark.usefixtures("engines")


def engine_pid(model: str = "starter") -> int:
    found = address.read(address.files(model).address)
    assert found is not None
    return found.pid


async def named_in_both_logs(window: Editor) -> set[str]:
    """The names of requests that are in the server's log and in the engine's."""
    found = await window.client.workspace_execute_command_async(types.ExecuteCommandParams("codellama.logs"))
    assert [each["title"] for each in found] == ["Language server", "Engine of starter"]
    server, engine = (Path(unquote(urlsplit(each["uri"]).path)) for each in found)
    assert {stat.S_IMODE(each.stat().st_mode) for each in (server, engine)} == {0o600}
    said, heard = (set(re.findall(r"request (\w{8}):", each.read_text())) for each in (server, engine))
    return said & heard


def ended(requests: int) -> Callable[[dict[str, float]], bool]:
    """Whether that many requests have ended in the engine."""
    return lambda counts: (
        requests <= sum(count for name, count in counts.items() if name.startswith("engine_requests_total"))
    )


async def metrics(reached: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """The engine's counters, once they are as `reached` wants them."""
    found = address.read(address.files("starter").address)
    assert found is not None
    transport = httpx.AsyncHTTPTransport(uds=found.socket)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for _ in range(2400):
            lines = (await client.get("/metrics")).text.splitlines()
            counts = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] != "#"}
            if reached(counts):
                return counts
            await asyncio.sleep(0.05)
    raise AssertionError(f"waited in vain: {counts}")


async def test_typing_yields_a_suggestion(starter: Path, real_file: Path) -> None:
    assert len(list(starter.glob("*.safetensors"))) >= 3
    # Without a budget, by which the first prompt is shorter where the machine is slow, as it is beside other work.
    async with editor({"minProbability": 0, "timeBudgetMs": 0}) as window:
        uri = window.open(real_file)
        await window.ready()
        row = row_of(real_file)
        window.change(uri, types.TextDocumentContentChangePartial(line_range(row, 4, len(TYPED)), ""))
        for column, char in enumerate(TYPED[4:], start=4):
            window.insert(uri, row, column, char)
        (item,) = await window.suggest(uri, row, len(TYPED), typed=True)
        assert item.insert_text.startswith("width"), "what stands above and below in the file"
        assert item.insert_text.count("(") + 1 == item.insert_text.count(")")
        assert item.range == line_range(row, len(TYPED), len(TYPED))
        assert await named_in_both_logs(window)
        # A typed word is part of the text and of the range, so that a client can match it.
        window.insert(uri, row, len(TYPED), "width=wi")
        (item,) = await window.suggest(uri, row, len(TYPED) + 8, typed=True)
        assert item.insert_text.startswith("wi")
        assert item.range == line_range(row, len(TYPED) + 6, len(TYPED) + 8)
        assert window.statuses[-1]["suggestion"] == {"uri": uri, "shown": True, "reason": ""}
        kinds = [status["kind"] for status in window.statuses]
        assert kinds.index("loading") < kinds.index("ready") < kinds.index("thinking")
        begin, *reports, end = next(iter(window.client.progress_reports.values()))
        assert begin.title == "Code Llama"
        assert any("shard" in (report.message or "") for report in reports)
        assert "ready" in end.message


async def test_one_more_character_computes_only_the_new_tokens(starter: Path, real_file: Path) -> None:
    async with editor({"prefetch": False}) as window:  # whose tokens would count as well
        uri = window.open(real_file)
        await window.ready()
        row, column = row_of(real_file), len(TYPED)
        await window.suggest(uri, row, column, typed=True)
        first = await metrics(ended(1))
        window.insert(uri, row, column, "t")  # which the suggestion does not say
        await window.suggest(uri, row, column + 1, typed=True)
        second = await metrics(ended(2))
        name = "engine_prefilled_tokens_total"
        assert first[name] > 200, "the first prompt is computed"
        # `(` may join with what is typed into another token, so the last token or two are new; the rest is kept.
        assert 1 <= second[name] - first[name] <= 3


def engines() -> list[int]:
    """The processes of this test that were started as engines; one that finds another goes after a moment."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "environ"])
        if "lsp_server.engine" in (process.info["cmdline"] or [])
        and (process.info["environ"] or {}).get("CODELLAMA_LS_RUNTIME") == os.environ["CODELLAMA_LS_RUNTIME"]
    ]


async def test_a_second_editor_joins_the_same_engine(starter: Path, real_file: Path) -> None:
    async with editor() as one, editor() as two:
        uris = [window.open(real_file) for window in (one, two)]  # both at once: only one may start it
        await asyncio.gather(one.ready(), two.ready())
        assert psutil.pid_exists(engine_pid())
        await one.until(lambda: len(engines()) == 1)
        row = row_of(real_file)
        items = await asyncio.gather(*(w.suggest(u, row, 20) for w, u in zip((one, two), uris, strict=True)))
        assert items[0]
        assert items[0][0].insert_text == items[1][0].insert_text


async def test_a_killed_engine_is_replaced_and_the_user_told(starter: Path, real_file: Path) -> None:
    async with editor({"maxTokens": 1024, "multiline": "always"}) as window:
        uri = window.open(real_file)
        await window.ready()
        row = row_of(real_file)
        killed = engine_pid()
        asking = asyncio.ensure_future(window.suggest(uri, row, 20))
        await window.until(lambda: window.statuses[-1]["kind"] == "thinking")
        os.kill(killed, signal.SIGKILL)
        # By the next engine, or, where the first had begun, none: with the reason, and not an error.
        assert await asyncio.wait_for(asking, 120) or "engine" in window.reason
        await window.until(lambda: any("ended unexpectedly" in message for message in window.messages))
        await window.ready()
        assert engine_pid() != killed
        window.client.workspace_did_change_configuration(
            types.DidChangeConfigurationParams({"codellama": {"maxTokens": 24, "multiline": "never"}})
        )
        assert await window.suggest(uri, row, 20)


async def test_an_engine_that_ended_for_idleness_is_started_again_quietly(starter: Path, real_file: Path) -> None:
    async with editor({"idleMinutes": 0.12}) as window:
        uri = window.open(real_file)
        await window.ready()
        pid = engine_pid()
        await window.until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 90)
        assert await window.suggest(uri, row_of(real_file), 20), "by the engine that was started for it"
        assert engine_pid() != pid
        assert window.messages == []


async def test_an_engine_of_another_version_is_replaced(starter: Path, real_file: Path, engines: Path) -> None:
    async with editor() as window:
        window.open(real_file)
        await window.ready()
        old = engine_pid()
    files = address.files("starter")
    stored = json.loads(files.address.read_text())
    files.address.write_text(json.dumps({**stored, "version": "0.0.1"}))
    async with editor() as window:
        window.open(real_file)
        await window.ready()
        assert engine_pid() != old
        assert not psutil.pid_exists(old) or psutil.Process(old).status() == "zombie"


async def test_a_newer_request_ends_the_older_one_in_the_engine_too(starter: Path) -> None:
    async with editor({"maxTokens": 1024, "multiline": "always", "timeBudgetMs": 0, "prefetch": False}) as window:
        uri = window.open("untitled:months", "DAYS = {\n    'January': 31,\n    'February': 28,\n    \n")
        await window.ready()
        older = asyncio.ensure_future(window.suggest(uri, 3, 4))
        await metrics(lambda counts: counts["engine_queued_requests"] == 1)
        window.insert(uri, 3, 4, "w")
        assert await asyncio.wait_for(older, 60) == []
        assert "changed" in window.reason

        counts = await metrics(ended(1))
        assert counts['engine_requests_total{outcome="cancelled"}'] == 1
        assert counts["engine_generated_tokens_total"] < 1024


def test_the_server_never_imports_torch() -> None:
    import subprocess

    code = (
        "import sys, lsp_server.server.app; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'httpx')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
