"""Checkpoints that bitsandbytes has really saved, and those that it or others saved and that are not read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lsp_server.engine.loading import plan, weights
from lsp_server.engine.loading.checkpoint import CheckpointProblem, validate
from lsp_server.engine.loading.devices import Device
from lsp_server.engine.passes import int8, llama_cpu, rounding

SAYS = [29871, 822, 4822, 736, 263, 718, 289, 13]
FORMS: dict[str, dict[str, Any]] = {
    "8": {"load_in_8bit": True},
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "fp4": {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"},
    "double": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
    "some": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "llm_int8_skip_modules": ["lm_head", "down_proj"]},
}
MEMORY = Device("memory", "cpu", 0, 2**33, 2**34, 10e9)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a checkpoint that transformers has rounded and saved in a form."""
    source = checkpoints.random_checkpoint(tmp_path_factory.mktemp("whole"), layers=2, continuation=SAYS)
    made: dict[str, Path] = {}

    def folder(form: str) -> Path:
        if form not in made:
            from transformers import AutoModelForCausalLM, BitsAndBytesConfig

            rounding.bitsandbytes()
            config = BitsAndBytesConfig(**FORMS[form])
            model = AutoModelForCausalLM.from_pretrained(
                source, quantization_config=config, device_map={"": "cpu"}, dtype=torch.bfloat16
            )
            made[form] = tmp_path_factory.mktemp("saved")
            model.save_pretrained(made[form])
            shutil.copy(source / "tokenizer.json", made[form])
        return made[form]

    return folder


def loaded(folder: Path, quantization: str = "auto") -> tuple[plan.Plan, Any]:
    checkpoint = validate(folder)
    made = plan.make(checkpoint.config, (MEMORY,), 1024, 1, checkpoint.tensors, quantization)
    return made, weights.load(checkpoint, made, lambda progress: None).model


def says(model: Any) -> list[int]:
    ids = torch.tensor([[1, 500, 600, 700]])
    return model.generate(ids, max_new_tokens=len(SAYS), do_sample=False)[0, ids.shape[1] :].tolist()  # type: ignore


def held(model: Any) -> int:
    """All bytes of the weights and of what belongs to them."""
    total = sum(each.numel() * each.element_size() for each in model.parameters())
    for module in model.modules():
        if type(module).__name__ == "Linear8bitLt":
            total += module.weight.SCB.nbytes
        elif type(module).__name__ == "Linear4bit":
            state = module.weight.quant_state
            total += state.absmax.nbytes + state.code.nbytes
            total += state.state2.absmax.nbytes + state.state2.code.nbytes if state.nested else 0
    return total


@pytest.mark.parametrize(
    ("form", "bits", "kinds"),
    [
        ("8", 8, {"Linear8bitLt"}),
        ("nf4", 4, {"Linear4bit"}),
        ("fp4", 4, {"Linear4bit"}),
        ("double", 4, {"Linear4bit"}),
        ("some", 4, {"Linear4bit", "Linear"}),
    ],
)
def test_what_bitsandbytes_saved_is_loaded_and_planned_as_it_is(
    saved: Callable[[str], Path], form: str, bits: int, kinds: set[str]
) -> None:
    made, model = loaded(saved(form))
    assert {type(each).__name__ for name, each in model.named_modules() if name.endswith("_proj")} == kinds
    assert (made.bits, made.weights_bytes) == (bits, held(model))
    assert says(model) == SAYS
    assert made.bits == 8 or made.why.startswith("as the checkpoint has them, about ")


def test_the_weights_are_those_of_the_file_and_ours_computes_with_them(saved: Callable[[str], Path]) -> None:
    folder, name = saved("8"), "model.layers.0.mlp.up_proj"
    _, model = loaded(folder)
    with safe_open(folder / "model.safetensors", "pt") as file:
        wanted = file.get_tensor(f"{name}.weight").float() * file.get_tensor(f"{name}.SCB")[:, None] / 127
    assert int8.replace_linears(model) == 2 * 7
    ours = model.get_submodule(name)
    assert torch.allclose(ours.weight.float() * ours.scale.float()[:, None], wanted, rtol=0.01)
    assert llama_cpu.can_take(model)


def test_bits_that_were_set_do_not_change_what_is_saved(saved: Callable[[str], Path]) -> None:
    made, _ = loaded(saved("nf4"), "8")
    assert (made.bits, made.why[:27]) == (4, "as the checkpoint has them,")


def test_without_bitsandbytes(saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "has_bitsandbytes", lambda: False)
    with pytest.raises(weights.LoadFailed, match=r"Weights of 8 bits need bitsandbytes.*16-bit checkpoint"):
        loaded(saved("8"))


