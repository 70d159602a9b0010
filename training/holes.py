"""What the model is shown of holes in source files."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import prompt
from lsp_server.evaluation.holes import LONGEST, File, Hole, hole
from training.others import ACROSS, CHARACTERS_PER_TOKEN, Others

# Share of each kind in training; lines and their ends are what an editor asks for most.
KINDS = {"line": 0.28, "rest": 0.29, "piece": 0.07, "block": 0.24, "body": 0.12}


def kept(prefix: str, tokenizer: CodeLlamaTokenizer) -> str:
    """What stays of a prefix in a prompt whose end is healed."""
    _, healed = prompt.tail(tokenizer, tokenizer.infill_ids(prefix, "", "spm"), prefix)
    return prefix[: len(prefix) - len(healed)]


Example = tuple[list[int], int]
"""Ids, and where the answer begins that is to be learned."""


def example(cut: Hole, tokenizer: CodeLlamaTokenizer, rng: random.Random) -> Example:
    """A hole as the ids that the product's tokenizer makes of it, then the middle and the end token.

    17 of 20 are suffix first, which is what the product asks for most: prefix and middle are mostly one text, as with
    token healing the model continues whole tokens. Of those that are prefix first, half are cut at the character, half
    where healing cuts.
    """
    assert tokenizer.infill_tokens is not None
    end = tokenizer.infill_tokens.end
    assert end is not None
    if rng.random() < 0.15:
        prefix = cut.prefix
        if rng.random() < 0.5:
            prefix = kept(cut.prefix, tokenizer)
        ids = tokenizer.infill_ids(prefix, cut.suffix, "psm")
        middle = tokenizer.encode_raw(cut.prefix[len(prefix) :] + cut.middle)
        return [*ids, *middle, end], len(ids)
    if rng.random() < 0.15:
        ids = tokenizer.infill_ids(cut.prefix, cut.suffix, "spm")
        middle = tokenizer.encode_raw(cut.middle)
        return [*ids, *middle, end], len(ids)
    ids = [*tokenizer.infill_ids(cut.prefix + cut.middle, cut.suffix, "spm"), end]
    first, left = len(ids) - 1, len(cut.middle.encode())
    while left > 0:
        first -= 1
        left -= len(tokenizer.vocabulary.bytes_of(ids[first]))
    return ids, first


def padded(examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """The examples as ids [n, length], padded at the right with 0, and which of them are to be learned."""
    shape = len(examples), max(len(ids) for ids, _ in examples)
    rows, learned = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.bool)
    for at, (ids, first) in enumerate(examples):
        rows[at, : len(ids)] = torch.tensor(ids)
        learned[at, first : len(ids)] = True
    return rows, learned


def before(ids: Sequence[int], first: int, tokenizer: CodeLlamaTokenizer, count: int) -> list[int]:
    """Where in the prompt `ids`, of which `first` is the hole's first, tokens stand that are learned like the hole's:
    each begins a longer hole, with the same suffix. They are among the last `count` of a prefix that stands after its
    suffix.

    Those with a line end are left out: there the model would learn not to end, which it is then slow to do.
    """
    assert tokenizer.infill_tokens is not None
    begin = ids.index(tokenizer.infill_tokens.middle) + 2  # the prefix's first token has only the suffix before it
    near = range(max(begin, first - count), first)
    return [at for at in near if b"\n" not in tokenizer.vocabulary.bytes_of(ids[at])]


# Tokens of the longest example of a batch, and how often: short ones show more holes in the same time.
LENGTHS = {128: 0.2, 192: 0.25, 320: 0.3, 640: 0.15, 1280: 0.1}
# Those with other files in front; half of them begin with a name that only another file has.
OTHERS_LENGTHS = {640: 0.3, 800: 0.4, 960: 0.3}
OTHERS_ACROSS = 0.5


def batch(
    files: Sequence[File],
    tokenizer: CodeLlamaTokenizer,
    seed: int,
    step: int,
    tokens: int,
    others: Others | None = None,
) -> list[Example]:
    """The examples of one step: about `tokens` tokens of similar length; in a share of the steps with `others`, pieces
    of other files. The same for the same seed and step."""
    rng = random.Random(f"{seed} {step}")
    shown = others if others is not None and rng.random() < others.share else None
    lengths = LENGTHS if shown is None else OTHERS_LENGTHS
    (length,) = rng.choices(list(lengths), list(lengths.values()))
    found = list[Example]()
    while len(found) < max(1, tokens // length):
        (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
        file = rng.choice(files)
        if shown is None:
            cut = _alone(file, kind, rng, length)
        else:
            cut = shown.hole(file, ACROSS if rng.random() < OTHERS_ACROSS else kind, rng, length)
        if cut is not None:
            made = example(cut, tokenizer, rng)
            if length * 0.6 < len(made[0]) <= length:
                found.append(made)
    return found


def _alone(file: File, kind: str, rng: random.Random, length: int) -> Hole | None:
    room = int(length * CHARACTERS_PER_TOKEN) - LONGEST[kind] // 2
    before = int(room * rng.uniform(0.4, 0.85))
    return hole(file, rng, kind, before, room - before)
