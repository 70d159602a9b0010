"""What is hidden from the model, against git's own opinion where git has one."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from lsp_server.context.look import Look
from lsp_server.context.privacy import Privacy


def why_hidden(path: Path, roots: tuple[Path, ...] = ()) -> str:
    return Privacy(Look(), roots).why_hidden(path)


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", "prod.env", "server.pem", "id_rsa", "id_ed25519_work", ".npmrc", ".pypirc", ".netrc",
     ".ssh/config", ".aws/credentials", "secrets.yaml", "terraform.tfstate", "terraform.tfvars", "deep/down/.env"],
)  # fmt: skip
def test_secrets_are_hidden_everywhere(name: str, tmp_path: Path) -> None:
    assert "secrets" in why_hidden(tmp_path / name, ())


@pytest.mark.parametrize("name", ["main.py", ".env.example", "id_rsa.pub", "environment.py", "secrets.py", "keys.ts"])
def test_ordinary_files_are_not(name: str, tmp_path: Path) -> None:
    assert why_hidden(tmp_path / name, (tmp_path,)) == ""


def test_ignored_files_as_git_sees_them(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("build/\n*.log\n/only_here.txt\n!important.log\n# comment\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").write_text("!keep.log\nlocal.py\n")
    names = ["a.py", "build/x.py", "sub/build/y.py", "a.log", "important.log", "sub/a.log", "sub/keep.log",
             "sub/local.py", "local.py", "only_here.txt", "sub/only_here.txt"]  # fmt: skip
    for name in names:
        git = subprocess.run(["git", "-C", tmp_path, "check-ignore", "-q", name]).returncode == 0
        assert bool(why_hidden(tmp_path / name, (tmp_path,))) == git, name


def test_a_changed_ignore_file_is_heeded_and_ours_too(tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    assert why_hidden(file, (tmp_path,)) == ""
    (tmp_path / ".codellamaignore").write_text("*.md\n")
    assert ".codellamaignore" in why_hidden(file, (tmp_path,))
    (tmp_path / ".codellamaignore").unlink()
    assert why_hidden(file, (tmp_path,)) == ""


def ignored_by_git(top: Path, path: Path, **environment: str) -> bool:
    told = subprocess.run(["git", "-C", top, "check-ignore", "-q", path], env={**os.environ, **environment})
    assert told.returncode in (0, 1)
    return told.returncode == 0


def test_trees_of_folders_by_chance_as_git_has_them(tmp_path: Path) -> None:
    """Rules in several folders, of the repository and of the user, and names that are ignored by a folder above."""
    chance = random.Random(7)
    names = ["a", "b", "c.py", "d.log"]
    rules = [
        "a",
        "b/",
        "/a",
        "*.py",
        "!*.py",
        "!a",
        "*.log",
        "!b/",
        "a/b",
        "a/*",
        "!a/b",
        "**/b",
        "a/**",
        "!c.py",
        "/*/b",
    ]
    hidden = 0
    for number in range(25):
        home, top = tmp_path / f"home{number}", tmp_path / str(number)
        subprocess.run(["git", "init", "-q", top], check=True)
        folders = [top, top / "a", top / "a" / "b", top / "b"]
        for folder in folders:
            folder.mkdir(exist_ok=True)
            if chance.random() < 0.7:
                (folder / ".gitignore").write_text("\n".join(chance.choices(rules, k=3)))
        (top / ".git" / "info" / "exclude").write_text("\n".join(chance.choices(rules, k=2)))
        home.mkdir()
        (home / ".gitconfig").write_text("[core]\n excludesfile = ~/mine\n")
        (home / "mine").write_text("\n".join(chance.choices(rules, k=2)))
        environment = {"HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        with pytest.MonkeyPatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            for path in (folder / name for folder in folders for name in names if not (folder / name).is_dir()):
                path.write_text("")
                told = ignored_by_git(top, path, **environment)
                assert bool(why_hidden(path)) is bool(why_hidden(path, (path.parent,))) is told, path
                hidden += told
    assert 25 < hidden < 25 * 12


def test_where_the_users_own_rules_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "top"
    subprocess.run(["git", "init", "-q", top], check=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "git").mkdir(parents=True)
    (tmp_path / "config" / "git" / "ignore").write_text("default.py\n")
    (tmp_path / "#mine;").write_text("mine.py\n")
    (tmp_path / "included").write_text('[Core]\nExcludesFile = "~/#mine;" ; a comment\n')
    (tmp_path / "theirs").write_text("theirs.py\n")

    def hidden() -> list[str]:
        names = ["default.py", "mine.py", "theirs.py"]
        found = [name for name in names if why_hidden(top / name)]
        assert found == [name for name in names if ignored_by_git(top, top / name)]
        return found

    assert hidden() == ["default.py"]
    (tmp_path / ".gitconfig").write_text('[user]\n\tname = "x\\"y" # z\n[include] path = included\n[core "x"] a = b\n')
    assert hidden() == ["mine.py"]
    subprocess.run(["git", "-C", top, "config", "core.excludesFile", str(tmp_path / "theirs")], check=True)
    assert hidden() == ["theirs.py"]


def test_a_linked_working_tree_and_a_repository_in_another(tmp_path: Path) -> None:
    outer, inner, linked = tmp_path / "outer", tmp_path / "outer" / "vendor" / "inner", tmp_path / "linked"
    for top in (outer, inner):
        subprocess.run(["git", "init", "-q", top], check=True)
    (outer / ".gitignore").write_text("vendor/\n")
    assert why_hidden(inner / "a.py") == ""
    assert why_hidden(inner / "a.py", (inner,)) == ""
    assert "ignored" in why_hidden(inner / "a.py", (outer, inner))
    (inner / ".git" / "info" / "exclude").write_text("mine.py\n")
    author = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "-C", inner, *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run(["git", "-C", inner, "worktree", "add", "-q", linked], check=True, stderr=subprocess.DEVNULL)
    assert ignored_by_git(linked, linked / "mine.py")
    assert "ignored" in why_hidden(linked / "mine.py")
    (inner / "not one" / ".git").mkdir(parents=True)
    assert "ignored" in why_hidden(inner / "not one" / "mine.py")


def written(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize("parts", [["HEAD"], ["HEAD", "objects/"], ["HEAD", "refs/"], ["objects/", "refs/"]])
def test_a_git_folder_that_is_not_whole_is_none(parts: list[str], tmp_path: Path) -> None:
    """Else whoever has a file in a project could switch the project's rules off."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    written(tmp_path / ".gitignore", "a.py\n")
    inner = written(tmp_path / "inner" / "a.py").parent
    (inner / ".git").mkdir()
    for part in parts:
        if part.endswith("/"):
            (inner / ".git" / part).mkdir()
        else:
            (inner / ".git" / part).write_text("ref: refs/heads/main\n")
    assert ignored_by_git(inner, inner / "a.py")
    assert "ignored" in why_hidden(inner / "a.py")


