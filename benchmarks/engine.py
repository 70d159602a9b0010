"""The engine beside transformers and llama.cpp on the same weights: prefill, decode, interruption, many at once.

    python -m benchmarks.engine [--quick] [--model FOLDER] [--without llama.cpp]

Everything is measured in rounds, in each of which every system does the same with the same token ids, one right after
the other, in an order that turns from round to round. Ratios are medians over the rounds' own ratios, so that other
work on the machine weighs on both sides. Times of the servers are a client's, streaming included.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeVar

from benchmarks import stock, systems, texts
from benchmarks.figures import median, p95, paired_ratio
from benchmarks.results import keep, target
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.engine.loading.naming import checkpoint_folder

CHUNK = 256  # tokens prefilled at once
DECODED = 16  # tokens decoded in one go: few, so that the systems take turns often
END = 32  # last tokens of the prompt before a decode, new each time: what was generated before must not be known
BURSTS = 4  # of each in a round
CONTEXTS = (1, 1000, 4000)
OURS, STOCK, LLAMA = systems.Engine.name, "transformers, bitsandbytes 8-bit", systems.LlamaCpp.name

T = TypeVar("T")
Samples = dict[str, dict[str, list[float]]]  # what was measured -> system -> milliseconds, one for each round


async def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write the results."""
    options = _parse(argv)
    folder = checkpoint_folder(options.model, lambda progress: None)
    rounds = options.rounds or (2 if options.quick else 5)
    contexts = CONTEXTS[:2] if options.quick else CONTEXTS
    tokenizer = CodeLlamaTokenizer.from_pretrained(folder)
    ids = texts.Ids(tokenizer)
    samples: Samples = defaultdict(lambda: defaultdict(list))
    counts: dict[str, Any] = {}
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(systems.runtime())
        ours = await stack.enter_async_context(systems.engine(options.model))
        servers: list[systems.System] = [ours]
        if "llama.cpp" not in options.without:
            servers.append(await stack.enter_async_context(systems.llama_server(folder)))
        plain = stock.Stock(folder)
        for server in servers:
            await systems.run(server, ids.take(64), 4)
        list(plain.greedy(ids.take(64), 4))
        measured: list[Served | Plain] = [
            *(Served(server, samples, counts) for server in servers),
            Plain(plain, samples),
        ]
        for number in range(rounds):
            for context in contexts:
                prompt, more = ids.take(context), ids.take(1)[0]
                for one in turned(measured, number):
                    await one.begin(prompt, more)
                for burst in range(BURSTS):
                    end, chunk = ids.take(END), ids.take(CHUNK)
                    for one in turned(measured, number + burst):
                        await one.decode(end)
                    for one in turned(measured, number + burst):
                        await one.prefill(chunk)
            print(f"engine: round {number + 1} of {rounds}", flush=True)
        del plain, measured
        if "transformers serve" not in options.without:
            servers.append(await stack.enter_async_context(systems.transformers_serve(folder, tokenizer)))
            await systems.run(servers[-1], ids.take(64), 4)
        for number in range(rounds):
            for server in turned(servers, number):
                await _together(server, ids, samples, eight=8)
            print(f"engine: several requests, round {number + 1} of {rounds}", flush=True)
    keep("engine", _targets(samples), figures=table(samples), counts=counts, model=options.model)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds, and no context of 4,000 tokens")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--model", default="starter", help="a hub id, a checkpoint folder, or `starter`")
    parser.add_argument("--without", action="append", default=[], choices=("llama.cpp", "transformers serve"))
    return parser.parse_args(argv)


class Served:
    """A server, asked for what is measured at one context."""

    def __init__(self, server: systems.System, samples: Samples, counts: dict[str, Any]) -> None:
        self.name = server.name
        self._server, self._samples = server, samples
        self._counts = counts.setdefault(server.name, {})
        self._prompt: list[int] = []

    async def begin(self, prompt: list[int], more: int) -> None:
        """A prompt that it has never seen, then the same and one token more."""
        self._prompt = prompt
        if len(prompt) > 1:
            new = await systems.run(self._server, prompt, 1)
            self._note("first token of a new prompt", new.first_ms, new)
            again = await systems.run(self._server, [*prompt, more], 1)
            self._note("first token after one more token", again.first_ms)

    async def decode(self, end: list[int]) -> None:
        answer = await systems.run(self._server, [*self._prompt[: -len(end)], *end], DECODED + 1)
        if answer.tokens != DECODED + 1:
            raise RuntimeError(f"{self.name} generated {answer.tokens} tokens, not {DECODED + 1}")
        self._note("decode of a token", answer.ms_per_token, answer)
        if passes := answer.counts.get("passes"):  # of which one was the prompt's
            milliseconds = answer.total_ms - answer.first_ms
            self._note("forward pass of decoding", milliseconds / max(1, passes - 1))

    async def prefill(self, chunk: list[int]) -> None:
        answer = await systems.run(self._server, [*self._prompt[:-1], *chunk], 1)
        self._note("prefill of a token", answer.first_ms / len(chunk), answer)

    async def suggest(self, typed: list[int], tokens: int) -> None:
        """A suggestion of `tokens` tokens after the prompt and what was typed since."""
        answer = await systems.run(self._server, [*self._prompt, *typed], tokens)
        self._note(f"suggestion of {tokens} tokens after a key", answer.total_ms, answer)

    def _note(self, what: str, milliseconds: float, answer: systems.Run | None = None) -> None:
        what = f"{what} at {len(self._prompt)}"
        self._samples[what][self.name].append(milliseconds)
        if answer is not None:
            self._counts[what] = answer.counts


