"""What becomes of the arguments of a call, when the parameters of its function change."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.trees import is_comment
from lsp_server.next_edit.documents import Document
from lsp_server.next_edit.names import is_visible
from lsp_server.next_edit.proposal import GAP
from lsp_server.next_edit.signatures import Parameter

_SPREAD = frozenset(words("list_splat dictionary_splat spread_element variadic_argument parameter_pack_expansion"))
# Lines of the arguments of a call.
MOST_ROWS = 8
# Letters of a name that may be one that is being written.
MOST_BEGUN = 2


@dataclasses.dataclass(frozen=True)
class Rewriting:
    """How the arguments of a call change: `order` gives those that stay by their place, in the new order; at `at` that
    of the new parameter `name` is put in, by its name if `by_name`, or the one called `name` was taken out, with all
    that come behind if it took any number."""

    order: tuple[int, ...]
    name: str = ""
    at: int = -1
    count: int = 0
    by_name: bool = False
    any_number: bool = False

    @property
    def adds(self) -> bool:
        return self.at >= 0 and len(self.order) == self.count


def rewriting_of(old: Sequence[Parameter], new: Sequence[Parameter]) -> Rewriting | None:
    """What becomes of the arguments; None where nothing does, or where that cannot be told."""
    before, after = [each.name for each in old], [each.name for each in new]
    if len(set(before)) < len(before) or len(set(after)) < len(after):
        return None
    if len(new) == len(old) + 1:
        at = next((at for at, name in enumerate(after) if name not in before), -1)
        if at < 0 or after[:at] + after[at + 1 :] != before or new[at].optional:
            return None
        return Rewriting(tuple(range(len(old))), after[at], at, len(old), new[at].by_name)
    if len(new) == len(old) - 1:
        at = next((at for at, name in enumerate(before) if name not in after), -1)
        if at < 0 or before[:at] + before[at + 1 :] != after:
            return None
        if old[at].any_number and at < len(old) - 1:
            return None
        order = tuple(each for each in range(len(old)) if each != at)
        return Rewriting(order, before[at], at, len(old), any_number=old[at].any_number)
    if before != after and sorted(before) == sorted(after) and not any(each.optional or each.by_name for each in old):
        return Rewriting(tuple(before.index(name) for name in after), count=len(old))
    return None


def arguments_of(call: Any) -> Any:
    """What is given in a call, or to an object of C++ that is declared with it; None where nothing is."""
    if call.type != "init_declarator":
        return call.child_by_field_name("arguments")
    value = call.child_by_field_name("value")
    return value if value is not None and value.type == "argument_list" else None


Rewritten = tuple[Any, Any, str]
"""The first node that changes, the last one, and what is there then."""


def rewritten(document: Document, call: Any, rewriting: Rewriting, example: str, ahead: int = 0) -> Rewritten | None:
    """What becomes of a call's arguments; None where that is not sure. `ahead`: arguments that stand in front of those
    for the parameters."""
    arguments = arguments_of(call)
    if arguments is None or arguments.end_point.row - arguments.start_point.row > MOST_ROWS:
        return None
    if arguments.type == "generator_expression":  # whose brackets are those of the call
        return _beside_generator(arguments, rewriting, document, call, example) if not ahead else None
    given = [each for each in arguments.named_children if not is_comment(each)]
    if any(each.type in _SPREAD for each in given) or len(given) < ahead:
        return None
    first, given = given[:ahead], given[ahead:]
    if rewriting.adds:
        if _is_begun(document, call, rewriting.name):
            return None
        return _with_one_more(arguments, first, given, rewriting, _value(document, call, rewriting, example))
    if rewriting.at >= 0:
        return _with_one_less(arguments, first, given, rewriting)
    return _in_order(given, rewriting)


def _value(document: Document, call: Any, rewriting: Rewriting, example: str) -> str:
    """What a call gives for a new parameter: the variable of that name, or what another call gave."""
    assert document.tree is not None
    return rewriting.name if is_visible(document.tree, rewriting.name, call) else example or GAP


def _is_begun(document: Document, call: Any, name: str) -> bool:
    """Whether a new parameter may be the beginning of a name that a call has at hand: it is being written."""
    tree = document.tree
    assert tree is not None
    if len(name) > MOST_BEGUN:
        return False
    longer = {each.decode() for each in re.findall(rb"\b%s\w+" % re.escape(name.encode()), tree.data)}
    return any(is_visible(tree, each, call) for each in longer)


def _beside_generator(
    generator: Any, rewriting: Rewriting, document: Document, call: Any, example: str
) -> Rewritten | None:
    """The same where the one argument of Python is a generator without brackets of its own."""
    if rewriting.count != 1:
        return None
    if not rewriting.adds:
        return generator, generator, "()"
    value, own = _value(document, call, rewriting, example), generator.text.decode()
    if rewriting.by_name:
        value = f"{rewriting.name}={value}"
    return generator, generator, f"({own}, {value})" if rewriting.at else f"({value}, {own})"


def _name_of(argument: Any) -> str:
    """The name that an argument is given by; "" where its place says which it is."""
    named = argument.child_by_field_name("name") if argument.type == "keyword_argument" else None
    return named.text.decode() if named is not None else ""


def _with_one_more(
    arguments: Any, first: list[Any], given: list[Any], rewriting: Rewriting, value: str
) -> Rewritten | None:
    plain = [each for each in given if not _name_of(each)]
    if len(given) != rewriting.count or rewriting.name in map(_name_of, given):
        return None
    if rewriting.at > len(plain) == len(given) and not rewriting.by_name:
        return None
    named = rewriting.by_name or (len(plain) < len(given) and rewriting.at >= len(plain))
    text = f"{rewriting.name}={value}" if named else value
    if not given and not first:
        return arguments, arguments, f"({text})"
    if rewriting.at < len(given) and not rewriting.by_name:
        node = given[rewriting.at]
        return node, node, f"{text}, {node.text.decode()}"
    last = [*first, *given][-1]
    return last, last, f"{last.text.decode()}, {text}"


def _with_one_less(arguments: Any, first: list[Any], given: list[Any], rewriting: Rewriting) -> Rewritten | None:
    plain = [each for each in given if not _name_of(each)]
    placed = plain[rewriting.at] if len(plain) > rewriting.at else None
    gone = next((each for each in given if _name_of(each) == rewriting.name), placed)
    if gone is None or (rewriting.any_number and len(plain) < len(given)):
        return None
    given, at = [*first, *given], len(first) + given.index(gone)
    last = len(given) - 1 if rewriting.any_number else at
    if last - at + 1 == len(given):
        return arguments, arguments, "()"
    if last + 1 < len(given):
        return gone, given[last + 1], given[last + 1].text.decode()
    return given[at - 1], given[last], given[at - 1].text.decode()


def _in_order(given: list[Any], rewriting: Rewriting) -> Rewritten | None:
    plain = [each for each in given if not _name_of(each)]
    texts = [each.text.decode() for each in plain]
    order = rewriting.order[: len(plain)]
    if len(given) != rewriting.count or sorted(order) != list(range(len(plain))) or any("\n" in text for text in texts):
        return None
    moved = [texts[at] for at in order]
    changed = [at for at in range(len(texts)) if moved[at] != texts[at]]
    if not changed:
        return None
    first, last = changed[0], changed[-1]
    return given[first], given[last], ", ".join(moved[first : last + 1])
