"""Download a checkpoint from the Hugging Face hub: only what a safetensors checkpoint needs, never code or pickles.

The files are listed by huggingface_hub and fetched here, because huggingface_hub 2 begins a file anew when its process
ended in between, and a shard of Code Llama is up to 10 GB: an interrupted file stays as `NAME.part` and goes on from
its last byte, in whatever process comes next. Each finished file is checked against the hash the hub lists for it.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
import httpx

from lsp_server.engine.loading import making
from lsp_server.engine.loading.checkpoint import CheckpointProblem, Progress, Report, read_json, validate
from lsp_server.engine.loading.meant import meant
from lsp_server.engine.loading.reading import UnknownModel
from lsp_server.errors import reason
from lsp_server.places import cache_folder

WANTED = ("*.safetensors", "*.json", "tokenizer*", "*.jinja", "LICENSE*", "USE_POLICY*")
UNWANTED = ("*.bin", "*.pt", "*.pth", "*.py", "*/*")  # pickles and code; folders hold other formats of the same weights
LISTING = ".complete.json"  # written last: commit, sizes and hashes of a complete download
ATTEMPTS = 5  # in a row without a single new byte
BLOCK = 1 << 20
SECONDS, LOOK_SECONDS = 30.0, 8.0  # of silence, while a download is waited for, and where one only looks


@dataclass(frozen=True)
class _File:
    """A file as the hub lists it: `hash` is the SHA-256 of a large file, and git's SHA-1 of the content of another."""

    name: str
    bytes: int
    hash: str | None


def download(model: str, report: Report, cache: Path | None = None) -> Path:
    """The folder of the model `org/name`, fetched if it is not complete here yet.

    Nothing is asked of the network when the model is complete in this cache or in huggingface_hub's own. Several
    processes may call this at once. Raises CheckpointProblem: no such model, a licence to accept, no network, no disk
    space, no safetensors files.
    """
    folder = _place(model, cache)
    if (found := here(model, cache)) is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _waiting_for(filelock.FileLock(folder / ".lock"), model, report):
            if _complete(folder) is None:
                _fetch(model, folder, report)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_space(model, folder, 0) from None
        raise CheckpointProblem(
            f"{model} cannot be written to {folder} ({error.strerror or error}); "
            "set CODELLAMA_LS_CACHE to a folder you can write to."
        ) from None
    return folder


def here(model: str, cache: Path | None = None) -> Path | None:
    """The folder of a model that is whole on this machine: in this cache, or in huggingface_hub's own."""
    return ours(model, cache) or _in_hub_cache(model)


def ours(model: str, cache: Path | None = None) -> Path | None:
    """The folder of a model that is whole in this cache."""
    return _complete(_place(model, cache))


def bytes_to_fetch(model: str) -> int:
    """What a download would bring, where the user may have it: the hub is asked, and nothing is fetched.

    Raises CheckpointProblem as `download` does.
    """
    commit, files = _safe(model, LOOK_SECONDS)
    try:
        with _answer(
            model, commit, files[0].name, seconds=LOOK_SECONDS
        ):  # the smallest; what is gated is listed to everybody
            return sum(file.bytes for file in files)
    except httpx.TransportError as error:
        raise _no_network(model, error) from None


