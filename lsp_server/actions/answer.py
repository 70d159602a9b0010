"""The code in a model's answer: out of its prose and fences, and whether all of it is there.

Fences are those of CommonMark (section 4.5), and `[PYTHON]` ... `[/PYTHON]`, which Code Llama was tuned to write.
"""

from __future__ import annotations

import dataclasses
import re

from lsp_server.completion.filtering.characters import readable
from lsp_server.context.languages import LANGUAGES, Language, language
from lsp_server.context.prose import CODE_SIGN, STATEMENT, is_prose
from lsp_server.context.syntax import errors, symbols
from lsp_server.errors import UserError


class NoCode(UserError):
    """The answer has no code; the message is a sentence for the user."""


@dataclasses.dataclass(frozen=True)
class Code:
    """Code out of an answer, line endings as `\n`, one at its end. `complete`: nothing says that there is more."""

    text: str
    complete: bool = True


@dataclasses.dataclass(frozen=True)
class _Fenced:
    word: str  # what stands behind the fence, lower case
    lines: tuple[str, ...]
    closed: bool


_FENCE = re.compile(r"( *)(`{3,}|~{3,})[ \t]*([^`]*)$")
_TAG = re.compile(r"^\s*\[(/?)(PYTHON|CODE|[A-Z][A-Z+#]{0,14})\]\s*$")
MOST_DEPTH = 8
_DIFF = ("diff", "patch", "udiff")
_PROSE_WORDS = ("markdown", "md", "text", "txt", "plaintext")
# Languages in which sentences are the content.
_WORDS = ("plaintext", "markdown")


def code_of(
    answer: str,
    language_id: str,
    *,
    truncated: bool = False,
    fence_open: bool = False,
    name: str = "",
    known: str = "",
) -> Code:
    """The code in `answer`.

    Of several fenced blocks: those in the language, of these the last that defines `name`, else the longest.
    `truncated`: the generation ended at its limit of tokens. `fence_open`: the prompt ended inside an opened fence.
    `known`: the text that it changes; what nobody sees and control tokens have names for is kept where it is in there.
    Raises NoCode where there is only prose, a diff, or nothing.
    """
    spoken = language(language_id)
    lines = re.split(r"\r\n|\r|\n", readable(answer, known))
    if fence_open:
        lines.insert(0, "```" + spoken.fence)
    if not "".join(lines).strip():
        raise NoCode("The model gave an empty answer.")
    blocks = _fenced(lines)
    if len(blocks) == 1 and not blocks[0].closed and not blocks[0].word:
        closing = next(index for index, line in enumerate(lines) if _FENCE.match(line))
        before = _without_prose(lines[:closing], spoken)
        # One bare fence behind code closes what the prompt opened; one behind prose opens a block that was cut off.
        if _is_code(before, spoken):
            return _code(before, spoken, complete=True)
    if blocks:
        block = _chosen(blocks, spoken, name)
        if block.word in _PROSE_WORDS and not spoken.is_called(block.word):
            inner = _fenced(list(block.lines))
            if inner:
                block = dataclasses.replace(_chosen(inner, spoken, name), closed=block.closed)
        if not block.word and not _is_code(list(block.lines), spoken):
            raise NoCode("The model answered in words, without code.")
        # A limit reached in the prose behind a closed block cost nothing; and the generation may have been stopped at
        # the fence that closes what the prompt opened.
        return _code(list(block.lines), spoken, complete=block.closed or (fence_open and not truncated))
    bare = _without_prose(lines, spoken)
    if not _is_code(bare, spoken):
        raise NoCode("The model answered in words, without code.")
    return _code(bare, spoken, complete=not truncated)


def _code(lines: list[str], spoken: Language, *, complete: bool) -> Code:
    first, last = 0, len(lines)
    while last and not lines[last - 1].strip():
        last -= 1
    while first < last and (not lines[first].strip() or (last - first > 1 and _is_word(lines[first], spoken))):
        first += 1
    if first == last:
        raise NoCode("The model gave an empty block of code.")
    return Code("\n".join(lines[first:last]) + "\n", complete)


def _is_word(line: str, spoken: Language) -> bool:
    """Whether it is the word behind a fence that the prompt opened."""
    return spoken.is_called(line.strip()) and not line.startswith((" ", "\t"))


