"""Loading for real: in 8 bits, on the CPU, split over memory and disk; and what it must refuse."""

import dataclasses
import json
import subprocess
import sys
import threading
from pathlib import Path

import checkpoints
import pytest
import torch
from safetensors import safe_open

from lsp_server.engine.loading import plan, weights
from lsp_server.engine.loading.checkpoint import validate
from lsp_server.engine.loading.devices import Device
from lsp_server.engine.passes import int8, rounding

MIB = 2**20
SAYS = [29871, 822, 4822, 736, 263, 718, 289, 13]  # ids the model says in turn, whatever the prompt


@pytest.fixture(scope="module")
def speaking(tmp_path_factory):
    """A checkpoint of four layers that says `SAYS`."""
    folder = tmp_path_factory.mktemp("speaking")
    return validate(checkpoints.random_checkpoint(folder, layers=4, continuation=SAYS))


def split_plan(checkpoint):
    """A plan on a machine whose memory has no room for the last layers."""
    disk = Device("disk", "disk", 0, 2**40, 2**40)
    whole = plan.make(checkpoint.config, (Device("memory", "cpu", 0, 2**33, 2**34),), 1024).rows[0].used_bytes
    for less in range(1, 100):
        free = whole - less * 20_000
        made = plan.make(checkpoint.config, (Device("memory", "cpu", 0, free, 2**34), disk), 1024)
        if len(made.rows[1].layers) == 2:
            return made
    raise AssertionError


def in_bits(checkpoint, bits):
    made = plan.make(checkpoint.config, plan.devices(), 1024, quantization=str(bits))
    return weights.load(checkpoint, made, lambda progress: None)


def load(checkpoint, made=None, report=lambda progress: None, stop=None):
    return weights.load(checkpoint, made or plan.make(checkpoint.config, plan.devices(), 1024), report, stop)


def says(model):
    ids = torch.tensor([[1, 500, 600, 700]])
    return model.generate(ids, max_new_tokens=len(SAYS), do_sample=False)[0, ids.shape[1] :].tolist()


def kinds(model):
    return {name: type(module).__name__ for name, module in model.named_modules() if name.endswith("_proj")}


def test_every_linear_layer_is_in_8_bits(speaking):
    seen = []
    loaded = load(speaking, report=seen.append)
    assert set(kinds(loaded.model).values()) == {"Linear8bitLt"}
    assert len(kinds(loaded.model)) == 4 * 7
    assert loaded.model.model.layers[0].mlp.up_proj.weight.dtype == torch.int8
    assert loaded.model.lm_head.weight.dtype == torch.bfloat16
    assert says(loaded.model) == SAYS
    assert loaded.device.startswith("CPU, ")
    # Progress: each shard is named, in order, and it ends at 1.
    shards = list(dict.fromkeys(progress.message for progress in seen))
    assert shards == [f"shard {k} of {len(speaking.shards)}" for k in range(1, len(speaking.shards) + 1)]
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1].done == 1.0


def test_every_linear_layer_is_in_4_bits(speaking, monkeypatch):
    model = in_bits(speaking, 4).model
    assert set(kinds(model).values()) == {"Linear4bit"}
    projection = model.model.layers[0].mlp.up_proj
    state = projection.weight.quant_state
    assert (state.quant_type, state.blocksize, state.nested) == ("nf4", 64, False)
    assert projection.compute_dtype == model.lm_head.weight.dtype == torch.bfloat16
    assert says(model) == SAYS
    monkeypatch.setattr(rounding, "has_bitsandbytes", lambda: False)
    with pytest.raises(weights.LoadFailed, match="Weights of 4 bits need bitsandbytes"):
        in_bits(speaking, 4)


def test_weights_in_4_bits_are_the_nearest_of_16_values(speaking):
    """Those of the paper (QLoRA, appendix E), times the largest of 64 neighbours."""
    below = [-1.0, -0.6961928, -0.5250731, -0.39491749, -0.28444138, -0.18477343, -0.09105004]
    above = [0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0]
    values = torch.tensor([*below, 0.0, *above])
    projection = "model.layers.0.mlp.up_proj"
    with safe_open(next(s.path for s in speaking.shards if f"{projection}.weight" in s.tensors), "pt") as file:
        blocks = file.get_tensor(f"{projection}.weight").float().view(-1, 64)
    scales = blocks.abs().amax(dim=1, keepdim=True)
    wanted = values[((blocks / scales)[..., None] - values).abs().argmin(dim=-1)] * scales
    loaded = in_bits(speaking, 4).model.get_submodule(projection)
    unit = torch.eye(loaded.in_features, dtype=torch.bfloat16)
    found = loaded(unit).float().T.reshape(-1, 64)
    # Rounded from bfloat16: a weight on the edge between two values may fall to the other side.
    assert torch.isclose(found, wanted, rtol=0.01, atol=1e-6).float().mean() > 0.98
    assert (found - wanted).abs().max() < 0.4 * scales.max()


