"""Every code action over the wire, on real functions: the real server, and a model that says what it is told."""

from __future__ import annotations

import dataclasses
import textwrap
from pathlib import Path
from typing import Any

import pytest
from acting_editor import ADD, ANSWER, DOCUMENTED, ActingEditor, acting_editor, capabilities, diagnostic, opened
from lsprotocol import types
from stand_in import StandIn

from lsp_server.context.syntax import Block, symbols

FILES = Path(__file__).parent / "files"


@dataclasses.dataclass(frozen=True)
class Sample:
    """How a language is written, for what the model is made to say."""

    file: str
    language: str
    comment: str
    doc: str
    stub: str
    tests: str


SAMPLES = [
    Sample("journal.py", "python", "# done", '"""Says."""', "raise NotImplementedError", "tests/test_journal.py"),
    Sample("cart.ts", "typescript", "// done", "/** Says. */", 'throw new Error("TODO");', "test/cart.test.ts"),
    Sample("ring.rs", "rust", "// done", "/// Says.", "todo!()", "ring.rs"),
    Sample("queue.go", "go", "// done", "// Says.", 'panic("not implemented")', "queue_test.go"),
    Sample("Ledger.java", "java", "// done", "/** Says. */", 'throw new Error("TODO");', "LedgerTest.java"),
    Sample("strbuf.c", "c", "// done", "/** Says. */", "abort();", "tests/test_strbuf.c"),
]  # fmt: skip


