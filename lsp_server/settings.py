"""Every setting, once, with its documentation.

An editor sends them as JSON, by `initializationOptions` or `workspace/configuration` (section `codellama`), under the
camelCase form of the names here: `max_tokens` is `codellama.maxTokens`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

SECTION = "codellama"


def _setting(default: Any, doc: str, *, minimum: float | None = None, maximum: float | None = None) -> Any:
    """A dataclass field with its documentation and bounds; a list or dict default is copied for each instance."""
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user can set. Field metadata holds the documentation that editors show."""

    enabled: bool = _setting(True, "Whether suggestions are shown at all.")
    disabled_languages: list[str] = _setting([], "Language ids in which no suggestion is shown, e.g. `markdown`.")
    model: str = _setting(
        "starter",
        "The model: a hub id such as `codellama/CodeLlama-7b-hf`, the folder of a checkpoint, or `starter`, a small "
        "model that runs on a laptop.",
    )
    engine_url: str = _setting(
        "",
        "The URL of an OpenAI-compatible server, such as vLLM, that serves the model, e.g. `http://gpu-box:8000`. "
        "Empty: the model runs on this machine. Your code is sent there.",
    )
    engine_token: str = _setting("", "The bearer token that the server at `engineUrl` asks for.")
    tokenizer: str = _setting(
        "",
        "With `engineUrl`: the checkpoint folder or hub id that has the served model's tokenizer. Empty: that of "
        "`model`.",
    )
    infilling: Literal["auto", "on", "off"] = _setting(
        "auto",
        "Whether to infill (use the code after the cursor). `auto`: where the model is known to have been trained for "
        "it. `on`: wherever its vocabulary has the tokens, which includes 70B, on which Meta's documents disagree.",
    )
    layout: Literal["auto", "psm", "spm"] = _setting(
        "auto",
        "Order of an infilling prompt: `psm` prefix first, `spm` suffix first. `auto`: suffix first; with `engineUrl` "
        "not in the middle of a word, which such a server cannot complete well that way.",
    )
    chat_format: Literal["auto", "inst", "source-step", "template"] = _setting(
        "auto",
        "The chat format: `inst` ([INST], 7B to 34B), `source-step` (70B), `template` (the checkpoint's own). "
        "`auto`: read from the checkpoint.",
    )
    max_tokens: int = _setting(64, "Most tokens in one suggestion.", minimum=1, maximum=1024)
    multiline: Literal["auto", "always", "never"] = _setting(
        "auto",
        "Whether a suggestion may have several lines. `auto`: on an empty line or after one that opens a block.",
    )
    window_tokens: int = _setting(
        1024, "Most tokens of the buffer that are sent around the cursor.", minimum=64, maximum=16384
    )
    debounce_ms: int = _setting(
        0,
        "How long to wait, in milliseconds, for another keystroke before the model is asked. A suggestion that is "
        "known already never waits.",
        minimum=0,
        maximum=2000,
    )
    time_budget_ms: int = _setting(
        500,
        "After this many milliseconds a suggestion of several lines is shown with the lines it has. 0: no limit.",
        minimum=0,
        maximum=60000,
    )
    prefetch: bool = _setting(
        True,
        "While you read a suggestion, compute what would come after it; and where the cursor rests, what the next key "
        "will want. Not with `engineUrl`: others use that server.",
    )
    completion_menu: bool = _setting(
        False,
        "Also offer the suggestion in the ordinary completion menu, for editors without inline completion.",
    )
    context_length: int = _setting(
        0,
        "Tokens of context the engine makes room for, per request. 0: what the model was trained for, at most 8192, "
        "less where memory is short.",
        minimum=0,
        maximum=131072,
    )
    idle_minutes: float = _setting(
        30, "Minutes without a request after which the engine ends and frees its memory. 0: never.", minimum=0
    )
    threads: int = _setting(0, "Processor threads of the engine. 0: one for each core.", minimum=0, maximum=1024)
    system_prompt: str = _setting(
        "You are a helpful and honest code assistant.", "What chat tells the model about its role. Empty: nothing."
    )
    actions: list[dict[str, Any]] = _setting(
        [],
        "Your own code actions: each with a `title` and an `instruction`, and if need be `appliesTo` (a list of "
        "`function`, `class`, `selection`), `languages` (a list of language ids) and `result` (`edit` or `answer`).",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "How much is logged. The text of your buffers never is."
    )


class SettingsError(ValueError):
    """A setting has the wrong name, type or value; the message names it and says what it may be."""


def read(values: Mapping[str, Any] | None, base: Settings | None = None) -> tuple[Settings, list[str]]:
    """Settings from an editor's JSON, over `base` (default: the defaults).

    Returns the settings and one sentence for each value that could not be used; such a value keeps the one of `base`,
    so that a slip in one setting never takes the others away.
    """
    current = base or Settings()
    if values is None:
        return current, []
    if not isinstance(values, Mapping):
        return current, [f"The settings under `{SECTION}` must be an object, not {_kind(values)}; they are ignored."]
    fields = {camel(f.name): f for f in dataclasses.fields(Settings)}
    hints = typing.get_type_hints(Settings)
    changes: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in values.items():
        field = fields.get(key)
        if field is None:
            problems.append(f"There is no setting `{SECTION}.{key}`; it is ignored.")
            continue
        if value is None:  # editors send null for "not set"
            continue
        try:
            changes[field.name] = _checked(key, value, hints[field.name], field.metadata)
        except SettingsError as error:
            problems.append(f"{error} It stays at {getattr(current, field.name)!r}.")
    return dataclasses.replace(current, **changes), problems


def camel(name: str) -> str:
    """`max_tokens` -> `maxTokens`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _checked(key: str, value: Any, hint: Any, bounds: Mapping[str, Any]) -> Any:
    origin = typing.get_origin(hint)
    if origin is Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            raise SettingsError(f"`{SECTION}.{key}` must be one of {', '.join(allowed)}, not {value!r}.")
        return value
    if origin is list:
        of_texts = typing.get_args(hint) == (str,)
        # What is wrong with one object is told by whoever uses it, so that the others stay.
        if not isinstance(value, list) or (of_texts and not all(isinstance(item, str) for item in value)):
            kind = "texts" if of_texts else "objects"
            raise SettingsError(f"`{SECTION}.{key}` must be a list of {kind}, not {_kind(value)}.")
        return value
    wanted: type | types.UnionType = (int, float) if hint is float else hint  # type: ignore[assignment]
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        name = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[hint]
        raise SettingsError(f"`{SECTION}.{key}` must be {name}, not {_kind(value)}.")
    low, high = bounds.get("minimum"), bounds.get("maximum")
    if (low is not None and value < low) or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"from {low} to {high}"
        raise SettingsError(f"`{SECTION}.{key}` must be {span}, not {value}.")
    return value


def _kind(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "the text",
        list: "a list",
        dict: "an object",
    }
    kind = names.get(type(value), type(value).__name__)
    return f"{kind} {value!r}" if isinstance(value, (bool, int, float, str)) else kind
