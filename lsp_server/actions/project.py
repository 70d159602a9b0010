"""Where the tests of a file belong: the framework a project uses, and the place in its own layout.

`test_place` is a pure function of a listing and the texts of a few files; `read_project` gets those from the disk.
Paths are relative to the project's root, with forward slashes.
"""

from __future__ import annotations

import dataclasses
import json
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from lsp_server.context.workspace import Workspace

MOST_FILES = 20_000
MOST_TEXT = 64_000
MOST_BYTES = 1_000_000
# Read so that the framework need not be guessed from names.
SAMPLES = 4
CONFIG_FILES = {
    "package.json", "pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "pytest.ini", "requirements.txt",
    "requirements-dev.txt", "pom.xml", "build.gradle", "build.gradle.kts", "CMakeLists.txt", "Makefile", "meson.build",
    "Gemfile", "composer.json",
}  # fmt: skip
JAVASCRIPT = {"javascript", "javascriptreact", "typescript", "typescriptreact"}
C_LIKE = {"c", "cpp"}
_TEST_FILES = {
    "python": re.compile(r"(^|/)(test_[^/]*|[^/]*_test)\.py$"),
    "go": re.compile(r"_test\.go$"),
    "java": re.compile(r"(^|/)(Test[A-Z][^/]*|[^/]*Tests?|[^/]*TestCase)\.java$"),
    "ruby": re.compile(r"(^|/)[^/]*_(spec|test)\.rb$"),
    "php": re.compile(r"(^|/)[^/]*Test\.php$"),
    **dict.fromkeys(
        JAVASCRIPT, re.compile(r"(\.(test|spec)\.[cm]?[jt]sx?$)|((^|/)(__tests__|tests?)/.*\.[cm]?[jt]sx?$)")
    ),
    **dict.fromkeys(C_LIKE, re.compile(r"(^|/)(test_[^/]*|[^/]*_tests?|[^/]*_unittest)\.(c|cc|cpp|cxx)$")),
}
LANGUAGES = frozenset({*_TEST_FILES, "rust"})
"""Language ids of which the test layouts are known."""


@dataclasses.dataclass(frozen=True)
class TestPlace:
    """Where tests go. `framework` as a person would name it; `exists`: the file is there, so tests are added to it.

    `inline`: the tests stand in the file they test, as in Rust. `reach` says in one sentence how they reach the code.
    """

    __test__ = False  # its name makes test runners take it for a test

    framework: str
    path: str
    exists: bool
    inline: bool = False
    reach: str = ""


def is_test(path: str, language_id: str) -> bool:
    """Whether a file already holds tests, by its name."""
    pattern = _TEST_FILES.get(language_id)
    return bool(pattern and pattern.search(path)) or (language_id == "rust" and path.startswith("tests/"))


def test_place(file: str, language_id: str, files: Collection[str], texts: Mapping[str, str]) -> TestPlace | None:
    """Where tests of `file` go in the project with these `files`; None for a language of which no layout is known.

    `texts` has the configuration files and some tests that the project has: see `read_project`.
    """
    if is_test(file, language_id):
        return TestPlace(_framework(file, language_id, files, texts), file, True, inline=True)
    if language_id == "rust":
        return TestPlace("Rust's own #[test]", file, True, inline=True)
    if language_id not in LANGUAGES:
        return None
    tests = [path for path in files if is_test(path, language_id)]
    framework = _framework(file, language_id, files, texts)
    path = _existing(file, tests) or _new(file, language_id, framework, tests, files)
    return TestPlace(framework, path, path in files, reach=_reach(file, path, language_id, framework))


test_place.__test__ = False  # type: ignore[attr-defined]


