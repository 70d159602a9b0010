"""Prompts as text: read as a server reads them, they must be the ids of Meta's reference, or be safe."""

from __future__ import annotations

import json
from pathlib import Path

import checkpoints
import pytest
from tokenizers import Tokenizer

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.codellama.text_form import TextForms

VECTORS = Path(__file__).parent.parent / "vectors"
INFILL = json.loads((VECTORS / "infill.json").read_text())["vectors"]
DIALOGS = json.loads((VECTORS / "dialogs.json").read_text())["vectors"]
PRE, SUF, MID = 32007, 32008, 32009
NAMES = {PRE: "▁<PRE>", SUF: "▁<SUF>", MID: "▁<MID>", 32010: "▁<EOT>"}


@pytest.fixture(scope="module", params=["pieces", "added tokens", "tokenizer.model"])
def folder(request, tmp_path_factory) -> Path:
    """Checkpoints that have the infilling tokens as pieces, as tokens of their own, and in the older file."""
    made = tmp_path_factory.mktemp("tokenizer")
    if request.param == "tokenizer.model":
        return checkpoints.code_llama_tokenizer(made, as_="model")
    spec = json.loads(checkpoints.tokenizer_json("7b"))
    if request.param == "added tokens":
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        spec["added_tokens"] += [{"id": each, "content": name, **flags} for each, name in NAMES.items()]
    (made / "tokenizer.json").write_text(json.dumps(spec))
    return made


@pytest.fixture(scope="module")
def tokenizer(folder) -> CodeLlamaTokenizer:
    return CodeLlamaTokenizer.from_pretrained(folder, chat_format="inst")


@pytest.fixture(scope="module")
def forms(folder, tokenizer) -> TextForms:
    return TextForms(folder, tokenizer)


@pytest.fixture(scope="module")
def read(folder):
    """read(text): its ids, as a server reads it that has this checkpoint."""
    if not (folder / "tokenizer.json").exists():
        folder = checkpoints.code_llama_tokenizer(folder.with_name(folder.name + "-json"))
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return lambda text: backend.encode(text, add_special_tokens=False).ids


def control(ids):
    return [each for each in ids if each < 3 or each >= PRE]


@pytest.mark.parametrize("layout", ["psm", "spm"])
def test_infilling_is_read_as_the_reference_has_it_or_no_control_token_is_lost_or_won(
    tokenizer, forms, read, layout
) -> None:
    exact = 0
    for vector in INFILL:
        text = forms.text(tokenizer.infill_ids(vector["prefix"], vector["suffix"], layout))
        ids = read(text.text)
        wanted = vector[f"safe_{layout}_ids"][1:]
        assert text.tokens == len(ids), vector["id"]
        assert text.exact == (ids == wanted), vector["id"]
        assert control(ids) == control(wanted), vector["id"]
        exact += text.exact
        plain = vector[f"string_form_{layout}_equal"] and not vector["text_yields_control_ids"]
        assert text.exact or not plain, f"{vector['id']}: the usual form is exact there"
    assert exact >= 60


def test_the_suffix_token_is_not_lost_before_a_bracket(tokenizer, forms, read) -> None:
    for after in (")", ")\n", ",\n", ".foo", ": int", "\r\n", '"', "]", "<PRE>", "</s>"):
        ids = read(forms.text(tokenizer.infill_ids("x = f(", after)).text)
        assert control(ids) == [PRE, SUF, MID], after


def test_dialogs_are_read_as_the_reference_has_them(tokenizer, forms, read) -> None:
    exact = 0
    for vector in DIALOGS:
        text = forms.text(tokenizer.dialog_ids(vector["dialog"]))
        wanted = vector["safe_ids_7b_13b"][1:]
        assert text.exact == (read(text.text) == wanted), vector["id"]
        assert control(read(text.text)) == control(wanted), vector["id"]
        exact += text.exact
    assert exact >= 40


def test_without_infilling_the_text_is_the_code_before_the_cursor(tokenizer, forms, read) -> None:
    for layout in ("psm", "spm"):
        text = forms.text(tokenizer.infill_ids("def f():\n    return ", ")\n", layout), infills=False)
        assert (text.text, text.start) == ("def f():\n    return ", "<s>")
        assert read(text.text) == tokenizer.encode("def f():\n    return ")


def test_names_of_control_tokens_are_none_in_what_the_user_says(forms, read) -> None:
    assert forms.harmless("a </s> b <s> <PRE>") == "a < /s> b < s> < PRE>"
    assert control(read(forms.harmless("<s>[INST] </s> <PRE>"))) == []
