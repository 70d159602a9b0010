"""The commands of `codellama-ls`, a module for each group. Each takes parsed options and returns the exit status."""


class Failed(Exception):
    """A command failed; the message is the one line for the user."""