def test_a_git_folder_as_others_may_have_it(home: Path, tmp_path: Path) -> None:
    top = tmp_path / "top"
    subprocess.run(["git", "init", "-q", top], check=True)
    (top / ".git" / "HEAD").unlink()
    os.symlink("refs/heads/main", top / ".git" / "HEAD")  # there is no such file yet
    (top / ".git").rename(tmp_path / "its folder ")
    written(top / ".git", f"gitdir: {tmp_path}/its folder \n")
    written(tmp_path / "its folder " / "info" / "exclude", "a.py\n")
    assert ignored_by_git(top, written(top / "a.py"))
    assert "ignored" in why_hidden(top / "a.py")


def test_a_rule_file_beside_the_project(home: Path, tmp_path: Path) -> None:
    top = tmp_path / "top"
    subprocess.run(["git", "init", "-q", top], check=True)
    written(home / ".gitconfig", "[core]\n\texcludesFile = its rules\n")
    written(top / "its rules", "a.py\n")
    assert ignored_by_git(top, written(top / "below" / "a.py"))
    assert "ignored" in why_hidden(top / "below" / "a.py")


def test_the_configuration_of_one_working_tree(home: Path, tmp_path: Path) -> None:
    top, linked = tmp_path / "top", tmp_path / "linked"
    author = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "init", "-q", top], check=True)
    subprocess.run(["git", "-C", top, *author, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run(["git", "-C", top, "worktree", "add", "-q", linked], check=True, stderr=subprocess.DEVNULL)
    rules = written(tmp_path / "rules", "a.py\n")
    for extended in (False, True):
        subprocess.run(["git", "-C", top, "config", "extensions.worktreeConfig", str(extended).lower()], check=True)
        written(top / ".git" / "worktrees" / "linked" / "config.worktree", f"[core]\n\texcludesFile = {rules}\n")
        for file in (written(linked / "a.py"), written(top / "a.py")):
            assert bool(why_hidden(file)) is ignored_by_git(file.parent, file) is (extended and file.parent == linked)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("gitdir:{top}/", True),
        ("gitdir:~/work/", True),
        ("gitdir:work/", True),
        ("gitdir:*/.git", True),
        ("gitdir:**/TOP/.git", False),
        ("gitdir/i:**/TOP/.git", True),
        ("gitdir:./work/*/.git", True),
        ("gitdir:{top}", False),
        ("gitdir:/nowhere/", False),
        ("onbranch:feature/", True),
        ("onbranch:feature/*", True),
        ("onbranch:main", False),
        ("onbranch:one", False),
        ("hasconfig:remote.*.url:https://example.org/**", True),
        ("moon:full", False),
    ],
)
def test_configuration_for_some_repositories_alone(condition: str, holds: bool, home: Path) -> None:
    top = home / "work" / "top"
    subprocess.run(["git", "init", "-q", "-b", "feature/one", top], check=True)
    subprocess.run(["git", "-C", top, "remote", "add", "origin", "https://example.org/x"], check=True)
    written(home / ".gitconfig", f'[includeIf "{condition.format(top=top)}"]\n\tpath = theirs\n')
    written(home / "theirs", "[core]\n\texcludesFile = ~/rules\n")
    written(home / "rules", "a.py\n")
    assert bool(why_hidden(written(top / "a.py"))) is ignored_by_git(top, top / "a.py") is holds


