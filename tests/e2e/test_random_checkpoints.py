"""Checkpoints with random weights and Code Llama's real vocabulary, the whole way through.

Their weights are made so that the answer is known: after any prompt they say the same words and then the id that ends
an answer. What is tested is all around them: shards, 8 bits, prompts by token ids, stopping, exact text.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import checkpoints
import pytest
from editor import editor

from lsp_server.codellama import CodeLlamaTokenizer

pytestmark = pytest.mark.usefixtures("engines")

WORDS = [921, 718, 343]  # " x", " +" and a word, by Meta's vocabulary
Z, EQUALS = 503, 353  # " z" and " ="


@pytest.fixture(scope="module")
def infilling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("infilling")
    # With the suffix first, the last token before the cursor is chosen anew: after " z" the model says " =" again.
    return checkpoints.random_checkpoint(folder, "7b", continuation=[*WORDS, checkpoints.EOT], script={Z: EQUALS})


@pytest.fixture(scope="module")
def stepping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stepping")
    return checkpoints.random_checkpoint(folder, "70b", continuation=[*WORDS, checkpoints.STEP])


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lsp_server", *words], capture_output=True, text=True, timeout=200)


async def test_both_layouts_over_the_wire(infilling: Path, tmp_path: Path) -> None:
    text = CodeLlamaTokenizer.from_pretrained(infilling).decode(WORDS)
    assert text.startswith(" x +")
    assert len(list(infilling.glob("*.safetensors"))) >= 3
    for layout in ("psm", "spm"):
        async with editor({"model": str(infilling), "layout": layout, "multiline": "never"}) as window:
            uri = window.open("untitled:one", "def f(x):\n    z =\n    z = \n    return z\n")
            await window.ready()
            item, *_ = await window.suggest(uri, 1, 7)
            assert item.insert_text == text, "with its leading space, and without the id that ended it"
            item, *_ = await window.suggest(uri, 2, 8)
            # With the suffix first the space before the cursor is a part of the answer's first word.
            assert item.insert_text == (text if layout == "psm" else text.removeprefix(" "))


def test_layouts_and_stop_by_command(infilling: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("def f(x):\n    z =\n    return z\n")
    tokenizer = CodeLlamaTokenizer.from_pretrained(infilling)
    for layout in ("psm", "spm"):
        asked = run("prompt", f"{file}:2:8", "--model", str(infilling), "--layout", layout, "--json")
        prompt = json.loads(asked.stdout)
        assert prompt["ids"] == tokenizer.infill_ids("def f(x):\n    z =", "\n    return z\n", layout)
        assert prompt["heal"] == (layout == "spm")
        assert prompt["ids"][:2] == [1, 32007]
        assert prompt["kind"] == layout
        answer = json.loads(
            run("complete", f"{file}:2:8", "--model", str(infilling), "--layout", layout, "--json").stdout
        )
        assert answer["suggestion"] == tokenizer.decode(WORDS)
        assert answer["prompt"] == layout
        # The healed token, the words, the id that ends them, and nothing after it.
        assert answer["timings"]["tokens"] == prompt["heal"] + len(WORDS) + 1


def test_the_chat_format_of_70b(stepping: Path) -> None:
    answer = run("chat", "What is 1 + 1?", "--model", str(stepping))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == CodeLlamaTokenizer.from_pretrained(stepping).decode(WORDS).lstrip() + "\n"
    assert f"{len(WORDS) + 1} generated" in answer.stderr


def test_it_does_not_infill_unless_asked_to(stepping: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("y =\n")
    for setting, kind in (("auto", "completion"), ("on", "psm")):
        asked = run(
            "prompt", f"{file}:1:4", "--model", str(stepping), "--layout", "psm", "--infilling", setting, "--json"
        )
        assert json.loads(asked.stdout)["kind"] == kind
