"""How an engine was started, and what of that a running one can change. Light: the language server compares them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Literal

from lsp_server import settings
from lsp_server.settings import Settings


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings of the same names, as the engine has them."""

    context_length: int = 0
    quantization: Literal["auto", "8", "4", "16"] = "auto"
    threads: int = 0
    idle_minutes: float = 30.0
    infilling: Literal["auto", "on", "off"] = "auto"
    chat_format: Literal["auto", "inst", "source-step", "template"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def of(cls, given: Settings) -> Options:
        """What these settings want of an engine."""
        return cls(**{field.name: getattr(given, field.name) for field in dataclasses.fields(cls)})

    def words(self) -> list[str]:
        """The words of a command line that start an engine with them."""
        return [
            word
            for name, value in dataclasses.asdict(self).items()
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]


# What a window that joins an engine is told of: all else is either its own matter or the engine's alone.
_TOLD = ("context_length", "quantization", "threads", "idle_minutes")


def different(has: Mapping[str, object], wanted: Options, alike: Collection[str] = ()) -> list[str]:
    """The names of what an engine with the options `has`, as it says them itself, does otherwise than `wanted`.
    `alike`: the values of `quantization` that all come to the bits that it has."""
    names = [name for name, value in dataclasses.asdict(wanted).items() if has.get(name, value) != value]
    return [name for name in names if name != "quantization" or wanted.quantization not in alike]


def note(has: Mapping[str, object], wanted: Options, alike: Collection[str] = ()) -> str:
    """One sentence on these, as far as a window is told of them; "" where that is nothing."""
    others = [
        f"{settings.camel(name)} {has[name]} instead of {getattr(wanted, name)}"
        for name in different(has, wanted, alike)
        if name in _TOLD
    ]
    if not others:
        return ""
    return (
        f"The engine was started by another window or command, with {', '.join(others)}; `codellama-ls stop`, or a "
        "change of the setting in an editor, has it start anew."
    )


# Memory is set aside for the context, and weights are rounded, when the model is loaded; all else can change while an
# engine runs.
FIXED = ("context_length", "quantization")
