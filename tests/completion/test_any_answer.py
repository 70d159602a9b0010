"""Whatever a model writes, wherever the cursor is: what must hold of what is shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsp_server.completion import filters
from lsp_server.completion.filtering import counting
from lsp_server.completion.stopping import place_at
from lsp_server.context.buffer import Buffer

LANGUAGES = (
    "python",
    "typescript",
    "typescriptreact",
    "go",
    "rust",
    "c",
    "ruby",
    "shellscript",
    "html",
    "markdown",
    "",
)
PIECES = [
    "def f(a):\n", "    return a\n", "\treturn a\n", "class A:\n", "x = 1\n", "if (x) {\n", "}\n", "} else {\n",
    "end\n",
    "a.b(", "a, b", ")", "[", "]", "{", ";", ",", '"', "'", "`", '"""', "\n\n", "\n", "\r\n", "\r", "    ", "  ", "\t",
    " ", "# a\n", "// a\n", "/* ", " */", "```\n", "```python\n", "Here is the code that you want:\n", "<EOT>", "</s>",
    "<|im_end|>", "\u200b", "\ufeff", "\ud800", "\0", "é", "🙂", "return ", "a +", "${", "<div>", "import os\n",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30).map("".join)
languages = st.sampled_from(LANGUAGES)
several = st.sampled_from(["auto", "always", "never"])


@settings(max_examples=200, deadline=None)
@given(texts, texts, texts, languages, several, st.booleans(), st.booleans())
def test_what_is_shown_is_text_and_stays_as_it_is(
    written: str, prefix: str, suffix: str, language: str, multiline: str, cut: bool, finished: bool
) -> None:
    here = place_at(prefix, suffix, multiline, language_id=language, cut_after=cut)
    shown, reason = filters.tidy(written, here, finished=finished)
    assert bool(shown) is not bool(reason)
    assert "\r" not in shown
    assert shown.encode().decode() == shown
    assert filters.tidy(shown, here, finished=True)[0] == shown


@settings(max_examples=100, deadline=None)
@given(texts, st.lists(st.sampled_from(["a = 1", "    b()", "", "\tc {", "}"]), min_size=1, max_size=8), st.data())
def test_nothing_around_it_changes(written: str, lines: list[str], data: st.DataObject) -> None:
    newline = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    buffer = Buffer("file:///a.py", newline.join(lines), language_id="python")
    row = data.draw(st.integers(0, len(buffer.lines) - 1))
    column = data.draw(st.integers(0, len(buffer.lines[row].rstrip("\r\n"))))
    here = place_at(
        "\n".join([*lines[:row], lines[row][:column]]), "\n".join([lines[row][column:], *lines[row + 1 :]]), "auto"
    )
    shown, _ = filters.tidy(written, here, finished=True)
    after, _, _ = buffer.with_text(row, column, shown)
    before = "".join(buffer.lines[:row]) + buffer.lines[row][:column]
    assert after.source.startswith(before + shown)
    assert after.source[len(before) + len(shown) :] == buffer.source[len(before) :]


@pytest.mark.parametrize("line", ["a = b c\n", "    if x\n", "f(\n", "x = '\n", "} }\n", "a +\n"])
def test_it_is_parsed_only_so_often(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def counted(text: str, language_id: str) -> int:
        lengths.append(len(text))
        return parsed(text, language_id) or 0

    parsed = counting.errors
    monkeypatch.setattr(counting, "errors", counted)
    for language in ("python", "typescript"):
        here = place_at("x = 1\n" * 20_000, "y = 2\n" * 20_000, "always", language_id=language)
        filters.tidy(line * 40, here, finished=True)
    assert len(lengths) <= 2 * filters.MOST_ROUNDS * 30
    assert max(lengths, default=0) <= 20_000


@pytest.mark.parametrize("answer", ["a {} b (c [d {{e f", "x y) {} z] w", 'f("a, {} b'])
@pytest.mark.parametrize("language", ["python", "typescript", "go"])
def test_in_front_of_the_rest_of_a_line_it_is_parsed_a_few_times(
    language: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []

    def counted(text: str, language_id: str) -> int:
        texts.append(text)
        return parsed(text, language_id) or 0

    parsed = counting.errors
    monkeypatch.setattr(counting, "errors", counted)
    here = place_at("x = 1\n" * 200 + "x = f(", "y, z q)\n" + "y = 2\n" * 200, "auto", language_id=language)
    filters.tidy(" ".join(answer.format(f"name{at * at}") for at in range(12)), here, finished=True)
    assert 0 < len(texts) <= 60
    assert len(texts) == len(set(texts)), "nothing is parsed twice"