def test_to_compare_with_the_weights_are_as_they_were_trained(speaking):
    model = in_bits(speaking, 16).model
    assert set(kinds(model).values()) == {"Linear"}
    projection = "model.layers.0.mlp.up_proj.weight"
    with safe_open(next(s.path for s in speaking.shards if projection in s.tensors), "pt") as file:
        assert torch.equal(model.get_parameter(projection), file.get_tensor(projection).to(torch.bfloat16))
    assert says(model) == SAYS


def test_without_bitsandbytes_the_same_weights(speaking, monkeypatch):
    """As on macOS: rounded by torch alone, to what bitsandbytes makes of the same layers."""
    theirs = load(speaking).model
    assert int8.replace_linears(theirs) == 4 * 7
    monkeypatch.setattr(rounding, "has_bitsandbytes", lambda: False)
    seen = []
    ours = load(speaking, report=seen.append).model
    assert set(kinds(ours).values()) == {"Int8Linear"}
    assert int8.replace_linears(ours) == 0
    for name in kinds(ours):
        mine, other = ours.get_submodule(name), theirs.get_submodule(name)
        # bitsandbytes rounds from float16: a weight on the edge between two steps may fall to the other side.
        assert (mine.weight.int() - other.weight.int()).abs().max() <= 1
        assert (mine.weight == other.weight).float().mean() > 0.99
        assert torch.allclose(mine.scale, other.scale, rtol=0.01)
    assert says(ours) == SAYS
    assert seen[-1].done == 1.0
    with pytest.raises(weights.LoadFailed, match="pip install bitsandbytes"):
        load(speaking, split_plan(speaking))


@pytest.mark.parametrize("bits", [8, 4, 16])
def test_the_plan_knows_the_bytes(speaking, bits):
    """What is in memory after loading is what the plan said, scales included."""
    made = plan.make(speaking.config, plan.devices(), 1024, quantization=str(bits))
    model = load(speaking, made).model
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    held += sum(m.weight.SCB.numel() * 4 for m in model.modules() if type(m).__name__ == "Linear8bitLt")
    for module in model.modules():
        if type(module).__name__ == "Linear4bit":
            state = module.weight.quant_state
            held += state.absmax.nbytes + state.code.nbytes
    assert made.weights_bytes == held


def test_split_over_memory_and_disk(speaking):
    made = split_plan(speaking)
    on_disk = made.rows[1].layers
    assert on_disk[-1] == 3
    loaded = load(speaking, made)
    for name, kind in kinds(loaded.model).items():
        layer = int(name.split(".")[2])
        assert kind == ("MappedLinear" if layer in on_disk else "Linear8bitLt")
    assert says(loaded.model) == SAYS
    assert loaded.device.endswith("+ disk")


def test_split_and_whole_compute_the_same(tmp_path):
    """Random weights: the split model differs from the whole one by no more than 8 bits differ from 16."""
    from transformers import AutoModelForCausalLM

    checkpoint = validate(checkpoints.random_checkpoint(tmp_path, layers=4, initializer_range=0.1, seed=3))
    exact = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    ids = torch.randint(300, 31000, (1, 48), generator=torch.manual_seed(1))
    with torch.inference_mode():
        outputs = [
            model(ids).logits[0].float()
            for model in (exact, load(checkpoint).model, load(checkpoint, split_plan(checkpoint)).model)
        ]
    whole, split = (torch.cosine_similarity(outputs[0], other, dim=-1).min().item() for other in outputs[1:])
    assert whole > 0.99
    assert split > 0.99
    assert split >= whole - 0.002  # fewer layers in 8 bits: not worse


def test_a_mapped_layer_is_exact_and_holds_no_memory(tmp_path):
    from safetensors.torch import save_file

    from lsp_server.engine.loading.disk import MappedLinear

    weight, bias = torch.randn(64, 32, dtype=torch.float16), torch.randn(64, dtype=torch.float16)
    save_file({"x.weight": weight, "x.bias": bias}, tmp_path / "m.safetensors")
    files = dict.fromkeys(("x.weight", "x.bias"), tmp_path / "m.safetensors")
    layer, x = MappedLinear("x", files, True), torch.randn(2, 3, 32, dtype=torch.bfloat16)
    expected = torch.nn.functional.linear(x, weight.bfloat16(), bias.bfloat16())
    assert torch.equal(layer(x), expected)
    assert not list(layer.parameters())


def test_layers_behind_hooks_between_devices(speaking):
    """accelerate's hooks, which move activations between devices, leave 8-bit layers on the CPU as they are."""
    from accelerate import dispatch_model

    model = load(speaking).model
    cpu = torch.device("cpu")
    places = dict.fromkeys(("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"), cpu)
    dispatch_model(model, {**places, **{f"model.layers.{n}": cpu for n in range(4)}}, force_hooks=True)
    assert hasattr(model.model.layers[3], "_hf_hook")
    assert set(kinds(model).values()) == {"Linear8bitLt"}
    assert says(model) == SAYS


