"""What goes with a document: found by each source, ranked, and kept from key to key."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from lsprotocol import types

from lsp_server.context.buffer import Buffer
from lsp_server.context.journal import Change
from lsp_server.context.related import gathering, sources
from lsp_server.context.related.choice import choose
from lsp_server.context.related.gathering import Related
from lsp_server.context.related.piece import Piece
from lsp_server.context.related.sources import Seen
from lsp_server.context.workspace import Workspace
from lsp_server.settings import Settings

LINES = [f"line_{number} = {number}\n" for number in range(200)]


class Session:
    """A workspace with open documents, one source that says which row it was asked for, and a clock that stands."""

    def __init__(self, folder: Path) -> None:
        self.now = 100.0
        self.folder = folder
        self.documents: list[Buffer] = []
        self.workspace = Workspace((folder,), lambda: self.documents)
        self.settings = Settings()
        self.gathered = 0
        self.hold = threading.Event()
        self.hold.set()
        self.main = self.open("main.py", "".join(LINES))
        self.indexed = 0
        self.related = Related(
            lambda: self.settings,
            lambda: self.workspace,
            {"open": self.found},
            lambda: self.now,
            indexed=lambda: self.indexed,
        )

    def open(self, name: str, text: str) -> Buffer:
        buffer = Buffer((self.folder / name).as_uri(), text, version=1, language_id="python")
        (self.folder / name).write_text(text)
        self.documents.append(buffer)
        self.workspace.journal.opened(buffer)
        return buffer

    def found(self, seen: Seen, buffer: Buffer, row: int, column: int) -> list[Piece]:
        self.gathered += 1
        self.hold.wait(60)
        return [Piece("open", "other.py", f"found for {row}, {self.gathered}\n")]

    async def at(self, row: int, column: int = 0, *, rests: bool = False, quick: bool = False) -> str:
        pieces = (await self.related.at(self.main.snapshot(), row, column, rests=rests, quick=quick)).pieces
        return "".join(piece.text for piece in pieces)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = Session(tmp_path)
    made.open("other.py", "x = 1\n")
    return made


async def test_it_is_kept_while_the_cursor_is_about_there(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "WAIT_SECONDS", 5.0)
    assert await session.at(50) == "found for 50, 1\n"
    for row in (51, 60, 50 - gathering.NEAR_ROWS):
        session.now += 5
        assert await session.at(row) == "found for 50, 1\n"
    assert session.gathered == 1
    assert await session.at(51 + gathering.NEAR_ROWS) == f"found for {51 + gathering.NEAR_ROWS}, 2\n"


async def test_behind_another_dot_it_is_found_anew_for_a_model_that_reads_fast(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "WAIT_SECONDS", 5.0)
    line = "store.find(cart.items)\n"
    where = types.Range(types.Position(50, 0), types.Position(51, 0))
    session.main.apply_change(types.TextDocumentContentChangePartial(where, line))
    one, other = line.index("find"), line.index("items")
    assert await session.at(50) == "found for 50, 1\n"
    assert await session.at(50, one) == "found for 50, 1\n", "what was computed of the prompt is worth more"
    assert await session.at(50, one, quick=True) == "found for 50, 2\n"
    assert await session.at(50, one + 3, quick=True) == "found for 50, 2\n", "the same name"
    assert await session.at(51, quick=True) == "found for 50, 2\n", "no name"
    assert await session.at(50, other, quick=True) == "found for 50, 3\n"
    where = types.Range(types.Position(50, 0), types.Position(51, 0))
    session.main.apply_change(types.TextDocumentContentChangePartial(where, "store.find(cart)\n    .first()\n"))
    assert await session.at(51, 5, quick=True) == "found for 51, 4\n", "over a line's end"


async def test_what_is_found_late_behind_a_dot_is_taken_at_the_next_key(session: Session) -> None:
    assert await session.at(50, rests=True) == "found for 50, 1\n"
    where = types.Range(types.Position(50, 0), types.Position(51, 0))
    session.main.apply_change(types.TextDocumentContentChangePartial(where, "store.find\n"))
    session.hold.clear()
    assert await session.at(50, 6, quick=True) == "found for 50, 1\n"
    assert await session.at(50, 7, quick=True) == "found for 50, 1\n"
    session.hold.set()
    gathering_it = session.related._documents[session.main.uri].gathering
    assert gathering_it is not None
    await gathering_it
    assert await session.at(50, 8, quick=True) == "found for 50, 2\n"
    assert session.gathered == 2


async def test_what_the_index_holds_by_now_counts_once_the_user_pauses(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "WAIT_SECONDS", 5.0)
    assert await session.at(50) == "found for 50, 1\n"
    session.indexed += 1
    assert await session.at(50) == "found for 50, 1\n"
    session.now += gathering.PAUSE_SECONDS
    assert session.related.is_old(session.main.uri)
    assert await session.at(50) == "found for 50, 2\n"


async def test_an_edit_elsewhere_counts_once_the_user_pauses(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "WAIT_SECONDS", 5.0)
    await session.at(50)
    edit(session.documents[1])
    session.now += 0.1
    assert not session.related.is_old(session.main.uri)
    assert await session.at(50) == "found for 50, 1\n", "while one types, nothing moves"
    session.now += gathering.PAUSE_SECONDS
    assert session.related.is_old(session.main.uri)
    assert await session.at(50) == "found for 50, 2\n"
    edit(session.main)
    session.now += 10
    assert await session.at(50) == "found for 50, 2\n", "an edit here is in the window"


async def test_a_source_that_is_slow_holds_up_nobody(session: Session) -> None:
    session.hold.clear()
    assert await asyncio.wait_for(session.at(50), 60) == ""
    assert await asyncio.wait_for(session.at(51), 60) == ""
    session.hold.set()
    await asyncio.sleep(0.3)
    assert session.gathered == 1, "it is not begun twice"
    session.now += 0.1
    assert await session.at(52) == "", "what comes late does not take away what is computed, while one types"
    session.now += gathering.PAUSE_SECONDS
    assert await session.at(53) == "found for 50, 1\n"


async def test_rest_is_a_time_to_choose_anew(session: Session) -> None:
    await session.at(50, rests=True)
    edit(session.documents[1])
    assert await session.at(50, rests=True) == "found for 50, 2\n"


async def test_switched_off(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "WAIT_SECONDS", 5.0)
    session.settings = Settings(related_open=False)
    assert await session.at(50) == ""
    session.settings = Settings(related_tokens=0)
    session.related.forget()
    assert await session.at(50) == ""
    assert session.gathered == 0


async def test_a_source_with_a_fault_takes_nothing_from_the_others(session: Session) -> None:
    def broken(seen: Seen, buffer: Buffer, row: int, column: int) -> list[Piece]:
        raise ZeroDivisionError("the text of the user")

    session.related = Related(
        lambda: session.settings, lambda: session.workspace, {"copied": broken, "open": session.found}
    )
    assert await session.at(50, rests=True) == "found for 50, 1\n"


async def test_what_is_out_of_reach_by_now_is_left_out(session: Session) -> None:
    assert await session.at(50, rests=True)
    (session.folder / ".codellamaignore").write_text("other.py\n")
    assert await session.at(50) == ""
    (session.folder / ".codellamaignore").write_text("")
    assert await session.at(50)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("other.py", True), ("new.py", True), (".env", False), ("../outside.py", False), ("untitled:closed", False),
     ("untitled:open", True), ("untitled:.env", False)],
)  # fmt: skip
async def test_what_may_be_shown(name: str, shown: bool, session: Session) -> None:
    session.documents += [Buffer("untitled:open", "x"), Buffer("untitled:.env", "x")]
    assert bool(await session.workspace.showable([name])) == shown
    assert bool(await session.workspace.showable([str(session.folder / name)] if ":" not in name else [name])) == shown


def edit(buffer: Buffer) -> None:
    where = types.Range(types.Position(0, 0), types.Position(0, 0))
    buffer.apply_change(types.TextDocumentContentChangePartial(where, "y"))
    buffer.version = (buffer.version or 0) + 1


def test_the_best_of_each_source_comes_before_the_second_of_any() -> None:
    found = {
        name: [Piece(name, "a.py", f"{name} {number}\n", score=number) for number in (1, 3, 2)]
        for name in ("open", "edits", "imports")
    }
    assert [piece.text.strip() for piece in choose(found, ["x\n"], 0).pieces] == [
        "edits 3", "imports 3", "open 3", "edits 2", "imports 2", "open 2", "edits 1", "imports 1", "open 1",
    ]  # fmt: skip


def test_what_is_read_elsewhere_is_not_taken_again() -> None:
    here = Piece("similar", "a.py", "    line_50 = 50\n    line_51 = 51\n")
    one = Piece("imports", "b.py", "def f(a):\n    return a\n\n\ndef g():\n    pass\n")
    again = Piece("open", "c.py", "def f(a):\n        return a\n}\n")
    empty = Piece("edits", "d.py", "}\n\n")
    chosen = choose({"similar": [here], "imports": [one], "open": [again], "edits": [empty]}, LINES, 60)
    assert chosen.pieces == (one,)
    assert [each.piece for each in chosen.left_out] == [here, again]
    assert "around the cursor" in chosen.left_out[0].why
    assert "other pieces" in chosen.left_out[1].why
    assert choose({"similar": [here]}, LINES, 199).pieces == (here,), "far from the cursor"


Made = Callable[..., Seen]


@pytest.fixture
def seen(tmp_path: Path) -> Made:
    def make(*buffers: tuple[str, str, str]) -> Seen:
        opened = [Buffer((tmp_path / name).as_uri(), text, language_id=spoken) for name, text, spoken in buffers]
        return Seen(Workspace((tmp_path,), lambda: opened), tuple(opened))

    return make


def test_tabs_give_the_outline_of_what_is_named_here(seen: Made) -> None:
    library = (
        "import os\n\n\nclass Account:\n    'Money.'\n\n    def __init__(self, owner):\n        self.owner = owner\n\n"
        "    def deposit(\n        self,\n        amount,\n    ):\n        'Put in.'\n        self.x = amount\n\n\n"
        "def other():\n    pass\n"
    )
    look = seen(("library.py", library, "python"), ("b.go", "func deposit() {}\n", "go"), ("c.py", "x = 1\n", "python"))
    main = Buffer("untitled:a", "account.deposit(\n", language_id="python")
    (piece,) = sources.tabs(look, main, 0, 16)
    assert (piece.source, piece.path) == ("open", "library.py")
    assert piece.text == (
        "class Account:\n    'Money.'\n    def deposit(\n        self,\n        amount,\n    ):\n        'Put in.'\n"
    )
    (piece,) = sources.tabs(look, Buffer("untitled:a", "x = Account(\n", language_id="python"), 0, 12)
    assert "def __init__(self, owner):" in piece.text
    assert sources.tabs(look, Buffer("untitled:a", "y = 1\n", language_id="python"), 0, 5) == []
    own = Buffer("untitled:a", "def deposit():\n    pass\n\ndeposit(\n", language_id="python")
    assert sources.tabs(look, own, 3, 8) == [], "what the file defines itself is not looked for elsewhere"


def test_a_tab_is_parsed_once_for_all_places(seen: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is parsed, nobody else has the interpreter for long."""
    parsed = []
    parse = sources.syntax.parse
    monkeypatch.setattr(sources.syntax, "parse", lambda *given, **how: parsed.append(given) or parse(*given, **how))
    look = seen(("bank.py", "class Parsed_once:\n    balance = 0\n", "python"))
    for row in range(3):
        main = Buffer("untitled:a", "\n" * row + "x = Parsed_once(\n", language_id="python")
        assert sources.tabs(look, main, row, 16)
    assert len(parsed) == 1


