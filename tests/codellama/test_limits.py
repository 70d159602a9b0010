"""What strangers put into a checkpoint costs little time and memory, and ends in one sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any

import checkpoints
import pytest

from lsp_server.codellama import CheckpointError, CodeLlamaTokenizer, DialogError, ModelShape, renderer
from lsp_server.codellama.patterns import is_linear

pytestmark = pytest.mark.timeout(60)

CHATML = ["<|im_start|>", "<|im_end|>"]
QUESTION = [{"role": "user", "content": "hello"}]
Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Write:
    """folder(change, **files): a small checkpoint whose tokenizer.json is changed, and which has these files too."""

    def written(change: Callable[[dict[str, Any]], Any] | None = None, **files: Any) -> Path:
        checkpoints.byte_level_tokenizer(tmp_path, CHATML)
        if change is not None:
            spec = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
            change(spec)
            (tmp_path / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
        for name, value in files.items():
            file = name.replace("__", ".")
            (tmp_path / file).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return tmp_path

    return written


def refused(path: Path, kind: type[Exception] = CheckpointError) -> str:
    """The one sentence with which a checkpoint is refused, when it is read or when it is asked for a dialog."""
    with pytest.raises(kind) as caught:
        CodeLlamaTokenizer.from_pretrained(path, chat_format="auto").dialog_ids(QUESTION)
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 700 + len(str(path))
    return said


EVIL = {"type": "Split", "pattern": {"Regex": "(a|a?)+$"}, "behavior": "Isolated", "invert": False}
# The library reads one list of steps or the other, depending on where it is.
BESIDE = {"type": "Sequence", "normalizers": [{"type": "Digits"}], "pretokenizers": [EVIL]}


def pre_tokenizer(pattern: dict[str, Any], **more: Any) -> Callable[[dict[str, Any]], Any]:
    """A tokenizer.json in which texts are split by `pattern`."""
    step = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False, **more}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return lambda spec: spec.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [step, level]})


def normalizer(*steps: dict[str, Any]) -> Callable[[dict[str, Any]], Any]:
    return lambda spec: spec.update(normalizer={"type": "Sequence", "normalizers": list(steps)})


def replace(content: str, **pattern: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s["model"]["vocab"].update(x=2**60), "'x' has the id 1152921504606846976, which should be a whole"),
        (lambda s: s["model"]["vocab"].update(x=-1), "'x' has the id -1"),
        (lambda s: s["model"]["vocab"].update(x=1.5), "'x' has the id 1.5"),
        (lambda s: s["model"]["vocab"].update(x=True), "'x' has the id True"),
        (lambda s: s["model"]["vocab"].update(x=None), "'x' has the id None"),
        (lambda s: s["model"]["vocab"].update(x=[1] * 10_000), "'x' has the id [1, 1"),
        (lambda s: s["model"]["vocab"].update({"x" * 100_000: 9000}), "more than 1024 characters"),
        (lambda s: s["model"].update(vocab=[1, 2]), "pieces with their scores"),
        (lambda s: s["model"].update(vocab=[[["a"], 0.0]]), "not a text"),
        (lambda s: s["model"].update(type="Fancy"), "'Fancy'"),
        (lambda s: s["model"].update(type=["BPE"]), "['BPE']"),
        (lambda s: s["model"].update(type="WordPiece", max_input_chars_per_word=10**9), "'WordPiece'"),
        (lambda s: s["model"].update(merges=10**9), "pairs of pieces"),
        (lambda s: s["model"].update(merges=[["a"]]), "pairs of pieces"),
        (lambda s: s["model"].update(merges=[["a", 1]]), "pairs of pieces"),
        (lambda s: s["model"].update(merges=[["a", "nope"]]), "cannot be used"),
        (lambda s: s["model"].update(continuing_subword_prefix="#" * 10_000), "continuing_subword_prefix"),
        (lambda s: s.update(added_tokens=["<x>"]), "should be an object"),
        (lambda s: s.update(added_tokens={"<x>": 1}), "should be a list"),
        (lambda s: s.update(added_tokens=[{"id": 2**60, "content": "<x>"}]), "'<x>' has the id 1152921504606846976"),
        (lambda s: s.update(added_tokens=[{"id": -5, "content": "<x>"}]), "'<x>' has the id -5"),
        (lambda s: s.update(added_tokens=[{"content": "<x>"}]), "'<x>' has the id None"),
        (lambda s: s.update(added_tokens=[{"id": 1, "content": 7}]), "a text as its content"),
        (lambda s: s.update(added_tokens=[{"id": 1, "content": ""}]), "a text as its content"),
        (lambda s: s.update(added_tokens=[{"id": 1, "content": "<" * 5000}]), "more than 128 characters"),
        (lambda s: s.update(added_tokens=[{"id": 1, "content": "<x>"}] * 200_000), "at most 131072"),
        (lambda s: s.update(post_processor={"type": "TemplateProcessing", "single": 3}), "cannot be used"),
        (pre_tokenizer({"Regex": "(a+)+$"}), "its regular expression '(a+)+$' is not known to end"),
        (pre_tokenizer({"Regex": "(a+)+$"}, pretokenizers=[{"type": "Digits"}]), "is not known to end"),
        (lambda s: s.update(pre_tokenizer=BESIDE), "is not known to end"),
        (lambda s: s.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [BESIDE]}), "is not known to end"),
        (lambda s: s["model"].pop("type") and s["model"].pop("merges"), "cannot be used"),
        (pre_tokenizer({"Regex": "("}), "is not known to end"),
        (pre_tokenizer({"Regex": 3}), "neither a text nor a regular expression"),
        (pre_tokenizer({"String": ""}), "an empty or a very long text"),
        (lambda s: s.update(pre_tokenizer={"type": "FixedLength", "length": 0}), "'FixedLength'"),
        (normalizer(replace("", Regex="(.*)*x")), "is not known to end"),
        (normalizer(*[replace("aaaa", String="a")] * 10), "many times longer"),
        (normalizer(*[{"type": "ByteLevel"}] * 8), "many times longer"),
        (normalizer(*[{"type": "NFC"}] * 100), "more than 16 steps"),
        (normalizer({"type": "Prepend", "prepend": "x" * 10_000}), "many times longer"),
        (normalizer({"type": "Precompiled", "precompiled_charsmap": "/////w=="}), "'Precompiled'"),
    ],
)
def test_an_absurd_tokenizer_json_is_refused(folder: Write, change: Callable[[dict[str, Any]], Any], says: str) -> None:
    said = refused(folder(change))
    assert says in said
    assert "tokenizer.json" in said


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"tokenizer__json": "[" * 1_000_000}, "tokenizer.json is nested too deeply"),
        ({"config__json": '{"a":' * 200_000}, "config.json is nested too deeply"),
        ({"config__json": "[" + "[],".join([""] * 8_000_001) + "[]]"}, "is larger than 16 MB"),
        ({"tokenizer__json": "[" + "[]," * 4_000_000 + "[]]"}, "tokenizer.json holds more than 8,000,000 values"),
        ({"config__json": {"vocab_size": 2**70}}, "1180591620717411303424 as vocab_size"),
        ({"config__json": {"vocab_size": 1e3}}, "1000.0 as vocab_size"),
        ({"config__json": {"vocab_size": True}}, "True as vocab_size"),
        ({"config__json": {"vocab_size": [0] * 100_000}}, "as vocab_size"),
        ({"config__json": {"max_position_embeddings": 10**30}}, "as max_position_embeddings"),
        ({"config__json": {"max_position_embeddings": -1}}, "-1 as max_position_embeddings"),
        ({"config__json": {"max_position_embeddings": "4096"}}, "'4096' as max_position_embeddings"),
        ({"tokenizer_config__json": {"added_tokens_decoder": [1]}}, "tokenizer_config.json cannot be used"),
        ({"tokenizer_config__json": {"added_tokens_decoder": {"x": {"content": "<a>"}}}}, "tokenizer_config.json"),
        (
            {"tokenizer_config__json": {"added_tokens_decoder": {"9" * 5000: {"content": "<a>"}}}},
            "tokenizer_config.json",
        ),
        ({"tokenizer_config__json": {"added_tokens_decoder": {"900": "<a>"}}}, "should be an object"),
        ({"tokenizer_config__json": {"chat_template": "x" * 2_000_000}}, "larger than 1 MB"),
        ({"chat_template__jinja": "x" * 2_000_000}, "chat_template.jinja is larger than 1 MB"),
        ({"infilling__json": {"prefix": ["<a>"] * 100_000}}, "infilling.json names"),
        ({"infilling__json": {"prefix": 3}}, "infilling.json names 3 as the prefix token"),
        ({"infilling__json": [1]}, "infilling.json should hold a JSON object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_absurd_file_beside_it_is_refused(folder: Write, files: dict[str, Any], says: str) -> None:
    assert says in refused(folder(**files))


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize(
    "name", ["tokenizer.json", "config.json", "tokenizer_config.json", "chat_template.jinja", "infilling.json"]
)
def test_what_is_no_file_is_not_waited_for(folder: Write, name: str) -> None:
    path = folder()
    (path / name).unlink(missing_ok=True)
    os.mkfifo(path / name)
    assert f"{name} is no regular file" in refused(path)
    (path / name).unlink()
    (path / name).symlink_to("/dev/zero")
    assert f"{name} is no regular file" in refused(path)


@pytest.mark.parametrize(
    "values",
    [{"rope_theta": 10**400}, {"rope_theta": float("nan")}, {"num_hidden_layers": 10**30}, {"hidden_size": 8.0}],
)
def test_a_shape_that_no_model_has_is_refused(values: dict[str, Any]) -> None:
    config = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 32}
    assert ModelShape.from_config(config).layers == 1
    with pytest.raises(CheckpointError, match=next(iter(values))):
        ModelShape.from_config({**config, **values})


LLAMA_LIKE = b"\x12\x02\x18\x02\x1a\x02\x20\x00"
"""The rest of a tokenizer.model: BPE, white space kept."""


def fields(number: int, value: bytes, count: int) -> bytes:
    size = len(value)
    assert size < 128
    return (bytes([number << 3 | 2, size]) + value) * count


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (fields(1, b"", 8_000_000), "is not a SentencePiece model"),
        (fields(3, b"\x18\x01" * 60, 130_000), "is not a SentencePiece model"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "is not a SentencePiece model"),
        (b"\x0a" + b"\xff" * 1_000_000, "is not a SentencePiece model"),
        (b"\x0a\xc4\x13\x0a\xc1\x13" + b"a" * 2500, "is not a SentencePiece model"),
        (b"\x00" * 20_000_000, "is larger than 16 MB"),
        (fields(1, b"\x0a\x64" + b"a" * 100, 60_000) + LLAMA_LIKE, "4,000,000 characters"),
    ],
    ids=range(7),
)
def test_an_absurd_tokenizer_model_is_refused(tmp_path: Path, raw: bytes, says: str) -> None:
    (tmp_path / "tokenizer.model").write_bytes(raw)
    assert says in refused(tmp_path)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "it takes more than 3 s"),
        ("{{ strftime_now('%Y' * 500000) }}", "the time in a form of more than 200 characters"),
        ("{{ 'a' * 10**10 }}", "a value of more than 1048576 parts"),
        ("{{ 2 ** (2 ** 70) }}", "a value of more than 1048576 parts"),
        ("{% for a in range(99999) %}{{ 'a' * 1000 }}{% endfor %}", "it writes more than 4194304 characters"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself without an end"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "nested too deeply"),
        ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "unsafe"),
        ("{{ raise_exception('no\n' * 1000) }}", "no no no"),
        ("{% include '/etc/passwd' %}", "no loader"),
        pytest.param(
            "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
            "512 MB of memory",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory"),
        ),
        pytest.param(
            "{{ '%1000000000d' % 1 }}",
            "512 MB of memory",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory"),
        ),
    ],
)
def test_a_template_that_never_ends_or_takes_everything_is_ended(folder: Write, template: str, says: str) -> None:
    path = folder(tokenizer_config__json={"chat_template": template})
    assert says in refused(path, DialogError)
    fine = folder(tokenizer_config__json={"chat_template": "{{ messages[0].content }}"})
    tokenizer = CodeLlamaTokenizer.from_pretrained(fine)
    assert tokenizer.decode(tokenizer.dialog_ids(QUESTION)) == "hello", "the next one is rendered as ever"


def test_templates_share_one_process_that_is_started_again_when_it_is_gone(folder: Write) -> None:
    path = folder(tokenizer_config__json={"chat_template": "{{ messages[0].content }}"})
    tokenizer = CodeLlamaTokenizer.from_pretrained(path)
    tokenizer.dialog_ids(QUESTION)
    first = renderer._PROCESS._child
    assert first is not None
    tokenizer.dialog_ids(QUESTION)
    assert renderer._PROCESS._child is first
    first.kill()
    time.sleep(0.1)
    assert tokenizer.decode(tokenizer.dialog_ids(QUESTION)) == "hello"
    assert renderer._PROCESS._child is not first


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_machine_that_is_busy_is_not_the_fault_of_a_template(folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tokenizer_config__json={"chat_template": "{{ messages[0].content }}"})
    tokenizer = CodeLlamaTokenizer.from_pretrained(path)
    tokenizer.dialog_ids(QUESTION)
    child = renderer._PROCESS._child
    assert child is not None
    child.send_signal(signal.SIGSTOP)  # has no time at all, as others have it
    Timer(7, child.send_signal, [signal.SIGCONT]).start()
    assert tokenizer.decode(tokenizer.dialog_ids(QUESTION)) == "hello"
    child.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(renderer, "SECONDS", 1)
    with pytest.raises(DialogError, match=r"not done within 1 s: try again when this machine is less busy"):
        tokenizer.dialog_ids(QUESTION)


def test_the_process_runs_nothing_of_the_working_folder_and_ends_with_its_owner(folder: Write, tmp_path: Path) -> None:
    path = folder(tokenizer_config__json={"chat_template": "{{ messages[0].content }}"})
    (tmp_path / "work").mkdir()
    for name in ("jinja2", "json", "sitecustomize", "markupsafe"):
        (tmp_path / "work" / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name}')\n")
    code = (
        "import os, sys; from lsp_server.codellama import CodeLlamaTokenizer, renderer\n"
        f"os.chdir({str(tmp_path / 'work')!r})\n"
        "os.environ['PYTHONPATH'] = os.getcwd()\n"
        f"CodeLlamaTokenizer.from_pretrained({str(path)!r}).dialog_ids([{{'role': 'user', 'content': 'x'}}])\n"
        "print(renderer._PROCESS._child.pid)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()
    if os.name == "posix":
        with pytest.raises(ProcessLookupError):
            os.kill(int(done.stdout), 0)


GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
GPT_4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = GPT_4O.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK_3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    r"""|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
KNOWN = [GPT_2, LLAMA_3, LLAMA_3.replace("{1,3}", ""), LLAMA_3.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+"), GPT_4O, TEKKEN]
KNOWN += [
    DEEPSEEK_3,
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"[\r\n]",
    r"\s?\p{L}+",
    r"\s?\p{P}+",
    r"\p{N}",
    "[0-9][0-9][0-9]",
    " {2,}",
]
ENDLESS = [
    "(a+)+$",
    "(a|a)*b",
    "(?:a*)*",
    r"\s*[\r\n]+",
    r"\s+(?!\S)",
    r"\s+|\s*[\r\n]+",
    "a?" * 30 + "a" * 30,
    "a*a*b",
]
ENDLESS += [
    "a+b",
    "a+?",
    "a++",
    "[^a]*[^b]*c",
    "a{0,9}b{0,9}c",
    "a{1,100000}",
    "(?=a)",
    r"(a)\1",
    "[a&&b]",
    "a{9,}b",
    "x" * 600,
]


@pytest.mark.parametrize("pattern", KNOWN)
def test_the_patterns_that_models_use_are_run(folder: Write, pattern: str) -> None:
    assert is_linear(pattern)
    tokenizer = CodeLlamaTokenizer.from_pretrained(folder(pre_tokenizer({"Regex": pattern})))
    text = "def add(self, x1):\r\n\t    return 'It's' + 数字 # 12345\n\n"
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("pattern", ENDLESS)
def test_patterns_that_may_go_back_and_forth_are_not_run(pattern: str) -> None:
    assert not is_linear(pattern)


def test_a_panic_of_the_library_is_a_sentence(folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a pattern that it gives up at, which the check would not let through."""
    monkeypatch.setattr("lsp_server.codellama.tokenizer_json.is_linear", lambda pattern: True)
    tokenizer = CodeLlamaTokenizer.from_pretrained(folder(pre_tokenizer({"Regex": "(a+)+$"})))
    with pytest.raises(CheckpointError, match=r"cannot encode this text \(Onig: .*\); use another checkpoint\.$"):
        tokenizer.encode("a" * 40 + "b")
    path = folder(pre_tokenizer({"Regex": "(a+)+$"}), chat_template__jinja="{{ messages[0].content }}")
    with pytest.raises(DialogError, match="cannot encode this text"):
        CodeLlamaTokenizer.from_pretrained(path).dialog_ids([{"role": "user", "content": "a" * 40 + "b"}])


@pytest.mark.timeout(30)
def test_many_control_tokens_are_found_as_fast_as_few(folder: Write) -> None:
    """It took a comparison with each of them at each bracket: a minute."""
    names = [f"<|n{number}|>" for number in range(60_000)]
    added = [{"id": 1000 + at, "content": name, "special": True} for at, name in enumerate(names)]
    template = {"chat_template": "<|n7|>{{ messages[0].content }}<|n59999|>"}
    path = folder(lambda spec: spec.update(added_tokens=added), tokenizer_config__json=template)
    tokenizer = CodeLlamaTokenizer.from_pretrained(path)
    text = "<|nx" * 50_000 + "<|n3|>"
    ids = tokenizer.dialog_ids([{"role": "user", "content": text}])
    assert (ids[0], ids[-1]) == (1007, 60_999)
    assert tokenizer.decode(ids) == text
