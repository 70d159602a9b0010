"""The training loop: resumable to the bit, the same on a CPU and a GPU."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine import starter
from training import chat, cores, data, holes
from training.model import SCALE, Taught

SEED = 6
RATE = 5e-4
WARM_UP = 20  # steps
TOKENS = 2048  # of a step
BEFORE = 64  # tokens before a hole that are learned as well
CHAT_EVERY, CHAT_WEIGHT = 6, 6.0  # of so many steps one is chat; its gradients are small
SAVE_EVERY = 180  # seconds


def rate(step: int, finish: tuple[int, int] | None, highest: float = RATE, begun: int = 0) -> float:
    """Warm-up from step `begun` on, then constant, so that one can stop at any time; `finish` (first, last) is where it
    falls to zero."""
    value = highest * min(1.0, (step - begun + 1) / WARM_UP)
    if finish is not None and step >= finish[0]:
        value *= 1 - (step - finish[0]) / (finish[1] - finish[0])
    return value


@dataclasses.dataclass(frozen=True)
class Steps(Dataset[tuple[str, torch.Tensor, torch.Tensor]]):
    """What each step learns from: (kind, ids [rows, length], which of them are to be learned). That follows from the
    step's number, so that nothing of it has to be saved."""

    tokenizer: CodeLlamaTokenizer
    files: Sequence[data.File]
    talks: Sequence[holes.Example]
    tokens: int
    before: int
    chat_every: int

    def __getitem__(self, step: int) -> tuple[str, torch.Tensor, torch.Tensor]:
        if step % self.chat_every == self.chat_every - 1:
            kind, examples = "chat", chat.batch(self.talks, SEED, step, self.tokens // 2)
        else:
            kind, examples = "infill", holes.batch(self.files, self.tokenizer, SEED, step, self.tokens)
        shape = len(examples), max(len(ids) for ids, _ in examples)
        rows, learned = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.bool)
        for at, (ids, first) in enumerate(examples):
            rows[at, : len(ids)] = torch.tensor(ids)
            learned[at, first : len(ids)] = True
            if kind == "infill":
                learned[at, holes.before(ids, first, self.tokenizer, self.before)] = True
        return kind, rows, learned


class Learner:
    """Gradients of a step, of which each core takes some rows."""

    def __init__(self, taught: Taught, device: str) -> None:
        self._taught, self._device = taught, device
        self._parts, self._cores = cores.count(device), cores.pool(device)
        self._met = set[str]()

    def learn(self, kind: str, rows: torch.Tensor, learned: torch.Tensor) -> float:
        """Set the adapters' gradients for these rows [n, length]; the mean loss of a token to be `learned`."""
        measure = self._taught.drift if kind == "chat" else self._taught.loss
        weight = CHAT_WEIGHT if kind == "chat" else 1.0
        count = int(learned.sum())
        self._taught.merge()

        def part(first: int) -> tuple[float, list[torch.Tensor]]:
            own, wanted = rows[first :: self._parts], learned[first :: self._parts]
            longest = int(wanted.nonzero()[:, 1].max()) + 1
            loss = measure(own[:, :longest].to(self._device), wanted[:, :longest].to(self._device)) / count
            return loss.item(), self._taught.gradients(weight * loss)

        # The first of a kind by one core: layers may be compiled, which torch does not do in two threads at once.
        each = self._cores.map if kind in self._met else map
        self._met.add(kind)
        losses, gradients = zip(*each(part, range(min(self._parts, len(rows)))), strict=True)
        for adapter, *parts in zip(self._taught.adapters().values(), *gradients, strict=True):
            adapter.grad = torch.stack(parts).sum(0)
        return sum(losses)