def read_project(workspace: Workspace, root: Path, language_id: str) -> tuple[list[str], dict[str, str]]:
    """(files, texts) of the project at `root` for `test_place`, bounded. Reads the disk: not for the event loop."""
    files = [path.relative_to(root).as_posix() for path in workspace.walk(folder=root, most=MOST_FILES).files]
    samples = [path for path in files if is_test(path, language_id)][:SAMPLES]
    wanted = [path for path in files if posixpath.basename(path) in CONFIG_FILES][:50] + samples
    read = workspace.read_all((root / path for path in wanted), MOST_BYTES)
    texts = {path.relative_to(root).as_posix(): data.decode(errors="replace")[:MOST_TEXT] for path, data in read}
    return files, texts


def _stem(path: str) -> str:
    """The name of the tested file in the name of a test file: `foo` of test_foo.py, foo.spec.ts and FooTest.java."""
    name = posixpath.basename(path).split(".")[0]
    return re.sub(r"^(test_|Test(?=[A-Z]))|(_tests?|_spec|_unittest|Tests?|TestCase)$", "", name)


def _existing(file: str, tests: Iterable[str]) -> str:
    """The test file of `file` that is there already, the one whose path is most alike; "" for none."""
    stem = posixpath.basename(file).split(".")[0]
    parts = set(PurePosixPath(file).parent.parts)
    alike = [path for path in tests if _stem(path) == stem]
    return max(alike, key=lambda path: (len(parts & set(PurePosixPath(path).parent.parts)), -len(path)), default="")


def _framework(file: str, language_id: str, files: Collection[str], texts: Mapping[str, str]) -> str:
    everything = "\n".join(texts.values())
    if language_id == "python":
        clues = any(posixpath.basename(path) in ("conftest.py", "pytest.ini") for path in files)
        if clues or "pytest" in everything or re.search(r"^def test_", everything, re.MULTILINE):
            return "pytest"
        return "unittest"
    if language_id in JAVASCRIPT:
        return _javascript_framework(file, texts)
    if language_id == "java":
        old = "jupiter" not in everything and re.search(r"junit:junit:|>junit<|import org\.junit\.Test;", everything)
        return "JUnit 4" if old else "JUnit 5"
    if language_id in C_LIKE:
        known = {
            "gtest/gtest.h": "GoogleTest", "catch2/": "Catch2", "catch.hpp": "Catch2", "doctest": "doctest",
            "cmocka.h": "cmocka", "unity.h": "Unity", "check.h": "Check", "criterion/criterion.h": "Criterion",
            "utest.h": "utest.h", "munit.h": "µnit",
        }  # fmt: skip
        return next((name for clue, name in known.items() if clue in everything), "assert.h and a main function")
    if language_id == "ruby":
        return "RSpec" if any(path.startswith("spec/") for path in files) or "rspec" in everything else "Minitest"
    return {"go": "Go's testing package", "php": "PHPUnit"}.get(language_id, "Rust's own #[test]")


def _javascript_framework(file: str, texts: Mapping[str, str]) -> str:
    """As the nearest package.json above the file that says something has it; else what Node.js brings along."""
    folders = [folder.as_posix() for folder in PurePosixPath(file).parents]
    for path in ("package.json" if folder == "." else f"{folder}/package.json" for folder in folders):
        try:
            package = json.loads(texts.get(path, "{}"))
            used = {**package.get("devDependencies", {}), **package.get("dependencies", {})}
            scripts = " ".join(map(str, package.get("scripts", {}).values()))
        except (ValueError, TypeError, AttributeError, RecursionError):
            continue
        for name, title in (("vitest", "Vitest"), ("jest", "Jest"), ("mocha", "Mocha"), ("jasmine", "Jasmine")):
            if name in used or re.search(rf"\b{name}\b", scripts):
                if name == "mocha" and "chai" in used:
                    return "Mocha with Chai"
                return title
        if "--test" in scripts:
            return "node:test"
    return "node:test"


