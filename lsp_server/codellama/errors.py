"""What can go wrong on this floor. Each message is one sentence that can be shown to the user as it is."""

from lsp_server.errors import UserError


class CheckpointError(UserError):
    """A file of the checkpoint is missing or broken; the message names it and says how to mend it."""


class InfillingUnsupported(UserError):
    """The checkpoint cannot infill, or not in this layout; the message says why."""


class DialogError(UserError):
    """The dialog cannot be put to the model; the message says which rule it breaks."""
