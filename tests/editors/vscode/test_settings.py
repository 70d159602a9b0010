"""The settings in the VS Code extension are those of the language server."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lsp_server.settings import Settings, camel

EXTENSION = Path(__file__).parents[3] / "editors" / "vscode"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vscode_settings", EXTENSION / "scripts" / "settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))


def test_settings_are_those_of_the_server(script: ModuleType) -> None:
    text = (EXTENSION / "package.json").read_text(encoding="utf-8")
    assert script.manifest(text) == text, "run editors/vscode/scripts/settings.py"


def test_every_setting_is_described_but_for_secrets(manifest: dict[str, Any]) -> None:
    properties = manifest["contributes"]["configuration"][0]["properties"]
    names = {f"codellama.{camel(field.name)}" for field in dataclasses.fields(Settings)}
    assert names - properties.keys() == {"codellama.engineToken"}
    assert properties["codellama.maxTokens"]["maximum"] == 1024
    assert properties["codellama.layout"]["enum"] == ["auto", "psm", "spm"]
    assert all(each["markdownDescription"] and "default" in each for each in properties.values())


def test_untrusted_workspaces_set_no_command_path_or_url(manifest: dict[str, Any]) -> None:
    """A new setting that sounds like one must be put on the list, or be named here."""
    restricted = set(manifest["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"])
    properties = {}
    for group in manifest["contributes"]["configuration"]:
        properties.update(group["properties"])
    sounds = re.compile(r"url|path|command|folder|tokenizer|model$|actions|prompt|host|socket", re.IGNORECASE)
    assert {name for name in properties if sounds.search(name)} <= restricted
    assert restricted <= properties.keys()


def test_no_workspace_names_a_program_or_an_address(manifest: dict[str, Any]) -> None:
    """A cloned project that is trusted runs what is in it, not what it names; the token goes where the address says."""
    sounds = re.compile(r"path|url|urls|host|address|socket|program|command|token|server|http|file", re.IGNORECASE)
    scopes = {
        name: each["scope"]
        for group in manifest["contributes"]["configuration"]
        for name, each in group["properties"].items()
        if sounds.fullmatch(re.findall(r"[A-Za-z][a-z]*", name)[-1])
    }
    assert scopes.keys() >= {f"codellama.{name}" for name in ("serverPath", "engineUrl", "allowPlainHttp", "caFile")}
    assert set(scopes.values()) == {"machine"}


def test_no_workspace_sends_chats_elsewhere(manifest: dict[str, Any]) -> None:
    properties = manifest["contributes"]["configuration"][0]["properties"]
    scopes = {name: properties[f"codellama.{name}"]["scope"] for name in ("chatEngineUrl", "chatRemoteModel")}
    assert set(scopes.values()) == {"machine"}


def test_untrusted_workspaces_set_nothing_that_belongs_to_the_machine(manifest: dict[str, Any]) -> None:
    restricted = set(manifest["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"])
    for group in manifest["contributes"]["configuration"]:
        for name, each in group["properties"].items():
            assert each["scope"] == "window" or name in restricted, name


def test_no_default_has_a_value_that_its_schema_refuses(manifest: dict[str, Any]) -> None:
    kinds = {"boolean": bool, "integer": int, "number": (int, float), "string": str, "array": list, "object": dict}
    for name, each in manifest["contributes"]["configuration"][0]["properties"].items():
        assert isinstance(each["default"], kinds[each["type"]]), name
        assert "enum" not in each or each["default"] in each["enum"], name


def test_version_and_licence_are_the_servers(manifest: dict[str, Any]) -> None:
    from lsp_server import __version__

    assert manifest["version"].split(".")[:2] == __version__.split(".")[:2]
    assert (EXTENSION / "LICENSE").read_bytes() == (EXTENSION.parents[1] / "LICENSE").read_bytes()
