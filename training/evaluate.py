"""What the taught model is worth, on holes in files that it was not trained on, against the plain one."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, DynamicCache

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.codellama.infilling import Layout
from lsp_server.completion import stopping
from lsp_server.engine.generating.healing import Spellings
from lsp_server.engine.loading import starter
from lsp_server.engine.loading.adapter import merge
from lsp_server.evaluation.holes import Hole, hole
from lsp_server.evaluation.scores import first_line_exact, similarity
from lsp_server.settings import Settings
from training import chat, cores, data, edits
from training.holes import kept

README = Path(__file__).with_name("README.md")
SEED = 7
SHARES = {"python": 0.4, "typescript": 0.14, "javascript": 0.1, "rust": 0.1, "go": 0.1, "java": 0.09, "c": 0.07}
KINDS = {"line": 0.33, "rest": 0.37, "piece": 0.08, "block": 0.14, "body": 0.08}
CHARACTERS_BEFORE, CHARACTERS_AFTER = 2240, 960  # 1,000 tokens together, which is what the product sends
MOST_TOKENS = 128  # of an answer: the longest holes have as many
MULTILINE = Settings().multiline
TOGETHER = 8
TAUGHT = ("psm", "spm")
MODES = ("bare", "plain", *TAUGHT)
"""How a model is asked. `bare`: the plain model, with the text before the cursor. `plain`: the same with token healing:
the last tokens before the cursor are taken back, and the answer must begin with their text. `psm`, `spm`: the taught
model in the two layouts, with healing too."""


def held_out_holes(state: Path, count: int) -> list[Hole]:
    """The first `count` holes of an endless list, the same for everyone: kinds and languages by their shares."""
    rng = random.Random(SEED)
    files: dict[str, list[data.File]] = {}
    for file in data.corpus(state, held_out=True):
        files.setdefault(file.language, []).append(file)
    found = list[Hole]()
    while len(found) < count:
        (language,) = rng.choices(list(SHARES), list(SHARES.values()))
        (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
        cut = None
        while cut is None:
            cut = hole(rng.choice(files[language]), rng, kind, CHARACTERS_BEFORE, CHARACTERS_AFTER)
        found.append(cut)
    return found


def evaluate(state: Path, count: int, modes: Sequence[str], device: str) -> None:
    """Answer every hole in every mode, carrying on from what is in `state`/answers, and write the tables."""
    tokenizer = CodeLlamaTokenizer.from_pretrained(state / "plain")
    spellings = Spellings(tokenizer.vocabulary.bytes_of, tokenizer.vocab_size)
    cuts = held_out_holes(state, count)
    for mode in modes:
        place = _answers(state, mode)
        known = {each["hole"] for each in _read(place)}
        left = [at for at in range(count) if at not in known]
        if not left:
            continue
        left.sort(key=lambda at: len(cuts[at].prefix + cuts[at].suffix))
        model = _model(state, taught=mode in TAUGHT, device=device)
        # Batches in an order of their own, so that a part of them is a fair sample.
        batches = [left[at : at + TOGETHER] for at in range(0, len(left), TOGETHER)]
        random.Random(SEED).shuffle(batches)
        asked = functools.partial(answer, model, tokenizer, spellings, mode)
        with cores.pool(device) as pool:
            answered = pool.map(asked, [[cuts[at] for at in batch] for batch in batches])
            for batch, answers in zip(batches, answered, strict=True):
                with place.open("a", encoding="utf-8") as out:
                    for at, (text, ended) in zip(batch, answers, strict=True):
                        out.write(json.dumps({"hole": at, "text": text, "ended": ended}) + "\n")
    chats = {taught: likelihood(state, _model(state, taught=taught, device=device)) for taught in (False, True)}
    write(tables(state, count), chats, asyncio.run(edits.measure(state)))


def _answers(state: Path, mode: str) -> Path:
    """Where the answers of a mode are; those of another adapter, or asked in another way, are elsewhere."""
    parts = ((starter.INFILLING / starter.ADAPTER).read_bytes(), (state / "plain" / starter.TOKENS).read_bytes())
    asked = hashlib.sha256(b"".join(parts)).hexdigest()[:8]
    folder = state / "answers" / (asked if mode in TAUGHT else "plain")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{mode}.jsonl"


def _model(state: Path, *, taught: bool, device: str) -> torch.nn.Module:
    model = AutoModelForCausalLM.from_pretrained(state / "plain", dtype=torch.float16)
    if taught:
        merge(model, starter.INFILLING / starter.ADAPTER)
    return model.to(device, torch.bfloat16).eval()


def answer(
    model: torch.nn.Module, tokenizer: CodeLlamaTokenizer, spellings: Spellings, mode: str, cuts: Sequence[Hole]
) -> list[tuple[str, bool]]:
    """(text, whether the model ended it by itself) for each hole: the most likely token, one after the other, until the
    model or the product's stopping rules end it. Asked as the product asks by default, for one line or for several."""
    device = next(model.parameters()).device
    prompts, forced = list[list[int]](), list[bytes]()
    for cut in cuts:
        prefix = cut.prefix if mode == "bare" else kept(cut.prefix, tokenizer)
        forced.append(cut.prefix[len(prefix) :].encode())
        if mode in TAUGHT:
            prompts.append(tokenizer.infill_ids(prefix, cut.suffix, cast("Layout", mode)))
        else:
            prompts.append(tokenizer.completion_ids(prefix) or [0])
    taken = list(forced)
    ends = set(tokenizer.infill_stop_ids)
    made: list[list[int]] = [[] for _ in cuts]
    ended = [False] * len(cuts)
    biases = [tokenizer.infill_bias(one_line=mode in TAUGHT and not _place(cut).multiline) for cut in cuts]
    rows = list(range(len(cuts)))
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(each)) + each for each in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in prompts], device=device)
    cache = DynamicCache()
    with torch.inference_mode():
        for _ in range(MOST_TOKENS):
            positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            output = model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
            )
            logits = output.logits[:, -1].float()
            for at, row in enumerate(rows):
                for each, bias in biases[row].items():
                    logits[at, each] += bias
                if forced[row]:
                    fitting = torch.tensor(spellings.fitting(forced[row]), device=device)
                    logits[at] = torch.full_like(logits[at], -torch.inf).index_copy(0, fitting, logits[at, fitting])
            chosen = logits.argmax(-1).tolist()
            going = []
            for at, row in enumerate(rows):
                token = chosen[at]
                if token in ends:
                    ended[row] = True
                    continue
                made[row].append(token)
                new = tokenizer.vocabulary.bytes_of(token)
                forced[row] = forced[row][len(new) :]
                text = tokenizer.decode(made[row])[len(taken[row].decode()) :]
                if shown(cuts[row], text) == text:
                    going.append(at)
            if not going:
                break
            if len(going) < len(rows):
                keep = torch.tensor(going, device=device)
                cache.batch_select_indices(keep)
                mask = mask[keep]
            rows = [rows[at] for at in going]
            ids = torch.tensor([[chosen[at]] for at in going], device=device)
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
    texts = [tokenizer.decode(each)[len(first.decode()) :] for each, first in zip(made, taken, strict=True)]
    return list(zip(texts, ended, strict=True))


