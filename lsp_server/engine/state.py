"""What the engine is at the moment: the process that loads the model writes it, the HTTP server shows it."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from lsp_server.engine.scheduler import Scheduler


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
        """Raises ValueError, with a sentence for the user, for a dialog that cannot be right."""

    def decoder(self) -> TextDecoder: ...


@dataclass
class EngineState:
    """Ready means that `scheduler` is there. Without a `codec` only token ids are served."""

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
    pid: int = field(default_factory=os.getpid)
    started: float = field(default_factory=time.monotonic)

    def health(self) -> dict[str, Any]:
        """The body of `GET /health`. A model that keeps failing counts as failed."""
        broken = self.scheduler.broken if self.scheduler is not None else None
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
            "idle_seconds": self.scheduler.idle_seconds if self.scheduler is not None else 0.0,
        }
