"""From what the user sends, and the conversation so far, to what the model is asked."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from lsp_server.chat import mentions
from lsp_server.chat.attachments import Wanted, all_attached, named_together, without_around
from lsp_server.chat.fitting import Exchange
from lsp_server.chat.turns import Attachment, Conversation, Turn
from lsp_server.context.languages import LANGUAGES, language
from lsp_server.context.workspace import Workspace
from lsp_server.errors import UserError
from lsp_server.settings import Settings

TITLE_CHARACTERS = 60
# How like a command a word is that is meant for it, from 0 to 1 as difflib measures it: /sys is not /system mistyped.
ALIKE = 0.7


@dataclasses.dataclass(frozen=True)
class Ask:
    """What the user sends.

    `edit_turn`: the position of an earlier question that `message` replaces; what came after it is dropped.
    `regenerate`: the last question is answered anew; `message` is not used. `attachments` None: none, or with an edited
    question those it had. `language`: the id of the language at hand, "" where none is. `system`: what the
    model is told of its role in this conversation, from now on; None: as it was, or as the settings have it. The `seed`
    is for this answer alone.
    """

    message: str
    conversation: str = ""
    attachments: tuple[Wanted, ...] | None = None
    edit_turn: int | None = None
    regenerate: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    language: str = ""
    top_p: float | None = None
    seed: int | None = None
    system: str | None = None


@dataclasses.dataclass(frozen=True)
class Past:
    """A conversation as the model sees it. `open`: questions at the end that were never answered.

    `origins`: for each exchange, the position of the turn that each of its attachments belongs to.
    """

    exchanges: tuple[Exchange, ...]
    origins: tuple[tuple[int, ...], ...]
    open: tuple[Turn, ...]


class InvalidAsk(UserError):
    """What was asked for makes no sense; the message says why."""


@dataclasses.dataclass(frozen=True)
class OpenQuestion:
    """A question that is to be answered. `questions`: its turn, after those that were never answered."""

    conversation: Conversation
    past: Past
    questions: tuple[Turn, ...]
    left_out: tuple[str, ...]
    replaces: bool = False

    @property
    def position(self) -> int:
        return self.questions[-1].position


def opened(
    ask: Ask,
    conversation: Conversation | None,
    workspace: Workspace,
    settings: Settings,
    instructions: Mapping[str, str],
) -> OpenQuestion:
    """What the user asks, in a conversation or as the first question of a new one (whose id is "" yet).

    Raises InvalidAsk.
    """
    if conversation is None:
        if ask.regenerate or ask.edit_turn is not None:
            raise InvalidAsk("Which conversation is meant must be said with `conversationId`.")
        question, said = _question(ask, 0, (), workspace, instructions)
        chosen = {"system": system_text(settings, _language_of(ask, question.attachments)), **_chosen(ask)}
        return OpenQuestion(
            Conversation("", title_of(ask.message), 0, 0, chosen), past_of(()), (question,), tuple(said)
        )
    turns, replaced = conversation.turns, None
    chosen = {**conversation.settings, **_chosen(ask)}
    if ask.regenerate or ask.edit_turn is not None:
        at = _question_at(turns, ask)
        replaced, turns = turns[at], turns[:at]
    if ask.edit_turn is not None:
        chosen.pop("first", None)
    conversation = dataclasses.replace(conversation, settings=chosen)
    past = past_of(turns)
    if ask.regenerate and replaced is not None:
        return OpenQuestion(conversation, past, (*past.open, replaced), (), replaces=True)
    question, said = _question(ask, len(turns), replaced.attachments if replaced else (), workspace, instructions)
    waiting = (each for each in past.open if asked_of(each) != asked_of(question))
    return OpenQuestion(conversation, past, (*waiting, question), tuple(said))


def gathered(workspace: Workspace, ask: Ask) -> tuple[list[Attachment], list[str]]:
    """What goes with a question: what is attached, and what it names with `@`. And a sentence for what cannot go."""
    found, said = all_attached(workspace, ask.attachments or ())
    named, more = mentions.resolved(workspace, ask.message)
    found = named_together(list(dict.fromkeys([*found, *named])))
    return without_around([_pointed(ask.message, one) for one in found]), [*said, *more]


def expanded(message: str, instructions: Mapping[str, str], language_name: str = "") -> str:
    """The question as the model is asked it: a slash command written out, with what follows it; "" for no command.

    `{language}` in an instruction is the language at hand.
    """
    command = re.match(r"\s*/(\S+)", message)
    instruction = instructions.get(command[1]) if command else None
    if command is None or instruction is None:
        return ""
    rest = message[command.end() :]
    text = instruction.replace("{language}", language_name or "the language at hand")
    return f"{text}\n\n{rest.strip()}" if rest.strip() else text


def mistyped(message: str, names: Collection[str]) -> str:
    """What to say of a question that is a slash command mistyped, which nobody wants answered; "" for any other.
    `names`: those there are, without the slash."""
    word = _unknown_command(message, names)
    near = difflib.get_close_matches(word.lower(), names, n=1, cutoff=ALIKE)
    if not word or not (near or message.split() == [f"/{word}"]):
        return ""
    meant = f"did you mean /{near[0]}?" if near else f"there are {', '.join(f'/{name}' for name in names)}."
    return f"There is no command /{word}; {meant} Nothing was sent."


def _unknown_command(message: str, names: Collection[str]) -> str:
    """The word after the slash where a question begins like a slash command and is none of these; a path has another
    slash, or a dot."""
    command = re.match(r"\s*/([A-Za-z][\w-]{0,40})(?!\S)", message)
    return "" if command is None or command[1] in names else command[1]


def system_text(settings: Settings, language_id: str) -> str:
    """What the model is told of its role. `{language}` in it is the language at hand; the default names it too."""
    text = settings.system_prompt
    name = language(language_id).name if language_id and language(language_id).id in LANGUAGES else ""
    if name and text == Settings().system_prompt:
        return f"{text.rstrip('.')} for {name}."
    return text.replace("{language}", name or "code")


def title_of(message: str) -> str:
    """A title made of the first line of the first question."""
    line = " ".join(next((line for line in message.splitlines() if line.strip()), "New conversation").split())
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1].rstrip() + "…"


def past_of(turns: Iterable[Turn]) -> Past:
    """Questions with their answers. Questions without one go together with the next, so that nothing said is lost."""
    exchanges: list[Exchange] = []
    origins: list[tuple[int, ...]] = []
    waiting: list[Turn] = []
    for turn in turns:
        if turn.role == "user":
            waiting = [*(each for each in waiting if asked_of(each) != asked_of(turn)), turn]
        elif turn.content.strip() and waiting:
            asked, attachments, positions = joined(waiting)
            exchanges.append(Exchange(asked, attachments, turn.content))
            origins.append(positions)
            waiting = []
    return Past(tuple(exchanges), tuple(origins), tuple(waiting))


def joined(turns: Sequence[Turn]) -> tuple[str, tuple[Attachment, ...], tuple[int, ...]]:
    """Questions as one: its text, what is attached, and the turn that each attachment belongs to."""
    asked = "\n\n".join(map(asked_of, turns))
    attachments = tuple(one for turn in turns for one in turn.attachments)
    return asked, attachments, tuple(turn.position for turn in turns for _ in turn.attachments)


def asked_of(turn: Turn) -> str:
    return turn.asked or turn.content


def _question(
    ask: Ask, position: int, kept: tuple[Attachment, ...], workspace: Workspace, instructions: Mapping[str, str]
) -> tuple[Turn, list[str]]:
    """The question as a turn, and what cannot go with it. `kept`: what was attached to the one it replaces."""
    if not ask.message.strip():
        raise InvalidAsk("The message is empty.")
    if instructions and (wrong := mistyped(ask.message, instructions)):
        raise InvalidAsk(wrong)
    attachments, said = gathered(workspace, ask)
    if ask.attachments is None:
        attachments = list(dict.fromkeys([*kept, *attachments]))
    if instructions and (word := _unknown_command(ask.message, instructions)):
        said.append(f"There is no command /{word}, so it was sent as text.")
    name = language(_language_of(ask, attachments)).name
    return Turn(position, "user", ask.message, expanded(ask.message, instructions, name), tuple(attachments)), said


def _question_at(turns: tuple[Turn, ...], ask: Ask) -> int:
    """The position of the question that is edited, or answered anew. Raises InvalidAsk."""
    if ask.regenerate:
        last = max((turn.position for turn in turns if turn.role == "user"), default=None)
        if last is None:
            raise InvalidAsk("There is no question to answer anew in this conversation.")
        return last
    at = ask.edit_turn
    if at is None or not 0 <= at < len(turns) or turns[at].role != "user":
        raise InvalidAsk(f"Turn {at} of this conversation is not a question; only questions can be edited.")
    return at


def _chosen(ask: Ask) -> dict[str, Any]:
    given = {"temperature": ask.temperature, "maxTokens": ask.max_tokens, "topP": ask.top_p, "system": ask.system}
    return {key: value for key, value in given.items() if value is not None}


def _language_of(ask: Ask, attachments: Iterable[Attachment]) -> str:
    """The language at hand: as the editor says, else that of the first attachment; "" where there is none."""
    return ask.language or next((one.language for one in attachments if one.language), "")


def _pointed(message: str, attachment: Attachment) -> Attachment:
    """A whole file in which the question names something keeps that longest."""
    if attachment.kind != "file" or attachment.named is not None:
        return attachment
    return dataclasses.replace(attachment, named=mentions.named_in(message, attachment))
