"""Models that other programs left on this machine: GGUF files in the folders of Ollama and LM Studio."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lsp_server.files import open_regular, read_bytes

# What is looked at: manifests are small, and nobody has so many models.
_MANIFEST_BYTES, _MOST_FILES = 2**20, 2000
_MODEL_LAYER = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
# The first thing that a file says of itself: a text (type 8) with its length before it (ggml, docs/gguf.md).
_BEGINNING, _LLAMA = 4096, b"general.architecture" + (8).to_bytes(4, "little") + (5).to_bytes(8, "little") + b"llama"


class AtHand(NamedTuple):
    """A file that `codellama.model` may name."""

    name: str
    path: Path
    bytes: int


def found(home: Path | None = None) -> list[AtHand]:
    """The Llama-like models there, by name."""
    home = home or Path.home()
    given = os.environ.get("OLLAMA_MODELS")
    ollama = [Path(given)] if given else [home / ".ollama/models", Path("/usr/share/ollama/.ollama/models")]
    studio = [home / ".lmstudio/models", home / ".cache/lm-studio/models"]
    candidates = [*(each for folder in ollama for each in _of_ollama(folder))]
    candidates += [(path.stem, path) for folder in studio for path in _some(folder, "*/*/*.gguf")]
    made = {}
    for name, path in candidates:
        if (size := _llama_bytes(path)) and path not in made:
            made[path] = AtHand(name, path, size)
    return sorted(made.values())


def _of_ollama(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of each model: manifests/REGISTRY/NAMESPACE/NAME/TAG name a file in blobs."""
    for manifest in _some(folder / "manifests", "*/*/*/*"):
        layers = _json(manifest).get("layers")
        for layer in layers if isinstance(layers, list) else ():
            digest = _DIGEST.fullmatch(str(layer.get("digest"))) if isinstance(layer, dict) else None
            if digest and layer.get("mediaType") == _MODEL_LAYER:
                yield f"{manifest.parent.name}:{manifest.name}", folder / "blobs" / f"sha256-{digest[1]}"


def _some(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(itertools.islice(folder.glob(pattern), _MOST_FILES))
    except OSError:  # not to be read by this user
        return []


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_bytes(path, _MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _llama_bytes(path: Path) -> int:
    """The size of a GGUF file with a model of Llama's architecture; 0 for anything else."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            beginning = file.read(_BEGINNING)
    except OSError:
        return 0
    return size if beginning.startswith(b"GGUF") and _LLAMA in beginning else 0