def test_what_does_not_fit_is_not_told_to_take_fewer_bits(saved: Callable[[str], Path]) -> None:
    checkpoint = validate(saved("8"))
    disk = Device("disk", "disk", 0, 2**40, 2**40)
    small = Device("memory", "cpu", 0, 2**20, 2**34, 10e9)
    with pytest.raises(plan.DoesNotFit) as caught:
        plan.make(checkpoint.config, (small, disk), 1024, 1, checkpoint.tensors)
    assert "`quantization`" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "by GPTQ"),
        ({"quant_method": "awq", "bits": 4}, "by AWQ"),
        ({"quant_method": "compressed-tensors", "format": "int-quantized"}, "by compressed-tensors"),
        ({"quant_method": "something new"}, "by something new"),
        ({"bits": 4}, "by a method that it does not name"),
        ("gptq", "by a method that it does not name"),
    ],
)
def test_the_forms_of_others_are_named(saved: Callable[[str], Path], tmp_path: Path, config: Any, named: str) -> None:
    folder = changed(saved("8"), tmp_path, config)
    with pytest.raises(CheckpointProblem) as caught:
        validate(folder)
    said = str(caught.value)
    assert f"quantized {named}, which is not read here; take the 16-bit checkpoint of the same model" in said
    assert said.startswith(str(folder / "config.json"))


@pytest.mark.parametrize(
    "config",
    [
        {"quant_method": "bitsandbytes"},
        {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": True},
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "int4"},
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_storage": "bfloat16"},
    ],
)
def test_what_bitsandbytes_cannot_mean(saved: Callable[[str], Path], tmp_path: Path, config: Any) -> None:
    with pytest.raises(CheckpointProblem, match="in a way that is not read here; take the 16-bit"):
        validate(changed(saved("8"), tmp_path, config))


def changed(source: Path, folder: Path, config: Any) -> Path:
    """A copy of a checkpoint that says otherwise how it is rounded."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": config}))
    return folder


UP = "model.layers.0.mlp.up_proj.weight"
STATE = f"{UP}.quant_state.bitsandbytes__nf4"


def state(tensors: dict[str, torch.Tensor], **values: Any) -> None:
    said = {**json.loads(bytes(tensors[STATE].tolist())), **values}
    tensors[STATE] = torch.tensor(list(json.dumps(said).encode()), dtype=torch.uint8)


BROKEN: dict[str, tuple[str, Callable[[dict[str, torch.Tensor]], object]]] = {
    "no scales": ("8", lambda tensors: tensors.pop("model.layers.0.mlp.up_proj.SCB")),
    "fewer scales": ("8", lambda t: t.update({"model.layers.0.mlp.up_proj.SCB": torch.ones(255)})),
    "scales of another kind": ("8", lambda t: t.update({"model.layers.0.mlp.up_proj.SCB": torch.ones(256).half()})),
    "fewer blocks": ("nf4", lambda tensors: tensors.update({f"{UP}.absmax": torch.ones(511)})),
    "no blocks": ("nf4", lambda tensors: tensors.pop(f"{UP}.absmax")),
    "a short table": ("nf4", lambda tensors: tensors.update({f"{UP}.quant_map": torch.ones(15)})),
    "another block": ("nf4", lambda tensors: state(tensors, blocksize=32)),
    "no block": ("nf4", lambda tensors: state(tensors, blocksize=0)),
    "a block of true": ("nf4", lambda tensors: state(tensors, blocksize=True)),
    "another shape": ("nf4", lambda tensors: state(tensors, shape=[256, 1280])),
    "a shape of text": ("nf4", lambda tensors: state(tensors, shape="256, 128")),
    "another type": ("nf4", lambda tensors: state(tensors, quant_type="fp4")),
    "what no type is": ("nf4", lambda tensors: state(tensors, dtype="load")),
    "more than is known": ("nf4", lambda tensors: state(tensors, code="x")),
    "no JSON": ("nf4", lambda tensors: tensors.update({STATE: torch.zeros(9, dtype=torch.uint8)})),
    "a long text": ("nf4", lambda tensors: state(tensors, dtype="x" * 5000)),
    "a nested block": ("double", lambda tensors: state(tensors, nested_blocksize=64)),
    "no offset": ("double", lambda tensors: state(tensors, nested_offset=None)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_beside_the_weights_is_found_before_they_are_loaded(
    saved: Callable[[str], Path], tmp_path: Path, what: str
) -> None:
    """The kernels would read beyond the ends."""
    form, change = BROKEN[what]
    shutil.copytree(saved(form), tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        CheckpointProblem, match=r"lacks something of the rounded weight model\.layers\.0\.mlp\.up_proj"
    ):
        validate(tmp_path)


def test_a_head_that_is_rounded_too_is_refused(saved: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(saved("8"), tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["lm_head.weight"] = torch.zeros(tensors["lm_head.weight"].shape, dtype=torch.int8)
    tensors["lm_head.SCB"] = torch.ones(len(tensors["lm_head.weight"]))
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointProblem, match="has lm_head in rounded numbers"):
        loaded(tmp_path)


def test_a_config_that_says_so_of_weights_that_are_not(saved: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointProblem, match="has no weights of 4 bits, as the config says"):
        validate(changed(saved("8"), tmp_path, {**FORMS["nf4"], "quant_method": "bitsandbytes"}))
