"""Tests that are added to a file of tests: its imports joined with theirs, the rest where the language wants it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lsp_server.actions.project import JAVASCRIPT

_HEADERS = {
    "python": re.compile(r"(import|from)\s+\S"),
    "java": re.compile(r"(import|package)\s"),
    "rust": re.compile(r"use\s"),
    "c": re.compile(r"#\s*include\b"),
    "cpp": re.compile(r"#\s*include\b|using namespace\b"),
    "ruby": re.compile(r"require(_relative)?\b"),
    "php": re.compile(r"(<\?php|use\s|namespace\s|require_once\b|declare\()"),
    **dict.fromkeys(
        JAVASCRIPT, re.compile(r"import\s|(const|let|var)\s.*=\s*require\(|['\"]use strict['\"]")
    ),
}  # fmt: skip
_GO_HEADER = re.compile(r"(package|import)\b")


def insertions(lines: Sequence[str], code: str, language_id: str) -> list[tuple[int, str]]:
    """(row, text to insert above it) that add the tests `code` to the file with these `lines`, which have endings."""
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if not "".join(lines).strip():
        return [(0, code.strip("\n").replace("\n", ending) + ending)]
    head, body = _split(code, language_id)
    there = {_plain(line) for line in lines}
    missing = [line for line in head if _plain(line) not in there and _is_import(line)]
    inserted: list[tuple[int, str]] = []
    if missing:
        inserted.append(_imports(lines, missing, language_id))
    row, body, gap = _end(lines, body, language_id)
    after = "\n\n" if row < len(lines) and lines[row].startswith("if __name__") else ""
    if body.strip():
        last_has_ending = not lines or not lines[-1] or row < len(lines)
        start = "" if last_has_ending else "\n"
        blank = row == 0 or not lines[row - 1].strip()
        separator = "" if row == 0 else "\n" * (gap - 1 if blank else gap)
        inserted.append((row, start + separator + body.strip("\n") + "\n" + after))
    return [(row, text.replace("\n", ending)) for row, text in inserted]


def _split(code: str, language_id: str) -> tuple[list[str], str]:
    """(lines of imports and packages at the top, the rest) of an answer."""
    lines = code.strip("\n").split("\n")
    if language_id == "go":
        return _split_go(lines)
    header = _HEADERS.get(language_id)
    at, inside, found = 0, False, list[str]()
    while header is not None and at < len(lines):
        stripped = lines[at].strip()
        if inside or header.match(lines[at]):
            if inside:
                found[-1] += "\n" + lines[at]
            else:
                found.append(lines[at])
            text = found[-1]
            inside = text.count("(") > text.count(")") or text.count("{") > text.count("}") or text.endswith("\\")
        elif stripped:
            break
        at += 1
    return found, "\n".join(lines[at:])


def _split_go(lines: Sequence[str]) -> tuple[list[str], str]:
    """Go groups its imports; they are taken apart, one for each line."""
    at, inside, found = 0, False, list[str]()
    while at < len(lines):
        stripped = lines[at].strip()
        if inside:
            inside = not stripped.startswith(")")
            if inside and stripped:
                found.append(f"import {stripped}")
        elif stripped.startswith("import ("):
            inside = True
        elif _GO_HEADER.match(stripped):
            found.append(stripped)
        elif stripped:
            break
        at += 1
    return found, "\n".join(lines[at:])


def _imports(lines: Sequence[str], missing: Sequence[str], language_id: str) -> tuple[int, str]:
    """Where the missing imports go: below the last one there is, in Go into the group there is."""
    if language_id == "go":
        group = next((row for row, line in enumerate(lines) if line.strip() == "import ("), None)
        if group is not None:
            return group + 1, "".join(f"\t{line.removeprefix('import ')}\n" for line in missing)
        package = next((row + 1 for row, line in enumerate(lines) if line.startswith("package ")), 0)
        return package, "\n" + "\n".join(missing) + "\n"
    header = _HEADERS[language_id]
    last, inside = 0, ""
    for row, line in enumerate(lines[:400]):
        if inside or header.match(line):
            inside += line
            if inside.count("(") <= inside.count(")") and inside.count("{") <= inside.count("}"):
                inside, last = "", row + 1
        elif line.strip() and last and not line.lstrip().startswith(("#", "//", "/*", "*", '"')):
            break
    return last, "".join(f"{line}\n" for line in missing)


def _end(lines: Sequence[str], body: str, language_id: str) -> tuple[int, str, int]:
    """(row to insert above, text to insert, empty lines before it)."""
    closing = r"}\s*$"
    if language_id == "java" and (inner := _inside(body, r".*\bclass\s+\w+")) is not None:
        rows = [row for row, line in enumerate(lines) if re.match(closing, line)]
        if rows:
            return rows[-1], inner, 1
    if language_id == "rust":
        start = next((row for row, line in enumerate(lines) if re.match(r"mod tests\s*\{", line)), None)
        inner = _inside(body, r"(#\[cfg\(test\)\]\s*)?mod\s+\w+")
        if start is not None and inner is not None:
            row = next((row for row in range(start, len(lines)) if re.match(closing, lines[row])), None)
            if row is not None:
                used = {_plain(line) for line in lines[start:row]}
                kept = [line for line in inner.split("\n") if not (_is_use(line) and _plain(line) in used)]
                return row, "\n".join(kept).strip("\n"), 1
    if language_id == "python":
        main = next((row for row, line in enumerate(lines) if line.startswith("if __name__ ==")), None)
        if main is not None:
            return main, body, 1 if main > 1 and not lines[main - 2].strip() else 2
        return _last(lines), body, 2
    return _last(lines), body, 1


def _last(lines: Sequence[str]) -> int:
    """The row behind the last line that has text."""
    row = len(lines)
    while row and not lines[row - 1].strip():
        row -= 1
    return row


def _inside(body: str, header: str) -> str | None:
    """What stands between the brackets of the one class or module that `body` is; None where it is something else."""
    match = re.match(rf"\s*(?:(?:@\w+(?:\([^)]*\))?|///?.*|public|final)\s+)*{header}[^{{]*\{{", body)
    end = body.rstrip()
    return body[match.end() : len(end) - 1].strip("\n") if match and end.endswith("}") else None


def _is_use(line: str) -> bool:
    return line.strip().startswith("use ")


def _is_import(line: str) -> bool:
    return not re.match(r"\s*(package|namespace|<\?php|declare|['\"]use strict)", line)


def _plain(line: str) -> str:
    """A line of import for comparing; Go's may stand in a group."""
    return " ".join(line.split()).removeprefix("import ").rstrip(";").replace('"', "'")
