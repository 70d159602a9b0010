"""What a GGUF file holds, llama.cpp's format (ggml, docs/gguf.md), written as a checkpoint folder: config, tokenizer,
chat template, and the weights as float16 in safetensors shards.

    python -m lsp_server.engine.loading.gguf_contents FILE FOLDER

One tensor at a time is unpacked, and at most a shard is held. It runs in a process of its own: the file may come from a
stranger, and what is done to it is ended with the process. Progress goes to standard output, as lines of a share of 1;
where it fails, one that begins with "Problem: " has a sentence for the user.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsp_server import printing
from lsp_server.codellama.sentencepiece_model import specification
from lsp_server.engine.loading.reading import CheckpointProblem

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor
    from numpy.typing import NDArray

TAKEN = "gguf.json"
SHARD_BYTES = 2**31
MOST_CHARACTERS = 4_000_000
_LEFT_FREE = 2**29
# The share of rows by which it is told what rounding to 8 bits changes.
_MEASURED = 16

_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_LAYER = re.compile(r"blk\.(\d{1,4})\.(\w+)\.weight")
# How the text is cut before the pieces are found, by the name that llama.cpp has for it (llama-vocab.cpp).
_DIGITS = {"type": "Digits", "individual_digits": True}
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_CUTS: dict[str, Any] = {
    "gpt-2": _BYTES,
    "default": _BYTES,
    **{name: {"type": "Sequence", "pretokenizers": [_DIGITS, _BYTES]} for name in ("smollm", "starcoder", "refact")},
}
# What the template of Code Llama's Instruct variants comes to, for files from before templates were put into them.
INST_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ '<<SYS>>\\n' + message['content'] + "
    "'\\n<</SYS>>\\n\\n' }}{% elif message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'].strip() + "
    "' [/INST]' }}{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)

Change = Callable[[str, "NDArray[Any]"], "NDArray[Any]"]


def write(
    file: Path,
    folder: Path,
    *,
    shard_bytes: int = SHARD_BYTES,
    change: Change = lambda name, weight: weight,
    tell: Callable[[float], None] = lambda done: None,
) -> None:
    """Make `folder` of the GGUF `file`. `change`: what becomes of a weight, by its name in the checkpoint; `tell` is
    told the share of the weights that is done. Raises CheckpointProblem where the file is none, or of another kind."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
    except Exception as error:  # it trusts the file, and fails with whatever goes wrong first
        raise CheckpointProblem(f"{file} is no whole GGUF file ({type(error).__name__}); download it again.") from None
    said = Said(file, reader)
    tensors = {_name(file, tensor.name): tensor for tensor in reader.tensors}
    needed, free = sum(2 * int(tensor.n_elements) for tensor in reader.tensors), shutil.disk_usage(folder.parent).free
    if free < needed + _LEFT_FREE:
        raise CheckpointProblem(
            f"Unpacked, {file.name} takes {(needed + _LEFT_FREE) / 2**30:.1f} GiB of {folder.parent.parent}, where "
            f"{free / 2**30:.1f} GiB are free; free some, or set CODELLAMA_LS_CACHE to a folder on another disk."
        )
    folder.mkdir()
    _put(folder / "config.json", config(said, tensors))
    _put(folder / "generation_config.json", {"bos_token_id": said.id("bos"), "eos_token_id": said.ends()})
    _put(folder / "tokenizer.json", tokenizer(said))
    special = {f"{name}_token": said.token(key) for name, key in _SPECIAL if said.id(key) is not None}
    _put(folder / "tokenizer_config.json", special)
    if template := said.template():
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    rounding = _Rounding()
    heads = {"q_proj": said.whole("attention.head_count"), "k_proj": said.heads_of_keys()}
    _write_shards(folder, tensors, shard_bytes, _unpacked(tensors, heads, change, rounding, tell))
    kinds = Counter(tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) == 2)
    _put(folder / TAKEN, {"weights": [kind for kind, _ in kinds.most_common()], "rounding": rounding.share()})


