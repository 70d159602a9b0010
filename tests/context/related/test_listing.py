"""The modules whose names are being written at the cursor are found, by what stands before and behind it."""

from __future__ import annotations

import time

import pytest
from projects import CURSOR

from lsp_server.context.related.listing import modules_at


@pytest.mark.parametrize(
    ("language", "text", "module"),
    [
        ("python", "from a.b import |", "a.b"),
        ("python", "from .. import x, |", ".."),
        ("python", "import a\nfrom .b import (\n    x,\n    y|\n)\n", ".b"),
        ("python", "from a import (x)\ny|", ""),
        ("python", "from a import x\ny|", ""),
        ("python", "import a|", ""),
        ("typescript", "import { x, | } from './a'\n", "./a"),
        ("typescript", 'import type {\n  x,\n  |\n} from "../a/b"\n', "../a/b"),
        ("javascript", "export {\n  x, y|\n} from './a'", "./a"),
        ("typescript", "import { x } from './a'\nif (y) { | }\n", ""),
        ("typescript", "function f() { | }\nimport { x } from './a'\n", ""),
        ("rust", "pub use crate::a::{x, |};", "crate::a"),
        ("rust", "use super::|", "super"),
        ("rust", "    let x = crate::a::b::Th|", "crate::a::b"),
        ("rust", "use a::{x};\nlet y = |", ""),
        ("rust", "Item::Th|", ""),
        ("go", "from a import |", ""),
    ],
)
def test_the_module_at_a_cursor(language: str, text: str, module: str) -> None:
    before, _, behind = text.replace("|", CURSOR).partition(CURSOR)
    assert [each.module for each in modules_at(language, before, behind)] == ([module] if module else [])


@pytest.mark.parametrize(
    "part", ["a::", "use a::{", "from a import (", "import {", "export { a", "} from '", "::", " "]
)
@pytest.mark.parametrize("language", ["python", "rust", "typescript"])
def test_any_text_is_read_in_no_time(language: str, part: str) -> None:
    started = time.process_time()
    modules_at(language, part * 100_000, part * 100_000)
    assert time.process_time() - started < 1
