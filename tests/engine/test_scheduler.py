from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from lsp_server.engine.generating.handle import Handle
from lsp_server.engine.generating.request import Prefill, PromptTooLong, QueueFull, Request, Sampling, SchedulerClosed
from lsp_server.engine.generating.scheduler import Scheduler
from lsp_server.errors import UserError

LOW = list(range(20, 60))
HIGH = list(range(100, 130))


async def ids_of(handle: Handle) -> list[int]:
    return [token.id async for tokens in handle for token in tokens]


async def wait_for(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 20)


async def test_tokens_and_result(make_scheduler: Callable[..., Scheduler], model: Any) -> None:
    scheduler = make_scheduler()
    handle = scheduler.submit(Request(LOW, max_tokens=7))
    assert await ids_of(handle) == model.continuation(LOW, 7)
    assert handle.result is not None
    assert handle.result.finish_reason == "length"
    assert handle.result.counts.generated_tokens == 7
    assert scheduler.totals.requests == {"length": 1}
    assert scheduler.totals.forward_passes == 7
    assert scheduler.queued == 0


async def test_one_more_token_prefills_one_token(make_scheduler: Callable[..., Scheduler], model: Any) -> None:
    scheduler = make_scheduler()
    await ids_of(scheduler.submit(Request(LOW, max_tokens=5)))
    model.passes.clear()
    handle = scheduler.submit(Request([*LOW, 5], max_tokens=3))
    assert await ids_of(handle) == model.continuation([*LOW, 5], 3)
    assert [new for _, new in model.passes] == [1, 1, 1]
    assert handle.counts.prefilled_tokens == 1
    assert handle.counts.cached_tokens == len(LOW)


async def test_an_urgent_request_waits_for_one_pass_and_disturbs_nothing(
    make_scheduler: Callable[..., Scheduler], model: Any, gate: Callable[[int], Any]
) -> None:
    held = gate(10)
    scheduler = make_scheduler()
    low = scheduler.submit(Request(LOW, max_tokens=50, priority=10))
    await wait_for(held.reached)
    high = scheduler.submit(Request(HIGH, max_tokens=5, priority=0))
    held.opened.set()
    assert await ids_of(high) == model.continuation(HIGH, 5)
    assert await ids_of(low) == model.continuation(LOW, 50)
    # Pass 10 of the low one was under way; then the high one's five; then the rest, with nothing computed twice.
    assert [first for first, _ in model.passes] == [LOW[0]] * 11 + [HIGH[0]] * 5 + [LOW[0]] * 39
    assert low.counts.prefilled_tokens == len(LOW)


async def test_a_long_prompt_is_interrupted_between_chunks(
    make_scheduler: Callable[..., Scheduler], model: Any, gate: Callable[[int], Any]
) -> None:
    held = gate(1)
    scheduler = make_scheduler(chunk_tokens=16)
    prompt = LOW * 5
    low = scheduler.submit(Request(prompt, max_tokens=4, priority=1))
    await wait_for(held.reached)
    high = scheduler.submit(Request(HIGH[:10], max_tokens=1))
    held.opened.set()
    assert await ids_of(high) == model.continuation(HIGH[:10], 1)
    assert await ids_of(low) == model.continuation(prompt, 4)
    assert model.passes[:4] == [(20, 16), (20, 16), (100, 10), (20, 16)]
    assert low.counts.prefilled_tokens == len(prompt)


@pytest.mark.parametrize("patience", [0.0, 1e9])
async def test_a_chat_goes_on_while_others_type_without_end(
    make_scheduler: Callable[..., Scheduler], model: Any, gate: Callable[[int], Any], patience: float
) -> None:
    held = gate(1)
    scheduler = make_scheduler(patience=patience)
    chat = scheduler.submit(Request(LOW, max_tokens=5, priority=10))
    await wait_for(held.reached)
    key = scheduler.submit(Request(HIGH, max_tokens=400))
    held.opened.set()
    assert await ids_of(chat) == model.continuation(LOW, 5)
    assert await ids_of(key) == model.continuation(HIGH, 400)
    firsts = [first for first, _ in model.passes]
    done_before = firsts[:350].count(LOW[0])
    assert done_before == (5 if patience == 0 else 2), "else the pass that was under way, and the one before it"


async def test_llama_interrupted_gives_what_transformers_gives(
    make_scheduler: Callable[..., Scheduler], llama: Any, generate: Callable[[Sequence[int], int], list[int]]
) -> None:
    scheduler = make_scheduler(llama, chunk_tokens=16)
    low = scheduler.submit(Request(LOW, max_tokens=40, priority=10))
    answers = []
    async for tokens in low:
        answers.extend(token.id for token in tokens)
        if low.counts.generated_tokens < 35:
            prompt = [*HIGH, len(answers)]
            assert await ids_of(scheduler.submit(Request(prompt, max_tokens=2))) == generate(prompt, 2)
    assert answers == generate(LOW, 40)


