"""Every code action over the wire, on real functions: the real server, and a model that says what it is told."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from acting_editor import ADD, ANSWER, DOCUMENTED, ActingEditor, acting_editor, capabilities, diagnostic, opened
from lsprotocol import types
from real_files import SOURCES, Noted, Source
from stand_in import StandIn

from lsp_server.context.syntax import errors

ANSWER_FORMS = 5

by_language = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.language)


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of a real file that is open in the editor. Rows count from 0."""

    editor: ActingEditor
    engine: StandIn
    uri: str
    source: Source
    noted: Noted

    @property
    def lines(self) -> list[str]:
        return self.source.text.splitlines(keepends=True)

    @property
    def code(self) -> str:
        """Its lines, with what stands above it."""
        return "".join(self.lines[self.noted.first - 1 : self.noted.last])

    @property
    def header(self) -> int:
        return self.noted.header - 1

    @property
    def body(self) -> int:
        return self.noted.body - 1

    @property
    def end(self) -> int:
        """The row behind the body: of the bracket that closes it, if one does."""
        return self.noted.last - (self.source.language != "python")

    @property
    def at(self) -> tuple[int, int]:
        return self.header, len(_indent(self.lines[self.header])) + 1

    def with_line(self, row: int, line: str) -> str:
        return "".join([*self.lines[:row], line + self.source.newline, *self.lines[row:]])

    def stub(self) -> str:
        """The file with nothing in the body of this function."""
        stub = f"{_indent(self.lines[self.body])}{self.source.stub}{self.source.newline}"
        return "".join([*self.lines[: self.body], stub, *self.lines[self.end :]])

    def documented(self) -> str:
        """The file with the language's documentation for this function: in the place of what it has, or where it
        belongs by the language's convention."""
        inside, docs = self.source.language == "python", self.noted.docs
        row = docs[0] - 1 if docs else self.body if inside else self.noted.first - 1
        end = docs[1] if docs else row
        indent = _indent(self.lines[self.body if inside else self.header])
        doc = textwrap.indent(self.source.doc, indent).replace("\n", self.source.newline) + self.source.newline
        return "".join([*self.lines[:row], doc, *self.lines[end:]])

    def answered(self, expected: str, rows: tuple[int, int] | None = None) -> str:
        """The function, or what was on some rows, as it is in `expected`, in the ways that models answer."""
        new = expected.splitlines(keepends=True)
        first, last = rows or (self.noted.first - 1, self.noted.last - 1)
        code = "".join(new[first : last + 1 + len(new) - len(self.lines)]).replace("\r\n", "\n")
        if not code.endswith("\n"):
            code += "\n"
        dedented = textwrap.dedent(code)
        name = self.source.language
        return [
            f"```{name}\n{dedented}```",
            f"Here is the code:\n\n```\n{code}```\n\nI changed a line.",
            f"Sure!\n```{name}\n{dedented}```",
            f"```{name}\n{dedented}```\n".replace("\n", "\r\n"),
            f"```{name}\n{_indented_otherwise(dedented)}```",
        ][len(self.engine.asked) % ANSWER_FORMS]

    async def becomes(self, expected: str, title: str, *, found: types.Diagnostic | None = None) -> None:
        """The file is `expected` after the action, if the model answers with the function as it is there."""
        # Of a function of 150 lines or more, a diagnostic has only the 12 lines above and below it rewritten.
        is_long = found is not None and self.noted.last - self.noted.first >= 150
        self.engine.answers = [self.answered(expected, (self.header - 12, self.header + 12) if is_long else None)]
        items = await self.editor.menu(self.uri, self.at, diagnostics=[found] if found else [])
        resolved = await self.editor.choose(items, title)
        assert resolved.edit is not None, (title, self.noted, self.editor.messages)
        assert self.editor.texts[self.uri] == expected, (title, self.noted)
        assert errors(expected, self.source.language) == errors(self.source.text, self.source.language)
        _reset(self.editor, self.uri, self.source.text)


def functions_of(editor: ActingEditor, engine: StandIn, folder: Path, source: Source) -> list[Function]:
    uri = opened(editor, folder, source.text, source.name, source.language)
    return [Function(editor, engine, uri, source, noted) for noted in source.functions]


# Every action, on real functions


@by_language
async def test_the_function_at_the_cursor(
    editor: ActingEditor, engine: StandIn, tmp_path: Path, source: Source
) -> None:
    """From its first line, its header, its body and its last line the model is shown the same, whole function."""
    engine.answers = ["It *says*."]
    for each in functions_of(editor, engine, tmp_path, source):
        code = textwrap.dedent(each.code.replace("\r\n", "\n")).strip("\n")
        for row in {each.noted.first - 1, each.header, each.body, each.noted.last - 1}:
            items = await editor.menu(each.uri, (row, len(_indent(each.lines[row]))))
            await editor.choose(items, f"Explain `{each.noted.name}`")
            assert re.search(rf"\n(```+){source.language}\n{re.escape(code)}\n\1\n", engine.prompt), (row, each.noted)


@by_language
async def test_edits(editor: ActingEditor, engine: StandIn, tmp_path: Path, source: Source) -> None:
    for each in functions_of(editor, engine, tmp_path, source):
        name = each.noted.name
        commented = each.with_line(each.body, f"{_indent(each.lines[each.body])}{source.comment}")
        await each.becomes(commented, f"Simplify `{name}`")
        await each.becomes(commented, f"Optimize `{name}`")
        await each.becomes(commented, "Fix: This is wrong.", found=diagnostic(each.header))
        menu = await each.editor.menu(each.uri, each.at)
        if any(item.title.startswith("Add types") for item in menu):  # some have all of them
            await each.becomes(commented, f"Add types to `{name}`")
        await each.becomes(each.documented(), f"Document `{name}`")


