from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lsp_server.chat.asking import Ask, InvalidAsk, expanded, system_text, title_of
from lsp_server.chat.attachments import Wanted
from lsp_server.chat.chats import Chats, Unanswered
from lsp_server.chat.store import NoConversation, Store
from lsp_server.context.uris import uri_of
from lsp_server.model.access import ModelUnavailable
from lsp_server.settings import Settings

from .conftest import Script, common

Talk = Callable[..., tuple[Chats, Script]]
SYSTEM = {"role": "system", "content": "You are a helpful and honest code assistant."}


def ignored(part: dict[str, Any]) -> None: ...


async def test_an_answer_comes_in_at_least_as_many_parts_as_tokens_and_is_kept(talk: Talk, store: Store) -> None:
    chats, script = talk("Use `sorted` – it is stable 🙂.")
    script.group = 3
    parts: list[dict[str, Any]] = []
    reply = await chats.send(Ask("How do I sort?\nQuickly."), parts.append)
    assert reply.message == "".join(part["delta"] for part in parts) == "Use `sorted` – it is stable 🙂."
    assert parts[0] == {"delta": "", "conversationId": reply.conversation, "turn": 1}
    assert sum(set(part) == {"delta"} for part in parts) >= reply.usage["generatedTokens"] == len(script.generated[0])
    assert (reply.finish_reason, reply.turn, reply.left_out) == ("stop", 1, ())
    assert set(reply.usage) == {"promptTokens", "reusedTokens", "generatedTokens", "firstTokenMs", "tokensPerSecond"}
    assert reply.usage["promptTokens"] == len(script.prompts[0])
    question = {"role": "user", "content": "How do I sort?\nQuickly."}
    assert script.prompts[0] == script.tokenizer.dialog_ids([SYSTEM, question])
    kept = store.get(reply.conversation)
    assert kept.title == "How do I sort?"
    assert [(turn.role, turn.content, turn.finished) for turn in kept.turns] == [
        ("user", "How do I sort?\nQuickly.", ""),
        ("assistant", reply.message, "stop"),
    ]
    assert kept.turns[1].usage == reply.usage


@pytest.mark.parametrize("chat_format", ["inst", "source-step"])
async def test_a_follow_up_recomputes_its_own_turn(talk: Talk, tmp_path: Path, chat_format: str) -> None:
    (tmp_path / "work" / "a.py").write_text("def f(x):\n    return x\n" * 20)
    chats, script = talk("It returns `x`.\n\n```python\nf(1)\n```", "Yes, [INST] always.", format=chat_format)
    attached = (Wanted(uri_of(tmp_path / "work" / "a.py"), "file"),)
    first = await chats.send(Ask("What does f do?", attachments=attached), ignored)
    (tmp_path / "work" / "a.py").write_text("changed meanwhile")
    second = await chats.send(Ask("Always?", conversation=first.conversation), ignored)
    own = len(script.tokenizer.dialog_ids([{"role": "user", "content": "Always?"}]))
    recomputed = second.usage["promptTokens"] - second.usage["reusedTokens"]
    if chat_format == "inst":
        # The answer as it was generated is reused too; new are the space and end after it, and the question.
        assert second.usage["reusedTokens"] == len(script.prompts[0]) + len(script.generated[0])
        assert recomputed == own + 2
    else:
        # The 70B format asks for an answer with "\nDestination: user\n\n ", which no answer of the past has: of the
        # last eight ids only the first, a line end, is there too.
        assert second.usage["reusedTokens"] == len(script.prompts[0]) - 7
        answer = len(script.tokenizer.encode_raw("\n\n " + first.message))
        assert recomputed <= own + answer
    # The answer held a mark of the format; it is escaped in the third prompt, and nothing before it changes.
    third = await chats.send(Ask("Sure?", conversation=first.conversation), ignored)
    assert common(script.prompts[1], script.prompts[2]) >= len(script.prompts[1]) - 7
    assert third.finish_reason == "stop"


