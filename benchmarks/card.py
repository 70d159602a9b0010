"""The pass on a CUDA card: whether it is right there, how its products are best cut, how fast it is beside stock.

    python -m benchmarks.card [--only STEP,STEP...] [--model 7b] [--small]

Eleven minutes with all steps, for whoever has a card for that long. Each step is a process of its own with a limit, and
what it found is written to card.json before the next one begins. Where the pass is not right, nothing is measured.
Models are made in the card's memory; only the last step, `engine`, makes a checkpoint (13.5 GB) and reads it.

`--small` tries the script itself, also without a card: in Triton's interpreter (TRITON_INTERPRET=1), steps in this
process. What that finds goes to the cache folder, not among the results.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import importlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import card_models, card_products, results, shapes
from benchmarks.card_models import EIGHT, EIGHT_PLAIN, EXACT, EXACT_FOUR, FOUR, KINDS, OURS, OURS_FOUR, SIXTEEN
from benchmarks.figures import median
from lsp_server.engine.passes import cards
from lsp_server.engine.passes.model import KeysValues, Model
from lsp_server.places import cache_folder

# A product in bfloat16 against float32: what is rounded is its result in `gated` alone, to 8 bits of mantissa.
MOST_ERROR, MOST_GATED_ERROR = 1e-4, 4e-3


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is asked: tokens of a prompt, of the window where tokens are decoded, and how many; rounds of each."""

    prompt: int = 2000
    window: int = 1000
    tokens: int = 64
    suggested: int = 24
    rounds: int = 5
    positions: int = 200
    checked: int = 16  # tokens that must be the same in passes of any size
    context: int = 4096


