"""From a task to the model's answer, and from that to edits, or to the reason why there are none."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import time
from collections.abc import Awaitable, Callable

from lsp_server.actions import adding_tests, body, commit, prompts
from lsp_server.actions.answer import NoCode, code_of
from lsp_server.actions.draft import draft
from lsp_server.actions.rewrite import rewrite
from lsp_server.actions.site import Task
from lsp_server.completion.filtering.characters import readable
from lsp_server.context.buffer import split_lines
from lsp_server.context.edits import Edit
from lsp_server.engine.generating.request import Prefill
from lsp_server.model.access import Reached
from lsp_server.model.answering import REPEATS, Answer, Question
from lsp_server.model.client import PRIORITY_ACTION, Choice
from lsp_server.model.prefill import told

# What there is of an edit is shown at most so often.
DRAFT_SECONDS = 0.1
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


@dataclasses.dataclass(frozen=True)
class Following:
    """Who is told how far the prompt is read, in a few words; and of an answer that is being written, how many `tokens`
    there are, the next `words` of one to read, and the edits of one to apply so far."""

    reading: Callable[[str], None] = lambda words: None
    tokens: Callable[[int], None] = lambda tokens: None
    words: Callable[[str], None] = lambda words: None
    draft: Callable[[tuple[Edit, ...]], None] | None = None


NOBODY = Following()


async def run(model: Reached, task: Task, following: Following = NOBODY, *, layout: str = "auto") -> Outcome:
    """Ask the model and read its answer. Cancelling ends the work in the engine as well.

    Raises prompts.TooLong, DialogError, EngineLost, EngineRefused, ModelUnavailable.
    """
    # In threads: of long texts these take a while, and what is typed meanwhile must not wait for it.
    prompt = await asyncio.to_thread(
        prompts.build, task, model.tokenizer, model.context_length, layout=layout, healing=model.heals
    )
    written = _written_for(task, prompt, following)
    text, finished, answer = await generate(model, prompt, task, written, following.reading)
    repeats = answer.finish_reason == REPEATS
    if task.action.result == "answer":
        why = "the model began to repeat itself" if repeats else "it became too long"
        cut = "" if finished else f"\n\n*(The answer ends here because {why}.)*"
        note = f"*{prompt.left_out}*\n\n" if prompt.left_out else ""
        return Outcome(note + text.strip() + cut, tokens=answer.tokens)
    made = await asyncio.to_thread(_made, task, prompt, text, finished)
    if repeats and made.problem:
        sentence = "The model began to repeat itself, so its answer was ended."
        made = dataclasses.replace(made, edits=(), problem=sentence)
    return dataclasses.replace(made, tokens=answer.tokens)


Written = Callable[[str, int, int], Awaitable[None]]
"""Called with a text, of which so many characters were there before, and the tokens that it took."""


def _written_for(task: Task, prompt: prompts.ActionPrompt, following: Following) -> Written:
    """Tells of the answer to a prompt."""
    shown = 0.0
    show = following.draft if task.action.result == "edit" else None

    async def written(text: str, seen: int, tokens: int) -> None:
        nonlocal shown
        following.tokens(tokens)
        if task.action.result == "answer":
            following.words(text[seen:])
        elif show is None or "\n" not in text[seen:] or time.monotonic() - shown < DRAFT_SECONDS:
            return
        elif made := await asyncio.to_thread(draft, task, prompt, text):
            show(made)
            shown = time.monotonic()

    return written


async def generate(
    model: Reached, prompt: prompts.ActionPrompt, task: Task | None, written: Written, reading: Callable[[str], None]
) -> tuple[str, bool, Answer]:
    """(text, whether it is whole, the answer that it is of) for a prompt."""
    started = time.monotonic()

    def on_prefill(prefill: Prefill) -> None:
        reading(told(prefill, model.client.speed, time.monotonic() - started)["message"].removesuffix("."))

    text, seen, finished = prompt.begun, 0, False
    is_answer = task is not None and task.action.result == "answer"
    answer = Answer(
        model,
        Question(
            prompt.ids,
            prompt.stop_ids,
            prompt.max_tokens,
            heal=prompt.heal,
            pending=prompt.pending,
            choice=Choice(
                temperature=ANSWER_TEMPERATURE if is_answer else EDIT_TEMPERATURE,
                logit_bias=model.tokenizer.dialog_bias if prompt.kind == "chat" else None,
            ),
            priority=PRIORITY_ACTION,
            ends_circles=True,
            messages=prompt.messages,
            on_prefill=on_prefill,
        ),
    )
    async with contextlib.aclosing(answer.parts()) as parts:
        async for part in parts:
            text += "".join(part)
            await written(text, seen, answer.tokens)
            if answer.finish_reason:
                finished = answer.finish_reason not in ("length", REPEATS)  # servers have other names for an end
            elif task is not None and not is_answer and await _is_over(text, seen, prompt, task):
                finished = True
                break
            seen = len(text)
    return text, finished, answer


async def commit_message(model: Reached, change: commit.Staged, following: Following) -> str:
    """The message for a staged change; "" where the model wrote none.

    Raises DialogError, EngineLost, EngineRefused, ModelUnavailable.
    """
    prompt = await asyncio.to_thread(prompts.commit_prompt, model.tokenizer, model.context_length, change)

    async def written(text: str, seen: int, tokens: int) -> None:
        following.tokens(tokens)

    text, _, _ = await generate(model, prompt, None, written, following.reading)
    return commit.cleaned(text, commit.style_of(change.history))


async def _is_over(text: str, seen: int, prompt: prompts.ActionPrompt, task: Task) -> bool:
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


def _made(task: Task, prompt: prompts.ActionPrompt, answer: str, finished: bool) -> Outcome:
    """The edits that an answer comes to."""
    if task.action.result == "tests":
        return _tests(task, answer, truncated=not finished)
    if prompt.kind != "chat":
        made = body.infilled(task, readable(answer, task.text), truncated=not finished)
    elif "stub" in task.action.applies:
        made = body.answered(task, answer, truncated=not finished)
    else:
        made = rewrite(answer, not finished, task.text, task.block, task.language_id, task.action.keep)
    if made.problem is None:
        return Outcome(answer, made.edits, proposed=made.proposed)
    proposed = "" if made.problem.kind == "unchanged" else made.proposed
    # Whoever wants documentation has no use for other code, also where they would be asked first.
    spoilt = task.action.keep == "code"
    return Outcome(answer, () if spoilt else made.edits, made.problem.sentence, proposed)


def _tests(task: Task, answer: str, *, truncated: bool) -> Outcome:
    """The edits that add the tests of an answer to the file where they go, or that fill a new one."""
    assert task.tests is not None
    try:
        code = code_of(answer, task.language_id, truncated=truncated, known=task.text)
    except NoCode as error:
        return Outcome(answer, problem=str(error), proposed=answer)
    problem = "" if code.complete else "The answer ends in the middle of the code."
    lines = split_lines(task.existing) if task.tests.exists else [""]
    edits = [Edit(row, row, text) for row, text in adding_tests.insertions(lines, code.text, task.language_id)]
    return Outcome(answer, tuple(edits), problem, code.text)
