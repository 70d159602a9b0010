"""Ways of asking that are held against each other: each source of context and each filter, switched on or off.

What there is to switch is found, not listed: every setting that is true or false, or a number of tokens, and every
filter of `completion.filters.FILTERS`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import typing
from collections.abc import Iterator, Sequence

from lsp_server import settings_sent
from lsp_server.completion import filters
from lsp_server.errors import UserError
from lsp_server.settings import Settings, camel

# How the settings of what other files add begin, and what they are called together.
_CONTEXT, CONTEXT = "related_", "context"
# What decides whether anything is asked, and when, is no way of asking.
_NOT_SWITCHED = ("enabled", "prefetch", "completion_menu")


class NoSwitch(UserError):
    """There is nothing of a name to switch; the message says what there is."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """A way of asking: `settings`, and the names of the filters that are left out."""

    name: str
    settings: Settings
    without: tuple[str, ...] = ()

    @contextlib.contextmanager
    def chosen(self) -> Iterator[Settings]:
        """Its settings; as long as the context lasts, the filters are those of the variant."""
        every = _every_filter()
        if not self.without:
            yield self.settings
            return
        setattr(filters, "FILTERS", tuple(each for each in every if _name(each) not in self.without))  # noqa: B010
        try:
            yield self.settings
        finally:
            setattr(filters, "FILTERS", every)  # noqa: B010


def switches() -> list[str]:
    """The names of the settings that can be switched."""
    hints = typing.get_type_hints(Settings)
    names = [field.name for field in dataclasses.fields(Settings) if field.name not in _NOT_SWITCHED]
    return [camel(name) for name in names if hints[name] is bool]


def filter_names() -> list[str]:
    """The names of the filters that can be left out, in their order."""
    return list(dict.fromkeys(map(_name, _every_filter())))


def without_context(base: Settings) -> Variant | None:
    """`base` without what other files and edits add to a prompt; None where nothing does."""
    hints = typing.get_type_hints(Settings)
    off = {
        field.name: hints[field.name](0)
        for field in dataclasses.fields(Settings)
        if field.name.startswith(_CONTEXT) and hints[field.name] in (bool, int)
    }
    return Variant(f"without {CONTEXT}", dataclasses.replace(base, **off)) if off else None


def changed(base: Settings, name: str, *, on: bool) -> Variant:
    """`base` with or without what has this name: a switch, a filter, `SETTING=VALUE`, or all context at once. Raises
    NoSwitch."""
    said = f"{'with' if on else 'without'} {name}"
    if name == CONTEXT and not on and (variant := without_context(base)):
        return variant
    key, equals, value = name.partition("=")
    if equals and on:
        return Variant(said, _set(base, key, value))
    if key in switches():
        return Variant(said, _set(base, key, "true" if on else "false"))
    if key in filter_names() and not on:
        return Variant(said, base, (key,))
    known = [*switches(), *([] if on else filter_names())]
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none now'}."
    also = ", or with a value, as in windowTokens=512" if on else ""
    raise NoSwitch(f"There is nothing called {key} to ask {said.partition(' ')[0]}; {hint[:-1]}{also}{hint[-1]}")


def _set(base: Settings, key: str, value: str) -> Settings:
    """`base` with another value of a setting, which is JSON or a text. Raises NoSwitch."""
    try:
        read = json.loads(value)
    except ValueError:
        read = value
    settings, problems = settings_sent.read({key: read}, base)
    if problems:
        raise NoSwitch(problems[0])
    return settings


def _every_filter() -> Sequence[object]:
    return tuple(getattr(filters, "FILTERS", ()))


def _name(each: object) -> str:
    """What a filter is called: the name of its function."""
    return str(getattr(getattr(each, "apply", each), "__name__", each))
