from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from lsp_server.codellama import CodeLlamaTokenizer


@pytest.fixture(scope="session")
def load(tokenizer_folder: Callable[..., Path]) -> Callable[..., CodeLlamaTokenizer]:
    """load(kind, as_, infilling): the tokenizer of a folder with nothing but that file, loaded once."""

    @functools.cache
    def loaded(kind: str = "7b", as_: str = "json", infilling: str = "auto") -> CodeLlamaTokenizer:
        return CodeLlamaTokenizer.from_pretrained(tokenizer_folder(kind, as_), infilling=infilling)

    return loaded
