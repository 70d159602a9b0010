"""Blocks found by indentation, for languages without a grammar: a header, and the lines below that stand deeper."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from lsp_server.context.buffer import depth_of
from lsp_server.context.languages import Language

# Headers of blocks that are part of a function, not one: the search goes on above them.
_CONTROL = re.compile(
    r"(?:\}?\s*)(?:if|elif|else|elsif|for|foreach|while|until|unless|do|loop|repeat|switch|case|when|match|select|try"
    r"|catch|except|rescue|finally|ensure|with|using|synchronized|lock|begin|return|defer|guard|default|then)\b"
)
_CLASS = re.compile(
    r"(?:^|\s)(?:class|struct|interface|trait|impl|enum|union|object|protocol|extension|record|defmodule)\s+([\w$.]+)"
)
_NAMED = re.compile(
    r"(?:^|\s)(?:def|defp|defmacro|fun|fn|func|function|sub|proc|procedure|method|macro)\s+(?:\([^)]*\)\s*)?([\w$.?!]+)"
)
_CALLED = re.compile(r"([\w$]+)\s*(?:<[^<>]*>)?\s*\(|^\s*([\w$.]+)\s*(?:<-|=)\s*function\b|^([\w.-]+)\s*:")
_CLOSER = re.compile(r"[)\]}]|end\b|esac\b|fi\b|done\b")
_ATTRIBUTE = re.compile(r"@|#\[|\[[A-Z]")


@dataclasses.dataclass(frozen=True)
class Span:
    """A block, by rows (0-based, `last` included). `first` counts the comments and attributes directly above."""

    kind: str  # "function" or "class"
    name: str
    first: int
    header: int
    last: int
    docs: tuple[int, int] | None


def block_at(lines: Sequence[str], row: int, language: Language) -> Span | None:
    """The innermost function or class around `row`; None outside of any."""
    if not 0 <= row < len(lines):
        return None
    row = _below_comments(lines, row, language)
    limit = depth_of(lines[row]) + 1 if _opens(lines, row) or not lines[row].strip() else depth_of(lines[row])
    if not lines[row].strip():  # a blank line belongs to the deeper of its neighbours
        limit = max(depth_of(_next(lines, row, -1)), depth_of(_next(lines, row, 1))) or 1
    elif _CLOSER.match(lines[row].strip()):
        limit = depth_of(lines[row]) + 1
    for candidate in range(row, -1, -1):
        line = lines[candidate].strip()
        if not line or depth_of(lines[candidate]) >= limit or _is_comment(line, language):
            continue
        if _CLOSER.match(line) or line == "{":  # the header this belongs to stands above, as deep
            limit = depth_of(lines[candidate]) + 1
            continue
        limit = depth_of(lines[candidate])
        if _opens(lines, candidate) and not _CONTROL.match(line):
            span = _span(lines, candidate, language)
            if span is not None and span.last >= row:
                return span
        if limit == 0:
            return None
    return None


def blocks(lines: Sequence[str], language: Language) -> list[Span]:
    """Every function and class that has a name, in order."""
    found = []
    for row, line in enumerate(lines):
        stripped = line.strip()
        if stripped and not _CONTROL.match(stripped) and not _is_comment(stripped, language) and _opens(lines, row):
            span = _span(lines, row, language)
            if span is not None and span.name:
                found.append(span)
    return found


def _span(lines: Sequence[str], header: int, language: Language) -> Span | None:
    line = lines[header].strip()
    if match := _CLASS.search(line):
        kind, name = "class", match[1]
    elif match := _NAMED.search(line) or _CALLED.search(line):
        kind, name = "function", next(group for group in match.groups() if group)
    else:
        return None
    depth, last, row = depth_of(lines[header]), header, header + 1
    while row < len(lines):
        stripped = lines[row].strip()
        if stripped:
            if depth_of(lines[row]) < depth:
                break
            if depth_of(lines[row]) == depth:
                if not _CLOSER.match(stripped) and stripped != "{":
                    break
                last = row
                if stripped[-1] not in "{([:" and _CLOSER.match(stripped):
                    break
            last = row
        row += 1
    first, docs = header, None
    while first and depth_of(lines[first - 1]) >= depth:
        above = lines[first - 1].strip()
        comment = _is_comment(above, language)
        if not above or not (comment or _ATTRIBUTE.match(above)):
            break
        first -= 1
        if comment:
            docs = (first, docs[1] if docs else first)
    return Span(kind, name, first, header, last, docs)


def _opens(lines: Sequence[str], row: int) -> bool:
    """Whether deeper lines follow, or the bracket of the body on a line of its own."""
    following = _next(lines, row, 1)
    return depth_of(following) > depth_of(lines[row]) or (
        following.strip() == "{" and depth_of(following) == depth_of(lines[row]) and lines[row].strip() != "{"
    )


def _next(lines: Sequence[str], row: int, step: int) -> str:
    """The nearest line that is not blank, below (1) or above (-1)."""
    row += step
    while 0 <= row < len(lines):
        if lines[row].strip():
            return lines[row]
        row += step
    return ""


def _below_comments(lines: Sequence[str], row: int, language: Language) -> int:
    """The row that the comments and attributes at `row` stand above, or `row` itself."""
    below = row
    while below < len(lines) and lines[below].strip():
        stripped = lines[below].strip()
        if not (_is_comment(stripped, language) or _ATTRIBUTE.match(stripped)):
            return below if _opens(lines, below) else row
        below += 1
    return row


def _is_comment(stripped: str, language: Language) -> bool:
    marks = [language.line_comment] if language.line_comment else []
    if language.block_comment:
        marks += [language.block_comment[0], "* ", "*/"]
    return stripped.startswith(tuple(marks)) or (language.block_comment is not None and stripped == "*")
