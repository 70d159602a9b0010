"""Dialogs: the rules every model has for them, and Meta's two formats, as in llama/generation.py.

Source: facebookresearch/codellama, llama/generation.py: chat_completion and dialog_prompt_tokens.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .errors import DialogError

ChatFormat = Literal["inst", "source-step", "template"]
Encode = Callable[[str], list[int]]

TURN_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|end_of_turn|>",
    "<end_of_turn>",
    "<|end|>",
    "<|EOT|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<｜end▁of▁sentence｜>",
)
"""Tokens that end an answer in the chat templates of other models."""


@dataclass(frozen=True)
class Message:
    """One message. `destination` is of the 70B format: whom the message is for."""

    role: str
    content: str
    destination: str | None = None


def checked_turns(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The messages as turns: at most one system turn, first; then user and assistant in turn, the last the user's.

    Raises DialogError naming the rule that is broken. Meta's code asserts the same; it is checked for every format,
    because many templates let a wrong dialog through.
    """
    if not messages:
        raise DialogError("The dialog is empty; it needs at least one message of the user.")
    turns = [_turn(number, message) for number, message in enumerate(messages, 1)]
    talk = turns[1:] if turns[0].role == "system" else turns
    if not talk:
        raise DialogError("The dialog has only a system message; it needs a message of the user.")
    for number, turn in enumerate(talk, 1 + len(turns) - len(talk)):
        if turn.role == "system":
            raise DialogError(f"Message {number} is a system message; only the first message of a dialog may be one.")
    first = len(turns) - len(talk) + 1
    for at, turn in enumerate(talk):
        wanted = "assistant" if at % 2 else "user"
        if turn.role != wanted:
            raise DialogError(
                f"Message {first + at} is by the {turn.role} where the {wanted} should speak; "
                "user and assistant take turns, the user first."
            )
    if talk[-1].role != "user":
        raise DialogError("The last message of a dialog must be the user's.")
    return turns


def _turn(number: int, message: Mapping[str, Any]) -> Message:
    if not isinstance(message, Mapping):
        raise DialogError(f"Message {number} must be an object with a role and a content.")
    role, content, destination = message.get("role"), message.get("content"), message.get("destination")
    if role not in ("system", "user", "assistant"):
        raise DialogError(
            f"Message {number} has the unknown role {reprlib.repr(role)}; it may be system, user or assistant."
        )
    if not isinstance(content, str):
        raise DialogError(f"Message {number} must have a text as its content.")
    if destination is not None and not isinstance(destination, str):
        raise DialogError(f"Message {number} must have a text as its destination.")
    return Message(role, content, destination)


def inst_ids(turns: Sequence[Message], encode: Encode, bos: int | None, eos: int | None) -> list[int]:
    """The format of 7B, 13B and 34B: `[INST] question [/INST] answer`, each pair between BOS and EOS.

    `encode` adds the vocabulary's implicit space. A system turn becomes part of the first question.
    """
    start, end = ([] if bos is None else [bos]), ([] if eos is None else [eos])
    if turns[0].role == "system":
        system, first, *rest = turns
        turns = [Message("user", f"<<SYS>>\n{system.content}\n<</SYS>>\n\n{first.content}"), *rest]
    ids: list[int] = []
    for user, assistant in zip(turns[::2], turns[1::2], strict=False):
        ids += start + encode(f"[INST] {user.content.strip()} [/INST] {assistant.content.strip()} ") + end
    return ids + start + encode(f"[INST] {turns[-1].content.strip()} [/INST]")


def source_step_ids(turns: Sequence[Message], encode: Encode, bos: int | None, step: int) -> list[int]:
    """The format of 70B-Instruct: `Source: role`, the text, and the token `<step>` (id `step`) after each message.

    `encode` adds no implicit space, as that model's vocabulary has none.
    """
    if turns[0].role != "system":
        turns = [Message("system", ""), *turns]
    ids = [] if bos is None else [bos]
    for turn in turns:
        header = f" Source: {turn.role}"
        if turn.destination is not None:
            header += f"\nDestination: {turn.destination.strip()}"
        ids += encode(header)
        if turn.content:  # before stripping: white space alone still gives the two newlines, as in Meta's code
            ids += encode("\n\n " + turn.content.strip())
        ids.append(step)
    # Two calls, as in Meta's code: encoded at once, the newlines could merge with the header.
    return ids + encode(" Source: assistant\nDestination: user") + encode("\n\n ")
