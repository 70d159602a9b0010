"""What the model is asked for each action: a dialog, or an infilling prompt, that fits its context.

The words of a dialog are those of `wording`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from lsp_server.actions import commit
from lsp_server.actions.indent import unit_of
from lsp_server.actions.site import Task, body_rows
from lsp_server.actions.wording import Context, context_of, messages
from lsp_server.completion.prompt import tail
from lsp_server.context import window
from lsp_server.errors import UserError

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer

ANSWER_TOKENS = 1024
LEAST_ANSWER_TOKENS = 192
MORE_TOKENS = 384
SLACK_TOKENS = 16
INFILL_TOKENS = 1024
COMMIT_TOKENS, COMMIT_DIFF_TOKENS = 256, 6000


class TooLong(UserError):
    """The code and an answer to it do not fit the model's context; the message says so in one sentence."""


@dataclasses.dataclass(frozen=True)
class ActionPrompt:
    """What the model is asked. `kind`: a dialog, or infilling with its layout. `left_out`: what did not fit, as one
    sentence. `heal`, `pending`: as in completion.prompt.Prompt. `begun`: how a body begins, which the model
    is given."""

    kind: Literal["chat", "psm", "spm"]
    ids: list[int]
    stop_ids: tuple[int, ...]
    max_tokens: int
    messages: tuple[dict[str, str], ...] = ()
    left_out: str = ""
    heal: int = 0
    pending: str = ""
    begun: str = ""


def build(
    task: Task, tokenizer: CodeLlamaTokenizer, context_length: int, *, layout: str = "auto", healing: bool = True
) -> ActionPrompt:
    """The prompt of a task. `healing`: whether the engine can choose the last tokens anew. Raises TooLong, and
    DialogError where the model has no chat format."""
    if task.action.needs == "either" and tokenizer.abilities.infilling:
        prompt = _infilling(task, tokenizer, context_length, layout, healing=healing)
        if prompt is not None:
            return prompt
    size = len(tokenizer.encode(task.code))
    least, most = _answer_tokens(task, size)
    whole = context_of(task)
    smaller = dataclasses.replace(whole, example="")
    for context in (whole, smaller, dataclasses.replace(smaller, imports=""), Context()):
        asked = messages(task, context)
        ids = tokenizer.dialog_ids(asked)
        if len(ids) + least + SLACK_TOKENS <= context_length:
            break
    else:
        raise TooLong(
            f"This code takes {len(ids)} tokens with the question, and its answer about {least}, but the model has "
            f"room for {context_length}; select less of it."
        )
    return ActionPrompt(
        "chat",
        ids,
        tokenizer.dialog_stop_ids,
        max(1, min(most, context_length - len(ids) - 1)),
        tuple(asked),
        "" if context == whole else "What stands around the code was left out, as it did not fit.",
    )


def _answer_tokens(task: Task, size: int) -> tuple[int, int]:
    """(least, most) tokens of an answer about a block of `size` tokens."""
    if task.action.result == "edit":
        # A rewritten block stays about as long, unless what is to be done to it is in the user's own words.
        more = (
            ANSWER_TOKENS if task.action.instruction or task.comment or "stub" in task.action.applies else MORE_TOKENS
        )
        return max(LEAST_ANSWER_TOKENS, size + 64), 2 * size + more
    if task.action.result == "tests" or task.action.id == "translate":
        return max(LEAST_ANSWER_TOKENS, size), 2 * size + ANSWER_TOKENS
    return LEAST_ANSWER_TOKENS, ANSWER_TOKENS


def _infilling(
    task: Task, tokenizer: CodeLlamaTokenizer, context_length: int, layout: str, *, healing: bool
) -> ActionPrompt | None:
    """The prompt for a body by infilling; None where the body has no lines of its own."""
    rows = body_rows(task)
    if rows is None:
        return None
    first, after = rows
    lines = [*task.lines[:first], *task.lines[after:]]
    answer = min(INFILL_TOKENS, context_length // 2)
    start = "".join(task.lines[task.block.first_line : first])
    budget = context_length - answer - SLACK_TOKENS
    if len(tokenizer.encode(start)) > budget:
        raise TooLong(f"The head of this function takes more tokens than the {context_length} the model has room for.")
    part = window.fit([*lines, ""], first, 0, budget, tokenizer, with_suffix=True)
    if layout not in tokenizer.abilities.layouts:
        # The text before the body ends with a whole line, or is healed: there suffix first is the better order.
        layout = "spm" if "spm" in tokenizer.abilities.layouts else "psm"
    chosen: Literal["psm", "spm"] = "spm" if layout == "spm" else "psm"
    # Behind its indentation a body is surer to begin with code. To cut the text there takes healing.
    begun = _indent_of_body(task, *rows) if healing and chosen == "spm" else ""
    ids = tokenizer.infill_ids(part.prefix + begun, part.suffix, chosen)
    heal, pending = tail(tokenizer, ids, part.prefix + begun) if begun else (0, "")
    return ActionPrompt(chosen, ids, tokenizer.infill_stop_ids, answer, heal=heal, pending=pending, begun=begun)


def _indent_of_body(task: Task, first: int, after: int) -> str:
    """That of what stands where the body is to go, or of the documentation above, or a step more than the header's."""
    docs = task.block.docs
    above = (docs[0],) if docs is not None and docs[0] > task.block.header_line else ()
    for row in (*range(first, after), *above):
        line: str = task.lines[row]
        if line.strip():
            return line[: len(line) - len(line.lstrip())]
    return task.block.indent + (unit_of(task.lines) or "    ")


def commit_prompt(tokenizer: CodeLlamaTokenizer, context_length: int, change: commit.Staged) -> ActionPrompt:
    """The prompt for the message of a staged change, with as much of the change as fits. Raises DialogError."""
    budget = max(256, context_length - COMMIT_TOKENS - SLACK_TOKENS)
    asked = commit.messages(change, min(budget, COMMIT_DIFF_TOKENS), lambda text: len(tokenizer.encode_raw(text)))
    ids = tokenizer.dialog_ids(asked)
    room = max(1, min(COMMIT_TOKENS, context_length - len(ids) - 1))
    return ActionPrompt("chat", ids, tokenizer.dialog_stop_ids, room, tuple(asked))