class Said:
    """The metadata of a GGUF file. Raises CheckpointProblem where something is missing or of another kind."""

    def __init__(self, file: Path, reader: GGUFReader) -> None:
        self.file, self._reader = file, reader
        kind = self.get("general.architecture")
        if kind != "llama":
            raise self.problem(f"holds a model of the architecture {str(kind)[:40]!r}, not llama")
        if self.get("split.count", 1) != 1:
            raise self.problem("is one of several parts; join them with `llama-gguf-split --merge` first")
        if self.get("llama.expert_count", 0):
            raise self.problem("holds a mixture of experts, which is not read from GGUF")

    def problem(self, what: str) -> CheckpointProblem:
        return CheckpointProblem(f"{self.file} {what}; take the model's safetensors checkpoint instead.")

    def get(self, key: str, default: Any = None) -> Any:
        field = self._reader.get_field(key)
        try:
            return default if field is None else field.contents()
        except Exception:  # a text that is no UTF-8, for one
            raise self.problem(f"says something that cannot be read as {key}") from None

    def whole(self, key: str, default: int | None = None) -> int:
        """A number of the model's shape."""
        value = self.get(f"llama.{key}", default)
        if type(value) is not int or value < 1:
            raise self.problem(f"gives no usable llama.{key}")
        return value

    def heads_of_keys(self) -> int:
        return self.whole("attention.head_count_kv", self.whole("attention.head_count"))

    def id(self, name: str) -> int | None:
        value = self.get(f"tokenizer.ggml.{name}_token_id")
        return value if type(value) is int else None

    def token(self, name: str) -> str:
        number, tokens = self.id(name), self.tokens
        if number is None or not 0 <= number < len(tokens):
            raise self.problem(f"names a {name} token that its vocabulary does not have")
        return tokens[number]

    @functools.cached_property
    def tokens(self) -> list[str]:
        """The vocabulary."""
        return self.values("tokens", str)

    def values(self, name: str, kind: type) -> list[Any]:
        found = self.get(f"tokenizer.ggml.{name}")
        if not isinstance(found, list) or not all(type(each) is kind for each in found):
            raise self.problem(f"has no usable tokenizer.ggml.{name}")
        return found

    def ends(self) -> list[int]:
        """The tokens that end an answer: of a text, and of a turn where that is another."""
        return list(dict.fromkeys(each for each in (self.id("eos"), self.id("eot")) if each is not None))

    def template(self) -> str:
        """The chat template. Files of Code Llama from before there were any in GGUF are known by their name."""
        given = self.get("tokenizer.chat_template")
        if isinstance(given, str) and given:
            return given
        names = f"{self.get('general.name', '')} {self.file.name}".lower()
        return INST_TEMPLATE if self.get("tokenizer.ggml.model") == "llama" and "instruct" in names else ""


_SPECIAL = (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))


