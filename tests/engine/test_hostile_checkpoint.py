"""Checkpoints that say anything at all: one sentence each, within seconds and within bounded memory."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import checkpoints
import psutil
import pytest
import torch  # noqa: F401 - loaded before memory is bounded
from safetensors import safe_open

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading import plan, weights
from lsp_server.engine.loading.checkpoint import CheckpointProblem, validate
from lsp_server.engine.loading.devices import Device
from lsp_server.engine.loading.empty import empty_model
from lsp_server.errors import UserError

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform == "win32", reason="pipes, devices and limits of memory"),
]
MEMORY = (Device("memory", "cpu", 0, 2**34, 2**34),)
INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = checkpoints.random_checkpoint(tmp_path_factory.mktemp("whole"), layers=1, hidden=64)
    checkpoint = validate(folder)
    empty_model(checkpoint.config, checkpoint.tensors)  # what is imported for it is not counted below
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy whose files can be changed."""
    copy = tmp_path / "checkpoint"
    shutil.copytree(whole, copy)
    return copy


@contextlib.contextmanager
def bounded_memory(more: int = 2**30) -> Iterator[None]:
    """Whoever takes `more` bytes beyond what is taken now gets a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def opened(folder: Path) -> None:
    """What an engine does with a checkpoint before it reads the weights."""
    checkpoint = validate(folder)
    CodeLlamaTokenizer.from_pretrained(folder)
    plan.make_roomy(checkpoint.config, MEMORY, tensors=checkpoint.tensors)


def problem(folder: Path) -> str:
    with bounded_memory(), pytest.raises(UserError) as caught:
        opened(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 1000
    return message


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_whole_one(folder: Path) -> None:
    with bounded_memory():
        opened(folder)


FILES = ("config.json", INDEX, "tokenizer.json", "generation_config.json", "infilling.json", "tokenizer_config.json")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("name", [*FILES, "special_tokens_map.json", "chat_template.jinja", "a shard"])
@pytest.mark.parametrize(
    "make",
    [
        _pipe,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b"[" * 100_000),
        lambda path: os.truncate(path, 2**40) if path.touch() is None else None,
    ],
    ids=["a pipe", "a device", "a folder", "deep nesting", "a terabyte of zeros"],
)
def test_what_is_no_small_file(folder: Path, name: str, make: Callable[[Path], object]) -> None:
    path = sorted(folder.glob("*.safetensors"))[0] if name == "a shard" else folder / name
    path.unlink(missing_ok=True)
    make(path)
    if name == "chat_template.jinja" and path.is_file() and path.stat().st_size < 2**20:
        return  # which is a template
    assert path.name in problem(folder)


def test_a_tokenizer_model_that_is_a_pipe(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.model")
    assert "tokenizer.model" in problem(folder)


HUGE = (10**9, 10**18, 10**400)


@pytest.mark.parametrize("value", [*HUGE, 0, -1, True, 1.5, "8", [], {}, float("nan")])
@pytest.mark.parametrize(
    "key",
    [
        "num_hidden_layers",
        "vocab_size",
        "hidden_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "intermediate_size",
    ],
)
def test_a_size_that_no_model_has(folder: Path, key: str, value: Any) -> None:
    edit(folder / "config.json", **{key: value})
    assert "config.json" in problem(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_position_embeddings": -5},
        {"max_position_embeddings": 10**18},
        {"max_position_embeddings": True},
        {"max_position_embeddings": "many"},
        {"rms_norm_eps": float("nan")},
        {"rms_norm_eps": -1.0},
        {"rope_theta": float("nan")},
        {"rope_theta": -1.0},
        {"rope_parameters": "default"},
        {"rope_parameters": {"rope_type": "nonsense"}},
        {"rope_parameters": {"rope_type": ["default"], "rope_theta": 1e4}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": "many"}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 0}},
        {"rope_parameters": {"rope_type": "linear", "factor": float("inf"), "rope_theta": 1e4}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 1e9}},
        {"rope_scaling": {"type": "yarn", "factor": -1}},
        {"model_type": ["llama"]},
        {"model_type": "mystery"},
        {"model_type": None},
        {"hidden_act": "nonsense"},
        {"num_labels": 10**9},
        {"layer_types": ["nonsense"] * 5},
        {"pad_token_id": 10**18},
    ],
    ids=str,
)
def test_values_of_absurd_kinds(folder: Path, changes: dict[str, Any]) -> None:
    edit(folder / "config.json", **changes)
    message = problem(folder)
    assert "config.json" in message or "model type" in message


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("mixtral", {"num_local_experts": 10**9}),
        ("gpt_neox", {"rotary_pct": 1e9}),
        ("qwen2", {"num_hidden_layers": 1, "max_window_layers": 10**9, "sliding_window": 10**18}),
        ("gpt2", {"n_layer": 10**9}),
        ("gpt2", {"n_positions": 2**31 - 1, "n_embd": 64, "n_layer": 1, "n_head": 1}),
        ("t5gemma", {"encoder": {"num_hidden_layers": 10**9}}),
    ],
)
def test_other_architectures_are_bounded_too(folder: Path, kind: str, changes: dict[str, Any]) -> None:
    """Either they are refused, or they take no more than they should: names of sizes differ from model to model."""
    edit(folder / "config.json", model_type=kind, **changes)
    with bounded_memory(), contextlib.suppress(UserError):
        opened(folder)


def test_a_config_for_other_heads(folder: Path) -> None:
    """Keys and values would be counted wrongly: 64 rows are two heads of 32, not one of 64 nor four of 32."""
    for changes in ({"num_key_value_heads": 2}, {"head_dim": 16}, {"num_attention_heads": 1, "head_dim": 32}):
        shutil.copy(folder / "config.json", folder / "kept")
        edit(folder / "config.json", **changes)
        assert "config.json" in problem(folder)
        shutil.move(folder / "kept", folder / "config.json")


def test_a_long_index(folder: Path) -> None:
    shard = next(folder.glob("*.safetensors")).name
    (folder / INDEX).write_text(
        json.dumps({"metadata": {}, "weight_map": {f"layers.{i}.weight": shard for i in range(1_000_000)}})
    )
    assert INDEX in problem(folder)
    (folder / INDEX).write_text(
        json.dumps({"metadata": {}, "weight_map": {f"x{i}": f"{i}.safetensors" for i in range(100_000)}})
    )
    assert "100,000 shards" in problem(folder)


def _shard(path: Path, header: bytes) -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header)


@pytest.mark.parametrize(
    "header",
    [
        b"{" + b" " * 100_000_000 + b"}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"a": {"dtype": "F16", "shape": [4611686018427387904, 4], "data_offsets": [0, 36893488147419103232]}}',
        b'{"a": {"dtype": "F16", "shape": [-1, -1], "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": "F16", "shape": [true], "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": "F16", "shape": [1.0], "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": ["F16"], "shape": [1], "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2, 4]}}',
        b'{"a": {"dtype": "F16", "shape": [NaN], "data_offsets": [0, NaN]}}',
        b'{"a": {"dtype": "F16", "shape": ' + b"[" * 5000 + b"]" * 5000 + b', "data_offsets": [0, 2]}}',
        b'{"a": {"dtype": "F16", "shape": [0], "data_offsets": [5, 5]}}',
        b'{"a": {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]}, "a": {"dtype": "F16", "shape": [1]}}',
        b"null",
        b'"text"',
        b"[]",
    ],
    ids=lambda header: header[:40].decode() if isinstance(header, bytes) else None,
)
def test_headers(tmp_path: Path, whole: Path, header: bytes) -> None:
    shutil.copy(whole / "config.json", tmp_path)
    _shard(tmp_path / "model.safetensors", header)
    with bounded_memory(), pytest.raises(CheckpointProblem, match=r"model\.safetensors|config\.json") as caught:
        validate(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_single_file_counts_before_an_index_as_it_does_for_transformers(folder: Path) -> None:
    os.mkfifo(folder / "model.safetensors")
    assert "model.safetensors is no regular file" in problem(folder)


def test_missing_tensors_and_tied_ones(folder: Path, tmp_path: Path) -> None:
    """A head that is not there is no harm where it is tied to the embedding, and said where it is not."""
    from safetensors.torch import save_file

    tensors = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        path.unlink()
    (folder / INDEX).unlink()
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors")
    for tied in (True, False):
        edit(folder / "config.json", tie_word_embeddings=tied)
        checkpoint = validate(folder)
        made = plan.make(checkpoint.config, MEMORY, 1024, tensors=checkpoint.tensors)
        if tied:
            weights.load(checkpoint, made, lambda progress: None)
        else:
            with pytest.raises(weights.LoadFailed, match=r"no weights for lm_head\.weight"):
                weights.load(checkpoint, made, lambda progress: None)


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"eos_token_id": "abc"}', b'{"eos_token_id": [[1], {}, NaN, -5]}'])
def test_a_generation_config_of_nonsense_is_said_or_does_no_harm(folder: Path, content: bytes) -> None:
    (folder / "generation_config.json").write_bytes(content)
    if content.startswith(b'{"'):
        opened(folder)
    else:
        assert "generation_config.json" in problem(folder)


@pytest.mark.parametrize(
    "content",
    [
        {"prefix": 5},
        {"prefix": "▁<PRE>", "suffix": "▁<SUF>", "middle": "▁<MID>", "layouts": {"psm": 1}},
        {"prefix": "▁<PRE>", "suffix": "▁<SUF>", "middle": "▁<MID>", "one_line_bias": float("inf")},
        {"prefix": ["▁<PRE>"], "suffix": {}, "middle": None},
        {"prefix": "x" * 10_000},
    ],
    ids=lambda content: str(content)[:60],
)
def test_an_infilling_json_of_nonsense(folder: Path, content: dict[str, Any]) -> None:
    (folder / "infilling.json").write_text(json.dumps(content))
    assert "infilling.json" in problem(folder)


def test_transformers_opens_only_what_was_looked_at(folder: Path) -> None:
    """Its index and shards: config.json and generation_config.json are not read again, nor anything that may be there
    besides."""
    checkpoint = validate(folder)
    made = plan.make(checkpoint.config, MEMORY, 1024, tensors=checkpoint.tensors)
    seen: set[str] = set()
    listening = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if listening and event == "open" and str(args[0]).startswith(str(folder)):
            seen.add(Path(str(args[0])).name)

    sys.addaudithook(hook)
    try:
        weights.load(checkpoint, made, lambda progress: None)
    finally:
        listening = False
    assert seen <= {INDEX, *(shard.path.name for shard in checkpoint.shards)}
    assert INDEX in seen


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"])
def test_a_config_names_no_code(folder: Path, key: str) -> None:
    edit(folder / "config.json", **{key: "someone/kernels", "transformers_weights": "pytorch_model.bin"})
    checkpoint = validate(folder)
    model = empty_model(checkpoint.config, checkpoint.tensors)
    assert "/" not in str(model.config._attn_implementation)
    assert not hasattr(model.config, "transformers_weights")
