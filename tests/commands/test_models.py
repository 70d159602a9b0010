"""`models`: what fits which machine, and that the plan, the table, `doctor` and the engine's refusal say the same."""

from __future__ import annotations

import functools
import io
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lsp_server import cli
from lsp_server.codellama import VARIANTS
from lsp_server.commands import machine, models
from lsp_server.commands.checks import model as doctor
from lsp_server.commands.console import Terminal
from lsp_server.engine.loading import hub, plan
from lsp_server.engine.loading.devices import Device
from lsp_server.engine.loading.sizes import Sizes, measure, of_shape
from lsp_server.settings import Settings

pytestmark = pytest.mark.usefixtures("engines")
GIB = 2**30
CONFIGS = Path(__file__).parents[1] / "engine" / "configs"
DISK = Device("disk", "disk", 0, 900 * GIB, 1000 * GIB)
SIZES = ("7b", "13b", "34b", "70b")


def a_machine(cards: int, size: float, memory: float) -> tuple[Device, ...]:
    free = int(0.97 * size * GIB)
    gpus = [Device(f"GPU {n} ({size} GiB)", "cuda", n, free, int(size * GIB)) for n in range(cards)]
    return (*gpus, Device("memory", "cpu", 0, int(memory * GIB), int(memory * GIB), 40e9), DISK)


MACHINES = {
    "8": a_machine(1, 8, 12),
    "12": a_machine(1, 12, 14),
    "24": a_machine(1, 24, 28),
    "2x24": a_machine(2, 24, 28),
    "4x24": a_machine(4, 24, 60),
    "80": a_machine(1, 80, 100),
    "8x80": a_machine(8, 80, 400),
    "16 of memory": a_machine(0, 0, 14),
    "64 of memory": a_machine(0, 0, 60),
}
# What `auto` takes: the bits, and "g" on cards alone, "m" with layers in memory, "d" with some on disk; "-": refused.
# By hand: GiB of weights in 8 bits are 6.5, 12.4, 31.9, 64.7, in 4 bits 3.9, 7.0, 18.3, 36.8; beside them 0.7 to 1.2
# on each device, and 0.2 to 0.8 for 1024 tokens.
AUTO = {
    "8": "4g 8m 8d -",
    "12": "8g 4g 4m -",
    "24": "8g 8g 4g 4m",
    "2x24": "8g 8g 8g 4g",
    "4x24": "8g 8g 8g 8g",
    "80": "8g 8g 8g 8g",
    "8x80": "8g 8g 8g 8g",
    "16 of memory": "8m 4m - -",
    "64 of memory": "8m 8m 8m 4m",
}


@functools.cache
def of_config(size: str) -> Sizes:
    """As the engine measures it, from the real config by the model that transformers builds."""
    return measure(json.loads((CONFIGS / f"{size}.json").read_text()))


@functools.cache
def row(name: str, size: str) -> dict[str, Any]:
    rows = models.rows(MACHINES[name])
    return next(each for each in rows if each["model"] == f"codellama/CodeLlama-{size}-hf")


@pytest.mark.parametrize(("name", "size"), [*itertools.product(MACHINES, SIZES)])
def test_the_plan_the_table_doctor_and_the_refusal_agree(name: str, size: str) -> None:
    devices, said = MACHINES[name], row(name, size)
    shape = next(each.shape for each in VARIANTS if each.hub_id == said["model"])
    for quantization in ("auto", "8", "4", "16"):
        told = said if quantization == "auto" else said["quantizations"][quantization]
        check = doctor.fits(of_shape(shape), Settings(quantization=quantization), devices)  # type: ignore[arg-type]
        if told["fits"] == "no":
            with pytest.raises(plan.DoesNotFit) as refused:
                plan.choose(of_config(size), devices, 0, quantization)
            assert (check.failed, check.found) == (True, str(refused.value))
            assert_fits(str(refused.value), name, size)
            continue
        made = plan.choose(of_config(size), devices, 0, quantization)
        assert told["fits"] == models.where(made)
        assert check.ok
        assert f"in {made.bits} bits for a context of {made.context_length:,} tokens" in check.found
        assert said["bits"] == made.bits or quantization != "auto"
        assert said["quantizations"][str(made.bits)]["context"] == made.context_length or quantization == "auto"


