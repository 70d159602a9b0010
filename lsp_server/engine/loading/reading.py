"""The JSON in a checkpoint, read within limits: others wrote it, and it may say anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lsp_server import files
from lsp_server.errors import UserError

# The largest config.json of a known model has 40 kB; the index of one with 60,000 tensors has 7 MB.
CONFIG_BYTES = 2**20
INDEX_BYTES = 16 * 2**20


class CheckpointProblem(UserError):
    """A checkpoint cannot be used; the message is one sentence that names the file and says how to mend it."""


class UnknownModel(CheckpointProblem):
    """A name is that of no model."""


def read_json(path: Path, remedy: str, limit: int = INDEX_BYTES) -> dict[str, Any]:
    """The JSON object in a file of at most `limit` bytes; raises CheckpointProblem, ending in `remedy`."""
    try:
        value = json.loads(files.read_bytes(path, limit))
    except FileNotFoundError:
        raise CheckpointProblem(f"{path} is missing; {remedy}.") from None
    except files.FileRefused as error:
        raise CheckpointProblem(f"{str(error).partition(';')[0].rstrip('.')}; {remedy}.") from None
    except OSError as error:
        raise CheckpointProblem(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    except (ValueError, RecursionError):
        raise CheckpointProblem(f"{path} is not valid JSON; {remedy}.") from None
    if not isinstance(value, dict):
        raise CheckpointProblem(f"{path} does not hold a JSON object; {remedy}.")
    return value
