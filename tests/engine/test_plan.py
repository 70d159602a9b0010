"""Placements on hardware that is not here, from the real configs. The expected bytes are worked by hand from the shapes
of the models (shown in `HAND`), the parameter counts are the published ones."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lsp_server.engine import address
from lsp_server.engine.loading import plan
from lsp_server.engine.loading.devices import Device
from lsp_server.errors import UserError

GIB = 2**30
CONFIGS = {name: json.loads((Path(__file__).parent / "configs" / f"{name}.json").read_text()) for name in
           ("7b", "13b", "34b", "70b")}  # fmt: skip
# hidden, layers, key-value width, MLP size, vocabulary; parameters of the published models; KV bytes of a token
# What keys and values take in memory, of their own size, on top of which holes come: measured with the starter, 31 kB
# against the 23,040 bytes a token of 30 layers x 2 x 3 heads x 64 x 2 bytes.
IN_MEMORY = 1.35
HAND = {
    "7b": (4096, 32, 4096, 11008, 32016, 6_738_546_688, 524_288),
    "13b": (5120, 40, 5120, 13824, 32016, 13_016_028_160, 819_200),
    "34b": (8192, 48, 1024, 22016, 32000, 33_743_970_304, 196_608),
    "70b": (8192, 80, 1024, 28672, 32016, 68_976_910_336, 327_680),
}
DISK = Device("disk", "disk", 0, 900 * GIB, 1000 * GIB)
SIZES = (8, 12, 16, 24, 48, 80)


def gpus(count, size):
    return tuple(Device(f"GPU {i}", "cuda", i, int(size * GIB), int(size * GIB)) for i in range(count))


def memory(size):
    return Device("memory", "cpu", 0, int(size * GIB), int(size * GIB))


def weights_by_hand(name):
    """1 byte for each linear weight, 4 for each of its rows, 2 for everything else: two tables and the norms."""
    hidden, layers, kv, mlp, vocabulary, parameters, _ = HAND[name]
    linear = layers * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * mlp)
    rows = layers * (hidden + 2 * kv + hidden + 2 * mlp + hidden)
    other = 2 * vocabulary * hidden + (2 * layers + 1) * hidden
    assert linear + other == parameters
    return linear + 4 * rows + 2 * other


def fitting(config, devices):
    with contextlib.suppress(plan.DoesNotFit):
        return plan.make(config, devices)
    return None


def numbers(row):
    return [int(match[1]) for part in row.parts if (match := re.search(r"layers\.(\d+)$", part))]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", SIZES)
def test_every_machine(name, count, size):
    devices = (*gpus(count, size), memory(12), DISK)
    expected = weights_by_hand(name)
    made = fitting(CONFIGS[name], devices)
    if made is None:
        assert expected > 0.5 * (count * size + 12) * GIB  # refused only where it truly is too large
        return
    # What each device holds fits it, in whole layers, in the order of the model, none left out, none twice.
    for row in made.rows:
        if row.device.kind != "disk":
            assert row.weights_bytes + row.kv_bytes + row.headroom <= row.device.free_bytes
            assert row.headroom >= GIB // 2
    assert [number for row in made.rows for number in numbers(row)] == list(range(HAND[name][1]))
    assert 1024 <= made.context_length <= 8192
    assert HAND[name][6] * made.context_length == made.kv_bytes_per_token * made.max_kv_tokens
    each = HAND[name][6] // HAND[name][1] * made.context_length
    on_cards = made.layers_on("cuda")
    assert made.kv_bytes == pytest.approx(each * (on_cards + IN_MEMORY * (HAND[name][1] - on_cards)), abs=100)
    kinds = [row.device.kind for row in made.rows]
    if "disk" not in kinds:
        assert made.weights_bytes == expected
    # 1.5 GiB a card for headroom and for what is left over where a layer (0.85 GiB at most) does not fit any more.
    if expected + HAND[name][6] * 1024 < (size - 2.3) * count * GIB:
        assert set(kinds) == {"cuda"}, made.describe()


@pytest.mark.parametrize(("name", "gib"), [("7b", 6.52), ("13b", 12.43), ("34b", 31.92), ("70b", 64.73)])
def test_weights_in_8_bits(name, gib):
    made = plan.make(CONFIGS[name], gpus(1, 141))
    assert made.weights_bytes == weights_by_hand(name)
    assert made.weights_bytes / GIB == pytest.approx(gib, abs=0.03)  # the published sizes leave the row scales out
    assert made.device_map == {"": 0}
    assert made.context_length == 8192


def test_agrees_with_accelerate_on_where_layers_go():
    """With the room that accelerate keeps free added, and keys and values out of the way, both fill GPUs alike."""
    import torch
    from accelerate import infer_auto_device_map, init_empty_weights
    from transformers import LlamaConfig, LlamaForCausalLM

    made = plan.make(CONFIGS["34b"], (*gpus(4, 12), memory(32)), 1024)
    with init_empty_weights():
        model = LlamaForCausalLM(LlamaConfig(**CONFIGS["34b"]))
    for layer in model.model.layers:  # keys and values: 4096 bytes a token in each layer
        layer.register_buffer("kv", torch.empty(1024 * 4096, dtype=torch.int8, device="meta"))
    linear = {f"{name}.weight": torch.int8 for name, part in model.named_modules()
              if type(part) is torch.nn.Linear and name != "lm_head"}  # fmt: skip
    room = {row.device.index: row.device.free_bytes - row.headroom for row in made.rows if row.device.kind == "cuda"}
    room[0] += 32000 * 8192 * 2 + 2**28  # accelerate reserves its largest module on the first GPU
    room["cpu"] = 32 * GIB
    theirs = infer_auto_device_map(
        model, room, no_split_module_classes=["LlamaDecoderLayer"], dtype=torch.float16, special_dtypes=linear
    )
    ours = [made.device_map[f"model.layers.{number}"] for number in range(48)]
    assert [theirs[f"model.layers.{number}"] for number in range(48)] == pytest.approx(ours, abs=1)
    assert sum(a == b for a, b in zip(ours, theirs.values(), strict=False)) > 40


def test_a_small_card_gets_a_shorter_context_before_the_cpu_is_used():
    made = plan.make(CONFIGS["7b"], (*gpus(1, 8), memory(32), DISK))
    assert made.device_map == {"": 0}
    assert 1024 <= made.context_length < 2048
    longer = plan.make(CONFIGS["7b"], (*gpus(1, 8), memory(32), DISK), 8192)
    assert longer.context_length == 8192
    assert [row.device.kind for row in longer.rows] == ["cuda", "cpu"]
    assert set(longer.device_map.values()) == {0, "cpu"}


def test_the_largest_context_that_fits_is_found():
    made = plan.make(CONFIGS["7b"], gpus(1, 8))
    one_more = HAND["7b"][6] * 256
    assert made.rows[0].used_bytes + one_more > 8 * GIB >= made.rows[0].used_bytes


def test_cpu_alone():
    made = plan.make(CONFIGS["7b"], (memory(16), DISK))
    assert made.device_map == {"": "cpu"}
    assert [row.device.kind for row in made.rows] == ["cpu"]


def test_disk_takes_the_last_layers_in_16_bits_and_memory_their_keys_and_values():
    made = plan.make(CONFIGS["7b"], (memory(7), DISK))
    cpu, disk = made.rows
    assert disk.layers == tuple(range(32 - len(disk.layers), 32))
    # 202,375,168 linear weights in a layer at 2 bytes, and its two norms
    assert disk.weights_bytes == len(disk.layers) * (2 * 202_375_168 + 2 * 2 * 4096)
    assert cpu.kv_bytes == pytest.approx(IN_MEMORY * 524_288 * made.context_length, abs=100)
    assert disk.kv_bytes == 0
    assert made.device_map["model.layers.31"] == "disk"
    assert made.device_map["lm_head"] == "cpu"
    assert "are read from disk for every token" in made.describe()


def test_several_sequences_need_their_own_keys_and_values():
    one, four = (plan.make(CONFIGS["7b"], gpus(1, 24), 4096, sequences) for sequences in (1, 4))
    assert one.kv_bytes == 2 * GIB
    assert four.kv_bytes == 8 * GIB
    assert four.max_kv_tokens == 16384


def test_never_more_context_than_the_model_was_trained_for():
    short = {**CONFIGS["70b"], "max_position_embeddings": 4096}
    assert plan.make(short, gpus(1, 80)).context_length == 4096
    assert plan.make(short, gpus(1, 80), 100_000).context_length == 4096
    assert plan.make(CONFIGS["7b"], gpus(1, 80), 16384).context_length == 16384


def test_tied_embeddings_are_counted_once():
    tied = {**CONFIGS["7b"], "tie_word_embeddings": True}
    saved = weights_by_hand("7b") - plan.make(tied, gpus(1, 24)).weights_bytes
    assert saved == 32016 * 4096 * 2
    split = plan.make(tied, (*gpus(2, 6), memory(32)))
    assert split.device_map["lm_head"] == split.device_map["model.embed_tokens"] == 0


@pytest.mark.parametrize(
    ("name", "devices", "context", "sequences", "words"),
    [
        ("70b", (memory(16), DISK), 0, 1, ("66", "64.8 GiB weights", "16.0 GiB of memory", "Code Llama 13B", "80 GiB")),
        ("13b", (*gpus(1, 8), memory(3)), 0, 1, ("8.0 GiB on GPU 0", "set `quantization` to 4, which fits")),
        (
            "34b",
            (*gpus(1, 8), memory(7)),
            0,
            1,
            ("8.0 GiB on GPU 0", "Code Llama 13B in 4 bits would", "a GPU of 48 GiB"),
        ),
        ("7b", (memory(2),), 0, 1, ("2.0 GiB of memory", "the starter model", "a GPU of 8 GiB")),
        ("7b", gpus(1, 12), 16384, 1, ("set `contextLength` to", "or less")),
        ("7b", gpus(1, 12), 1024, 24, ("1,024 tokens x 24", "one request at a time fits")),
    ],
)
def test_refusals_say_what_would_fit(name, devices, context, sequences, words):
    with pytest.raises(plan.DoesNotFit) as caught:
        plan.make(CONFIGS[name], devices, context, sequences)
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_shorter_context_that_is_proposed_does_fit():
    with pytest.raises(plan.DoesNotFit) as caught:
        plan.make(CONFIGS["7b"], gpus(1, 12), 16384)
    proposed = int(re.search(r"`contextLength` to (\d+)", str(caught.value))[1])
    assert plan.make(CONFIGS["7b"], gpus(1, 12), proposed).context_length == proposed
    with pytest.raises(plan.DoesNotFit):
        plan.make(CONFIGS["7b"], gpus(1, 12), proposed + 256)


def test_the_table_for_the_user():
    text = plan.make(CONFIGS["7b"], (*gpus(2, 6.1), memory(32))).describe()
    assert re.search(r"^GPU 0 +0-\d+ ", text, re.M)
    assert re.search(r"^GPU 1 +\d+-31 ", text, re.M)
    assert "Context: 8,192 tokens" in text
    assert plan.make(CONFIGS["7b"], gpus(1, 24)).summary().endswith("on GPU 0")


def test_an_unknown_architecture():
    with pytest.raises(UserError, match="does not know the model type 'mystery'"):
        plan.make({**CONFIGS["7b"], "model_type": "mystery"}, gpus(1, 24))


def test_the_devices_of_this_machine():
    found = plan.devices()
    assert [device.kind for device in found][-2:] == ["cpu", "disk"]
    assert all(0 < device.free_bytes <= device.total_bytes for device in found)


def test_what_another_engine_will_still_take_is_not_free(engines):
    """One that runs; what a dead one, or this one itself, has left in its file counts no more."""
    (free,) = (each.free_bytes for each in plan.devices() if each.kind == "cpu")
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "lsp_server"])
    try:
        for name, pid, gib in (("other", sleeper.pid, 1), ("dead", 2**22 + 1, 64), ("own", os.getpid(), 64)):
            found = address.Address(pid, "1", name, reserved={"cpu": gib * plan.GIB, "cuda:0": 5})
            address.write(address.files(name).address, found)
        (left,) = (each.free_bytes for each in plan.devices() if each.kind == "cpu")
    finally:
        sleeper.kill()
        sleeper.wait()
    assert 0.5 * plan.GIB < free - left < 1.5 * plan.GIB
    assert address.reserved_by_others() == {}


def test_each_gpu_keeps_room_for_the_keys_and_values_of_its_own_layers():
    """13B with its full context: 12.4 + 6.3 + headroom on two cards of 12 GiB, which only fits if it is shared out."""
    made = plan.make(CONFIGS["13b"], gpus(2, 12))
    assert made.context_length == 8192
    assert [row.kv_bytes for row in made.rows] == [819_200 // 40 * 8192 * len(row.layers) for row in made.rows]


def test_the_last_card_has_room_for_two_of_the_layers_in_memory():
    """Which it computes a prompt through: a layer of 34B has 692,060,160 weights in 70,656 rows, 4 bytes each, two
    norms of 8,192 numbers, and keys and values of 4,096 bytes a token."""
    (config, layer), context = (CONFIGS["34b"], 692_060_160 + 4 * 70_656 + 2 * 2 * 8192), 2048
    beside = plan.make(config, (*gpus(2, 12), memory(64)), context)
    alone = plan.make(config, gpus(4, 12), context)
    room = 2 * layer + 4096 * context + 34 * 2**20
    filled = 4096 * 144  # of each layer on a card, for passes that are filled up
    first, last, rest = beside.rows
    assert (rest.device.kind, rest.layers[-1]) == ("cpu", 47)
    usual = alone.rows[0].headroom - filled * len(alone.rows[0].layers)
    assert first.headroom == usual + filled * len(first.layers)
    assert last.headroom == usual + filled * len(last.layers) + room
    # Not so where another pass computes it.
    on_disk = plan.make(config, (*gpus(1, 12), memory(8), DISK), context)
    assert on_disk.layers_on("disk") > 0
    assert on_disk.rows[0].headroom == usual + filled * len(on_disk.rows[0].layers)
    # In 4 bits: two weights a byte, 4 bytes for each 64, and the sixteen numbers of nf4 for each of seven products.
    four = plan.make(config, (*gpus(1, 12), memory(64)), context, quantization="4")
    smaller = 692_060_160 // 2 + 4 * 692_060_160 // 64 + 2 * 2 * 8192 + 7 * 64
    assert four.rows[0].headroom == usual + filled * len(four.rows[0].layers) + room - 2 * (layer - smaller)
    # A card that is too small for that is left alone.
    small = plan.make(config, (*gpus(1, 12), Device("small", "cuda", 1, 2 * GIB, 2 * GIB), memory(64)), context)
    assert [row.device.kind for row in small.rows] == ["cuda", "cpu"]
    assert small.rows[0].headroom == usual + filled * len(small.rows[0].layers) + room


def test_room_for_several_contexts_where_it_costs_nothing_else():
    # 7B: 4 GiB for each context of 8192 tokens. A quarter of the device may be kept.
    assert plan.make_roomy(CONFIGS["7b"], gpus(1, 80)).sequences == 4
    assert plan.make_roomy(CONFIGS["7b"], gpus(1, 48)).sequences == 3
    assert plan.make_roomy(CONFIGS["7b"], gpus(1, 24)).sequences == 1
    for devices in (gpus(1, 80), gpus(1, 24), (*gpus(1, 8), memory(32), DISK), (memory(16), DISK)):
        one, roomy = plan.make(CONFIGS["7b"], devices), plan.make_roomy(CONFIGS["7b"], devices)
        assert (roomy.device_map, roomy.context_length) == (one.device_map, one.context_length)
    with pytest.raises(plan.DoesNotFit):
        plan.make_roomy(CONFIGS["70b"], (memory(8),))


def test_weights_that_are_not_rounded_need_two_bytes_each_and_never_the_disk():
    """Code Llama 7B: 6,738,546,688 parameters in all, from its model card's shapes."""
    made = plan.make_roomy(CONFIGS["7b"], (*gpus(1, 24), memory(32), DISK), 1024, quantization="16")
    assert made.weights_bytes == 2 * HAND["7b"][5]
    with pytest.raises(plan.DoesNotFit, match="in 16 bits"):
        plan.make_roomy(CONFIGS["7b"], (memory(12), DISK), 1024, quantization="16")
