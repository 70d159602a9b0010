"""A conversation as Markdown."""

from __future__ import annotations

import time

from lsp_server.chat.turns import Conversation, Turn


def markdown(conversation: Conversation) -> str:
    """The whole conversation: what was attached, what was said, and what each answer cost."""
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(conversation.created))
    parts = [f"# {conversation.title}", f"*{began}*"]
    for turn in conversation.turns:
        parts.append("## You" if turn.role == "user" else "## Code Llama")
        parts += [text for attachment in turn.attachments if (text := attachment.rendered())]
        parts.append(turn.content.strip() or "*(nothing)*")
        if turn.role == "assistant":
            parts += [f"*{ended}*"] if (ended := _ended(turn)) else []
    return "\n\n".join(parts) + "\n"


def cost(usage: dict[str, object]) -> str:
    """What an answer cost, in words."""
    words = f"{usage.get('promptTokens')} prompt tokens ({usage.get('reusedTokens')} reused)"
    words += f", {usage.get('generatedTokens')} generated"
    if usage.get("firstTokenMs") is not None:
        words += f", the first after {usage['firstTokenMs']} ms"
    if usage.get("tokensPerSecond"):
        words += f", {usage['tokensPerSecond']} tokens/s"
    return words


def _ended(turn: Turn) -> str:
    ends = {
        "stop": "",
        "length": "Ended at the most tokens an answer may have",
        "repeats": "Ended as it began to repeat itself",
        "stopped": "Stopped",
        "failed": "Broken off",
    }
    end = ends.get(turn.finished, "Broken off")
    said = [text for text in (end, cost(turn.usage) if turn.usage else "") if text]
    return ". ".join(said) + "." if said else ""