def address() -> str:
    """Where the hub is."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def downloads(cache: Path | None = None) -> list[tuple[str, Path]]:
    """The models that were downloaded into this cache, and those that are half there, each with its folder."""
    folders = (path for path in ((cache or cache_folder()) / "hub").glob("*--*") if path.is_dir())
    return [(path.name.replace("--", "/", 1), path) for path in sorted(folders)]


def damaged(folder: Path, report: Report) -> list[str] | None:
    """The files of a download that do not have the hashes which the hub listed; None where these are not known."""
    hashes = _hashes(folder)
    if not hashes:
        return None
    total, done, wrong = sum(_size(folder / name) or 0 for name in hashes), 0, []
    for number, (name, digest) in enumerate(hashes.items(), 1):

        def tell(more: int, message: str = f"file {number} of {len(hashes)}, {name}") -> None:
            nonlocal done
            done += more
            report(Progress("verifying", min(done / max(total, 1), 1.0), message))

        if _size(folder / name) is None or not _matches(folder / name, digest, tell):
            wrong.append(name)
    return wrong


def _hashes(folder: Path) -> dict[str, str]:
    """The hash of each file of a download: as it was listed to us, or in the hub's own cache the name of what its links
    lead to."""
    if (folder / LISTING).is_file():
        listed = read_json(folder / LISTING, "download again").get("hashes")
        return listed if isinstance(listed, dict) else {}
    names = {path.name: path.resolve().name for path in folder.iterdir() if path.is_symlink()}
    return {name: digest for name, digest in names.items() if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digest)}


def forget(folder: Path, names: Collection[str]) -> None:
    """Remove damaged files of a download of ours, so that the next one fetches them."""
    for name in (LISTING, *names):
        (folder / name).unlink(missing_ok=True)


def remove(model: str, cache: Path | None = None) -> int | None:
    """Remove what was downloaded of a model, and what is half there; the bytes that are free now, None for nothing."""
    return making.remove(_place(model, cache))


def _place(model: str, cache: Path | None) -> Path:
    return (cache or cache_folder()) / "hub" / model.replace("/", "--")


def _complete(folder: Path) -> Path | None:
    if not (folder / LISTING).exists():
        return None
    with contextlib.suppress(CheckpointProblem, OSError):
        sizes = read_json(folder / LISTING, "download again")["files"]
        if all((folder / name).stat().st_size == size for name, size in sizes.items()):
            return folder
    return None


def _in_hub_cache(model: str) -> Path | None:
    """The model in huggingface_hub's own cache, where it is whole there."""
    from huggingface_hub import snapshot_download

    with contextlib.suppress(Exception):  # whatever is wrong there, we download our own
        folder = Path(snapshot_download(model, allow_patterns=list(WANTED), local_files_only=True))
        validate(folder)
        return folder
    return None


@contextlib.contextmanager
def _waiting_for(lock: filelock.BaseFileLock, model: str, report: Report) -> Iterator[None]:
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except filelock.Timeout:
            report(Progress("waiting", 0.0, f"for another process that downloads {model}"))
    try:
        yield
    finally:
        lock.release()


def _fetch(model: str, folder: Path, report: Report) -> None:
    commit, files = _safe(model)
    todo = [file for file in files if _size(folder / file.name) != file.bytes]
    there = {file.name: _size(folder / f"{file.name}.part") or 0 for file in todo}
    missing = sum(max(file.bytes - there[file.name], 0) for file in todo)
    if shutil.disk_usage(folder).free < missing + 50_000_000:
        raise _no_space(model, folder, missing)
    total, before = sum(file.bytes for file in files), sum(file.bytes for file in files if file not in todo)
    for number, file in enumerate(todo, 1):
        message = f"file {number} of {len(todo)}, {file.name}"

        def tell(done: int, before: int = before, message: str = message) -> None:
            report(Progress("downloading", min((before + done) / max(total, 1), 1.0), message))

        _one(model, commit, file, folder, tell)
        before += file.bytes
    hashes = {file.name: file.hash for file in files}
    listing = json.dumps({"commit": commit, "files": {file.name: file.bytes for file in files}, "hashes": hashes})
    (folder / f"{LISTING}.part").write_text(listing, encoding="utf-8")
    (folder / f"{LISTING}.part").replace(folder / LISTING)


def _safe(model: str, seconds: float = SECONDS) -> tuple[str, list[_File]]:
    """As `_list`, of a model that can be read without running code."""
    commit, files = _list(model, seconds)
    if not any(file.name.endswith(".safetensors") for file in files):
        raise CheckpointProblem(
            f"{model} has no safetensors files, and pickles are not opened because they can run code; "
            "choose a version of it with safetensors."
        )
    return commit, files


