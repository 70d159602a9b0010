"""From a task to the model's answer, and from that to edits, or to the reason why there are none."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Callable

from lsp_server.actions import added, body, commit, prompts
from lsp_server.actions.answer import NoCode, code_of
from lsp_server.actions.edits import Edit
from lsp_server.actions.place import Task
from lsp_server.actions.rewrite import rewrite
from lsp_server.context.buffer import split_lines
from lsp_server.model.access import Reached
from lsp_server.model.client import PRIORITY_ACTION

# Edits should be what the model is surest of; of an explanation the next best words are fine too.
EDIT_TEMPERATURE, ANSWER_TEMPERATURE = 0.0, 0.2


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a task. `answer`: the model's words. `edits`: for the block's file, or that of the tests.

    `problem`: why the edits are not to be applied unseen, in one sentence; `proposed`: what they would have made.
    """

    answer: str
    edits: tuple[Edit, ...] = ()
    problem: str = ""
    proposed: str = ""
    tokens: int = 0


async def run(
    model: Reached,
    task: Task,
    on_tokens: Callable[[int], None] = lambda tokens: None,
    *,
    layout: str = "auto",
) -> Outcome:
    """Ask the model and read its answer. Cancelling ends the work in the engine as well.

    Raises prompts.TooLong, DialogError, EngineLost, EngineRefused.
    """
    # In threads: of long texts these take a while, and what is typed meanwhile must not wait for it.
    prompt = await asyncio.to_thread(
        prompts.build, task, model.tokenizer, model.context_length, layout=layout, healing=model.heals
    )
    answer, finished, tokens = await generate(model, prompt, task, on_tokens)
    if task.action.result == "answer":
        cut = "" if finished else "\n\n*(The answer ends here because it became too long.)*"
        note = f"*{prompt.left_out}*\n\n" if prompt.left_out else ""
        return Outcome(note + answer.strip() + cut, tokens=tokens)
    made = await asyncio.to_thread(_made, task, prompt, answer, finished)
    return dataclasses.replace(made, tokens=tokens)


async def generate(
    model: Reached, prompt: prompts.Prompt, task: Task | None, on_tokens: Callable[[int], None]
) -> tuple[str, bool, int]:
    """(text, whether it is whole, tokens) of the model's answer to a prompt."""
    decoder = model.tokenizer.decoder()
    given, text, seen, tokens, finished = "", prompt.begun, 0, 0, False
    is_answer = task is not None and task.action.result == "answer"
    pieces = model.client.complete(
        prompt.ids,
        max_tokens=prompt.max_tokens,
        stop_ids=prompt.stop_ids,
        heal=prompt.heal,
        temperature=ANSWER_TEMPERATURE if is_answer else EDIT_TEMPERATURE,
        priority=PRIORITY_ACTION,
        logit_bias=model.tokenizer.dialog_bias if prompt.kind == "chat" else None,
    )
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            tokens += len(piece.ids) or bool(piece.text)
            given += decoder.push(piece.ids) if piece.ids else piece.text
            if piece.finish_reason:
                given += decoder.flush()
            text = prompt.begun + given[len(prompt.pending) :]
            on_tokens(tokens)
            if piece.finish_reason:
                finished = piece.finish_reason == "stop"
            elif task is not None and not is_answer and await _is_over(text, seen, prompt, task):
                finished = True
                break
            seen = len(text)
    return text, finished, tokens


async def commit_message(model: Reached, change: commit.Staged, on_tokens: Callable[[int], None]) -> str:
    """The message for a staged change; "" where the model wrote none. Raises DialogError, EngineLost, EngineRefused."""
    prompt = prompts.commit_prompt(model.tokenizer, model.context_length, change)
    text, _, _ = await generate(model, prompt, None, on_tokens)
    return commit.cleaned(text, commit.style_of(change.history))


async def _is_over(text: str, seen: int, prompt: prompts.Prompt, task: Task) -> bool:
    """Whether an answer has all that is needed of it, so that the rest need not be generated. `seen`: its characters
    that were looked at before."""
    if prompt.kind != "chat":
        if not body.has_new_end(task, text, seen):
            return False
        return await asyncio.to_thread(body.end_of, task, text) is not None
    if not text.endswith(("```", "```\n")):
        return False
    block = re.match(r"(?:.*\n)?```[^\n`]*\n(.*)\n```\s*$", text, re.DOTALL)
    return block is not None and bool(task.block.name) and task.block.name in block[1]


def _made(task: Task, prompt: prompts.Prompt, answer: str, finished: bool) -> Outcome:
    """The edits that an answer comes to."""
    if task.action.result == "tests":
        return _tests(task, answer, truncated=not finished)
    if prompt.kind != "chat":
        made = body.infilled(task, answer, truncated=not finished)
    elif "stub" in task.action.applies:
        made = body.answered(task, answer, truncated=not finished)
    else:
        made = rewrite(answer, not finished, task.text, task.block, task.language_id, task.action.keep)
    if made.problem is None:
        return Outcome(answer, made.edits, proposed=made.proposed)
    proposed = "" if made.problem.kind == "unchanged" else made.proposed
    return Outcome(answer, made.edits, made.problem.sentence, proposed)


def _tests(task: Task, answer: str, *, truncated: bool) -> Outcome:
    """The edits that add the tests of an answer to the file where they go, or that fill a new one."""
    assert task.tests is not None
    try:
        code = code_of(answer, task.language_id, truncated=truncated)
    except NoCode as error:
        return Outcome(answer, problem=str(error), proposed=answer)
    problem = "" if code.complete else "The answer ends in the middle of the code."
    lines = split_lines(task.existing) if task.tests.exists else [""]
    edits = [Edit(row, row, text) for row, text in added.added(lines, code.text, task.language_id)]
    return Outcome(answer, tuple(edits), problem, code.text)
