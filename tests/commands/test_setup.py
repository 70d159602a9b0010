"""`setup` and `uninstall`: what is proposed, what is changed and when, and that all of it goes again."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from forking import program
from hub_stand_in import Hub

from lsp_server import cli, installing, places, settings_file
from lsp_server.commands import Failed, clients, machine, models, proposing, setup, stored, terminal
from lsp_server.commands.clients import Editor
from lsp_server.engine.loading.checkpoint import CheckpointProblem
from lsp_server.engine.loading.devices import Device
from lsp_server.settings import Settings

GIB = 2**30
DISK = 500 * GIB
NVIM = Path(sys.executable).with_name("nvim")
SLOW, FAST = 9e9, 200e9  # bytes a second: two processors of a server, and what some machines have
pytestmark = pytest.mark.usefixtures("engines")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of one's own, without models of other programs."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "CODELLAMA_LS_CONFIG", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CODELLAMA_LS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def there(cards: list[int], ram: int, bandwidth: float) -> tuple[Device, ...]:
    gpus = (Device("a card", "cuda", number, each * GIB, each * GIB) for number, each in enumerate(cards))
    return (*gpus, Device("memory", "cpu", 0, ram * GIB, ram * GIB, bandwidth))


@pytest.mark.parametrize(
    ("cards", "ram", "bandwidth", "now", "wanted"),
    [
        ([], 30, SLOW, "starter", "starter"),
        ([], 12, FAST, "starter", "codellama/CodeLlama-7b-Instruct-hf"),
        ([12], 30, SLOW, "starter", "codellama/CodeLlama-7b-Instruct-hf"),
        ([24], 30, SLOW, "starter", "codellama/CodeLlama-13b-Instruct-hf"),
        ([12, 12], 30, SLOW, "starter", "codellama/CodeLlama-13b-Instruct-hf"),
        ([80], 30, SLOW, "starter", "codellama/CodeLlama-13b-Instruct-hf"),  # 34B does not infill
        ([7], 30, SLOW, "starter", "codellama/CodeLlama-7b-Instruct-hf"),  # in 4 bits
        ([24], 30, SLOW, "codellama/CodeLlama-7b-hf", "codellama/CodeLlama-7b-hf"),
        ([], 1, SLOW, "codellama/CodeLlama-7b-hf", "starter"),
    ],
)
def test_what_is_proposed(
    cards: list[int], ram: int, bandwidth: float, now: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "devices", lambda: there(cards, ram, bandwidth))
    found = proposing.choices(now, DISK)
    assert proposing.proposed(found, now).model == wanted


def test_what_is_here_is_proposed_before_what_is_to_be_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "devices", lambda: there([24], 30, SLOW))
    at = models.at_hand.AtHand("codellama:7b-instruct-q8_0", tmp_path / "blob", 7 * GIB)
    monkeypatch.setattr(models.at_hand, "found", lambda: [at])
    choice = proposing.proposed(proposing.choices("starter", DISK), "starter")
    assert choice.model == str(tmp_path / "blob")
    # 7 GiB and 0.5 GB of keys and values, at 65% of 936 GB/s.
    assert proposing.described(choice) == "infills and chats, on one GPU, ~73 tokens/s, on this disk"
    no_room = proposing.choices("starter", 2 * GIB)
    assert [each.model for each in no_room] == ["starter"]


def test_what_nobody_could_wait_for_is_not_offered_to_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 9 GB/s 34B in 8 bits needs four seconds a token; from a disk, more."""
    monkeypatch.setattr(machine, "devices", lambda: there([], 60, SLOW))
    names = [each.model for each in proposing.choices("starter", DISK)]
    assert "codellama/CodeLlama-7b-Instruct-hf" in names
    assert not [name for name in names if "34b" in name or "70b" in name]
    monkeypatch.setattr(machine, "devices", lambda: there([], 60, FAST))
    assert "codellama/CodeLlama-34b-hf" in [each.model for each in proposing.choices("starter", DISK)]


@pytest.mark.parametrize(
    ("typed", "by_enter", "yes"),
    [(["maybe", "y"], False, True), (["sure", "No"], True, False), ([""], True, True), ([""], False, False)],
)
def test_what_is_neither_yes_nor_no_is_asked_again(
    typed: list[str], by_enter: bool, yes: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    again = len(typed) - 1
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: typed.pop(0))
    assert terminal.agreed("Do it?", yes=False, by_enter=by_enter) is yes
    assert (typed, capsys.readouterr().err.count("Please type y or n.")) == ([], again)


def test_a_question_is_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: shown.append(question) or "y")
    monkeypatch.setattr(terminal.notes, "_width", 24)
    assert terminal.agreed("Shall it be fetched now, all of it?", yes=False)
    assert shown == ["Shall it be fetched now,\nall of it? [Y/n] "]


