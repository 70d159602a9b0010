"""GGUF files made into checkpoints, against transformers reading the same files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import checkpoints
import gguf_files
import pytest

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.commands import at_hand
from lsp_server.engine.loading import gguf_contents, gguf_file
from lsp_server.engine.loading.checkpoint import CheckpointProblem, Progress, validate
from lsp_server.engine.loading.naming import checkpoint_folder

SMALL = 1000
"""Tokens of a vocabulary where only the weights count."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def small(path: Path, **options: Any) -> Path:
    """A file in which only the weights count."""
    return gguf_files.write(path, vocab=SMALL, **options)


def unpacked(path: Path) -> Path:
    folder = path.with_suffix(".unpacked")
    gguf_contents.write(path, folder)
    return folder


def problem(path: Path) -> str:
    with pytest.raises(CheckpointProblem) as caught:
        unpacked(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    return str(caught.value)


@pytest.mark.parametrize("quantization", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q4_K", "Q5_K", "Q6_K"])
def test_the_weights_are_those_that_transformers_reads(tmp_path: Path, quantization: str) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, GgufConfig

    sizes = {"hidden": 256, "mlp": 512} if "_K" in quantization else {}
    path = small(tmp_path / "a.gguf", quantization=quantization, **sizes)
    folder = unpacked(path)
    expected = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float16
    )
    found = {name: each for shard in folder.glob("*.safetensors") for name, each in load_file(shard).items()}
    assert set(found) == set(expected.state_dict())
    for name, weight in expected.state_dict().items():
        assert torch.equal(found[name], weight), name
    ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float16).config
    for name in ("hidden_size", "intermediate_size", "num_key_value_heads", "rms_norm_eps", "vocab_size"):
        assert getattr(ours, name) == getattr(expected.config, name), name
    assert ours.rope_parameters["rope_theta"] == expected.config.rope_parameters["rope_theta"] == 1e6
    assert ours.max_position_embeddings == 16384


def test_shards_and_a_tied_head(tmp_path: Path) -> None:
    tensors = gguf_files.weights(SMALL, tied=True)
    path, folder = small(tmp_path / "a.gguf", tensors=tensors), tmp_path / "made"
    told: list[float] = []
    gguf_contents.write(path, folder, shard_bytes=SMALL * 64 * 2 + 1, tell=told.append)
    checkpoint = validate(folder)
    assert len(checkpoint.shards) == 3, "of 128,000 bytes at most; all of it are 283,000"
    assert len(checkpoint.tensors) == len(tensors)
    assert checkpoint.config["tie_word_embeddings"] is True
    assert told == sorted(told)
    assert told[-1] == 1
    assert json.loads((folder / gguf_contents.TAKEN).read_text())["weights"] == ["F16"]


def test_what_8_bits_lose_is_measured(tmp_path: Path) -> None:
    # 8 bits of a row whose largest weight is some 3 of its standard deviations: a step is 3/127 of one, a mistake
    # 1/sqrt(12) of a step: 0.7%.
    folder = unpacked(small(tmp_path / "a.gguf", quantization="F16"))
    assert 0.004 < json.loads((folder / gguf_contents.TAKEN).read_text())["rounding"] < 0.01
    assert "weights F16; rounded to 8 bits they change by 0." in gguf_file.described(folder)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("7b", "codellama_codellama-7b-instruct-hf", "inst"),
        ("7b", "codellama_codellama-7b-hf", ""),
        ("70b", "codellama_codellama-70b-instruct-hf", "source-step"),
    ],
)
def test_chat_formats(tmp_path: Path, kind: checkpoints.Kind, name: str, expected: str) -> None:
    """Files of Code Llama in which there is no template, as most are."""
    abilities = CodeLlamaTokenizer.from_pretrained(
        unpacked(gguf_files.write(tmp_path / "a", kind, name=name))
    ).abilities
    assert (abilities.chat_format if abilities.chat else "") == expected
    assert abilities.infilling == (kind == "7b")


def test_a_template_of_its_own_holds(tmp_path: Path) -> None:
    path = small(tmp_path / "a", name="an-instruct-model", template="{{ messages[0]['content'] }}!")
    assert (unpacked(path) / "chat_template.jinja").read_text() == "{{ messages[0]['content'] }}!"


def refused() -> dict[str, tuple[dict[str, Any], str]]:
    def split(writer):
        writer.add_uint16("split.count", 3)

    def experts(writer):
        writer.add_expert_count(8)

    def scaled(writer):
        writer.add_rope_scaling_type(gguf_files.gguf.RopeScalingType.YARN)

    strange = {**gguf_files.weights(SMALL), "blk.0.attn_q.bias": gguf_files.numpy.zeros(64, gguf_files.numpy.float32)}
    headless = {"output_norm.weight": gguf_files.numpy.ones(64, gguf_files.numpy.float32)}
    return {
        "architecture": ({"architecture": "gemma"}, "architecture 'gemma', not llama"),
        "parts": ({"change": split}, "llama-gguf-split --merge"),
        "experts": ({"change": experts}, "mixture of experts"),
        "positions": ({"change": scaled}, "scales positions"),
        "bias": ({"tensors": strange}, "'blk.0.attn_q.bias'"),
        "no model": ({"tensors": headless}, "no weights of a language model"),
    }


@pytest.mark.parametrize("case", refused())
def test_what_is_not_read_is_said(tmp_path: Path, case: str) -> None:
    options, words = refused()[case]
    assert words in problem(small(tmp_path / "a.gguf", **options))