async def test_stopping_keeps_what_was_shown_and_ends_the_work(talk: Talk, store: Store) -> None:
    chats, script = talk(" ".join(map(str, range(200))))
    script.pause = 0.005
    for way in ("stop", "cancel"):
        parts: list[dict[str, Any]] = []
        task = asyncio.ensure_future(chats.send(Ask("Count."), parts.append))
        while len(parts) < 12:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        if way == "stop":
            await chats.stop(parts[0]["conversationId"])
        else:
            task.cancel()
        reply = await task
        assert reply.finish_reason == "stopped"
        assert reply.message == "".join(part["delta"] for part in parts)
        assert 5 < len(reply.message) < 500
        assert reply.usage["generatedTokens"] == sum("reading" not in part for part in parts) - 1
        kept = store.get(reply.conversation).turns[1]
        assert (kept.content, kept.finished, kept.usage) == (reply.message, "stopped", reply.usage)
    assert script.closed == 2
    script.pause = 0
    again = await chats.send(Ask("Go on.", conversation=reply.conversation), ignored)
    assert reply.message.strip() in script.tokenizer.decode(script.prompts[-1])
    assert again.finish_reason == "stop"
    await chats.stop("unknown")  # nothing to stop is no error


async def test_a_newer_question_in_a_conversation_ends_the_older_answer(talk: Talk, store: Store) -> None:
    chats, script = talk(" ".join(map(str, range(400))))
    first = await chats.send(Ask("zero"), ignored)
    script.pause = 0.005
    older = asyncio.ensure_future(chats.send(Ask("one", conversation=first.conversation), ignored))
    await asyncio.sleep(0.1)
    newer = asyncio.ensure_future(chats.send(Ask("two", conversation=first.conversation), ignored))
    newest = asyncio.ensure_future(chats.send(Ask("three", conversation=first.conversation), ignored))
    await asyncio.sleep(0.15)
    await chats.stop(first.conversation)
    replies = await asyncio.gather(older, newer, newest)
    assert {reply.finish_reason for reply in replies} == {"stopped"}
    turns = store.get(first.conversation).turns
    assert [turn.content for turn in turns if turn.role == "user"] == ["zero", "one", "two", "three"]


async def test_edit_and_regenerate(talk: Talk, store: Store, tmp_path: Path) -> None:
    (tmp_path / "work" / "a.py").write_text("x = 1\n")
    chats, script = talk("A", "B", "C", "D")
    attached = (Wanted(uri_of(tmp_path / "work" / "a.py"), "file"),)
    name = (await chats.send(Ask("one", attachments=attached), ignored)).conversation
    await chats.send(Ask("two", conversation=name), ignored)
    again = await chats.send(Ask("", conversation=name, regenerate=True), ignored)
    assert script.prompts[2] == script.prompts[1]
    assert [turn.content for turn in store.get(name).turns] == ["one", "A", "two", "C"]
    assert (again.turn, again.message) == (3, "C")
    await chats.send(Ask("one, but better", conversation=name, edit_turn=0), ignored)
    turns = store.get(name).turns
    assert [turn.content for turn in turns] == ["one, but better", "D"]
    assert turns[0].attachments[0].text == "x = 1\n"
    for ask in (
        Ask("x", conversation=name, edit_turn=1),
        Ask("x", conversation=name, edit_turn=9),
        Ask("x", regenerate=True),
        Ask("   "),
    ):
        with pytest.raises(InvalidAsk):
            await chats.send(ask, ignored)
    with pytest.raises(NoConversation):
        await chats.send(Ask("x", conversation="gone", edit_turn=0), ignored)
    assert [turn.content for turn in store.get(name).turns] == ["one, but better", "D"]


