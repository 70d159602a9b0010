"""What a keystroke costs, counted in the engine: tokens prefilled and forward passes, with the starter model."""

from __future__ import annotations

import asyncio
import statistics
from pathlib import Path

import pytest
from e2e.test_language_server import metrics
from e2e.typed_file import line_range, row_of
from editor import Editor, editor
from lsprotocol import types

from lsp_server.engine import address

pytestmark = pytest.mark.usefixtures("shared_engines")

PASSES, PREFILLED = "engine_forward_passes_total", "engine_prefilled_tokens_total"


async def counts() -> dict[str, float]:
    """The engine's counters once it has nothing to do."""
    await asyncio.sleep(0.1)
    return await metrics(lambda now: now["engine_queued_requests"] == 0)


async def typed(window: Editor, uri: str, row: int, column: int, text: str) -> list[str]:
    """The suggestions after each character of `text`, typed one after the other."""
    shown = []
    for at, char in enumerate(text, start=column):
        window.insert(uri, row, at, char)
        items = await window.suggest(uri, row, at + 1, typed=True)
        shown.append(items[0].insert_text if items else "")
    return shown


async def test_where_the_cursor_rests_the_next_key_costs_little(starter: Path, real_file: Path) -> None:
    """Editors that ask for code actions by themselves do so where the cursor comes to rest. First, as nothing of the
    file is known yet."""
    async with editor() as window:
        uri = window.open(real_file)
        await window.ready()
        row, column = row_of(real_file), 20
        here = types.Range(types.Position(row, column), types.Position(row, column))
        rests = types.CodeActionContext([], trigger_kind=types.CodeActionTriggerKind.Automatic)
        params = types.CodeActionParams(types.TextDocumentIdentifier(uri), here, rests)
        assert not await window.client.text_document_code_action_async(params)
        before = await counts()
        assert before[PREFILLED] > 200, "a whole prompt"
        window.insert(uri, row, column, "zz")  # not what the model would write
        await window.suggest(uri, row, column + 2, typed=True)
        assert (await counts())[PREFILLED] - before[PREFILLED] < 16


async def test_a_known_suggestion_takes_no_forward_pass(starter: Path, real_file: Path) -> None:
    async with editor({"prefetch": False}) as window:
        uri = window.open(real_file)
        await window.ready()
        row, column = row_of(real_file), 20
        (item,) = await window.suggest(uri, row, column, typed=True)
        text = item.insert_text
        assert len(text) > 4
        before = (await counts())[PASSES]
        assert before > 0
        shown = await typed(window, uri, row, column, text[:4])
        assert all(text.endswith(rest.lstrip()) or rest.endswith(text[4:]) for rest in shown)
        back = types.TextDocumentContentChangePartial(line_range(row, column + 2, column + 4), "")
        window.change(uri, back)
        assert await window.suggest(uri, row, column + 2, typed=True)
        window.insert(uri, row, column + 2, text[2:-1])
        (item,) = await window.suggest(uri, row, column + len(text) - 1, typed=True)
        assert item.insert_text.endswith(text[-1])
        assert (await counts())[PASSES] == before


async def test_a_keystroke_prefills_a_few_tokens(starter: Path, real_file: Path) -> None:
    async with editor({"prefetch": False}) as window:
        uri = window.open(real_file)
        await window.ready()
        row, column = row_of(real_file), 20
        await window.suggest(uri, row, column)
        costs, before = [], await counts()
        for at, char in enumerate("zzyzx=7, other_name=qq", start=column):  # nothing the model would suggest
            window.insert(uri, row, at, char)
            await window.suggest(uri, row, at + 1, typed=True)
            after = await counts()
            costs.append(after[PREFILLED] - before[PREFILLED])
            before = after
        assert statistics.median(costs) < 8
        assert max(costs) < 16


async def test_the_next_suggestion_is_there_when_one_is_accepted(starter: Path, real_file: Path) -> None:
    async with editor({"minProbability": 0}) as window:
        uri = window.open(real_file)
        await window.ready()
        row, column = row_of(real_file), 26
        window.insert(uri, row, 20, "width=")  # behind which the model is sure, and chooses nothing else at rest
        (item,) = await window.suggest(uri, row, column, typed=True)
        before = (await counts())[PASSES]  # with what was computed ahead
        window.insert(uri, row, column, item.insert_text)
        lines = item.insert_text.split("\n")
        end = (row + len(lines) - 1, len(lines[-1]) + (column if len(lines) == 1 else 0))
        await window.suggest(uri, *end, typed=True)
        known = [status for status in window.statuses if status["kind"] == "thinking"]
        assert len(known) == 1, "the model was asked once, for the first suggestion"
        assert before > 0


async def test_guesses_save_passes(starter: Path, tmp_path: Path) -> None:
    """A file that repeats itself, as code does: several tokens a pass, and the same text as without."""
    path = tmp_path / "table.py"
    rows = [f'    "{name}": Column("{name}", kind=int, width=8, visible=True),' for name in ("one", "two", "three")]
    path.write_text("COLUMNS = {\n" + "\n".join(rows) + '\n    "four": \n}\n')
    async with editor({"prefetch": False}) as window:
        uri = window.open(path)
        await window.ready()
        before = await counts()
        (item,) = await window.suggest(uri, 4, 12, typed=True)
        assert item.insert_text == 'Column("four", kind=int, width=8, visible=True),'
        after = await counts()
        made = {name: after[name] - before[name] for name in after}
        assert made["engine_right_guesses_total"] >= 5
        assert made[PASSES] <= made["engine_generated_tokens_total"] - 5
    assert address.read(address.files("starter").address) is not None