def train(
    state: Path,
    *,
    steps: int | None = None,
    finish: int | None = None,
    from_package: bool = False,
    highest: float = RATE,
    shrink: float = 1.0,
    tokens: int = TOKENS,
    before: int = BEFORE,
    chat_every: int = CHAT_EVERY,
    device: str = "cpu",
    compiled: bool = False,
    workers: int = 0,
) -> None:
    """Carry on from `state`/train.pt, or begin: until SIGTERM, for `steps`, or `finish` further steps with a rate that
    falls to zero, whose result goes to `state`/finished.pt, so that the training itself can go on from where it was.

    `from_package`: where there is no train.pt, begin with the package's adapter, without what the optimizer knew.
    `highest`: the rate. `shrink`: what all adapters are multiplied with before the first step, which takes out noise of
    small steps and brings the chat nearer to what it was; the end of a hole has then to be learned again.
    `before`: tokens before a hole that are learned as well; without them the model learns best where to end.
    `chat_every`: of so many steps one is chat. `tokens`: of a step. `compiled`: as in `Taught`. `workers`: processes
    that prepare the steps, for a device that would have to wait for them.
    """
    tokenizer = CodeLlamaTokenizer.from_pretrained(state / "plain")
    taught = Taught(state / "plain", _token_ids(tokenizer), SEED, device, compiled)
    optimizer = torch.optim.AdamW(taught.adapters().values(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    step, seen, begun = _resume(state / "train.pt", taught, optimizer, from_package)
    for name, value in taught.adapters().items():
        if name.endswith(".b"):
            value.data.mul_(shrink)
    _log(state, {"step": step, "device": device, "torch": torch.__version__, "transformers": transformers.__version__})
    place = state / ("finished.pt" if finish else "train.pt")
    ending = (step, step + finish) if finish else None
    last = step + (finish or steps or sys.maxsize - step)
    files, talks = data.corpus(state, held_out=False), chat.load(state, held_out=False)
    todo = Steps(tokenizer, files, talks, tokens, before, chat_every)
    loader = DataLoader(todo, batch_size=None, sampler=range(step, last), num_workers=workers)
    stop = list[bool]()
    handler = signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    started = saved_at = time.monotonic()
    learner = Learner(taught, device)
    for kind, rows, learned in loader:
        loss = learner.learn(kind, rows, learned)
        torch.nn.utils.clip_grad_norm_(taught.adapters().values(), 1.0)
        optimizer.param_groups[0]["lr"] = rate(step, ending, highest, begun)
        optimizer.step()
        step, seen, now = step + 1, seen + int((rows > 0).sum()), time.monotonic()
        entry = {"step": step, "kind": kind, "loss": round(loss, 4), "tokens": seen, "rows": len(rows)}
        _log(state, {**entry, "seconds": round(now - started, 1)})
        if stop:
            break
        if now - saved_at > SAVE_EVERY:
            _save(place, taught, optimizer, (step, seen, begun))
            saved_at = now
    signal.signal(signal.SIGTERM, handler)
    _save(place, taught, optimizer, (step, seen, begun))


Counts = tuple[int, int, int]
"""Steps and tokens done so far, and the step at which the optimizer began."""


def _resume(place: Path, taught: Taught, optimizer: torch.optim.Optimizer, from_package: bool) -> Counts:
    if place.exists():
        saved = torch.load(place, map_location=taught.adapters()["rows"].device, weights_only=True)
        _copy(saved["adapters"], taught)
        optimizer.load_state_dict(saved["optimizer"])
        return saved["step"], saved["tokens"], saved["begun"]
    if not from_package:
        return 0, 0, 0
    with safe_open(starter.INFILLING / starter.ADAPTER, "pt") as adapter:
        tensors = {name: adapter.get_tensor(name) for name in adapter.keys()}  # noqa: SIM118 - the file is no mapping
        counts = adapter.metadata()
    tensors["rows"] = tensors.pop("model.embed_tokens.rows")
    _copy(tensors, taught)
    return int(counts["steps"]), int(counts["tokens"]), int(counts["steps"])


def _copy(tensors: Mapping[str, torch.Tensor], taught: Taught) -> None:
    for name, value in taught.adapters().items():
        value.data.copy_(tensors[name])


def _save(place: Path, taught: Taught, optimizer: torch.optim.Optimizer, counts: Counts) -> None:
    part = place.with_suffix(".part")
    adapters = {name: value.detach() for name, value in taught.adapters().items()}
    named = dict(zip(("step", "tokens", "begun"), counts, strict=True))
    torch.save({"adapters": adapters, "optimizer": optimizer.state_dict(), **named}, part)
    os.replace(part, place)


def _log(state: Path, entry: dict[str, object]) -> None:
    with (state / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")


def write(state: Path, weights: Sequence[str], folder: Path = starter.INFILLING) -> None:
    """Write what was learned, in float16, as the adapter that `lsp_server.engine.adapter` merges, and beside it the
    infilling.json of a checkpoint that has it, with the adapter's hash. Of several weights, stages of one training that
    follow each other, it is the mean, with the counts of the last."""
    stages = [torch.load(state / each, map_location="cpu", weights_only=True) for each in weights]
    saved = stages[-1]
    tensors = {
        name: torch.stack([stage["adapters"][name] for stage in stages]).mean(0).half() for name in saved["adapters"]
    }
    tensors["model.embed_tokens.rows"] = tensors.pop("rows")
    tensors["model.embed_tokens.ids"] = torch.tensor(_token_ids(CodeLlamaTokenizer.from_pretrained(state / "plain")))
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / starter.ADAPTER
    save_file(tensors, place, {"scale": str(SCALE), "steps": str(saved["step"]), "tokens": str(saved["tokens"])})
    place.chmod(0o644)  # it is to be packaged; what the library writes is its owner's alone
    named = json.loads(data.TOKENS.read_text(encoding="utf-8"))
    named["adapter"] = hashlib.sha256(place.read_bytes()).hexdigest()
    (folder / data.TOKENS.name).write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")


def _token_ids(tokenizer: CodeLlamaTokenizer) -> list[int]:
    tokens = tokenizer.infill_tokens
    assert tokens is not None
    assert tokens.end is not None
    return [tokens.prefix, tokens.suffix, tokens.middle, tokens.end]
