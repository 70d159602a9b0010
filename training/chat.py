"""What keeps the chat as it was: the plain model's own answers, which the taught one goes on to find likely."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from lsp_server.actions import prompts
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.settings import Settings
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
    "Add error handling to this {language} code.\n\n```\n{code}\n```",
    "What does `{name}` do here?\n\n```\n{code}\n```",
    "How would you use `{name}`?\n\n{code}",
    "What is a good name for this? Why?\n\n{code}",
    "Write a function in {language} that {task}.",
    "Write a {language} program that {task}, and explain it.",
    "How do I write something in {language} that {task}?",
    "Write a {language} function called `{name}`.",
    "What is {idea}? Give an example in {language}.",
    "When should I use {idea}?",
)
TASKS = (
    "reads a file line by line", "sorts a list of numbers", "parses a date", "counts words", "reverses a string",
    "checks whether a number is prime", "merges two maps", "retries a call three times", "opens a socket",
    "finds the longest line", "caches its results", "walks a tree", "removes duplicates", "rounds a price",
    "fetches a page", "reads JSON", "writes a log", "splits a path", "compares two versions", "waits for a signal",
    "computes a median", "draws a random sample", "validates an address", "groups records by a key",
    "converts units of length", "searches a sorted list", "escapes HTML", "counts the days between two dates",
    "flattens nested lists", "measures how long a call takes", "encrypts a file", "lists the files of a folder",
    "finds the shortest path in a graph", "prints a table", "parses command line options", "limits a rate of calls",
)  # fmt: skip
IDEAS = (
    "a closure", "recursion", "a hash table", "a linked list", "an iterator", "a race condition", "a decorator",
    "dependency injection", "an interface", "a generic type", "memory safety", "a deadlock", "big O notation",
    "a unit test", "a stack trace", "garbage collection", "a regular expression", "a thread pool", "an enum",
    "polymorphism", "a callback", "lazy evaluation", "a binary tree", "a message queue", "immutability",
)  # fmt: skip
ACTIONS = ("simplify", "document", "tests", "explain")
ANSWERS, ACTION_ANSWERS = 1536, 512
ANSWER_TOKENS = 160
TOGETHER = {"cpu": 24, "cuda": 1024}
HELD_OUT_ANSWERS = 24  # the first
CONTEXT = 640  # tokens of the product's prompts


def make(state: Path, device: str, seed: int = 6) -> None:
    """Ask the plain model and write `state`/chat.jsonl: {"ids", "answer": where the answer begins}.

    They are drawn at a low temperature, as users see them; what is learned from them is the plain model's whole
    distribution at each of their tokens (`Taught.drift`).
    """
    rng = random.Random(seed)
    torch.manual_seed(seed)
    tokenizer = CodeLlamaTokenizer.from_pretrained(state / "plain")
    # What is made token by token is twice as fast in float32, on a CPU.
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    model = AutoModelForCausalLM.from_pretrained(state / "plain", dtype=dtype).to(device)
    files = data.corpus(state, held_out=False)
    python = [file for file in files if file.language == "python"]
    asked = [tokenizer.dialog_ids(_dialog(rng, files)) for _ in range(ANSWERS)]
    asked += [action_prompt(rng, python, tokenizer) for _ in range(ACTION_ANSWERS)]
    with (state / "chat.jsonl").open("w", encoding="utf-8") as out:
        for first in range(0, len(asked), TOGETHER[device]):
            for talk in _answered(model, asked[first : first + TOGETHER[device]]):
                out.write(json.dumps(talk) + "\n")
            out.flush()


def _answered(model: Any, dialogs: Sequence[list[int]]) -> list[dict[str, Any]]:
    """What the model answers, in at most `ANSWER_TOKENS`."""
    width = max(map(len, dialogs))
    ids = torch.tensor([[0] * (width - len(each)) + each for each in dialogs], device=model.device)
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in dialogs], device=model.device)
    settings = {"do_sample": True, "temperature": 0.6, "top_k": 0, "top_p": 0.95, "eos_token_id": 2}
    made = model.generate(ids, attention_mask=mask, max_new_tokens=ANSWER_TOKENS, pad_token_id=0, **settings)
    rows = [row[: row.index(2) + 1] if 2 in row else row for row in made[:, width:].tolist()]
    return [{"ids": [*prompt, *row], "answer": len(prompt)} for prompt, row in zip(dialogs, rows, strict=True)]


def load(state: Path, *, held_out: bool) -> list[Example]:
    """The answers to train on, by length, or those to measure with, whose questions nothing to train on has."""
    lines = (state / "chat.jsonl").read_text(encoding="utf-8").splitlines()
    talks: list[Example] = [(talk["ids"], talk["answer"]) for talk in map(json.loads, lines)]
    measured, others = talks[:HELD_OUT_ANSWERS], talks[HELD_OUT_ANSWERS:]
    asked = [ids[:answer] for ids, answer in measured]
    if held_out:
        return measured
    return sorted((talk for talk in others if talk[0][: talk[1]] not in asked), key=lambda talk: len(talk[0]))


def batch(talks: Sequence[Example], seed: int, step: int, tokens: int) -> list[Example]:
    """The answers of one step, of similar length, about `tokens` tokens. `talks`: by length, as `load` has them."""
    first = random.Random(f"chat {seed} {step}").randrange(len(talks))
    found = [talks[first]]
    for each in talks[first + 1 :]:
        if len(each[0]) * (len(found) + 1) > tokens:
            break
        found.append(each)
    return found


def _dialog(rng: random.Random, files: Sequence[data.File]) -> list[dict[str, str]]:
    """A question, half of them after what the product's chat says of the model's role."""
    file = rng.choice(files)
    lines = file.text.split("\n")
    row = rng.randrange(max(1, len(lines) - 12))
    code = "\n".join(lines[row : row + rng.randint(4, 12)])
    name = rng.choice(re.findall(r"[A-Za-z_]\w{3,}", code) or ["main"])
    ideas = {"task": rng.choice(TASKS), "idea": rng.choice(IDEAS)}
    question = rng.choice(QUESTIONS).format(code=code, language=file.language, name=name, **ideas)
    role = [{"role": "system", "content": f"{Settings().system_prompt.rstrip('.')} for {file.language.title()}."}]
    return [*(role if rng.random() < 0.5 else []), {"role": "user", "content": question}]


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
