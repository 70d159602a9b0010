from __future__ import annotations

import pytest
import torch

from lsp_server.engine.generating.kv_cache import CachePool, common_prefix
from lsp_server.engine.passes.stock import DynamicKeysValues


def filled(length: int, layers: int = 2) -> DynamicKeysValues:
    """Keys and values of `length` tokens; token n is the number n, in every layer."""
    keys_values = DynamicKeysValues()
    numbers = torch.arange(length, dtype=torch.float32).reshape(1, 1, length, 1).expand(1, 2, length, 4)
    for layer in range(layers):
        keys_values.cache.update(numbers.clone(), -numbers.clone(), layer)
    return keys_values


def content(keys_values: DynamicKeysValues) -> list[list[float]]:
    return [layer.keys[0, 0, :, 0].tolist() for layer in keys_values.cache.layers]


def test_empty_has_no_length_and_no_memory() -> None:
    assert DynamicKeysValues().length == 0
    assert DynamicKeysValues().nbytes == 0
    assert DynamicKeysValues().copy(0).length == 0


def test_crop_keeps_the_first_tokens_in_every_layer() -> None:
    keys_values = filled(5)
    keys_values.crop(3)
    assert keys_values.length == 3
    assert content(keys_values) == [[0, 1, 2], [0, 1, 2]]
    keys_values.crop(3)
    assert keys_values.length == 3
    keys_values.crop(0)
    assert keys_values.length == 0


def test_crop_and_copy_refuse_what_is_not_there() -> None:
    with pytest.raises(ValueError, match="cannot keep 6 of 5"):
        filled(5).crop(6)
    with pytest.raises(ValueError, match="cannot copy 6 of 5"):
        filled(5).copy(6)


def test_a_copy_shares_no_memory() -> None:
    original = filled(5)
    copy = original.copy(2)
    for layer in original.cache.layers:
        layer.keys.fill_(9)
    assert content(copy) == [[0, 1], [0, 1]]
    assert copy.nbytes == original.nbytes * 2 // 5


def test_compact_frees_what_a_crop_cut_off() -> None:
    keys_values = filled(10)
    whole = keys_values.nbytes
    keys_values.crop(4)
    assert keys_values.nbytes == whole
    keys_values.compact()
    assert keys_values.nbytes == whole * 4 // 10
    assert content(keys_values) == [[0, 1, 2, 3]] * 2


def test_common_prefix() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert common_prefix([1, 2], [1, 2, 3]) == 2
    assert common_prefix([], [1]) == 0
    assert common_prefix([2], [1]) == 0


def pool_of(*entries: list[int], limit: int = 1000) -> CachePool:
    pool = CachePool()
    for ids in entries:
        pool.put(ids, filled(len(ids)), limit)
    return pool


def test_an_unknown_beginning_finds_nothing() -> None:
    pool = pool_of([1, 2, 3])
    assert pool.take([2, 3, 4], 1000) is None
    assert pool.tokens == 3


def test_the_longest_prefix_is_taken_and_cut() -> None:
    pool = pool_of([1, 2, 9, 9], [1, 2, 3, 4, 9], [1, 8])
    taken = pool.take([1, 2, 3, 4, 5, 6], 1000)
    assert taken is not None
    assert taken.length == 4
    assert content(taken)[0] == [0, 1, 2, 3]
    assert len(pool) == 2


def test_the_last_token_is_always_left_to_run() -> None:
    taken = pool_of([1, 2, 3]).take([1, 2, 3], 1000)
    assert taken is not None
    assert taken.length == 2
    assert pool_of([1, 2, 3]).take([1], 1000) is None


def test_another_conversation_keeps_its_own() -> None:
    long = list(range(10))
    pool = pool_of(long)
    taken = pool.take([0, 1, 2, 77, 78], 1000)
    assert taken is not None
    assert taken.length == 3
    assert pool.tokens == 10
    again = pool.take([*long, 10], 1000)
    assert again is not None
    assert again.length == 10


def test_without_room_for_a_copy_the_entry_itself_is_cut() -> None:
    pool = pool_of(list(range(10)))
    taken = pool.take([0, 1, 2, 77, 78], 12)
    assert taken is not None
    assert taken.length == 3
    assert pool.tokens == 0


def test_least_recently_used_goes_first() -> None:
    pool = pool_of([1, 1, 1], [2, 2, 2], [3, 3, 3], limit=9)
    taken = pool.take([1, 1, 1, 1], 9)
    assert taken is not None
    pool.put([1, 1, 1], taken, 9)
    pool.put([4, 4], filled(2), 9)
    assert pool.tokens == 8
    assert pool.take([2, 2, 2, 2], 9) is None
    assert pool.take([1, 1, 1, 1], 9) is not None


def test_a_copy_counts_as_use() -> None:
    pool = pool_of([1, 1, 1, 1, 1], [2, 2, 2], limit=8)
    assert pool.take([1, 1, 5], 10) is not None  # copies
    pool.put([3, 3], filled(2), 8)
    assert pool.take([2, 2, 2, 2], 8) is None
    assert pool.take([1, 1, 1, 1, 1, 1], 8) is not None


def test_an_entry_replaces_those_it_continues_and_not_the_other_way() -> None:
    pool = pool_of([1, 2], [1, 2, 3])
    assert (len(pool), pool.tokens) == (1, 3)
    pool.put([1, 2], filled(2), 1000)
    assert (len(pool), pool.tokens) == (1, 3)


def test_what_does_not_fit_is_not_kept() -> None:
    pool = pool_of([1, 2, 3], limit=5)
    pool.put([4] * 6, filled(6), 5)
    assert pool.tokens == 3
    pool.clear()
    assert pool.tokens == 0


def test_ids_must_fit_the_keys_and_values() -> None:
    with pytest.raises(ValueError, match="2 ids for the keys and values of 3 tokens"):
        pool_of().put([1, 2], filled(3), 10)


def test_the_pool_does_not_hold_on_to_memory_that_was_cut_off() -> None:
    pool = pool_of(list(range(100)))
    taken = pool.take([*range(60), 200], 1000)
    assert taken is not None
    pool.put(list(range(60)), taken, 1000)
    assert taken.nbytes == filled(60).nbytes


def test_it_says_how_much_of_a_prompt_it_knows() -> None:
    pool = CachePool()
    assert pool.known([1, 2, 3]) == 0
    pool.put([1, 2, 3], filled(3), limit=100)
    assert pool.known([1, 2, 9, 9]) == 2
    assert pool.known([1, 2, 3]) == 2, "the last one is computed, whatever is known"
