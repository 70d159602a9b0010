"""What models and users write, whatever it is: nothing raises, nothing takes for ever, and what must hold holds."""

from __future__ import annotations

import contextlib
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp_server.actions.answer import NoCode, code_of
from lsp_server.actions.rewrite import apply, rewrite
from lsp_server.chat.mentions import mentions, resolved
from lsp_server.completion.filters import tidy
from lsp_server.completion.stopping import place_at
from lsp_server.context.buffer import split_lines
from lsp_server.context.gitignore import as_bytes, parse
from lsp_server.context.syntax import selection
from lsp_server.context.workspace import Workspace

few = settings(max_examples=150, deadline=None)
LANGUAGES = ("python", "typescript", "rust", "go", "c", "html", "shellscript", "markdown", "plaintext", "", "no-such")
languages = st.sampled_from(LANGUAGES)

PIECES = [
    "```", "```python\n", "```diff\n", "~~~~", "[PYTHON]", "[/PYTHON]\n", "[PYTHON]\n", "[TESTS]\n", "python\n",
    "def f(a):\n", "    return a\n", "\treturn a\n", "class A:\n", "Here is the code:\n", "x = 1\n", "if x:\n", "}\n",
    '"""', "'", '"', "`", "# ", "// ", "/*", "*/", "(", ")", "[", "]", "{", "}", "\\", ";", "<div>", "${", "$(",
    "@", "@a.py:1", "@a.py:" + "9" * 5000, '@"', "-", "/", ".", "~", "*", "!", "a", "é", "🙂", "<<EOF\n",
    " ", "    ", "\n", "\r\n", "\r", "\0", "\u2028", "\ufeff", "\ud800", "\u200d", "\x1b[2J",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40).map("".join)


@few
@given(texts, languages, st.booleans(), st.booleans(), st.sampled_from(["", "f", "A", "\\", "("]))
def test_an_answer_has_code_or_a_sentence_why_not(
    answer: str, language: str, truncated: bool, fence_open: bool, name: str
) -> None:
    try:
        code = code_of(answer, language, truncated=truncated, fence_open=fence_open, name=name)
    except NoCode:
        return
    assert code.text.strip()
    assert code.text.endswith("\n")
    assert "\r" not in code.text


@few
@given(texts, texts, languages, st.data())
def test_an_edit_changes_nothing_outside_of_its_block(
    answer: str, text: str, language: str, data: st.DataObject
) -> None:
    lines = split_lines(text)
    first = data.draw(st.integers(0, len(lines) - 1))
    last = data.draw(st.integers(first, len(lines) - 1))
    block = selection(text, first, last)
    made = rewrite(answer, data.draw(st.booleans()), text, block, language, keep="nothing")
    for edit in made.edits:
        assert block.first_line <= edit.first_line <= edit.last_line <= block.last_line + 1
    after = split_lines(apply(lines, made.edits))
    assert after[: block.first_line] == lines[: block.first_line]
    below = lines[block.last_line + 1 :]
    assert "".join(after).endswith("".join(below))


@few
@given(texts, texts, texts, languages, st.sampled_from(["auto", "always", "never"]), st.booleans(), st.booleans())
def test_a_suggestion_is_worth_showing_or_has_a_reason(
    written: str, prefix: str, suffix: str, language: str, multiline: str, cut: bool, finished: bool
) -> None:
    here = place_at(prefix, suffix, multiline, language_id=language, cut_after=cut)
    shown, reason = tidy(written, here, finished=finished)
    assert bool(shown) != bool(reason)
    assert not set(shown) & {chr(code) for code in (*range(9), *range(11, 32), 127, 0x2028, 0xFEFF, 0xFFFD)}


CODE = st.text(alphabet="ab=+, \n()[]{}", max_size=60)
PAIRS = {")": "(", "]": "[", "}": "{"}


@settings(max_examples=300, deadline=None)
@given(CODE, st.text(alphabet="ab= \n", max_size=20), st.text(alphabet="ab= \n", max_size=20))
def test_a_suggestion_closes_what_it_opens_and_no_more(written: str, prefix: str, suffix: str) -> None:
    """Where there are no brackets around it: seen without the program's own way of looking at them."""
    shown, _ = tidy(written, place_at(prefix, suffix, "always"), finished=True)
    opened: list[str] = []
    for char in shown:
        if char in "([{":
            opened.append(char)
        elif char in PAIRS:
            assert opened
            assert opened.pop() == PAIRS[char]
    assert opened == []


RULE = st.binary(max_size=40) | st.text(alphabet="a*?[]!/\\-#^: ", max_size=20).map(str.encode)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(RULE, max_size=8),
    st.text(alphabet="ab/.*[]é\udcff", min_size=1, max_size=40),
    st.booleans(),
    st.booleans(),
)
def test_rules_of_any_bytes(rules: list[bytes], path: str, is_folder: bool, fold: bool) -> None:
    verdict = parse(b"\n".join(rules), "here", fold=fold).verdict(as_bytes(path, fold=fold), is_folder=is_folder)
    assert verdict in (True, False, None)


@few
@given(texts)
def test_mentions_of_any_text(text: str) -> None:
    found = mentions(text)
    assert len(found) == len(set(found))
    for each in found:
        assert each.name
        assert each.name in text


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("work").resolve()
    (folder / "a.py").write_text("def f(a):\n    return a\n")
    return Workspace([folder])


@few
@given(st.lists(st.sampled_from([*PIECES, '@"', '"', "@"]), max_size=20).map("".join), st.text(min_size=1, max_size=5))
def test_what_any_mention_stands_for(workspace: Workspace, text: str, name: str) -> None:
    for question in (text, f"@{name}", f'@"{name}"', f"@a.py:{name}", '@"\ud800"', '@"\udcff/a":1'):
        found, said = resolved(workspace, question)
        assert len(found) <= len(mentions(question))
        assert all(said)


@few
@given(st.text(alphabet=string.ascii_letters + "./_", min_size=1, max_size=20).filter(lambda name: name[-1].isalnum()))
def test_a_name_is_found_as_it_was_written(name: str) -> None:
    assert [each.name for each in mentions(f"What does @{name} do?")] == [name]
    assert mentions(f"What does `@{name}` do?") == []


# What a model may write at most, in one piece again and again: an answer, and a suggestion, of a thousand tokens.
MOST, MOST_SUGGESTED = 40_000, 16_000


@pytest.mark.timeout(100)  # all of them together take a few seconds
@pytest.mark.parametrize(
    "piece", [*PIECES, "[PYTHON]\n[CODE]\n", "a\n\n", "(a\n", "`a", "@a ", "Well, that is it.\n", "* a\n"]
)
def test_nothing_takes_for_ever(piece: str) -> None:
    text = piece * (MOST // len(piece))
    for language in ("python", "typescript", "markdown", ""):
        for fence_open in (False, True):
            with contextlib.suppress(NoCode):
                code_of(text, language, fence_open=fence_open, name="f")
        tidy(text[:MOST_SUGGESTED], place_at("x = ", text[:2000], "always", language_id=language), finished=True)
        tidy(text[:2000], place_at(text[:8000], text[:8000], "always", language_id=language), finished=True)
    mentions(text)
    parse(text.encode("utf-8", "surrogatepass"), "here").verdict("a" * 400, is_folder=False)