async def test_a_question_that_could_not_be_answered_is_kept_and_asked_with_the_next(talk: Talk, store: Store) -> None:
    async def fails() -> Any:
        raise ModelUnavailable("There is no model: do this.")

    chats, _ = talk(reach=fails)
    with pytest.raises(Unanswered, match=r"There is no model: do this\.") as caught:
        await chats.send(Ask("one"), ignored)
    name = caught.value.conversation
    assert [turn.content for turn in store.get(name).turns] == ["one"]
    with pytest.raises(Unanswered):
        await chats.send(Ask("one", conversation=name), ignored)
    with pytest.raises(Unanswered):
        await chats.send(Ask("two", conversation=name), ignored)
    assert [turn.content for turn in store.get(name).turns] == ["one", "one", "two"]


async def test_an_engine_that_goes_away(talk: Talk, store: Store) -> None:
    chats, script = talk("a b c d e f", "whole")
    script.lose_after = 0  # before the first token: asked again at once
    reply = await chats.send(Ask("one"), ignored)
    assert (reply.message, reply.finish_reason) == ("whole", "stop")
    script.lose_after = 2
    script.answers = ["a b c d e f"]
    with pytest.raises(Unanswered, match="went away") as caught:
        await chats.send(Ask("two", conversation=reply.conversation), ignored)
    turn = store.get(caught.value.conversation).turns[-1]
    assert (turn.content.strip(), turn.finished) == ("a b", "failed")


async def test_attachments_larger_than_the_context(talk: Talk, store: Store, tmp_path: Path) -> None:
    (tmp_path / "work" / "big.py").write_text("".join(f"def f{n}(x):\n    return x + {n}\n\n" for n in range(2000)))
    chats, script = talk("Yes.", context=2048)
    attached = (Wanted(uri_of(tmp_path / "work" / "big.py"), "file"),)
    parts: list[dict[str, Any]] = []
    reply = await chats.send(Ask("What does f1000() return?", attachments=attached), parts.append)
    assert len(script.prompts[0]) <= 1024
    assert "return x + 1000" in script.tokenizer.decode(script.prompts[0])
    assert len(reply.left_out) == 1
    assert reply.left_out[0].startswith("Of big.py only lines ")
    assert {"delta": "", "leftOut": list(reply.left_out)} in parts
    kept = store.get(reply.conversation).turns[0].attachments[0]
    assert kept.rendered() in script.tokenizer.decode(script.prompts[0])
    assert len(kept.text) < 10_000
    # The next question begins as the first did, and what was stored is what was sent.
    await chats.send(Ask("Sure?", conversation=reply.conversation), ignored)
    assert common(script.prompts[0], script.prompts[1]) == len(script.prompts[0])


async def test_200_turns(talk: Talk, store: Store) -> None:
    chats, script = talk("This is an answer of some length, as answers go, with `code` in it.", context=2048)
    name, said = "", set()
    for at in range(100):
        reply = await chats.send(Ask(f"Question {at}: why is it so, and not otherwise?", conversation=name), ignored)
        name = reply.conversation
        said |= set(reply.left_out)
    assert len(store.get(name).turns) == 200
    assert max(map(len, script.prompts)) <= 1024
    assert any("oldest questions are no longer sent" in sentence for sentence in said)
    again, other = Chats(store, chats._around), talk  # as after a restart: nothing but the store is known
    assert other is talk
    reply = await again.send(Ask("And now?", conversation=name), ignored)
    assert reply.usage["reusedTokens"] > reply.usage["promptTokens"] / 2


async def test_preview_shows_what_send_sends_and_keeps_nothing(talk: Talk, store: Store, tmp_path: Path) -> None:
    (tmp_path / "work" / "a.py").write_text("x = 1\n")
    chats, script = talk()
    ask = Ask("What is @a.py and @nothing?")
    preview = await chats.preview(ask)
    begun, fitted = preview.begun, preview.fitted
    assert store.summaries() == []
    assert fitted is not None
    assert preview.budget == 4096 - 1024
    assert begun.left_out == ("@nothing names no file, function or class in the workspace; it was sent as text.",)
    reply = await chats.send(ask, ignored)
    assert script.prompts[0] == fitted.ids
    assert reply.left_out == begun.left_out


