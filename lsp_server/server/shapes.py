"""What a message of the editor's may hold: JSON, and what each method takes, in the shapes of the library."""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

import attrs
from lsprotocol import types
from pygls.protocol import JsonRPCNotification, JsonRPCRequestMessage, JsonRPCResponseMessage, default_converter

# The largest `uinteger` of the protocol.
MOST = 2**31 - 1
# Lists and objects within each other; what is nested deeper comes from no editor.
MOST_DEPTH = 200


def message_in(body: bytes) -> Any:
    """The JSON of a body. Raises ValueError, RecursionError."""
    # Text that is no UTF-8 comes from buffers that hold other bytes; the message around it is sound.
    return json.loads(body.decode("utf-8", "replace"), parse_constant=_no_number, parse_float=_finite)


def move_inside(value: Any) -> None:
    """Bring every position in a message into the range of the protocol: before the text is its beginning, behind it its
    end. Raises ValueError where it is nested so deeply that it cannot be handed on."""
    waiting = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise ValueError("nested too deeply")
        if isinstance(each, list):
            waiting.extend((inner, depth + 1) for inner in each if isinstance(inner, (dict, list)))
        elif isinstance(each, dict):
            if "line" in each and "character" in each:
                for name in ("line", "character"):
                    number = each[name]
                    if isinstance(number, (int, float)) and not isinstance(number, bool):
                        each[name] = int(min(max(number, 0), MOST))
            waiting.extend((inner, depth + 1) for inner in each.values() if isinstance(inner, (dict, list)))


def why(error: BaseException) -> str:
    """The innermost reason of a converter's error, without what was sent."""
    inner = getattr(error, "exceptions", ()) or ()
    while inner:
        error = inner[0]
        inner = getattr(error, "exceptions", ()) or ()
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return type(error).__name__


def converter() -> Any:
    """The library's converter, with the parameters and results of unknown methods as plain JSON, not as objects that it
    makes classes for; and a text is a text, where the library would make one of anything: null would be `None`."""
    made = default_converter()
    made.register_structure_hook(str, _text)
    made.register_structure_hook(int, _whole_number)
    made.register_structure_hook(bool, _yes_or_no)  # else it would count as a number, which it is for Python
    for words in (types.LanguageKind, types.CodeActionKind):
        made.register_structure_hook(words | str, lambda given, _: _text(given, str))
    made.register_structure_hook(int | str, lambda given, _: _name(given))
    made.register_structure_hook(int | str | None, lambda given, _: None if given is None else _name(given))
    for kind in (JsonRPCRequestMessage, JsonRPCResponseMessage, JsonRPCNotification):
        names = [field.name for field in attrs.fields(kind)]
        made.register_structure_hook(
            kind, lambda given, cls, names=tuple(names): cls(**{name: given.get(name) for name in names})
        )
    return made


@functools.cache
def lenient() -> Any:
    """The library's converter as it is."""
    return default_converter()


def _text(given: Any, kind: type[str]) -> str:
    if not isinstance(given, str):
        raise TypeError("no text")
    return given if kind is str else kind(given)  # an enumeration, which raises for what it does not have


def _whole_number(given: Any, kind: type[int]) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or given != int(given):
        raise TypeError("no whole number")
    return kind(given)


def _yes_or_no(given: Any, kind: type[bool]) -> bool:
    if not isinstance(given, bool):
        raise TypeError("neither true nor false")
    return given


def _name(given: Any) -> int | str:
    """An id, a token, a code."""
    return given if isinstance(given, str) else _whole_number(given, int)


def _finite(number: str) -> float:
    """A number that is too large for this machine is its largest: as JSON, there is no infinity to answer with."""
    most = sys.float_info.max
    return min(max(float(number), -most), most)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
