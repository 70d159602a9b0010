"""Real functions of real projects: their released sources, fetched by the registries' own clients and kept in the cache
folder, and where each function begins and ends, as read in the file by a person.

A release never changes, and its checksum is compared; what cannot be fetched fails the test.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import filelock

from lsp_server.places import cache_folder


@dataclasses.dataclass(frozen=True)
class Release:
    """A release of a project: what its registry calls it, and the SHA-256 of the archive."""

    registry: Literal["pypi", "npm"]
    name: str
    version: str
    sha256: str

    def archive(self) -> Path:
        """The archive in the cache, fetched if it is not there yet."""
        folder = cache_folder() / "test-sources"
        kept = folder / f"{self.name}-{self.version}.tar.gz"
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "lock"):
            if not kept.exists():
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    subprocess.run(self._command(Path(place)), cwd=place, check=True, timeout=200)
                    (fetched,) = Path(place).iterdir()
                    fetched.rename(kept)
        found = hashlib.sha256(kept.read_bytes()).hexdigest()
        assert found == self.sha256, f"{kept} is not the release that these tests were written for; delete it"
        return kept

    @functools.cache  # noqa: B019 - there are five
    def text(self, path: str) -> str:
        """A file of the release."""
        with tarfile.open(self.archive()) as archive:
            member = next(each for each in archive if each.name.partition("/")[2] == path)
            file = archive.extractfile(member)
            assert file is not None
            text = file.read().decode()
        assert "\r" not in text
        assert text.endswith("\n")
        return text

    def _command(self, place: Path) -> list[str]:
        if self.registry == "npm":
            return ["npm", "pack", "--silent", f"{self.name}@{self.version}"]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        return [*pip, "--no-deps", "--no-binary", self.name, "--dest", str(place), f"{self.name}=={self.version}"]


@dataclasses.dataclass(frozen=True)
class Noted:
    """A function as a person finds it in the file, in lines counted from 1.

    `first`: of what belongs to it above, `header`: of the definition, `body`: of the first statement or of the comment
    above that, `last`: of the function. `docs`: its documentation.
    """

    name: str
    first: int
    header: int
    body: int
    last: int
    docs: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of a release with functions in it. `holder`: the test file that belongs to `path`.

    `newline`: with what its lines are opened here. `ended`: whether the last one is. How the language is written, for
    what the model is made to say: a `comment`, a `doc` at no indentation, a `stub`, a `parameter`. `tests`: where its
    tests go.
    """

    language: str
    release: Release
    path: str
    functions: tuple[Noted, ...]
    comment: str
    doc: str
    stub: str
    parameter: str
    tests: str
    newline: str = "\n"
    ended: bool = True

    @property
    def name(self) -> str:
        return Path(self.path).name

    @functools.cached_property
    def text(self) -> str:
        text = self.release.text(self.path)
        return (text if self.ended else text.rstrip("\n")).replace("\n", self.newline)


TIKTOKEN = Release("pypi", "tiktoken", "0.7.0", "1077266e949c24e0291f6c350433c6f0971365ece2b173a23bc3b9f9defef6b6")
JSONNET = Release("pypi", "gojsonnet", "0.20.0", "9aede3b5734dee1c99dbec75dee3b086baaae92bd262d93f9217e21bf19c9682")
JPYPE = Release("pypi", "jpype1", "1.5.0", "425a6e1966afdd5848b60c2688bcaeb7e40ba504a686f1114589668e0631e878")
HIREDIS = Release("pypi", "hiredis", "2.3.2", "733e2456b68f3f126ddaf2cd500a33b25146c3676b97ea843665717bda0c5d43")
RXJS = Release("npm", "rxjs", "7.8.1", "c532167725ab7d085123209156c93cef22f2479cb9c8527060f1cd903aa9d149")

