"""A suggestion goes as far as what it begins is whole, and the file is none the worse for it."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator

from lsp_server.completion.filtering.counting import fitting
from lsp_server.completion.marks import marks_of
from lsp_server.completion.scanner import open_after, text_scope
from lsp_server.completion.stopping import MOST_LINES, Place
from lsp_server.context.buffer import depth_of
from lsp_server.context.languages import language

_WORDS = (
    r"(?:(?:export|default|public|private|protected|internal|static|abstract|final|async|override|open|unsafe|extern"
    r"|inline|const|virtual|sealed|partial|local|pub(?:\([a-z]+\))?) )*"
)
_DEFINITION = re.compile(
    rf"{_WORDS}(?:def|class|fn|func|function\*?|fun|sub|interface|struct|enum|trait|impl|module|namespace|record|type)"
    r" ?[\w<(&*]"
)
# A method or function that begins with its type or name, as in C and its kin, or in a class of JavaScript.
_TYPED = re.compile(rf"{_WORDS}[\w:<>\[\],*&~ ]*?[\w>*&~]+ ?\([^;={{}}]*\)[^;={{}}()]*\{{\s*\Z")
_CONTROL = re.compile(r"(?:\}?\s*)(?:if|else|for|foreach|while|switch|catch|do|try|return|with|using|lock|when)\b")
_HOLDS = re.compile(rf"{_WORDS}(?:class|interface|struct|enum|trait|impl|module|namespace|record|object|extension)\b")
_ABOVE = re.compile(r"\s*(?:@|#\[|\[[A-Z]|template\b)")
# What a line ends in that has its other half still to come.
_HALF = re.compile(r"(?:\s*(?:[-+*/%&|^=<>!.,?~@]+|\b(?:and|or|not|in|is|if|else|for|as|lambda|new|await)\b))+\s*\Z")


def without_loose_end(text: str, here: Place) -> str:
    """Without what was cut off when the tokens ran out: the last line, or in a single line the last word."""
    head, newline, _ = text.rstrip("\n").rpartition("\n")
    return head if newline and head.strip() else re.sub(r"\w+$", "", text)


def without_next_definition(text: str, here: Place) -> str:
    """Up to where the next definition begins behind what was asked for."""
    lines = text.split("\n")
    if len(lines) < 2 or text_scope(here.open, marks_of(here.language_id)) is not None:
        return text
    first = next((index for index, line in enumerate(lines) if line.strip()), 0)
    depth = depth_of(here.line_before + lines[0]) if first == 0 else depth_of(lines[first])
    if here.opens_block or (depth and not _is_in_class(here, depth)):
        return text
    marks = marks_of(here.language_id)
    starts = [(), *(step.open[step.kept :] for step in here.read(text) if step.newline)]
    begun = not _leads(lines[first])
    for index in range(first + 1, len(lines)):
        line = lines[index]
        if not line.strip() or starts[index] or text_scope(starts[index], marks) is not None:
            continue
        if begun and depth_of(line) <= depth and _defines(line.strip()):
            while index > first + 1 and (_leads(lines[index - 1]) or not lines[index - 1].strip()):
                index -= 1
            return "\n".join(lines[:index])
        begun = begun or not _leads(line)
    return text


def parsing(text: str, here: Place) -> str:
    """As much of it as leaves the file with no more errors than it had: whole lines, or a line without its loose end.

    The cursor's line may be half a one: the file had as many as it has without the suggestion, or with the plainest one
    in its place. What is typed as the header of a block may have its body still to come.
    """
    fits = fitting(text, here)
    if fits is None:
        return text
    scope = text_scope(open_after(here.read(text), here.open), marks_of(here.language_id))
    mark = language(here.language_id).line_comment or ""
    behind_code = scope is not None and scope.one_line and scope.kind == "comment"
    if scope is not None and not (behind_code and not _last_line(text, here).lstrip().startswith(mark)):
        return text  # it ends within a string or comment, which what follows ends
    return next((each for each in _shorter(text, here) if fits(each) and not _leaves_indented(each, here)), "")


def _last_line(text: str, here: Place) -> str:
    return (here.line_before + text).rpartition("\n")[2]


def _leaves_indented(text: str, here: Place) -> bool:
    """Whether in Python the next line is left deeper than it may be, which the grammar does not mind: behind a line
    that opens no block any more."""
    if here.language_id != "python" or not here.lines_below:
        return False
    above = here.line_before + here.line_after
    above = above if above.strip() else next((line for line in reversed(here.lines_above) if line.strip()), "")
    last = _last_line(text, here) + here.line_after
    return _is_indented_in_vain(last, here.lines_below[0]) and not _is_indented_in_vain(above, here.lines_below[0])


def _is_indented_in_vain(line: str, below: str) -> bool:
    """... as Python's own parser says of two lines."""
    if depth_of(below) <= depth_of(line) or not line.strip():
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on escapes and the like
        try:
            ast.parse(textwrap.dedent(f"{line}\n{below}\n"))
        except SyntaxError as error:
            return error.msg == "unexpected indent"
        except (ValueError, MemoryError, RecursionError):  # null bytes, and code that is too deep for it
            return False
    return False


def _shorter(text: str, here: Place) -> Iterator[str]:
    """A suggestion, and what can be cut off it, the longest first."""
    yield text
    lines = text.split("\n")
    for count in range(min(len(lines) - 1, MOST_LINES), 0, -1):
        if shorter := "\n".join(lines[:count]).rstrip():
            yield shorter
    if len(lines) == 1 and (bare := _HALF.sub("", text)) != text and bare.strip():
        yield bare


def _is_in_class(here: Place, depth: int) -> bool:
    """Whether what stands at this depth is a member of a class or the like."""
    for line in reversed(here.prefix.split("\n")[:-1]):
        if line.strip() and depth_of(line) < depth and line.strip() != "{":
            return _HOLDS.match(line.strip()) is not None
    return False


def _leads(line: str) -> bool:
    """Whether a line only leads to a definition: a comment, a decorator."""
    return bool(_ABOVE.match(line)) or line.strip().startswith(("#", "//", "/*", "*", "--", '"""'))


def _defines(line: str) -> bool:
    named = _DEFINITION.match(line) and not line.endswith((";", ","))
    return bool(named or (_TYPED.match(line) and not _CONTROL.match(line)))
