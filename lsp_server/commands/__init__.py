"""The commands of `codellama-ls`, a module for each group. Each takes parsed options and returns the exit status."""

from lsp_server.errors import UserError


class Failed(UserError):
    """A command failed; the message is the one line for the user."""
