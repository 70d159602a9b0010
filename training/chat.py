"""What keeps the chat as it was: the plain model's own answers, which the taught one goes on to find likely."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from lsp_server.codellama import CodeLlamaTokenizer
from training import data
from training.holes import Example

QUESTIONS = (
    "Explain what this code does.\n\n{code}",
    "Fix the bugs in this code. Answer with the code only.\n\n{code}",
    "Write documentation for this code.\n\n{code}",
    "Write unit tests for this code.\n\n{code}",
    "Refactor this code so that it is easier to read. Answer with the code only.\n\n{code}",
    "How could this be made faster?\n\n{code}",
    "What could go wrong here?\n\n{code}",
    "Write a function in {language} that {task}.",
    "How do I {task} in {language}?",
)
TASKS = (
    "reads a file line by line", "sorts a list of numbers", "parses a date", "counts words", "reverses a string",
    "checks whether a number is prime", "merges two maps", "retries a call three times", "opens a socket",
    "finds the longest line", "caches its results", "walks a tree", "removes duplicates", "rounds a price",
)  # fmt: skip
ANSWERS, ANSWER_TOKENS, TOGETHER = 96, 96, 24
HELD_OUT_ANSWERS = 24


def make(state: Path, seed: int = 6) -> None:
    """Ask the plain model and write `state`/chat.jsonl: {"ids", "answer": where the answer begins}.

    They are drawn at a low temperature, as users see them; what is learned from them is the plain model's whole
    distribution at each of their tokens (`Taught.drift`).
    """
    rng = random.Random(seed)
    torch.manual_seed(seed)
    tokenizer = CodeLlamaTokenizer.from_pretrained(state / "plain")
    model = AutoModelForCausalLM.from_pretrained(state / "plain", dtype=torch.bfloat16)
    files = data.corpus(state, held_out=False)
    asked = [tokenizer.dialog_ids([{"role": "user", "content": _question(rng, files)}]) for _ in range(ANSWERS)]
    with (state / "chat.jsonl").open("w", encoding="utf-8") as out:
        for first in range(0, ANSWERS, TOGETHER):
            group = asked[first : first + TOGETHER]
            width = max(map(len, group))
            ids = torch.tensor([[0] * (width - len(each)) + each for each in group])
            mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in group])
            settings = {"do_sample": True, "temperature": 0.6, "top_k": 0, "top_p": 0.95, "eos_token_id": 2}
            made = model.generate(ids, attention_mask=mask, max_new_tokens=ANSWER_TOKENS, pad_token_id=0, **settings)
            for prompt, row in zip(group, made[:, width:].tolist(), strict=True):
                answer = row[: row.index(2) + 1] if 2 in row else row
                out.write(json.dumps({"ids": [*prompt, *answer], "answer": len(prompt)}) + "\n")


def load(state: Path, *, held_out: bool) -> list[Example]:
    """The answers to train on, or those to measure with."""
    lines = (state / "chat.jsonl").read_text(encoding="utf-8").splitlines()
    lines = lines[:HELD_OUT_ANSWERS] if held_out else lines[HELD_OUT_ANSWERS:]
    return [(talk["ids"], talk["answer"]) for talk in map(json.loads, lines)]


def batch(talks: Sequence[Example], seed: int, step: int, tokens: int) -> list[Example]:
    """The answers of one step, about `tokens` tokens."""
    rng = random.Random(f"chat {seed} {step}")
    order = rng.sample(talks, len(talks))
    found = [order[0]]
    for each in order[1:]:
        longest = max(len(each[0]), *(len(row) for row, _ in found))
        if longest * (len(found) + 1) > tokens:
            break
        found.append(each)
    return found


def _question(rng: random.Random, files: Sequence[data.File]) -> str:
    file = rng.choice(files)
    lines = file.text.split("\n")
    row = rng.randrange(max(1, len(lines) - 12))
    code = "\n".join(lines[row : row + rng.randint(4, 12)])
    return rng.choice(QUESTIONS).format(code=code, language=file.language, task=rng.choice(TASKS))