def _list(model: str, seconds: float) -> tuple[str, list[_File]]:
    """The commit and the wanted files of the model's main branch, the small ones first."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    try:
        info = HfApi().model_info(model, files_metadata=True, timeout=seconds)
    except GatedRepoError:
        raise _gated(model) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise _not_found(model) from None
    except HfHubHTTPError as error:
        raise _refused(model, error.response.status_code) from None
    except Exception as error:  # httpx of some version: the connection failed
        raise _no_network(model, error) from None
    files = []
    for entry in info.siblings or []:
        name = entry.rfilename
        if any(fnmatch.fnmatch(name, pattern) for pattern in UNWANTED) or name.startswith("."):
            continue
        if any(fnmatch.fnmatch(name, pattern) for pattern in WANTED):
            digest = entry.lfs.sha256 if entry.lfs is not None else entry.blob_id
            files.append(_File(name, entry.size or 0, digest))
    return str(info.sha), sorted(files, key=lambda file: file.bytes)


def _one(model: str, commit: str, file: _File, folder: Path, tell: Callable[[int], None]) -> None:
    """Fetch one file, going on where `NAME.part` ends, through any number of cut connections that bring bytes."""
    part = folder / f"{file.name}.part"
    failures = 0
    while (have := _size(part) or 0) < file.bytes or not part.exists():
        try:
            _stream(model, commit, file.name, part, have, tell)
            failures = failures + 1 if (_size(part) or 0) <= have else 0
            problem: Exception = EOFError("the connection closed")
        except httpx.TransportError as error:
            failures = failures + 1 if (_size(part) or 0) <= have else 1
            problem = error
        if failures >= ATTEMPTS:
            raise _no_network(model, problem)
        if failures:
            time.sleep(0.5 * 2 ** (failures - 1))
        if file.bytes == 0:
            break
    if (_size(part) or 0) != file.bytes or not _matches(part, file.hash):
        part.unlink(missing_ok=True)
        raise CheckpointProblem(f"{file.name} of {model} arrived damaged and was deleted; start again.")
    part.replace(folder / file.name)


def _stream(model: str, commit: str, name: str, part: Path, have: int, tell: Callable[[int], None]) -> None:
    with _answer(model, commit, name, have) as response:
        if response.status_code == 416:  # more bytes here than there: not the same file
            part.unlink(missing_ok=True)
            return
        if response.status_code == 200:
            have = 0  # the server does not resume
        with part.open("ab" if have else "wb") as target:
            for (
                block
            ) in response.iter_bytes():  # as they come: a block that waits to be full is lost with the connection
                target.write(block)
                target.flush()  # what has come stays, even if this process is killed
                have += len(block)
                tell(have)


@contextlib.contextmanager
def _answer(model: str, commit: str, name: str, have: int = 0, seconds: float = SECONDS) -> Iterator[httpx.Response]:
    """The hub's answer to who asks for a file, from the byte `have` on: that file, or 416. Raises CheckpointProblem,
    and httpx.ReadError where it is to be tried again."""
    from huggingface_hub.utils import build_hf_headers

    # Uncompressed: positions in the file are positions in the stream.
    headers = {**build_hf_headers(), "accept-encoding": "identity", **({"range": f"bytes={have}-"} if have else {})}
    url = f"{address()}/{model}/resolve/{commit}/{name}"
    # A redirect to another host (the hub's store) does not get the user's token: httpx drops it.
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=seconds) as response:
        status = response.status_code
        if status in (401, 403):
            gated = response.headers.get("x-error-code") == "GatedRepo" or status == 403
            raise _gated(model) if gated else _not_found(model)
        if status == 404:
            raise _not_found(model)
        if status == 429 or status >= 500:
            raise httpx.ReadError(f"status {status}")
        if status not in (200, 206, 416):
            raise _refused(model, status)
        yield response


def _matches(path: Path, expected: str | None, tell: Callable[[int], None] = lambda more: None) -> bool:
    """Whether a file has the hash that the hub lists, of which git's is the shorter; None: it lists none. `tell` is
    told of each block that was read."""
    blob = f"blob {path.stat().st_size}\0".encode()
    digest = hashlib.sha1(blob, usedforsecurity=False) if len(expected or "") == 40 else hashlib.sha256()
    with path.open("rb") as source:
        while block := source.read(BLOCK):
            digest.update(block)
            tell(len(block))
    return expected is None or digest.hexdigest() == expected


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _gated(model: str) -> CheckpointProblem:
    return CheckpointProblem(
        f"{model} has a licence to accept first; accept it on {address()}/{model} and run `hf auth login`."
    )


def _not_found(model: str) -> CheckpointProblem:
    instead = meant(model) or "check the name"
    return UnknownModel(
        f"The hub has no model {model} that you may read; {instead}, or run `hf auth login` if it is private."
    )


def _refused(model: str, status: int) -> CheckpointProblem:
    return CheckpointProblem(f"The hub answered with error {status} for {model}; try again later.")


def _no_network(model: str, error: Exception) -> CheckpointProblem:
    return CheckpointProblem(
        f"{model} cannot be downloaded because the hub is not reached ({reason(error)}); go online and start again, "
        "which goes on where it stopped, or set `model` to a checkpoint folder."
    )


def _no_space(model: str, folder: Path, missing: int) -> CheckpointProblem:
    amount = f" ({missing / 1024**3:.1f} GiB more)" if missing else ""
    return CheckpointProblem(
        f"There is not enough disk space in {folder} for {model}{amount}; free some, "
        "or set CODELLAMA_LS_CACHE to a folder on another disk."
    )
