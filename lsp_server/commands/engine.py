"""`engine`: the engine in the foreground, for editors and, with `--listen`, for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsp_server import printing, settings_file
from lsp_server.engine import process
from lsp_server.errors import UserError
from lsp_server.model import local

if TYPE_CHECKING:
    from lsp_server.engine.serving.state import InfillPrompt


def run(words: list[str]) -> int:
    """Run an engine until it ends; the exit status."""
    file = settings_file.read()
    for problem in file.problems:
        printing.note(problem)
    if not {"-h", "--help"} & set(words):
        try:
            local.check_installed()
        except UserError as error:
            printing.note(f"codellama-ls: {error}")
            return 1
    return process.main(words, infilling=_infill, settings=file.settings)


def _infill(*asked: Any, **limits: Any) -> InfillPrompt:
    """`for_others.infill`, which is loaded when it is first asked for: most engines never are."""
    from lsp_server.completion.for_others import infill

    return infill(*asked, **limits)
