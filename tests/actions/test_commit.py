"""The commit message: from a real repository to the prompt, and from the model's answer to the message."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lsp_server.actions.commit import NoCommit, Staged, Style, cleaned, messages, shortened, staged, style_of

PLAIN = Style(bodies=False, prefixed=False, period=False, lower=False)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def count(text: str) -> int:
    return len(text) // 4


async def test_what_is_staged(repository: Path) -> None:
    (repository / "a.py").write_text("x = 1\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Add a\n\nIt is needed.")
    (repository / "a.py").write_text("x = 2\n")
    (repository / "b ü.py").write_text("y = 1\n")
    (repository / "sub").mkdir()
    git(repository, "add", ".")
    (repository / "a.py").write_text("x = 3  # not staged\n")
    change = await staged(repository / "sub")
    assert [path for path, _ in change.diffs] == ["a.py", "b ü.py"]
    assert "-x = 1\n+x = 2" in change.diffs[0][1]
    assert "not staged" not in str(change.diffs)
    assert change.history == ("Add a\n\nIt is needed.",)


async def test_deleted_and_first(repository: Path) -> None:
    (repository / "a.py").write_text("x = 1\n")
    git(repository, "add", ".")
    assert (await staged(repository)).history == ()
    git(repository, "commit", "-q", "-m", "Add a")
    git(repository, "rm", "-q", "a.py")
    assert [path for path, _ in (await staged(repository)).diffs] == ["a.py"]


async def test_secrets_are_left_out(repository: Path) -> None:
    (repository / ".env").write_text("PASSWORD=hunter2\n")
    (repository / "a.py").write_text("x = 1\n")
    git(repository, "add", "-f", ".")
    change = await staged(repository)
    assert change.hidden == (".env",)
    assert "hunter2" not in str(messages(change, 1000, count))
    git(repository, "rm", "-q", "--cached", "a.py")
    with pytest.raises(NoCommit, match="must not see"):
        await staged(repository)


async def test_nothing_to_write_for(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(NoCommit, match="Nothing is staged"):
        await staged(repository)
    with pytest.raises(NoCommit, match="is not in a git repository"):
        await staged(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(NoCommit, match="There is no folder"):
        await staged(repository / "gone")


async def test_git_is_missing(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(NoCommit, match="git is not installed"):
        await staged(repository)


async def test_a_huge_diff_is_bounded(repository: Path) -> None:
    (repository / "big.txt").write_text("line of text\n" * 200_000)
    git(repository, "add", ".")
    change = await staged(repository)
    text = messages(change, 500, count)[1]["content"]
    assert count(text) < 600
    assert "more lines)" in text


def test_style() -> None:
    conventional = style_of(["fix(parser): accept tabs", "feat: add a menu", "chore: tidy"])
    assert (conventional.prefixed, conventional.lower, conventional.bodies) == (True, True, False)
    assert style_of(["Add a.\n\nBecause.", "Fix b.\n\nIt broke."]) == Style(True, False, True, False)
    assert style_of([]) == PLAIN


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("Add a parser", "Add a parser"),
        ("```\nAdd a parser.\n```", "Add a parser"),
        ("Here is the commit message:\n\n```text\nadd a parser\n\nIt parses.\n```\nDone!", "Add a parser"),
        ('Commit message: "Add a parser"', "Add a parser"),
        ("**Subject:** Add a parser", "Add a parser"),
        ("- Add a parser\n- Add a lexer", "Add a parser"),
        ("Add " + "word " * 30, ("Add " + "word " * 13).strip()),
        ("", ""),
        ("```\n```", ""),
    ],
)
def test_cleaned(answer: str, message: str) -> None:
    assert cleaned(answer, PLAIN) == message
    assert len(message) <= 72


def test_cleaned_as_the_history_has_it() -> None:
    conventional = Style(bodies=False, prefixed=True, period=False, lower=True)
    assert cleaned("fix: accept tabs.", conventional) == "fix: accept tabs"
    assert cleaned("Accept tabs", conventional) == "accept tabs"
    bodies = Style(bodies=True, prefixed=False, period=False, lower=False)
    long = "It " + "is needed for the menu " * 6
    assert cleaned(f"Add a\n\n{long}\n\n- one\n- two", bodies) == (
        "Add a\n\nIt is needed for the menu is needed for the menu is needed for the menu\n"
        "is needed for the menu is needed for the menu is needed for the menu\n\n- one\n- two"
    )


def test_the_small_diffs_stay_whole() -> None:
    diffs = [("big.py", "\n".join(f"+line {n}" for n in range(1000))), ("small.py", "+x = 1\n+y = 2")]
    text = shortened(diffs, 100, count)
    assert "+x = 1\n+y = 2" in text
    assert "+line 0" in text
    assert count(text) <= 110


def test_lock_files_are_named_only() -> None:
    assert shortened([("package-lock.json", "+secret noise")], 100, count) == "package-lock.json: changed"


def test_the_prompt_has_the_last_subjects() -> None:
    change = Staged((("a.py", "+x"),), history=("fix: one", "feat: two\n\nbody"))
    system, user = messages(change, 500, count)
    assert "- fix: one\n- feat: two" in user["content"]
    assert "Begin the subject with a type" in user["content"]
    assert system["role"] == "system"
