"""Over the wire: a checkpoint for next edits on this machine, of another family than Code Llama, in our own engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import checkpoints
import pytest
from editor import editor
from server.next_edits import ask, put

from lsp_server.codellama import CodeLlamaTokenizer

pytestmark = pytest.mark.usefixtures("engines")
SPECIAL = ["<|endoftext|>", "<|file_sep|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|repo_name|>"]


def sweep_like(folder: Path, says: str) -> Path:
    """A checkpoint of Qwen2's shape with random weights that says one thing, and ends."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    checkpoints.byte_level_tokenizer(folder, SPECIAL, eos_token="<|endoftext|>")
    tokenizer = CodeLlamaTokenizer.from_pretrained(folder)
    ids = tokenizer.encode_raw(says)
    assert len({*ids}) == len(ids), "the model goes by the last id alone"
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=tokenizer.vocab_size,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.vocabulary.id_of("<|endoftext|>"),
    )
    model = Qwen2ForCausalLM(config).to(torch.float16)
    end = tokenizer.vocabulary.id_of("<|endoftext|>")
    checkpoints._speak(model, {}, [*ids, end])
    model.save_pretrained(folder)
    return folder


async def test_it_is_loaded_beside_the_other_and_asked_in_its_format(tmp_path: Path) -> None:
    model = checkpoints.random_checkpoint(tmp_path / "model")
    own = sweep_like(tmp_path / "sweep-like", "\ny=2")
    async with editor({"model": str(model), "nextEditModel": str(own)}) as window:
        uri = window.open("untitled:a", "x = 1")
        await window.ready()
        put(window, uri, 0, 4, 5, "0")
        for _ in range(200):
            if edit := (await ask(window, uri, 0))["edit"]:
                break
            await asyncio.sleep(0.2)
        assert edit, (window.statuses[-1:], window.messages)
        assert (edit["kind"], edit["oldText"], edit["newText"]) == ("rewritten", "x = 0", "y=2")
