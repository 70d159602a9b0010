"""tokenizer.model, read by us, against the SentencePiece library reading the same file."""

from __future__ import annotations

import random

import checkpoints
import pytest
import sentencepiece

from lsp_server.codellama import CheckpointError, CodeLlamaTokenizer

ALPHABET = [*"  \n\t(){}[];:.,=<>\"'abcXYZ_019é数🦙\r", "def ", "return", "    ", "self.", "<E>", " <M", "</s>", "  "]


def random_texts(count, seed=0):
    rng = random.Random(seed)
    return ["".join(rng.choices(ALPHABET, k=rng.randrange(1, 60))) for _ in range(count)]


@pytest.mark.parametrize("kind", ["7b", "llama2", "70b"])
def test_the_real_vocabularies(load, kind):
    library = sentencepiece.SentencePieceProcessor(model_proto=checkpoints.tokenizer_model(kind))
    tok = load(kind, "model")
    assert library.vocab_size() == tok.vocab_size
    for text in random_texts(400):
        ids = library.encode(text)
        assert tok.encode(text) == ids, text
        assert tok.encode_raw(text) == (ids if kind == "70b" else library.encode("☺" + text)[2:])
        if kind != "70b":
            assert library.decode([31171, *ids])[1:] == tok.decode(ids)


def test_bytes_that_are_no_character_decode_as_in_the_library(load):
    library = sentencepiece.SentencePieceProcessor(model_proto=checkpoints.tokenizer_model("7b"))
    tok, rng = load("7b", "model"), random.Random(2)
    for _ in range(500):
        ids = [rng.choice([rng.randrange(3, 259), rng.randrange(130, 259), 736]) for _ in range(8)]
        assert library.decode([31171, *ids])[1:] == tok.decode(ids), ids


def test_a_trained_model(tmp_path):
    (tmp_path / "text").write_text("\n".join(random_texts(2000, seed=3)), encoding="utf-8")
    options = {"model_type": "bpe", "vocab_size": 400, "byte_fallback": True, "minloglevel": 2}
    options |= {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    prefix = tmp_path / "tokenizer"
    sentencepiece.SentencePieceTrainer.train(input=str(tmp_path / "text"), model_prefix=str(prefix), **options)
    library = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    tok = CodeLlamaTokenizer.from_pretrained(tmp_path)
    assert tok.vocab_size == 400
    assert (tok.bos_id, tok.eos_ids) == (1, (2,))
    for text in random_texts(300, seed=4):
        assert tok.decode(tok.encode_raw(text)) == text
        assert tok.encode(text) == library.encode(text)


def test_a_unigram_model_is_refused(tmp_path):
    (tmp_path / "text").write_text("\n".join(random_texts(500, seed=5)), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "tokenizer"), vocab_size=100, minloglevel=2
    )
    with pytest.raises(CheckpointError, match=r"add the checkpoint's tokenizer\.json"):
        CodeLlamaTokenizer.from_pretrained(tmp_path)
