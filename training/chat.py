"""What keeps the chat as it was: the plain model's own answers, which the taught one goes on to find likely."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from lsp_server.actions import prompts
from lsp_server.codellama import CodeLlamaTokenizer
from training import data
from training.functions import function_row, task_at
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
ACTIONS = ("simplify", "document", "tests", "explain")
ANSWERS, ANSWER_TOKENS = 456, 96
ACTION_ANSWERS, ACTION_ANSWER_TOKENS = 144, 128
TOGETHER = 24
HELD_OUT_ANSWERS = 24  # the first
CONTEXT = 640  # tokens of the product's prompts


def make(state: Path, seed: int = 6) -> None:
    """Ask the plain model and write `state`/chat.jsonl: {"ids", "answer": where the answer begins}.

    They are drawn at a low temperature, as users see them; what is learned from them is the plain model's whole
    distribution at each of their tokens (`Taught.drift`).
    """
    rng = random.Random(seed)
    torch.manual_seed(seed)
    tokenizer = CodeLlamaTokenizer.from_pretrained(state / "plain")
    # What is made token by token is twice as fast in float32, on a CPU.
    model = AutoModelForCausalLM.from_pretrained(state / "plain", dtype=torch.float32)
    files = data.corpus(state, held_out=False)
    asked = [tokenizer.dialog_ids([{"role": "user", "content": _question(rng, files)}]) for _ in range(ANSWERS)]
    python = [file for file in files if file.language == "python"]
    of_actions = [action_prompt(rng, python, tokenizer) for _ in range(ACTION_ANSWERS)]
    with (state / "chat.jsonl").open("w", encoding="utf-8") as out:
        for dialogs, most in ((asked, ANSWER_TOKENS), (of_actions, ACTION_ANSWER_TOKENS)):
            for first in range(0, len(dialogs), TOGETHER):
                for talk in _answered(model, dialogs[first : first + TOGETHER], most):
                    out.write(json.dumps(talk) + "\n")
                out.flush()


def _answered(model: Any, dialogs: Sequence[list[int]], most: int) -> list[dict[str, Any]]:
    """What the model answers, in at most so many tokens."""
    width = max(map(len, dialogs))
    ids = torch.tensor([[0] * (width - len(each)) + each for each in dialogs])
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in dialogs])
    settings = {"do_sample": True, "temperature": 0.6, "top_k": 0, "top_p": 0.95, "eos_token_id": 2}
    made = model.generate(ids, attention_mask=mask, max_new_tokens=most, pad_token_id=0, **settings)
    rows = [row[: row.index(2) + 1] if 2 in row else row for row in made[:, width:].tolist()]
    return [{"ids": [*prompt, *row], "answer": len(prompt)} for prompt, row in zip(dialogs, rows, strict=True)]


def load(state: Path, *, held_out: bool) -> list[Example]:
    """The answers to train on, or those to measure with, whose questions nothing to train on has."""
    lines = (state / "chat.jsonl").read_text(encoding="utf-8").splitlines()
    talks: list[Example] = [(talk["ids"], talk["answer"]) for talk in map(json.loads, lines)]
    measured, others = talks[:HELD_OUT_ANSWERS], talks[HELD_OUT_ANSWERS:]
    asked = [ids[:answer] for ids, answer in measured]
    return measured if held_out else [(ids, answer) for ids, answer in others if ids[:answer] not in asked]


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


def action_prompt(rng: random.Random, files: Sequence[data.File], tokenizer: CodeLlamaTokenizer) -> list[int]:
    """The product's own prompt for a code action on a function of some file."""
    while True:
        file = rng.choice(files)
        row = function_row(file, rng)
        if row is None:
            continue
        task = task_at(file.text, row, rng.choice(ACTIONS))
        if task is not None:
            try:
                return prompts.build(task, tokenizer, CONTEXT).ids
            except prompts.TooLong:
                continue