def assert_fits(refusal: str, name: str, size: str) -> None:
    """What a refusal says would fit does, by the table; and no larger one than it names."""
    if instead := re.search(r"set `quantization` to (\d+), which fits", refusal):
        assert row(name, size)["quantizations"][instead[1]]["fits"] != "no"
        return
    smaller = re.search(r"Code Llama (\d+)B(?: in (4) bits)? would fit here", refusal)
    assert smaller or "the starter model would fit here" in refusal
    if smaller:
        told = row(name, f"{smaller[1]}b")["quantizations"][smaller[2] or "8"]
        assert told["fits"] not in ("no", "CPU and disk")
    for larger in SIZES[SIZES.index(f"{smaller[1]}b") + 1 if smaller else 0 : SIZES.index(size)]:
        assert all(
            each["fits"] == "no" or "disk" in each["fits"] for each in row(name, larger)["quantizations"].values()
        )


@pytest.mark.parametrize("name", MACHINES)
def test_what_auto_takes(name: str) -> None:
    kinds = {"on one GPU": "g", "GPU and CPU": "m", "on the CPU": "m", "no": "-"}
    found = []
    for size in SIZES:
        said = row(name, size)
        where = said["fits"]
        kind = "d" if "disk" in where else "g" if where.startswith("over ") else kinds[where]
        found.append("-" if kind == "-" else f"{said['bits']}{kind}")
    assert " ".join(found) == AUTO[name]


def test_the_starter_fits_everywhere() -> None:
    assert all(models.rows(devices)[0]["bits"] == 8 for devices in MACHINES.values())


@pytest.mark.parametrize(
    ("gpus", "memory", "sizes", "ram"),
    [
        ("24", None, [24], None),
        ("2x24", 64.0, [24, 24], 64),
        ("24,80", None, [24, 80], None),
        ("2x12,8", 1.5, [12, 12, 8], 1.5),
        ("0", 16.0, [], 16),
    ],
)
def test_a_machine_that_is_thought_of(gpus: str, memory: float | None, sizes: list[int], ram: float | None) -> None:
    found = machine.thought_of(gpus, memory)
    assert [device.total_bytes for device in found if device.kind == "cuda"] == [size * GIB for size in sizes]
    assert [device.index for device in found if device.kind == "cuda"] == list(range(len(sizes)))
    (there,) = (device for device in found if device.kind == "cpu")
    here = next(device for device in machine.devices() if device.kind == "cpu")
    assert there.free_bytes == (int(ram * GIB) if ram is not None else pytest.approx(here.free_bytes, rel=0.2))


@pytest.mark.parametrize("word", ["24x", "x24", "-1", "24;24", "", "1e3", "2x24,"])
def test_cards_that_are_none(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["models", f"--gpus={word}"])
    assert caught.value.code == 2
    assert "must be GiB as in 24, 2x24 or 24,80, or 0 for none" in capsys.readouterr().err


def test_34b_on_one_card_of_24_gib(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "--gpus", "24", "--memory", "64", "--json"]) == 0
    rows = {each["model"]: each for each in json.loads(capsys.readouterr().out)}
    large = rows["codellama/CodeLlama-34b-Instruct-hf"]
    assert (large["bits"], large["fits"]) == (4, "on one GPU")
    four, eight = large["quantizations"]["4"], large["quantizations"]["8"]
    assert (eight["fits"], four["tokensPerSecond"] > 25) == ("GPU and CPU", True)
    assert four["tokensPerSecond"] > 4 * eight["tokensPerSecond"]


