"""Text that arrives token by token is the text of all tokens at once."""

from __future__ import annotations

import itertools
import random

import pytest

TEXTS = ["x = '🦙'\n", "ünï — 数\r\n\t", "👩‍👩‍👧 ☺", "  indented\n\n    more", "\x00\x7f"]


def chunkings(ids):
    """Every way to cut a list into chunks."""
    for cuts in itertools.product([False, True], repeat=max(0, len(ids) - 1)):
        chunk, chunks = ids[:1], []
        for token, cut in zip(ids[1:], cuts, strict=True):
            if cut:
                chunks.append(chunk)
                chunk = []
            chunk = [*chunk, token]
        yield [*chunks, chunk]


@pytest.mark.parametrize(
    "ids", [[243, 162, 169, 156, 29889], [243, 162, 736, 162, 2, 243], [198, 243, 162, 169, 156, 12]]
)
def test_every_chunking(load, ids):
    tok = load("7b")
    for chunks in chunkings(ids):
        decoder = tok.decoder()
        assert "".join(map(decoder.push, chunks)) + decoder.flush() == tok.decode(ids)


@pytest.mark.parametrize("text", TEXTS)
def test_token_by_token(load, text):
    tok = load("7b")
    ids = tok.encode_raw(text)
    decoder = tok.decoder()
    shown = [decoder.push([token]) for token in ids]
    assert "".join(shown) == text
    assert "\ufffd" not in "".join(shown)
    assert decoder.flush() == ""


def test_random_ids_in_random_chunks(load):
    tok, rng = load("7b"), random.Random(1)
    for _ in range(200):
        ids = [rng.choice([rng.randrange(259), rng.randrange(32016)]) for _ in range(30)]
        decoder, at, text = tok.decoder(), 0, ""
        while at < len(ids):
            size = rng.randrange(0, 5)
            text += decoder.push(ids[at : at + size])
            at += size
        assert text + decoder.flush() == tok.decode(ids)


def test_a_character_is_held_back_until_it_is_whole(load):
    decoder = load("7b").decoder()
    assert [decoder.push([i]) for i in (243, 162, 169, 156)] == ["", "", "", "🦙"]


def test_a_decoder_is_as_new_after_flush(load):
    decoder = load("7b").decoder()
    decoder.push([243])
    assert decoder.flush() == "\ufffd"
    assert decoder.push([736]) + decoder.flush() == " return"
