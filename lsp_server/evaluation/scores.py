"""What an answer is worth: how near it is to what stood there, and what it does to the file that it goes into.

Nothing here asks the rules by which the product itself judges a suggestion: brackets are those of the syntax tree, and
Python's own parser has the say on Python.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import warnings
from typing import Any

from lsp_server.context import trees
from lsp_server.evaluation.holes import Hole

CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclasses.dataclass(frozen=True)
class Scores:
    """Of one answer. `exact`: its first line is that of the hole. `parses`: the file does with the answer in it, in
    Python by `ast`, elsewhere with no more errors in its syntax tree than it had; None where Python does not take the
    file as it was, or there is no grammar. `repeats`: it ends with what stands behind it anyway. `unbalanced`: brackets
    of its own fit nothing."""

    exact: bool
    similarity: float
    parses: bool | None
    repeats: bool
    unbalanced: bool | None


def scores(hole: Hole, text: str, *, over: int = 0) -> Scores:
    """Those of a `text` in the hole. `over`: how many characters behind the cursor it takes the place of."""
    written = hole.suffix[:over]
    wanted, rest = hole.middle + written, hole.suffix[over:]
    return Scores(
        first_line_exact(wanted, text),
        similarity(wanted, text),
        parses(hole, text, rest),
        repeats(hole, text, rest),
        unbalanced(hole, text, rest),
    )


def first_line_exact(wanted: str, text: str) -> bool:
    return wanted.strip().partition("\n")[0].rstrip() == text.strip().partition("\n")[0].rstrip()


def similarity(wanted: str, text: str) -> float:
    """0 to 1: difflib's ratio, which counts the characters that both have in the same order."""
    return difflib.SequenceMatcher(None, wanted, text, autojunk=False).ratio()


def parses(hole: Hole, text: str, rest: str) -> bool | None:
    """Whether the file does, with `text` and then `rest` behind the prefix; None where that cannot be told."""
    if hole.language == "python":
        return is_python(hole.prefix + text + rest) if is_python(hole.prefix + hole.middle + hole.suffix) else None
    before = trees.errors(hole.prefix + hole.middle + hole.suffix, hole.language)
    after = trees.errors(hole.prefix + text + rest, hole.language)
    return None if before is None or after is None else after <= before


def is_python(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on escapes and the like in other people's code
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # null bytes, and code that is too deep for it
            return False
    return True


def repeats(hole: Hole, text: str, rest: str) -> bool:
    """Whether `text` ends with the line that follows, or with the rest of its line: something with a letter or digit in
    it, with which what stood there does not end."""
    right, _, below = rest.partition("\n")
    following = next((line.strip() for line in below.split("\n") if line.strip()), "")
    own, wanted = _lines(text), _lines(hole.middle)
    if len(own) > 1 or not right.strip():
        last = (hole.prefix.rpartition("\n")[2] + own[0]).strip() if len(own) == 1 else own[-1].strip() if own else ""
        if _tells(following) and last == following and (not wanted or wanted[-1].strip() != following):
            return True
    right = right.strip()
    return _tells(right) and text.rstrip().endswith(right) and not hole.middle.rstrip().endswith(right)


def unbalanced(hole: Hole, text: str, rest: str) -> bool | None:
    """Whether brackets of `text` find no partner, or take that of another; None where there is no grammar."""
    before, after = hole.prefix.encode(), (hole.prefix + text).encode()
    alone = lone_brackets(hole.prefix + hole.suffix, hole.language)
    found = lone_brackets(hole.prefix + text + rest, hole.language)
    if alone is None or found is None:
        return None
    own = [at for at in found if len(before) <= at < len(after)]
    return bool(own) or len(found) > len(alone)


def lone_brackets(text: str, language_id: str) -> list[int] | None:
    """Where, in bytes of UTF-8, brackets of code stand that have no partner; None where there is no grammar."""
    tree = trees.parse(text, language_id)
    if tree is None:
        return None
    opened: list[tuple[str, int]] = []
    lone: list[int] = []
    for mark, at in _brackets(tree.root):
        if mark in CLOSING:
            opened.append((mark, at))
        elif opened and CLOSING[opened[-1][0]] == mark:
            opened.pop()
        else:
            lone.append(at)
    return sorted([*lone, *(at for _, at in opened)])


def _brackets(root: Any) -> list[tuple[str, int]]:
    """(bracket, where) of all in the code, in order: not those in strings and comments, which are no nodes."""
    found = []
    stack = [root]
    while stack:
        node = stack.pop()
        if node.is_missing:
            continue
        if node.type in ("(", ")", "[", "]", "{", "}"):
            found.append((node.type, node.start_byte))
        elif node.type in ("#{", "${"):  # of a value in a string
            found.append(("{", node.start_byte))
        stack.extend(reversed(node.children))
    return found


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _tells(text: str) -> bool:
    return any(map(str.isalnum, text))
