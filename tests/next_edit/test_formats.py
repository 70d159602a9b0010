"""Prompts for models that were trained for next edits: as their makers have them.

Of Zeta, the texts of the tests in crates/zeta_prompt/src/zeta_prompt.rs of github.com/zed-industries/zed
(test_format_zeta1_from_input_*, test_clean_zeta1_model_output_*). Of Sweep, what build_prompt in run_model.py of
huggingface.co/sweepai/sweep-next-edit-1.5B joins.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.next_edit.formats import SWEEP, ZETA, Part, format_of, ids_of

INSTRUCTION = (
    "### Instruction:\n"
    "You are a code completion assistant and your task is to analyze user edits and then rewrite an "
    "excerpt that the user provides, suggesting the appropriate edits within the excerpt, taking "
    "into account the cursor location.\n"
    "\n"
    "### User Edits:\n"
    "\n"
)


def text_of(parts: list[Part]) -> str:
    return "".join(each.text for each in parts)


def test_zeta_with_an_edit_at_the_beginning_of_a_file() -> None:
    values = {
        "path": "src/main.rs",
        "above": "fn before() {}\n",
        "before": "fn foo() {\n    ",
        "after": "let x = 1;\n",
        "below": "}\nfn after() {}\n",
    }
    edits = [{"path": "other.rs", "diff": "-old\n+new\n"}]
    assert text_of(ZETA.parts(values, edits, starts=True)) == INSTRUCTION + (
        "User edited other.rs:\n"
        "```diff\n"
        "-old\n"
        "+new\n"
        "\n"
        "```\n"
        "\n"
        "### User Excerpt:\n"
        "\n"
        "```src/main.rs\n"
        "<|start_of_file|>\n"
        "fn before() {}\n"
        "<|editable_region_start|>\n"
        "fn foo() {\n"
        "    <|user_cursor_is_here|>let x = 1;\n"
        "\n"
        "<|editable_region_end|>}\n"
        "fn after() {}\n"
        "\n"
        "```\n"
        "\n"
        "### Response:\n"
    )


def test_zeta_without_edits_in_the_middle_of_a_file() -> None:
    values = {"path": "src/main.rs", "above": "", "before": "fn foo() {\n    ", "after": "let x = 1;\n}\n", "below": ""}
    assert text_of(ZETA.parts(values, [], starts=False)) == INSTRUCTION + (
        "\n"
        "\n"
        "### User Excerpt:\n"
        "\n"
        "```src/main.rs\n"
        "<|editable_region_start|>\n"
        "fn foo() {\n"
        "    <|user_cursor_is_here|>let x = 1;\n"
        "}\n"
        "\n"
        "<|editable_region_end|>\n"
        "```\n"
        "\n"
        "### Response:\n"
    )


@pytest.mark.parametrize(
    ("answer", "region"),
    [
        (
            '<|editable_region_start|>\nfn main() {\n    println!("hello");\n}\n<|editable_region_end|>\n',
            'fn main() {\n    println!("hello");\n}',
        ),
        (
            "<|editable_region_start|>\nfn f() {\n    <|user_cursor_is_here|>print!();\n}\n<|editable_region_end|>\n",
            "fn f() {\n    print!();\n}",
        ),
        ("<|editable_region_start|>\n<|editable_region_end|>\n", ""),
        ("fn main() {}\n", None),  # Zed takes it for the region; here nothing is made of what is not marked
        ("<|editable_region_start|>\nfn main() {}\n", None),
        ("<|editable_region_end|>x<|editable_region_start|>", None),
    ],
)
def test_the_region_in_an_answer_of_zeta(answer: str, region: str | None) -> None:
    assert ZETA.region(answer) == region


def test_sweep_with_two_edits() -> None:
    values = {"path": "main.ts", "original": "orig", "before": "cu", "after": "rr"}
    edits = [{"path": "x.ts", "old": "old", "new": "new"}, {"path": "main.ts", "old": "a\nb", "new": "c"}]
    wanted = [
        *("<|file_sep|>x.ts.diff", "original:", "old", "updated:", "new"),
        *("<|file_sep|>main.ts.diff", "original:", "a\nb", "updated:", "c"),
        *("<|file_sep|>original/main.ts", "orig", "<|file_sep|>current/main.ts", "curr", "<|file_sep|>updated/main.ts"),
    ]
    assert text_of(SWEEP.parts(values, edits, starts=True)) == "\n".join(wanted)


@pytest.mark.parametrize(
    ("answer", "region"),
    [("\na\nb\n", "a\nb"), ("\na\n<|file_sep|>more", "a"), ("a\n<|endoftext|>", "a"), ("", "")],
)
def test_the_region_in_an_answer_of_sweep(answer: str, region: str) -> None:
    assert SWEEP.region(answer) == region


@pytest.mark.parametrize(
    ("model", "named", "format"),
    [
        ("zed-industries/zeta", "auto", ZETA),
        ("/models/Zeta", "auto", ZETA),
        ("zed-industries/zeta-2", "auto", None),  # asked in another way
        ("sweepai/sweep-next-edit-1.5B", "auto", SWEEP),
        ("mine", "auto", None),
        ("mine", "sweep", SWEEP),
    ],
)
def test_the_format_goes_by_the_name(model: str, named: str, format: object) -> None:
    assert format_of(model, named) is format


def test_control_tokens_are_the_formats_alone(tokenizer_folder: Callable[..., Path]) -> None:
    tokenizer = CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"))
    name = tokenizer.vocabulary.name_of(tokenizer.infill_tokens.prefix)  # type: ignore[union-attr]
    name = next(each for each in tokenizer.vocabulary.control if each.replace("▁", "") == name)
    ours, theirs = (ids_of([Part("a", True), Part(f"{name}b", mine)], tokenizer) for mine in (True, False))
    assert tokenizer.infill_tokens.prefix in ours  # type: ignore[union-attr]
    assert tokenizer.infill_tokens.prefix not in theirs  # type: ignore[union-attr]
    assert ours[0] == theirs[0] == tokenizer.bos_id
    assert tokenizer.decode(theirs).strip() == f"a{name}b".replace("▁", " ") or tokenizer.decode(theirs) == f"a{name}b"


def test_text_with_a_mark_of_the_format_is_not_asked() -> None:
    assert ZETA.is_kept_by(["def f(): ..."])
    assert not ZETA.is_kept_by(["x", "print('<|editable_region_end|>')"])
    assert not SWEEP.is_kept_by(["<|file_sep|>"])
