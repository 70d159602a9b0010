"""The small JSON files of a checkpoint folder that say what the model is: read once, checked, never executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import CheckpointError

SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")


@dataclass(frozen=True)
class CheckpointFiles:
    """What the JSON files of a checkpoint say; a file that is not there reads as an empty mapping."""

    folder: Path
    config: Mapping[str, Any]
    generation: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    infilling: Mapping[str, Any]
    template: str | None
    special: Mapping[str, str] = field(default_factory=dict)
    """The texts of `bos_token` and so on, where the checkpoint names them."""


def read_files(path: str | Path) -> CheckpointFiles:
    """The JSON files of the checkpoint folder `path`. Raises CheckpointError where one is not valid."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise CheckpointError(f"There is no checkpoint folder at {folder}; name a folder that holds the model's files.")
    tokenizer = read_json(folder / "tokenizer_config.json")
    special_map = read_json(folder / "special_tokens_map.json")
    special = {
        name: text
        for name in SPECIAL_NAMES
        if (text := _token_text(tokenizer.get(name)) or _token_text(special_map.get(name)))
    }
    return CheckpointFiles(
        folder=folder,
        config=read_json(folder / "config.json"),
        generation=read_json(folder / "generation_config.json"),
        tokenizer=tokenizer,
        infilling=read_json(folder / "infilling.json"),
        template=_template(folder, tokenizer.get("chat_template")),
        special=special,
    )


def read_json(path: Path, required: bool = False) -> dict[str, Any]:
    """The JSON object in `path`; {} where there is no such file and it is not required."""
    if not required and not path.exists():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); download the checkpoint again.") from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise CheckpointError(f"{path} is not valid JSON ({error}); download the checkpoint again.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} should hold a JSON object; download the checkpoint again.")
    return value


def _token_text(value: object) -> str | None:
    """A special token is given as its text, or as an object with the text under `content`."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) and value else None


def _template(folder: Path, in_config: object) -> str | None:
    """The chat template: a file of its own (the newer place, which wins), a text, or a list of named texts."""
    path = folder / "chat_template.jinja"
    if path.exists():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}); download the checkpoint again.") from error
    if isinstance(in_config, str):
        return in_config
    if isinstance(in_config, list):
        named = {t.get("name"): t.get("template") for t in in_config if isinstance(t, Mapping)}
        default = named.get("default")
        return default if isinstance(default, str) else None
    return None