def test_beside_a_gpu_the_cpu_computes_in_8_bits(speaking):
    """The string "cpu" would mean 16 bits, copied to the GPU at each pass."""
    made = plan.make(speaking.config, plan.devices(), 1024)
    mixed = dataclasses.replace(made, device_map={"model.embed_tokens": 0, "model.layers.0": "cpu", "lm_head": "disk"})
    cpu = torch.device("cpu")
    assert weights._placement(mixed) == (
        {"model.embed_tokens": 0, "model.layers.0": cpu, "lm_head": cpu},
        ["lm_head"],
    )
    assert all(place != "cpu" for place in weights._placement(mixed)[0].values())


def test_loading_can_be_stopped(speaking):
    stop, seen = threading.Event(), []

    def report(progress):
        seen.append(progress)
        if progress.done > 0.3:
            stop.set()

    with pytest.raises(weights.LoadStopped):
        load(speaking, report=report, stop=stop)
    assert 0.3 < seen[-1].done < 0.9
    assert says(load(speaking).model) == SAYS  # and nothing is left in a bad state


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    folder = checkpoints.random_checkpoint(tmp_path, layers=1)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    from safetensors.torch import load_file, save_file

    path = folder / index["weight_map"]["model.layers.0.self_attn.k_proj.weight"]
    tensors = load_file(path)
    del tensors["model.layers.0.self_attn.k_proj.weight"], index["weight_map"]["model.layers.0.self_attn.k_proj.weight"]
    save_file(tensors, path)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(weights.LoadFailed, match=r"no weights for model\.layers\.0\.self_attn\.k_proj\.weight"):
        load(validate(folder))


@pytest.mark.parametrize(
    "error",
    [torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate"), MemoryError(),
     RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")],
)  # fmt: skip
def test_out_of_memory_is_one_sentence(speaking, monkeypatch, error):
    import transformers

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(weights.LoadFailed, match="ran out of memory") as caught:
        load(speaking)
    assert "contextLength" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    folder = checkpoints.random_checkpoint(tmp_path, layers=1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    load(validate(folder))
    assert not (tmp_path / "ran").exists()


MEASURE = """
import sys, threading, time
from pathlib import Path
from lsp_server.engine.loading import plan, weights
from lsp_server.engine.loading.checkpoint import validate
weights.quiet()
import bitsandbytes, accelerate, torch, transformers.models.llama.modeling_llama
def held():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
small = validate(Path(sys.argv[1]))
weights.load(small, plan.make(small.config, plan.devices(), 1024), lambda progress: None)
checkpoint = validate(Path(sys.argv[2]))
made = plan.make(checkpoint.config, plan.devices(), 1024)
before, highest, over = held(), 0, threading.Event()
def sample():
    global highest
    while not over.is_set():
        highest = max(highest, held())
        time.sleep(0.001)
thread = threading.Thread(target=sample, daemon=True)
thread.start()
loaded = weights.load(checkpoint, made, lambda progress: None)
over.set()
thread.join()
with torch.inference_mode():
    loaded.model(torch.tensor([[1, 2, 3]]))
print(highest - before, loaded.peak_bytes - before, made.weights_bytes, checkpoint.largest_shard_bytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_memory_and_silence(speaking, tmp_path):
    """Memory while loading is at most the 8-bit model, its largest shard and 32 MiB; nothing is written to the log.

    float16 on disk, so that every weight is converted: the hard case. Pages of files are not counted.
    """
    from safetensors.torch import save_file

    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 8000, "hidden_size": 1536,
        "intermediate_size": 4096, "num_hidden_layers": 6, "num_attention_heads": 12, "tie_word_embeddings": False,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    shapes = {"self_attn.q_proj": (1536, 1536), "self_attn.k_proj": (1536, 1536), "self_attn.v_proj": (1536, 1536),
              "self_attn.o_proj": (1536, 1536), "mlp.gate_proj": (4096, 1536), "mlp.up_proj": (4096, 1536),
              "mlp.down_proj": (1536, 4096), "input_layernorm": (1536,),
              "post_attention_layernorm": (1536,)}  # fmt: skip
    shards = [
        {f"model.layers.{number}.{name}.weight": torch.rand(shape).half() for name, shape in shapes.items()}
        for number in range(6)
    ]
    tables = {"model.embed_tokens.weight": (8000, 1536), "model.norm.weight": (1536,), "lm_head.weight": (8000, 1536)}
    shards.append({name: torch.rand(shape).half() for name, shape in tables.items()})
    weight_map = {}
    for number, shard in enumerate(shards):
        save_file(shard, tmp_path / f"model-{number}.safetensors")
        weight_map |= dict.fromkeys(shard, f"model-{number}.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))

    command = [sys.executable, "-c", MEASURE, str(speaking.folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    peak, reported, weights, shard = map(int, done.stdout.split())
    assert weights == pytest.approx(219.6e6, rel=0.01)  # 170 million linear weights, and two tables in 16 bits
    assert peak <= weights + shard + 32 * MIB
    # It looks between two weights, not while one is converted; on a busy machine it may see more than the sampler does.
    assert 0.9 * weights <= reported <= weights + shard + 32 * MIB