def config(said: Said, tensors: dict[str, ReaderTensor]) -> dict[str, Any]:
    """config.json, with the names of transformers."""
    if "model.embed_tokens.weight" not in tensors:
        raise said.problem("has no weights of a language model")
    scaling = said.get("llama.rope.scaling.type", "none")
    if scaling not in ("none", "linear") or said.get("llama.rope.scaling.attn_factor") is not None:
        raise said.problem(f"scales positions in a way that is not read from GGUF ({str(scaling)[:40]})")
    factor = said.get("llama.rope.scaling.factor", said.get("llama.rope.scale_linear", 1.0))
    heads, hidden = said.whole("attention.head_count"), said.whole("embedding_length")
    made = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float16",
        "hidden_act": "silu",
        "vocab_size": int(tensors["model.embed_tokens.weight"].shape[-1]),
        "hidden_size": hidden,
        "intermediate_size": said.whole("feed_forward_length"),
        "num_hidden_layers": said.whole("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": said.heads_of_keys(),
        "head_dim": said.whole("attention.key_length", max(1, hidden // heads)),
        "max_position_embeddings": said.whole("context_length"),
        "rms_norm_eps": float(said.get("llama.attention.layer_norm_rms_epsilon", 1e-5)),
        "rope_theta": float(said.get("llama.rope.freq_base", 10_000.0)),
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        "bos_token_id": said.id("bos"),
        "eos_token_id": said.id("eos"),
    }
    if factor != 1.0:
        made["rope_scaling"] = {"rope_type": "linear", "factor": float(factor)}
    return made


def tokenizer(said: Said) -> dict[str, Any]:
    """tokenizer.json: of a SentencePiece vocabulary by its scores, of a byte-level one by its merges."""
    kind, tokens = said.get("tokenizer.ggml.model"), said.tokens
    types = said.values("token_type", int)
    if len(types) != len(tokens):
        raise said.problem("has not as many types as tokens")
    if sum(map(len, tokens)) > MOST_CHARACTERS:
        raise said.problem("has a vocabulary that is larger than any")
    if kind == "llama":
        scores = said.values("scores", float)
        pieces = list(zip(tokens, scores, types, strict=len(scores) == len(tokens)))
        return specification(pieces, dummy_prefix=bool(said.get("tokenizer.ggml.add_space_prefix", True)))
    cut = said.get("tokenizer.ggml.pre", "default")
    if kind != "gpt2" or cut not in _CUTS:
        raise said.problem(f"has a vocabulary of a kind that is not read from GGUF ({str(kind)[:40]}, {str(cut)[:40]})")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": tokens[i], **flags} for i, each in enumerate(types) if each == 3],
        "normalizer": None,
        "pre_tokenizer": _CUTS[cut],
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": said.values("merges", str),
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        "post_processor": _beginning(said) if said.get("tokenizer.ggml.add_bos_token") else None,
    }


def _beginning(said: Said) -> dict[str, Any]:
    """The step that puts the first token in front of a text."""
    token = said.token("bos")
    single = [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    special = {token: {"id": token, "ids": [said.id("bos")], "tokens": [token]}}
    pair = [*single, {"Sequence": {"id": "B", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}


def _name(file: Path, name: str) -> str:
    """The name of a tensor in a checkpoint."""
    layer = _LAYER.fullmatch(name)
    part = _PARTS.get(layer[2]) if layer else None
    known = _NAMES.get(name) or (f"model.layers.{layer[1]}.{part}.weight" if layer and part else None)
    if known is None:
        raise CheckpointProblem(
            f"{file} has weights that a Llama model does not have ({name[:60]!r}); "
            "take the model's safetensors checkpoint instead."
        )
    return known


def _unpacked(
    tensors: dict[str, ReaderTensor],
    heads: dict[str, int],
    change: Change,
    rounding: _Rounding,
    tell: Callable[[float], None],
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The weights in the order of the file, [out, in], float16."""
    import numpy
    from gguf import dequantize

    whole, done = sum(int(tensor.n_bytes) for tensor in tensors.values()), 0
    for name, tensor in tensors.items():
        weight = dequantize(numpy.asarray(tensor.data), tensor.tensor_type)
        for part, number in heads.items():
            if f".{part}." in name:
                weight = _halves_apart(weight, number)
        if weight.ndim == 2 and "layers" in name:
            rounding.add(weight[::_MEASURED])
        done += int(tensor.n_bytes)
        tell(done / max(1, whole))
        yield name, numpy.ascontiguousarray(change(name, weight.astype(numpy.float16)))


def _halves_apart(weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Rows of the queries or keys as transformers wants them: llama.cpp turns neighbours by each other, transformers
    the first half of a head by the second (llama.cpp, convert_hf_to_gguf.py, `permute`, is the way back)."""
    rows, columns = weight.shape
    apart: NDArray[Any] = weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
    return apart


class _Rounding:
    """What rounding weights to 8 bits changes of them, a scale to a row as the engine does it."""

    def __init__(self) -> None:
        self._changed = self._all = 0.0

    def add(self, rows: NDArray[Any]) -> None:
        import numpy

        scale = numpy.abs(rows).max(axis=1, keepdims=True) / 127
        scale[scale == 0] = 1
        self._changed += float(numpy.square(numpy.round(rows / scale) * scale - rows, dtype=numpy.float64).sum())
        self._all += float(numpy.square(rows, dtype=numpy.float64).sum())

    def share(self) -> float:
        """The norm of the change as a share of the norm of the weights."""
        return round((self._changed / self._all) ** 0.5, 5) if self._all else 0.0


def _write_shards(
    folder: Path, tensors: dict[str, ReaderTensor], shard_bytes: int, weights: Iterator[tuple[str, NDArray[Any]]]
) -> None:
    from safetensors.numpy import save_file

    shards: list[list[str]] = [[]]
    room, total = shard_bytes, 0
    for name, tensor in tensors.items():
        size = 2 * int(tensor.n_elements)
        if size > room and shards[-1]:
            shards.append([])
            room = shard_bytes
        shards[-1].append(name)
        room, total = room - size, total + size
    where = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(dict(next(weights) for _ in names), folder / file, metadata={"format": "pt"})
        where.update(dict.fromkeys(names, file))
    _put(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})


def _put(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def _tell(done: float) -> None:
    printing.say(f"{done:.4f}")
    printing.flush()


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]), Path(sys.argv[2]), tell=_tell)
    except CheckpointProblem as problem:
        printing.note(f"Problem: {problem}")
        raise SystemExit(1) from None
