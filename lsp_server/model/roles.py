"""Which model does what: one writes the suggestions, the same or another answers chat and does the code actions, and
one that was trained for it may write next edits."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Literal

from lsp_server.model import endpoint
from lsp_server.model.access import ModelAccess, ModelState
from lsp_server.settings import Settings, camel, restarts

Role = Literal["suggestions", "chat", "next edit"]
# The settings that name a model, each with that of the same meaning for chat.
NAMES = {
    "model": "chat_model",
    "engine_url": "chat_engine_url",
    "remote_model": "chat_remote_model",
    "tokenizer": "chat_tokenizer",
}


def of_suggestions(settings: Settings) -> Settings:
    """The settings with which the model of the suggestions is reached."""
    plain = dataclasses.replace(settings, next_edit_model="", next_edit_url="")
    return dataclasses.replace(plain, chat_model="", chat_engine_url="", chat_remote_model="", chat_tokenizer="")


def of_chat(settings: Settings) -> Settings:
    """The settings with which the model of chat and code actions is reached; those of the suggestions where one model
    does all. A token that names no address stays with the one it came along with."""
    plain = of_suggestions(settings)
    url = settings.chat_engine_url or (settings.engine_url if settings.chat_remote_model else "")
    if not url and settings.chat_model in ("", "" if settings.engine_url else settings.model):
        return plain
    token = settings.engine_token
    return dataclasses.replace(
        plain,
        model=settings.chat_model or settings.model,
        engine_url=url,
        remote_model=settings.chat_remote_model,
        tokenizer=settings.chat_tokenizer or ("" if settings.chat_model else settings.tokenizer),
        engine_token=token if url == settings.token_url else endpoint.bound(token, settings.token_url),
    )


def of_next_edit(settings: Settings) -> Settings | None:
    """The settings with which the model for next edits is reached; None where there is none."""
    if not settings.next_edit_model:
        return None
    url, token = settings.next_edit_url or settings.engine_url, settings.engine_token
    return dataclasses.replace(
        of_suggestions(settings),
        model=settings.next_edit_model,
        engine_url=url,
        remote_model="",
        tokenizer="",
        engine_token=token if url == settings.token_url else endpoint.bound(token, settings.token_url),
    )


def worded_for_chat(sentence: str, settings: Settings) -> str:
    """A sentence on the model of chat, with the settings that it names as those that are to be changed."""
    used = of_chat(settings)

    def named(found: re.Match[str]) -> str:
        name, for_chat = names[found[1]]
        own, plain = getattr(settings, for_chat), getattr(settings, name)
        taken_over = plain and not own and getattr(used, name) == plain
        return found[0] if taken_over else f"codellama.{camel(for_chat)}"

    names = {camel(name): (name, for_chat) for name, for_chat in NAMES.items()}
    return re.sub(rf"codellama\.({'|'.join(names)})\b", named, sentence)


class Models:
    """The models of one session: that of the `suggestions`, and that of `chat`, which is the same where one does all.

    `on_state` is told of each change of either; None: there is none of its own for chat any more. Where both run on
    this machine, that of chat is loaded once the other is there, so that it is placed in the memory which is left, and
    its engine gives way to the other's. Neither is reached before `begin`.
    """

    def __init__(self, settings: Settings, on_state: Callable[[Role, ModelState | None], None]) -> None:
        self._on_state = on_state
        self._settings = settings
        self._wanted: set[Role] = set()
        self._begun = False
        self.suggestions = self._access("suggestions", of_suggestions(settings))
        self._chat: ModelAccess | None = None
        self.next_edit: ModelAccess | None = None
        self.use(settings)

    @property
    def chat(self) -> ModelAccess:
        return self._chat or self.suggestions

    def of(self, role: Role) -> ModelAccess:
        if role == "next edit" and self.next_edit is not None:
            return self.next_edit
        return self.chat if role == "chat" else self.suggestions

    def use(self, settings: Settings) -> None:
        """Work with new settings from now on: the model that they concern is reached anew."""
        self._settings = settings
        plain, for_chat = of_suggestions(settings), of_chat(settings)
        self.suggestions = self._renewed("suggestions", self.suggestions, plain)
        if for_chat != plain:
            self._chat = self._renewed("chat", self._chat, for_chat)
        elif self._chat is not None:
            self._chat.close()
            self._chat = None
            self._on_state("chat", None)
        self._use_next_edit(of_next_edit(settings))
        self._start()

    def _use_next_edit(self, settings: Settings | None) -> None:
        if settings is not None:
            self.next_edit = self._renewed("next edit", self.next_edit, settings)
        elif self.next_edit is not None:
            self.next_edit.close()
            self.next_edit = None

    def begin(self) -> None:
        """The settings are those of the user: what was wanted meanwhile is reached."""
        self._begun = True
        self._start()

    def want(self, role: Role) -> None:
        """Reach the model for this, and that for the other along with it, unless that is elsewhere."""
        self._wanted.add(role)
        self._start()

    def restart(self) -> None:
        """End the engines of this machine and start them anew, or reach the servers again."""
        self.suggestions.restart()
        for other in (self._chat, self.next_edit):
            if other is not None:
                other.restart()

    def close(self) -> None:
        """Let go of the engines, which go on for others."""
        self.suggestions.close()
        for other in (self._chat, self.next_edit):
            if other is not None:
                other.close()

    def _start(self) -> None:
        if not (self._begun and self._wanted):
            return
        if self._chat is None or "suggestions" in self._wanted or self._first() is not None:
            self.suggestions.start()
        # One that cannot be had is tried again by who chats, and not with each key.
        if self._chat is not None and not self._chat.state.has_failed:
            self._chat.start()
        if self.next_edit is not None and "next edit" in self._wanted:
            self.next_edit.start()

    def _first(self, role: Role = "chat") -> ModelAccess | None:
        """What another model waits for: that of the suggestions, where both run on this machine."""
        both_here = not (self.suggestions.settings.engine_url or self.of(role).settings.engine_url)
        return self.suggestions if both_here else None

    def _renewed(self, role: Role, access: ModelAccess | None, settings: Settings) -> ModelAccess:
        if access is None:
            return self._access(role, settings)
        anew = restarts(access.settings, settings)
        if anew == "nothing":
            access.settings = settings
            return access
        # Whoever changes a setting means the engine that runs; who comes with others, joins it.
        insists = self._begun and (anew == "engine" or access.insists)
        access.close()
        return self._access(role, settings, insists=insists)

    def _access(self, role: Role, settings: Settings, *, insists: bool = False) -> ModelAccess:
        on_state = functools.partial(self._on_state, role)
        if role == "suggestions":
            return ModelAccess(settings, on_state, insists=insists)
        if role == "next edit":
            return ModelAccess(settings, on_state, insists=insists, behind=functools.partial(self._first, role))
        worded = functools.partial(worded_for_chat, settings=self._settings)
        return ModelAccess(settings, on_state, insists=insists, behind=self._first, worded=worded)
