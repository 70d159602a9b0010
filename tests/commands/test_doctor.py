"""`doctor`: each thing that can be wrong, provoked, and what it says to mend it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hub_stand_in import Hub

from lsp_server import cli
from lsp_server.commands import machine
from lsp_server.commands.checks import editors, engine, here, model
from lsp_server.engine import address
from lsp_server.engine.address import Address
from lsp_server.engine.loading.devices import Device
from lsp_server.settings import Settings

pytestmark = pytest.mark.usefixtures("engines")
Version = namedtuple("Version", "major minor micro")
GIB = 2**30


class Doctor:
    """What it says with `--json`, by the names of the checks, and its status."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.status = 0

    def __call__(self, *words: str) -> dict[str, dict[str, Any]]:
        self.status = cli.main(["doctor", "--json", *words])
        out, err = self._capsys.readouterr()
        assert err == ""
        return {check["name"]: check for check in json.loads(out)}


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Doctor:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # no editors
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path / "cache"))
    return Doctor(capsys)


def stand_in(folder: Path, name: str, *lines: str) -> None:
    """A program that says something."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doctor: Doctor) -> None:
    """A machine with a card, as the driver's own tool tells it."""
    said = 'case "$1" in *gpu=*) echo "NVIDIA GeForce RTX 3090, 470.57.02, 24576, 24000";; esac'
    stand_in(tmp_path / "bin", "nvidia-smi", said)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


def test_what_works(doctor: Doctor) -> None:
    said = doctor()
    assert (doctor.status, [check for check in said.values() if not check["ok"]]) == (0, [])
    assert said["model"]["found"] == "starter, will be fetched (93 MB) when needed"
    assert re.fullmatch(
        r"it fits on the CPU: \d\.\d GiB in 8 bits for a context of 8,192 tokens, on memory; about \d+ tokens/s",
        said["memory"]["found"],
    )
    assert said["engine"]["found"].startswith("not running")


def test_models_that_cannot_be_had(doctor: Doctor, hub_server: Hub, tmp_path: Path) -> None:
    said = doctor("--model", "org/other")["model"]["found"]
    assert (doctor.status, said.startswith("The hub has no model org/other that you may read")) == (1, True)
    assert '"nonsense" is not a model' in doctor("--model", "nonsense")["model"]["found"]
    for name, instead in (
        ("CodeLlama-7b-hf", "write codellama/CodeLlama-7b-hf, if that is meant"),
        ("starer", "write starter, if that is meant"),
        ("https://hub/codellama/CodeLlama-7b-hf/tree/main", "write codellama/CodeLlama-7b-hf, without the address"),
        ("llama.gguf", "write a file or folder with its path, such as ./llama.gguf"),
        ("codelama/CodeLlama-13b-hf", "write codellama/CodeLlama-13b-hf, if that is meant"),
    ):
        found = doctor("--model", name)["model"]
        assert instead in found["found"]
        assert found["mend"].startswith("name one that `codellama-ls models` lists with --model")
    said = doctor("--model", str(tmp_path / "none"))["model"]["found"]
    assert (doctor.status, "none" in said, "Errno" in said) == (1, True, False)
    (tmp_path / "empty").mkdir()
    assert "config.json" in doctor("--model", str(tmp_path / "empty"))["model"]["found"]
    found = doctor("--model", "org/name")["model"]
    assert (found["ok"], found["found"]) == (True, "org/name, will be downloaded (0.0 GiB) when needed")
    assert [path for path, _ in hub_server.requests if "safetensors" in path] == [], "nothing is fetched"
    hub_server.status, hub_server.error_code = 401, "GatedRepo"
    said = doctor("--model", "org/name")["model"]["found"]
    assert (doctor.status, "licence to accept first" in said, "`hf auth login`" in said) == (1, True, True)
    hub_server.shutdown()
    hub_server.server_close()
    assert "the hub is not reached (connection refused)" in doctor("--model", "org/name")["model"]["found"]


