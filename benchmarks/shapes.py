"""Checkpoints with the shapes of Code Llama and random weights: what they say is nothing, what it costs is the same."""

from __future__ import annotations

import json
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

import checkpoints

from lsp_server.engine.loading.shards import INDEX_NAME
from lsp_server.engine.loading.sizes import BLOCK
from lsp_server.places import cache_folder

CONFIGS = Path(__file__).parents[1] / "tests" / "engine" / "configs"
VOCABULARIES: dict[str, checkpoints.Kind] = {"7b": "7b", "13b": "7b", "34b": "llama2", "70b": "70b"}
HEAD = 128  # numbers in an attention head, the same in all shapes
# Of what comes out of a layer, the inputs having a deviation of 1. No activation comes near 6 then, from which on
# bitsandbytes computes columns apart in 16 bits: kinder to it than real weights are.
DEVIATION = 0.6


def config(shape: str, layers: int = 0, hidden: int = 0) -> dict[str, Any]:
    """The config of a shape; with another number of `layers`, or all widths in proportion to another `hidden` one, in
    whole blocks of weights of 4 bits."""
    values: dict[str, Any] = json.loads((CONFIGS / f"{shape}.json").read_text(encoding="utf-8"))
    if layers:
        values["num_hidden_layers"] = layers
    if hidden:
        heads, groups = hidden // HEAD, values["num_attention_heads"] // values["num_key_value_heads"]
        values["intermediate_size"] = values["intermediate_size"] * hidden // values["hidden_size"] // BLOCK * BLOCK
        values |= {"hidden_size": hidden, "num_attention_heads": heads}
        values["num_key_value_heads"] = max(1, heads // groups)
    return values


def folder(shape: str, values: dict[str, Any]) -> Path:
    """Where the checkpoint of `shape` with the config `values` is kept, made or not: outside the repository."""
    name = f"random-{shape}-{values['num_hidden_layers']}x{values['hidden_size']}"
    return cache_folder() / "benchmarks" / name


def make(shape: str, values: dict[str, Any]) -> Path:
    """The folder of that checkpoint, made where it is not there: the same weights each time on the same device.

    A shard for each layer, written before the next is made: no more than that is in memory.
    """
    final = folder(shape, values)
    if final.exists():
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".making-") as name:
        work = checkpoints.code_llama_tokenizer(Path(name) / final.name, VOCABULARIES[shape])
        checkpoints.code_llama_tokenizer(work, VOCABULARIES[shape], as_="model")  # which llama.cpp's converter reads
        (work / "config.json").write_text(json.dumps(values, indent=2), encoding="utf-8")
        with init_empty_weights():
            model = LlamaForCausalLM(LlamaConfig(**values))
        shards: dict[str, list[tuple[str, torch.Size]]] = {}
        for tensor, weight in model.state_dict().items():
            shards.setdefault(tensor.partition(".layers.")[2].partition(".")[0], []).append((tensor, weight.shape))
        random = torch.Generator("cuda" if torch.cuda.is_available() else "cpu").manual_seed(0)
        weight_map: dict[str, str] = {}
        total = 0
        for number, tensors in enumerate(shards.values(), 1):
            file = f"model-{number:05}-of-{len(shards):05}.safetensors"
            shard = {tensor: _weight(tensor, shape, random) for tensor, shape in tensors}
            save_file(shard, work / file, metadata={"format": "pt"})
            weight_map |= dict.fromkeys(shard, file)
            total += sum(weight.nbytes for weight in shard.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (work / INDEX_NAME).write_text(json.dumps(index, indent=2), encoding="utf-8")
        shutil.move(work, final)
    return final


def _weight(name: str, shape: torch.Size, random: torch.Generator) -> torch.Tensor:
    """Norms are 1. Embeddings have a deviation of 1, so that the next token depends on the last ones, and an answer
    does not soon repeat itself, which the engine would be quick to guess."""
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    deviation = 1.0 if "embed_tokens" in name else DEVIATION / math.sqrt(shape[1])
    weight = torch.empty(shape, dtype=torch.bfloat16, device=random.device)
    return weight.normal_(0, deviation, generator=random).cpu()
