"""Where tests go: in the layouts that projects really have, and what becomes of a file they are added to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsp_server.actions.adding_tests import insertions
from lsp_server.actions.project import is_test, read_project, test_place
from lsp_server.context.buffer import split_lines
from lsp_server.context.workspace import Workspace

VITEST = {"package.json": '{"devDependencies": {"vitest": "^1"}}'}
JEST = {"package.json": '{"scripts": {"test": "jest"}}'}
MOCHA = {"package.json": '{"devDependencies": {"mocha": "10", "chai": "4"}}'}
NESTED = {"package.json": "[" * 60_000}
NODE = {"package.json": '{"scripts": {"test": "node --test"}}'}
PYTEST = {"pyproject.toml": "[tool.pytest.ini_options]"}
PACKAGES = {**JEST, "packages/x/package.json": VITEST["package.json"]}
MAVEN = "src/test/java/org/x"
GTEST = {"CMakeLists.txt": "#include <gtest/gtest.h>"}
POM = {"pom.xml": "<artifactId>junit-jupiter</artifactId>"}
OLD_POM = {"pom.xml": "<groupId>junit</groupId><artifactId>junit</artifactId>"}


@pytest.mark.parametrize(
    ("file", "id", "files", "texts", "path", "framework"),
    [
        # Python
        ("src/pkg/a.py", "python", ["src/pkg/a.py"], {}, "tests/test_a.py", "unittest"),
        ("pkg/a.py", "python", ["tests/test_b.py"], PYTEST, "tests/test_a.py", "pytest"),
        ("pkg/sub/a.py", "python", ["tests/sub/test_b.py", "conftest.py"], {}, "tests/sub/test_a.py", "pytest"),
        ("pkg/a.py", "python", ["pkg/test_b.py"], {"pkg/test_b.py": "def test_b(): ..."}, "pkg/test_a.py", "pytest"),
        ("pkg/a.py", "python", ["tests/b_test.py", "tests/c_test.py"], {}, "tests/a_test.py", "unittest"),
        ("pkg/a.py", "python", ["test/unit/test_a.py", "test/test_b.py"], {}, "test/unit/test_a.py", "unittest"),
        ("a.py", "python", ["a.py", "test_b.py"], {}, "test_a.py", "unittest"),
        # JavaScript and TypeScript
        ("src/a.ts", "typescript", ["src/a.ts"], VITEST, "src/a.test.ts", "Vitest"),
        ("src/a.ts", "typescript", ["src/b.spec.ts"], JEST, "src/a.spec.ts", "Jest"),
        ("src/a.tsx", "typescriptreact", ["src/__tests__/b.test.tsx"], JEST, "src/__tests__/a.test.tsx", "Jest"),
        ("lib/a.js", "javascript", ["test/b.js", "lib/a.js"], MOCHA, "test/a.test.js", "Mocha with Chai"),
        ("lib/a.js", "javascript", ["lib/a.js"], NODE, "test/a.test.js", "node:test"),
        ("lib/a.js", "javascript", ["lib/a.js"], NESTED, "test/a.test.js", "node:test"),
        ("packages/x/src/a.ts", "typescript", [], PACKAGES, "packages/x/src/a.test.ts", "Vitest"),
        # Rust, Go
        ("src/lib.rs", "rust", ["Cargo.toml"], {}, "src/lib.rs", "Rust's own #[test]"),
        ("pkg/a.go", "go", ["go.mod"], {}, "pkg/a_test.go", "Go's testing package"),
        # Java
        ("src/main/java/org/x/A.java", "java", [], POM, "src/test/java/org/x/ATest.java", "JUnit 5"),
        ("src/main/java/org/x/A.java", "java", [f"{MAVEN}/TestA.java"], OLD_POM, f"{MAVEN}/TestA.java", "JUnit 4"),
        # C and others
        ("src/a.c", "c", ["tests/test_b.c"], {"tests/test_b.c": '#include "unity.h"'}, "tests/test_a.c", "Unity"),
        ("src/a.c", "c", ["src/a.c"], {}, "tests/test_a.c", "assert.h and a main function"),
        ("src/a.cpp", "cpp", ["test/b_test.cpp"], GTEST, "test/a_test.cpp", "GoogleTest"),
        ("lib/x/a.rb", "ruby", ["spec/b_spec.rb"], {}, "spec/x/a_spec.rb", "RSpec"),
        ("src/A.php", "php", [], {}, "tests/ATest.php", "PHPUnit"),
    ],
)  # fmt: skip
def test_layouts(file: str, id: str, files: list[str], texts: dict[str, str], path: str, framework: str) -> None:
    place = test_place(file, id, files, texts)
    assert place is not None
    assert (place.path, place.framework) == (path, framework)
    assert place.exists is (path in files or id == "rust")


def test_no_layout_is_known() -> None:
    assert test_place("a.cob", "cobol", [], {}) is None


@pytest.mark.parametrize(
    ("file", "id", "path", "reach"),
    [
        ("src/pkg/a.py", "python", "", "from the module `pkg.a`"),
        ("pkg/__init__.py", "python", "", "from the module `pkg`"),
        ("src/a.ts", "typescript", "", "from `../src/a.ts`"),
        ("src/list.c", "c", "", "the header `list.h`"),
    ],
)
def test_how_the_code_is_reached(file: str, id: str, path: str, reach: str) -> None:
    place = test_place(file, id, [file], {})
    assert place is not None
    assert reach in place.reach


def test_tests_of_a_test_file_stay_in_it() -> None:
    place = test_place("tests/test_a.py", "python", ["tests/test_a.py"], {})
    assert place is not None
    assert place.inline


def test_names_of_tests() -> None:
    assert is_test("a/test_x.py", "python")
    assert is_test("ATest.java", "java")
    assert not is_test("Latest.py", "python")
    assert not is_test("attest.go", "go")


def test_reads_a_project(tmp_path: Path) -> None:
    (tmp_path / "node_modules/x").mkdir(parents=True)
    (tmp_path / "node_modules/x/package.json").write_text("{}")
    (tmp_path / "package.json").write_text(VITEST["package.json"])
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.ts").write_text("export const a = 1;\n")
    files, texts = read_project(Workspace((tmp_path,)), tmp_path, "typescript")
    assert sorted(files) == ["package.json", "src/a.ts"]
    assert list(texts) == ["package.json"]


def joined(existing: str, code: str, id: str) -> str:
    lines = split_lines(existing)
    for row, text in sorted(insertions(lines, code, id), reverse=True):
        lines.insert(row, text)
    return "".join(lines)


def test_added_to_python() -> None:
    existing = "import os\n\nfrom a import (\n    one,\n)\n\n\ndef test_one():\n    assert one()\n"
    code = "import os\nimport pytest\nfrom a import two\n\n\ndef test_two():\n    assert two()\n"
    assert joined(existing, code, "python") == (
        "import os\n\nfrom a import (\n    one,\n)\nimport pytest\nfrom a import two\n\n\n"
        "def test_one():\n    assert one()\n\n\ndef test_two():\n    assert two()\n"
    )


def test_added_above_the_main_of_python() -> None:
    main = 'if __name__ == "__main__":\n    unittest.main()\n'
    existing = f"import unittest\n\n\nclass A(unittest.TestCase):\n    pass\n\n\n{main}"
    assert joined(existing, "class B(unittest.TestCase):\n    pass\n", "python") == (
        "import unittest\n\n\nclass A(unittest.TestCase):\n    pass\n\n\nclass B(unittest.TestCase):\n    pass\n\n\n"
        + main
    )


def test_added_to_typescript() -> None:
    existing = "import { expect, test } from 'vitest';\r\nimport { a } from './a';\r\n\r\ntest('a', () => {\r\n});\r\n"
    code = "import { expect, test } from \"vitest\";\nimport { b } from './a';\n\ntest('b', () => {\n});\n"
    assert joined(existing, code, "typescript") == (
        "import { expect, test } from 'vitest';\r\nimport { a } from './a';\r\nimport { b } from './a';\r\n\r\n"
        "test('a', () => {\r\n});\r\n\r\ntest('b', () => {\r\n});\r\n"
    )


def test_added_to_go() -> None:
    existing = 'package a\n\nimport (\n\t"testing"\n)\n\nfunc TestA(t *testing.T) {\n}\n'
    code = 'package a\n\nimport (\n\t"strings"\n\t"testing"\n)\n\nfunc TestB(t *testing.T) {\n}\n'
    assert joined(existing, code, "go") == (
        'package a\n\nimport (\n\t"strings"\n\t"testing"\n)\n\nfunc TestA(t *testing.T) {\n}\n\n'
        "func TestB(t *testing.T) {\n}\n"
    )


def test_added_to_java() -> None:
    existing = "package x;\n\nimport org.junit.jupiter.api.Test;\n\nclass ATest {\n    @Test\n    void a() {}\n}\n"
    code = (
        "package x;\n\nimport static org.junit.jupiter.api.Assertions.*;\nimport org.junit.jupiter.api.Test;\n\n"
        "public class ATest {\n    @Test\n    void b() {}\n}\n"
    )
    assert joined(existing, code, "java") == (
        "package x;\n\nimport org.junit.jupiter.api.Test;\nimport static org.junit.jupiter.api.Assertions.*;\n\n"
        "class ATest {\n    @Test\n    void a() {}\n\n    @Test\n    void b() {}\n}\n"
    )


def test_added_to_rust() -> None:
    code = "#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn b() {}\n}\n"
    assert joined("pub fn f() {}\n", code, "rust") == "pub fn f() {}\n\n" + code
    existing = "pub fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn a() {}\n}\n"
    assert joined(existing, code, "rust") == (
        "pub fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n    #[test]\n    fn a() {}\n\n"
        "    #[test]\n    fn b() {}\n}\n"
    )


def test_added_to_a_file_without_a_final_newline() -> None:
    assert joined("int a;", "int b;\n", "c") == "int a;\n\nint b;\n"


def test_a_new_file_is_the_answer() -> None:
    code = '#include "a.h"\n\nint main(void) {\n    return 0;\n}\n'
    assert joined("", code, "c") == code