def test_a_cache_that_cannot_be_made(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder, there in ((tmp_path / "file" / "below", tmp_path / "file"), (Path("/proc/none/such"), Path("/proc"))):
        monkeypatch.setenv("CODELLAMA_LS_CACHE", str(folder))
        assert cli.main(["doctor"]) == 1
        said = doctor._capsys.readouterr().out
        assert said.count(f"no  disk: {folder} cannot be made, as {there} cannot be written into\n") == 1
        assert said.count("disk: ") == 1
        assert "free some space" not in said
        assert "    -> set CODELLAMA_LS_CACHE to a folder of your own\n" in said


def test_a_model_that_does_not_fit() -> None:
    devices = (Device("memory", "cpu", 0, 10 * GIB, 12 * GIB),)
    of = model._sizes("codellama/CodeLlama-34b-hf", None)
    assert of is not None
    check = model.fits(of, Settings(), devices)
    assert (check.failed, check.found.startswith("The model needs 33.4 GiB in 8 bits (")) == (True, True)
    assert "there are 10.0 GiB of memory; Code Llama 13B in 4 bits would fit here" in check.found
    assert check.mend == "codellama-ls models says what fits here, or set an engine URL"
    check = model.fits(of, Settings(quantization="4"), (Device("GPU 0", "cuda", 0, 24 * GIB, 24 * GIB, 1e12),))
    assert check.ok
    assert check.found.startswith("it fits on one GPU: 2")
    assert check.found.endswith(" GiB in 4 bits for a context of 8,192 tokens, on GPU 0; as set, about 33 tokens/s")


def test_a_disk_that_is_full(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=2**20, total=2**40)
    monkeypatch.setattr(here.shutil, "disk_usage", lambda path: usage)
    said = doctor()["disk"]
    assert (doctor.status, said["found"][:14]) == (1, "0.0 GiB free f")
    assert "CODELLAMA_LS_CACHE" in said["mend"]


@pytest.mark.parametrize(("version", "ok", "status"), [((3, 9, 1), False, 1), ((3, 14, 0), False, 0)])
def test_another_python(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], ok: bool, status: int
) -> None:
    monkeypatch.setattr(
        here, "sys", SimpleNamespace(version_info=Version(*version), maxsize=sys.maxsize, executable="p")
    )
    check = here.python()
    assert (check.ok, check.failed) == (ok, bool(status))
    assert "Python 3.10 to 3.13" in check.mend
    monkeypatch.setattr(here, "sys", SimpleNamespace(version_info=Version(3, 11, 1), maxsize=2**31, executable="p"))
    assert "64 bits" in here.python().mend


def test_packages_that_are_missing_or_old(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "ENGINE_PACKAGES", ["torch", "no-such-package"])
    said = doctor()["engine packages"]
    assert (doctor.status, said["found"]) == (1, "no-such-package missing")
    assert "install" in said["mend"]
    monkeypatch.setattr(here, "ENGINE_PACKAGES", ["torch"])
    monkeypatch.setattr(here.importlib.metadata, "version", lambda name: "1.13")
    assert doctor()["engine packages"]["found"] == "torch 1.13 is not >=2.6"


@pytest.mark.usefixtures("card")
def test_a_card_that_is_not_used(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "torch_cuda", lambda: "")
    said = doctor()
    assert said["torch"]["found"] == "was built without CUDA, so that NVIDIA GeForce RTX 3090 is not used"
    assert (doctor.status, said["devices"]["found"].startswith("NVIDIA GeForce RTX 3090, 23.4 of 24.0 GiB")) == (
        0,
        True,
    )


