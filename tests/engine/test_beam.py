"""Candidates for an answer's first line: against the same search by whole passes of transformers, a line at a time."""

from __future__ import annotations

import asyncio
import dataclasses
import string
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import torch

from lsp_server.engine.generating.beam import FOLLOW_TOKENS, LINE_TOKENS
from lsp_server.engine.generating.decoding import Generation
from lsp_server.engine.generating.healing import Spellings
from lsp_server.engine.generating.kv_cache import CachePool
from lsp_server.engine.generating.request import Request, Sampling
from lsp_server.engine.generating.scheduler import Scheduler
from lsp_server.engine.passes.stock import DynamicKeysValues, TransformersModel

PROMPT = list(range(20, 60))
STOPS = frozenset(range(100))  # so many that lines end soon
FOLLOW = [200, 7, 151, 33, 299, 42]
SPELLINGS = Spellings(lambda each: bytes([each % 256]), 300)
REQUEST = Request(PROMPT, max_tokens=8, stop_ids=STOPS, candidates=4, follow=FOLLOW)

Found = list[tuple[list[int], float, float]]


def keeping(text: bytes, names: Iterable[str]) -> list[int]:
    """The ids behind a text that keep to one of some names; none where it has none of them. One byte each."""
    left = [name.encode()[len(text) :] for name in names if name.encode().startswith(text)]
    letters = {*string.ascii_letters.encode(), *string.digits.encode(), *b"_$", *range(128, 256)}
    ends = [each for each in range(300) if b"" in left and each % 256 not in letters]
    return [each for each in range(300) if each % 256 in {name[0] for name in left if name}] + ends


def by_whole_passes(llama: Any, request: Request, healed: Sequence[int] = ()) -> Found:
    """(ids, log-probability, that of what follows) of each line, the best first. `healed`: with what it must begin."""
    prompt = list(request.ids)[: len(request.ids) - request.heal]

    def after(ids: Sequence[int]) -> torch.Tensor:
        with torch.inference_mode():
            return torch.log_softmax(llama(torch.tensor([[*prompt, *ids]])).logits[0, -1].double(), dim=-1)

    def ended(ids: Sequence[int]) -> bool:
        return ids[-1] in request.stop_ids or b"\n" in bytes(each % 256 for each in ids).lstrip()

    lines: list[tuple[list[int], float, bool]] = [([], 0.0, True)]
    for _ in range(LINE_TOKENS):
        found = [line for line in lines if line[0] and ended(line[0])]
        for ids, logprob, plain in lines:
            if not ids or not ended(ids):
                logits = after(ids)
                if likely := keeping(bytes(each % 256 for each in ids), request.names):
                    logits = logits.clone()
                    logits[likely] += 12.0
                    logits = torch.log_softmax(logits, dim=-1)
                if len(ids) < len(healed):  # in this vocabulary a byte is spelled by two tokens at most
                    fits = [each for each in range(300) if each % 256 == healed[len(ids)] % 256]
                    kept = torch.full_like(logits, -torch.inf)
                    kept[fits] = torch.log_softmax(logits[fits], dim=-1)
                    logits = kept
                best = [each for each in logits.argsort(descending=True)[:4].tolist() if logits[each] > -torch.inf]
                found += [([*ids, each], logprob + float(logits[each]), plain and each == best[0]) for each in best]
        found.sort(key=lambda line: -line[1])
        lines = found[: request.candidates]
        if not any(plain for _, _, plain in lines):
            lines[-1] = next(line for line in found if line[2])
    scored = []
    for ids, logprob, _ in lines:
        if ended(ids):
            text, follows = ids[:-1], 0.0
            for each in list(request.follow)[:FOLLOW_TOKENS]:
                follows += float(after(text)[each])
                text = [*text, each]
            scored.append((ids, logprob, follows))
    return sorted(scored, key=lambda line: -(line[1] + line[2]))


def candidates_of(generation: Generation) -> Found:
    return [
        ([token.id for token in each.tokens], sum(token.logprob or 0.0 for token in each.tokens), each.follows)
        for each in generation.candidates
    ]


def run(llama: Any, request: Request, *, taken_after: int = -1) -> Generation:
    """`taken_after`: after so many passes the keys and values are taken away."""
    model = TransformersModel(llama)
    generation = Generation(request, spellings=SPELLINGS, most_guesses=0)
    generation.begin(DynamicKeysValues())
    while generation.finish_reason is None:
        generation.step(model)
        if generation.counts.forward_passes == taken_after and generation.finish_reason is None:
            generation.keys_values = None
            generation.begin(DynamicKeysValues())
    return generation


def near(found: Found) -> list[Any]:
    return [(ids, pytest.approx(own, abs=1e-3), pytest.approx(follows, abs=1e-3)) for ids, own, follows in found]


@pytest.mark.parametrize("start", [20, 70, 120, 170])
@pytest.mark.parametrize("follow", [FOLLOW, FOLLOW[:1], []])
def test_the_lines_are_those_of_a_search_by_whole_passes(llama: Any, start: int, follow: list[int]) -> None:
    request = dataclasses.replace(REQUEST, ids=list(range(start, start + 40)), follow=follow)
    generation = run(llama, request)
    wanted = by_whole_passes(llama, request)
    assert len(wanted) == 4
    assert candidates_of(generation) == near(wanted)
    assert generation.ids[40:][: len(wanted[0][0])] == wanted[0][0][:8]