def _fenced(lines: list[str], depth: int = 0) -> list[_Fenced]:
    """The fenced blocks, outermost only. A fence with a word inside a block opens one within it; what is tagged may
    have fences in it, to a depth that no answer has."""
    found: list[_Fenced] = []
    index = 0
    while index < len(lines):
        tag, fence = _TAG.match(lines[index]), _FENCE.match(lines[index].rstrip())
        if tag is not None and not tag[1] and _tagged(tag[2]):
            end = next((i for i in range(index + 1, len(lines)) if lines[i].strip() == f"[/{tag[2]}]"), len(lines))
            body = lines[index + 1 : end]
            inner = _fenced(body, depth + 1) if depth < MOST_DEPTH else []
            word = tag[2].lower().replace("code", "")
            found += inner or [_Fenced(word, tuple(body), end < len(lines))]
            index = end + 1
        elif fence is not None:
            end = _closing(lines, index + 1, fence)
            indent = len(fence[1])
            body = [line[min(indent, len(line) - len(line.lstrip(" "))) :] for line in lines[index + 1 : end]]
            found.append(_Fenced(_word(fence[3]), tuple(body), end < len(lines)))
            index = end + 1
        else:
            index += 1
    return found


def _closing(lines: list[str], index: int, opening: re.Match[str]) -> int:
    """The line of the fence that closes `opening`; the number of lines where none does.

    One that stands deeper by four is text of the block: a fence in a docstring.
    """
    depth = 0
    while index < len(lines):
        fence = _FENCE.match(lines[index].rstrip())
        if fence is not None and fence[2][0] == opening[2][0] and len(fence[1]) < len(opening[1]) + 4:
            if fence[3].strip():
                depth += 1
            elif depth:
                depth -= 1
            elif len(fence[2]) >= len(opening[2]):
                return index
        index += 1
    return index


def _word(info: str) -> str:
    """The language in what stands behind a fence: of `python title="a.py"`, `{.python}` and `src/a.py:python` alike."""
    words = re.findall(r"[\w+#-]+", info.lower())
    return words[0] if words else ""


def _tagged(word: str) -> bool:
    return word in ("CODE", "TESTS") or any(spoken.is_called(word) for spoken in LANGUAGES.values())


def _chosen(blocks: list[_Fenced], spoken: Language, name: str) -> _Fenced:
    candidates = [block for block in blocks if block.word not in _DIFF and any(line.strip() for line in block.lines)]
    if not candidates:
        if any(block.word in _DIFF for block in blocks):
            raise NoCode("The model answered with a diff, not with the code.")
        raise NoCode("The model gave an empty block of code.")
    candidates = (
        [block for block in candidates if spoken.is_called(block.word)]
        or [block for block in candidates if not block.word]
        or candidates
    )
    if name and len(candidates) > 1:
        defining = [
            block
            for block in candidates
            if any(symbol.name == name for symbol in symbols("\n".join(block.lines), spoken.id))
        ]
        if defining:
            return defining[-1]
    return max(candidates, key=lambda block: len("".join(block.lines)))


def _without_prose(lines: list[str], spoken: Language) -> list[str]:
    """The lines without the paragraphs of prose that they begin and end with."""
    first, last = 0, len(lines)
    if spoken.id in _WORDS:
        return lines
    while first < last:
        end = first
        while end < last and lines[end].strip():
            end += 1
        if not all(is_prose(line, spoken) for line in lines[first:end]):
            break
        first = max(end, first + 1)
    while first < last and (not lines[first].strip() or is_prose(lines[first], spoken)):
        first += 1  # "Here is the code:" right above it
    while last > first:
        start = last
        while start > first and lines[start - 1].strip():
            start -= 1
        if not all(is_prose(line, spoken) for line in lines[start:last]):
            break
        last = min(start, last - 1)
    while last > first and (not lines[last - 1].strip() or is_prose(lines[last - 1], spoken)):
        last -= 1
    return lines[first:last]


def _is_code(lines: list[str], spoken: Language) -> bool:
    if spoken.id in _WORDS:
        return any(line.strip() for line in lines)
    signs = sum(1 for line in lines if line.strip() and (CODE_SIGN.search(line) or STATEMENT.match(line)))
    if not signs:
        return False
    # Prose about code has signs too; then most lines read as sentences and the whole does not parse.
    prose = sum(1 for line in lines if line.strip() and is_prose(line, spoken))
    return prose * 2 <= sum(1 for line in lines if line.strip()) or not errors("\n".join(lines), spoken.id)