SOURCES = (
    Source(
        "python",
        TIKTOKEN,
        "tiktoken/core.py",
        (
            Noted("__init__", 13, 13, 37, 50, docs=(22, 36)),
            Noted("__repr__", 52, 52, 53, 53),
            Noted("encode_ordinary_batch", 135, 135, 145, 147, docs=(136, 144)),
            Noted("encode_batch", 149, 149, 166, 177, docs=(157, 165)),
            Noted("_encode_only_native_bpe", 360, 360, 362, 366, docs=(361, 361)),
            Noted("__getstate__", 371, 371, 372, 382),
            Noted("_special_token_regex", 393, 394, 395, 396),
            Noted("raise_disallowed_special_token", 399, 399, 400, 407),
        ),
        comment="# done",
        doc='"""Says.\n\nRaises:\n    ValueError: where nothing can be said.\n"""',
        stub="raise NotImplementedError",
        parameter="extra",
        tests="tests/test_core.py",
    ),
    Source(
        "typescript",
        RXJS,
        "src/internal/Observable.ts",
        (
            Noted("constructor", 28, 35, 36, 39, docs=(28, 34)),
            Noted("create", 43, 52, 53, 54, docs=(43, 51)),
            Noted("lift", 56, 67, 68, 72, docs=(56, 66)),
            Noted("subscribe", 77, 213, 218, 239, docs=(77, 212)),
            Noted("_trySubscribe", 241, 242, 243, 251, docs=(241, 241)),
            Noted("forEach", 312, 312, 313, 330),
            Noted("pipe", 416, 436, 437, 438, docs=(416, 435)),
            Noted("isObserver", 492, 492, 493, 494),
        ),
        comment="// done",
        doc="/**\n * Says.\n *\n * @returns what it said\n */",
        stub='throw new Error("TODO");',
        parameter="extra: number",
        tests="test/Observable.test.ts",
    ),
    Source(
        "rust",
        TIKTOKEN,
        "src/lib.rs",
        (
            Noted("_byte_pair_merge", 18, 18, 19, 74),
            Noted("byte_pair_split", 84, 84, 85, 90),
            Noted("_get_tl_regex", 162, 162, 163, 167),
            Noted("_encode_ordinary_native", 185, 185, 186, 198),
            Noted("_increase_last_piece_token_len", 256, 256, 261, 293),
            Noted("new", 414, 415, 420, 460),
            Noted("_tiktoken", 567, 568, 569, 571),
            Noted("test_simple_characters", 586, 587, 588, 591),
        ),
        comment="// done",
        doc="/// Says.\n///\n/// # Panics\n///\n/// Where nothing can be said.",
        stub="todo!()",
        parameter="extra: u8",
        tests="lib.rs",
    ),
    Source(
        "go",
        JSONNET,
        "imports.go",
        (
            Noted("String", 67, 67, 68, 71),
            Noted("Data", 73, 74, 75, 76, docs=(73, 73)),
            Noted("MakeContents", 78, 79, 80, 84, docs=(78, 78)),
            Noted("importData", 121, 121, 122, 134),
            Noted("importBinary", 158, 159, 160, 170, docs=(158, 158)),
            Noted("nodeToPV", 172, 172, 173, 179),
            Noted("codeToPV", 181, 181, 182, 192),
        ),
        comment="// done",
        doc="// It says.\n//\n// And no more.",
        stub='panic("not implemented")',
        parameter="extra int",
        tests="imports_test.go",
    ),
    Source(
        "java",
        JPYPE,
        "native/java/org/jpype/ref/JPypeReferenceQueue.java",
        (
            Noted("getInstance", 42, 42, 44, 45),
            Noted("JPypeReferenceQueue", 47, 47, 49, 60),
            Noted("registerRef", 62, 73, 75, 85, docs=(62, 72)),
            Noted("stop", 98, 103, 105, 125, docs=(98, 102)),
            Noted("getQueueSize", 137, 142, 144, 145, docs=(137, 141)),
            Noted("run", 154, 155, 157, 187),
            Noted("addSentinel", 190, 190, 192, 193),
        ),
        comment="// done",
        doc="/**\n * Says.\n *\n * @throws IllegalStateException where nothing can be said\n */",
        stub='throw new UnsupportedOperationException("TODO");',
        parameter="int extra",
        tests="JPypeReferenceQueueTest.java",
        newline="\r\n",
    ),
    Source(
        "c",
        HIREDIS,
        "vendor/hiredis/dict.c",
        (
            Noted("dictGenHashFunction", 52, 54, 55, 60, docs=(52, 53)),
            Noted("dictExpand", 91, 92, 93, 138, docs=(91, 91)),
            Noted("dictReplace", 165, 169, 170, 191, docs=(165, 168)),
            Noted("dictFind", 255, 255, 256, 268),
            Noted("dictNext", 277, 277, 278, 295),
            Noted("_dictNextPower", 310, 311, 312, 320, docs=(310, 310)),
            Noted("_dictKeyIndex", 322, 325, 326, 342, docs=(322, 324)),
        ),
        comment="// done",
        doc="/**\n * Says.\n *\n * @return what it said\n */",
        stub="abort();",
        parameter="int extra",
        tests="tests/test_dict.c",
        ended=False,
    ),
)
