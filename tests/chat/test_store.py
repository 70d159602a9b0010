from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lsp_server.chat.export import markdown
from lsp_server.chat.store import Conflict, NoConversation, Store, StoreError, _excerpt
from lsp_server.chat.turns import Attachment, Turn

FILE = Attachment("file", "a.py", "file:///a.py", "python", "x = 1\ny = 2\n", 1, 2, (1, 1), (1, 1))


def test_a_conversation_comes_back_as_it_was_kept(store: Store, tmp_path: Path) -> None:
    made = store.begin("Title", {"system": "Be good."})
    question = Turn(0, "user", "Wäs?\n[INST]", "expanded", (FILE,))
    store.put(made.id, question)
    store.put(made.id, Turn(1, "assistant", ""))
    store.update(made.id, 1, content="Das.", usage={"promptTokens": 3}, finished="stop")
    again = Store(tmp_path / "data").get(made.id)
    assert again.title == "Title"
    assert again.settings == {"system": "Be good."}
    assert again.turns == (question, Turn(1, "assistant", "Das.", usage={"promptTokens": 3}, finished="stop"))


@pytest.mark.skipif(os.name == "nt", reason="modes of files")
def test_nobody_else_can_read_the_files(store: Store, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    file = tmp_path / "data" / "chats.sqlite3"
    file.touch(mode=0o644)
    store.begin("Title", {})
    found = sorted((tmp_path / "data").iterdir())
    assert [path.name for path in found] == ["chats.sqlite3", "chats.sqlite3-shm", "chats.sqlite3-wal"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}


def test_listed_searched_renamed_deleted(store: Store) -> None:
    first, second = store.begin("About Lists", {}), store.begin("Other", {})
    store.put(first.id, Turn(0, "user", "How do I sort_by(key) in ÄRGER mode?"))
    assert [one.title for one in store.summaries()] == ["About Lists", "Other"]
    assert [one.title for one in store.summaries("sort_by(key) ärger")] == ["About Lists"]
    assert "sort_by(key)" in store.summaries("SORT_BY(")[0].excerpt
    text = "an opening, " * 20 + "then needle and what follows"
    excerpt = _excerpt(text, "needle")
    assert "then needle and what follows" in excerpt
    assert excerpt.split()[0] in ("an", "opening,"), "it begins with a whole word"
    assert store.summaries("sort_by nowhere") == []
    store.rename(second.id, "Renamed")
    assert [one.title for one in store.summaries()] == ["Renamed", "About Lists"]
    assert store.delete(second.id)
    assert not store.delete(second.id)
    for call in (store.get, lambda name: store.rename(name, "x"), lambda name: store.put(name, Turn(0, "user", ""))):
        with pytest.raises(NoConversation):
            call(second.id)


def test_a_turn_replaces_what_comes_after_it_and_two_writers_do_not_mix(store: Store) -> None:
    made = store.begin("Title", {})
    for at, text in enumerate(["a", "b", "c", "d"]):
        store.put(made.id, Turn(at, "assistant" if at % 2 else "user", text))
    store.put(made.id, Turn(2, "user", "new"), replace=True)
    assert [turn.content for turn in store.get(made.id).turns] == ["a", "b", "new"]
    with pytest.raises(Conflict):
        store.put(made.id, Turn(2, "user", "late"))
    assert [turn.content for turn in store.get(made.id).turns] == ["a", "b", "new"]


def test_several_processes_and_threads_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lsp_server.chat.store import Store; from lsp_server.chat.turns "
        "import Turn\nstore = Store(Path(sys.argv[1]))\nfor n in range(20):\n"
        "    made = store.begin(f'{n}', {}); store.put(made.id, Turn(0, 'user', 'text'))\n"
    )
    folder = tmp_path / "data"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(folder)]) for _ in range(3)]
    store = Store(folder)
    threads = [threading.Thread(target=lambda: [store.begin("t", {}) for _ in range(10)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(store.summaries()) == 3 * 20 + 2 * 10


def test_what_was_written_survives_the_end_by_force(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from lsp_server.chat.store import Store; "
        "from lsp_server.chat.turns import Turn\nstore = Store(Path(sys.argv[1])); made = store.begin('t', {})\n"
        "store.put(made.id, Turn(0, 'user', 'q')); store.put(made.id, Turn(1, 'assistant', ''))\n"
        "store.update(made.id, 1, content='half an ans')\nos.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    store = Store(tmp_path)
    found = store.get(store.summaries()[0].id)
    assert [turn.content for turn in found.turns] == ["q", "half an ans"]
    assert found.turns[1].finished == ""


@pytest.mark.parametrize("damage", ["not a database at all, but long enough to be read as one" * 50, "page"])
def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path, damage: str) -> None:
    before = Store(tmp_path)
    made = before.begin("Title", {})
    for at in range(200):
        before.put(made.id, Turn(at, "user", "text " * 200))
    before.close()
    file = tmp_path / "chats.sqlite3"
    data = file.read_bytes()
    for ending in ("-wal", "-shm"):
        Path(f"{file}{ending}").unlink(missing_ok=True)
    file.write_bytes(damage.encode() if damage != "page" else data[:8192] + b"\xff" * 40_000 + data[48192:])
    store = Store(tmp_path)
    assert store.summaries() == []
    assert "damaged" in store.problem
    aside = [path for path in tmp_path.iterdir() if "-damaged-" in path.name]
    assert len(aside) == 1
    assert str(aside[0]) in store.problem
    store.begin("New", {})
    assert [one.title for one in store.summaries()] == ["New"]


def test_a_newer_file_is_left_alone(store: Store, tmp_path: Path) -> None:
    store.begin("Title", {})
    store.close()
    with sqlite3.connect(tmp_path / "data" / "chats.sqlite3") as sql:
        sql.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer"):
        Store(tmp_path / "data").summaries()


def test_chat_works_where_nothing_can_be_kept_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "data")
    made = store.begin("Title", {})
    assert store.get(made.id).title == "Title"
    assert store.problem.startswith("Conversations are not kept: ")


def test_export_as_markdown(store: Store) -> None:
    made = store.begin("A title", {})
    store.put(made.id, Turn(0, "user", "Why?", "", (FILE,)))
    store.put(made.id, Turn(1, "assistant", "Because.", "", (), {"promptTokens": 7, "reusedTokens": 2}, "stopped"))
    text = markdown(store.get(made.id))
    assert text.startswith("# A title\n\n*")
    assert (
        "\n## You\n\nFile `a.py`, line 1 of 2:\n```python\nx = 1\n```\n\nWhy?\n\n## Code Llama\n\nBecause.\n\n" in text
    )
    assert "*Stopped. 7 prompt tokens (2 reused)" in text
