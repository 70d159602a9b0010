"""How a prompt is put to servers that differ in what they take."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lsp_server.model.dialect import Dialect, Way

if TYPE_CHECKING:
    from lsp_server.codellama.text_form import Text, TextForms

CONVERSATIONS = "/v1/chat/completions"


@dataclasses.dataclass(frozen=True)
class Words:
    """A prompt in other words than its ids: the `messages` of the conversation that they were made of, where they were,
    and what knows the text of ids; None where no server will want that. `ends`: the names of the tokens at which every
    server ends an answer; some show them (TGI)."""

    messages: Sequence[Mapping[str, Any]] = ()
    texts: TextForms | None = None
    ends: Sequence[str] = ()

    @property
    def can(self) -> list[Way]:
        """The ways in which the prompt can be put."""
        there: dict[Way, object] = {"ids": True, "chat": self.messages, "text": self.texts}
        return [way for way, what in there.items() if what]

    async def put(self, ids: Sequence[int], way: Way, dialect: Dialect) -> Put:
        """The prompt with these ids in one of those ways."""
        if way == "ids":
            return Put("/v1/completions", {"prompt": list(ids)})
        texts = self.texts
        if way == "chat":
            messages = [dict(each) for each in self.messages]
            if texts is not None:  # what is a control token's name is none in what the user says
                said = await asyncio.to_thread(lambda: [texts.harmless(each["content"]) for each in messages])
                messages = [{**each, "content": text} for each, text in zip(messages, said, strict=True)]
            return Put(CONVERSATIONS, {"messages": messages}, without=("logprobs",))
        assert texts is not None
        text = await asyncio.to_thread(texts.text, ids, infills=dialect.infills)
        return Put("/v1/completions", {"prompt": (text.start if dialect.names_start else "") + text.text}, text)


IDS_ALONE = Words()


@dataclasses.dataclass(frozen=True)
class Put:
    """A prompt as it is sent: `fields` of a request to `path`. `text`: how many ids should become of it. `without`:
    what means something else at that path."""

    path: str
    fields: dict[str, Any]
    text: Text | None = None
    without: tuple[str, ...] = ()
