"""What is sent of a conversation that may be longer than the model's context.

First attachments shrink, around the lines that the user named; then the oldest questions go, with their answers.
Nothing goes silently: each loss is a sentence in `Fitted.left_out`. When something of the past must go, a quarter of
the room goes at once: a prompt whose beginning moves is computed anew, which must not happen at every question.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lsp_server.chat.conversation import TooLong
from lsp_server.chat.escaping import escaped
from lsp_server.chat.turns import Attachment, question_text

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer

# What is left of the room after something of the past had to go.
AFTER_CUT = 0.75
# An attachment in which nothing is named keeps this share of the room when it shrinks, and so does a named part when
# the past has to make room for it. The rest goes only once there is no past.
NAMED_SHARE = 0.5
UNNAMED_SHARE = 0.125
# Headline and fence of an attachment, at most; the real count is checked at the end.
FRAME_TOKENS = 48
LEAST_ATTACHED = 16
# What would take so many times as long to be read is worth a word.
LITTLE_MORE = 1.1


@dataclasses.dataclass(frozen=True)
class Exchange:
    """A question and its answer. `asked`: as the model was asked, without what was attached."""

    asked: str
    attachments: tuple[Attachment, ...]
    answer: str

    @property
    def question(self) -> str:
        return question_text(self.asked, self.attachments)


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What is sent. `past`: as given, with some attachments shrunk; those before `first` are not sent."""

    ids: list[int]
    messages: list[dict[str, str]]
    attachments: tuple[Attachment, ...]
    past: tuple[Exchange, ...]
    first: int
    left_out: tuple[str, ...]


