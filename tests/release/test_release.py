"""What a release is made of, in parts that take no minutes; `make release` does all of it."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from lsp_server import __version__
from release import building, licences, trial
from release import version as versions

ROOT = Path(__file__).parents[2]


def test_every_copy_of_the_version_is_the_same() -> None:
    wrong = [name for name, text in versions.copied().items() if (ROOT / name).read_text(encoding="utf-8") != text]
    assert wrong == [], "run python -m release.version"
    assert json.loads((ROOT / "editors/vscode/package.json").read_text(encoding="utf-8"))["version"] == __version__
    assert f"M.NEEDS = '{__version__.rpartition('.')[0]}.0'" in (
        ROOT / "editors/neovim/lua/codellama/server.lua"
    ).read_text(encoding="utf-8")


def test_a_version_reaches_all_its_copies(tmp_path: Path) -> None:
    for name in (versions.SOURCE, *versions.copied()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    versions.write(tmp_path, "7.8.9.dev12")
    assert versions.read(tmp_path) == "7.8.9.dev12"
    assert (
        json.loads((tmp_path / "editors/vscode/package.json").read_text(encoding="utf-8"))["version"] == "7.8.9-dev.12"
    )
    page = (tmp_path / "docs/getting-started.md").read_text(encoding="utf-8")
    assert "codellama_ls-7.8.9.dev12-py3-none-any.whl[engine]" in page
    assert "codellama-nvim-7.8.9.dev12.tar.gz" in page
    assert "codellama-7.8.9.dev12.vsix" in page
    assert __version__ not in re.sub(r"127\.0\.0\.1", "", page)


def test_the_changelog_begins_with_this_version() -> None:
    sections = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[0] == __version__
    assert len(sections) == len(set(sections))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with a version and a changelog, in one commit."""
    folder = tmp_path / "repository"
    (folder / "lsp_server").mkdir(parents=True)
    (folder / versions.SOURCE).write_text('__version__ = "1.2.0"\n')
    (folder / "CHANGELOG.md").write_text("## [1.2.0] - not yet released\n")
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "x")


def test_a_commit_without_a_tag_is_a_development_version(repository: Path) -> None:
    assert building.version_of("HEAD", repository) == "1.2.0.dev1"


def test_a_tag_counts_where_source_and_changelog_agree(repository: Path) -> None:
    git(repository, "tag", "v1.2.0")
    with pytest.raises(building.NotReleasable, match=r"no `## \[1\.2\.0\] - DATE`"):
        building.version_of("HEAD", repository)
    (repository / "CHANGELOG.md").write_text("## [1.2.0] - 2026-01-31\n")
    commit(repository)
    git(repository, "tag", "--force", "v1.2.0")
    assert building.version_of("HEAD", repository) == "1.2.0"
    git(repository, "tag", "v1.3.0")
    with pytest.raises(building.NotReleasable, match=r"says 1\.2\.0"):
        building.version_of("HEAD", repository)


def test_an_export_has_what_was_committed_alone(tmp_path: Path) -> None:
    building.export("HEAD", "0.9.0.dev3", tmp_path / "source")
    assert versions.read(tmp_path / "source") == "0.9.0.dev3"
    assert not (tmp_path / "source" / ".venv").exists()


def test_the_plugins_archive_is_a_package_of_neovim_and_always_the_same(tmp_path: Path) -> None:
    wheel = tmp_path / "codellama_ls-1.2.3-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    made = building.neovim(ROOT, wheel, "1.2.3", tmp_path, time=1_700_000_000)
    first = made.read_bytes()
    wheel.touch()
    assert building.neovim(ROOT, wheel, "1.2.3", tmp_path, time=1_700_000_000).read_bytes() == first
    with tarfile.open(made) as files:
        names = set(files.getnames())
    needed = ("plugin/codellama.lua", "lua/codellama/init.lua", "doc/codellama.txt", "LICENSE", f"server/{wheel.name}")
    assert {f"codellama/{name}" for name in needed} <= names


def test_the_sums_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    building.write_sums(tmp_path)
    building.write_sums(tmp_path)  # not of itself
    assert (tmp_path / building.SUMS).read_text() == f"{hashlib.sha256(b'1').hexdigest()}  a\n"


def test_licences_are_told_in_a_few_words() -> None:
    component = {"name": "a", "version": "1"}
    for given, told in (
        ([{"license": {"id": "MIT"}}], "MIT"),
        ([{"expression": "MIT OR Apache-2.0"}], "MIT OR Apache-2.0"),
        ([{"expression": "MIT AND " * 20 + "ISC"}], "MIT AND " * 20 + "ISC"),
        ([{"license": {"name": "License :: OSI Approved :: BSD License"}}], "BSD License"),
        ([{"license": {"id": "MIT"}}, {"license": {"name": "Permission is hereby granted " * 9}}], "MIT"),
        ([], "not told"),
    ):
        assert licences.licence_of({**component, "licenses": given}) == told
    page = licences.page({"components": [component]}, {"components": [{"name": "b", "version": "2"}]}, "1.2.3")
    assert "| a | 1 | not told |" in page
    assert "Llama 2 Community License" in page


def test_the_licences_of_what_is_bundled_are_word_for_word(tmp_path: Path) -> None:
    at = tmp_path / "node_modules" / "a"
    at.mkdir(parents=True)
    (at / "LICENSE.md").write_text("Copyright (c) A\n")
    (at / "package.json").write_text('{"version": "1"}')
    text = licences.notices(tmp_path, {"components": [{"name": "a", "version": "1"}]})
    assert text == "a 1\n\nCopyright (c) A\n"


def test_an_sbom_names_no_folder_of_this_machine() -> None:
    references = [{"url": "file:///home/a.whl"}, {"url": "https://a.example"}]
    kept = licences.without_places({"components": [{"name": "a", "externalReferences": references}, {"name": "b"}]})
    assert kept["components"][0]["externalReferences"] == references[1:]


def test_what_is_tried_are_the_pages_own_commands() -> None:
    page = (ROOT / trial.PAGE).read_text(encoding="utf-8")
    assert all(trial.commands(page, name) for name in ("pip", "pipx", "uv", "clone", "neovim"))
    assert trial.commands(page, "pipx") == [f"pipx install './codellama_ls-{__version__}-py3-none-any.whl[engine]'"]


def test_the_matrix_is_of_the_pythons_that_are_named() -> None:
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    flow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    matrix = flow["jobs"]["python"]["strategy"]["matrix"]
    assert matrix["python"] == named
    assert {each.partition("-")[0] for each in matrix["system"]} == {"ubuntu", "macos", "windows"}
