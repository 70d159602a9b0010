"""What other files add, in front of the window: as a comment of the language, within its tokens, and never in the way
of what must stay first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import prompt as prompts
from lsp_server.context.buffer import Buffer
from lsp_server.context.related.piece import Added, Piece
from lsp_server.settings import Settings

BEST = Piece("imports", "lib/area.py", "def area(radius):\n    ...\n")
SECOND = Piece("edits", "b.py", "-old\n+new\n")
LONG = Piece("similar", "long.py", "value = compute(value)\n" * 400)


@pytest.fixture
def tokenizer(tokenizer_folder: Callable[..., Path]) -> CodeLlamaTokenizer:
    return CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"))


def built(
    text: str,
    tokenizer: CodeLlamaTokenizer,
    *related: Piece,
    language: str = "python",
    healing: bool = True,
    settings: Settings | None = None,
) -> prompts.Prompt:
    before, _, after = text.partition("¦")
    buffer = Buffer("untitled:a", before + after, language_id=language)
    lines = Buffer("untitled:b", before).lines
    place = len(lines) - 1, len(lines[-1])
    return prompts.build(
        buffer, *place, settings or Settings(), tokenizer, 4096, healing=healing, related=Added(tuple(related))
    )


@pytest.mark.parametrize("layout", ["psm", "spm"])
def test_the_most_useful_is_nearest_to_the_cursor(layout: str, tokenizer: CodeLlamaTokenizer) -> None:
    settings = Settings(layout=layout)  # type: ignore[arg-type]
    made = built("x = ar¦\ny\n", tokenizer, BEST, SECOND, settings=settings)
    before = "# Path: b.py\n# -old\n# +new\n\n# Path: lib/area.py\n# def area(radius):\n#     ...\n\nx = ar"
    assert made.ids == tokenizer.infill_ids(before, "\ny\n", layout)  # type: ignore[arg-type]
    assert [(each.piece, each.tokens > 0) for each in made.related] == [(BEST, True), (SECOND, True)]
    assert made.window.prefix == "x = ar", "what is checked of a suggestion is checked against the buffer"


def test_a_model_that_does_not_infill_sees_it_too(tokenizer_folder: Callable[..., Path]) -> None:
    tokenizer = CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"), infilling="off")
    made = built("x = ¦\n", tokenizer, SECOND, healing=False)
    assert made.ids == tokenizer.completion_ids("# Path: b.py\n# -old\n# +new\n\nx =")
    assert made.pending == " "


def test_without_pieces_the_prompt_is_that_of_the_buffer_alone(tokenizer: CodeLlamaTokenizer) -> None:
    before, after = "import os\n\n\ndef f():\n    ", "\n"
    made = built(f"{before}¦{after}", tokenizer)
    assert made.ids == tokenizer.infill_ids(before, after, "spm")
    assert (made.related, made.left_out) == ((), ())


@pytest.mark.parametrize(
    ("language", "comment"),
    [
        ("python", "# Path: b.py\n# -old\n# +new\n\n"),
        ("go", "// Path: b.py\n// -old\n// +new\n\n"),
        ("lua", "-- Path: b.py\n-- -old\n-- +new\n\n"),
        ("css", "/* Path: b.py\n-old\n+new\n*/\n\n"),
        ("html", "<!-- Path: b.py\n-old\n+new\n-->\n\n"),
    ],
)
def test_the_comment_is_one_of_the_language(language: str, comment: str, tokenizer: CodeLlamaTokenizer) -> None:
    made = built("x ¦\n", tokenizer, SECOND, language=language)
    assert tokenizer.infill_ids(comment + "x ", "\n", "spm") == made.ids


def test_a_comment_is_not_ended_by_what_is_in_it(tokenizer: CodeLlamaTokenizer) -> None:
    made = built("x ¦\n", tokenizer, Piece("open", "a.css", "/* a */ b {}\n"), language="css")
    assert tokenizer.shown(made.ids).count("*/") == 1


@pytest.mark.parametrize("language", ["plaintext", "json", "some-language"])
def test_no_comment_in_a_language_of_which_none_are_known(language: str, tokenizer: CodeLlamaTokenizer) -> None:
    made = built("x ¦\n", tokenizer, SECOND, language=language)
    assert made.ids == tokenizer.infill_ids("x ", "\n", "spm")
    assert [each.piece for each in made.left_out] == [SECOND]


@pytest.mark.parametrize(
    ("language", "first"),
    [
        ("python", "#!/usr/bin/env python\n"),
        ("python", "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n"),
        ("python", "# vim: set fileencoding=latin-1 :\n"),
        ("php", "<?php\n"),
        ("html", "<!DOCTYPE html>\n"),
        ("dockerfile", "# syntax=docker/dockerfile:1\n"),
        ("ruby", "# frozen_string_literal: true\n"),
    ],
)
def test_what_must_stay_first_stays_first(language: str, first: str, tokenizer: CodeLlamaTokenizer) -> None:
    made = built(f"{first}x ¦\n", tokenizer, SECOND, language=language)
    text = tokenizer.shown(made.ids)
    assert text.index(first) < text.index("Path: b.py") < text.index("\nx ")
    # Nothing is put above a line that may become such a one.
    assert "Path:" not in tokenizer.shown(built(f"{first[:1]}¦\n", tokenizer, SECOND, language=language).ids)


def test_rust_attributes_need_not_be_first(tokenizer: CodeLlamaTokenizer) -> None:
    text = tokenizer.shown(built("#![allow(x)]\nfn ¦\n", tokenizer, SECOND, language="rust").ids)
    assert text.index("Path:") < text.index("#![allow")


def test_what_does_not_fit_is_left_out_and_the_rest_is_not(tokenizer: CodeLlamaTokenizer) -> None:
    made = built("x ¦\n", tokenizer, BEST, LONG, SECOND)
    assert [each.piece for each in made.related] == [BEST, SECOND]
    assert [each.piece for each in made.left_out] == [LONG]
    assert "tokens" in made.left_out[0].why
    alone = len(built("x ¦\n", tokenizer).ids)
    assert abs(len(made.ids) - alone - sum(each.tokens for each in made.related)) <= 2


@pytest.mark.parametrize(("tokens", "window"), [(0, 1024), (40, 1024), (8192, 64)])
def test_the_share_is_that_of_the_settings(tokens: int, window: int, tokenizer: CodeLlamaTokenizer) -> None:
    pieces = [Piece("open", f"{number}.py", "a = 1\nb = 2\n") for number in range(20)]
    settings = Settings(related_tokens=tokens, window_tokens=window)
    made = built("x ¦\n", tokenizer, *pieces, settings=settings)
    assert sum(each.tokens for each in made.related) <= min(tokens, window // 2)
    assert len(made.related) + len(made.left_out) == len(pieces)
    assert bool(made.related) == bool(tokens)


def test_the_whole_prompt_fits_the_model(tokenizer: CodeLlamaTokenizer) -> None:
    text = "".join(f"value_{number} = compute({number})\n" for number in range(2000))
    buffer = Buffer("untitled:a", text, language_id="python")
    for length in (256, 512, 2048):
        settings = Settings(related_tokens=8192, window_tokens=16384)
        related = [Piece("open", f"{number}.py", "def f():\n    pass\n") for number in range(200)]
        made = prompts.build(buffer, 1000, 3, settings, tokenizer, length, healing=True, related=Added(tuple(related)))
        assert len(made.ids) + settings.max_tokens <= length


def test_the_window_moves_and_what_is_in_front_of_it_stays(tokenizer: CodeLlamaTokenizer) -> None:
    """Suffix first: what two keys have in common is all up to the key itself."""
    one = built("def f():\n    retur¦\n\nx\n", tokenizer, BEST, SECOND)
    two = built("def f():\n    return¦\n\nx\n", tokenizer, BEST, SECOND)
    common = next(at for at, (a, b) in enumerate(zip(one.ids, two.ids, strict=False)) if a != b)
    assert common >= len(one.ids) - 3


@pytest.mark.parametrize(("wanted", "own", "taken"), [(-1, 0, False), (-1, 512, True), (64, 0, True), (0, 512, False)])
def test_the_checkpoint_says_whether_other_files_are_worth_their_time(
    wanted: int, own: int, taken: bool, tokenizer: CodeLlamaTokenizer
) -> None:
    assert tokenizer.infill_tokens is not None
    assert tokenizer.related_tokens == 512
    other = dataclasses.replace(
        tokenizer, infill_tokens=dataclasses.replace(tokenizer.infill_tokens, related_tokens=own)
    )
    buffer = Buffer("file:///a.py", "x = f(\n", language_id="python")
    piece = Piece("imports", "b.py", "def f(number):\n", why="imported")
    made = prompts.build(
        buffer, 0, 6, Settings(related_tokens=wanted), other, 4096, healing=True, related=Added((piece,))
    )
    assert bool(made.related) == taken
