"""What the engine is at the moment: the process that loads the model writes it, the HTTP server shows it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lsp_server.engine.options import Options

if TYPE_CHECKING:
    from lsp_server.engine.generating.scheduler import Scheduler


class TextDecoder(Protocol):
    """Turns ids into text as they come; what is not a whole character yet is held back."""

    def push(self, ids: Sequence[int]) -> str: ...

    def flush(self) -> str: ...


class TextCodec(Protocol):
    """What the HTTP server needs of a tokenizer to serve those who send text. The engine proper never sees it."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def completion_stop_ids(self) -> Collection[int]: ...

    @property
    def dialog_stop_ids(self) -> Collection[int]: ...

    @property
    def dialog_bias(self) -> Mapping[int, float]: ...

    def completion_ids(self, text: str) -> list[int]: ...

    def dialog_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Raises UserError, with a sentence for the user, for a dialog that cannot be right."""

    def decoder(self) -> TextDecoder: ...


@dataclass(frozen=True)
class Extra:
    """A piece of other work that a program sends along: the name of its file, or "", and its text."""

    filename: str
    text: str


@dataclass(frozen=True)
class InfillPrompt:
    """What the model is asked for the text between two others.

    The last `heal` of `ids` count only as text: `pending`, which the answer begins with. `cut`: not all of what was
    sent has room in the context.
    """

    ids: list[int]
    stop_ids: Collection[int]
    heal: int = 0
    pending: str = ""
    cut: bool = False


class InfillMaker(Protocol):
    """How a program's request for the text between `prefix` and `suffix` becomes a prompt, as the editors' own do."""

    def __call__(
        self, prefix: str, suffix: str, extra: Sequence[Extra], *, context_length: int, max_tokens: int
    ) -> InfillPrompt:
        """`extra`: the most useful last. Raises UserError where the model does not infill."""


@dataclass
class EngineState:
    """Ready means that `scheduler` is there. Without a `codec` only token ids are served, without `infill` nothing is
    infilled but what comes as ids. `alike`: the values of `quantization` that come to the bits it has. `by_settings`:
    its options are settings, so that others may change them once nobody uses it. `change` has the engine go on with
    other options, which differ in what can be changed; it may take a while. Raises UserError."""

    model: str  # the name that clients use
    folder: str = ""  # of the checkpoint
    version: str = ""  # of the program
    status: Literal["loading", "ready", "failed"] = "loading"
    progress: float = 0.0  # of loading, 0 .. 1
    message: str = ""  # what is being done, or why it failed
    context_length: int | None = None
    device: str = ""
    plan: str = ""  # where the weights lie, for people
    scheduler: Scheduler | None = None
    codec: TextCodec | None = None
    infill: InfillMaker | None = None
    longest_token: int = 16  # bytes of text, at most, that one token stands for
    options: Options = field(default_factory=Options)
    alike: Collection[str] = ()
    by_settings: bool = False
    gives_way: bool = False  # once it is ready, to all else that computes here
    change: Callable[[Options], None] = lambda options: None
    reserved: Callable[[], Mapping[str, int]] = dict  # bytes of each device that it will still take
    pid: int = field(default_factory=os.getpid)
    started: float = field(default_factory=time.monotonic)
    users: dict[int, float] = field(default_factory=dict)  # when each process of this user asked last, by its id

    def health(self) -> dict[str, Any]:
        """The body of `GET /health`. A model that keeps failing counts as failed."""
        broken = self.scheduler.broken if self.scheduler is not None else None
        pace = self.scheduler.pace if self.scheduler is not None else None
        return {
            "status": "failed" if broken else self.status,
            "progress": self.progress,
            "message": broken or self.message,
            "model": self.model,
            "path": self.folder,
            "version": self.version,
            "pid": self.pid,
            "context_length": self.context_length,
            "device": self.device,
            "plan": self.plan,
            **(pace.told() if pace is not None else {"prefill_tokens_per_second": None}),
            "prefill_by_pass": pace.by_size if pace is not None else {},
            "options": asdict(self.options),
            "quantizations": list(self.alike),
            "by_settings": self.by_settings,
            "users": sorted(self.users),
            "idle_seconds": self.scheduler.idle_seconds if self.scheduler is not None else 0.0,
        }
