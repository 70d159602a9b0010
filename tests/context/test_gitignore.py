"""The rules of ignore files against git's own opinion, and that none of them takes long."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from lsp_server.context.gitignore import MOST_BYTES, MOST_IN_RULE, MOST_RULES, Steps, TooCostly, as_bytes, parse


def git_ignores(folder: Path, rules: bytes, paths: list[str]) -> set[str]:
    """The paths that git says are ignored, by the rules of one file in an otherwise empty repository."""
    (folder / ".gitignore").write_bytes(rules)
    asked = b"".join(os.fsencode(path) + b"\0" for path in paths)
    command = ["git", "-c", "core.excludesFile=", "-C", str(folder), "check-ignore", "--no-index", "--stdin", "-z"]
    told = subprocess.run(command, input=asked, stdout=subprocess.PIPE)
    assert told.returncode in (0, 1)
    return {os.fsdecode(path) for path in told.stdout.split(b"\0") if path}


def ignores(rules: bytes, path: str, *, fold: bool = False) -> bool:
    """The same with ours: a folder on the way that is ignored takes all below it along."""
    parsed = parse(rules, "here", fold=fold)
    parts = as_bytes(path, fold=fold).split("/")
    for count in range(1, len(parts)):
        if parsed.verdict("/".join(parts[:count]), is_folder=True):
            return True
    return bool(parsed.verdict("/".join(parts), is_folder=False))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", folder], check=True)
    return folder


PATHS = ["a", "b", "ab", "a.py", "a/b", "a/b/c", "a/ab/c", "foo", "foo/bar", "foo/ab/x/c", "foo/ac", "foo/a/c", "é.py",
         "private/a.py", "private/b/a.py", "sub/private/a.py", "#x", "!x", "a b", "a ", "[x]", "a-b", "a]b", "x*y",
         "a\\b", "A", "é/ü", "sub/a/b", "x/y/z/a", "foo/bar/baz/qux.txt", "build/x.py", "\udcff.bin", "9",
         "a\tb"]  # fmt: skip
RULES = ["private/\n!*.py", "a**", "foo/a**/c", "foo/a**", "**/b", "a/**", "a/**/c", "*/**", "/a", "/*", "/**", "a/",
         "!a", "*\n!a", "*\n!*/\n!*.py", "[a-c]", "[!a]*", "[^a]", "[]]", "a[]-]b", "[[:alpha:]]", "[[:foo:]]", "[a",
         "\\#x", "#x", "\\!x", "a\\ ", "a ", "a\\", "\\a", "x\\*y", "?.py", "??.py", "a\r\nb", "\xef\xbb\xbfa",
         "**/", "/", "//", "", "***/b", "foo/**/qux.txt", "foo\\/bar", "foo/**\\/qux.txt", "a/[b/]c", "**foo",
         "*/b", "a//b", "[\\]]", "[a\\-c]", "a\\\\b", "*?", "?*", "[0-9]", "sub/*/b", "*.py\n!a.py", "foo/*\n!foo/bar",
         "[z-a]", "[-a]", "[a-]", "*\\", "**a/**/c", "*a*/**", "[[:digit:][:space:]]", "a[[:space:]]b"]  # fmt: skip


@pytest.mark.parametrize("rules", RULES)
def test_each_form_of_a_rule_as_git_has_it(rules: str, repository: Path) -> None:
    data = rules.encode("latin-1") + b"\n"
    told = git_ignores(repository, data, PATHS)
    assert {path for path in PATHS if ignores(data, path)} == told


def test_rules_and_paths_by_chance_as_git_has_them(repository: Path) -> None:
    chance = random.Random(5)
    pieces = ["a", "b", "ab", "*", "*", "**", "**/", "/**", "/", "/", "?", "[ab]", "[!a]", "[a-c]", "\\", ".", "!", " ",
              "c", "[", "]", "-", "[]a]", "[^]]", "***", "a/b", "\\a", "\\/"]  # fmt: skip
    names = ["a", "b", "c", "ab", "ba", "abc", ".", "a.b", "]", "-", "aab", "[", "a b", "*"]
    paths = {"/".join(chance.choices(names, k=chance.randint(1, 5))) for _ in range(400)}
    paths = {path for path in paths if not {".", ".."} & set(path.split("/"))}
    hidden = 0
    for _ in range(200):
        lines = ["".join(chance.choices(pieces, k=chance.randint(1, 7))) for _ in range(chance.randint(1, 3))]
        data = "\n".join(lines).encode()
        told = git_ignores(repository, data, sorted(paths))
        assert {path for path in paths if ignores(data, path)} == told, data
        hidden += 0 < len(told) < len(paths)
    assert hidden > 50


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "rule",
    ["*a" * 60 + "b", "*?" * 100 + "b", "**/a" * 100 + "/b", "*[ab]" * 80 + "c", "a*" * 200 + "/**/" + "*a" * 50],
)
def test_no_rule_takes_long(rule: str) -> None:
    for path in ("a" * 255, "/".join(["a" * 20] * 100), "/".join("a" * 120)):
        assert not ignores(rule.encode(), path)


DEEP = "/".join(["a" * 9] * 40)
MANY = ["**/" + "*a/" * 20 + "b", "**/" + "*a/**/" * 10 + "b", "*a*a*a*a*a*a*a*a*/b", "/[!b]*/**/*a*a*c", "a*a*a*b*"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("path", "hard"), [(DEEP, True), ("/".join(["a" * 18] * 199), True), ("a.py", False)])
@pytest.mark.parametrize("rule", MANY)
def test_as_many_rules_as_fit_in_a_file_do_not_take_long_together(rule: str, path: str, hard: bool) -> None:
    """Each has its bounds; that of all of them together is one for a file, with all the folders on the way to it."""
    rules = parse(filled_with(rule), "here")
    parts = path.split("/")
    steps = Steps("here")

    def hidden() -> bool:
        paths = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        return any(rules.verdict(each, steps, is_folder=each != path) for each in paths)

    if hard:
        with pytest.raises(TooCostly, match=r"The rules in here take too long .* never shown to the model"):
            hidden()
    else:
        assert not hidden()


def filled_with(rule: str) -> bytes:
    """As many of a rule as fit in a file."""
    return f"{rule}\n".encode() * min(MOST_RULES, MOST_BYTES // (len(rule) + 1))


def test_one_verdict_has_its_bound() -> None:
    rules = parse(filled_with(MANY[0]), "here")
    with pytest.raises(TooCostly):
        rules.verdict("/".join(["a" * 18] * 199), is_folder=False)


def test_what_large_projects_have_is_far_from_too_much() -> None:
    forms = ["build{}/", "*.o{}", "/dist{}", "[Bb]in{}/", "*.[Cc]ache{}", "**/out{}/*.log", "src/**/gen{}/", "tmp{}*~"]
    rules = parse("\n".join(form.format(number) for number in range(60) for form in forms).encode(), "here")
    path = "packages/server/src/main/java/org/example/project/module/internal/ImplementationOfTheThing.java"
    parts = path.split("/")
    steps = Steps(left=100_000)  # a tenth of what there is
    for count in range(1, len(parts) + 1):
        assert not rules.verdict("/".join(parts[:count]), steps, is_folder=count < len(parts))


def test_a_rule_that_is_too_long_hides_what_it_could_hide(caplog: pytest.LogCaptureFixture) -> None:
    assert ignores(b"x" * (MOST_IN_RULE + 1) + b"\n", "a.py")
    assert "Line 1 of here is too long" in caplog.text
    assert ignores(b"*.py\n!" + b"x" * (MOST_IN_RULE + 1), "a.py")
    assert ignores(b"x\n" * (MOST_RULES + 1), "a.py")


def test_letter_case_counts_unless_it_does_not_for_git() -> None:
    for fold in (False, True):
        rules = parse(b"Private/\n", "here", fold=fold)
        assert bool(rules.verdict(as_bytes("pRIVATE", fold=fold), is_folder=True)) is fold


FOLDED = ["Private/", "*.PY", "[A-C]", "[A-z]", "[Z-a]", "[!A-C]", "[A]", "[a]", "[!A]", "[[:upper:]]", "[![:upper:]]",
          "[[:lower:]]", "\\A", "A\\b", "A*", "?.PY", "*A*", "Foo/**/C", "**/B", "[[:upper:]_]*", "A/[B-C]/?",
          "\xc3\x89.py", "[\xc3]\x89.py", "Sub/[!B]*/A.py", "[A\\B]", "[A-\\C]"]  # fmt: skip


@pytest.mark.parametrize("rules", FOLDED)
def test_letter_case_where_it_does_not_count_as_git_has_it(rules: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "config", "core.ignoreCase", "true"], check=True)
    data = rules.encode("latin-1") + b"\n"
    paths = [*PATHS, "B", "C", "_", "Ab", "AB", "a.PY", "A/B/C", "FOO/x/C", "É.py", "SUB/c/a.py", "^", "Z"]
    told = git_ignores(tmp_path, data, paths)
    assert {path for path in paths if ignores(data, path, fold=True)} == told