@pytest.mark.usefixtures("card")
def test_an_old_driver_and_a_library_that_is_missing(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bitsandbytes").mkdir()
    for name in ("__init__.py", "libbitsandbytes_cpu.so", "libbitsandbytes_cuda118.so"):
        (tmp_path / "bitsandbytes" / name).touch()
    found = here.importlib.util.find_spec

    def spec(name: str) -> Any:
        origin = str(tmp_path / name / "__init__.py")
        return SimpleNamespace(origin=origin) if name == "bitsandbytes" else found(name)

    monkeypatch.setattr(here.importlib.util, "find_spec", spec)
    monkeypatch.setattr(machine, "torch_cuda", lambda: "12.8")
    said = doctor()
    assert (doctor.status, said["driver"]["found"].startswith("470.57.02 is too old for CUDA 12.8")) == (1, True)
    assert "525.60.13 or newer" in said["driver"]["mend"]
    assert said["bitsandbytes"]["found"] == "has no library for CUDA 12.8 (cuda118)"


def test_what_cuda_torch_was_built_for() -> None:
    build = importlib.metadata.version("torch").partition("+")[2]  # cpu, or cu128; some do not say
    said = machine.torch_cuda()
    assert said is not None
    if build:
        assert f"cu{said.replace('.', '')}" == (build if build.startswith("cu") else "cu")


def test_an_engine_that_hangs_and_what_crashed_ones_left(
    doctor: Doctor, engines: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crashed = address.files("org/name")
    address.write(crashed.address, Address(999_999_999, "0.1.0", "org/name"))
    said = doctor()
    assert (doctor.status, said["sockets"]["found"].startswith("1 file of engines that ended")) == (0, True)
    assert (said["sockets"]["ok"], said["sockets"]["mend"]) == (False, "codellama-ls stop")
    assert cli.main(["stop"]) == 0
    assert not crashed.address.exists()
    capsys.readouterr()
    # One that listens and says nothing: as every engine that is stopped does.
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", "lsp_server.engine"]
    with socket.create_server(("127.0.0.1", 0)) as silent, subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        at = Address(process.pid, "0.1.0", "starter", port=silent.getsockname()[1])
        address.write(address.files("starter").address, at)
        monkeypatch.setattr("lsp_server.commands.engines.SAY_SECONDS", 0.3)
        said = doctor()
        assert (doctor.status, said["engine"]["mend"]) == (1, "codellama-ls stop starter")
        assert said["engine"]["found"] == f"it hangs, or is stopped (process {process.pid})"
        process.communicate()


def test_a_runtime_folder_of_others(doctor: Doctor, engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines.chmod(0o777)
    said = doctor()
    assert doctor.status == 1
    assert said["sockets"]["found"].startswith(f"Others may write into {engines}")


def test_servers(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    said = doctor("--engine-url", "http://127.0.0.1:9")
    assert (doctor.status, "No engine answers at http://127.0.0.1:9" in said["engine"]["found"]) == (1, True)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            with server.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        said = doctor("--engine-url", url, "--engine-token", "secret")
    assert "does not accept the token" in said["engine"]["found"]
    assert "secret" not in json.dumps(said)
    assert "disk" not in said, "which a server's model does not need"


def test_proxies(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:password@127.0.0.1:9")
    said = doctor("--engine-url", "http://gpu-box.invalid:8000")
    assert said["proxy"]["found"] == "http://127.0.0.1:9 is not reached (connection refused)"
    assert "NO_PROXY" in said["proxy"]["mend"]
    assert "password" not in json.dumps(said)
    monkeypatch.setenv("http_proxy", "ftp://127.0.0.1")
    (check,) = engine.proxies(["http://gpu-box.invalid"])
    assert (check.failed, "set HTTP_PROXY" in check.found) == (True, True)


def test_clients_that_are_missing_or_of_another_version(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs, nvim = tmp_path / "bin", tmp_path / "share" / "nvim"
    stand_in(programs, "code", "echo codellama-ls.codellama@0.0.1")
    stand_in(programs, "codium", "echo other.extension@1.0.0")
    stand_in(programs, "code-server", "exit 1")
    stand_in(programs, "nvim", "echo NVIM v0.11.4")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_DATA_HOME", str(nvim.parent))
    plugin = nvim / "lazy" / "codellama.nvim" / "lua" / "codellama"
    plugin.mkdir(parents=True)
    source = Path(__file__).parents[2] / "editors" / "neovim" / "lua" / "codellama" / "server.lua"
    (plugin / "server.lua").write_bytes(source.read_bytes())
    said = {check.name: (check.ok, check.failed, check.found) for check in editors.checks()}
    assert said["VS Code"] == (False, False, "its client is for version 0.0.1, not 0.1.0")
    assert said["VSCodium"] == (False, False, "it is here without the client")
    assert said["code-server"][2].endswith("does not say which extensions it has")
    assert said["Neovim"] == (True, False, "its client is for version 0.1.0")


def test_nothing_private_is_in_json(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "config.toml"
    config.write_text('engineToken = "secret"\nengineUrl = "http://me:password@127.0.0.1:9"\nthreads = "x"\n')
    monkeypatch.setenv("CODELLAMA_LS_CONFIG", str(config))
    said = doctor()
    assert said["settings"]["found"].startswith("~/config.toml, line 1: others may read the token")
    for private in (str(tmp_path), "secret", "password", os.environ["CODELLAMA_LS_RUNTIME"]):
        assert private not in json.dumps(said)
