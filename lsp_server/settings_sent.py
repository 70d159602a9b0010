"""Settings as editors send them: read with what is wrong with them told, whatever that is."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from lsp_server.errors import UserError
from lsp_server.settings import SECTION, Settings, camel

_PREFIX = SECTION + "."
_TOKEN = "engineToken"
_FIELDS = {camel(field.name): field for field in dataclasses.fields(Settings)}


class SettingsError(UserError):
    """A setting has the wrong name, type or value; the message names it and says what it may be."""


def section_in(sent: Any, *, alone: bool = False) -> Any:
    """The settings of SECTION in what an editor sent; None where there are none.

    Editors send them under the name of the section, as an object or with dots, or both; some with those of all other
    programs beside them, which are not looked at; and some as they are. `alone`: they were asked for, so that what is
    sent are they in any case.
    """
    if not isinstance(sent, Mapping):
        return sent
    texts = {key: value for key, value in sent.items() if isinstance(key, str)}
    dotted = {key[len(_PREFIX) :]: value for key, value in texts.items() if key.startswith(_PREFIX)}
    if SECTION in texts:
        nested = texts[SECTION]
        if nested is not None and not isinstance(nested, Mapping):
            return dotted or nested
        return {**section_in(nested or {}, alone=True), **dotted}
    plain = {key: value for key, value in texts.items() if not key.startswith(_PREFIX)}
    if not alone and not any(_meant(key, 0.85) and not isinstance(value, Mapping) for key, value in plain.items()):
        return dotted or None
    return {**plain, **dotted}


def read(values: Mapping[str, Any] | None, base: Settings | None = None) -> tuple[Settings, list[str]]:
    """Settings from an editor's JSON, over `base` (default: the defaults).

    Returns the settings and one sentence for each value that could not be used; such a value keeps the one of `base`,
    so that a slip in one setting never takes the others away.
    """
    if values is not None and not isinstance(values, Mapping):
        said = f"The settings under `{SECTION}` must be an object, not {_kind(values)}; they are ignored."
        return base or Settings(), [said]
    new, problems = read_each(values or {}, base)
    return new, [*problems.values()]


def read_each(values: Mapping[str, Any], base: Settings | None = None) -> tuple[Settings, dict[str, str]]:
    """As `read`, with each sentence under the name of the setting that it is about."""
    current = base or Settings()
    hints = typing.get_type_hints(Settings)
    changes: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for key, value in values.items():
        field = _FIELDS.get(key)
        if field is None:
            meant = _meant(key)
            then = f"did you mean `{SECTION}.{meant}`?" if meant else "it is ignored."
            problems[key] = f"There is no setting `{SECTION}.{key:.60}`; {then}"
            continue
        if value is None:  # editors send null for "not set"
            continue
        try:
            changes[field.name] = _checked(key, value, hints[field.name], field.metadata)
        except SettingsError as error:
            stays = "as it was" if field.metadata["secret"] else f"at {_short(getattr(current, field.name))}"
            problems[key] = f"{error} It stays {stays}."
    new = dataclasses.replace(current, **changes)
    if "engine_token" not in changes and _moves(current, new):
        new = dataclasses.replace(new, engine_token="")
        name = "engineUrl" if new.engine_url or not new.chat_engine_url else "chatEngineUrl"
        problems[_TOKEN] = (
            f"`{SECTION}.{_TOKEN}` was set along with another address and is not sent to the one that "
            f"`{SECTION}.{name}` names now; set both in one place."
        )
    return new, problems


def _moves(current: Settings, new: Settings) -> bool:
    """Whether the token of `current` would go to an address that came without it. One that names its address does not
    go anywhere else."""
    token = current.engine_token
    return bool(token) and "://" not in token and new.token_url != current.token_url


def _meant(key: str, likeness: float = 0.7) -> str:
    """The setting that has this name or one much like it; "" for none."""
    if len(key) > 60:
        return ""
    small = {name.lower(): name for name in _FIELDS}
    letters = "".join(char for char in key.lower() if char.isalnum())
    import difflib  # an editor waits for `initialize`, not for the settings that are wrong

    return "".join(small[name] for name in difflib.get_close_matches(letters, small, n=1, cutoff=likeness))


def _checked(key: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    origin = typing.get_origin(hint)
    given, shown = "something else" if metadata["secret"] else _kind(value), _short(value)
    if origin is Literal:
        allowed = typing.get_args(hint)
        value = str(value) if type(value) is int else value  # who writes 4 means "4"
        if value not in allowed:
            raise SettingsError(f"`{SECTION}.{key}` must be one of {', '.join(allowed)}, not {shown}.")
        return value
    if origin is list:
        of_texts = typing.get_args(hint) == (str,)
        # What is wrong with one object is told by whoever uses it, so that the others stay.
        if not isinstance(value, list) or (of_texts and not all(isinstance(item, str) for item in value)):
            kind = "texts" if of_texts else "objects"
            raise SettingsError(f"`{SECTION}.{key}` must be a list of {kind}, not {given}.")
        return value
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # some editors know only one kind of number
    wanted: type | types.UnionType = (int, float) if hint is float else hint  # type: ignore[assignment]
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        name = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[hint]
        raise SettingsError(f"`{SECTION}.{key}` must be {name}, not {given}.")
    low, high = metadata["minimum"], metadata["maximum"]
    if (low is not None and not value >= low) or (high is not None and not value <= high):  # nor is NaN
        span = f"at least {low}" if high is None else f"from {low} to {high}"
        raise SettingsError(f"`{SECTION}.{key}` must be {span}, not {shown}.")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {_short(value)}"
    if isinstance(value, str):
        return f"the text {_short(value)}"
    return {list: "a list", dict: "an object", type(None): "nothing"}.get(type(value), type(value).__name__)


def _short(value: Any) -> str:
    shown = repr(value) if not isinstance(value, bool) else str(value).lower()
    return shown if len(shown) <= 60 else shown[:60] + "…"