@pytest.mark.parametrize("size", [4, 30, 3000, 200_000, -100])
def test_a_file_that_is_cut_off(tmp_path: Path, size: int) -> None:
    path = small(tmp_path / "a.gguf")
    path.write_bytes(path.read_bytes()[:size])
    assert "GGUF" in problem(path)


@pytest.mark.parametrize("at", [8, 16])
def test_absurd_counts(tmp_path: Path, at: int) -> None:
    path = small(tmp_path / "a.gguf")
    path.write_bytes(path.read_bytes()[:at] + b"\xff" * 7 + b"\x0f" + path.read_bytes()[at + 8 :])
    assert "GGUF" in problem(path)


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small(tmp_path / "a.gguf")
    monkeypatch.setattr(gguf_contents.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 2**20}))
    assert "0.0 GiB are free; free some, or set CODELLAMA_LS_CACHE" in problem(path)


def test_it_is_made_once_and_again_when_the_file_changes(cache: Path, tmp_path: Path) -> None:
    path = small(tmp_path / "My Model (1).gguf")
    seen: list[Progress] = []
    folder = checkpoint_folder(str(path), seen.append)
    assert folder.parent == cache / "gguf"
    assert {each.stage for each in seen} == {"converting"}
    assert "weights F16" in seen[-1].message
    stamps = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    (cache / "gguf" / f"{folder.name[:-13]}-making-left").mkdir()
    assert checkpoint_folder(str(path), seen.append) == folder
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == stamps
    os.utime(path, (1, 1))
    again = checkpoint_folder(str(path), seen.append)
    assert again != folder
    assert [each.name for each in (cache / "gguf").iterdir() if each.is_dir()] == [again.name]


def test_a_name_without_an_ending(cache: Path, tmp_path: Path) -> None:
    """Ollama's files have none; and the ending alone makes no such file."""
    path = small(tmp_path / "sha256-3a43f93b78ec")
    validate(checkpoint_folder(str(path), lambda progress: None))
    other = tmp_path / "a.gguf"
    other.write_bytes(b"not a model")
    with pytest.raises(CheckpointProblem, match=r"is no GGUF file; give one, or the folder"):
        checkpoint_folder(str(other), lambda progress: None)


def test_what_goes_wrong_in_the_conversion_is_told(cache: Path, tmp_path: Path) -> None:
    path = small(tmp_path / "a.gguf", architecture="gemma")
    with pytest.raises(CheckpointProblem, match=r"not llama; take the model's safetensors checkpoint instead\.$"):
        checkpoint_folder(str(path), lambda progress: None)
    assert [each.suffix for each in (cache / "gguf").iterdir()] == [".lock"]


@pytest.mark.usefixtures("engines")
def test_it_speaks(cache: Path, tmp_path: Path) -> None:
    """A model that says known words, by way of GGUF, in a real engine."""
    words = [921, 718, 343]  # " x", " +" and a word, by Meta's vocabulary
    made = checkpoints.random_checkpoint(tmp_path / "made", "7b", continuation=[*words, checkpoints.EOT])
    sizes = {"hidden": 128, "layers": 2, "heads": 4, "kv_heads": 2, "mlp": 256}
    path = gguf_files.write(tmp_path / "a.gguf", tensors=gguf_files.of_checkpoint(made, 4, 2), **sizes)
    file = tmp_path / "a.py"
    file.write_text("def f(x):\n    z =\n    return z\n")
    command = [sys.executable, "-m", "lsp_server", "complete", f"{file}:2:8", "--model", str(path), "--json"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert said.returncode == 0, said.stderr
    # Of the lines to choose from one may begin with a token that spells the `=` before it too.
    assert json.loads(said.stdout)["suggestion"].endswith(CodeLlamaTokenizer.from_pretrained(made).decode(words))
    command[3] = "prompt"
    asked = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=200).stdout)
    assert asked["ids"] == CodeLlamaTokenizer.from_pretrained(made).infill_ids(
        "def f(x):\n    z =", "\n    return z\n", asked["kind"]
    )


def test_models_of_other_programs_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders of Ollama (manifests name files without an ending) and LM Studio; other models and links are not."""
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    ollama, studio = tmp_path / ".ollama/models", tmp_path / ".lmstudio/models"
    digest = "3a43f93b78ec" + "0" * 52
    (ollama / "blobs").mkdir(parents=True)
    path = small(ollama / "blobs" / f"sha256-{digest}")
    manifest = ollama / "manifests/registry/library/codellama/7b-instruct"
    manifest.parent.mkdir(parents=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": f"sha256:{'1' * 64}"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"},
    ]
    manifest.write_text(json.dumps({"layers": layers}))
    manifest.with_name("odd").write_text('{"layers": [1, null, {"digest": "sha256:../../x"}]}')
    manifest.with_name("endless").symlink_to("/dev/zero")
    folder = studio / "TheBloke/CodeLlama-13B-GGUF"
    folder.mkdir(parents=True)
    other = small(folder / "codellama-13b.Q4_K_M.gguf")
    small(folder / "gemma.gguf", architecture="gemma")
    (folder / "endless.gguf").symlink_to("/dev/zero")
    found = at_hand.found(tmp_path)
    assert [(each.name, each.path) for each in found] == [
        ("codellama-13b.Q4_K_M", other),
        ("codellama:7b-instruct", path),
    ]
    assert found[1].bytes == path.stat().st_size
