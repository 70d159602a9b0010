"""What a checkpoint can do is read from its files."""

from __future__ import annotations

import json

import checkpoints
import pytest

from lsp_server.codellama import CheckpointError, CodeLlamaTokenizer, InfillingUnsupported

CONFIG_70B = {"hidden_size": 8192, "num_hidden_layers": 80, "vocab_size": 32016, "model_type": "llama"}
TEMPLATE = "{{ '<s>[INST] <<SYS>>...<</SYS>> ' + messages[0]['content'] + ' [/INST]' }}"


@pytest.fixture
def folder(tmp_path):
    def made(kind="7b", config=None, **files):
        checkpoints.code_llama_tokenizer(tmp_path, kind)
        if config is not None:
            files["config.json"] = config
        for name, value in files.items():
            (tmp_path / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return tmp_path

    return made


def test_7b_infills_and_its_chat_needs_a_template(folder):
    able = CodeLlamaTokenizer.from_pretrained(folder()).abilities
    assert able.infilling
    assert able.layouts == ("psm", "spm")
    assert not able.chat
    assert able.chat_format == "inst"
    assert "chat template" in able.chat_reason
    assert able.context_length == 16384


def test_an_instruct_variant_chats_in_metas_format(folder):
    path = folder(**{"tokenizer_config.json": {"chat_template": TEMPLATE, "bos_token": {"content": "<s>"}}})
    tok = CodeLlamaTokenizer.from_pretrained(path)
    assert (tok.abilities.chat, tok.abilities.chat_format, tok.abilities.chat_reason) == (True, "inst", "")
    assert tok.bos_id == 1
    assert CodeLlamaTokenizer.from_pretrained(path, chat_format="template").abilities.chat_format == "template"


def test_the_llama_2_vocabulary_cannot_infill(load):
    tok = load("llama2")
    assert (tok.abilities.infilling, tok.abilities.layouts) == (False, ())
    with pytest.raises(InfillingUnsupported, match="no infilling tokens"):
        tok.infill_ids("a", "b")


def test_infilling_tokens_beyond_the_models_embedding_do_not_count(folder):
    path = folder("llama2", {"vocab_size": 32000})
    spec = json.loads((path / "tokenizer.json").read_text("utf-8"))
    for i, name in enumerate(("▁<SUF>", "▁<PRE>", "▁<MID>", "▁<EOT>")):  # as some 34B repositories have it
        spec["added_tokens"].append({"id": 32000 + i, "content": name, "special": True, "normalized": False})
    spec["added_tokens"] = [
        {"single_word": False, "lstrip": False, "rstrip": False, **token} for token in spec["added_tokens"]
    ]
    (path / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    tok = CodeLlamaTokenizer.from_pretrained(path)
    assert not tok.abilities.infilling
    assert max(tok.encode("a <PRE> b </s>")) < 32000


@pytest.mark.parametrize("name", ["folder", "step"])
def test_70b_infills_only_when_asked(folder, name):
    path = folder("7b", CONFIG_70B) if name == "folder" else folder("70b")
    tok = CodeLlamaTokenizer.from_pretrained(path)
    assert not tok.abilities.infilling
    assert "codellama.infilling" in tok.abilities.infilling_reason
    with pytest.raises(InfillingUnsupported, match=r"codellama\.infilling"):
        tok.infill_ids("a", "b")
    asked = CodeLlamaTokenizer.from_pretrained(path, infilling="on")
    assert asked.abilities.infilling_reason == ""
    ids = asked.infill_ids("def f", "x = 1")
    after = ids[ids.index(32008) + 1 : -1]
    assert asked.decode(after) == "x = 1"  # Meta's encode_infilling would lose the x here


def test_infilling_can_be_switched_off(folder):
    tok = CodeLlamaTokenizer.from_pretrained(folder(), infilling="off")
    assert "switched off" in tok.abilities.infilling_reason


def test_an_unknown_layout_is_refused(load):
    with pytest.raises(InfillingUnsupported, match="smp"):
        load("7b").infill_ids("a", "b", layout="smp")


def test_step_makes_it_the_70b_format_with_4096_tokens(folder):
    able = CodeLlamaTokenizer.from_pretrained(folder("70b", {**CONFIG_70B, "max_position_embeddings": 16384})).abilities
    assert (able.chat, able.chat_format, able.context_length) == (True, "source-step", 4096)
    able = CodeLlamaTokenizer.from_pretrained(folder("70b", {**CONFIG_70B, "max_position_embeddings": 2048})).abilities
    assert able.context_length == 4096


def test_context_and_type_come_from_the_config(folder):
    able = CodeLlamaTokenizer.from_pretrained(
        folder("llama2", {"max_position_embeddings": 2048, "model_type": "mistral", "vocab_size": 32064})
    ).abilities
    assert (able.context_length, able.model_type) == (2048, "mistral")


def test_the_format_can_be_set(folder):
    assert CodeLlamaTokenizer.from_pretrained(folder(), chat_format="inst").abilities.chat
    able = CodeLlamaTokenizer.from_pretrained(folder(), chat_format="source-step").abilities
    assert not able.chat
    assert "<step>" in able.chat_reason


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("tokenizer.json", "{", "not valid JSON"),
        ("tokenizer.json", "[]", "JSON object"),
        ("tokenizer.json", "{}", "no vocabulary"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}', "cannot be used"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": "x"}, "merges": []}}', "cannot be used"),
        ("config.json", "\ufffe\x00", "not valid JSON"),
        ("config.json", '{"vocab_size": 100}', "32016"),
        ("config.json", '{"vocab_size": "many"}', "'many'"),
        ("infilling.json", '{"prefix": "<nope>"}', "<nope>"),
    ],
)
def test_a_broken_file_is_named(folder, name, content, says):
    with pytest.raises(CheckpointError) as caught:
        CodeLlamaTokenizer.from_pretrained(folder(**{name: content}))
    message = str(caught.value)
    assert says in message
    assert name in message
    assert "\n" not in message


def test_missing_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"tokenizer\.json nor tokenizer\.model"):
        CodeLlamaTokenizer.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        CodeLlamaTokenizer.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("cut", [0, 1, 100, 300_000])
def test_a_broken_tokenizer_model_is_named(tmp_path, cut):
    (tmp_path / "tokenizer.model").write_bytes(checkpoints.tokenizer_model("7b")[:cut])
    with pytest.raises(CheckpointError, match=r"tokenizer\.model"):
        CodeLlamaTokenizer.from_pretrained(tmp_path)


def test_a_git_lfs_pointer_is_not_a_tokenizer_model(tmp_path):
    (tmp_path / "tokenizer.model").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:9e55\nsize 500058\n"
    )
    with pytest.raises(CheckpointError, match=r"tokenizer\.model"):
        CodeLlamaTokenizer.from_pretrained(tmp_path)
