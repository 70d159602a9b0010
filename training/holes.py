"""Holes in source files, and what the model is shown of them."""

from __future__ import annotations

import dataclasses
import functools
import random
import re
from collections.abc import Sequence

import torch

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.completion import prompt
from training.data import File


@dataclasses.dataclass(frozen=True)
class Hole:
    """A piece taken out of a file. `kind`: line, rest, piece, block, body. `cursor`: what stands before it."""

    kind: str
    cursor: str
    language: str
    name: str
    prefix: str
    middle: str
    suffix: str


# Share of each kind in training; lines and their ends are what an editor asks for most.
KINDS = {"line": 0.28, "rest": 0.29, "piece": 0.07, "block": 0.24, "body": 0.12}
LONGEST = {"line": 160, "rest": 160, "piece": 60, "block": 320, "body": 400}  # characters of a hole
CLOSERS = ")]}>\"'`;:, \t"  # as lsp_server.completion.stopping: what may stand right of a cursor


def hole(file: File, rng: random.Random, kind: str, before: int, after: int) -> Hole | None:
    """A hole of this kind at a random place of `file`, or None where that place has none.

    `before` and `after`: the most characters of context, cut at line ends as the product's window is.
    """
    lines = _lines(file.text)
    row = rng.randrange(len(lines))
    if not lines[row].strip() or not lines[row].endswith("\n"):
        return None
    found = {"line": _block, "block": _block, "body": _body, "rest": _rest, "piece": _rest}[kind](lines, row, rng, kind)
    if found is None:
        return None
    start, end = (sum(map(len, lines[:row])) + column for column in found)
    prefix, middle, suffix = file.text[:start], file.text[start:end], file.text[end:]
    if not middle.strip() or len(middle) > LONGEST[kind]:
        return None
    return Hole(
        kind, _cursor(prefix, middle), file.language, file.name, _tail(prefix, before), middle, _head(suffix, after)
    )


Span = tuple[int, int]
"""Where a hole begins and ends, in characters from the start of the row that was drawn."""


def _block(lines: Sequence[str], row: int, rng: random.Random, kind: str) -> Span | None:
    """One line, or two to five of a block, mostly without the indentation, which editors write themselves."""
    indent = _indent(lines[row])
    column = 0 if rng.random() < 0.15 else indent
    last = row
    if kind == "block":
        wanted = rng.randint(2, 5)
        while last + 1 - row < wanted and _belongs(lines, last + 1, indent):
            last += 1
        if last == row:
            return None
    return column, sum(map(len, lines[row : last + 1])) - 1


def _body(lines: Sequence[str], row: int, rng: random.Random, kind: str) -> Span | None:
    """What a line that ends in `:` or `{` opens, from the end of that line or from the next one's indentation."""
    header, last = lines[row].rstrip(), row
    if header[-1] not in ":{":
        return None
    while _belongs(lines, last + 1, _indent(lines[row]) + 1):
        last += 1
    if last == row:
        return None
    start = len(header) if rng.random() < 0.3 else len(lines[row]) + _indent(lines[row + 1])
    return start, sum(map(len, lines[row : last + 1])) - 1


def _rest(lines: Sequence[str], row: int, rng: random.Random, kind: str) -> Span | None:
    """The end of a line, or a piece that ends before it: mostly where closing brackets stand right of the cursor."""
    line = lines[row].rstrip("\n")
    if len(line.strip()) < 4:
        return None
    start, end = rng.randrange(_indent(line) + 1, len(line)), len(line)
    if kind == "piece":
        closers = len(line) - len(line.rstrip(CLOSERS))
        end = len(line) - rng.randint(1, closers) if rng.random() < 0.6 and closers else start + rng.randint(1, 40)
    return (start, end) if start < end and (kind == "rest" or end < len(line)) else None


def _cursor(prefix: str, middle: str) -> str:
    """What the cursor stands behind."""
    word = re.compile(r"\w")
    if not prefix.rpartition("\n")[2].strip():
        return "line start"
    if prefix[-1].isspace():
        return "after a space"
    if not word.match(prefix[-1]):
        return "after a sign"
    return "inside a word" if word.match(middle) else "after a word"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _belongs(lines: Sequence[str], row: int, indent: int) -> bool:
    """Whether a line goes on with a block that is indented by `indent`: the stopping rules end at blank lines."""
    return row < len(lines) and bool(lines[row].strip()) and lines[row].endswith("\n") and _indent(lines[row]) >= indent


@functools.lru_cache(maxsize=4096)
def _lines(text: str) -> Sequence[str]:
    lines = [line + "\n" for line in text.split("\n")]
    return [*lines[:-1], lines[-1][:-1]] if lines[-1] != "\n" else lines[:-1]


def _tail(text: str, most: int) -> str:
    """Whole lines at the end of a text, the last one as far as it goes."""
    if len(text) <= most:
        return text
    at = text.find("\n", len(text) - most)
    return text[at + 1 :] if at >= 0 else text[-most:]


def _head(text: str, most: int) -> str:
    """The rest of a line at the start of a text, and whole lines below."""
    if len(text) <= most:
        return text
    at = text.rfind("\n", 0, most)
    return text[: at + 1] if at >= 0 else text[:most]


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
CHARACTERS_PER_TOKEN = 3.2


def batch(files: Sequence[File], tokenizer: CodeLlamaTokenizer, seed: int, step: int, tokens: int) -> list[Example]:
    """The examples of one step: about `tokens` tokens of similar length. The same for the same seed and step."""
    rng = random.Random(f"{seed} {step}")
    (length,) = rng.choices(list(LENGTHS), list(LENGTHS.values()))
    found = list[Example]()
    while len(found) < max(1, tokens // length):
        (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
        room = int(length * CHARACTERS_PER_TOKEN) - LONGEST[kind] // 2
        before = int(room * rng.uniform(0.4, 0.85))
        cut = hole(rng.choice(files), rng, kind, before, room - before) if room > 100 else None
        if cut is not None:
            made = example(cut, tokenizer, rng)
            if length * 0.6 < len(made[0]) <= length:
                found.append(made)
    return found