@by_language
async def test_answers(editor: ActingEditor, engine: StandIn, tmp_path: Path, source: Source) -> None:
    engine.answers = ["It *adds*."]
    editor.chosen = "Go" if source.language != "go" else "C"
    for each in functions_of(editor, engine, tmp_path, source):
        items = await editor.menu(each.uri, each.at, diagnostics=[diagnostic(each.header)])
        for title in (f"Explain `{each.noted.name}`", "Translate", "Explain: This is wrong."):
            answer = await editor.choose(items, title)
            assert answer["answer"] == "It *adds*."
            assert editor.shown[-1].endswith("It *adds*.\n")
        assert editor.texts[each.uri] == source.text
    assert f"to {editor.chosen}, the way" in str([engine.prompt_of(asked) for asked in engine.asked])


@by_language
async def test_implement(editor: ActingEditor, engine: StandIn, tmp_path: Path, source: Source) -> None:
    """The bodies are taken out of the file, and the model infills them."""
    for each in functions_of(editor, engine, tmp_path, source):
        _reset(editor, each.uri, each.stub())
        # A model may go on beyond the end of what it is to write.
        body = "".join(each.lines[each.body : each.end]).replace("\r\n", "\n")
        engine.answers = [body + ("\n\ndef other():\n    pass\n" if source.language == "python" else "")]
        await editor.choose(await editor.menu(each.uri, each.at), f"Implement `{each.noted.name}`")
        assert editor.texts[each.uri] == source.text, each.noted
        assert "<SUF>" in engine.prompt


@by_language
async def test_implement_by_chat(options: dict[str, Any], engine: StandIn, tmp_path: Path, source: Source) -> None:
    """The model answers with the whole function, in other words and with a parameter more: only its body is taken."""
    async with acting_editor({**options, "infilling": "off"}, tmp_path) as editor:
        for each in functions_of(editor, engine, tmp_path, source):
            reworded = each.documented().splitlines(keepends=True)
            row = next(
                row for row in range(each.noted.first - 1, len(reworded)) if reworded[row] == each.lines[each.header]
            )
            reworded[row] = re.sub(
                r"\((\))?", lambda found: f"({source.parameter}{')' if found[1] else ', '}", reworded[row], count=1
            )
            _reset(editor, each.uri, each.stub())
            engine.answers = [each.answered("".join(reworded))]
            resolved = await editor.choose(await editor.menu(each.uri, each.at), f"Implement `{each.noted.name}`")
            assert resolved.edit is not None, (each.noted, editor.messages)
            assert editor.texts[each.uri] == source.text, each.noted
            assert "<SUF>" not in engine.prompt


async def test_implement_by_chat_on_one_line(options: dict[str, Any], engine: StandIn, tmp_path: Path) -> None:
    """Where header and body share a line the whole is replaced, but only by one with the same signature."""
    async with acting_editor({**options, "infilling": "off"}, tmp_path) as editor:
        uri = opened(editor, tmp_path, "def add(a, b): pass\n")
        engine.answers = ["```\ndef add(a, b, c=0):\n    return a + b + c\n```", f"```\n{ADD}```"]
        resolved = await editor.choose(await editor.menu(uri, (0, 5)), "Implement")
        assert resolved.edit is None
        assert "changed the signature" in (await editor.until(lambda: editor.messages))[0]
        await editor.choose(await editor.menu(uri, (0, 5)), "Implement")
        assert editor.texts[uri] == ADD


@by_language
async def test_do_what_a_comment_says(editor: ActingEditor, engine: StandIn, tmp_path: Path, source: Source) -> None:
    for each in functions_of(editor, engine, tmp_path, source):
        inner = _indent(each.lines[each.body])
        asked = each.with_line(each.body, f"{inner}{source.comment.replace('done', 'log it')}")
        expected = each.with_line(each.body, f"{inner}{source.comment}")
        _reset(editor, each.uri, asked)
        engine.answers = [each.answered(expected)]
        await editor.choose(await editor.menu(each.uri, (each.body, len(inner) + 1)), "Do what this comment says")
        assert editor.texts[each.uri] == expected, each.noted
        assert "> log it" in engine.prompt


@by_language
async def test_write_tests(editor: ActingEditor, engine: StandIn, tmp_path: Path, source: Source) -> None:
    for each in functions_of(editor, engine, tmp_path, source):
        code = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn more() {}\n}\n" if source.language == "rust" else ADD
        engine.answers = [f"```\n{code}```\n"]
        await editor.choose(await editor.menu(each.uri, each.at), f"Write tests for `{each.noted.name}`")
        made = tmp_path / source.tests
        if source.language == "rust":
            expected = source.text.rstrip()[:-1].rstrip() + "\n\n    #[test]\n    fn more() {}\n}\n"
            assert editor.texts[made.as_uri()] == expected
            assert editor.created == []
            _reset(editor, each.uri, source.text)
        else:
            assert editor.texts.pop(made.as_uri()) == code
            assert editor.created.pop() == made.as_uri()
            assert editor.texts[each.uri] == source.text
            made.unlink()


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


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _indented_otherwise(code: str) -> str:
    """In spaces where the code has tabs, else in tabs."""
    if re.search(r"^\t", code, re.M):
        return re.sub(r"^\t+", lambda tabs: "    " * len(tabs[0]), code, flags=re.M)
    step = min(len(each) for each in re.findall(r"^ {2,}(?![ *])", code, re.M))
    return re.sub(rf"^(?: {{{step}}})+", lambda blanks: "\t" * (len(blanks[0]) // step), code, flags=re.M)


def _reset(editor: ActingEditor, uri: str, text: str) -> None:
    editor.texts[uri] = text
    editor.change(uri, types.TextDocumentContentChangeWholeDocument(text))
