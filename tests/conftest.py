"""Fixtures for all tests."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that every test can `import checkpoints`

import checkpoints
import forking
import hub_stand_in
import vocabularies

# The same inputs at each run, so that a failure is one of the change at hand; `make fuzz` draws new ones.
hypothesis.settings.register_profile("same", derandomize=True)
hypothesis.settings.load_profile("same")

# As the engine has it: threads that wait leave the processor to others, of which here are many.
os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "2000"}

# Tests press Ctrl+C, which is ignored by what runs in the background and by all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

forking.in_tests = True
vocabularies.remember()

# Not those of the user: indexes of folders that the tests make, what is counted of suggestions, and settings, of which
# there are none.
OWN = tempfile.mkdtemp(prefix="codellama-ls-tests-")
os.environ["CODELLAMA_LS_INDEX"] = str(Path(OWN, "index"))
os.environ["CODELLAMA_LS_DATA"] = str(Path(OWN, "data"))
os.environ["CODELLAMA_LS_CONFIG"] = str(Path(OWN, "config.toml"))
atexit.register(shutil.rmtree, OWN, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Training is compiled for half a minute: not at the end, when nothing else is left to do meanwhile."""
    items.sort(key=lambda item: "training" not in item.path.parts)


def pytest_collection_finish() -> None:
    """What all that was loaded consists of is not gone through again whenever the garbage of a test is looked for."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """tokenizer_folder(kind="7b", as_="json"): a folder with nothing but that tokenizer, made once."""
    made: dict[tuple[str, str], Path] = {}

    def folder(kind: checkpoints.Kind = "7b", as_: str = "json") -> Path:
        if (kind, as_) not in made:
            path = tmp_path_factory.mktemp(f"tokenizer-{kind}-{as_}")
            made[kind, as_] = checkpoints.code_llama_tokenizer(path, kind, as_)  # type: ignore[arg-type]
        return made[kind, as_]

    return folder


@pytest.fixture(scope="session")
def starter() -> Path:
    """The starter checkpoint, in the user's cache: fetched and converted once."""
    from lsp_server.engine.loading import starter as starter_model

    forking.fork_engines()
    return starter_model.ensure(lambda progress: None)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Path]:
    """A runtime folder of this test's own: its engines are nobody else's, and end with it."""
    with _runtime(tmp_path) as folder:
        yield folder


@pytest.fixture(scope="module")
def shared_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same for all tests of a module, which find the engine that the first of them started."""
    with _runtime(tmp_path_factory.mktemp("shared")) as folder:
        yield folder


@contextlib.contextmanager
def _runtime(around: Path) -> Iterator[Path]:
    import psutil

    folder = Path(tempfile.mkdtemp(prefix="cl-"))  # short, as a socket's path must be
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CODELLAMA_LS_RUNTIME", str(folder))
        patch.setenv("CODELLAMA_LS_DATA", str(around / "data"))
        yield folder
        for process in psutil.process_iter(["cmdline", "environ"]):
            if (process.info["environ"] or {}).get("CODELLAMA_LS_RUNTIME") == str(folder):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def copied_engines() -> Iterator[None]:
    """The engines that the test's own process starts are copies of one that is loaded."""
    with forking.copied_engines():
        yield


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[hub_stand_in.Hub]:
    """What this process takes for the hub."""
    yield from hub_stand_in.serve(monkeypatch, tmp_path / "hf")
