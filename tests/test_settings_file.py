"""The configuration file: what holds of it, what is wrong in it and at which line, and setting one thing in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from forking import program

from lsp_server import places, settings_file, settings_schema
from lsp_server.errors import UserError
from lsp_server.settings import Settings


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "config.toml"
    path.parent.mkdir()
    monkeypatch.setenv("CODELLAMA_LS_CONFIG", str(path))
    return path


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    assert settings_file.read() == settings_file.FromFile(file)


def test_what_is_in_it_holds_and_is_found_again(file: Path) -> None:
    text = (
        '# mine\nmodel = "~/m"\n\nsystemPrompt = """\nmaxTokens = 1\n"""\n"maxTokens" = 32\n[[actions]]\ntitle = "x"\n'
    )
    file.write_text(text, encoding="utf-8-sig")
    found = settings_file.read()
    assert (found.settings.model, found.settings.max_tokens) == ("~/m", 32)
    assert found.settings.system_prompt == "maxTokens = 1\n"
    assert found.settings.actions == [{"title": "x"}]
    assert found.lines == {"model": 2, "systemPrompt": 4, "maxTokens": 7, "actions": 8}
    assert found.where("model") == f"{file}:2"
    assert found.problems == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [('codellama.model = "a"', "model"), ("codellama.topP = 0.5", "topP"), ('"codellama.model" = "a"', "model")],
)
def test_a_name_as_editors_have_it_is_told_how_it_stands_here(file: Path, text: str, name: str) -> None:
    file.write_text(f"threads = 2\n{text}\n", encoding="utf-8")
    said = f"settings have no `codellama.` in front of them in this file; write `{name}`, not `codellama.{name}`."
    assert settings_file.read().problems == (f"{file}, line 2: {said}",)


def test_a_heading_is_told_to_be_left_out(file: Path) -> None:
    file.write_text('threads = 2\n[codellama]\nmodel = "a"\n', encoding="utf-8")
    said = "leave out the heading `[codellama]`: settings stand in this file as they are, `model` for instance."
    assert settings_file.read().problems == (f"{file}, line 2: {said}",)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('\nmodel = "a"\nmodel = "b"\n', 3, "this is not TOML (cannot overwrite a value)"),
        ("threads = 2\nmodel = starter\n", 2, "this is not TOML (invalid value)"),
        ("threads = 2\nactions = [\n", 2, "this is not TOML (invalid value)"),
        ("threads = 2\n[a\n", 2, "this is not TOML ("),
    ],
)
def test_of_what_is_no_toml_nothing_counts(file: Path, text: str, line: int, said: str) -> None:
    file.write_text(text, encoding="utf-8")
    found = settings_file.read()
    assert found.settings == Settings()
    (problem,) = found.problems
    assert problem.startswith(f"{file}, line {line}: {said}")
    assert problem.endswith("none of the file counts until that is mended.")


def test_a_setting_that_is_wrong_is_told_with_its_line_and_the_others_count(file: Path) -> None:
    file.write_text('threads = 2\n\nmaxToken = 3\nidleMinutes = nan\nlayout = "x"\n', encoding="utf-8")
    found = settings_file.read()
    assert found.settings == Settings(threads=2)
    assert found.lines == {"threads": 1}
    assert found.problems == (
        f"{file}, line 3: There is no setting `maxToken`; did you mean `maxTokens`?",
        f"{file}, line 4: `idleMinutes` must be at least 0, not nan. It stays at 30.",
        f"{file}, line 5: `layout` must be one of auto, psm, spm, not 'x'. It stays at 'auto'.",
    )


def test_other_bytes_than_utf_8(file: Path) -> None:
    file.write_bytes(b"threads = 2\nmodel = '\xe9'\n")
    (problem,) = settings_file.read().problems
    assert problem.startswith(f"{file}, line 2: this is not UTF-8")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_bytes(b"#" * 2**19)])
def test_what_is_no_file_of_that_kind(file: Path, make: object) -> None:
    make(file)  # type: ignore[operator]
    found = settings_file.read()
    assert (found.settings, len(found.problems)) == (Settings(), 1)
    assert "Errno" not in found.problems[0]


def test_a_file_that_others_may_write_is_not_read(file: Path) -> None:
    file.write_text("threads = 2\n", encoding="utf-8")
    file.chmod(0o646)
    assert settings_file.read().settings == Settings()
    assert settings_file.read().problems == (
        f"Others may write into {file}, so it is not read: run `chmod o-w {file}`.",
    )


def test_a_token_that_others_may_read_is_not_used(file: Path) -> None:
    file.write_text('engineUrl = "https://a"\nengineToken = "secret"\n', encoding="utf-8")
    file.chmod(0o600)
    assert settings_file.read().settings == Settings(engine_url="https://a", engine_token="secret")
    file.chmod(0o640)
    found = settings_file.read()
    assert found.settings == Settings(engine_url="https://a")
    assert found.problems == (
        f"{file}, line 2: others may read the token here, so it is not used: run `chmod 600 {file}`.",
    )


def test_it_is_never_one_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "codellama-ls").mkdir()
    (tmp_path / "codellama-ls" / "config.toml").write_text("threads = 2\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for named, xdg in (("codellama-ls/config.toml", None), ("", ".")):
        monkeypatch.setenv("CODELLAMA_LS_CONFIG", named)
        if xdg:
            monkeypatch.setenv("XDG_CONFIG_HOME", xdg)
        found = settings_file.read()
        assert found.settings == Settings()
        assert found.path is None or found.path.parent.parent != tmp_path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'model = "a\\"é"\n'),
        ("# mine\nthreads = 2", '# mine\nthreads = 2\nmodel = "a\\"é"\n'),
        ('x = 1\nmodel = """\nb\n"""  # why\n# more\n', 'x = 1\nmodel = "a\\"é"\n# more\n'),
        ("threads = 2\n[[actions]]\ntitle = 'x'\n", 'threads = 2\nmodel = "a\\"é"\n[[actions]]\ntitle = \'x\'\n'),
        ("y = [\n[1]]\n[t]\nmodel = 1\n", 'y = [\n[1]]\nmodel = "a\\"é"\n[t]\nmodel = 1\n'),
    ],
)
def test_one_setting_is_set_and_all_else_stays(file: Path, before: str, after: str) -> None:
    file.write_text(before, encoding="utf-8")
    assert settings_file.written("model", 'a"é') == file
    assert file.read_text(encoding="utf-8") == after


def test_a_file_is_made_where_there_is_none_and_a_link_is_followed(file: Path, tmp_path: Path) -> None:
    file.parent.rmdir()
    settings_file.written("threads", 3)
    assert settings_file.read().settings.threads == 3
    kept = tmp_path / "dotfiles.toml"
    file.rename(kept)
    file.symlink_to(kept)
    settings_file.written("threads", 4)
    assert (file.is_symlink(), kept.read_text(encoding="utf-8")) == (True, "threads = 4\n")
    kept.write_text("threads = [\n", encoding="utf-8")
    with pytest.raises(UserError, match="line 1: this is not TOML"):
        settings_file.written("threads", 5)


def test_the_schema_has_every_setting() -> None:
    schema = settings_schema.document()
    assert schema["properties"]["maxTokens"] == {
        "description": "Most tokens in one suggestion.",
        "type": "integer",
        "default": 64,
        "minimum": 1,
        "maximum": 1024,
    }
    assert schema["properties"]["layout"]["enum"] == ["auto", "psm", "spm"]
    assert schema["properties"]["disabledLanguages"]["items"] == {"type": "string"}


def config(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program("-m", "lsp_server", "config", *words), capture_output=True, text=True, timeout=60, check=False
    )


def test_where_each_setting_comes_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('model = "starter"\nengineUrl = "https://me:pw@a"\nthreads = 2\n', encoding="utf-8")
    monkeypatch.setenv("CODELLAMA_LS_ENGINE_TOKEN", "secret")
    done = config("--json", "--model", "./here", "--layout", "psm")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert (done.returncode, done.stderr) == (0, "")
    assert rows["model"] == {"name": "model", "value": str(Path.cwd() / "here"), "from": "command line"}
    assert rows["threads"] == {"name": "threads", "value": 2, "from": f"{file}:3"}
    assert rows["engineUrl"] == {"name": "engineUrl", "from": f"{file}:2"}
    assert rows["engineToken"] == {"name": "engineToken", "from": "$CODELLAMA_LS_ENGINE_TOKEN"}
    assert rows["maxTokens"] == {"name": "maxTokens", "value": 64, "from": "default"}
    assert "pw" not in done.stdout + config().stdout
    assert "secret" not in done.stdout + config().stdout
    shown = config().stdout
    assert f"threads              2  {file}:3" in shown
    assert "maxTokens            64  default\n" in shown
    assert config("--path").stdout == f"{places.config_file()}\n"
    assert json.loads(config("--schema").stdout) == settings_schema.document()


def test_a_broken_file_is_told_and_its_token_stays_with_its_address(file: Path) -> None:
    file.write_text('engineUrl = "https://a"\nengineToken = "secret"\nthreads = "x"\n', encoding="utf-8")
    file.chmod(0o600)
    done = config("--engine-url", "https://b", "--json")
    token = next(row for row in json.loads(done.stdout) if row["name"] == "engineToken")
    assert token == {"name": "engineToken", "value": "", "from": "default"}
    first, second = done.stderr.splitlines()
    assert (done.returncode, first.startswith(f"{file}, line 3: `threads` must be a whole number")) == (1, True)
    assert "is not sent" in second
