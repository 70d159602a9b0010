"""Writes the settings of the language server into this extension's package.json; `--check` says whether they are there.

Run it with a Python that has the language server installed.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import typing
from pathlib import Path
from typing import Any

from lsp_server import settings, settings_schema

MANIFEST = Path(__file__).parents[1] / "package.json"
# Kept in the secret store, so no setting.
SECRET = ("engine_token",)
# Said by the user alone, and by no workspace, be it trusted: where code is sent, and with it the token of the secret
# store, whether in the clear, and who may vouch for that server; and the name of a server's model for chat, which alone
# sends chats to `engine_url`. So is `serverPath`, the program that is started, which is this extension's own.
USER = ("engine_url", "allow_plain_http", "ca_file", "chat_engine_url", "chat_remote_model", "next_edit_url")
# Of one machine: a folder that the next one does not have, or how much of it is used up.
MACHINE = (
    *("model", "tokenizer", "remote_model", "chat_model", "chat_tokenizer", "next_edit_model"),
    *("threads", "idle_minutes", "context_length", "quantization"),
)
# What a workspace that is not trusted must not set: all of those, and what the model is told.
RESTRICTED = (*USER, *MACHINE, "system_prompt", "actions")
OWN_RESTRICTED = ("codellama.serverPath",)


def properties() -> dict[str, Any]:
    """The settings as VS Code wants them described."""
    hints = typing.get_type_hints(settings.Settings)
    fields = [field for field in dataclasses.fields(settings.Settings) if field.name not in SECRET]
    return {
        f"{settings.SECTION}.{settings.camel(field.name)}": _property(order, field, hints[field.name])
        for order, field in enumerate(fields, 1)
    }


def restricted() -> list[str]:
    """The settings that count only where the workspace is trusted."""
    names = {field.name for field in dataclasses.fields(settings.Settings)}
    return [*OWN_RESTRICTED, *(f"{settings.SECTION}.{settings.camel(name)}" for name in RESTRICTED if name in names)]


def manifest(text: str) -> str:
    """The text of package.json with the settings in it."""
    values = json.loads(text)
    values["contributes"]["configuration"][0]["properties"] = properties()
    values["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"] = restricted()
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _property(order: int, field: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    return {
        **settings_schema.constraints(field, hint),
        "scope": _scope(field.name),
        "order": order,
        "markdownDescription": _linked(field.metadata["doc"]),
    }


def _scope(name: str) -> str:
    """Who may set it, in VS Code's words."""
    if name in USER:
        return "machine"
    return "machine-overridable" if name in MACHINE else "window"


def _linked(doc: str) -> str:
    """Names of other settings as links that the settings page follows."""
    names = {settings.camel(field.name) for field in dataclasses.fields(settings.Settings)} - {"model"}
    return re.sub(
        r"`(\w+)`",
        lambda match: f"`#{settings.SECTION}.{match[1]}#`" if match[1] in names else match[0],
        doc,
    )


def main() -> int:
    text = MANIFEST.read_text(encoding="utf-8")
    wanted = manifest(text)
    if wanted == text:
        return 0
    if "--check" in sys.argv[1:]:
        print(f"{MANIFEST.name} differs from lsp_server/settings.py; run scripts/settings.py.", file=sys.stderr)
        return 1
    MANIFEST.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
