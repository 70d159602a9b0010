"""`@file` and `@symbol` names in a question: what they stand for is attached.

    @src/main.py   @main.py:10-20   @"my file.py"   @app/[slug]/page.tsx   @parse_config   @Parser.parse

A name with a slash, a dot and an ending, or lines is looked for as a file of the workspace; any other as a function or
class, in the open documents first and then in the workspace's files, up to a bound that is said. A file's name may hold
any character but white space and quotes; what belongs to it and what to the sentence is decided by the files there are.
Code in backticks is left alone, for there `@` is a decorator.
"""

from __future__ import annotations

import dataclasses
import os
import re
import time
from pathlib import Path

from lsp_server.chat.attachments import Document, Refused, document
from lsp_server.chat.turns import Attachment
from lsp_server.context import syntax
from lsp_server.context.languages import language
from lsp_server.context.uris import file_of, uri_of
from lsp_server.context.workspace import Workspace
from lsp_server.errors import UserError

MAX_FILES = 5_000
MAX_SECONDS = 2.0
MAX_FILE_BYTES = 512_000

_CODE = re.compile(r"(`{3,}|~{3,}).*?(?:\1|\Z)|`[^`\n]*`", re.DOTALL)
_LINES = r"(?:[:#]L?(\d+)(?:-L?(\d+))?)?"
_MENTION = re.compile(rf'(?<![\w@./`])@(?:"([^"\n]+)"{_LINES}|([^\s"`@][^\s"`]*))')
_PLAIN = re.compile(rf"([\w./\\~-]*\w){_LINES}")
_WITH_LINES = re.compile(rf"(.+?){_LINES}", re.DOTALL)
# What a sentence may put behind a name, of which so much is taken off to find a file.
_ENDS, _MOST_ENDS = ".,;:!?)]}>'", 6
# Words that only code has: camelCase, snake_case, called(), or in backticks.
_CODE_WORD = re.compile(r"\b(?:\w*[a-z0-9][A-Z]\w*|\w*_\w+|\w+(?=\()|(?<=`)\w+(?=`)|(?<=\.)\w+(?=`))")


@dataclasses.dataclass(frozen=True)
class Mention:
    """`first` and `last` count lines from 1; None where the text names none. `longer`: what is meant if it is a file,
    the longest first."""

    name: str
    first: int | None = None
    last: int | None = None
    longer: tuple[Mention, ...] = ()


class WrongLines(Refused):
    """Lines are named that a file does not have."""


def mentions(text: str) -> list[Mention]:
    """The names in a question, each once, in their order."""
    found = []
    for match in _MENTION.finditer(_CODE.sub(lambda code: " " * len(code[0]), text)):
        if match[1]:
            found.append(_mention(match[1], match[2], match[3]))
        elif (mention := _of_word(match[4].rstrip(".,;:!?'"))) is not None:
            found.append(mention)
    return list(dict.fromkeys(found))


def _of_word(word: str) -> Mention | None:
    """What the characters up to the next white space name; None where that is nothing."""
    plain = _PLAIN.match(word)
    ends = [len(word)]
    while len(ends) < _MOST_ENDS and word[: ends[-1]].endswith(tuple(_ENDS)):
        ends.append(ends[-1] - 1)
    if "'" in word:  # as in "@[id].tsx's"
        ends.append(word.rindex("'"))
    longer = tuple(
        _mention(*found.groups())
        for end in ends
        if end > (plain.end() if plain else 0) and (found := _WITH_LINES.fullmatch(word[:end]))
    )
    if plain is None:
        named = next((each for each in reversed(longer) if "/" in each.name or "." in each.name), None)
        return named and dataclasses.replace(named, longer=longer)
    if longer and word[plain.end()] in "/\\":  # a path, which goes on
        return dataclasses.replace(longer[-1], longer=longer)
    return dataclasses.replace(_mention(*plain.groups()), longer=longer)


def _mention(name: str, first: str | None, last: str | None) -> Mention:
    begin = _line(first) if first else None
    return Mention(name, begin, _line(last) if last else begin)


def _line(digits: str) -> int:
    """No file has as many lines as nine digits can say, and there are numbers that are too long to read."""
    return int(digits[:9])


def resolved(workspace: Workspace, text: str) -> tuple[list[Attachment], list[str]]:
    """What the names in a question stand for, and a sentence for each that stands for nothing or must not be shown."""
    found: list[Attachment] = []
    said: list[str] = []
    for mention in mentions(text):
        try:
            attachment, note = _resolved(workspace, mention)
        except Refused as error:
            said.append(str(error))
            continue
        found.append(attachment)
        said += [note] if note else []
    return found, said


