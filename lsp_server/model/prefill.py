"""What the user is told while a model reads a prompt."""

from __future__ import annotations

from typing import Any

from lsp_server.engine.generating.request import Prefill
from lsp_server.engine.generating.speed import Speed


def told(prefill: Prefill, speed: Speed | None, seconds: float) -> dict[str, Any]:
    """What an editor is told of a prompt that has been read for so many seconds: `percent` of what there is to read,
    and a sentence."""
    wanted, done = prefill.total - prefill.cached, prefill.tokens - prefill.cached
    percent = 100 * done // wanted if wanted > 0 else 100
    left = 0.0
    if speed is not None:
        left = speed.seconds(prefill.tokens, prefill.total)
        if done > 0:  # others may use the machine too
            left *= seconds / speed.seconds(prefill.cached, prefill.tokens)
    parts = [f"Reading {percent}% of {wanted:,} tokens{f', about {left:.0f} s more' if left > 1 else ''}."]
    if prefill.others:
        what = "another answer is" if prefill.others == 1 else f"{prefill.others} other answers are"
        parts.append(f"The model is shared: {what} being written.")
    return {"percent": percent, "message": " ".join(parts)}
