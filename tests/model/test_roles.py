"""Which model does what, and how two on one machine get on: with engines that are real processes but have no model."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import psutil
import pytest

from lsp_server.model import endpoint, local, roles
from lsp_server.model.access import ModelAccess, ModelState, ModelUnavailable
from lsp_server.model.roles import Models
from lsp_server.settings import Settings
from lsp_server.settings_sent import read

from .conftest import Engines
from .test_access import text_of

Told = list[tuple[str, ModelState | None]]
Open = Callable[..., tuple[Models, Told]]
A, B = "https://a", "https://b"


@pytest.mark.parametrize(
    ("given", "model", "url", "remote", "tokenizer"),
    [
        ({"chat_model": "m2"}, "m2", "", "", ""),
        ({"chat_model": "m2", "engine_url": A, "remote_model": "r"}, "m2", "", "", ""),
        ({"chat_model": "m2", "chat_engine_url": B}, "m2", B, "", ""),
        ({"chat_engine_url": B}, "m", B, "", "t"),
        ({"chat_engine_url": B, "chat_tokenizer": "t2"}, "m", B, "", "t2"),
        ({"engine_url": A, "remote_model": "r", "chat_remote_model": "r2"}, "m", A, "r2", "t"),
        ({"engine_url": A, "chat_remote_model": "r2", "chat_model": "m2"}, "m2", A, "r2", ""),
        ({"engine_url": A, "chat_engine_url": A, "remote_model": "r", "chat_remote_model": "r2"}, "m", A, "r2", "t"),
        ({"engine_url": A, "chat_model": "m"}, "m", "", "", ""),
    ],
)
def test_another_model_for_chat(given: dict[str, str], model: str, url: str, remote: str, tokenizer: str) -> None:
    settings = Settings(**{"model": "m", "tokenizer": "t", **given})
    used = roles.of_chat(settings)
    assert (used.model, used.engine_url, used.remote_model, used.tokenizer) == (model, url, remote, tokenizer)
    plain = roles.of_suggestions(settings)
    assert (plain.model, plain.engine_url, plain.tokenizer) == ("m", settings.engine_url, "t")


@pytest.mark.parametrize(
    ("given", "url", "token"),
    [
        ({}, "", ""),
        ({"engine_url": A, "engine_token": "abc"}, A, "abc"),
        ({"engine_url": A, "engine_token": "abc", "next_edit_url": B}, B, f"{A}:443 abc"),
        ({"next_edit_url": B, "engine_token": "abc"}, B, ""),
        ({"next_edit_url": B, "engine_token": f"{B} abc"}, B, f"{B} abc"),
        ({"engine_url": A, "next_edit_url": A, "engine_token": "abc"}, A, "abc"),
    ],
)
def test_a_model_for_next_edits(given: dict[str, str], url: str, token: str) -> None:
    """A token goes to its server only where it is its own."""
    settings = Settings(**{"model": "m", "tokenizer": "t", "remote_model": "r", "next_edit_model": "n", **given})
    used = roles.of_next_edit(settings)
    assert used is not None
    assert (used.model, used.engine_url, used.remote_model, used.tokenizer) == ("n", url, "", "")
    assert used.engine_token == token
    plain = roles.of_suggestions(settings)
    assert (plain.model, plain.next_edit_model, plain.next_edit_url) == ("m", "", ""), "it restarts nothing else"
    assert roles.of_next_edit(Settings()) is None


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"engine_url": A, "remote_model": "r", "engine_token": "abc"},
        {"chat_tokenizer": "t"},
        {"chat_remote_model": "r"},
        {"model": "m", "chat_model": "m"},
        {"engine_url": A, "chat_engine_url": A, "engine_token": "abc"},
    ],
)
def test_one_model_does_all(given: dict[str, str]) -> None:
    settings = Settings(**given)  # type: ignore[arg-type]
    assert roles.of_chat(settings) == roles.of_suggestions(settings)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"engine_url": A, "engine_token": "abc"}, ""),
        ({"engine_url": A, "engine_token": " 'Bearer abc' "}, ""),
        ({"engine_url": A, "engine_token": f"{A} abc"}, ""),
        ({"engine_url": A, "engine_token": f"{A} abc {B} def"}, "def"),
        ({"engine_url": A, "engine_token": f"{B} def"}, "def"),
        ({"engine_url": f"{A}, {B}/one/v1", "engine_token": "abc"}, "abc"),
        ({"engine_url": f"{B}:8000", "engine_token": "abc"}, ""),
        ({"engine_url": "http://b", "engine_token": "abc"}, ""),
        ({"engine_url": "ftp://a", "engine_token": "abc"}, ""),
        ({"engine_url": A}, ""),
        ({"engine_token": "abc"}, "abc"),
    ],
)
def test_a_token_goes_to_the_server_for_chat_only_where_it_is_its_own(given: dict[str, str], sent: str) -> None:
    (at,) = endpoint.remotes(roles.of_chat(Settings(**given, chat_engine_url=B)))  # type: ignore[arg-type]
    assert at.token == sent


@pytest.mark.parametrize("token", ["a b", "a b c", "abc https://b"])
def test_a_token_that_is_none_goes_nowhere(token: str) -> None:
    with pytest.raises(endpoint.BadAddress):
        endpoint.remotes(roles.of_chat(Settings(engine_url=A, engine_token=token, chat_engine_url=B)))


@pytest.mark.parametrize(
    ("user", "project", "token"),
    [
        ({"engine_url": A}, {"chatEngineUrl": B}, "abc"),  # but not for B, see above
        ({"engine_url": A}, {"chatEngineUrl": B, "engineUrl": ""}, ""),
        ({"chat_engine_url": A}, {"chatEngineUrl": B}, ""),
        ({"chat_engine_url": A}, {"engineUrl": B}, ""),
        ({"chat_engine_url": A}, {"chatModel": "m"}, "abc"),
    ],
)
def test_settings_of_a_project_move_no_token(user: dict[str, str], project: dict[str, str], token: str) -> None:
    settings, problems = read(project, Settings(**user, engine_token="abc"))  # type: ignore[arg-type]
    assert settings.engine_token == token
    assert len(problems) == (not token)
    for used in (roles.of_suggestions(settings), roles.of_chat(settings)):
        reached = endpoint.remotes(used) if used.engine_url else ()
        assert not [at for at in reached if at.token and at.url != A]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"chat_engine_url": B}, "codellama.chatEngineUrl, codellama.chatRemoteModel, codellama.chatTokenizer"),
        ({"engine_url": A, "chat_remote_model": "r"}, "codellama.engineUrl, codellama.chatRemoteModel, "),
        ({"engine_url": A, "tokenizer": "t", "chat_remote_model": "r"}, "codellama.tokenizer"),
        ({"engine_url": A, "tokenizer": "t", "chat_model": "m"}, "codellama.chatEngineUrl, codellama.chatRemote"),
        ({"engine_url": A, "tokenizer": "t", "chat_model": "m"}, "codellama.chatTokenizer"),
    ],
)
def test_a_sentence_names_the_setting_that_is_to_be_changed(given: dict[str, str], named: str) -> None:
    said = "codellama.engineUrl, codellama.remoteModel, codellama.tokenizer"
    assert named in roles.worded_for_chat(said, Settings(**given))  # type: ignore[arg-type]


here = pytest.mark.skipif(sys.platform == "win32", reason="the engine without a model listens on a Unix socket")


@pytest.fixture
async def open_(fakes: Engines) -> AsyncIterator[Open]:
    """open_(**settings): the models of a window, and what is told of them."""
    made: list[Models] = []

    def one(**values: Any) -> tuple[Models, Told]:
        told: Told = []
        settings = Settings(**{"model": "fake", "chat_model": "other", **values})
        made.append(Models(settings, lambda role, state: told.append((role, state))))
        made[-1].begin()
        return made[-1], told

    yield one
    for each in made:
        each.close()


def kinds(told: Told) -> list[tuple[str, str]]:
    """What was told, in turn and each once."""
    return list(dict.fromkeys((role, state.kind) for role, state in told if state is not None))


async def ready(models: Models) -> None:
    await models.suggestions.wait()
    await models.chat.wait()


def pid(access: ModelAccess) -> int:
    found = local.running(access.settings.model)
    assert found is not None
    return found.pid


@here
@pytest.mark.parametrize("wanted", ["suggestions", "chat"])
async def test_that_of_chat_is_loaded_once_the_other_is_there(fakes: Engines, open_: Open, wanted: Any) -> None:
    fakes.script({"loading": 0.8}, {"loading": 0.8})
    models, told = open_()
    models.want(wanted)
    await ready(models)
    assert kinds(told)[-4:] == [
        ("suggestions", "loading"),
        ("suggestions", "ready"),
        ("chat", "loading"),
        ("chat", "ready"),
    ]
    assert "The model for chat is loaded once that for suggestions is there." in str(told)
    assert len(fakes.started) == 2


@here
async def test_elsewhere_it_waits_for_nothing_and_starts_nothing(fakes: Engines, open_: Open) -> None:
    models, told = open_(chat_engine_url="http://127.0.0.1:9")
    models.want("chat")
    with pytest.raises(ModelUnavailable):
        await models.chat.wait()
    assert kinds(told) == [("chat", "starting"), ("chat", "failed")]
    assert not fakes.started


@here
async def test_that_of_chat_is_loaded_also_where_the_other_cannot_be(fakes: Engines, open_: Open) -> None:
    fakes.script({"fail": "It is broken."}, {})
    models, told = open_()
    models.want("suggestions")
    await models.chat.wait()
    assert ("suggestions", "failed") in kinds(told)


@here
async def test_one_that_does_not_fit_is_told_and_tried_again_by_who_chats_alone(fakes: Engines, open_: Open) -> None:
    fakes.script({}, {"fail": "The model needs 9 GiB, and there are 5."})
    models, _ = open_()
    models.want("suggestions")
    with pytest.raises(ModelUnavailable, match="needs 9 GiB"):
        await models.chat.wait()
    models.chat._again_at = 0.0  # half a minute has passed
    for _ in range(5):
        models.want("suggestions")
        assert await text_of(await models.suggestions.wait())
    assert models.chat.state.kind == "failed"
    assert not models.chat.begins()
    fakes.script({})
    await local.end("other")
    assert await text_of(await models.chat.wait())


@here
async def test_only_the_engine_for_chat_gives_way(fakes: Engines, open_: Open) -> None:
    models, _ = open_()
    models.want("chat")
    await ready(models)
    for model, gives_way in ((models.suggestions, False), (models.chat, True)):
        assert ("--gives-way" in psutil.Process(pid(model)).cmdline()) == gives_way


@here
async def test_two_windows_share_both_engines(fakes: Engines, open_: Open) -> None:
    (one, _), (other, _) = open_(), open_()
    for each in (one, other):  # one after the other, since those that stand for engines here have no lock
        each.want("suggestions")
        await ready(each)
    assert len(fakes.started) == 2
    one.close()
    assert await text_of(await other.chat.wait())
    assert await text_of(await other.suggestions.wait())


@here
async def test_each_that_is_lost_is_started_anew_alone(fakes: Engines, open_: Open) -> None:
    models, _ = open_()
    models.want("suggestions")
    await ready(models)
    before = pid(models.suggestions), pid(models.chat)
    os.kill(before[1], signal.SIGKILL)
    assert await text_of(await models.chat.wait())
    after = pid(models.suggestions), pid(models.chat)
    assert after[0] == before[0]
    assert after[1] != before[1]
    os.kill(after[0], signal.SIGKILL)
    assert await text_of(await models.suggestions.wait())
    assert pid(models.chat) == after[1]


@here
async def test_a_restart_is_one_of_both_in_the_same_order(fakes: Engines, open_: Open) -> None:
    models, told = open_()
    models.want("suggestions")
    await ready(models)
    before = pid(models.suggestions), pid(models.chat)
    told.clear()
    fakes.script({"loading": 0.8})
    models.restart()
    await ready(models)
    assert not {pid(models.suggestions), pid(models.chat)} & set(before)
    states = [(role, state.kind) for role, state in told if state is not None]
    assert states.index(("suggestions", "ready")) < states.index(("chat", "loading"))
    assert not any(state.lost for _, state in told if state is not None)
    assert len(fakes.started) == 4


@here
async def test_new_settings_end_and_start_what_they_concern(fakes: Engines, open_: Open) -> None:
    models, told = open_()
    models.want("suggestions")
    await ready(models)
    suggestions, chat = models.suggestions, models.chat
    first = pid(models.suggestions), pid(models.chat)
    models.use(Settings(model="fake", chat_model="third"))
    await ready(models)
    assert models.suggestions is suggestions
    assert models.chat is not chat
    assert (pid(models.suggestions), len(fakes.started)) == (first[0], 3)
    models.use(Settings(model="fake"))
    assert models.chat is models.suggestions is suggestions
    assert told[-1] == ("chat", None)
    models.use(Settings(model="fake", chat_model="other", max_tokens=5))
    await ready(models)
    assert (pid(models.chat), len(fakes.started)) == (first[1], 3), "which still ran"
    assert models.suggestions.settings.max_tokens == 5
