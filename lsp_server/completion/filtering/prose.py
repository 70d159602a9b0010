"""Words where code belongs: fences, what a model says about its code, and comments that say nothing."""

from __future__ import annotations

import re

from lsp_server.completion.marks import marks_of
from lsp_server.completion.scanner import text_scope
from lsp_server.completion.stopping import Place
from lsp_server.context.languages import Language, language
from lsp_server.context.prose import is_prose

_FENCE = re.compile(r"[ \t]{0,3}(?:`{3,}|~{3,})[ \t]*[\w+#.-]*[ \t]*\Z")
# How models begin to speak of their code.
_SPOKEN = re.compile(
    r"(?:here(?:'s| is| are)|sure[,!.]|certainly[,!.]|of course[,!.]|explanation:|note that |(?:this|the) (?:above |"
    r"following )?(?:code|function|method|snippet|implementation|example|change)\b|in this (?:code|example)|i have |"
    r"i've |let me |you can |to (?:fix|use|run) )",
    re.IGNORECASE,
)
_LICENCE = re.compile(
    r"copyright\b.*\d{4}|\(c\) \d{4}|all rights reserved|licensed under|spdx-license|permission is hereby granted"
    r"|redistribution and use in source|without warrant(?:y|ies)|gnu (?:lesser |affero )?general public licen[sc]e",
    re.IGNORECASE,
)
# Comment lines without any code from which on it is only talk; and rounds of nearly the same comment.
MOST_COMMENTS, ROUNDS = 10, 3
# Languages in which elements hold sentences.
_ELEMENTS = {"javascript", "javascriptreact", "typescript", "typescriptreact", "php"}


def without_prose(text: str, here: Place) -> str:
    """Without fences around the code and what is said before and after it."""
    spoken = language(here.language_id)
    if marks_of(here.language_id).prose or text_scope(here.open, marks_of(here.language_id)) is not None:
        return text
    lines = text.split("\n")
    starts = _in_code(text, here)
    first = 0
    while first < len(lines) and (not lines[first].strip() or _is_said(lines[first], spoken)):
        first += 1
    said = any(line.strip() for line in lines[:first])
    if first < len(lines) and _FENCE.match(lines[first]) and not (first == 0 and here.line_before.strip()):
        inner = lines[first + 1 :]
        end = next((index for index, line in enumerate(inner) if _FENCE.match(line)), len(inner))
        return "\n".join(inner[:end]).strip("\n")
    if said and not here.line_before.strip():
        lines, starts = lines[first:], starts[first:]
    for index in range(1, len(lines)):
        if starts[index] and (_FENCE.match(lines[index]) or _is_said(lines[index], spoken)):
            return "\n".join(lines[:index])
    return "\n".join(lines)


def without_noise(text: str, here: Place) -> str:
    """Without a licence in the midst of code, and without comments that go on and on."""
    spoken = language(here.language_id)
    if marks_of(here.language_id).prose or text_scope(here.open, marks_of(here.language_id)) is not None:
        return text
    lines = text.split("\n")
    is_comment = [_is_comment(line, spoken) for line in lines]
    if here.line_before.strip():
        is_comment[0] = False
    below_code = any(line.strip() and not _is_comment(line, spoken) for line in here.prefix.split("\n")[:-1])
    for index, line in enumerate(lines):
        if is_comment[index] and below_code and _LICENCE.search(line):
            while index and is_comment[index - 1]:
                index -= 1
            return "\n".join(lines[:index])
        if index >= ROUNDS - 1 and all(is_comment[index - ROUNDS + 1 : index + 1]):
            alike = {re.sub(r"\d+|\W+", " ", each) for each in lines[index - ROUNDS + 1 : index + 1]}
            if len(alike) == 1 and alike != {" "}:
                return "\n".join(lines[: index - ROUNDS + 2])
    written = [line for line in lines if line.strip()]
    above = next((line for line in reversed(here.lines_above) if line.strip()), "")
    if len(written) >= MOST_COMMENTS and all(is_comment) and not _is_comment(above, spoken):
        return ""
    return text


def _in_code(text: str, here: Place) -> list[bool]:
    """Whether each line of `text` begins in code, not in a string or comment."""
    marks = marks_of(here.language_id)
    return [True, *(text_scope(step.open, marks) is None for step in here.read(text) if step.newline)]


def _is_said(line: str, spoken: Language) -> bool:
    """Whether a line of code's place is a sentence about it."""
    bare = line.strip()
    if spoken.grammar is None or not bare[:1].isupper() or not is_prose(bare, spoken):
        return False
    if _SPOKEN.match(bare):
        return True
    return spoken.id not in _ELEMENTS and bare[-1] in ".:!?" and len(re.findall(r"[A-Za-z'’]+", bare)) > 3


def _is_comment(line: str, spoken: Language) -> bool:
    """Whether a line is a comment and nothing else."""
    marks = [spoken.line_comment] if spoken.line_comment else []
    if spoken.block_comment:
        marks += [spoken.block_comment[0], "* ", "*/"]
    bare = line.strip()
    return bool(bare) and (bare.startswith(tuple(marks)) or (bare == "*" and spoken.block_comment is not None))
