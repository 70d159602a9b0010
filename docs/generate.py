"""Writes the pages and pictures that are made of the program itself and of what was measured.

    python docs/generate.py

A test says whether they are as they would be written now.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import types
import typing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "docs")]

import checkpoints
import pictures

from lsp_server import settings, settings_schema
from lsp_server.codellama import CodeLlamaTokenizer

DOCS, RESULTS = ROOT / "docs", ROOT / "benchmarks" / "results"

SETTINGS = """\
# Settings

Written by `docs/generate.py` from `lsp_server/settings.py`: change them there.

An editor sends them under `codellama`, by `initializationOptions` or `workspace/configuration`. In VS Code they are in
its settings (`codellama.maxTokens`); in Neovim in `setup({ settings = { maxTokens = 64 } })`; elsewhere where the
editor keeps a server's options. A value that cannot be used is said, and the default stays.

What all editors and the commands are to have is written once, under the same names, into the configuration file:

```toml
model = "codellama/CodeLlama-7b-Instruct-hf"
idleMinutes = 60
```

An editor's settings hold over it, and the options of a command. The file is `~/.config/codellama-ls/config.toml` on
Linux; `CODELLAMA_LS_CONFIG` names another. What is wrong in it is said with its line, and all else counts. No workspace
has one. A token in it is used where nobody else can read the file (`chmod 600`). What each setting is and where that
comes from, where the file is, and the JSON schema that editors check it by, which is `docs/config.schema.json` too:

```console
$ codellama-ls config
$ codellama-ls config --path
$ codellama-ls config --schema
```

In the environment, `CODELLAMA_LS_ENGINE_TOKEN` is the commands' `engineToken`, and folders are moved:
`CODELLAMA_LS_CACHE` the models and the indexes of workspaces, `CODELLAMA_LS_INDEX` the indexes alone,
`CODELLAMA_LS_RUNTIME` sockets, locks and logs, `CODELLAMA_LS_DATA` the conversations. A runtime folder whose path is
too long for a socket (75 bytes) has one of its own among the temporary files in its place, which `doctor` names.

*Engine* and *client* say what begins anew when a setting changes while the server runs: the engine with its model, or
the connection to it. All others count from the next request on. Who starts later, with other settings than an engine
that runs, has it take them where nobody else uses it, and is told of the difference where somebody does.

| setting | default | values | begins anew |
|---|---|---|---|
"""
PERFORMANCE = """\
# Performance

Written by `docs/generate.py` from `benchmarks/results`, which `make bench` measures on your machine; how, and against
whom, is in `benchmarks/README.md`, all single figures in `benchmarks/RESULTS.md`, why a target is missed in
`benchmarks/NOTES.md`.

![Keystroke to suggestion, and time of a token](../benchmarks/results/speed.svg)

"""


def generated() -> dict[Path, str]:
    """Each file that is written, and its text."""
    return {
        DOCS / "settings.md": settings_page(),
        DOCS / "config.schema.json": json.dumps(settings_schema.document(), indent=2) + "\n",
        DOCS / "performance.md": performance_page(),
        **{DOCS / "pictures" / f"{name}.svg": text for name, text in drawn().items()},
    }


def settings_page() -> str:
    """Every setting: a table to find it, and a paragraph that says what it does."""
    hints = typing.get_type_hints(settings.Settings)
    rows, parts = [], []
    for field in dataclasses.fields(settings.Settings):
        name = settings.camel(field.name)
        restarts = field.metadata["restarts"]
        rows.append(
            f"| [`{name}`](#{name.lower()}) | `{_default(field)}` | {_values(hints[field.name], field)} "
            f"| {restarts if restarts != 'nothing' else ''} |"
        )
        parts.append(f"\n## {name}\n\n{field.metadata['doc']}\n")
    return SETTINGS + "\n".join(rows) + "\n" + "".join(parts)


def _default(field: dataclasses.Field[Any]) -> str:
    made = field.default_factory
    return json.dumps(field.default if made is dataclasses.MISSING else made())


def _values(hint: Any, field: dataclasses.Field[Any]) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_values(each, field) for each in arguments)
    if origin is list:
        return f"list of {'texts' if arguments == (str,) else 'objects'}"
    words = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text", types.NoneType: "`null`"}
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    if low is None or hint not in (int, float):
        return words[hint]
    return f"{words[hint]}, {low:,} to {high:,}" if high is not None else f"{words[hint]}, from {low:,}"


def performance_page() -> str:
    """What was aimed at and what was measured, part by part, what is missed among it."""
    parts, rows = [], []
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        machine, targets = result["machine"], result["targets"]
        rows += targets
        where = f"{machine.get('processor') or machine['system']}, {machine['processors']} processors, "
        where += f"{machine['memory_gib']} GiB, {machine.get('gpu') or 'no GPU'}"
        parts += [f"\n## {path.stem}\n", f"On {where}.\n", "| | what | target | measured | |", "|---|---|---|---|---|"]
        for row in targets:
            cells = ("met" if row["met"] else "**missed**", row["name"], row["target"], row["measured"], row["note"])
            parts.append("| " + " | ".join(_cell(each) for each in cells) + " |")
    met = sum(row["met"] for row in rows)
    return PERFORMANCE + f"Of {len(rows)} targets {met} are met.\n" + "\n".join(parts) + "\n"


def _cell(value: Any) -> str:
    return (f"{value:.4g}" if isinstance(value, float) else str(value)).replace("|", "\\|")


def drawn() -> dict[str, str]:
    """The pictures of prompts, by their names."""

    def tokenizer(kind: checkpoints.Kind) -> CodeLlamaTokenizer:
        with tempfile.TemporaryDirectory() as folder:
            return CodeLlamaTokenizer.from_pretrained(checkpoints.code_llama_tokenizer(Path(folder), kind))

    small, large = tokenizer("7b"), tokenizer("70b")
    return {
        "infilling-psm": pictures.picture(pictures.infilling(small, "psm"), "Infilling, prefix first"),
        "infilling-spm": pictures.picture(pictures.infilling(small, "spm"), "Infilling, suffix first"),
        "chat-inst": pictures.picture(pictures.chat(small, "7b"), "A chat with 7B, 13B or 34B"),
        "chat-source-step": pictures.picture(pictures.chat(large, "70b"), "A chat with 70B"),
    }


def main() -> None:
    for path, text in generated().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