async def test_seeds_hold_whatever_else_runs(make_scheduler: Callable[..., Scheduler], llama: Any) -> None:
    scheduler = make_scheduler(llama)

    def sampled(seed: int, priority: int = 5) -> Request:
        return Request(LOW, max_tokens=25, sampling=Sampling(temperature=1.0, top_p=0.95, seed=seed), priority=priority)

    alone = await ids_of(scheduler.submit(sampled(1)))
    other = await ids_of(scheduler.submit(sampled(2)))
    assert alone != other
    handles = [scheduler.submit(sampled(1)), scheduler.submit(sampled(2)), scheduler.submit(sampled(1, priority=0))]
    assert await asyncio.gather(*map(ids_of, handles)) == [alone, other, alone]


async def test_equals_are_served_in_order(
    make_scheduler: Callable[..., Scheduler], model: Any, gate: Callable[[int], Any]
) -> None:
    held = gate(0)
    scheduler = make_scheduler()
    handles = [scheduler.submit(Request([first, 1, 2], max_tokens=3)) for first in (11, 12, 13)]
    held.opened.set()
    await asyncio.gather(*map(ids_of, handles))
    assert [first for first, _ in model.passes] == [11] * 3 + [12] * 3 + [13] * 3


async def test_cancelled_within_a_pass_and_what_was_computed_is_kept(
    make_scheduler: Callable[..., Scheduler], model: Any, gate: Callable[[int], Any]
) -> None:
    held = gate(2)
    scheduler = make_scheduler(chunk_tokens=10)
    handle = scheduler.submit(Request(LOW, max_tokens=50))
    await wait_for(held.reached)
    handle.cancel()
    held.opened.set()
    assert await ids_of(handle) == []
    assert handle.result is not None
    assert handle.result.finish_reason == "cancelled"
    assert len(model.passes) == 3  # the one that was under way was the last
    again = scheduler.submit(Request(LOW, max_tokens=1))
    assert await ids_of(again) == model.continuation(LOW, 1)
    assert (again.counts.cached_tokens, again.counts.prefilled_tokens) == (30, 10)


async def test_cancelled_while_waiting(
    make_scheduler: Callable[..., Scheduler], model: Any, gate: Callable[[int], Any]
) -> None:
    held = gate(1)
    scheduler = make_scheduler()
    running = scheduler.submit(Request(LOW, max_tokens=5))
    await wait_for(held.reached)
    waiting = scheduler.submit(Request(HIGH, max_tokens=5))
    waiting.cancel()
    held.opened.set()
    assert await ids_of(waiting) == []
    assert await ids_of(running) == model.continuation(LOW, 5)
    assert all(first == LOW[0] for first, _ in model.passes)


async def test_the_queue_is_bounded(make_scheduler: Callable[..., Scheduler], gate: Callable[[int], Any]) -> None:
    held = gate(0)
    scheduler = make_scheduler(max_queued=2)
    handles = [scheduler.submit(Request(LOW, max_tokens=1)) for _ in range(2)]
    with pytest.raises(QueueFull, match="2 requests"):
        scheduler.submit(Request(LOW, max_tokens=1))
    held.opened.set()
    await asyncio.gather(*map(ids_of, handles))
    await ids_of(scheduler.submit(Request(LOW, max_tokens=1)))


async def test_prompt_and_answer_stay_within_the_context(make_scheduler: Callable[..., Scheduler], model: Any) -> None:
    scheduler = make_scheduler(context_length=43)
    with pytest.raises(PromptTooLong, match=r"43 tokens.* of 43 tokens.* at most 42"):
        scheduler.submit(Request([*LOW, 1, 2, 3], max_tokens=1))
    handle = scheduler.submit(Request(LOW, max_tokens=10**9))
    assert await ids_of(handle) == model.continuation(LOW, 3)
    assert handle.result is not None
    assert handle.result.finish_reason == "length"


async def test_the_context_is_no_longer_than_the_memory(make_scheduler: Callable[..., Scheduler]) -> None:
    assert make_scheduler(context_length=1000, kv_budget_tokens=100).context_length == 100
    with pytest.raises(UserError, match="no room"):
        make_scheduler(context_length=1)