def _new(file: str, language_id: str, framework: str, tests: Sequence[str], files: Collection[str]) -> str:
    """The path of a test file that is not there yet, named and placed as the project's other tests are."""
    folder, name = posixpath.split(file)
    stem, _, suffix = name.rpartition(".")
    if language_id == "go":
        return posixpath.join(folder, f"{stem}_test.go")
    if language_id == "java" and "src/main/java" in folder:
        return posixpath.join(folder.replace("src/main/java", "src/test/java"), f"{stem}Test.java")
    test_folder = _test_folder(file, tests, files)
    if language_id in JAVASCRIPT:
        return _new_javascript(file, framework, tests, test_folder)
    if language_id == "ruby":
        kind = "spec" if framework == "RSpec" else "test"
        inside = re.sub(r"^(lib|app)(/|$)", "", folder)
        return posixpath.join(kind, inside, f"{stem}_{kind}.rb")
    if language_id in ("java", "php"):
        return posixpath.join(_or(test_folder, "tests" if language_id == "php" else folder), f"{stem}Test.{suffix}")
    after = sum(posixpath.basename(path).startswith("test_") for path in tests) * 2 < len(tests)
    suffix = "cpp" if language_id == "cpp" else "c" if language_id == "c" else suffix
    return posixpath.join(_or(test_folder, "tests"), f"{stem}_test.{suffix}" if after else f"test_{stem}.{suffix}")


def _test_folder(file: str, tests: Sequence[str], files: Collection[str]) -> str | None:
    """The folder of tests for `file`: beside it where others lie so, else the project's own, mirrored if it is; None
    where the project has no tests."""
    folder = posixpath.dirname(file)
    if any(posixpath.dirname(path) == folder for path in tests):
        return folder
    own = [top for top in ("tests", "test") if any(path.startswith(f"{top}/") for path in files)]
    if not own:
        beside = [path for path in tests if not re.search(r"(^|/)(tests?|__tests__)/", path)]
        return folder if beside else None
    within = PurePosixPath(folder).parts
    for start in range(len(within)):
        mirrored = posixpath.join(own[0], *within[start:])
        if any(path.startswith(f"{mirrored}/") for path in files):
            return mirrored
    return own[0]


def _new_javascript(file: str, framework: str, tests: Sequence[str], test_folder: str | None) -> str:
    folder, name = posixpath.split(file)
    stem, _, suffix = name.rpartition(".")
    marked = [path for path in tests if re.search(r"\.(test|spec)\.[^/]+$", path)]
    spec = sum(".spec." in path for path in marked) * 2 > len(marked)
    test_name = f"{stem}.{'spec' if spec else 'test'}.{suffix}"
    if any("__tests__/" in path for path in tests):
        return posixpath.join(folder, "__tests__", test_name)
    return posixpath.join(_or(test_folder, folder if framework in ("Vitest", "Jest") else "test"), test_name)


def _or(folder: str | None, default: str) -> str:
    return default if folder is None else folder


def _reach(file: str, path: str, language_id: str, framework: str) -> str:
    """How tests at `path` reach the code in `file`, as a sentence for the model."""
    if language_id == "python":
        module = re.sub(r"(^|\.)__init__$", "", re.sub(r"^src/", "", file).removesuffix(".py").replace("/", "."))
        return f"Import what you test from the module `{module}`."
    if language_id in JAVASCRIPT:
        relative = posixpath.relpath(file, posixpath.dirname(path) or ".")
        relative = relative if relative.startswith(".") else f"./{relative}"
        if framework != "node:test":
            relative = re.sub(r"\.[cm]?[jt]sx?$", "", relative)
        return f"Import what you test from `{relative}`."
    if language_id in ("go", "java"):
        return "The tests are in the same package as the code."
    if language_id in C_LIKE:
        header = re.sub(r"\.(c|cc|cpp|cxx)$", ".h", posixpath.basename(file))
        return f"Include the header `{header}`."
    if language_id == "ruby":
        inside = re.sub(r"^(lib|app)/", "", file).removesuffix(".rb")
        return f"Require the code as `{inside}`."
    return ""
