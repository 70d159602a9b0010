"""GGUF files for tests, written by llama.cpp's own Python package, with rows in the order of its converter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import checkpoints
import gguf
import numpy

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
SIZES = {"hidden": 64, "layers": 2, "heads": 4, "kv_heads": 2, "mlp": 128}


def weights(vocab: int, seed: int = 0, tied: bool = False, **sizes: int) -> dict[str, numpy.ndarray[Any, Any]]:
    """Random ones of a small Llama, by the names of GGUF."""
    rng, s = numpy.random.default_rng(seed), {**SIZES, **sizes}

    def matrix(rows: int, columns: int) -> numpy.ndarray[Any, Any]:
        return rng.normal(0, 0.1, (rows, columns)).astype(numpy.float32)

    head = s["hidden"] // s["heads"]
    made = {"token_embd.weight": matrix(vocab, s["hidden"]), "output_norm.weight": rng.normal(1, 0.1, s["hidden"])}
    if not tied:
        made["output.weight"] = matrix(vocab, s["hidden"])
    for layer in range(s["layers"]):
        parts = {
            "attn_q": matrix(s["heads"] * head, s["hidden"]),
            "attn_k": matrix(s["kv_heads"] * head, s["hidden"]),
            "attn_v": matrix(s["kv_heads"] * head, s["hidden"]),
            "attn_output": matrix(s["hidden"], s["hidden"]),
            "ffn_gate": matrix(s["mlp"], s["hidden"]),
            "ffn_up": matrix(s["mlp"], s["hidden"]),
            "ffn_down": matrix(s["hidden"], s["mlp"]),
            "attn_norm": rng.normal(1, 0.1, s["hidden"]),
            "ffn_norm": rng.normal(1, 0.1, s["hidden"]),
        }
        made.update({f"blk.{layer}.{part}.weight": weight for part, weight in parts.items()})
    return {name: weight.astype(numpy.float32) for name, weight in made.items()}


def of_checkpoint(folder: Path, heads: int, kv_heads: int) -> dict[str, numpy.ndarray[Any, Any]]:
    """The weights of a Llama checkpoint, as llama.cpp's converter writes them."""
    from safetensors.numpy import load_file

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 100)
    made = {}
    for shard in folder.glob("*.safetensors"):
        for name, weight in load_file(shard).items():
            for part, number in (("q_proj", heads), ("k_proj", kv_heads)):
                if part in name:
                    weight = permuted(weight, number)
            made[str(names.get_name(name, (".weight",)))] = weight.astype(numpy.float32)
    return made


def permuted(weight: numpy.ndarray[Any, Any], heads: int) -> numpy.ndarray[Any, Any]:
    """As in llama.cpp's convert_hf_to_gguf.py, `LlamaModel.permute`."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def write(
    path: Path,
    kind: checkpoints.Kind = "7b",
    tensors: Mapping[str, numpy.ndarray[Any, Any]] | None = None,
    *,
    quantization: str = "F16",
    architecture: str = "llama",
    name: str = "codellama_codellama-7b-hf",
    template: str | None = None,
    vocab: int | None = None,
    change: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
    **sizes: int,
) -> Path:
    """A file with Code Llama's vocabulary `kind`, or the first `vocab` of its pieces.

    `quantization`: of all matrices but the embedding, by ggml's name.
    """
    pieces, s = checkpoints.pieces(kind)[:vocab], {**SIZES, **sizes}
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(name)
    writer.add_block_count(s["layers"])
    writer.add_context_length(16384)
    writer.add_embedding_length(s["hidden"])
    writer.add_feed_forward_length(s["mlp"])
    writer.add_head_count(s["heads"])
    writer.add_head_count_kv(s["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1e6)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(list(pieces))
    writer.add_token_scores([checkpoints.score(i, piece) for i, piece in enumerate(pieces)])
    writer.add_token_types(
        [UNKNOWN if i == 0 else CONTROL if i < 3 else BYTE if i < 259 else NORMAL for i in range(len(pieces))]
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    if kind == "70b":
        writer.add_add_space_prefix(False)
    if template is not None:
        writer.add_chat_template(template)
    change(writer)
    for each, weight in (tensors or weights(len(pieces), **sizes)).items():
        if weight.ndim == 1:
            writer.add_tensor(each, weight)
            continue
        type_ = gguf.GGMLQuantizationType["F16" if each == "token_embd.weight" else quantization]
        packed = packed_at_random(weight.shape, type_) if "_K" in type_.name else gguf.quantize(weight, type_)
        writer.add_tensor(each, packed, raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def packed_at_random(shape: tuple[int, ...], type_: gguf.GGMLQuantizationType) -> numpy.ndarray[Any, Any]:
    """Blocks of a type that the package can only unpack: any bits are weights, but for the scales (ggml-common.h)."""
    rows, columns = shape
    values, size = gguf.GGML_QUANT_SIZES[type_]
    blocks = numpy.random.default_rng(1).integers(0, 256, (rows, columns // values, size), dtype=numpy.uint8)
    scale = numpy.frombuffer(numpy.float16(0.01).tobytes(), dtype=numpy.uint8)
    for at in {"Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}[type_.name]:
        blocks[:, :, at : at + 2] = scale
    return blocks.reshape(rows, -1)
