"""The trees of many documents: what was parsed is not parsed again while there is room for it."""

from __future__ import annotations

from lsp_server.next_edit.binding import parent_of, remembering
from lsp_server.next_edit.documents import MOST_BYTES, MOST_TREES, Document, Situation, Trees
from lsp_server.next_edit.names import hits


def document(trees: Trees, number: int, text: str) -> Document:
    return Document(f"file:///w/{number}.py", "python", [text], 1, trees)


def test_the_trees_of_more_small_documents_than_are_kept_of_large_ones() -> None:
    trees = Trees()
    first, second = ([document(trees, at, f"a = {at}\n").tree for at in range(5 * MOST_TREES)] for _ in range(2))
    assert None not in first
    assert [one is other for one, other in zip(first, second, strict=True)] == [True] * len(first)


def test_of_large_ones_only_the_last() -> None:
    trees, text = Trees(), f'a = "{"x" * (MOST_BYTES // MOST_TREES)}"\n'
    first = [document(trees, at, text).tree for at in range(2 * MOST_TREES)]
    assert document(trees, len(first) - 1, text).tree is first[-1]
    assert document(trees, 0, text).tree is not first[0]


def test_what_is_remembered_of_a_tree_does_not_outlive_the_question() -> None:
    with remembering():
        tree = document(Trees(), 0, "one = 1\nprint(one)\n").tree
        assert tree is not None
        assert len(hits(tree, "one")) == 2
        assert parent_of.cache_info().currsize > 0
    assert parent_of.cache_info().currsize == 0


def test_documents_without_the_word_are_not_parsed() -> None:
    trees = Trees()
    them = [document(trees, at, text) for at, text in enumerate(["one = 1\n", "One + 2\n", "two = 2\n"])]
    here = Situation({each.uri: each for each in them}, (), them[0].uri, 0)
    assert here.others(them[0].uri, "one") == [them[1]]