# What is said of a kind beside its name.
OUTLIERS, IN_MEMORY = ", outliers", ", half of the layers in memory"
SMALL = Size(prompt=17, window=17, tokens=1, suggested=1, rounds=1, positions=17, checked=4, context=64)
# Of the configs, for `--small`: a layer of a width with which all kinds go on.
TINY = {"num_hidden_layers": 1, "vocab_size": 64, "hidden_size": 128, "intermediate_size": 128}
TINY |= {"num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 64}


@dataclasses.dataclass(frozen=True)
class Task:
    """What a step is given."""

    size: Size
    device: torch.device
    model: str
    small: bool

    def config(self, shape: str, layers: int = 0) -> dict[str, Any]:
        values = shapes.config(shape, layers)
        return {**values, **TINY} if self.small else values


def environment(task: Task) -> dict[str, Any]:
    """The card, and how fast its memory is copied, reads and writes counted."""
    found: dict[str, Any] = {"machine": results.machine(), "torch": torch.__version__}
    if task.device.type == "cuda":
        properties = torch.cuda.get_device_properties(task.device)
        found["card"] = {
            name: getattr(properties, name)
            for name in ("name", "major", "minor", "total_memory", "multi_processor_count", "L2_cache_size")
        }
    size = 2**16 if task.small else 2**31
    source = torch.empty(size, dtype=torch.int8, device=task.device)
    into = torch.empty_like(source)
    took = card_products.microseconds([lambda: into.copy_(source)] * 3, task.device)
    return {**found, "copy_gb_per_second": 2 * size / took / 1000}


def correctness(task: Task) -> dict[str, Any]:
    """`right`: whether all is. Products of 7B and 34B whole, and passes of two layers in every way they can be run."""
    settings, errors = cards.settings(task.device), []
    for shape, bits in (("7b", 8), ("7b", 4)) if task.small else itertools.product(("7b", "34b"), (8, 4)):
        for product in card_products.products(task.config(shape), bits):
            for tokens in (1, 16, 17 if task.small else 150):
                error = card_products.error(product, tokens, settings, task.device)
                right = error < (MOST_GATED_ERROR if product.gated else MOST_ERROR)
                errors.append({
                    "shape": shape, "product": product.name, "bits": bits, "tokens": tokens, "error": error,
                    "right": right,
                })  # fmt: skip
    passes = {kind: _passes(kind, exact, task) for kind, exact in ((OURS, EXACT), (OURS_FOUR, EXACT_FOUR))}
    right = all(row["right"] for row in errors) and all(each["right"] for each in passes.values())
    return {"right": right, "products": errors, "passes": passes}


def _passes(kind: str, exact_kind: str, task: Task) -> dict[str, Any]:
    config = task.config("7b", 2)
    model: Any = card_models.make(kind, config, task.device, task.size.context)
    prompt, ids = _ids(config, 20), _ids(config, task.size.checked, 5)

    def run(chunk: int, *, eager: bool = False) -> torch.Tensor:
        keys_values = model.new_keys_values()
        model.forward(prompt, keys_values)
        kept = [(stretch, stretch._graphs) for stretch in model._stretches if eager]
        for stretch, _ in kept:
            stretch._graphs = {}
        chunks = [ids[at : at + chunk] for at in range(0, len(ids), chunk)]
        parts = [model.forward(part, keys_values, last=len(part)) for part in chunks]
        for stretch, graphs in kept:
            stretch._graphs = graphs
        return torch.cat(parts)

    single = run(1)
    equal = {
        "in fours": torch.equal(run(4), single),
        "in sixteens": torch.equal(run(16), single),
        "again": torch.equal(run(16), single),
        "without a graph": torch.equal(run(16, eager=True), single),
    }
    exact = card_models.make(exact_kind, config, task.device, task.size.context)
    keys_values = exact.new_keys_values()
    wanted = exact.forward([*prompt, *ids], keys_values, last=len(ids)).float().cpu()
    model = card_models.make(kind, config, task.device, task.size.context, in_memory=True)
    beside = run(1)
    equal["in sixteens, a layer in memory"] = torch.equal(run(16), beside)
    far, far_beside = (float((given - wanted).norm() / wanted.norm()) for given in (single, beside))
    right = all(equal.values()) and bool(single.isfinite().all()) and far < 0.05 and far_beside < 0.05
    found = {"right": right, "equal": equal, "from_float32": far}
    return {**found, "from_float32, a layer in memory": far_beside, "said": model.remark}


def sweep(task: Task) -> dict[str, Any]:
    """The best cuts for few tokens, as they would stand in `cards.py`; products of prompts beside torch's."""
    found: dict[str, Any] = {}
    table: dict[str, dict[str, dict[str, int]]] = {}
    for shape, bits in (("7b", 8), ("7b", 4)) if task.small else (("34b", 8), ("34b", 4), ("7b", 8)):
        config, name = task.config(shape), f"{shape} in {bits} bits"
        found[name] = card_products.sweep(config, bits, task.device, 22.0, whole=not task.small)
        found[f"{name}, prompts"] = card_products.prompts(config, bits, 18 if task.small else 512, task.device)
        best: dict[str, list[dict[str, int]]] = {}
        for row in found[name]:
            best.setdefault("gated" if row["product"] == "gate and up" else "few", []).append(row["tile"])
        # Of both shapes in 8 bits that of 7B, which comes last.
        table["eight" if bits == 8 else "four"] = {part: max(tiles, key=tiles.count) for part, tiles in best.items()}
    return {**found, "table": table, "now": dataclasses.asdict(cards.settings(task.device))}


def speed(task: Task, shape: str, kinds: Sequence[str]) -> dict[str, Any]:
    """Each kind of model for itself: milliseconds, memory, launches and waits."""
    found: dict[str, Any] = {}
    for name in kinds:
        kind, outliers, in_memory = name, OUTLIERS in name, IN_MEMORY in name
        for more in (OUTLIERS, IN_MEMORY):
            kind = kind.removesuffix(more)
        try:
            model = card_models.make(
                kind, task.config(shape), task.device, task.size.context, outliers=outliers, in_memory=in_memory
            )
            found[name] = _timed(model, task)
        except torch.OutOfMemoryError:
            found[name] = {"left out": "the card has not enough memory"}
        print(f"  {name}: {found[name]}", flush=True)
        model = None  # type: ignore[assignment]
        gc.collect()
        if task.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
    return found


def _timed(model: Model, task: Task) -> dict[str, Any]:
    size, ids = task.size, _ids({"vocab_size": model.vocab_size}, 4 * task.size.prompt)

    def prompt(tokens: int, offset: int) -> tuple[KeysValues, float]:
        keys_values, started = model.new_keys_values(), time.perf_counter()
        chosen = 0
        for at in range(0, tokens, model.chunk_tokens):
            part = ids[offset + at : offset + min(at + model.chunk_tokens, tokens)]
            chosen = int(model.forward(part, keys_values)[-1].argmax())
        assert chosen >= 0
        return keys_values, 1000 * (time.perf_counter() - started)

    def decode(keys_values: KeysValues, tokens: int) -> list[float]:
        token, took = 5, []
        for _ in range(tokens):
            started = time.perf_counter()
            token = int(model.forward([token], keys_values)[-1].argmax())
            took.append(1000 * (time.perf_counter() - started))
        return took

    prompt(size.prompt, 0)  # to warm up
    whole = [prompt(size.prompt, number)[1] for number in range(1, size.rounds + 1)]
    keys_values, _ = prompt(size.window, 7)
    decode(keys_values, 2)
    passes = decode(keys_values, size.tokens)
    suggestions = []
    for _ in range(size.rounds):
        keys_values.crop(size.window)
        suggestions.append(sum(decode(keys_values, size.suggested)))
    found = {
        f"prompt of {size.prompt}, ms": median(whole),
        f"pass at {size.window}, ms": median(passes),
        f"suggestion of {size.suggested}, ms": median(suggestions),
        "of tokens at once, ms": {str(count): _pass_of(model, keys_values, count, size) for count in (1, 4, 16)},
    }
    if task.device.type == "cuda":
        found["memory, GiB"] = torch.cuda.max_memory_allocated() / 2**30
        found |= _launches(lambda: decode(keys_values, 4), 4)
    return found


def _pass_of(model: Model, keys_values: KeysValues, count: int, size: Size) -> float:
    took = []
    for _ in range(2 * size.rounds):
        keys_values.crop(size.window)
        started = time.perf_counter()
        int(model.forward([5] * count, keys_values, last=count)[-1].argmax())
        took.append(1000 * (time.perf_counter() - started))
    return median(took)


def _launches(call: Callable[[], Any], tokens: int) -> dict[str, float]:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        call()
    names = [event.name for event in profiled.events()]
    launched = sum(name.startswith(("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")) for name in names)
    waited = sum("Synchronize" in name for name in names)
    return {"launches a token": launched / tokens, "waits a token": waited / tokens}


def agreement(task: Task) -> dict[str, Any]:
    """Of eight layers of 7B: how far each kind is from float32 on the weights that ours has; and whether guesses, right
    or wrong ones, leave ours as it is."""
    config = task.config("7b", 8)
    found: dict[str, Any] = {}
    ids = _ids(config, task.size.positions)
    for exact_kind, ours, others in ((EXACT, OURS, (EIGHT, SIXTEEN)), (EXACT_FOUR, OURS_FOUR, (FOUR,))):
        logits: dict[str, torch.Tensor] = {}
        for kind in (exact_kind, ours, *others):
            model = card_models.make(kind, config, task.device, task.size.context)
            keys_values = model.new_keys_values()
            parts = [ids[at : at + 16] for at in range(0, len(ids), 16)]
            given = [model.forward(part, keys_values, last=len(part)).float().cpu() for part in parts]
            logits[kind] = torch.log_softmax(torch.cat(given), dim=-1)
            if kind == ours:
                plain, guessed = (_greedy(model, ids[:20], task.size.tokens, guesses) for guesses in (0, 3))
                found[f"{kind}: guesses leave it"] = plain == guessed
        exact = logits.pop(exact_kind)
        found |= {
            kind: {
                "divergence": float((exact.exp() * (exact - other)).sum(-1).mean()),
                "same first choice": float((exact.argmax(-1) == other.argmax(-1)).float().mean()),
            }
            for kind, other in logits.items()
        }
    return found


def _greedy(model: Model, prompt: list[int], tokens: int, guesses: int) -> list[int]:
    """The most probable continuation, with so many wrong guesses checked in each pass."""
    keys_values, given = model.new_keys_values(), list[int]()
    fresh = list(prompt)
    while len(given) < tokens:
        logits = model.forward([*fresh, *[3] * guesses], keys_values, last=guesses + 1)
        given.append(int(logits[0].argmax()))
        keys_values.crop(len(prompt) + len(given) - 1)
        fresh = given[-1:]
    return given


def engine(task: Task) -> dict[str, Any]:
    """`benchmarks.gpu --quick`, through files and the engine; its own results are in gpu.json."""
    arguments = ["--quick", "--model", task.model]
    ended = subprocess.run([sys.executable, "-m", "benchmarks.gpu", *arguments], check=False)
    return {"exit": ended.returncode, **results.read("gpu")}


def _ids(config: dict[str, Any], count: int, seed: int = 1) -> list[int]:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(3, config["vocab_size"], (count,), generator=random).tolist()


# The steps in their order, with the seconds that each may take.
STEPS: dict[str, tuple[int, Callable[[Task], dict[str, Any]]]] = {
    "environment": (40, environment),
    "correctness": (150, correctness),
    "sweep": (100, sweep),
    "7b": (130, lambda task: speed(task, "7b", (*KINDS, OURS + OUTLIERS, EIGHT + OUTLIERS, OURS + IN_MEMORY))),
    "34b": (140, lambda task: speed(task, "34b", (OURS, OURS_FOUR, FOUR, SIXTEEN, EIGHT, EIGHT_PLAIN))),
    "agreement": (55, agreement),
    "engine": (180, engine),
}


def main(argv: list[str] | None = None) -> int:
    """Run the steps, print and write what they find; the exit status."""
    options = _parse(argv)
    if not torch.cuda.is_available() and not options.small:
        print("There is no CUDA card here; `--small` tries the script without one.", file=sys.stderr)
        return 1
    if options.small and not torch.cuda.is_available():
        sys.path.append(str(Path(__file__).parents[1] / "tests" / "cuda"))
        importlib.import_module("ptx").install()  # a card's own instructions
    if options.step:
        Path(options.out).write_text(json.dumps(_step(options.step, options), indent=2) + "\n", encoding="utf-8")
        return 0
    folder = cache_folder() / "benchmarks" / "results" if options.small else results.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    for name in options.only.split(",") if options.only else STEPS:
        started = time.monotonic()
        print(f"{name}:", flush=True)
        found[name] = _step(name, options) if options.small else _in_process(name, options)
        print(f"{name}: {time.monotonic() - started:.0f} s: {json.dumps(found[name])}", flush=True)
        (folder / "card.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        if name == "correctness" and not found[name].get("right"):
            print("The pass is wrong on this card: nothing is measured.", file=sys.stderr)
            return 1
    return 0


def _step(name: str, options: argparse.Namespace) -> dict[str, Any]:
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    task = Task(SMALL if options.small else Size(), device, options.model, options.small)
    with torch.inference_mode():
        return STEPS[name][1](task)


def _in_process(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """A step, ended when its time is over. What a card does to a process that it fails is over with that."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        command = [sys.executable, "-m", "benchmarks.card", "--step", name, "--out", str(out), "--model", options.model]
        try:
            ended = subprocess.run(command, timeout=STEPS[name][0], check=False)
        except subprocess.TimeoutExpired:
            return {"failed": f"not done in {STEPS[name][0]} s"}
        return json.loads(out.read_text("utf-8")) if ended.returncode == 0 else {"failed": f"exit {ended.returncode}"}


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="STEPS", help=", ".join(STEPS))
    parser.add_argument("--model", default="7b", choices=tuple(shapes.VOCABULARIES), help="the shape of `engine`")
    parser.add_argument("--small", action="store_true", help="try the script, on whatever is here")
    parser.add_argument("--step", choices=tuple(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
