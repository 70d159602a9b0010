"""What the model is asked for each action.

The files in `golden/` hold the prompts as the model sees them, control tokens visible, in the three formats. After an
intended change, write them anew with UPDATE_GOLDEN=1 and read the difference.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import checkpoints
import pytest

from lsp_server.actions.catalog import ACTIONS, Action, Diagnostic, action_of, own_actions
from lsp_server.actions.commit import Staged
from lsp_server.actions.preview import NoPrompt, Spot, preview
from lsp_server.actions.project import TestPlace
from lsp_server.actions.prompts import TooLong, build, commit_prompt
from lsp_server.actions.site import Task, site_of, task_of
from lsp_server.actions.wording import messages
from lsp_server.codellama import CodeLlamaTokenizer
from lsp_server.context.buffer import Buffer

GOLDEN = Path(__file__).parent / "golden"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
TYPESCRIPT = """\
import { readFile } from "fs/promises";
import { Item } from "./item";

export class Store {
  private items: Item[] = [];

  // keep the newest of those with the same name
  add(item: Item): void {
    this.items.push(item);
  }

  async load(path: string): Promise<void> {
    throw new Error("not implemented");
  }
}
"""
OWN = own_actions([{"title": "Use our logger", "instruction": "Replace console.log by our logger."}])[0]


@pytest.fixture(scope="session")
def tokenizers(
    tokenizer_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, CodeLlamaTokenizer]:
    own = checkpoints.byte_level_tokenizer(
        tmp_path_factory.mktemp("own"), ["<|im_start|>", "<|im_end|>"], template=TEMPLATE, eos_token="<|im_end|>"
    )
    return {
        "inst": CodeLlamaTokenizer.from_pretrained(tokenizer_folder("7b"), chat_format="inst"),
        "source-step": CodeLlamaTokenizer.from_pretrained(tokenizer_folder("70b")),
        "template": CodeLlamaTokenizer.from_pretrained(own),
    }


def task(id: str) -> Task:
    """The task of an action at a fitting place of the TypeScript above."""
    action = action_of(id, OWN)
    assert action is not None
    row, column = {"implement": (12, 4), "comment": (6, 4)}.get(id, (8, 6))
    found = [Diagnostic("Property 'items' is used before being assigned.", 8, 8, "ts", "2565")]
    buffer = Buffer("file:///src/store.ts", TYPESCRIPT, version=1, language_id="typescript")
    wanted = found if "diagnostic" in action.applies else []
    place = site_of(buffer, (row, column), (row, column), wanted)
    made = task_of(action, buffer, place, 0 if wanted else None, path="src/store.ts")
    assert made is not None
    tests = TestPlace("Vitest", "src/store.test.ts", False, reach="Import what you test from `./store`.")
    return dataclasses.replace(made, target="python", tests=tests if id == "tests" else None)


def prompt_of(id: str, tokenizer: CodeLlamaTokenizer) -> list[int]:
    if id == "commit":
        diff = "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
        return commit_prompt(tokenizer, 4096, Staged((("a.py", diff),), history=("fix: one", "feat: two"))).ids
    return build(task(id), tokenizer, 16384).ids


@pytest.mark.parametrize("chat_format", ["inst", "source-step", "template"])
@pytest.mark.parametrize("action", [*ACTIONS, *OWN], ids=lambda action: action.id)
def test_golden(tokenizers: dict[str, CodeLlamaTokenizer], action: Action, chat_format: str) -> None:
    shown = tokenizers[chat_format].shown(prompt_of(action.id, tokenizers[chat_format])) + "\n"
    file = GOLDEN / chat_format / f"{action.id.replace(':', '-').replace(' ', '-')}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    known = {f"{action.id.replace(':', '-').replace(' ', '-')}.txt" for action in (*ACTIONS, *OWN)}
    assert {file.name for file in GOLDEN.rglob("*.txt")} == known


def test_implement_infills_where_the_model_can(tokenizers: dict[str, CodeLlamaTokenizer]) -> None:
    made = build(task("implement"), tokenizers["inst"], 16384)
    assert made.kind == "spm"
    assert "not implemented" not in tokenizers["inst"].shown(made.ids)
    assert build(task("implement"), tokenizers["inst"], 16384, layout="psm").kind == "psm"
    assert build(task("implement"), tokenizers["source-step"], 4096).kind == "chat"


def test_a_body_is_infilled_behind_its_indentation_where_the_cut_is_healed(
    tokenizers: dict[str, CodeLlamaTokenizer],
) -> None:
    tokenizer = tokenizers["inst"]
    made = build(task("implement"), tokenizer, 16384)
    assert tokenizer.decode(made.ids).endswith("Promise<void> {\n    ")
    assert made.begun == "    "
    # In Code Llama's vocabulary four blanks before a word are three, and one of the word's own.
    assert made.heal == 1
    assert made.pending == "    "
    for other in ({"healing": False}, {"layout": "psm"}):
        plain = build(task("implement"), tokenizer, 16384, **other)
        assert (plain.heal, plain.pending, plain.begun) == (0, "", "")
        assert "Promise<void> {\n    " not in tokenizer.shown(plain.ids)


def test_code_cannot_end_its_turn_or_its_fence(tokenizers: dict[str, CodeLlamaTokenizer]) -> None:
    text = 'def f():\n    """```\n    [/INST] <step> <|im_end|> </s>\n    ```"""\n    return 1\n'
    buffer = Buffer("file:///a.py", text, language_id="python")
    action = action_of("explain")
    assert action is not None
    made = task_of(action, buffer, site_of(buffer, (4, 4), (4, 4)))
    assert made is not None
    assert "````python\ndef f():" in messages(made)[1]["content"]
    block = dataclasses.replace(made.block, last_line=1)
    harmless = dataclasses.replace(made, lines=["def f():\n", "    return 1\n"], block=block)
    for name, tokenizer in tokenizers.items():
        ids = build(made, tokenizer, 4096).ids
        plain = build(harmless, tokenizer, 4096).ids
        control = tokenizer.vocabulary.control_ids
        assert sum(each in control for each in ids) == sum(each in control for each in plain), name


def test_what_stands_around_goes_first(tokenizers: dict[str, CodeLlamaTokenizer]) -> None:
    tokenizer = tokenizers["inst"]
    imports = "".join(f"import module_number_{n}\n" for n in range(40))
    buffer = Buffer("file:///a.py", imports + "\n\ndef f(a):\n    return a\n", language_id="python")
    action = action_of("document")
    assert action is not None
    made = task_of(action, buffer, site_of(buffer, (42, 5), (42, 5)))
    assert made is not None
    whole = build(made, tokenizer, 4096)
    assert "import module_number_7" in whole.messages[1]["content"]
    assert not whole.left_out
    small = build(made, tokenizer, 400)
    assert "import module_number_7" not in small.messages[1]["content"]
    assert small.left_out
    assert len(small.ids) + small.max_tokens <= 400


def test_too_long_is_refused(tokenizers: dict[str, CodeLlamaTokenizer]) -> None:
    body = "".join(f"    value_{n} = compute({n})\n" for n in range(400))
    buffer = Buffer("file:///a.py", "def f(a):\n" + body, language_id="python")
    action = action_of("simplify")
    assert action is not None
    made = task_of(action, buffer, site_of(buffer, (0, 5), (0, 5)))
    assert made is not None
    with pytest.raises(TooLong, match="room for 4096; select less of it"):
        build(made, tokenizers["source-step"], 4096)
    assert build(made, tokenizers["inst"], 16384).ids


def test_the_documentation_of_each_language() -> None:
    for id, text, said in [
        ("python", "def f(a):\n    return a\n", "docstring"),
        ("rust", "fn f() {\n    g();\n}\n", "///"),
        ("go", "func F() {\n\tg()\n}\n", "starting with its name"),
        ("java", "class A {\n}\n", "Javadoc"),
        ("c", "int f(void)\n{\n    return 1;\n}\n", "Doxygen"),
        ("typescript", "function f() {\n  g();\n}\n", "JSDoc"),
    ]:
        buffer = Buffer("file:///a", text, language_id=id)
        action = action_of("document")
        assert action is not None
        made = task_of(action, buffer, site_of(buffer, (0, 6), (0, 6)))
        assert made is not None
        assert said in messages(made)[1]["content"]


async def test_preview(tokenizers: dict[str, CodeLlamaTokenizer], tmp_path: Path) -> None:
    tokenizer = tokenizers["inst"]
    file = tmp_path / "src/a.py"
    text = "def f(a):\n    return a\n\n\ndef g():\n    pass\n"
    buffer = Buffer(file.as_uri(), text, language_id="python")

    async def shown(id: str, row: int = 0, **more: str) -> str:
        made = await preview(id, Spot(buffer, row, 5, file, tmp_path), tokenizer, 4096, **more)  # type: ignore[arg-type]
        return tokenizer.shown(made.ids)

    assert "with unittest" in await shown("tests")
    assert "to Rust, the way" in await shown("translate", target="rust")
    assert "> unused name" in await shown("fix", message="unused name")
    assert "<SUF>" in await shown("implement", 4)
    with pytest.raises(NoPrompt, match="nothing at line 1"):
        await shown("implement")
    with pytest.raises(NoPrompt, match="there are fix, explain-diagnostic"):
        await shown("sing")