@pytest.mark.parametrize("request_", [Request([], max_tokens=1), Request([1], max_tokens=0)])
async def test_empty_requests_are_refused(make_scheduler: Callable[..., Scheduler], request_: Request) -> None:
    with pytest.raises(ValueError, match="needs a prompt"):
        make_scheduler().submit(request_)


async def test_memory_is_bounded_and_a_paused_request_computes_again(
    make_scheduler: Callable[..., Scheduler], model: Any, gate: Callable[[int], Any]
) -> None:
    held = gate(10)
    scheduler = make_scheduler(context_length=80, kv_budget_tokens=80)
    most = []
    wait = model.before_pass

    def before_pass() -> None:
        wait()
        most.append(scheduler.kv_tokens)

    model.before_pass = before_pass
    low = scheduler.submit(Request(LOW, max_tokens=30, priority=10))  # 40 + 29 tokens
    await wait_for(held.reached)
    high = scheduler.submit(Request(HIGH, max_tokens=15))  # 30 + 14: both together do not fit
    held.opened.set()
    assert await ids_of(high) == model.continuation(HIGH, 15)
    assert await ids_of(low) == model.continuation(LOW, 30)
    assert low.counts.prefilled_tokens > len(LOW)
    assert max(most) < 80
    assert scheduler.kv_tokens <= 80


async def test_many_requests_stay_within_the_budget(make_scheduler: Callable[..., Scheduler], model: Any) -> None:
    scheduler = make_scheduler(context_length=100, kv_budget_tokens=150, chunk_tokens=8)
    over: list[int] = []
    model.before_pass = lambda: over.append(scheduler.kv_tokens) if scheduler.kv_tokens >= 150 else None
    requests = [
        Request([n % 7, *range(10, 10 + 11 * (n % 5 + 1)), n], max_tokens=5 + n, priority=-n % 4) for n in range(24)
    ]
    handles = [scheduler.submit(request) for request in requests]
    for request, ids in zip(requests, await asyncio.gather(*map(ids_of, handles)), strict=True):
        assert ids == model.continuation(request.ids, request.max_tokens)
    assert over == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("kaboom\nand much more"), "The model failed while generating: RuntimeError: kaboom"),
        (torch.OutOfMemoryError("CUDA out of memory."), "Memory ran out"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "Memory ran out"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "Memory ran out"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "Memory ran out"),
        (MemoryError(), "Memory ran out"),
    ],
)
async def test_a_failed_pass_fails_its_request_alone(
    make_scheduler: Callable[..., Scheduler], model: Any, error: Exception, message: str
) -> None:
    scheduler = make_scheduler()
    await ids_of(scheduler.submit(Request(HIGH, max_tokens=1)))
    kept = scheduler.kv_tokens

    def fail() -> None:
        if len(model.passes) == 3:
            raise error

    model.before_pass = fail
    handle = scheduler.submit(Request(LOW, max_tokens=10))
    assert await ids_of(handle) == model.continuation(LOW, 2)
    assert handle.result is not None
    assert handle.result.finish_reason == "error"
    assert handle.result.message.startswith(message)
    assert "much more" not in handle.result.message
    assert scheduler.kv_tokens == (0 if "Memory" in message else kept)
    model.before_pass = lambda: None
    assert await ids_of(scheduler.submit(Request(LOW, max_tokens=10))) == model.continuation(LOW, 10)
    assert scheduler.broken is None