class Plain:
    """transformers itself, measured at one context without any server around it."""

    def __init__(self, model: stock.Stock, samples: Samples) -> None:
        self.name = model.name
        self._model, self._samples = model, samples
        self._prompt: list[int] = []
        self._cache: Any = None

    async def begin(self, prompt: list[int], more: int) -> None:
        self._prompt, self._cache = prompt, stock.new_cache()
        milliseconds, _ = self._model.timed(prompt, self._cache)
        if len(prompt) > 1:
            self._note("first token of a new prompt", milliseconds)
            self._note("first token after one more token", self._model.timed([more], self._cache)[0])
            self._cache.crop(-1)

    async def decode(self, end: list[int]) -> None:
        kept = max(0, len(self._prompt) - len(end))
        if kept < len(self._prompt):
            self._cache.crop(kept - len(self._prompt))
        _, token = self._model.timed(end, self._cache)
        times = []
        for _ in range(DECODED):
            milliseconds, token = self._model.timed([token], self._cache)
            times.append(milliseconds)
        self._cache.crop(-DECODED - len(end))
        self._model.timed(self._prompt[kept:], self._cache)
        self._note("decode of a token", sum(times) / len(times))

    async def prefill(self, chunk: list[int]) -> None:
        milliseconds, _ = self._model.timed(chunk, self._cache)
        self._cache.crop(-len(chunk))
        self._note("prefill of a token", milliseconds / len(chunk))

    def _note(self, what: str, milliseconds: float) -> None:
        self._samples[f"{what} at {len(self._prompt)}"][self.name].append(milliseconds)


def turned(items: Sequence[T], by: int) -> list[T]:
    """The items in another order each round: none always comes first."""
    by %= len(items)
    return [*items[by:], *items[:by]]


async def _together(server: systems.System, ids: texts.Ids, samples: Samples, eight: int) -> None:
    """A completion alone, the same during a chat's answer, and `eight` at once."""
    known = ids.take(500)
    await systems.run(server, known, 1)
    alone = await systems.run(server, [*known, *ids.take(4)], 16, whole=False)
    samples["completion alone"][server.name].append(alone.total_ms)
    chat = asyncio.ensure_future(systems.run(server, ids.take(500), 200, chat=True))
    await asyncio.sleep(0.5)
    under_way = not chat.done()
    during = await systems.run(server, [*known, *ids.take(4)], 16, whole=False)
    if under_way:
        samples["completion during a chat"][server.name].append(during.total_ms)
    chat.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await chat
    prompts = [ids.take(200) for _ in range(eight)]
    answers = await asyncio.gather(*(systems.run(server, prompt, 24, whole=False) for prompt in prompts))
    samples["eight at once, the first answer"][server.name].append(min(answer.total_ms for answer in answers))
    samples["eight at once, the last answer"][server.name].append(max(answer.total_ms for answer in answers))


def table(samples: Samples) -> list[dict[str, Any]]:
    """One row for each thing measured and system: median and 95th percentile in ms, and how many times ours it is."""
    rows = []
    for what, by_system in samples.items():
        for name, values in by_system.items():
            ours = by_system.get(OURS, [])
            ratio = paired_ratio(values, ours) if len(ours) == len(values) and name != OURS else None
            rows.append(
                {
                    "what": what,
                    "system": name,
                    "median_ms": round(median(values), 3),
                    "p95_ms": round(p95(values), 3),
                    "times_ours": None if ratio is None else round(ratio, 2),
                    "rounds": len(values),
                }
            )
    return rows


def _targets(samples: Samples) -> list[dict[str, Any]]:
    decode = samples["decode of a token at 1000"]
    rows = []
    for name, least in ((STOCK, 4.0), (LLAMA, 1.0)):
        if name in decode:
            ratio = paired_ratio(decode[name], decode[OURS])
            note = f"{median(decode[OURS]):.1f} ms against {median(decode[name]):.1f} ms"
            what = f"decode of a token at context 1000: times faster than {name}"
            rows.append(target(what, f"at least {least:g}", ratio, ratio >= least, note))
    return rows


if __name__ == "__main__":
    asyncio.run(main())
