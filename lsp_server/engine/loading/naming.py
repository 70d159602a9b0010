"""From the name of a model to its checkpoint folder."""

from __future__ import annotations

import re
from pathlib import Path

from lsp_server.engine.loading import gguf_file, hub, starter
from lsp_server.engine.loading.checkpoint import CheckpointProblem, Report
from lsp_server.engine.loading.meant import meant
from lsp_server.engine.loading.reading import UnknownModel
from lsp_server.places import named_folder

STARTER = "starter"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def checkpoint_folder(model: str, report: Report) -> Path:
    """The checkpoint folder of `model`: "starter", a folder or a GGUF file (`/...` or `~/...`), or a hub id "org/name".

    The starter and a hub model are fetched first where they are not here yet, and a GGUF file is unpacked, which
    `report` follows. A folder is returned as it is; `validate` checks it. Raises CheckpointProblem.
    """
    model = model.strip()
    if model == STARTER:
        return starter.ensure(report)
    folder = named_folder(model)
    if folder is not None:
        if folder.is_dir():
            return folder.resolve()
        if gguf_file.is_one(folder):
            return gguf_file.ensure(folder, report)
        if folder.is_file():
            raise CheckpointProblem(
                f"{folder} is no GGUF file; give one, or the folder that holds the checkpoint's files."
            )
        raise CheckpointProblem(f"There is no folder {model}; give an existing checkpoint folder or a hub id.")
    return hub.download(hub_id(model), report)


def hub_id(model: str) -> str:
    """A name that is that of a model of the hub. Raises CheckpointProblem for any other."""
    if _HUB_ID.fullmatch(model):
        return model
    instead = meant(model) or f'give a hub id such as codellama/CodeLlama-7b-hf, a checkpoint folder, or "{STARTER}"'
    raise UnknownModel(f'"{model}" is not a model: {instead}.')