async def test_an_answer_is_whole_even_if_nothing_can_be_kept_of_it(
    make_scheduler: Callable[..., Scheduler], model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("lsp_server.engine.generating.kv_cache.CachePool.put", fail)
    scheduler = make_scheduler()
    for _ in range(2):
        handle = scheduler.submit(Request(LOW, max_tokens=3))
        assert await ids_of(handle) == model.continuation(LOW, 3)
        assert handle.result is not None
        assert handle.result.finish_reason == "length"


async def test_a_paused_request_survives_anothers_lack_of_memory(
    make_scheduler: Callable[..., Scheduler], model: Any, gate: Callable[[int], Any]
) -> None:
    held = gate(5)
    scheduler = make_scheduler()
    low = scheduler.submit(Request(LOW, max_tokens=10, priority=1))
    await wait_for(held.reached)
    high = scheduler.submit(Request(HIGH, max_tokens=3))

    def fail() -> None:
        if len(model.passes) == 6:
            model.before_pass = lambda: None
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model.before_pass = fail
    held.opened.set()
    assert await ids_of(high) == []
    assert await ids_of(low) == model.continuation(LOW, 10)


async def test_a_model_that_always_fails_is_broken(make_scheduler: Callable[..., Scheduler], model: Any) -> None:
    def fail() -> None:
        raise RuntimeError("device-side assert triggered")

    model.before_pass = fail
    scheduler = make_scheduler()
    for _ in range(3):
        assert scheduler.broken is None
        await ids_of(scheduler.submit(Request(LOW, max_tokens=1)))
    assert scheduler.broken is not None
    assert "device-side assert" in scheduler.broken


async def test_a_slow_reader_holds_up_nobody(make_scheduler: Callable[..., Scheduler], model: Any) -> None:
    scheduler = make_scheduler()
    slow = scheduler.submit(Request(LOW, max_tokens=20))
    assert await ids_of(scheduler.submit(Request(HIGH, max_tokens=2))) == model.continuation(HIGH, 2)
    batches = [tokens async for tokens in slow]
    assert len(batches) == 1
    assert [token.id for token in batches[0]] == model.continuation(LOW, 20)


async def test_idle_time(make_scheduler: Callable[..., Scheduler], gate: Callable[[int], Any]) -> None:
    scheduler = make_scheduler()
    await asyncio.sleep(0.02)
    assert scheduler.idle_seconds > 0.01
    held = gate(0)
    handle = scheduler.submit(Request(LOW, max_tokens=1))
    await wait_for(held.reached)
    assert scheduler.idle_seconds == 0
    held.opened.set()
    await ids_of(handle)
    assert 0 < scheduler.idle_seconds < 10


async def test_close_ends_everything(make_scheduler: Callable[..., Scheduler], gate: Callable[[int], Any]) -> None:
    held = gate(3)
    scheduler = make_scheduler()
    handles = [scheduler.submit(Request(LOW, max_tokens=100)), scheduler.submit(Request(HIGH, max_tokens=1))]
    await wait_for(held.reached)
    threading.Timer(0.05, held.opened.set).start()
    await asyncio.to_thread(scheduler.close)
    await asyncio.gather(*map(ids_of, handles))
    assert [handle.result.finish_reason for handle in handles if handle.result] == ["cancelled", "cancelled"]
    with pytest.raises(SchedulerClosed):
        scheduler.submit(Request(LOW, max_tokens=1))


def test_a_request_whose_event_loop_is_gone_is_given_up(make_scheduler: Callable[..., Scheduler], model: Any) -> None:
    scheduler = make_scheduler()

    async def submit() -> None:
        scheduler.submit(Request(LOW, max_tokens=900))

    asyncio.run(submit())

    async def another() -> list[int]:
        return await ids_of(scheduler.submit(Request(HIGH, max_tokens=1)))

    assert asyncio.run(another()) == model.continuation(HIGH, 1)
    assert len(model.passes) < 900


async def test_two_chats_share_the_model_and_neither_is_computed_twice(
    make_scheduler: Callable[..., Scheduler], model: Any, gate: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lsp_server.engine.generating.scheduler.TURN_SECONDS", 0.0005)
    model.before_pass = lambda: time.sleep(0.001)  # each pass is a turn
    scheduler = make_scheduler()
    first = scheduler.submit(Request(LOW, max_tokens=40, priority=10))
    second = scheduler.submit(Request(HIGH, max_tokens=40, priority=10))
    answers = await asyncio.gather(ids_of(first), ids_of(second))
    assert answers == [model.continuation(LOW, 40), model.continuation(HIGH, 40)]
    order = [ids for ids, _ in model.passes]
    half = order[: len(order) // 2]
    assert 10 < half.count(HIGH[0]) < 30, "the second does not wait for the end of the first"
    assert (first.counts.prefilled_tokens, second.counts.prefilled_tokens) == (len(LOW), len(HIGH))


async def test_who_wants_to_know_is_told_how_far_the_prompt_is_computed(
    make_scheduler: Callable[..., Scheduler], gate: Callable[[int], Any]
) -> None:
    held = gate(0)
    scheduler = make_scheduler(chunk_tokens=16)
    other = scheduler.submit(Request(HIGH[:5], max_tokens=1, priority=5))
    handle = scheduler.submit(Request(LOW, max_tokens=2, priority=10, tells_prefill=True))
    reading = aiter(handle)
    assert await anext(reading) == []
    assert handle.prefill == Prefill(40, others=1)
    held.opened.set()
    assert await ids_of(other)
    assert [token.id async for tokens in reading for token in tokens]
    assert handle.prefill == Prefill(40, tokens=32)
    again = scheduler.submit(Request([*LOW, *HIGH], max_tokens=1, priority=10, tells_prefill=True))
    assert await ids_of(again)
    assert again.prefill == Prefill(70, tokens=len(LOW) + 16, cached=len(LOW))