class Counter:
    """Tokens of texts under one tokenizer, each counted once."""

    def __init__(self, tokenizer: CodeLlamaTokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[bytes, int] = {}

    @functools.cached_property
    def _plain(self) -> int:
        """Tokens of a prompt with the shortest question alone. Not when this is made: a template may take its time."""
        return self._counted(dialog("", (), "x"))

    def exchange(self, exchange: Exchange) -> int:
        """What a question and its answer add to a prompt."""
        return self._counted(dialog("", [exchange], "x")) - self._plain

    def last(self, system: str, question: str) -> int:
        """Tokens of a prompt that has the system's text and one question alone."""
        return self._counted(dialog(system, (), question))

    def attachment(self, attachment: Attachment) -> int:
        """What the lines that are sent of an attachment add to a prompt, at most."""
        first, last = attachment.shown()
        return (
            sum(self.lines(attachment.lines()[first - attachment.first : last - attachment.first + 1])) + FRAME_TOKENS
        )

    def lines(self, lines: Sequence[str]) -> list[int]:
        """Tokens of each line with its end. Added up they may be a little too many, as pieces can span lines."""
        return [self._line(line) for line in lines]

    def _line(self, line: str) -> int:
        key = line.encode("utf-8", "replace")
        key = key if len(key) <= 64 else hashlib.blake2b(key, digest_size=16).digest()
        if (known := self._known.get(key)) is None:
            known = self._known[key] = len(self.tokenizer.encode_raw(escaped(line, self.tokenizer) + "\n"))
        return known

    def _counted(self, messages: list[dict[str, str]]) -> int:
        text = "\0".join(f"{message['role']}\0{message['content']}" for message in messages)
        key = b"\0" + hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        if (known := self._known.get(key)) is None:
            known = self._known[key] = len(prompt_of(self.tokenizer, messages)[0])
        return known


def dialog(system: str, past: Sequence[Exchange], question: str) -> list[dict[str, str]]:
    """The messages of a conversation, in their order. No `system` is no message, not an empty one.

    An answer has no destination: Meta's 70B format has a header for one, but the model card's dialog, and the template
    that the checkpoints come with, leave it out of every answer but the one that is asked for.
    """
    messages = [{"role": "system", "content": system}] if system else []
    for exchange in past:
        messages.append({"role": "user", "content": exchange.question})
        messages.append({"role": "assistant", "content": exchange.answer})
    return [*messages, {"role": "user", "content": question}]


def prompt_of(
    tokenizer: CodeLlamaTokenizer, messages: Sequence[Mapping[str, Any]]
) -> tuple[list[int], list[dict[str, Any]]]:
    """(ids, messages) of a dialog as it is sent: all that differs from what was said is that marks are escaped.

    Raises DialogError.
    """
    from lsp_server.codellama import checked_turns  # here, so that a server that nobody chats with starts fast

    checked_turns(messages)
    sent = [{**message, "content": escaped(message["content"], tokenizer)} for message in messages]
    return tokenizer.dialog_ids(sent), sent


def fit(
    counter: Counter,
    system: str,
    past: Sequence[Exchange],
    asked: str,
    attachments: Sequence[Attachment],
    *,
    budget: int,
    first: int = 0,
    readable: int = 0,
) -> Fitted:
    """The dialog of at most `budget` tokens whose last question is `asked`, with `attachments` before it.

    `first`: how many exchanges went earlier; it stays so. `readable`: tokens of the attachments that the model reads
    in the time that it may take; 0: all. Raises TooLong where the question alone does not fit, and DialogError where
    the model cannot chat.
    """
    whole = sum(counter.attachment(dataclasses.replace(each, kept=None)) for each in attachments)
    attachments = _readable(counter, list(attachments), readable)
    room = budget
    for _ in range(4):
        fitted = _fit(counter, system, list(past), asked, list(attachments), budget=room, first=first)
        if (excess := len(fitted.ids) - budget) <= 0:
            slow = _slow(counter, whole, fitted.attachments) if whole > readable > 0 else ()
            return dataclasses.replace(fitted, left_out=(*fitted.left_out, *slow))
        room -= excess + 8  # lines were counted one by one, and templates may add what depends on the whole
    raise TooLong(f"The question does not fit the {budget} tokens that the model has room for.")


def _readable(counter: Counter, new: list[Attachment], tokens: int) -> list[Attachment]:
    """The attachments in so many tokens, 0 being any number."""
    wanted = [counter.attachment(each) for each in new]
    return _shrunk(counter, new, wanted, tokens) if 0 < tokens < sum(wanted) else new


def _slow(counter: Counter, whole: int, sent: Sequence[Attachment]) -> tuple[str, ...]:
    """What is said where less is sent than `whole`, so that it is read in time."""
    times = whole / max(1, sum(counter.attachment(each) for each in sent))
    if times < LITTLE_MORE:
        return ()
    return (f"To read all of it would take the model {times:.1f} times as long (codellama.chatReadSeconds).",)


def _fit(
    counter: Counter,
    system: str,
    past: list[Exchange],
    asked: str,
    new: list[Attachment],
    *,
    budget: int,
    first: int,
) -> Fitted:
    alone = counter.last(system, asked)
    if alone > budget:
        raise TooLong(f"The question is {alone} tokens long, but the model has room for {budget}; shorten it.")
    costs = [counter.exchange(exchange) if at >= first else 0 for at, exchange in enumerate(past)]
    wanted = [counter.attachment(attachment) for attachment in new]
    if alone + sum(costs) + sum(wanted) > budget:
        least = sum(min(want, _least(counter, one, budget)) for want, one in zip(wanted, new, strict=True))
        if alone + sum(costs) + least > budget:
            first = _make_room(counter, past, costs, first, int(budget * AFTER_CUT) - alone - least, budget)
        # Not the whole of the room: the next question would have to shrink them again.
        room = max(int(budget * AFTER_CUT) - alone - sum(costs), least)
        new = _shrunk(counter, new, wanted, min(room, budget - alone - sum(costs)))
    ids, messages = prompt_of(counter.tokenizer, dialog(system, past[first:], question_text(asked, tuple(new))))
    left_out = (*_sentences(new), *_past_sentences(past, first))
    return Fitted(ids, messages, tuple(new), tuple(past), first, left_out)


def _make_room(counter: Counter, past: list[Exchange], costs: list[int], first: int, target: int, budget: int) -> int:
    """Bring `costs` down to `target` in all: shrink what was attached, oldest first; then drop the oldest.

    Changes `past` and `costs`; returns the new `first`.
    """
    for at in range(first, len(past)):
        if sum(costs) <= target:
            return first
        named = tuple(_keeping(one, _named(counter, one, budget)) for one in past[at].attachments)
        if named != past[at].attachments:
            past[at] = dataclasses.replace(past[at], attachments=named)
            costs[at] = counter.exchange(past[at])
    while first < len(past) and sum(costs) > target:
        costs[first] = 0
        first += 1
    return first


def _shrunk(counter: Counter, attachments: list[Attachment], wanted: list[int], room: int) -> list[Attachment]:
    """The attachments in `room` tokens together; small ones stay whole, the others share what is left."""
    shares = dict.fromkeys(range(len(attachments)), 0)
    left = room
    for count, at in enumerate(sorted(shares, key=lambda at: wanted[at])):
        shares[at] = min(wanted[at], max(0, left) // (len(attachments) - count))
        left -= shares[at]
    return [
        one if wanted[at] <= shares[at] else _keeping(one, _window(counter, one, shares[at]))
        for at, one in enumerate(attachments)
    ]


def _window(counter: Counter, attachment: Attachment, tokens: int) -> tuple[int, int]:
    """The lines to keep in `tokens`: those named, then their surroundings on both sides; without any, the first ones.

    Where not even the named ones fit, their end goes.
    """
    first, last = attachment.shown()
    costs = counter.lines(attachment.lines()[first - attachment.first : last - attachment.first + 1])
    left = tokens - FRAME_TOKENS
    if left < LEAST_ATTACHED:
        return first, first - 1
    named = attachment.named or (first, first - 1)
    low, high = max(first, named[0]), max(first, named[0]) - 1
    while high < min(last, named[1]) and costs[high + 1 - first] <= left:
        high += 1
        left -= costs[high - first]
    if high < min(last, named[1]):
        return low, high
    below = above = True
    while below or above:
        below = below and high < last and costs[high + 1 - first] <= left
        if below:
            high += 1
            left -= costs[high - first]
        above = above and low > first and costs[low - 1 - first] <= left
        if above:
            low -= 1
            left -= costs[low - first]
    return low, high


def _least(counter: Counter, attachment: Attachment, budget: int) -> int:
    """What an attachment shrinks to before anything of the past goes."""
    if attachment.named is None:
        return int(budget * UNNAMED_SHARE)
    named = _keeping(attachment, _named(counter, attachment, budget))
    return min(counter.attachment(named), int(budget * NAMED_SHARE))


def _named(counter: Counter, attachment: Attachment, budget: int) -> tuple[int, int]:
    """The lines that are named, or a beginning where none is."""
    first, last = attachment.shown()
    if attachment.named is None:
        return _window(counter, attachment, int(budget * UNNAMED_SHARE))
    return max(first, attachment.named[0]), min(last, attachment.named[1])


def _keeping(attachment: Attachment, lines: tuple[int, int]) -> Attachment:
    return attachment if lines == attachment.shown() else dataclasses.replace(attachment, kept=lines)


def _sentences(attachments: Sequence[Attachment]) -> list[str]:
    """What is missing of attachments that shrank."""
    said = []
    for one in attachments:
        first, last = one.shown()
        if last < first:
            said.append(f"{one.name} was left out: there is no room for it.")
        elif (first, last) != (one.first, one.last):
            what = "entries" if one.kind == "diagnostics" else "lines"
            said.append(f"Of {one.name} only {what} {first}-{last} of {one.first}-{one.last} were sent.")
    return said


def _past_sentences(past: Sequence[Exchange], first: int) -> list[str]:
    said = []
    shrunk = dict.fromkeys(one.name for exchange in past[first:] for one in exchange.attachments if one.kept)
    if shrunk:
        said.append(f"Of what was attached earlier only a part is sent: {', '.join(shrunk)}.")
    if first:
        what = "The oldest question and its answer are" if first == 1 else f"The {first} oldest questions are"
        said.append(f"{what} no longer sent; the conversation is longer than the model's context.")
    return said