def wrong_lines(workspace: Workspace, text: str) -> list[str]:
    """A sentence for each file that a question names with lines which it cannot have."""
    said = []
    for mention in mentions(text):
        if any(each.first is not None for each in (mention, *mention.longer)):
            try:
                _resolved(workspace, mention)
            except WrongLines as error:
                said.append(str(error))
            except Refused:
                continue
    return said


def named_in(text: str, attachment: Attachment) -> tuple[int, int] | None:
    """The lines of a whole file that a question speaks of: the first definition whose name stands in it as code."""
    words = set(_CODE_WORD.findall(text))
    if not words:
        return None
    blocks = syntax.symbols(attachment.text, language("", attachment.name).id)
    named = next((block for block in blocks if block.name in words and block.kind == "function"), None)
    named = named or next((block for block in blocks if block.name in words), None)
    return None if named is None else (attachment.first + named.first_line, attachment.first + named.last_line)


def _resolved(workspace: Workspace, mention: Mention) -> tuple[Attachment, str]:
    for each in (*mention.longer, mention):
        file = _file(workspace, each.name)
        if file is None:
            continue
        found = document(workspace, file)
        if each.first is None:
            return found.whole(), ""
        last = each.last or each.first
        if not 1 <= each.first <= found.total:
            raise WrongLines(f"{found.name} has {found.total} lines; there is no line {each.first} to attach.")
        if last < each.first:
            raise WrongLines(f"{found.name}:{each.first}-{last} ends before it begins; write the first line first.")
        return found.part("selection", each.first, last), ""
    if "/" in mention.name or "\\" in mention.name or mention.first is not None:
        raise Refused(f"@{mention.name} names no file of the workspace; it was sent as text.")
    places, bound = _definitions(workspace, mention.name)
    if not places:
        raise Refused(f"@{mention.name} names no file, function or class {bound}; it was sent as text.")
    others = ", ".join(dict.fromkeys(one.name for one in places[1:]))
    note = f"There are several: @{mention.name} was taken as {places[0].name}, not {others}." if others else ""
    return places[0], note


def _file(workspace: Workspace, name: str) -> str | None:
    """The URI of the file that is meant: a path in the workspace, or the end of one that is open. Raises Refused."""
    for root in workspace.roots:
        path = Path(os.path.normpath(root / name))
        try:
            if not workspace.is_file(path):
                continue
        except UserError as error:
            raise Refused(f"@{name} was sent as text: {error}") from error
        if not path.is_relative_to(root):
            raise Refused(f"@{name} lies outside the workspace; open it in the editor first.")
        return uri_of(path)
    wanted = Path(name).parts
    for buffer in workspace.buffers():
        found = file_of(buffer.uri)
        if wanted and found is not None and "." in name and found.parts[-len(wanted) :] == wanted:
            return buffer.uri
    return None


def _definitions(workspace: Workspace, name: str) -> tuple[list[Attachment], str]:
    """Where a function or class of that name is defined, and where was looked, in words."""
    last = name.rpartition(".")[2]
    found: list[Attachment] = []
    seen = set()
    for buffer in workspace.buffers():
        seen.add(file_of(buffer.uri))
        if any(last in line for line in buffer.lines) and not workspace.why_hidden(buffer.uri):
            found += _in_document(document(workspace, buffer.uri), name)
    if found:
        return found, "in the open documents"
    deadline = time.monotonic() + MAX_SECONDS
    walk = workspace.walk(_has_definitions, most=MAX_FILES, seconds=MAX_SECONDS / 2)
    count = 0
    for path, data in workspace.read_all((path for path in walk.files if path not in seen), MAX_FILE_BYTES):
        if time.monotonic() > deadline:
            return found, f"in the first {count} files of the workspace"
        count += 1
        if last.encode("utf-8", "surrogatepass") in data:  # most have not, and need not be parsed
            try:
                found += _in_document(document(workspace, uri_of(path)), name)
            except Refused:  # not a text after all
                continue
            if found:
                break
    return found, "in the workspace" if walk.complete else f"in the first {len(walk.files)} files of the workspace"


def _has_definitions(name: str) -> bool:
    """Whether a file's name is that of a language with definitions."""
    return language("", name).grammar is not None


def _in_document(found: Document, name: str) -> list[Attachment]:
    return [
        found.part("symbol", block.first_line + 1, block.last_line + 1, block.path)
        for block in syntax.symbols(found.text, found.language.id)
        if block.name == name or block.path == name or block.path.endswith("." + name)
    ]
