"""How much of what is attached a model may read.

On a processor a prompt of 5,000 tokens takes the better part of a minute, so what is attached is sized by what the
model reads in some seconds; and a file is sent in the same lines as before, for whose keys and values are there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lsp_server.chat.fitting import Counter
from lsp_server.chat.turns import Attachment
from lsp_server.model.access import Reached
from lsp_server.settings import Settings

# However slow a model is, so many tokens of attachments go with a question.
LEAST_TOKENS = 256
# A part of a file that was sent before is sent again where it has so many times what may be read now. It may be more:
# it need not be read.
ENOUGH, TOO_MUCH = 0.5, 2.0


def readable(model: Reached, settings: Settings) -> int:
    """Tokens that the model reads in the seconds that it may take for what is attached; 0: no limit is known."""
    speed, seconds = model.client.speed, settings.chat_read_seconds
    return max(LEAST_TOKENS, speed.tokens(seconds)) if speed is not None and seconds else 0


class SentFiles:
    """The files that were sent of late, each with the lines that were."""

    MOST = 50

    def __init__(self) -> None:
        self._sent: dict[str, Attachment] = {}

    def note(self, attachments: Sequence[Attachment]) -> None:
        for one in attachments:
            if one.kind == "file":
                self._sent.pop(one.uri, None)
                self._sent[one.uri] = one
        while len(self._sent) > self.MOST:
            del self._sent[next(iter(self._sent))]

    def as_before(self, attachments: Sequence[Attachment], counter: Counter, room: int) -> tuple[list[Attachment], int]:
        """The attachments, each file that has not changed in the lines in which it was sent, unless others are meant,
        or many more would do; and the tokens that may be sent where so many may be read: those are no more to read."""
        found = [self._as_before(one, counter, room) for one in attachments]
        known = sum(counter.attachment(now) for now, one in zip(found, attachments, strict=True) if now is not one)
        return found, room + known if room else 0

    def _as_before(self, one: Attachment, counter: Counter, room: int) -> Attachment:
        before = self._sent.get(one.uri)
        if one.kind != "file" or before is None or before.kept is None or before.text != one.text:
            return one
        first, last = before.kept
        named = one.named or before.kept
        if not (room and first <= named[0] and named[1] <= last):
            return one
        again = dataclasses.replace(one, kept=before.kept)
        return again if ENOUGH * room <= counter.attachment(again) <= TOO_MUCH * room else one


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What it takes to read a prompt: of its tokens those that are `known` need not be read. `seconds`: None where the
    model's speed is not known."""

    tokens: int
    known: int
    seconds: float | None


async def estimated(model: Reached, ids: Sequence[int]) -> Estimate:
    """What it would take to read this prompt now."""
    known, speed = min(await model.client.known_tokens(ids), len(ids)), model.client.speed
    return Estimate(len(ids), known, round(speed.seconds(known, len(ids)), 1) if speed is not None else None)
