"""`models pull`, `verify` and `remove`, with a stand-in for the hub."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import checkpoints
import gguf_files
import pytest
from hub_stand_in import Hub

from lsp_server import cli
from lsp_server.engine import address
from lsp_server.engine.address import Address

NAME = "org/name"
pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = checkpoints.random_checkpoint(tmp_path_factory.mktemp("tiny"), layers=1, hidden=64, shards=1)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Said:
    """What the commands say: each with its status."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        status = cli.main(["models", *words])
        out, err = self._capsys.readouterr()
        return status, out.strip(), err.strip()


@pytest.fixture
def models(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)


def test_a_model_is_fetched_verified_mended_and_removed(
    hub_server: Hub, tiny: dict[str, bytes], cache: Path, models: Said
) -> None:
    hub_server.content = tiny
    folder = cache / "hub" / "org--name"
    big = max(tiny, key=lambda name: len(tiny[name]))
    status, out, err = models("pull", NAME)
    assert (status, out) == (0, f"{NAME} is here, 0.0 GiB in 3 shards: {folder}")
    lines = err.splitlines()
    assert lines[0].startswith("Downloading file 1 of ")
    assert lines[-1].startswith(f"Downloading file {len(tiny)} of {len(tiny)}, ")
    assert lines[-1].endswith(" (100%)")
    assert len(lines) < len(tiny) + 12, "which can be read in a pipe"
    assert f"Here already: {NAME}, 0.0 GiB, with --model {NAME}" in models()[1]
    row = json.loads(models("--json")[1])[-1]
    assert (row["model"], row["whole"], row["fits"]) == (NAME, True, "on the CPU")

    status, out, _ = models("verify", NAME)
    assert (status, out) == (0, f"{NAME} is whole, 0.0 GiB in 3 shards: each file has the hash that the hub lists.")
    data = bytearray(tiny[big])
    data[-1] ^= 1
    (folder / big).write_bytes(data)
    status, out, err = models("verify", NAME)
    said = f"codellama-ls: {big} of {NAME} is damaged: run `codellama-ls models pull {NAME}`."
    assert (status, out, err.splitlines()[-1]) == (1, "", said)
    hub_server.requests.clear()
    assert models("pull", NAME)[0] == 0
    assert (folder / big).read_bytes() == tiny[big]
    assert [path.rpartition("/")[2] for path, _ in hub_server.requests if "/resolve/" in path] == [big]

    found = Address(1, "0", NAME)
    address.write(address.files(NAME).address, found)  # of an engine that crashed: nobody uses it
    assert models("remove", NAME)[0] == 0
    assert not folder.exists()
    status, _, err = models("remove", NAME)
    assert (status, err) == (1, f"codellama-ls: There is nothing of {NAME} here; `codellama-ls models` says what is.")
    status, _, err = models("verify", NAME)
    said = f"codellama-ls: {NAME} is not here, or not whole: run `codellama-ls models pull {NAME}`."
    assert (status, err) == (1, said)


def test_what_is_half_fetched_is_listed_and_removed(
    hub_server: Hub, tiny: dict[str, bytes], cache: Path, models: Said
) -> None:
    hub_server.content, hub_server.corrupt = tiny, True
    assert models("pull", NAME)[0] == 1
    assert NAME not in models()[1], "as nothing of it is kept"
    (cache / "hub" / "org--name" / "model.safetensors.part").write_bytes(b"some of it")
    assert f"Half here: {NAME}, 0.0 GiB, `codellama-ls models pull {NAME}` goes on" in models()[1]
    status, out, _ = models("remove", NAME)
    assert (status, out.startswith(f"{NAME} is gone")) == (0, True)


def test_a_model_in_the_hubs_own_cache_is_found_and_left_to_it(
    hub_server: Hub, tiny: dict[str, bytes], cache: Path, models: Said, tmp_path: Path
) -> None:
    of_model = tmp_path / "hf" / "hub" / "models--org--name"
    folder = of_model / "snapshots" / ("a" * 40)
    for each in (folder, of_model / "blobs", of_model / "refs"):
        each.mkdir(parents=True)
    (of_model / "refs" / "main").write_text("a" * 40)
    for name, data in tiny.items():
        digest = hashlib.sha1(b"blob %d\0" % len(data) + data) if len(data) < 10_000 else hashlib.sha256(data)
        (of_model / "blobs" / digest.hexdigest()).write_bytes(data)
        (folder / name).symlink_to(Path("../../blobs") / digest.hexdigest())
    assert models("pull", NAME)[1].endswith(str(folder))
    assert models("verify", NAME)[1].endswith("each file has the hash that the hub lists.")
    status, _, err = models("remove", NAME)
    assert status == 1
    assert err.endswith(f"`hf cache rm model/{NAME}` removes it.")
    (folder / "config.json").resolve().write_bytes(tiny["config.json"] + b" ")
    status, _, err = models("verify", NAME)
    assert (status, err.splitlines()[-1]) == (
        1,
        f"codellama-ls: config.json of {NAME} is damaged: run `hf cache rm model/{NAME}`.",
    )


def test_a_file_of_another_program_is_unpacked_and_stays(cache: Path, models: Said, tmp_path: Path) -> None:
    file = gguf_files.write(tmp_path / "a.gguf", vocab=1000)
    assert models("pull", str(file))[1].startswith(f"{file} is here")
    assert "there are no hashes" in models("verify", str(file))[1]
    status, _, _ = models("remove", str(file))
    assert (status, file.exists(), list((cache / "gguf").glob("a-*/"))) == (0, True, [])


def test_what_is_not_ours_is_not_removed(cache: Path, models: Said, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    status, _, err = models("remove", str(tmp_path / "mine"))
    assert (status, "was not put there by this program" in err) == (1, True)
    assert (tmp_path / "mine").is_dir()


def test_names_that_are_none(cache: Path, models: Said) -> None:
    for name in ("nonsense", "../x/y", "/no/such"):
        for command in ("pull", "remove", "verify"):
            status, out, err = models(command, name)
            assert (status, out, len(err.splitlines())) == (1, "", 1), (command, name, err)
            assert "Errno" not in err
    assert json.loads(models("--json")[1])


def test_a_mistyped_name_is_told_what_may_be_meant(models: Said, cache: Path) -> None:
    whole = "codellama/CodeLlama-7b-hf"
    assert models("remove", whole)[2] == (
        f"codellama-ls: There is nothing of {whole} here; `codellama-ls models` says what is."
    )
    instead = f"write {whole}, if that is meant."
    assert (
        models("remove", "CodeLlama-7b-hf")[2] == f"codellama-ls: There is nothing of CodeLlama-7b-hf here; {instead}"
    )
    for command in ("verify", "pull"):
        assert models(command, "codelama-7b-hf") == (1, "", f'codellama-ls: "codelama-7b-hf" is not a model: {instead}')
