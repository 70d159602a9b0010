"""The training loop: resumable to the bit, the same on a CPU and a GPU."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading import starter
from training import chat, cores, data, holes
from training.model import SCALE, Taught
from training.others import Others

SEED = 6
STEPS = 2000
TOKENS = {"cpu": 2048, "cuda": 65536}  # of a step
RATE = {"cpu": 6e-4, "cuda": 2e-3}  # smaller steps are noisier
WARM_UP = 50  # steps
BEFORE = 64  # tokens before a hole that are learned as well,
ALONE = 0.3  # but not in the last steps, this share of all, which teach where to end
CHAT_EVERY, CHAT_WEIGHT = 4, 12.0  # of so many steps one is chat; its gradients are small
SAVE_EVERY = 180  # seconds
LOG_EVERY = 10  # steps


def rate(step: int, steps: int, highest: float) -> float:
    """Of `steps` together: it warms up, then falls to zero."""
    return highest * min(1.0, (step + 1) / WARM_UP) * (1 - step / steps)


@dataclasses.dataclass(frozen=True)
class Steps(Dataset[tuple[str, torch.Tensor, torch.Tensor]]):
    """What each step learns from: (kind, ids [rows, length], which of them are to be learned). That follows from the
    step's number, so that nothing of it has to be saved."""

    tokenizer: CodeLlamaTokenizer
    files: Sequence[data.File]
    talks: Sequence[holes.Example]
    tokens: int
    steps: int
    others: Others | None = None

    def __getitem__(self, step: int) -> tuple[str, torch.Tensor, torch.Tensor]:
        if step % CHAT_EVERY == CHAT_EVERY - 1:
            kind, examples = "chat", chat.batch(self.talks, SEED, step, self.tokens // 2)
        else:
            kind, examples = "infill", holes.batch(self.files, self.tokenizer, SEED, step, self.tokens, self.others)
        rows, learned = holes.padded(examples)
        if kind == "infill" and step < self.steps * (1 - ALONE):
            for at, (ids, first) in enumerate(examples):
                learned[at, holes.before(ids, first, self.tokenizer, BEFORE)] = True
        return kind, rows, learned


class Learner:
    """Gradients of a step, of which each core of a CPU takes some rows."""

    def __init__(self, taught: Taught, device: str) -> None:
        self._taught, self._device = taught, device
        # Compiled layers are one thread's: torch does not compile in two at once, and does so whenever it likes.
        self._parts = 1 if taught.compiled else cores.count(device)
        self._cores = cores.pool(device)

    def learn(self, kind: str, rows: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
        """Set the adapters' gradients for these rows [n, length]; the mean loss of a token to be `learned`."""
        measure = self._taught.drift if kind == "chat" else self._taught.loss
        weight = CHAT_WEIGHT if kind == "chat" else 1.0
        count = int(learned.sum())
        self._taught.merge()

        def part(first: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
            own, wanted = rows[first :: self._parts], learned[first :: self._parts]
            longest = int(wanted.nonzero()[:, 1].max()) + 1
            loss = measure(own[:, :longest].to(self._device), wanted[:, :longest].to(self._device)) / count
            return loss.detach(), self._taught.gradients(weight * loss)

        parts = range(min(self._parts, len(rows)))
        losses, gradients = zip(*(self._cores.map(part, parts) if self._parts > 1 else map(part, parts)), strict=True)
        for adapter, *each in zip(self._taught.adapters().values(), *gradients, strict=True):
            adapter.grad = torch.stack(each).sum(0)
        return torch.stack(losses).sum()


def train(
    state: Path,
    *,
    steps: int = STEPS,
    until: int | None = None,
    highest: float | None = None,
    tokens: int | None = None,
    device: str = "cpu",
    compiled: bool = False,
    workers: int = 0,
    others: float = 0.0,
    package: bool = False,
) -> None:
    """Begin, or carry on from `state`/train.pt, until all `steps` are done, or SIGTERM, or step `until`.

    `highest`: the rate, or that of the device. `tokens`: of a step, likewise. With these and `steps` the same, a
    training that is carried on is to the bit the one that was not stopped; with more `steps`, its rate rises again to
    where that of a longer one would be. `compiled`: as in `Taught`. `workers`: processes that prepare the steps, for a
    device that would have to wait. `others`: the share of the steps that are shown with other files.
    `package`: it begins with the package's own adapter, which is taught further.
    """
    highest, tokens = highest or RATE[device], tokens or TOKENS[device]
    tokenizer = CodeLlamaTokenizer.from_pretrained(state / "plain")
    taught = Taught(state / "plain", _token_ids(tokenizer), SEED, device, compiled)
    optimizer = torch.optim.AdamW(taught.adapters().values(), lr=highest, betas=(0.9, 0.98), weight_decay=0.0)
    place = state / "train.pt"
    if package and not place.exists():
        taught.begin_with(starter.INFILLING / starter.ADAPTER)
    step, seen = _resume(place, taught, optimizer)
    _log(state, {"step": step, "device": device, "torch": torch.__version__, "transformers": transformers.__version__})
    files, talks = data.corpus(state, held_out=False), chat.load(state, held_out=False)
    todo = Steps(tokenizer, files, talks, tokens, steps, Others(state, tokenizer, others, files) if others else None)
    loader = DataLoader(todo, batch_size=None, sampler=range(step, until or steps), num_workers=workers)
    stop = list[bool]()
    handler = signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    started = saved_at = time.monotonic()
    learner = Learner(taught, device)
    for kind, rows, learned in loader:
        loss = learner.learn(kind, rows, learned)
        torch.nn.utils.clip_grad_norm_(taught.adapters().values(), 1.0)
        optimizer.param_groups[0]["lr"] = rate(step, steps, highest)
        optimizer.step()
        step, seen, now = step + 1, seen + int((rows > 0).sum()), time.monotonic()
        if step % LOG_EVERY == 0 or kind == "chat":  # a device has to be waited for to know the loss
            entry = {"step": step, "kind": kind, "loss": round(float(loss), 4), "tokens": seen, "rows": len(rows)}
            _log(state, {**entry, "seconds": round(now - started, 1)})
        if stop:
            break
        if now - saved_at > SAVE_EVERY:
            _save(place, taught, optimizer, step, seen)
            saved_at = now
    signal.signal(signal.SIGTERM, handler)
    _save(place, taught, optimizer, step, seen)


def _resume(place: Path, taught: Taught, optimizer: torch.optim.Optimizer | None = None) -> tuple[int, int]:
    """Steps and tokens done so far."""
    if not place.exists():
        return 0, 0
    saved = torch.load(place, map_location=taught.adapters()["rows"].device, weights_only=True)
    for name, value in taught.adapters().items():
        value.copy_(saved["adapters"][name])
    if optimizer is not None:
        optimizer.load_state_dict(saved["optimizer"])
    return saved["step"], saved["tokens"]


def _save(place: Path, taught: Taught, optimizer: torch.optim.Optimizer, step: int, tokens: int) -> None:
    part = place.with_suffix(".part")
    adapters = taught.adapters()
    torch.save({"adapters": adapters, "optimizer": optimizer.state_dict(), "step": step, "tokens": tokens}, part)
    os.replace(part, place)


def _log(state: Path, entry: dict[str, object]) -> None:
    with (state / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")


def write(state: Path, folder: Path = starter.INFILLING, share: float = 1.0) -> None:
    """Write what was learned, in 8 bits, as the adapter that `lsp_server.engine.loading.adapter` merges, and beside it
    the infilling.json of a checkpoint that has it, with the adapter's hash.

    `share`: of a training that began with the adapter in `folder`, how far to go from that one to what was learned
    since: between the two little is forgotten and much is kept (https://arxiv.org/abs/2109.01903).
    """
    tokenizer = CodeLlamaTokenizer.from_pretrained(state / "plain")
    taught = Taught(state / "plain", _token_ids(tokenizer))
    learned = taught.adapters()
    if share < 1:
        taught.begin_with(folder / starter.ADAPTER)
    before = {name: value.clone() for name, value in learned.items()}
    step, seen = _resume(state / "train.pt", taught)
    learned = {name: torch.lerp(before[name], value, share) for name, value in learned.items()}
    tensors = {
        "model.embed_tokens.rows": learned["rows"].half(),
        "model.embed_tokens.ids": torch.tensor(_token_ids(tokenizer)),
    }
    for name in [name.removesuffix(".a") for name in learned if name.endswith(".a")]:
        a, b = learned[f"{name}.a"], learned[f"{name}.b"]
        steps = a.abs().amax(1) / 127, b.abs().amax(0).clamp(min=1e-12) / 127
        tensors[f"{name}.a"] = (a / steps[0][:, None]).round().to(torch.int8)
        tensors[f"{name}.b"] = (b / steps[1]).round().to(torch.int8)
        tensors[f"{name}.scale"] = SCALE * steps[0] * steps[1]
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / starter.ADAPTER
    save_file(tensors, place, {"steps": str(step), "tokens": str(seen)})
    place.chmod(0o644)  # it is to be packaged; what the library writes is its owner's alone
    named = json.loads(data.TOKENS.read_text(encoding="utf-8"))
    named["adapter"] = hashlib.sha256(place.read_bytes()).hexdigest()
    (folder / data.TOKENS.name).write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")


def _token_ids(tokenizer: CodeLlamaTokenizer) -> list[int]:
    tokens = tokenizer.infill_tokens
    assert tokens is not None
    assert tokens.end is not None
    return [tokens.prefix, tokens.suffix, tokens.middle, tokens.end]