def test_what_is_healed_is_spelled_by_each(llama: Any) -> None:
    request = dataclasses.replace(REQUEST, ids=[*PROMPT, 120], heal=1)
    wanted = by_whole_passes(llama, request, healed=[120])
    assert len({ids[0] for ids, _, _ in wanted}) == 1
    assert candidates_of(run(llama, request)) == near(wanted)
    either = dataclasses.replace(REQUEST, ids=[*PROMPT, 30], heal=1, stop_ids=frozenset({30}))  # 30 and 286
    assert {ids[0] for ids, _, _ in by_whole_passes(llama, either, healed=[30])} <= {30, 286}


def test_the_lines_keep_to_names(llama: Any) -> None:
    request = dataclasses.replace(REQUEST, names=dict.fromkeys(["xy", "xyz", "q"], 12.0), stop_ids=frozenset(range(64)))
    wanted = by_whole_passes(llama, request)
    assert candidates_of(run(llama, request)) == near(wanted)
    assert all(bytes(each % 256 for each in ids)[:1] in (b"x", b"q") for ids, _, _ in wanted)
    assert candidates_of(run(llama, dataclasses.replace(request, names={}))) != near(wanted)


def test_what_follows_decides(llama: Any) -> None:
    """Of the same lines another one is the best where other text stands behind them."""
    best = {}
    for first in range(300):
        generation = run(llama, dataclasses.replace(REQUEST, follow=[first]))
        best[generation.candidates[0].tokens] = generation
        assert sorted(candidates_of(generation))[0][0] == sorted(candidates_of(next(iter(best.values()))))[0][0]
        if len(best) > 1:
            return
    pytest.fail("it is always the same")


def test_after_a_line_that_is_not_the_last_it_goes_on(llama: Any) -> None:
    """The most probable tokens, as without candidates."""
    plain = run(llama, Request(PROMPT, max_tokens=30))
    lines = plain.ids[40:]
    newline = next(at for at, each in enumerate(lines) if at > 1)
    as_newline = Spellings(lambda each: b"\n" if each == lines[newline] else bytes([each % 256]).strip(b"\n"), 300)
    generation = Generation(Request(PROMPT, 30, candidates=4), spellings=as_newline)
    generation.begin(DynamicKeysValues())
    model = TransformersModel(llama)
    while generation.finish_reason is None:
        generation.step(model)
    chosen = [token.id for token in generation.candidates[0].tokens]
    assert chosen[-1] == lines[newline]
    rest = run(llama, Request([*PROMPT, *chosen], max_tokens=30 - len(chosen)))
    assert generation.ids == rest.ids


@pytest.mark.parametrize("taken_after", range(1, 6))
def test_it_is_the_same_where_memory_was_short_meanwhile(llama: Any, taken_after: int) -> None:
    generation = run(llama, REQUEST, taken_after=taken_after)
    assert candidates_of(generation) == near(by_whole_passes(llama, REQUEST))


def test_broken_off_at_any_step_what_is_kept_is_right(llama: Any) -> None:
    model = TransformersModel(llama)
    wanted = run(llama, Request([*PROMPT, 7], max_tokens=5)).ids
    for steps in range(1, 6):
        generation = Generation(REQUEST, spellings=SPELLINGS)
        generation.begin(DynamicKeysValues())
        for _ in range(steps):
            generation.step(model)
        pool, kept = CachePool(), generation.release()
        assert kept is not None
        pool.put(generation.ids[: kept.length], kept, 1000)
        again = pool.take([*PROMPT, 7], 1000)
        assert again is not None
        assert again.length == len(PROMPT)
        following = Generation(Request([*PROMPT, 7], max_tokens=5), spellings=SPELLINGS)
        following.begin(again)
        while following.finish_reason is None:
            following.step(model)
        assert following.ids == wanted


def test_where_no_line_ends_the_answer_is_the_usual_one(llama: Any) -> None:
    endless = Spellings(lambda each: b"x", 300)
    generation = Generation(Request(PROMPT, 40, candidates=4), spellings=endless)
    generation.begin(DynamicKeysValues())
    while generation.finish_reason is None:
        generation.step(TransformersModel(llama))
    assert generation.candidates == ()
    assert generation.ids == run(llama, Request(PROMPT, max_tokens=40)).ids


def test_a_model_that_cannot_branch_answers_as_usual(model: Any) -> None:
    assert not TransformersModel(model).branches
    assert run(model, REQUEST).ids[40:41] == model.continuation(PROMPT, 1)


async def test_it_does_not_depend_on_what_is_computed_beside_it(
    llama: Any, make_scheduler: Callable[..., Scheduler]
) -> None:
    async def asked(scheduler: Scheduler, *requests: Request) -> list[Any]:
        async def one(request: Request) -> Any:
            handle = scheduler.submit(request)
            ids = [token.id async for tokens in handle for token in tokens]
            return ids, handle.candidates

        return await asyncio.gather(*map(one, requests))

    def scheduler(**more: Any) -> Scheduler:
        return make_scheduler(llama, spellings=SPELLINGS, **more)

    other = dataclasses.replace(REQUEST, ids=list(range(120, 160)), priority=1)
    chat = Request(list(range(60, 120)), max_tokens=60, priority=10, sampling=Sampling(temperature=1.0, seed=3))
    alone = [await asked(scheduler(), each) for each in (REQUEST, other, chat)]
    assert all(candidates for ((_, candidates),) in alone[:2])
    together = await asked(scheduler(), chat, other, REQUEST)
    assert together == [each for ((each),) in alone[::-1]]
    ((ids, candidates),) = await asked(scheduler(kv_budget_tokens=60), REQUEST)
    assert not candidates, "there is no room for them"
    assert ids == run(llama, dataclasses.replace(REQUEST, candidates=1)).ids[40:]
