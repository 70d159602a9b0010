from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lsp_server.chat.attachments import Reported, Wanted, all_attached
from lsp_server.chat.mentions import Mention, mentions, named_in, resolved
from lsp_server.context.buffer import Buffer
from lsp_server.context.uris import uri_of
from lsp_server.context.workspace import Workspace

CODE = """import os


def one(a):
    return a


class Two:
    def three(self):
        return one(3)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text(CODE)
    (tmp_path / "my notes.txt").write_text("first\nsecond\nthird")
    (tmp_path / ".gitignore").write_text("secret/\n")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "b.py").write_text("def hidden(): pass\n")
    (tmp_path / ".env").write_text("KEY=1")
    return tmp_path


def rendered(workspace: Workspace, *requests: Wanted) -> list[str]:
    found, refused = all_attached(workspace, requests)
    assert refused == []
    return [one.rendered() for one in found]


def test_each_kind_says_where_it_is_from(root: Path) -> None:
    uri, workspace = uri_of(root / "src" / "a.py"), Workspace((root,))
    assert rendered(workspace, Wanted(uri, "file")) == [f"File `src/a.py`:\n```python\n{CODE[:-1]}\n```"]
    assert rendered(workspace, Wanted(uri, "selection", (3, 4))) == [
        "Selected in `src/a.py`, lines 4-5:\n```python\ndef one(a):\n    return a\n```"
    ]
    assert rendered(workspace, Wanted(uri, "function", (9, 9), 10)) == [
        "Function `Two.three in src/a.py`, lines 9-10:\n```python\n    def three(self):\n        return one(3)\n```"
    ]
    diagnostics = (Reported(4, "`a` is\nunknown", 2, "lint"), Reported(0, "unused"))
    assert rendered(workspace, Wanted(uri, "diagnostics", diagnostics=diagnostics)) == [
        "Problems reported in `src/a.py`:\n```\nline 5: warning (lint): `a` is unknown    | return a\n"
        "line 1: error: unused    | import os\n```"
    ]
    whole, selected = all_attached(workspace, [Wanted(uri, "file"), Wanted(uri, "selection", (3, 4))])[0]
    assert whole.named == selected.named == (4, 5)


def test_the_open_document_wins_over_the_disk(root: Path) -> None:
    path = root / "src" / "a.py"
    buffer = Buffer(path.as_uri().replace("a.py", "%61.py"), "x = 'typed'\r\n", version=3, language_id="python")
    workspace = Workspace((root,), lambda: [buffer])
    assert rendered(workspace, Wanted(uri_of(path), "file")) == ["File `src/a.py`:\n```python\nx = 'typed'\n```"]
    unsaved = Buffer("untitled:Untitled-1", "hello", version=1, language_id="plaintext")
    assert "hello" in rendered(Workspace((root,), lambda: [unsaved]), Wanted("untitled:Untitled-1", "file"))[0]


def test_a_fence_cannot_be_closed_from_inside(root: Path) -> None:
    (root / "a`b.md").write_text("````\n```python\nx\n```\n````\n")
    text = rendered(Workspace((root,)), Wanted(uri_of(root / "a`b.md"), "file"))[0]
    assert text.startswith("File `a'b.md`:\n`````markdown\n")
    assert text.endswith("\n`````")


def test_what_must_not_or_cannot_be_sent_is_refused_with_a_sentence(root: Path) -> None:
    (root / "data.bin").write_bytes(b"\0\1")
    (root / "latin.txt").write_bytes(b"\xe4")
    os.symlink(root / ".env", root / "harmless.txt")
    workspace = Workspace((root,))
    names = [".env", "secret/b.py", "harmless.txt", "missing.py", "src", "data.bin", "latin.txt"]
    found, refused = all_attached(workspace, [Wanted(uri_of(root / name), "file") for name in names])
    assert found == []
    assert [sentence.split(" was not attached: ")[0] for sentence in refused] == names
    for sentence, words in zip(
        refused, ["secrets", "ignored", "secrets", "No such file", "folder", "not a text", "not UTF-8"], strict=True
    ):
        assert words in sentence
    _, refused = all_attached(workspace, [Wanted(uri_of(root / "src" / "a.py"), "selection", (50, 60))])
    assert refused == ["src/a.py has 10 lines; there is no line 51 to attach."]


def test_the_names_in_a_question() -> None:
    text = 'See @src/a.py, @a.py:3-4 and @"my notes.txt"; mail me@home.org about @Two.three.'
    text += " `@property`\n```\n@cached\n```"
    assert mentions(text) == [
        Mention("src/a.py"),
        Mention("a.py", 3, 4),
        Mention("my notes.txt"),
        Mention("Two.three"),
    ]


def test_names_stand_for_files_and_definitions(root: Path) -> None:
    workspace = Workspace((root,))
    found, said = resolved(workspace, 'What of @src/a.py:4-5, @"my notes.txt", @three and @Two.three?')
    assert said == []
    assert [(one.kind, one.name, one.shown()) for one in found] == [
        ("selection", "src/a.py", (4, 5)),
        ("file", "my notes.txt", (1, 3)),
        ("symbol", "Two.three in src/a.py", (9, 10)),
        ("symbol", "Two.three in src/a.py", (9, 10)),
    ]
    buffer = Buffer(uri_of(root / "src" / "a.py"), "\n\ndef one(): 'typed'\n", version=1, language_id="python")
    found, _ = resolved(Workspace((root,), lambda: [buffer]), "@one @a.py")
    assert [(one.name, one.shown()) for one in found] == [("one in src/a.py", (3, 3)), ("src/a.py", (1, 3))]


def test_a_file_may_have_any_characters_in_its_name(root: Path) -> None:
    names = [
        "app/[slug]/page.tsx",
        "+page.svelte",
        "c++/x.cpp",
        "(group)/layout.tsx",
        "[...rest].ts",
        "a#1.py",
        "ü&b.md",
    ]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("".join(f"line {row}\n" for row in range(1, 31)))
    workspace = Workspace((root,))
    for name in names:
        asked = [f"see @{name}", f"(see @{name}), please", f"@{name}'s end?", f"Is it in @{name}?", f"[@{name}]!"]
        for question in asked:
            found, said = resolved(workspace, question)
            assert ([one.name for one in found], said) == ([name], []), question
        found, said = resolved(workspace, f"(@{name}:10-20)")
        assert ([(one.name, one.shown()) for one in found], said) == ([(name, (10, 20))], [])


def test_what_looks_like_such_a_name_and_is_none(root: Path) -> None:
    workspace = Workspace((root,))
    found, said = resolved(workspace, "@app/[slug]/page.tsx, @+page.svelte and @{x} are not there; @three(a/b) is")
    assert said == [
        "@app/[slug]/page.tsx names no file of the workspace; it was sent as text.",
        "@+page.svelte names no file, function or class in the workspace; it was sent as text.",
    ]
    assert [one.name for one in found] == ["Two.three in src/a.py"]


def test_names_that_stand_for_nothing_or_for_what_is_hidden_are_said(root: Path) -> None:
    found, said = resolved(Workspace((root,)), "@nowhere @no/file.py @../x @hidden @.env @secret/b.py @src/a.py:99")
    assert found == []
    assert said[0] == "@nowhere names no file, function or class in the workspace; it was sent as text."
    assert said[1] == "@no/file.py names no file of the workspace; it was sent as text."
    assert "@../x" in said[2]
    assert said[3].startswith("@hidden names no file, function or class")
    assert "secrets" in said[4]
    assert "ignored" in said[5]
    assert said[6] == "src/a.py has 10 lines; there is no line 99 to attach."
    (root.parent / "outside.py").write_text("x")
    assert "outside the workspace" in resolved(Workspace((root,)), "@../outside.py")[1][0]


def test_a_question_points_at_lines_of_a_file(root: Path) -> None:
    whole = all_attached(Workspace((root,)), [Wanted(uri_of(root / "src" / "a.py"), "file")])[0][0]
    assert named_in("why does one() fail?", whole) == (4, 5)
    assert named_in("what does `three` do?", whole) == (9, 10)
    assert named_in("which one is it?", whole) is None


def test_a_long_word_in_a_question_takes_no_longer_for_what_it_is(root: Path) -> None:
    """As of a hash or an encoded picture that was pasted: all other threads wait meanwhile."""
    whole = all_attached(Workspace((root,)), [Wanted(uri_of(root / "src" / "a.py"), "file")])[0][0]
    began = time.process_time()
    assert named_in("what is " + "0a" * 50_000 + " in `three`?", whole) == (9, 10)
    assert time.process_time() - began < 2.0