def changed(uri: str, row: int, before: str, after: str, time: float = 0.0) -> Change:
    return Change(uri, row, row + after.count("\n"), before, after, "above\n", "below\n", time)


def edited(session: Session, *changes: Change, row: int = 50) -> list[Piece]:
    return sources.edits(Seen(session.workspace, changes=changes), session.main, row, 0)


def test_an_edit_is_a_small_diff(session: Session) -> None:
    other = session.documents[1].uri
    (piece,) = edited(session, changed(other, 3, "old = 1\n", "new = 1\nmore = 2\n", 7.0))
    assert piece.text == " above\n-old = 1\n+new = 1\n+more = 2\n below\n"
    assert (piece.source, piece.path, piece.line, piece.score) == ("edits", "other.py", None, 7.0)
    (piece,) = edited(session, changed(other, 3, "", "last line without an end"))
    assert piece.text == " above\n+last line without an end\n below\n"


def test_edits_that_say_nothing_are_left_out(session: Session) -> None:
    here, other = session.main.uri, session.documents[1].uri
    notes = (session.folder / "notes.md").as_uri()
    assert not edited(session, changed(other, 3, "x = 1\n", "    x = 1\n")), "only indented"
    assert not edited(session, changed(notes, 3, "one\n", "two\n")), "prose"
    for row in (47, 50, 53):
        assert not edited(session, changed(here, row, "a\n", "b\n")), "the edit that is being made"
    for before in ("", "newe\n", "newer = \n"):
        assert not edited(session, changed(here, 20, before, "newer = 1\n")), "it is read in the window"
    assert edited(session, changed(here, 20, "old = 1\n", "new = 1\n")), "what was there before is not"
    assert edited(session, changed(here, 150, "", "new = 1\n", 1.0), row=20)
    assert len(edited(session, *(changed(other, row, "a\n", f"b{row}\n") for row in range(50)))) == sources.MOST_EDITS


def test_what_was_copied_is_masked_bounded_and_forgotten(session: Session) -> None:
    related = Related(lambda: session.settings, lambda: session.workspace, clock=lambda: session.now)
    for text in ("word", "x " * 2000, "first text\n", "a second\n", "password = 'hunter2x'\n"):
        related.copied(text, "")
        session.now += 1
    seen = related._seen(session.main)
    found = [piece.text for piece in sources.copied(seen, session.main, 0, 0)]
    assert found == ["a second\n", "password = '********'\n"]
    session.now += gathering.COPIED_SECONDS
    assert related._seen(session.main).copied == ()


async def test_what_was_under_way_before_a_change_is_not_all_that_is_shown(session: Session) -> None:
    session.hold.clear()
    assert await session.at(50) == ""
    session.related.copied("two words", "")
    asking = asyncio.ensure_future(session.at(50, rests=True))
    await asyncio.sleep(0.1)
    session.hold.set()
    assert await asking == "found for 50, 2\n"
