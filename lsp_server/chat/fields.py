"""What an editor sends to chat, checked: each wrong value ends in one clear sentence, and none of them in a log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from lsp_server.chat.asking import Ask, InvalidAsk
from lsp_server.chat.attachments import Reported, Wanted
from lsp_server.chat.turns import Kind

MAX_TEMPERATURE = 2.0
_MISSING: Any = object()


class Fields:
    """The fields of an object in JSON. `path` is what it is called in a sentence. All methods raise Wrong."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values, self._path = values, path

    @classmethod
    def of(cls, params: Any) -> Fields:
        """The parameters of a request."""
        if params is not None and not isinstance(params, dict):
            raise InvalidAsk("The parameters must be an object.")
        return cls(params or {})

    def text(self, name: str, default: str = _MISSING) -> str:
        text: str = self._get(name, str, "a text", default)
        return text

    def token(self, name: str) -> int | str | None:
        value = self._values.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, str))):
            raise InvalidAsk(f"`{self._path}{name}` must be a text or a whole number.")
        return value

    def number(self, name: str, low: float, high: float | None = None) -> Any:
        """A number within bounds, or None where it is missing. A whole one where `low` is whole."""
        value = self._values.get(name)
        if value is None:
            return None
        whole = isinstance(low, int)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise InvalidAsk(f"`{self._path}{name}` must be {'a whole number' if whole else 'a number'}.")
        if not (value >= low and (high is None or value <= high)):
            raise InvalidAsk(
                f"`{self._path}{name}` must be {f'at least {low}' if high is None else f'{low} to {high}'}."
            )
        return value

    def inner(self, name: str) -> Fields:
        return Fields(self._get(name, dict, "an object"), f"{self._path}{name}.")

    def objects(self, name: str) -> list[Fields] | None:
        """The objects in a list, or None where it is missing."""
        values = self._get(name, list, "a list", None)
        if values is None:
            return None
        if not all(isinstance(value, dict) for value in values):
            raise InvalidAsk(f"`{self._path}{name}` must be a list of objects.")
        return [Fields(value, f"{self._path}{name}[{at}].") for at, value in enumerate(values)]

    def ask(self, language_of: Callable[[str], str]) -> Ask:
        """The question in the parameters of `send`. `language_of`: the language id of an open document, or ""."""
        regenerate = self._get("regenerate", bool, "true or false", False)
        attachments = self.objects("attachments")
        language = self.text("languageId", "")
        if not language and "textDocument" in self._values:
            language = language_of(self.inner("textDocument").text("uri"))
        return Ask(
            message=_characters(self.text("message", "" if regenerate else _MISSING)),
            conversation=self.text("conversationId", ""),
            attachments=None if attachments is None else tuple(one.attachment() for one in attachments),
            edit_turn=self.number("editTurn", 0),
            regenerate=regenerate,
            temperature=self.number("temperature", 0.0, MAX_TEMPERATURE),
            max_tokens=self.number("maxTokens", 1),
            language=language,
            top_p=self.number("topP", 0.0, 1.0),
            seed=self.number("seed", 0),
            system=None if self._values.get("systemPrompt") is None else _characters(self.text("systemPrompt")),
        )

    def attachment(self) -> Wanted:
        rows, column = self.inner("range").rows() if self._values.get("range") is not None else (None, 0)
        kind: Any = self.text("kind", "selection" if rows else "file")
        kinds = [each for each in get_args(Kind) if each != "symbol"]
        if kind not in kinds:
            raise InvalidAsk(f"`{self._path}kind` must be one of {', '.join(kinds)}.")
        if kind in ("selection", "function") and rows is None:
            raise InvalidAsk(f"`{self._path}range` is missing; an attached {kind} needs it.")
        diagnostics = tuple(one.diagnostic() for one in self.objects("diagnostics") or ())
        return Wanted(self.text("uri"), kind, rows, column, diagnostics)

    def rows(self) -> tuple[tuple[int, int], int]:
        """((first row, last row), column at the start) of a range, without a last line of which nothing is in it."""
        start, end = self.inner("start"), self.inner("end")
        first, column = start.number("line", 0) or 0, start.number("character", 0) or 0
        last, ends_at = end.number("line", 0) or 0, end.number("character", 0) or 0
        if last < first:
            first, last = last, first
        if last > first and ends_at == 0:
            last -= 1
        return (first, last), column

    def diagnostic(self) -> Reported:
        (row, _), _ = self.inner("range").rows()
        severity, source = self.number("severity", 1, 4) or 1, self.text("source", "")
        return Reported(row, self.text("message"), severity, source)

    def _get(self, name: str, kind: type, words: str, default: Any = _MISSING) -> Any:
        value = self._values.get(name)
        if value is None:
            if default is _MISSING:
                raise InvalidAsk(f"`{self._path}{name}` is missing; it must be {words}.")
            return default
        if not isinstance(value, kind):
            raise InvalidAsk(f"`{self._path}{name}` must be {words}.")
        return value


def _characters(text: str) -> str:
    """The text as it was typed, line endings too; half a surrogate pair, which is no character, is U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
