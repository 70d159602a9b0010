"""What speed costs in quality: the engine's answers beside those of transformers with bitsandbytes 8-bit.

    python -m benchmarks.quality.exactness [--quick]

At 500 places in real files: whether the greedy first line is the same, and how far the log-probabilities of the most
likely next tokens are from those of the unrounded model (float32), for both. Where first lines differ, so do some of
bitsandbytes' own from one batch size to the next: its products on a CPU round the activations too. What speed itself
costs is seen beside transformers in float32 on weights that bitsandbytes has rounded to 8 bits.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from benchmarks import stock, systems, texts
from benchmarks.figures import median, p95
from benchmarks.results import keep, target
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading.naming import checkpoint_folder

PROMPTS, PROMPT_TOKENS, LINE_TOKENS = 500, 160, 32
TOP = 20
SEED = 7


async def main(argv: list[str] | None = None) -> None:
    """Compare, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 prompts")
    options = parser.parse_args(argv)
    folder = checkpoint_folder("starter", lambda progress: None)
    tokenizer = CodeLlamaTokenizer.from_pretrained(folder)
    asked = prompts(tokenizer, 20 if options.quick else PROMPTS)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(systems.runtime())
        engine = await stack.enter_async_context(systems.engine())
        ours = [await _line(engine, ids) for ids in asked]
        tops = [await engine.most_likely(ids, TOP) for ids in asked]
    # Side by side, each on cores of its own: no time is taken.
    models = stock.Stock(folder), stock.Stock(folder, bits=32), stock.Stock(folder, bits=32).round()
    threads = max(1, torch.get_num_threads() // 2)
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        plain, exact, rounded = pool.map(lambda model: [_first_line(model, tokenizer, ids) for ids in asked], models)
    same, right, stock_right = 0, 0, 0
    as_rounded = sum(line == rounded_line for line, (rounded_line, _) in zip(ours, rounded, strict=True))
    errors, stock_errors = [], []
    for line, top, (stock_line, theirs), (exact_line, truth) in zip(ours, tops, plain, exact, strict=True):
        same += line == stock_line
        right += line == exact_line
        stock_right += stock_line == exact_line
        errors.append(median([abs(value - float(truth[token])) for token, value in top.items()]))
        likely = theirs.topk(TOP).indices.tolist()
        stock_errors.append(median([abs(float(theirs[token] - truth[token])) for token in likely]))
    share = same / len(asked)
    rows = [
        target(
            "greedy first lines equal to those of transformers with bitsandbytes 8-bit",
            "at least 0.95",
            share,
            share >= 0.95,
            f"{same} of {len(asked)}; {len(asked) - stock_right} of bitsandbytes' own lines differ from float32's",
        ),
        target(
            "greedy first lines equal to those of the same 8-bit weights, computed with in float32",
            "at least 0.95",
            as_rounded / len(asked),
            as_rounded / len(asked) >= 0.95,
            f"{as_rounded} of {len(asked)}",
        ),
        target(
            "greedy first lines equal to those of float32",
            f"at least those of bitsandbytes 8-bit itself, {stock_right / len(asked):.3f}",
            right / len(asked),
            right >= stock_right,
            f"{right} and {stock_right} of {len(asked)}",
        ),
        target(
            "error of log-probabilities against float32, median",
            f"at most that of bitsandbytes 8-bit itself, {median(stock_errors):.4f}",
            median(errors),
            median(errors) <= median(stock_errors),
            f"95th percentile {p95(errors):.3f} against {p95(stock_errors):.3f}",
        ),
    ]
    keep("exactness", rows)


def prompts(tokenizer: CodeLlamaTokenizer, number: int) -> list[list[int]]:
    """`number` prompts that end inside lines of real code, after a word or a sign: the same each time."""
    rng = random.Random(SEED)
    sources = [source.text for source in texts.sources()] + [texts.standard_library(*texts.LONG_MODULES)]
    found: list[list[int]] = []
    while len(found) < number:
        text = rng.choice(sources)
        at = rng.randrange(min(2000, len(text) // 2), len(text))
        if text[at - 1] in "(=.,:" and text[at : at + 1].strip():
            found.append(tokenizer.completion_ids(text[max(0, at - 3000) : at])[-PROMPT_TOKENS:])
    return found


async def _line(engine: systems.Engine, ids: Sequence[int]) -> str:
    """The engine's greedy continuation of `ids` up to the end of the line."""
    text = ""
    async with contextlib.aclosing(engine.stream(ids, LINE_TOKENS, whole=False)) as pieces:
        async for piece in pieces:
            text += piece.text if isinstance(piece, systems.Piece) else ""
            if "\n" in text:
                break
    return text.partition("\n")[0]


def _first_line(model: stock.Stock, tokenizer: CodeLlamaTokenizer, ids: Sequence[int]) -> tuple[str, torch.Tensor]:
    """The greedy continuation of `ids` up to the end of the line, and the log-probabilities of its first token."""
    made, first = list[int](), torch.empty(0)
    for logits in model.greedy(ids, LINE_TOKENS):
        first = logits if not made else first
        token = int(logits.argmax())
        if token in tokenizer.completion_stop_ids:
            break
        made.append(token)
        if "\n" in tokenizer.decode(made):
            break
    return tokenizer.decode(made).partition("\n")[0], torch.log_softmax(first, dim=-1)


if __name__ == "__main__":
    asyncio.run(main())
