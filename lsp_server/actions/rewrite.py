"""From a model's answer to the edits of a buffer: what code it has, where that goes, and whether it may be applied."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from lsp_server.actions.answer import Code, NoCode, code_of
from lsp_server.actions.checks import Keep, Problem, check
from lsp_server.actions.indent import fit, newline_of, unit_of
from lsp_server.context.buffer import split_lines
from lsp_server.context.edits import Conflict, Edit, apply, edits, rebase
from lsp_server.context.syntax import Block, Tree, errors, symbols

__all__ = ["Conflict", "Edit", "Keep", "Problem", "Rewrite", "apply", "check", "edits", "fit", "rebase", "rewrite"]


@dataclasses.dataclass(frozen=True)
class Rewrite:
    """What becomes of a block. `proposed` is the text for its lines; where the answer has no code, the answer itself.

    With a `problem` the edits are not to be made before the user has seen it. `edits` is empty where there is nothing
    to apply.
    """

    edits: tuple[Edit, ...]
    problem: Problem | None
    proposed: str


def rewrite(
    answer: str,
    truncated: bool,
    text: str,
    block: Block,
    language_id: str,
    keep: Keep = "signature",
    *,
    fence_open: bool = False,
    tree: Tree | None = None,
) -> Rewrite:
    """The edits that put the code of `answer` in the place of `block` in `text`.

    `truncated`, `fence_open`: see `code_of`. `keep`: see `checks.Keep`. `tree`: that of `text`, if the caller has it.
    The model is expected to answer with the whole of the block, as it was shown: lines `first_line` to `last_line`.
    Takes about 60 ms in a file of 5,000 lines: not for the event loop.
    """
    try:
        code = code_of(answer, language_id, truncated=truncated, fence_open=fence_open, name=block.name, known=text)
    except NoCode as error:
        return Rewrite((), Problem("no-code", str(error)), answer)
    lines = split_lines(text)
    proposed = fitted(code, lines, block, language_id)
    new = split_lines(proposed)
    if new and not new[-1]:
        new.pop()
    made = edits(lines[block.first_line : block.last_line + 1], new, shift=block.first_line)
    problem = check(text, apply(lines, made), block, language_id, keep=keep, complete=code.complete, tree=tree)
    return Rewrite(tuple(made), problem, proposed)


def fitted(code: Code, lines: Sequence[str], block: Block, language_id: str) -> str:
    """The code as it goes in the place of `block` among `lines`: indented as there, and nothing but the block."""
    old = lines[block.first_line : block.last_line + 1]
    text = fit(
        _only(code.text, block, language_id),
        old,
        indent=block.indent,
        newline=newline_of(lines),
        unit=unit_of(lines),
        language_id=language_id,
    )
    return _with_head(text, old, block)


def _only(code: str, block: Block, language_id: str) -> str:
    """The code of the block alone, where the model wrote the class around it again or an example of its use below."""
    if block.kind != "function" or not block.name or errors(code, language_id):
        return code
    found = symbols(code, language_id)
    lines = split_lines(code)
    own = [symbol for symbol in found if symbol.name == block.name and symbol.kind == "function"]
    if not own:
        return code
    last = own[-1]
    holder = block.container.rpartition(".")[2]
    if holder and last.container.rpartition(".")[2] == holder and last.first_line:
        return "".join(lines[last.first_line : last.last_line + 1])
    end = max(symbol.last_line for symbol in found) + 1
    outside = [line for line in lines[end:] if line.strip()]
    if outside and last.header_line < end and not any(line.startswith((" ", "\t", "}", ")")) for line in outside):
        return "".join(lines[:end])
    return code


def _with_head(fitted: str, old: Sequence[str], block: Block) -> str:
    """With the attributes and documentation above the definition, where the model began at the definition itself."""
    head = old[: block.header_line - block.first_line]
    if not head or not block.name:
        return fitted
    first = next((line.strip() for line in fitted.splitlines() if line.strip()), "")
    marks = ("@", "#", "[", "/", "*", "--")
    begins = not first.startswith(marks) and re.search(rf"\b{re.escape(block.name)}\b", first) is not None
    return "".join(head) + fitted if begins else fitted