# Every action, on real functions


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of a sample that is open in the editor."""

    editor: ActingEditor
    engine: StandIn
    uri: str
    text: str
    block: Block
    sample: Sample
    number: int

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines(keepends=True)

    @property
    def at(self) -> tuple[int, int]:
        return self.block.header_line, len(self.block.indent) + 1

    @property
    def body(self) -> int:
        assert self.block.body_first_line is not None
        return self.block.body_first_line

    def with_line(self, row: int, line: str) -> str:
        return "".join([*self.lines[:row], f"{line}\n", *self.lines[row:]])

    async def becomes(self, expected: str, title: str, *, found: types.Diagnostic | None = None) -> None:
        """The file is `expected` after the action, if the model answers with the block as it is there."""
        self.engine.answers = [_answer(self, expected)]
        items = await self.editor.menu(self.uri, self.at, diagnostics=[found] if found else [])
        resolved = await self.editor.choose(items, title)
        assert resolved.edit is not None, (title, self.block.path, self.editor.messages)
        assert self.editor.texts[self.uri] == expected, (title, self.block.path)
        _reset(self.editor, self.uri, self.text)


def functions_of(editor: ActingEditor, engine: StandIn, folder: Path, sample: Sample) -> list[Function]:
    text = (FILES / sample.file).read_text()
    uri = opened(editor, folder, text, sample.file, sample.language)
    blocks = [
        block
        for block in symbols(text, sample.language)
        if block.kind == "function" and block.body_first_line is not None and block.last_line > block.header_line + 1
    ]
    assert len(blocks) >= 5
    return [Function(editor, engine, uri, text, block, sample, number) for number, block in enumerate(blocks)]


by_language = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.language)


@by_language
async def test_edits(editor: ActingEditor, engine: StandIn, tmp_path: Path, sample: Sample) -> None:
    for each in functions_of(editor, engine, tmp_path, sample):
        name, inner = each.block.name, _indent(each.lines[each.body])
        commented = each.with_line(each.body, f"{inner}{sample.comment}")
        await each.becomes(commented, f"Simplify `{name}`")
        await each.becomes(commented, f"Optimize `{name}`")
        await each.becomes(commented, "Fix: This is wrong.", found=diagnostic(each.block.header_line))
        if sample.language in ("python", "typescript"):
            await each.becomes(commented, f"Add types to `{name}`")
        if each.block.docs is None:
            inside = sample.language == "python"
            row, indent = (each.body, inner) if inside else (each.block.first_line, each.block.indent)
            await each.becomes(each.with_line(row, f"{indent}{sample.doc}"), f"Document `{name}`")


@by_language
async def test_answers(editor: ActingEditor, engine: StandIn, tmp_path: Path, sample: Sample) -> None:
    engine.answers = ["It *adds*."]
    editor.chosen = "Go" if sample.language != "go" else "C"
    for each in functions_of(editor, engine, tmp_path, sample):
        items = await editor.menu(each.uri, each.at, diagnostics=[diagnostic(each.block.header_line)])
        for title in (f"Explain `{each.block.name}`", "Translate", "Explain: This is wrong."):
            answer = await editor.choose(items, title)
            assert answer["answer"] == "It *adds*."
            assert editor.shown[-1].endswith("It *adds*.\n")
        assert editor.texts[each.uri] == each.text
    assert f"to {editor.chosen}, the way" in str([engine.prompt_of(asked) for asked in engine.asked])


@by_language
async def test_implement(editor: ActingEditor, engine: StandIn, tmp_path: Path, sample: Sample) -> None:
    """The bodies are taken out of the file, and the model infills them."""
    for each in functions_of(editor, engine, tmp_path, sample):
        closes = sample.language != "python"
        end = each.block.last_line if closes else each.block.last_line + 1
        inside = each.block.docs is not None and each.block.docs[0] >= each.body
        first = each.block.docs[1] + 1 if inside and each.block.docs else each.body
        stub = f"{_indent(each.lines[each.body])}{sample.stub}\n"
        _reset(editor, each.uri, "".join([*each.lines[:first], stub, *each.lines[end:]]))
        # A model may go on beyond the end of what it is to write.
        engine.answers = ["".join(each.lines[first:end]) + ("" if closes else "\n\ndef other():\n    pass\n")]
        await editor.choose(await editor.menu(each.uri, each.at), f"Implement `{each.block.name}`")
        assert editor.texts[each.uri] == each.text, each.block.path
        assert "<SUF>" in engine.prompt


@by_language
async def test_do_what_a_comment_says(editor: ActingEditor, engine: StandIn, tmp_path: Path, sample: Sample) -> None:
    for each in functions_of(editor, engine, tmp_path, sample):
        inner = _indent(each.lines[each.body])
        _reset(editor, each.uri, each.with_line(each.body, f"{inner}{sample.comment.replace('done', 'log it')}"))
        expected = each.with_line(each.body, f"{inner}{sample.comment}")
        engine.answers = [_answer(each, expected)]
        await editor.choose(await editor.menu(each.uri, (each.body, len(inner) + 1)), "Do what this comment says")
        assert editor.texts[each.uri] == expected
        assert "> log it" in engine.prompt


@by_language
async def test_write_tests(editor: ActingEditor, engine: StandIn, tmp_path: Path, sample: Sample) -> None:
    text = (FILES / sample.file).read_text()
    uri = opened(editor, tmp_path, text, sample.file, sample.language)
    block = next(each for each in symbols(text, sample.language) if each.kind == "function")
    code = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn more() {}\n}\n" if sample.language == "rust" else ADD
    engine.answers = [f"```\n{code}```\n"]
    await editor.choose(await editor.menu(uri, (block.header_line, len(block.indent) + 1)), "Write tests")
    made = (tmp_path / sample.tests).as_uri()
    if sample.language == "rust":
        assert editor.texts[made] == text.rstrip()[:-1].rstrip() + "\n\n    #[test]\n    fn more() {}\n}\n"
        assert editor.created == []
    else:
        assert editor.texts[made] == code
        assert editor.created == [made]
        assert editor.texts[uri] == text


async def test_tests_are_added_to_those_there_are(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("from a import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n")
    uri = opened(editor, tmp_path)
    engine.answers = ["```python\nfrom a import add\n\n\ndef test_zero():\n    assert add(0, 0) == 0\n```"]
    await editor.choose(await editor.menu(uri, (0, 5)), "Write tests")
    assert editor.created == []
    assert editor.texts[(tmp_path / "tests/test_a.py").as_uri()] == (
        "from a import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n\n\n"
        "def test_zero():\n    assert add(0, 0) == 0\n"
    )
    assert "with pytest" in engine.prompt


async def test_positions_count_as_the_client_does(options: dict[str, Any], engine: StandIn, tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-16", "utf-32"):
        async with acting_editor(options, tmp_path, capabilities(encoding=encoding)) as editor:
            uri = opened(editor, tmp_path, 'def add(a, b):\n    return a + b + len("é€😀")')
            engine.answers = ['```\ndef add(a, b):\n    """Add."""\n    return a + b + len("é€😀é")\n```']
            await editor.choose(await editor.menu(uri, (0, 5)), "Simplify")
            # Lines are replaced whole, so the end is the only column: that of a last line without an ending.
            assert '"""Add."""\n    return a + b + len("é€😀é")' in editor.texts[uri]


async def test_crlf_and_no_final_newline(editor: ActingEditor, engine: StandIn, tmp_path: Path) -> None:
    uri = opened(editor, tmp_path, ADD.replace("\n", "\r\n").rstrip())
    engine.answers = [ANSWER]
    await editor.choose(await editor.menu(uri, (0, 5)), "Document")
    assert editor.texts[uri] == DOCUMENTED.replace("\n", "\r\n").rstrip()


def _answer(function: Function, expected: str) -> str:
    """The block as it is in `expected`, in the ways that models answer."""
    new, block = expected.splitlines(keepends=True), function.block
    added = len(new) - len(function.lines)
    code = "".join(new[block.first_line : block.last_line + 1 + added])
    dedented = textwrap.dedent(code)
    return [
        f"```{function.sample.language}\n{dedented}```",
        f"Here is the code:\n\n```\n{code}```\n\nI changed a line.",
        f"Sure!\n```{function.sample.language}\n{dedented}```",
    ][function.number % 3]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _reset(editor: ActingEditor, uri: str, text: str) -> None:
    editor.texts[uri] = text
    editor.change(uri, types.TextDocumentContentChangeWholeDocument(text))