async def test_settings_of_a_conversation_are_its_own(talk: Talk, store: Store) -> None:
    chats, script = talk("a b c d e f g h i j k l")
    reply = await chats.send(Ask("one", temperature=0.7, max_tokens=5, language="python"), ignored)
    assert reply.usage["generatedTokens"] == 5
    await chats.send(Ask("two", conversation=reply.conversation, language="rust"), ignored)
    assert script.limits == [5, 5]
    settings = store.get(reply.conversation).settings
    assert (settings["temperature"], settings["maxTokens"]) == (0.7, 5)
    assert settings["system"] == "You are a helpful and honest code assistant for Python."


async def test_slash_commands_are_written_out_for_the_model_alone(talk: Talk, store: Store) -> None:
    chats, script = talk(instructions={"explain": "Explain this {language} code."})
    reply = await chats.send(Ask("/explain  the loop", language="go"), ignored)
    assert "Explain this Go code.\n\nthe loop" in script.tokenizer.decode(script.prompts[0])
    assert store.get(reply.conversation).turns[0].content == "/explain  the loop"
    assert expanded("/usr/bin is what?", {"explain": "x"}) == ""
    assert expanded("/explain", {"explain": "x"}) == "x"


async def test_a_slash_command_that_there_is_not_is_said(talk: Talk, store: Store) -> None:
    chats, script = talk(instructions={"explain": "Explain this.", "tests": "Write tests."})
    for message, said in (
        ("/explian this", "There is no command /explian; did you mean /explain? Nothing was sent."),
        (" /Test", "There is no command /Test; did you mean /tests? Nothing was sent."),
        ("/frobnicate", "There is no command /frobnicate; there are /explain, /tests. Nothing was sent."),
    ):
        with pytest.raises(InvalidAsk) as refused:
            await chats.send(Ask(message), ignored)
        assert str(refused.value) == said
    assert (script.prompts, store.summaries()) == ([], [])
    for message, words in (
        ("/tmp is full, why?", ("There is no command /tmp, so it was sent as text.",)),
        ("/etc/hosts is what?", ()),
        ("/explain this", ()),
        ("What is /explian?", ()),
    ):
        reply = await chats.send(Ask(message), ignored)
        assert reply.left_out == words
    assert "/tmp is full, why?" in script.tokenizer.decode(script.prompts[0])


def test_titles_and_system_texts() -> None:
    assert title_of("\n  Why  is\tthis\nso?") == "Why is this"
    assert len(title_of("x" * 200)) == 60
    assert system_text(Settings(), "typescript") == "You are a helpful and honest code assistant for TypeScript."
    assert system_text(Settings(), "") == Settings().system_prompt
    assert system_text(Settings(system_prompt="Be brief. {language}!"), "c") == "Be brief. C!"


async def test_the_event_loop_is_never_held_up_by_the_store(talk: Talk, store: Store, tmp_path: Path) -> None:
    chats, script = talk(" ".join(map(str, range(400))))
    import sqlite3

    reply = await chats.send(Ask("one"), ignored)
    other = sqlite3.connect(tmp_path / "data" / "chats.sqlite3", isolation_level=None)
    script.pause = 0.001
    parts: list[dict[str, Any]] = []
    task = asyncio.ensure_future(chats.send(Ask("two", conversation=reply.conversation), parts.append))
    while len(parts) < 10:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    other.execute("BEGIN IMMEDIATE")  # another window writes, for long
    shown = len(parts)
    await asyncio.sleep(0.5)
    assert len(parts) > shown + 50
    other.execute("COMMIT")
    assert (await task).finish_reason == "stop"
    with contextlib.closing(other):
        pass
