"""The commit message: from a real repository to the prompt, and from the model's answer to the message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lsp_server.actions.commit import NoCommit, Staged, Style, cleaned, messages, shortened, staged, style_of

PLAIN = Style(bodies=False, prefixed=False, period=False, lower=False)


def git(folder: Path, *arguments: str, check: bool = True) -> bytes:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=check, capture_output=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def count(text: str) -> int:
    return -(-len(text) // 4)


async def prompt(folder: Path, budget: int = 6000) -> str:
    return messages(await staged(folder), budget, count)[1]["content"]


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


async def test_a_name_like_a_pattern_brings_no_secret_back(repository: Path) -> None:
    (repository / ".env").write_text("PASSWORD=hunter2\n")
    for name in (".en[v]", "*", ":(top)x", "-x", ":!y", "a?c"):
        (repository / name).write_text("plain = 1\n" * 3 + f"name = {name!r}\n")
    git(repository, "add", "-f", ".")
    text = await prompt(repository)
    assert "hunter2" not in text
    for name in (".en[v]", "*", ":(top)x", "-x", ":!y", "a?c"):
        assert f"\n{name}: new file\n" in text
        assert f"+name = {name!r}\n" in text


SECRETS = "".join(f"KEY_{number}=hunter2\n" for number in range(40))


@pytest.mark.parametrize("how", ["renamed", "renamed and changed", "copied", "made two"])
async def test_a_secret_stays_one_under_another_name(repository: Path, how: str) -> None:
    (repository / ".env").write_text(SECRETS)
    git(repository, "add", "-f", ".")
    git(repository, "commit", "-q", "-m", "Add it")
    (repository / "config.txt").write_text(SECRETS if how == "renamed" else SECRETS + "MORE=1\n")
    if how == "made two":
        (repository / "other.txt").write_text(SECRETS + "OTHER=1\n")
    if how == "copied":
        (repository / ".env").write_text(SECRETS + "MORE=2\n")
    else:
        (repository / ".env").unlink()
    (repository / "a.py").write_text("x = 1\n")
    git(repository, "add", "-f", "-A", ".")
    text = await prompt(repository)
    assert "a.py: new file" in text
    assert "hunter2" not in text


async def test_two_files_that_git_heads_alike_have_no_diff(repository: Path) -> None:
    # `diff --git a/p b/q.key b/r`: p to "q.key b/r", or "p b/q.key" to r.
    (repository / "p").write_text("plain\n" * 30)
    (repository / "p b").mkdir()
    (repository / "p b" / "q.key").write_text("hunter2\n" * 30)
    git(repository, "add", "-f", ".")
    git(repository, "commit", "-q", "-m", "Add them")
    (repository / "p b" / "q.key").unlink()
    (repository / "p").unlink()
    (repository / "q.key b").mkdir()
    (repository / "q.key b" / "r").write_text("plain\n" * 30 + "more\n")
    (repository / "r").write_text("hunter2\n" * 30 + "more\n")
    git(repository, "add", "-f", "-A", ".")
    text = await prompt(repository)
    assert "q.key b/r: renamed from p, changed" in text
    assert "hunter2" not in text


async def test_the_caller_says_what_is_hidden(repository: Path) -> None:
    (repository / "a.py").write_text("x = 1\n")
    (repository / "b.py").write_text("y = 1\n")
    git(repository, "add", ".")
    change = await staged(
        repository, lambda paths: ["It is a secret." if path == repository / "a.py" else "" for path in paths]
    )
    assert change.hidden == ("a.py",)
    assert [path for path, _ in change.diffs] == ["b.py"]


async def test_each_kind_of_change_is_named(repository: Path) -> None:
    for name in ("run.sh", "stop.sh", "gone.py", "old.py", "was.py", "turned"):
        (repository / name).write_text(f"# {name}\n" + "line = 1\n" * 20)
    (repository / "stop.sh").chmod(0o755)
    (repository / "old.bin").write_bytes(b"\0\1")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Add them")
    (repository / "run.sh").chmod(0o755)
    (repository / "stop.sh").chmod(0o644)
    (repository / "gone.py").unlink()
    (repository / "old.py").rename(repository / "new.py")
    (repository / "was.py").unlink()
    (repository / "is.py").write_text("# was.py\n" + "line = 1\n" * 19 + "line = 2\n")
    (repository / "turned").unlink()
    (repository / "turned").symlink_to("run.sh")
    (repository / "empty.py").touch()
    (repository / "new.bin").write_bytes(b"\0\2")
    (repository / "old.bin").write_bytes(b"\0\3")
    sub = repository / "sub"
    sub.mkdir()
    git(sub, "init", "-q")
    git(sub, "commit", "-q", "--allow-empty", "-m", "Begin")
    git(repository, "add", "-A", ".")
    lines = (await prompt(repository)).splitlines()
    for line in (
        "run.sh: made executable",
        "stop.sh: no longer executable",
        "gone.py: deleted file",
        "new.py: renamed from old.py",
        "is.py: renamed from was.py, changed",
        "turned: was a file, is now a symbolic link",
        "empty.py: new empty file",
        "new.bin: new binary file",
        "old.bin: changed binary file",
        "sub: new submodule",
    ):
        assert line in lines
    assert "+line = 2" in lines
    assert "+run.sh" in lines  # where the link points
    assert not any("old.py" in line and "renamed" not in line for line in lines)


async def test_a_conflict_is_named(repository: Path) -> None:
    for text in ("1\n", "2\n"):
        (repository / "a.py").write_text(text)
        git(repository, "add", ".")
        git(repository, "commit", "-q", "-m", text)
    (repository / "a.py").write_text("3\n")
    git(repository, "stash")
    git(repository, "reset", "-q", "--hard", "HEAD~")
    git(repository, "stash", "pop", check=False)
    assert "a.py: in conflict" in await prompt(repository)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep such names")
async def test_names_of_any_bytes(repository: Path) -> None:
    names = [
        b"tab\there.py",
        b"two\nlines.py",
        b'quo"te.py',
        b"back\\slash.py",
        b"caf\xe9.py",
        b"bell\a\x01.py",
        b" b/a .py",
    ]
    names += ["naïve.py".encode(), b"b/" + b"n" * 250]
    for number, name in enumerate(names):
        path = repository / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(f"number_{number}\n")
    git(repository, "add", ".")
    text = await prompt(repository)
    for number in range(len(names)):
        assert f"+number_{number}\n" in text
    for shown in (r'"tab\there.py": new', r'"two\nlines.py": new', r'"quo\"te.py": new', r'"back\\slash.py": new',
                  "caf\ufffd.py: new", r'"bell\a\001.py": new', " b/a .py: new", "naïve.py: new"):  # fmt: skip
        assert shown in text
    text.encode()


async def test_seven_hundred_files_are_named(repository: Path) -> None:
    for number in range(700):
        (repository / f"file_{number}.py").write_text(f"x = {number}\n")
    git(repository, "add", ".")
    text = await prompt(repository)
    assert all(f"file_{number}.py: new file" in text for number in range(700))
    assert count(text) <= 6000
    text = await prompt(repository, 1000)
    named = text.count(": new file")
    assert named > 50
    assert f"\n... and {700 - named} more files\n" in text
    assert count(text) <= 1000


USER_SETTINGS = {
    "diff.mnemonicPrefix": "true", "diff.noprefix": "true", "diff.srcPrefix": "x/", "diff.dstPrefix": "y/",
    "diff.renames": "false", "diff.context": "0", "diff.interHunkContext": "9", "diff.algorithm": "patience",
    "diff.suppressBlankEmpty": "true", "diff.submodule": "log", "diff.ignoreSubmodules": "all",
    "diff.statGraphWidth": "1", "diff.wsErrorHighlight": "all", "diff.colorMoved": "zebra", "diff.relative": "true",
    "diff.external": "false", "diff.wordRegex": ".", "color.ui": "always", "color.diff": "always",
    "core.quotePath": "true", "core.abbrev": "4", "log.showSignature": "true", "log.date": "raw", "log.follow": "true",
    "format.pretty": "oneline", "i18n.logOutputEncoding": "UTF-16", "status.short": "true", "core.pager": "cat -A",
    "core.commentChar": "x", "log.decorate": "full", "log.mailmap": "true", "diff.renameLimit": "1",
    "log.diffMerges": "separate", "diff.indentHeuristic": "false", "core.whitespace": "trailing-space",
}  # fmt: skip


async def test_whatever_the_user_configured(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"line {number} ü" for number in range(40)]
    for name in ("a.py", "b ü.py"):
        (repository / name).write_text("\n".join([*lines, ""]))
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Grüße")
    (repository / "b ü.py").rename(repository / "c.py")
    (repository / "a.py").write_text("\n".join([*lines[:20], "changed", "", *lines[20:], ""]))
    (repository / "sub").mkdir()
    git(repository / "sub", "init", "-q")
    git(repository / "sub", "commit", "-q", "--allow-empty", "-m", "Begin")
    git(repository, "add", "-A", ".")
    plain = await staged(repository)
    assert plain.history == ("Grüße",)
    assert [path for path, _ in plain.diffs] == ["a.py", "c.py", "sub"]
    home = tmp_path_factory.mktemp("home")
    order = home / "order"
    order.write_text("sub\nc.py\n")
    (home / "attributes").write_text("*.py -diff\n")
    settings = USER_SETTINGS | {"diff.orderFile": str(order), "core.attributesFile": str(home / "attributes")}
    monkeypatch.setenv("HOME", str(home))
    for name, value in settings.items():
        git(repository, "config", "--global", name, value)
    assert await staged(repository) == plain
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("bare home")))
    for name, value in settings.items():
        git(repository, "config", name, value)
    assert await staged(repository) == plain


@pytest.mark.parametrize("edited", [False, True])
async def test_what_git_cannot_show_is_named(repository: Path, edited: bool) -> None:
    """As in a partial clone, whose objects are elsewhere."""
    (repository / "a.py").write_text("x = 1\n")
    (repository / "gone.py").write_text("y = 1\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Add them")
    (repository / "a.py").write_text("x = 2\n")
    git(repository, "add", "a.py")
    git(repository, "mv", "gone.py", "new.py")
    if edited:
        (repository / "new.py").write_text("y = 1\ny = 2\n")
        git(repository, "add", "new.py")
    for file in (repository / ".git" / "objects").glob("??/*"):
        if git(repository, "cat-file", "-t", file.parent.name + file.name) == b"blob\n":
            file.unlink()
    text = await prompt(repository)
    moved = ["gone.py: deleted file", "new.py: new file"] if edited else ["new.py: renamed from gone.py"]
    assert text.splitlines()[2 : 5 + edited] == ["```diff", "a.py: changed", *moved]


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
    assert (
        shortened([("package-lock.json", "package-lock.json: changed\n+noise")], 100, count)
        == "package-lock.json: changed"
    )


def test_the_prompt_has_the_last_subjects() -> None:
    change = Staged((("a.py", "+x"),), history=("fix: one", "feat: two\n\nbody"))
    system, user = messages(change, 500, count)
    assert "- fix: one\n- feat: two" in user["content"]
    assert "Begin the subject with a type" in user["content"]
    assert system["role"] == "system"