def test_a_model_of_ones_own_is_proposed_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = str(tmp_path / "mine")
    Path(mine).mkdir()
    choice = proposing.proposed(proposing.choices(mine, DISK), mine)
    assert (choice.model, proposing.described(choice)) == (mine, "as it is set, on this disk")
    gone = str(tmp_path / "gone.gguf")
    assert gone not in {each.model for each in proposing.choices(gone, DISK)}


def test_nothing_is_fetched_where_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115
    with pytest.raises(Failed, match="take what is proposed with --yes"):
        setup._chosen(Settings(), argparse.Namespace(yes=False))
    assert setup._chosen(Settings(), argparse.Namespace(yes=True)) == "starter"


def test_how_a_choice_is_told() -> None:
    choice = proposing.Choice("m", "m", "on the CPU", True, False, 0.8, 13 * GIB)
    assert proposing.described(choice) == "infills, on the CPU, ~1.2 s a token, 13.0 GiB to fetch"


@pytest.mark.parametrize(
    ("typed", "model"),
    [([""], "b"), (["0", "9", "1"], "a"), (["org/name"], "org/name"), (["./here"], str(Path.cwd() / "here"))],
)
def test_what_is_typed_for_a_model(
    typed: list[str], model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [f"There is no {word} in this list." for word in typed if word in ("0", "9")]
    found = [proposing.Choice(name, name, "on the CPU", True, True, 1.0, 0) for name in "ab"]
    monkeypatch.setattr("builtins.input", lambda question: typed.pop(0))
    assert setup._picked(found, found[1]) == model
    assert capsys.readouterr().err.splitlines() == wrong


def test_without_network_the_starter_is_taken_and_a_named_model_is_not_replaced(
    hub_server: Hub, starter: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_server.shutdown()
    hub_server.server_close()
    cache = Path(os.environ["CODELLAMA_LS_CACHE"])
    copied(starter, cache)
    monkeypatch.setattr(setup, "_chosen", lambda settings, options: "org/name")
    options = argparse.Namespace(model=None, yes=True)
    assert setup._with_model(Settings(), options).model == "starter"
    assert "the hub is not reached" in capsys.readouterr().err
    with pytest.raises(CheckpointProblem, match="the hub is not reached"):
        setup._with_model(Settings(), argparse.Namespace(model=None, yes=False))
    assert "the hub is not reached" not in capsys.readouterr().err, "it is told once, by the error"
    with pytest.raises(CheckpointProblem, match="the hub is not reached"):
        setup._with_model(Settings(model="org/name"), argparse.Namespace(model="org/name", yes=True))


def copied(starter: Path, cache: Path) -> None:
    """The starter in a cache of one's own, without its bytes where that is on the same disk."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

    shutil.copytree(starter, cache / "starter" / starter.name, copy_function=link)


def test_the_extension_is_installed_remembered_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, there = tmp_path / "code", tmp_path / "extensions"
    script = f"""#!/bin/sh
case "$1" in
--install-extension) echo {clients.EXTENSION} > {there};;
--uninstall-extension) rm {there};;
--list-extensions) cat {there} 2>/dev/null || true;;
esac
"""
    code.write_text(script)
    code.chmod(0o755)
    editor = Editor("VS Code", str(code), "")
    release = tmp_path / "release"
    release.mkdir()
    wheel = release / "codellama_ls-0.1.0-py3-none-any.whl"
    wheel.touch()
    monkeypatch.setattr(installing, "came_from", lambda: wheel)
    assert "take that of the release" in str(clients.install(editor))
    (release / "codellama-0.1.0.vsix").touch()
    changes = clients.install(editor)
    assert not isinstance(changes, str)
    assert [each.what for each in changes] == [f"install {release}/codellama-0.1.0.vsix by {code}"]
    changes[0].do()
    assert there.exists()
    assert list(places.data_folder().iterdir()) != []
    (removal,) = clients.installed()
    removal.do()
    assert (there.exists(), clients.installed()) == (False, [])
    assert list(places.data_folder().iterdir()) == [], "of what was remembered"
    code.write_text("#!/bin/sh\n")
    with pytest.raises(Failed, match="did not install the extension"):
        changes[0].do()


def test_the_plugin_of_a_release_is_unpacked(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvim = tmp_path / "nvim"
    nvim.write_text("#!/bin/sh\necho NVIM v0.10.4\n")
    nvim.chmod(0o755)
    editor = Editor("Neovim", str(nvim), "")
    assert str(clients.install(editor)) == f"{nvim} is older than 0.11, which the plugin needs"
    nvim.write_text("#!/bin/sh\necho NVIM v0.11.4\n")
    assert "update it the way it was installed" in str(clients.install(Editor("Neovim", str(nvim), "0.0.1")))
    assert "is left alone" in str(clients.install(Editor("VS Code", str(nvim), None)))
    wheel = tmp_path / "codellama_ls-0.1.0-py3-none-any.whl"
    monkeypatch.setattr(installing, "came_from", lambda: wheel)
    with tarfile.open(tmp_path / "codellama-nvim-0.1.0.tar.gz", "w:gz") as archive:
        archive.add(Path(__file__).parents[2] / "editors" / "neovim" / "lua", "codellama/lua")
    changes = clients.install(editor)
    assert not isinstance(changes, str)
    for change in changes:
        change.do()
    assert (home / ".local/share/nvim/site/pack/codellama/start/codellama/lua/codellama/init.lua").is_file()
    assert clients._plugin() == "0.1.0"


def test_what_is_uninstalled_leaves_no_empty_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CODELLAMA_LS_CACHE", "CODELLAMA_LS_INDEX", "CODELLAMA_LS_DATA", "CODELLAMA_LS_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (home / "mine").mkdir()
    for folder, name in (
        *((places.log_folder(), "engine-0.log"), (places.runtime_folder(), "0a.lock")),
        (places.runtime_folder(), "suggesting.lock"),
        *((places.data_folder(), "statistics.sqlite3"), (places.index_folder(), "0a.db")),
        *((places.cache_folder() / "hub" / "org--name", "config.json"), (places.config_file().parent, "config.toml")),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert cli.main(["uninstall", "--yes", "--config"]) == 0
    assert [path for path in home.rglob("*") if "codellama" in str(path.relative_to(home))] == []
    assert (home / "mine").is_dir()


@pytest.mark.skipif(not NVIM.exists(), reason="no Neovim here")
def test_from_nothing_to_a_neovim_that_has_it_and_back(
    starter: Path, home: Path, engines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Path(os.environ["CODELLAMA_LS_CACHE"])
    copied(starter, cache)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvim").symlink_to(NVIM)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    config = settings_file.places.config_file()
    snippet = home / ".config" / "nvim" / "plugin" / "codellama.lua"

    def run(*words: str) -> str:
        command = program("-m", "lsp_server", *words)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, cwd=home)
        assert done.returncode == 0, done
        return done.stdout

    said = run("setup", "--layout", "psm")
    assert [part.split(" ─")[0] for part in said.splitlines() if part.endswith("─")] == [
        *("This machine", "Model", "The first suggestion", "Completion in textwrap.py, line 383"),
        "Your editors",
    ]
    assert re.search(r"^\* 1  starter: infills and chats, on the CPU, ~\d+ tokens/s, on this disk$", said, re.MULTILINE)
    assert re.search(r"^\d+ tokens, the first after \d+ ms", said, re.MULTILINE)
    assert f'  - set `layout = "psm"` in {config}' in said
    assert f"  - write {snippet}, with `require('codellama').setup({{}})`" in said
    assert re.search(r"^It writes \d+ tokens a second here\.$", said, re.MULTILINE)
    named = r"^Nothing was changed; `\S*codellama-ls setup --yes` does it without asking\.$"
    assert re.search(named, said, re.MULTILINE)
    assert (config.exists(), snippet.exists(), "Open a file" in said) == (False, False, False)

    assert "\nOpen a file in your editor and type." in run("setup", "--yes", "--layout", "psm")
    assert settings_file.read().settings.layout == "psm"
    lua = "io.write(vim.lsp.is_enabled('codellama') and 'enabled' or 'not', ' ', require('codellama.server').PROGRAM)"
    done = subprocess.run([NVIM, "--headless", "-c", f"lua {lua}", "-c", "quit"], capture_output=True, text=True)
    assert done.stdout + done.stderr == "enabled codellama-ls"
    again = run("setup", "--yes")
    assert "Neovim has the client, for version 0.1.0." in again
    assert "This would be changed" not in again

    (home / "index").mkdir()
    monkeypatch.setenv("CODELLAMA_LS_INDEX", str(home / "index"))
    for name in ("0a1b.db", "0a1b.db-wal", "mine.txt"):
        (home / "index" / name).touch()
    listed = run("uninstall")
    assert "Nothing was removed" in listed
    for each in ("the running engine of starter", f"{cache / 'starter'}, 0.3 GiB", str(snippet)):
        assert f"  - {each}\n" in listed
    assert f"It stays: {config}, your settings (--config removes them)" in listed
    assert "Removed." in run("uninstall", "--yes")
    assert (config.exists(), snippet.exists(), (cache / "starter").exists()) == (True, False, False)
    assert not (home / ".local/share/nvim/site/pack/codellama/start/codellama").exists()
    assert list(engines.glob("*.json")) == []
    assert [path.name for path in (home / "index").iterdir()] == ["mine.txt"]
    run("uninstall", "--yes", "--config")
    assert not config.exists()
    assert stored.here("starter") is None
