"""Equal to Meta's reference, token for token, from tokenizer.json, from tokenizer.model, and from a GGUF file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsp_server.codellama import CodeLlamaTokenizer, DialogError

VECTORS = Path(__file__).parents[1] / "vectors"
INFILL = json.loads((VECTORS / "infill.json").read_text("utf-8"))["vectors"]
DIALOGS = json.loads((VECTORS / "dialogs.json").read_text("utf-8"))
PRIMITIVES = json.loads((VECTORS / "primitives.json").read_text("utf-8"))
CONTROL = set(range(32007, 32016))

# The 49 ids of the model card of CodeLlama-70b-Instruct-hf ("reference_tokens").
MODEL_CARD = [1, 7562, 29901, 1788, 13, 13, 2184, 9508, 32015, 7562, 29901, 1404, 13, 13, 3824, 1404, 2346, 32015]
MODEL_CARD += [7562, 29901, 20255, 13, 13, 8125, 2933, 304, 937, 2346, 32015, 7562, 29901, 1404, 13, 13, 6440, 1404]
MODEL_CARD += [2346, 32015, 7562, 29901, 20255, 13, 14994, 3381, 29901, 1404, 13, 13, 29871]


@pytest.fixture(params=["json", "model", "gguf"])
def as_(request):
    return request.param


@pytest.mark.parametrize("layout", ["psm", "spm"])
def test_infilling(load, as_, layout):
    tok = load("7b", as_)
    wrong = [
        v["id"] for v in INFILL if tok.infill_ids(v["prefix"], v["suffix"], layout=layout) != v[f"safe_{layout}_ids"]
    ]
    assert wrong == []
    assert len(INFILL) == 80


def test_infilling_is_the_references_where_the_text_holds_no_control_token(load):
    tok = load("7b")
    plain = [v for v in INFILL if not v["text_yields_control_ids"]]
    assert len(plain) == 73
    assert all(tok.infill_ids(v["prefix"], v["suffix"]) == v["psm_ids"] for v in plain)


@pytest.mark.parametrize("vector", DIALOGS["vectors"], ids=lambda v: v["id"])
def test_dialogs(load, as_, vector):
    assert load("7b", as_).dialog_ids(vector["dialog"]) == vector["safe_ids_7b_13b"]
    assert load("70b", as_).dialog_ids(vector["dialog"]) == vector["safe_ids_70b"]
    expected = vector["ids_7b_13b"] if vector["ids_34b"] is None else vector["ids_34b"]
    assert load("llama2", as_).dialog_ids(vector["dialog"]) == expected


@pytest.mark.parametrize("kind", ["7b", "llama2", "70b"])
@pytest.mark.parametrize("vector", DIALOGS["errors"], ids=lambda v: v["id"])
def test_dialogs_that_cannot_be_right_are_refused(load, kind, vector):
    with pytest.raises(DialogError) as caught:
        load(kind).dialog_ids(vector["dialog"])
    assert str(caught.value).endswith(".")


def test_the_model_cards_ids(load, as_):
    dialog = next(v["dialog"] for v in DIALOGS["vectors"] if v["id"] == "card_dialog")
    assert len(MODEL_CARD) == 49
    assert load("70b", as_).dialog_ids(dialog) == MODEL_CARD


def test_encoding(load, as_):
    code_llama, llama_2, big = load("7b", as_), load("llama2", as_), load("70b", as_)
    for v in PRIMITIVES["encode"]:
        plain = CONTROL.isdisjoint(v["encode_7b"])
        assert code_llama.encode(v["text"]) == (v["encode_7b"] if plain else v["encode_llama2"]), v
        assert llama_2.encode(v["text"]) == v["encode_llama2"], v
        if CONTROL.isdisjoint(v["encode_infilling_7b"]):
            assert code_llama.encode_raw(v["text"]) == v["encode_infilling_7b"], v
        if CONTROL.isdisjoint(v["encode_70b_nodummy"]):
            assert big.encode(v["text"]) == big.encode_raw(v["text"]) == v["encode_70b_nodummy"], v
        for tok in (code_llama, big):
            assert CONTROL.isdisjoint(tok.encode(v["text"]) + tok.encode_raw(v["text"])), v


def test_decoding_what_was_encoded(load, as_):
    for v in PRIMITIVES["encode"]:
        for kind in ("7b", "llama2", "70b"):
            tok = load(kind, as_)
            assert tok.decode(tok.encode_raw(v["text"])) == v["text"].replace("▁", " "), (kind, v)


@pytest.mark.parametrize("vector", PRIMITIVES["decode"], ids=lambda v: v["name"])
def test_decoding(load, as_, vector):
    expected = vector["decode_infilling"]
    for token in (" <EOT>", " <PRE>", " <SUF>", " <MID>", " \u2047 "):  # control ids, which Meta's code shows
        expected = expected.replace(token, "")
    assert load("7b", as_).decode(vector["ids"]) == expected


def test_control_ids_are_hidden_and_fragments_shown(load):
    tok = load("7b")
    for hidden in (0, 1, 2, *CONTROL):
        assert tok.decode([736, hidden, 736]) == " return return"
    assert [tok.decode([i]) for i in range(32000, 32007)] == [
        *(" <SU", " <SUF", " <PRE", " <M", " <MID", " <E", " <EOT"),
    ]
    assert load("70b").decode([736, 32015]) == " return"
    assert tok.decode([-1, 32016, 10**9]) == ""


def test_stop_ids(load):
    assert load("7b").infill_stop_ids[0] == 32010
    assert load("7b").completion_stop_ids[0] == 2
    assert load("7b").dialog_stop_ids == (2,)
    assert load("llama2").completion_stop_ids == (2,)
    assert load("70b").dialog_stop_ids == (32015, 2)


def test_completion(load):
    assert load("llama2").completion_ids("return") == [1, 736]
    assert load("llama2").completion_ids("") == [1]


def test_half_a_surrogate_pair_does_no_harm(load):
    assert load("7b").decode(load("7b").encode_raw("a\ud83eb")) == "a\ufffdb"


def test_a_tokenizer_json_as_the_hub_has_it(tmp_path, tokenizer_folder):
    """The infilling pieces as added tokens too, spaces by Metaspace, BOS by the post-processor."""
    spec = json.loads((tokenizer_folder("7b") / "tokenizer.json").read_text("utf-8"))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    spec["added_tokens"] += [
        {"id": 32007 + i, "content": f"▁<{name}>", **flags} for i, name in enumerate(("PRE", "SUF", "MID", "EOT"))
    ]
    spec["normalizer"] = None
    spec["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    spec["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    tok = CodeLlamaTokenizer.from_pretrained(tmp_path)
    for v in INFILL:
        assert tok.infill_ids(v["prefix"], v["suffix"]) == v["safe_psm_ids"], v["id"]
    for v in DIALOGS["vectors"]:
        assert tok.dialog_ids(v["dialog"]) == v["safe_ids_7b_13b"], v["id"]
