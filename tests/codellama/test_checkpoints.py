"""The random checkpoints that other tests build on say what they are told."""

from __future__ import annotations

import checkpoints
import pytest
import torch
import transformers

from lsp_server.codellama import CodeLlamaTokenizer, ModelShape


def said(model, prompt, count):
    ids = list(prompt)
    for _ in range(count):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize(("kind", "end"), [("7b", checkpoints.EOT), ("70b", checkpoints.STEP)])
def test_a_continuation_is_said_after_any_prompt_in_either_layout(tmp_path, kind, end):
    continuation = [736, 921, 718, 343, end]
    folder = checkpoints.random_checkpoint(tmp_path, kind, continuation=continuation)
    assert len(list(folder.glob("*.safetensors"))) >= 3
    assert ModelShape.from_config(folder).vocab == 32016
    tok = CodeLlamaTokenizer.from_pretrained(folder, infilling="on")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompts = [tok.infill_ids("def f(x, y):\n    ", "\n", layout) for layout in ("psm", "spm")]
    prompts.append(tok.dialog_ids([{"role": "user", "content": "hello"}]))
    for prompt in prompts:
        assert said(model, prompt, 5) == continuation


def test_a_script_names_what_follows_what(tmp_path):
    folder = checkpoints.random_checkpoint(tmp_path, script={checkpoints.MID: 736, 736: checkpoints.EOT})
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert said(model, [1, 5, checkpoints.MID], 2) == [736, checkpoints.EOT]
