"""Models that are here already as GGUF files, llama.cpp's format: made into checkpoint folders, once for each file."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from pathlib import Path

from lsp_server import processes
from lsp_server.engine.loading import making
from lsp_server.engine.loading.checkpoint import CheckpointProblem, Progress, Report, read_json, validate
from lsp_server.engine.loading.gguf_contents import TAKEN
from lsp_server.files import open_regular
from lsp_server.places import cache_folder

MAGIC = b"GGUF"
_TAKEN_BYTES = 2**16


def is_one(path: Path) -> bool:
    """Whether a file begins as one, whatever its name: those of Ollama have none."""
    try:
        with open_regular(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def ensure(file: Path, report: Report, cache: Path | None = None) -> Path:
    """The checkpoint folder of a GGUF file, made first where it is missing, damaged, or of another file of that name.

    Several processes may call this at once: one works, the others wait. Raises CheckpointProblem, also where there is
    too little space for it: two bytes for each weight.
    """
    place = (cache or cache_folder()) / "gguf"
    name, state = _named(file)
    final = place / f"{name}-{state}"
    if _is_whole(final):
        return final
    what = file.name if len(file.name) < 60 else f"{file.name[:57]}..."
    try:
        place.mkdir(parents=True, exist_ok=True)
        with making.locked(place / f"{name}.lock", report, what):
            if not _is_whole(final):
                for earlier in place.glob(f"{name}-*"):  # of the file before it was changed, or half done
                    shutil.rmtree(earlier, ignore_errors=True)
                _make(file, Path(tempfile.mkdtemp(prefix=f"{name}-making-", dir=place)), final, what, report)
    except CheckpointProblem:
        raise
    except OSError as error:
        raise CheckpointProblem(
            f"{what} cannot be unpacked in {place} ({error.strerror or error}); "
            "set CODELLAMA_LS_CACHE to a folder that you can write to, on a disk with more space."
        ) from None
    return final


def state(file: Path, cache: Path | None = None) -> str:
    """What has become of a GGUF file, for the user."""
    final = here(file, cache)
    return f"unpacked; {described(final)}" if final is not None else "will be unpacked when needed"


def here(file: Path, cache: Path | None = None) -> Path | None:
    """The folder of a GGUF file, where it is unpacked already."""
    final = (cache or cache_folder()) / "gguf" / "-".join(_named(file))
    return final if _is_whole(final) else None


def remove(file: Path, cache: Path | None = None) -> int | None:
    """Remove what was unpacked of a GGUF file, which stays; the bytes that are free now, None for nothing."""
    name, _ = _named(file)
    freed = [making.remove(each) for each in ((cache or cache_folder()) / "gguf").glob(f"{name}-*")]
    return sum(each or 0 for each in freed) if freed else None


def described(folder: Path) -> str:
    """What was taken over from a GGUF file, for the user; "" for another checkpoint."""
    if not (folder / TAKEN).is_file():
        return ""
    taken = read_json(folder / TAKEN, "remove the folder, and it is made again", _TAKEN_BYTES)
    kinds, rounding = taken.get("weights"), taken.get("rounding")
    if not isinstance(kinds, list) or not isinstance(rounding, (int, float)):
        return ""
    return f"weights {', '.join(map(str, kinds))[:80]}; rounded to 8 bits they change by {100 * rounding:.1f}%"


def _named(file: Path) -> tuple[str, str]:
    """What a file is called in the cache, and what tells its state from others of the same name."""
    there = file.resolve()
    found = there.stat()
    name = re.sub(r"[^A-Za-z0-9._-]", "-", file.stem)[:60].strip(".") or "model"
    digest = hashlib.sha256(f"{there}".encode(errors="surrogateescape")).hexdigest()[:12]
    state = hashlib.sha256(f"{found.st_size} {found.st_mtime_ns}".encode()).hexdigest()[:12]
    return f"{name}-{digest}", state


def _is_whole(folder: Path) -> bool:
    try:
        validate(folder)
    except (CheckpointProblem, OSError):
        return False
    return (folder / TAKEN).is_file()  # which is written last


def _make(file: Path, work: Path, final: Path, what: str, report: Report) -> None:
    made, output = work / "made", work / making.OUTPUT
    report(Progress("converting", 0.0, what))
    try:
        making.run(
            processes.python("lsp_server.engine.loading.gguf_contents", str(file), str(made), attended=True),
            {},
            work,
            lambda: report(Progress("converting", _done(output), what)),
            lambda said: _problem(what, said),
        )
        validate(made)
        made.replace(final)
        report(Progress("converting", 1.0, f"{what}: {described(final)}"))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _done(output: Path) -> float:
    """How far the conversion says it is."""
    try:
        said = making.last_line(output.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return 0.0
    return min(float(said), 0.99) if _is_share(said) else 0.0


def _problem(what: str, said: str) -> CheckpointProblem:
    if any(sign in said for sign in making.NO_SPACE):
        return CheckpointProblem(
            f"There is no disk space left to unpack {what}; free some, "
            "or set CODELLAMA_LS_CACHE to a folder on another disk."
        )
    if told := re.search(r"^Problem: (.+)$", said, re.MULTILINE):
        return CheckpointProblem(told[1])
    last = making.last_line(said)
    last = f"it ended at {float(last):.0%}, maybe for lack of memory" if _is_share(last) else last
    return CheckpointProblem(f"{what} could not be unpacked ({last}); take the model's safetensors checkpoint instead.")


def _is_share(said: str) -> bool:
    return re.fullmatch(r"[01]\.\d+", said) is not None
