"""The one loop that turns what a model generates into text: for suggestions, actions and chat."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lsp_server.engine.generating.request import Prefill
from lsp_server.model.access import Reached
from lsp_server.model.circles import Circles
from lsp_server.model.client import GREEDY, PRIORITY_AHEAD, PRIORITY_COMPLETION, Choice
from lsp_server.model.exchange import EngineLost, EngineRefused
from lsp_server.model.reading import Candidate, Piece
from lsp_server.model.words import Words

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer
    from lsp_server.codellama.stream import StreamDecoder


# Why an answer ended that went in circles.
REPEATS = "repeats"


@dataclasses.dataclass(frozen=True)
class Question:
    """What the model is asked: to continue `ids`, up to one of `stop_ids`.

    `messages`: those that the ids of a conversation were made of, for a server that takes no ids. The last `heal` ids
    count only as text. `pending`: what the answer begins with that is there already.
    `ends_circles`: an answer that says the same again and again is ended. `on_prefill` is told how far the prompt is
    computed, by a server that tells.
    """

    ids: Sequence[int]
    stop_ids: Sequence[int]
    max_tokens: int
    heal: int = 0
    pending: str = ""
    choice: Choice = GREEDY
    priority: int = PRIORITY_COMPLETION
    ends_circles: bool = False
    messages: Sequence[Mapping[str, Any]] = ()
    on_prefill: Callable[[Prefill], None] | None = None


@dataclasses.dataclass(frozen=True)
class Line:
    """A line with which an answer can begin, behind what is pending: the text and the log-probability of each of its
    tokens, and that of what stands behind the answer."""

    tokens: tuple[tuple[str, float], ...]
    follows: float

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.tokens)

    @property
    def logprob(self) -> float:
        return sum(logprob for _, logprob in self.tokens)


class Answer:
    """The model's answer to one question, while it is written and afterwards.

    `asked` and `first`: when the engine was asked, and when the first of the answer came (0.0: not yet), by
    `time.perf_counter`. `finish_reason` is "" until the model has ended it, and REPEATS where it was ended as it went
    in circles; `against`: it ended because the model would go on with other text than what is pending. `line`: where
    asked for, the text and the log-probability of each token up to the end of the first line that is not blank.
    `lines`: among which that was chosen, the best first, where several were asked for and the server can do that.
    """

    def __init__(self, model: Reached, question: Question) -> None:
        self.asked = time.perf_counter()
        self.first = 0.0
        self.finish_reason = ""
        self.against = False
        self.usage: dict[str, Any] = {}
        self.line: list[tuple[str, float]] = []
        self.lines: list[Line] = []
        self._model, self._question = model, question
        self._ids, self._texts = 0, 0

    @property
    def tokens(self) -> int:
        """Tokens generated; of a server that sends text alone what it counts, and until then the parts."""
        return self._ids or int(self.usage.get("completion_tokens") or 0) or self._texts

    async def parts(self) -> AsyncGenerator[list[str], None]:
        """The text behind what is pending, as it is generated: one string for each token, as many at a time as the
        engine sends. Some are empty: a character may need several tokens.

        Where the engine is gone before it has said anything, this waits for the next one, and asks that; not for what
        is asked ahead of time. Raises EngineLost, EngineRefused, ModelUnavailable. Close it to end the work in the
        engine.
        """
        question, tried, circles = self._question, False, Circles()
        while True:
            decoder, pending = self._model.tokenizer.decoder(), question.pending
            try:
                async with contextlib.aclosing(self._pieces()) as pieces:
                    async for piece in pieces:
                        self.lines += filter(None, map(self._line_of, piece.candidates))
                        begins = not self.first
                        texts = self._texts_of(piece, decoder)
                        if begins and self._loses_space(piece):
                            pending = pending.removeprefix(" ")
                        if pending:
                            left = _behind(pending, texts)
                            if left is None:
                                self.against = True
                                return
                            pending = left
                        self._weigh(texts, piece.logprobs)
                        if question.ends_circles and not self.finish_reason and circles.closed_by("".join(texts)):
                            self.finish_reason = REPEATS
                        yield texts
                        if self.finish_reason == REPEATS:
                            return
                return
            except EngineLost:
                if question.priority == PRIORITY_AHEAD:
                    raise
                self._model.lost()
                if self.first or tried or self._model.again is None:
                    raise
            tried = True
            self._model = await self._model.again()
            self.asked = time.perf_counter()

    async def _pieces(self) -> AsyncGenerator[Piece, None]:
        """What the server sends of the answer."""
        question, tokenizer = self._question, self._model.tokenizer
        # Every server ends at those by itself, and in a text they may be the user's.
        stops = [each for each in question.stop_ids if each not in tokenizer.eos_ids]
        answer = self._model.client.complete(
            question.ids,
            max_tokens=question.max_tokens,
            stop_ids=question.stop_ids,
            stop_texts=_names(tokenizer, stops),
            heal=question.heal,
            choice=question.choice,
            priority=question.priority,
            words=Words(question.messages, self._model.texts, _names(tokenizer, tokenizer.eos_ids)),
        )
        async with contextlib.aclosing(answer) as pieces:
            async for piece in pieces:
                if piece.prefill is None:
                    yield piece
                elif question.on_prefill is not None:
                    question.on_prefill(piece.prefill)

    def _texts_of(self, piece: Piece, decoder: StreamDecoder) -> list[str]:
        """The text of each token of a piece; what was held back comes with the end."""
        if piece.ids or piece.text:
            self.first = self.first or time.perf_counter()
        self._ids += len(piece.ids)
        size = self._model.tokenizer.vocab_size
        known = all(0 <= each < size for each in piece.ids)
        if not known and not piece.text and self._model.shared:
            raise EngineRefused(
                f"{self._model.client.endpoint.name} answers with token ids that are none of this model's; name the "
                "checkpoint that is served there in codellama.tokenizer."
            )
        texts = [decoder.push((each,)) for each in piece.ids] if known or not piece.text else []
        if piece.text and not texts:
            self._texts += 1
            texts.append(piece.text)
        if piece.finish_reason:
            self.finish_reason, self.usage = piece.finish_reason, piece.usage
            texts.append(decoder.flush())
        return texts

    def _line_of(self, candidate: Candidate) -> Line | None:
        """A candidate as text; None where it does not begin with what is pending."""
        decoder, ends = self._model.tokenizer.decoder(), self._question.stop_ids
        texts = ["" if each in ends else decoder.push((each,)) for each in candidate.ids]
        texts[-1] += decoder.flush()
        if _behind(self._question.pending, texts) != "":
            return None
        return Line(tuple(zip(texts, candidate.logprobs, strict=True)), candidate.follows)

    def _loses_space(self, piece: Piece) -> bool:
        """Whether the space may be missing that an answer began with: a server that knows a prompt as text alone takes
        its answer for the beginning of a text, which in Llama's vocabulary has a space of its own that is not shown."""
        model = self._model
        as_text = model.texts is not None and not piece.ids and piece.text[:1].strip() != ""
        return as_text and model.tokenizer.vocabulary.llama_like and model.client.dialect.kind == "transformers"

    def _weigh(self, texts: list[str], logprobs: Sequence[float]) -> None:
        """Take note of how probable the tokens of the first line were, of which these are the `texts`."""
        # Servers that send no ids send one text for several tokens.
        for text, logprob in zip([""] * (len(logprobs) - len(texts)) + texts, logprobs, strict=False):
            if "\n" in "".join(text for text, _ in self.line).lstrip():
                return
            self.line.append((text, logprob))


def _behind(pending: str, texts: list[str]) -> str | None:
    """Take what is pending away from the beginning of the texts; what is pending then, None where they begin
    otherwise."""
    for at, text in enumerate(texts):
        if text.startswith(pending):
            texts[at] = text[len(pending) :]
            return ""
        if not pending.startswith(text):
            return None
        texts[at], pending = "", pending[len(text) :]
    return pending


def _names(tokenizer: CodeLlamaTokenizer, ids: Sequence[int]) -> list[str]:
    """The names of those that are control tokens, by which one knows them in a text."""
    known = tokenizer.vocabulary.control_ids
    return [tokenizer.vocabulary.name_of(each) for each in ids if each in known]