def test_what_is_drawn_is_narrow_and_nothing_is_cut() -> None:
    written = io.StringIO()
    rows = models.rows(MACHINES["24"])
    shown = Terminal(width=80, file=written)
    shown.print(models.abilities(rows))
    shown.print(models.fitting(list(models.of_sizes(rows))))
    drawn = written.getvalue()
    assert max(map(len, drawn.splitlines())) <= 80
    for each in ("codellama/CodeLlama-70b-Instruct-hf", "infills", "chats", "16384", "disputed", "here"):
        assert each in drawn
    assert "…" not in drawn
    lines = [" ".join(line.split()) for line in drawn.splitlines()]
    assert any(line.startswith("Code Llama 34B 8 32.7 GPU and CPU 2048 ~") for line in lines)
    assert any(re.fullmatch(r"\*4 19.1 on one GPU 8192 ~\d+ tokens/s", line) for line in lines)
    words = models.in_words(next(each for each in rows if each["model"].endswith("34b-hf")))
    assert words.startswith(
        "codellama/CodeLlama-34b-hf: infills: no; chats: no; 16384 tokens; 8 bits: 32.7 GiB, GPU and"
    )
    assert "; *4 bits: 19.1 GiB, on one GPU, ~" in words
    assert words.endswith("16 bits: 63.6 GiB, does not fit")


def test_neither_torch_nor_transformers_is_loaded_and_it_is_quick() -> None:
    """The names of modules that a fresh interpreter has after it; the memory is measured in half a second at most."""
    code = (
        "import sys, time; from lsp_server import cli; cli.main(['models', '--gpus', '24', '--json']);"
        "from lsp_server.engine.loading import rates; rates.of_memory.cache_clear(); began = time.process_time();"
        "rates.of_memory();"
        "print(sorted({'torch', 'transformers', 'bitsandbytes'} & set(sys.modules)), time.process_time() - began < 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "[] True"


def test_checkpoints_that_are_rounded_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each in the bits that it has; one of another form is named, and what to take instead."""
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path))
    forms = {
        "org/four": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        "org/gptq": {"quant_method": "gptq", "bits": 4},
    }
    for name, form in forms.items():
        folder = tmp_path / "hub" / name.replace("/", "--")
        folder.mkdir(parents=True)
        config = json.loads((CONFIGS / "7b.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "quantization_config": form}))
        listed = {"files": {"config.json": (folder / "config.json").stat().st_size}}
        (folder / hub.LISTING).write_text(json.dumps(listed))
    rows = {row["model"]: row for row in models.others_here((), MACHINES["24"])}
    four, gptq = rows["org/four"], rows["org/gptq"]
    assert (four["bits"], [*four["quantizations"]], four["fits"]) == (4, ["4"], "on one GPU")
    assert (gptq["bits"], gptq["fits"]) == (None, "no")
    assert cli.main(["models"]) == 0
    said = capsys.readouterr().out
    assert "Here, and not to be loaded: org/gptq, 0.0 GiB. " in said
    assert "already quantized by GPTQ, which is not read here; take the 16-bit checkpoint of the same model" in said
    assert cli.main(["doctor", "--model", str(tmp_path / "hub" / "org--gptq"), "--json"]) == 1
    (check,) = (each for each in json.loads(capsys.readouterr().out) if each["name"] == "model")
    assert "already quantized by GPTQ" in check["found"]


def test_where_the_driver_says_cards_and_torch_cannot_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cards", lambda: [machine.Card("NVIDIA L4", "600", 24 * GIB, 23 * GIB)])
    kinds = []
    for version in ("12.8", None, ""):
        monkeypatch.setattr(machine, "torch_cuda", lambda version=version: version)
        kinds.append([device.kind for device in machine.devices()])
    with_card = ["cuda", "cpu", "disk"]
    assert kinds == [with_card, with_card, ["cpu", "disk"]]  # an engine that is to be installed will use it
