"""The small JSON files of a checkpoint folder that say what the model is: read once, checked, never executed.

They come from strangers, so all have limits: of size, and of how many values they hold, which bounds the memory that
reading them takes.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsp_server.files import FileRefused, read_bytes

from .errors import CheckpointError

SMALL_BYTES = 16 * 2**20
TOKENIZER_BYTES = 96 * 2**20
TEMPLATE_BYTES = 2**20
# The largest tokenizers there are hold about 3 million.
MOST_VALUES = 8_000_000
# Far more than any model has, and little enough to reckon with.
MOST_SIZE = 2**31

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
    try:
        folder = Path(path).expanduser()
    except RuntimeError:  # a user that there is not
        folder = Path(path)
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


def read_json(path: Path, required: bool = False, limit: int = SMALL_BYTES) -> dict[str, Any]:
    """The JSON object in `path`, of at most `limit` bytes; {} where there is no such file and it is not required."""
    raw = read_file(path, limit, required=required)
    if raw is None:
        return {}
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MOST_VALUES:
        raise CheckpointError(f"{path} holds more than {MOST_VALUES:,} values; download the checkpoint again.")
    try:
        value = json.loads(raw, parse_int=_whole)
    except RecursionError as error:
        raise CheckpointError(f"{path} is nested too deeply; download the checkpoint again.") from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise CheckpointError(f"{path} is not valid JSON ({error}); download the checkpoint again.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} should hold a JSON object; download the checkpoint again.")
    return value


def _whole(digits: str) -> int:
    """A number, by way of Python: reading a vocabulary without it would keep every other thread waiting to the end."""
    return int(digits)


def read_file(path: Path, limit: int, required: bool = False) -> bytes | None:
    """What is in a file of the checkpoint; None where there is no such file and it is not required."""
    try:
        return read_bytes(path, limit)
    except FileRefused as error:
        raise CheckpointError(str(error)) from error
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not required:
            return None
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); download the checkpoint again.") from error


def whole_number(source: Mapping[str, Any], key: str, most: int, where: object) -> int | None:
    """The number from 1 to `most` that a file gives as `key`; None where it gives none. Raises CheckpointError."""
    value = source.get(key)
    if value is not None and (type(value) is not int or not 0 < value <= most):
        raise CheckpointError(
            f"{where} gives {reprlib.repr(value)} as {key}, which must be a whole number from 1 to {most}; "
            "download the checkpoint again."
        )
    return value


def _token_text(value: object) -> str | None:
    """A special token is given as its text, or as an object with the text under `content`."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) and value else None


def _template(folder: Path, in_config: object) -> str | None:
    """The chat template: a file of its own (the newer place, which wins), a text, or a list of named texts."""
    path = folder / "chat_template.jinja"
    raw = read_file(path, TEMPLATE_BYTES)
    if raw is not None:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path} cannot be read ({error}); download the checkpoint again.") from error
    if isinstance(in_config, list):
        named = [(t.get("name"), t.get("template")) for t in in_config if isinstance(t, Mapping)]
        in_config = next((template for name, template in named if name == "default"), None)
    if isinstance(in_config, str) and len(in_config) > TEMPLATE_BYTES:
        raise CheckpointError(
            f"The chat template in {folder / 'tokenizer_config.json'} is larger than 1 MB; "
            "download the checkpoint again."
        )
    return in_config if isinstance(in_config, str) else None
