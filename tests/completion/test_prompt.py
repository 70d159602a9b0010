"""Prompts at cursors inside tokens: what counts only as text. Token borders are Meta's vocabulary's, worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import prompt as prompts
from lsp_server.context.buffer import Buffer
from lsp_server.settings import Settings


@pytest.fixture
def tokenizer(tokenizer_folder: Callable[..., Path]) -> CodeLlamaTokenizer:
    return CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"))


def built(
    text: str, tokenizer: CodeLlamaTokenizer, *, healing: bool = True, settings: Settings | None = None
) -> prompts.Prompt:
    before, _, after = text.partition("¦")
    buffer = Buffer("untitled:a", before + after)
    lines = Buffer("untitled:b", before).lines
    row, column = len(lines) - 1, len(lines[-1])
    return prompts.build(buffer, row, column, settings or Settings(), tokenizer, 4096, healing=healing)


@pytest.mark.parametrize(
    ("text", "pending"),
    [
        ("x = retur¦\ny\n", " retur"),  # "▁ret" "ur": the whole word, with the space that belongs to its token
        ("def f():\n    ¦\n", "    "),
        ("foo(¦)\n", "("),
        ("x = ¦\n", " "),
        ("import os\n¦", "\n"),
        ("return self.pre¦\n", "pre"),
        ("a = 'é¦'\n", "é"),
    ],
)
def test_the_end_of_the_prefix_is_healed(text: str, pending: str, tokenizer: CodeLlamaTokenizer) -> None:
    made = built(text, tokenizer)
    assert (made.kind, made.pending) == ("spm", pending)
    assert made.heal >= 1
    assert tokenizer.decode(made.ids[-made.heal :]) == pending
    # What is asked is Meta's own prompt: healing is the engine's matter.
    before, _, after = text.partition("¦")
    assert made.ids == tokenizer.infill_ids(before, after, "spm")


def test_of_a_long_word_only_the_end(tokenizer: CodeLlamaTokenizer) -> None:
    made = built("x = antidisestablishmentarianism_of_the_highest_orde¦\n", tokenizer)
    assert made.heal == prompts.MOST_HEALED
    assert made.pending in "antidisestablishmentarianism_of_the_highest_orde"


@pytest.mark.parametrize("text", ["¦x\n", "de¦\n"])
def test_the_beginning_of_a_file_has_nothing_to_heal_before_it(text: str, tokenizer: CodeLlamaTokenizer) -> None:
    """The implicit space of the vocabulary, and the control tokens, are not the user's text."""
    assert built(text, tokenizer).pending in text.partition("¦")[0]


def test_without_healing_not_suffix_first_in_a_word(tokenizer: CodeLlamaTokenizer) -> None:
    made = built("x = retur¦\n", tokenizer, healing=False)
    assert (made.kind, made.heal, made.pending) == ("psm", 0, "")
    assert built("x = ¦\n", tokenizer, healing=False).kind == "spm"
    assert built("x = retur¦\n", tokenizer, settings=Settings(layout="psm")).kind == "psm"


def test_a_model_without_infilling(tokenizer_folder: Callable[..., Path]) -> None:
    tokenizer = CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"), infilling="off")
    made = built("x = retur¦\n", tokenizer)
    assert (made.kind, made.pending) == ("completion", " retur")
    assert made.ids == tokenizer.completion_ids("x = retur")
    made = built("def f():\n    ¦\n", tokenizer, healing=False)
    assert (made.heal, made.pending) == (0, "    ")
    assert made.ids == tokenizer.completion_ids("def f():\n")