def likelihood(state: Path, model: torch.nn.Module) -> float:
    """Mean log-likelihood, in nats a token, of the plain model's answers that were not trained on. The infilling tokens
    are ruled out, as the product does."""
    never = list(CodeLlamaTokenizer.from_pretrained(state / "plain").dialog_bias)
    total = count = 0.0
    with torch.inference_mode():
        for ids, first in chat.load(state, held_out=True):
            row = torch.tensor([ids], device=next(model.parameters()).device)
            logits = model(row).logits[0, first - 1 : -1].float()
            logits[:, never] = -torch.inf
            total -= float(functional.cross_entropy(logits, row[0, first:], reduction="sum"))
            count += len(ids) - first
    return total / count


def _place(cut: Hole) -> stopping.Place:
    return stopping.place_at(cut.prefix, cut.suffix, MULTILINE)


def shown(cut: Hole, text: str) -> str:
    """What the product's stopping rules leave of an answer."""
    end = stopping.end_of(text, _place(cut))
    return text if end is None else text[:end]


def _read(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in place.read_text(encoding="utf-8").splitlines()] if place.exists() else []


def tables(state: Path, count: int) -> str:
    """The results as Markdown, over the holes that were answered in every mode that has answers."""
    cuts = held_out_holes(state, count)
    answers = {mode: {each["hole"]: each for each in _read(_answers(state, mode))} for mode in MODES}
    answers = {mode: given for mode, given in answers.items() if given}
    common = [at for at in range(count) if all(at in given for given in answers.values())]
    scores = {
        (mode, at): _scores(cuts[at], answers[mode][at]["text"], answers[mode][at]["ended"])
        for mode in answers
        for at in common
    }
    lines = list[str]()
    for title, group_of in (
        ("hole", lambda cut: cut.kind),
        ("cursor", lambda cut: cut.cursor),
        ("language, whole lines and ends of lines only", lambda cut: cut.language * (cut.kind in ("line", "rest"))),
    ):
        lines += [
            f"| {title} | holes | asked | first line exact | edit similarity | ends by itself |",
            "|---" * 6 + "|",
        ]
        groups: dict[str, list[int]] = {}
        for at in common:
            groups.setdefault(group_of(cuts[at]), []).append(at)
        for group, members in sorted(groups.items()):
            for mode in answers if group else ():
                exact, similar, ended = (
                    sum(each) / len(members) for each in zip(*(scores[mode, at] for at in members), strict=True)
                )
                ends = "never" if mode not in TAUGHT else f"{ended:.1%}"
                lines.append(f"| {group} | {len(members)} | {mode} | {exact:.1%} | {similar:.2f} | {ends} |")
        lines.append("")
    return "\n".join(lines)


def _scores(cut: Hole, text: str, ended: bool) -> tuple[float, float, float]:
    text = shown(cut, text)
    return first_line_exact(cut.middle, text), similarity(cut.middle, text), ended


def write(figures: str, chats: dict[bool, float], edited: str) -> None:
    """Put the figures into README.md, between its two marks."""
    begin, end = "<!-- figures, written by `evaluate` -->\n", "<!-- end of figures -->"
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    chat_line = (
        "Log-likelihood of the plain model's own answers, in nats a token: "
        f"{chats[False]:.3f} under itself, {chats[True]:.3f} under the taught model.\n"
    )
    README.write_text(f"{before}{begin}\n{figures}\n{chat_line}\n{edited}\n{end}{after}", encoding="utf-8")
