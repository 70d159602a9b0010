"""The table of the family, and shapes read from config.json."""

from __future__ import annotations

import json

import pytest

from lsp_server.codellama import VARIANTS, CheckpointError, ModelShape
from lsp_server.codellama import variant_of as looked_up

BASE = {v.size: v for v in VARIANTS if v.flavour == "base"}
CONFIG = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 32016,
    "max_position_embeddings": 16384,
    "rope_theta": 1000000,
}


def test_there_are_twelve():
    assert len({v.hub_id for v in VARIANTS}) == 12
    assert VARIANTS[0].hub_id == "codellama/CodeLlama-7b-hf"
    assert "codellama/CodeLlama-70b-Instruct-hf" in {v.hub_id for v in VARIANTS}


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("7B", 6_738_546_688), ("13B", 13_016_028_160), ("34B", 33_743_970_304), ("70B", 68_976_910_336)],
)
def test_sizes(size, parameters):
    assert BASE[size].parameters == parameters


def test_what_each_can_do():
    can = {v.name: (v.infilling, v.chat_format, v.context_length, v.shape.vocab) for v in VARIANTS}
    assert can["CodeLlama-7b"] == ("yes", "", 16384, 32016)
    assert can["CodeLlama-13b-Instruct"] == ("yes", "inst", 16384, 32016)
    assert can["CodeLlama-13b-Python"] == ("no", "", 16384, 32000)
    assert can["CodeLlama-34b"] == ("no", "", 16384, 32000)
    assert can["CodeLlama-70b"] == ("disputed", "", 16384, 32016)
    assert can["CodeLlama-70b-Instruct"] == ("no", "source-step", 4096, 32016)
    assert can["CodeLlama-70b-Python"] == ("no", "", 4096, 32016)


def test_shape_from_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    shape = ModelShape.from_config(tmp_path)
    assert shape == BASE["7B"].shape
    assert looked_up(shape) is BASE["7B"]
    v5 = {**CONFIG, "rope_theta": None, "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}
    assert ModelShape.from_config(v5) == shape
    assert looked_up(ModelShape.from_config({**CONFIG, "rope_theta": 1e4})) is None  # Llama 2


def test_tied_and_grouped():
    shape = ModelShape.from_config({**CONFIG, "tie_word_embeddings": True, "num_key_value_heads": 8, "head_dim": 64})
    assert (shape.tied, shape.kv_heads, shape.head_dim) == (True, 8, 64)
    assert shape.other_weights == 32016 * 4096 + 65 * 4096


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vocab_size": -1}, "vocab_size"),
        ({"vocab_size": "32016"}, "'32016' as vocab_size"),
        ({"vocab_size": None}, "does not give vocab_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": 4095}, "multiple"),
        ({"num_key_value_heads": 5}, "multiple"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"rope_theta": "big"}, "rope_theta"),
    ],
)
def test_nonsense_is_named(change, says):
    with pytest.raises(CheckpointError, match=says):
        ModelShape.from_config({**CONFIG, **change})


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        ModelShape.from_config(tmp_path)
