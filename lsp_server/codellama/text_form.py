"""Prompts as text, for a server that takes no token ids: the text of which its tokenizer makes the right ones.

A control token in a text is a name, and names are fragile: what stands next to one may join it (`>` and `)` are one
piece of Code Llama's, so that ` <SUF>)` has no `<SUF>`), a tokenizer may put a space behind it, and text of the user
may be one. So each text is read again as a server reads it, with the checkpoint's own file and all of its steps, before
it is sent: several forms are tried, and what cannot be said exactly is said safely, with every control token in its
place and none besides.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from .sentencepiece_model import read_sentencepiece
from .tokenizer import CodeLlamaTokenizer
from .tokenizer_json import added_token


@dataclasses.dataclass(frozen=True)
class Text:
    """A prompt as text. `start`: the name of the token that every prompt starts with, which a server puts there or
    wants to be sent; "" where there is none. `tokens`: how many ids a server makes of the rest. `exact`: they are the
    very ids of the prompt."""

    text: str
    start: str
    tokens: int
    exact: bool


@dataclasses.dataclass(frozen=True)
class _Form:
    """How a text is put together. `mark`: what stands for SentencePiece's sign for a space in the names of control
    tokens; `strips`: whether a space right behind a control token is left to the server; `leads`: whether the space in
    front of the text is; `spaced`: whether a space keeps control tokens from what follows them; `broken`: whether names
    of control tokens in text of the user are broken up."""

    mark: str
    strips: bool
    leads: bool
    spaced: bool = False
    broken: bool = False


_EXACT = [_Form(*each) for each in itertools.product((" ", "▁"), (False, True), (True, False))]
_SAFE = [dataclasses.replace(form, spaced=spaced, broken=True) for spaced in (False, True) for form in _EXACT]


class TextForms:
    """The texts of prompts for one checkpoint, whose files are in `folder`."""

    def __init__(self, folder: Path, tokenizer: CodeLlamaTokenizer) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._last: _Form | None = None  # which was exact: it mostly is again

    def text(self, ids: Sequence[int], *, infills: bool = True) -> Text:
        """The text of a prompt, exact where that can be. Where infilling cannot be said, or the server does not do it
        (`infills`), it is the code before the cursor alone. Takes some milliseconds for each thousand tokens."""
        ids = list(ids[1:] if ids[:1] == [self._tokenizer.bos_id] else ids)
        before = self._before_cursor(ids)
        if before is not None and not infills:
            ids, before = before, None
        for form in dict.fromkeys([*([self._last] if self._last else []), *_EXACT]):
            text = self._written(ids, form)
            if (read := self._read(text)) == ids:
                self._last = form
                return Text(text, self._start, len(read), exact=True)
        control = self._control(ids)
        for form in _SAFE:
            text = self._written(ids, form)
            if self._control(read := self._read(text)) == control:
                return Text(text, self._start, len(read), exact=False)
        if before is not None:
            return self.text(before)
        text = self.harmless(self._tokenizer.decode(ids))
        return Text(text, self._start, len(self._read(text)), exact=False)

    def harmless(self, text: str) -> str:
        """Text of the user in which no name of a control token stands any more: there is a space in it."""
        return self._any_name.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

    @property
    def _start(self) -> str:
        bos = self._tokenizer.bos_id
        return "" if bos is None else self._names[bos]

    def _written(self, ids: Sequence[int], form: _Form) -> str:
        parts: list[str] = []
        behind_control = False
        for is_control, run in itertools.groupby(ids, self._names.__contains__):
            if is_control:
                parts += [self._names[each].replace("▁", form.mark) for each in run]
            else:
                text = self._tokenizer.decode(run)
                if form.broken:
                    text = self.harmless(text)
                if behind_control and form.strips:
                    text = text.removeprefix(" ")
                spaced = form.spaced and behind_control and not text.startswith(" ")
                parts.append(" " + text if spaced else text)
            behind_control = is_control
        text = "".join(parts)
        return text.removeprefix(" ") if form.leads and self._tokenizer.vocabulary.prefixing != "never" else text

    def _read(self, text: str) -> list[int]:
        return list(self._theirs.encode(text, add_special_tokens=False).ids)

    def _control(self, ids: Sequence[int]) -> list[int]:
        return [each for each in ids if each in self._names]

    def _before_cursor(self, ids: Sequence[int]) -> list[int] | None:
        """Of a prompt that asks for infilling the ids before the cursor; None of any other."""
        tokens = self._tokenizer.infill_tokens
        if tokens is None or not {tokens.prefix, tokens.suffix, tokens.middle} <= set(ids):
            return None
        behind = list(ids[ids.index(tokens.middle) + 1 :])
        return behind or list(ids[ids.index(tokens.prefix) + 1 : ids.index(tokens.suffix)])

    @cached_property
    def _names(self) -> dict[int, str]:
        """Of each control token the name as it stands in the vocabulary."""
        return {token.id: name for name, token in self._tokenizer.vocabulary.control.items()}

    @cached_property
    def _any_name(self) -> re.Pattern[str]:
        """Finds the names in text; that of a token that begins with a space without it."""
        names = sorted({name.lstrip("▁") for name in self._names.values()}, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, filter(None, names))) or r"(?!)")

    @cached_property
    def _theirs(self) -> Tokenizer:
        """The tokenizer as the files have it: that of a server."""
        path = self._folder / "tokenizer.json"
        if os.path.lexists(path):
            return Tokenizer.from_file(str(path))
        spec = read_sentencepiece(self._folder / "tokenizer.model")
        spec["added_tokens"] = [added_token(token) for token in spec["added_tokens"]]
        return Tokenizer.from_str(json.dumps({"version": "1.0", **spec}, ensure_ascii=False))
