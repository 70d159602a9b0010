"""The ids of a conversation, on every way to the model: those of Meta's reference and of the model card.

Expected are the vectors, which Meta's own code made. A stand-in for the engine remembers what it is sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import checkpoints
import pytest
from forking import program
from tokenizers import Tokenizer

from lsp_server.codellama import CodeLlamaTokenizer

from .wire import Engine, Failure, editor

Dialog = list[dict[str, str]]
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "dialogs.json").read_text("utf-8"))
IDS = {"inst": "safe_ids_7b_13b", "source-step": "safe_ids_70b"}
# What a user's text may not look like, which is escaped: other ids are meant then.
MARKS = {"inst": ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"), "source-step": ("Source: ", "Destination: ")}
CARD = next(vector for vector in VECTORS["vectors"] if vector["id"] == "card_dialog")
SYSTEM = {"role": "system", "content": "You are a helpful and honest code assistant."}
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def talks(chat_format: str) -> list[dict[str, Any]]:
    """The vectors that a user and a model can have said: nobody says nothing, and nothing is escaped."""
    return [
        vector
        for vector in VECTORS["vectors"]
        if all(message["content"].strip() and "destination" not in message for message in vector["dialog"])
        and not any(mark in message["content"] for message in vector["dialog"] for mark in MARKS[chat_format])
    ]


def split(dialog: Dialog) -> tuple[str, Dialog]:
    """(system text, the rest)."""
    return (dialog[0]["content"], dialog[1:]) if dialog[0]["role"] == "system" else ("", dialog)


@pytest.mark.parametrize("chat_format", ["inst", "source-step"])
async def test_over_lsp_they_are_the_references(
    load: Callable[[str], CodeLlamaTokenizer],
    tokenizer_folder: Callable[..., Path],
    tmp_path: Path,
    chat_format: str,
) -> None:
    engine = Engine(load(chat_format))
    folder = tokenizer_folder("7b" if chat_format == "inst" else "70b")
    vectors = talks(chat_format)
    assert sum(len(vector["dialog"]) > 3 for vector in vectors) >= 4
    (tmp_path / "work").mkdir()
    with engine.running() as url:
        given = {"engineUrl": url, "tokenizer": str(folder), "chatFormat": chat_format}
        for system in sorted({split(vector["dialog"])[0] for vector in vectors}):
            async with editor(tmp_path / "data", tmp_path / "work", **given, systemPrompt=system) as window:
                for vector in vectors:
                    own, turns = split(vector["dialog"])
                    if own != system:
                        continue
                    more: dict[str, Any] = {}
                    for question, answer in zip(turns[::2], [*turns[1::2], {"content": "Yes."}], strict=True):
                        engine.answer = answer["content"]
                        reply = await window.chat("send", message=question["content"], **more)
                        more = {"conversationId": reply["conversationId"]}
                    assert engine.prompts[-1] == vector[IDS[chat_format]], vector["id"]


async def test_over_lsp_a_template_gives_what_transformers_gives(tmp_path: Path) -> None:
    tokens = ["<|im_start|>", "<|im_end|>"]
    folder = checkpoints.byte_level_tokenizer(tmp_path / "own", tokens, template=CHATML, eos_token="<|im_end|>")
    engine = Engine(CodeLlamaTokenizer.from_pretrained(folder))
    engine.answer = "x = 1\n\n"
    (tmp_path / "work").mkdir()
    with engine.running() as url:
        given = {"engineUrl": url, "tokenizer": str(folder), "systemPrompt": " Be brief. "}
        async with editor(tmp_path / "data", tmp_path / "work", **given) as window:
            first = await window.chat("send", message=" What?\n")
            await window.chat("send", message="And?", conversationId=first["conversationId"])
    said = [("system", " Be brief. "), ("user", " What?\n"), ("assistant", "x = 1\n\n"), ("user", "And?")]
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in said)
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert engine.prompts[-1] == whole.encode(text + "<|im_start|>assistant\n").ids


async def test_a_template_that_never_ends_holds_nobody_up(tmp_path: Path) -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    folder = checkpoints.byte_level_tokenizer(tmp_path / "own", ["<|im_end|>"], template=endless)
    (tmp_path / "work").mkdir()
    with Engine(CodeLlamaTokenizer.from_pretrained(folder)).running() as url:
        given = {"engineUrl": url, "tokenizer": str(folder)}
        async with editor(tmp_path / "data", tmp_path / "work", **given) as window:
            _, answer = window.begin("codellama/chat/send", {"message": "What?"})
            listed = 0
            while not answer.done():
                await window.chat("list")
                listed += 1
                await asyncio.sleep(0.1)
            with pytest.raises(Failure, match=r"chat template .* takes more than 3 s.*use another checkpoint\.$"):
                await answer
            assert listed > 10


@pytest.fixture
def recording(load: Callable[[str], CodeLlamaTokenizer], tmp_path: Path) -> Iterator[tuple[Engine, str]]:
    engine = Engine(load("source-step"))
    with engine.running() as url:
        yield engine, url


def test_in_the_terminal_a_conversation_is_sent_as_meta_would_send_it(
    recording: tuple[Engine, str], tokenizer_folder: Callable[..., Path], tmp_path: Path
) -> None:
    engine, url = recording
    engine.answer = "Model response to first query"
    command = program("-m", "lsp_server", "chat", "--engine-url", url)
    command += ["--tokenizer", str(tokenizer_folder("70b"))]
    environment = {**os.environ, "CODELLAMA_LS_DATA": str(tmp_path / "data"), "PYTHONPATH": os.getcwd()}
    typed = "First user query\nSecond user query\n"
    done = subprocess.run(
        command, input=typed, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    # The card's 49 ids, with our system text in the place of its own: 1, "Source: system", 13, 13, the text, 32015.
    system = engine.tokenizer.encode_raw("\n\n " + SYSTEM["content"])
    assert engine.prompts[-1] == [1, 7562, 29901, 1788, *system, *CARD["ids_70b"][8:]]


def prompted(folder: Path, file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = program("-m", "lsp_server", "prompt", "--model", str(folder), "--messages", str(file), *words)
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize("chat_format", ["inst", "source-step"])
@pytest.mark.parametrize(
    "name", ["card_dialog", "no_system_5", "empty_system", "ws_user", "empty_assistant", "strip_all", "dest_assistant"]
)
def test_the_command_line_shows_them(
    tokenizer_folder: Callable[..., Path], tmp_path: Path, name: str, chat_format: str
) -> None:
    vector = next(vector for vector in VECTORS["vectors"] if vector["id"] == name)
    (tmp_path / "dialog.json").write_text(json.dumps(vector["dialog"]))
    folder = tokenizer_folder("7b" if chat_format == "inst" else "70b")
    shown = json.loads(prompted(folder, tmp_path / "dialog.json", "--json").stdout)
    assert shown["ids"] == vector[IDS[chat_format]]
    assert shown["kind"] == "chat"
    assert shown["stopIds"][0] == (2 if chat_format == "inst" else 32015)


async def test_the_command_line_shows_what_the_chat_sends_of_marks(
    load: Callable[[str], CodeLlamaTokenizer], tokenizer_folder: Callable[..., Path], tmp_path: Path
) -> None:
    marks = "why [/INST]\nSource: user\n<<SYS>> <PRE> </s>"
    said = [*(("user", marks), ("assistant", f"So: {marks}")), ("user", "And \\[INST]?")]
    dialog = [{"role": role, "content": content} for role, content in said]
    (tmp_path / "dialog.json").write_text(json.dumps([{"role": "system", "content": marks}, *dialog]))
    (tmp_path / "work").mkdir()
    for chat_format, kind in (("inst", "7b"), ("source-step", "70b")):
        engine, folder = Engine(load(chat_format)), tokenizer_folder(kind)
        with engine.running() as url:
            given = {"engineUrl": url, "tokenizer": str(folder), "chatFormat": chat_format, "systemPrompt": marks}
            async with editor(tmp_path / "data", tmp_path / "work", **given) as window:
                engine.answer = dialog[1]["content"]
                first = await window.chat("send", message=dialog[0]["content"])
                more = {"conversationId": first["conversationId"]}
                await window.chat("send", message=dialog[2]["content"], **more)
        asked = prompted(folder, tmp_path / "dialog.json", "--json", "--chat-format", chat_format)
        assert json.loads(asked.stdout)["ids"] == engine.prompts[-1]


def test_the_command_line_says_when_a_model_does_not_chat(
    tokenizer_folder: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "dialog.json").write_text(json.dumps(CARD["dialog"]))
    asked = prompted(tokenizer_folder("7b"), tmp_path / "dialog.json")
    assert asked.returncode == 0
    assert asked.stdout.startswith("<s> [INST] <<SYS>>\nSystem prompt")
    assert "is not known to be an Instruct variant" in " ".join(asked.stderr.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not valid JSON"),
        ("\udcff", "is not UTF-8"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"messages": []}', 'should hold a list of messages, [{"role": "user", "content": "..."}, ...]'),
        ("[]", "The dialog is empty"),
        ('["hello"]', "Message 1 must be an object with a role and a content."),
        ('[{"role": "tool", "content": "x"}]', "Message 1 has the unknown role 'tool'"),
        ('[{"role": ["user"], "content": "x"}]', "Message 1 has the unknown role ['user']"),
        ('[{"role": "user", "content": [1]}]', "Message 1 must have a text as its content."),
        ('[{"role": "user", "content": "x", "destination": 3}]', "Message 1 must have a text as its destination."),
        ('[{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]', "Message 2 is by the user"),
        ('[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]', "must be the user's"),
    ],
)
def test_a_wrong_file_of_messages_is_told_in_one_line(
    tokenizer_folder: Callable[..., Path], tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "dialog.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    asked = prompted(tokenizer_folder("70b"), tmp_path / "dialog.json")
    (line,) = asked.stderr.splitlines()
    assert (asked.returncode, asked.stdout) == (1, "")
    assert line.startswith("codellama-ls: ")
    assert str(tmp_path / "dialog.json") in line
    assert says in line


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
def test_what_is_no_file_of_messages_is_told_at_once(tokenizer_folder: Callable[..., Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, says in (("fifo", "is no regular file"), (".", "is no regular file"), ("missing.json", "There is no")):
        asked = prompted(tokenizer_folder("70b"), tmp_path / name)
        (line,) = asked.stderr.splitlines()
        assert asked.returncode == 1
        assert says in line
    both = prompted(tokenizer_folder("70b"), tmp_path / "x", "a.py:1:1")
    assert both.returncode == 2
    assert "not allowed with" in both.stderr
