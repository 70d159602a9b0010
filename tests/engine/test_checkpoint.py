"""Checkpoints made by hand, byte by byte, and damaged in every way that a download or a slip can damage them."""

import json
import struct
import subprocess
import sys

import pytest

from lsp_server.engine.loading import checkpoint, naming
from lsp_server.engine.loading.checkpoint import CheckpointProblem, validate
from lsp_server.errors import UserError

CONFIG = {
    "model_type": "llama",
    "vocab_size": 6,
    "hidden_size": 4,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
TENSORS = (
    {"model.embed_tokens.weight": (6, 4), "model.layers.0.mlp.down_proj.weight": (4, 8)},
    {"model.layers.1.mlp.down_proj.weight": (4, 8), "model.norm.weight": (4,)},
    {"lm_head.weight": (6, 4)},
)


def shard(path, tensors, dtype="F16", width=2, spare=b""):
    """The safetensors format: 8 bytes of header length, a JSON header, the data."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors.items():
        size = width
        for extent in shape:
            size *= extent
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at) + spare)


@pytest.fixture
def folder(tmp_path):
    names = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    for name, tensors in zip(names, TENSORS, strict=True):
        shard(tmp_path / name, tensors)
    weight_map = {tensor: name for name, tensors in zip(names, TENSORS, strict=True) for tensor in tensors}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


def problem(folder):
    """The message, checked to be one sentence that ends in a way out."""
    with pytest.raises(CheckpointProblem) as caught:
        validate(folder)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert ";" in message
    return message


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_whole_checkpoint(folder):
    found = validate(folder)
    assert [part.path.name[:11] for part in found.shards] == ["model-00001", "model-00002", "model-00003"]
    assert found.bytes == sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert found.shards[0].tensors["model.embed_tokens.weight"] == checkpoint.Tensor("F16", (6, 4), 48)
    assert found.config["vocab_size"] == 6


def test_one_file_needs_no_index(tmp_path):
    shard(tmp_path / "model.safetensors", {name: shape for part in TENSORS for name, shape in part.items()})
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert len(validate(tmp_path).shards) == 1


def test_a_missing_shard(folder):
    (folder / "model-00002-of-00003.safetensors").unlink()
    assert "model-00002-of-00003.safetensors is missing" in problem(folder)


@pytest.mark.parametrize(("keep", "words"), [(-1, "cut short"), (40, "cut short"), (5, "cut short"), (0, "cut short")])
def test_a_truncated_shard(folder, keep, words):
    path = folder / "model-00002-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert words in problem(folder)
    assert path.name in problem(folder)


def test_a_shard_that_is_too_long(folder):
    shard(folder / "model-00003-of-00003.safetensors", TENSORS[2], spare=b"x")
    assert "too long" in problem(folder)


def test_a_header_of_garbage(folder):
    path = folder / "model-00003-of-00003.safetensors"
    data = bytearray(path.read_bytes())
    data[8:12] = b"\xff\xfe\x00{"
    path.write_bytes(data)
    assert "damaged header" in problem(folder)


def test_a_header_that_claims_terabytes(folder):
    (folder / "model-00003-of-00003.safetensors").write_bytes(struct.pack("<Q", 1 << 42) + b"{}" * 100)
    assert "cut short" in problem(folder)


def test_a_header_that_contradicts_itself(folder):
    path = folder / "model-00003-of-00003.safetensors"
    path.write_bytes(path.read_bytes().replace(b"[6, 4]", b"[7, 4]"))
    assert "contradicts itself" in problem(folder)


def test_a_tensor_that_the_shard_lacks(folder):
    shard(folder / "model-00003-of-00003.safetensors", {"other.weight": (6, 4)})
    assert "lacks the tensor lm_head.weight" in problem(folder)


def test_an_unknown_dtype(folder):
    shard(folder / "model-00003-of-00003.safetensors", TENSORS[2], dtype="F4", width=2)
    assert "unknown format F4" in problem(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vocab_size": 7}, "vocab_size"),
        ({"hidden_size": 8}, "sizes"),
        ({"intermediate_size": 9}, "sizes"),
        ({"num_hidden_layers": 3}, "no weights for layer 2"),
        ({"num_hidden_layers": 1}, "weights for 2 layers"),
        ({"vocab_size": "6"}, "no usable vocab_size"),
        ({"vocab_size": True}, "no usable vocab_size"),
        ({"quantization_config": {"quant_method": "gptq"}}, "already quantized"),
    ],
)
def test_a_config_that_does_not_belong_to_the_weights(folder, changes, words):
    edit(folder / "config.json", **changes)
    assert words in problem(folder)
    assert "config.json" in problem(folder)


@pytest.mark.parametrize(("text", "words"), [("{", "not valid JSON"), ("[]", "JSON object"), ("\0", "not valid JSON")])
def test_a_broken_config(folder, text, words):
    (folder / "config.json").write_text(text)
    assert words in problem(folder)


def test_no_config(folder):
    (folder / "config.json").unlink()
    assert "config.json is missing" in problem(folder)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "code.py", 5])
def test_an_index_that_points_elsewhere(folder, name):
    edit(folder / "model.safetensors.index.json", weight_map={"x": name})
    assert "source you trust" in problem(folder)


def test_an_index_without_a_map(folder):
    edit(folder / "model.safetensors.index.json", weight_map={})
    assert "no weight_map" in problem(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "y.safetensors"}}))
    assert "no metadata" in problem(folder)


def test_pickles_are_never_opened(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "pytorch_model-00001-of-00002.bin").write_bytes(
        b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR."
    )
    message = problem(tmp_path)
    assert "pytorch_model-00001-of-00002.bin" in message
    assert "safetensors" in message
    assert not marker.exists()


def test_an_empty_folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert "neither" in problem(tmp_path)


def test_checkpoint_folder(folder, monkeypatch):
    assert naming.checkpoint_folder(str(folder), print) == folder.resolve()
    monkeypatch.setenv("HOME", str(folder.parent))
    assert naming.checkpoint_folder(f"~/{folder.name}", print) == folder.resolve()
    asked = []
    monkeypatch.setattr("lsp_server.engine.loading.hub.download", lambda model, report: asked.append(model) or folder)
    assert naming.checkpoint_folder("org/name", print) == folder
    assert asked == ["org/name"]


@pytest.mark.parametrize("model", ["", "nothing", "/no/such/folder", "a/b/c"])
def test_what_is_no_model(model):
    with pytest.raises(CheckpointProblem, match=r"hub id|with its path"):
        naming.checkpoint_folder(model, print)


@pytest.mark.parametrize("model", ["~nobody-here/x", "..", "./x", "../x/y"])
def test_a_path_that_is_not_whole_is_taken_from_nowhere(model, monkeypatch, tmp_path):
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not a whole path"):
        naming.checkpoint_folder(model, print)


def test_a_file_is_not_a_checkpoint(folder):
    with pytest.raises(CheckpointProblem, match="is no GGUF file"):
        naming.checkpoint_folder(str(folder / "config.json"), print)


def test_nothing_here_needs_torch():
    code = (
        "import sys; from lsp_server.engine.loading import checkpoint, naming, hub, devices, starter;"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)
