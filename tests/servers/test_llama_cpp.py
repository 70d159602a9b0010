"""llama.cpp's own server and llama-cpp-python's behind the language server: `make test-llama-cpp`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.conftest import PORT, serving
from servers.using import completes_chats_and_acts

from benchmarks import llama_cpp
from lsp_server.codellama import CodeLlamaTokenizer

pytestmark = [
    pytest.mark.skipif("LLAMA_CPP" not in os.environ, reason="it compiles for minutes: make test-llama-cpp"),
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def llama_server(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of llama.cpp's server with the starter, started as its own manual says."""
    command = [str(llama_cpp.server()), "-m", str(llama_cpp.gguf(starter)), "--port", PORT, "--ctx-size", "2048"]
    with serving(command, tmp_path_factory.mktemp("llama") / "log") as url:
        yield url


@pytest.fixture(scope="module")
def llama_cpp_python(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of llama-cpp-python's server with the starter."""
    program, libraries = llama_cpp.python()
    command = [str(program), "-m", "llama_cpp.server", "--model", str(llama_cpp.gguf(starter)), "--port", PORT]
    infill = CodeLlamaTokenizer.from_pretrained(starter).infill_tokens
    assert infill is not None
    # The end of the starter's infills, which the converter does not know, as it does Code Llama's.
    command += ["--kv_overrides", f"tokenizer.ggml.eot_token_id=int:{infill.end}"]
    log = tmp_path_factory.mktemp("llama") / "log"
    with serving([*command, "--n_ctx", "2048"], log, page="/v1/models", **libraries) as url:
        yield url


async def test_llama_cpps_server_completes_chats_and_acts(llama_server: str, starter: Path, tmp_path: Path) -> None:
    await completes_chats_and_acts(llama_server, starter, tmp_path)


async def test_llama_cpp_pythons_server_completes_chats_and_acts(
    llama_cpp_python: str, starter: Path, tmp_path: Path
) -> None:
    await completes_chats_and_acts(llama_cpp_python, starter, tmp_path)