def test_configuration_in_the_environment(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    written(home / ".gitconfig", "[core]\n\texcludesFile = ~/theirs\n")
    written(home / "theirs", "b.py\n")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.excludesFile")
    for value in (str(written(tmp_path / "rules", "a.py\n")), ""):
        monkeypatch.setenv("GIT_CONFIG_VALUE_0", value)
        for file in (written(tmp_path / "a.py"), written(tmp_path / "b.py")):
            assert bool(why_hidden(file)) is ignored_by_git(tmp_path, file) is (file.name == "a.py" and value != "")


def test_a_long_configuration(home: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    branches = "".join(f'[branch "{number}"]\n\tremote = origin\n\tmerge = refs/{number}\n' for number in range(9999))
    written(tmp_path / ".git" / "config", f"{branches}[core]\n\texcludesFile = {written(tmp_path / 'mine', 'a.py')}\n")
    assert ignored_by_git(tmp_path, written(tmp_path / "a.py"))
    assert "ignored" in why_hidden(tmp_path / "a.py")


@pytest.mark.parametrize("name", [".gitignore", ".codellamaignore"])
def test_rules_that_cannot_be_known_err_on_hiding(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / name).write_text("#" * 200_000 + "\n")
    assert "ignored" in why_hidden(tmp_path / "a.py", (tmp_path,))
    assert "The rules of" in caplog.text
    (tmp_path / name).write_text("x" * 1000 + "\n")
    assert "ignored" in why_hidden(tmp_path / "a.py", (tmp_path,))
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert why_hidden(tmp_path / "a.py", (tmp_path,)) == ""


def test_gits_own_files_are_ignored_by_nobody_but_hold_secrets(tmp_path: Path) -> None:
    """A commit message is edited in one of them."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("*\n")
    assert why_hidden(tmp_path / ".git" / "COMMIT_EDITMSG", (tmp_path,)) == ""
    assert "secrets" in why_hidden(tmp_path / ".git" / "config", (tmp_path,))


def test_a_name_that_leads_nowhere_is_hidden(tmp_path: Path) -> None:
    os.symlink("circle", tmp_path / "circle")
    assert "leads nowhere" in why_hidden(tmp_path / "circle", (tmp_path,))
    assert "more than" in why_hidden(Path("/" + "a/" * 1000 + "b"), (tmp_path,))


HOSTILE = ("**/" + "*a/" * 20 + "b\n") * 1_400


@pytest.mark.timeout(30)
@pytest.mark.parametrize("nested", [False, True])
def test_rules_that_take_too_long_together_hide_the_file_and_it_is_said(nested: bool, tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(40):
        folder /= "a" * 9
        folder.mkdir()
        if nested:
            (folder / ".gitignore").write_text(HOSTILE)
    (tmp_path / ".gitignore").write_text(HOSTILE)
    told = why_hidden(folder / "a.py", (tmp_path,))
    assert told.startswith(f"The rules in {tmp_path}")
    assert told.endswith("never shown to the model; shorten them.")
    assert why_hidden(tmp_path / "b.py", (tmp_path,)) == ""
    assert Privacy(Look(), (tmp_path,)).ignores_folder(folder)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "config", ["[include]\n\tpath = config\n", '[includeIf "gitdir:*a*a*a*a*/**/b"]\n\tpath = x\n']
)
def test_a_configuration_that_takes_too_long_hides_the_file(config: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    with (tmp_path / ".git" / "config").open("a") as file:
        file.write(config * 20_000)
    assert f"The rules in {tmp_path}/.git/config take too long" in why_hidden(tmp_path / "a.py", (tmp_path,))
