"""The commit message for what is staged, in the style of the last commits."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import hashlib
import os
import re
import textwrap
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from lsp_server.context import git
from lsp_server.context.workspace import Workspace
from lsp_server.errors import UserError

SUBJECT_LENGTH, BODY_LENGTH = 72, 72
HISTORY = 12
# Of the list of what is staged; 100,000 files fit.
MOST_NAMES_BYTES = 20_000_000
# Tokens of a diff that say anything.
LEAST_SHARE = 16
# Characters of a file's name in the prompt.
LONGEST_NAME = 200
# Of a lock file or generated data the model learns nothing but that it changed.
_DULL = re.compile(r"(^|/)([^/]*[-.]lock(\.[^/]*)?|[^/]*\.lock|go\.sum|[^/]*\.(min\.js|min\.css|svg|snap|map))$")
_KINDS = {0o12: "symbolic link", 0o16: "submodule"}  # the first digits of a mode
_EMPTY = {hashlib.new(name, b"blob 0\0", usedforsecurity=False).hexdigest() for name in ("sha1", "sha256")}
_SPECIAL = re.compile(rb'[\x00-\x1f\x7f"\\]')
_ESCAPES = {
    b"\a": rb"\a", b"\b": rb"\b", b"\t": rb"\t", b"\n": rb"\n", b"\v": rb"\v", b"\f": rb"\f", b"\r": rb"\r",
    b'"': rb"\"", b"\\": rb"\\",
}  # fmt: skip
_SUBMODULES = ("--ignore-submodules=none", "--ita-invisible-in-index")
# The same for both questions, so that they have the same pairs. The limit is git's own: 1000 files with 1000 others.
_COMPARED = (
    "--find-copies", "-l1000", "--no-rename-empty", *_SUBMODULES, "--submodule=short", "--no-ext-diff", "--no-textconv",
    "--no-color", "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
_PREFIX = re.compile(r"^[a-z]+(\([^)]*\))?!?: ")

SYSTEM = "You write the messages of git commits. You answer with nothing but the message."

Hidden = Callable[[Iterable[Path]], Iterable[str]]


class NoCommit(UserError):
    """There is no message to write; the text says why, in one sentence."""


@dataclasses.dataclass(frozen=True)
class Staged:
    """What is staged. `diffs`: (path, a line that says what happened to it, and its diff where there is one to show),
    without the files the model must not see; those are in `hidden`."""

    diffs: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    """The last commit messages, the newest first."""


@dataclasses.dataclass(frozen=True)
class Style:
    """How a project writes its messages. `bodies`: most have one; `prefixed`: subjects begin like `fix(parser): `."""

    bodies: bool
    prefixed: bool
    period: bool
    lower: bool


@dataclasses.dataclass(frozen=True)
class _Entry:
    """What happened to one file, as `git diff-index --raw` has it: the modes and ids before and after, 0 where there
    is none, a letter, and the names before and after, which differ for a rename or a copy."""

    modes: tuple[int, int]
    ids: tuple[str, str]
    status: str
    old: bytes
    new: bytes


async def staged(folder: Path, hidden: Hidden | None = None) -> Staged:
    """What is staged in the repository that holds `folder`. Raises NoCommit; cancelling ends git too.

    `hidden`: why the model must not see each of some files, "" where it may; by default as the rules of the repository
    have it.
    """
    try:
        async with git.snapshot(folder) as taken:
            return await _staged(taken, hidden)
    except git.NoGit as error:
        raise NoCommit(str(error)) from error


async def _staged(taken: git.Snapshot, hidden: Hidden | None) -> Staged:
    raw = ("diff-index", "--cached", "--raw", "-z")
    patch = b""
    try:
        names = await taken.git(*raw, *_COMPARED, taken.base, most=MOST_NAMES_BYTES)
    except git.NoGit:  # to find renames git reads the files, which may be too large, or not on this machine
        names = await taken.git(*raw, "--no-renames", *_SUBMODULES, taken.base, most=MOST_NAMES_BYTES)
    else:
        patch = await _or_nothing(taken.git("diff-index", "--cached", "--patch", "-U3", *_COMPARED, taken.base))
    log = b""
    if taken.head:
        asked = ("log", "-n", str(HISTORY), "--no-merges", "--encoding=UTF-8", "--format=%B%x00")
        log = await _or_nothing(taken.git(*asked, taken.head))
    return await asyncio.to_thread(_read, taken.repository.root, names, patch, log, hidden)


async def _or_nothing(asked: Awaitable[bytes]) -> bytes:
    """What git says, or nothing where it cannot: a message can be written without."""
    try:
        return await asked
    except git.NoGit:
        return b""


def _read(root: Path, names: bytes, patch: bytes, log: bytes, hidden: Hidden | None) -> Staged:
    """What is staged, from what git printed. Raises NoCommit."""
    if len(names) == MOST_NAMES_BYTES:
        raise NoCommit("Too many files are staged to write a message for; commit them in parts.")
    entries = _entries(names)
    if not entries:
        raise NoCommit("Nothing is staged, so there is nothing to write a message for; `git add` what you commit.")
    if hidden is None:
        hidden = Workspace((root,)).why_each_hidden
    # A file that was renamed, or copied, has what its old name has kept from view.
    named = list(dict.fromkeys(name for each in entries for name in (each.old, each.new)))
    whys = hidden(root / os.fsdecode(name) for name in named)
    kept_from_view = {name for name, why in zip(named, whys, strict=True) if why}
    secret = [not kept_from_view.isdisjoint((each.old, each.new)) for each in entries]
    if all(secret):
        raise NoCommit("Only files that the model must not see are staged (secrets, or ignored ones).")
    patches = _patches(patch, entries)
    return Staged(
        tuple(
            (os.fsdecode(each.new), "\n".join([_headline(each, parts), *_hunks(parts)]))
            for each, parts, kept in zip(entries, patches, secret, strict=True)
            if not kept
        ),
        tuple(os.fsdecode(each.new) for each, kept in zip(entries, secret, strict=True) if kept),
        tuple(message.strip() for message in log.decode("utf-8", "replace").split("\0") if message.strip()),
    )


def _entries(raw: bytes) -> list[_Entry]:
    """The output of `git diff-index --raw -z`: `:mode mode id id letter[similarity]`, a name, and for some another."""
    found: list[_Entry] = []
    fields = iter(raw.split(b"\0"))
    for field in fields:
        if not field:
            continue
        old_mode, new_mode, old_id, new_id, status = field.decode("ascii").lstrip(":").split(" ")
        old = next(fields)
        new = next(fields) if status[0] in "RC" else old
        found.append(_Entry((int(old_mode, 8), int(new_mode, 8)), (old_id, new_id), status[0], old, new))
    return found


def _patches(patch: bytes, entries: Sequence[_Entry]) -> list[list[bytes]]:
    """The parts of a patch that belong to each entry: mostly one, two for a change of type.

    They are told by their first lines. Two pairs of names may have the same one: neither is given a part then, as it
    may be that of a hidden file.
    """
    parts: dict[bytes, list[bytes]] = collections.defaultdict(list)
    for part in re.split(rb"^(?=diff --git )", patch, flags=re.MULTILINE):
        parts[part.partition(b"\n")[0]].append(part)
    headers = [b"diff --git " + _quoted(b"a/" + each.old) + b" " + _quoted(b"b/" + each.new) for each in entries]
    times = collections.Counter(headers)
    return [parts[header] if times[header] == 1 else [] for header in headers]


def _hunks(parts: Sequence[bytes]) -> list[str]:
    """The lines of a file's patch without those above the first hunk."""
    lines: list[str] = []
    for part in parts:
        start = part.find(b"\n@@ ")
        if start >= 0:
            lines += part[start + 1 :].decode("utf-8", "replace").split("\n")
    return [line for line in lines if line[:1] in ("@", "+", "-", " ", "\\")]


def _headline(entry: _Entry, parts: Sequence[bytes]) -> str:
    """The name of a file and what happened to it, as `run.sh: changed, made executable`."""
    before, after = (_KINDS.get(mode >> 12, "file") for mode in entry.modes)
    kind = before if entry.status == "D" else after
    if kind == "file":
        if entry.ids[entry.status != "D"] in _EMPTY:
            kind = "empty file"
        elif any(b"\nBinary files " in part and b"\n@@ " not in part for part in parts):
            kind = "binary file"
    said = {"A": [f"new {kind}"], "D": [f"deleted {kind}"], "U": ["in conflict"]}.get(entry.status, [])
    if entry.status == "T":
        said.append(f"was a {before}, is now a {after}")
    elif entry.status in "RC":
        said.append(f"{'renamed' if entry.status == 'R' else 'copied'} from {_name(entry.old)}")
    if entry.status in "MRC":
        if entry.ids[0] != entry.ids[1]:
            said.append("changed" if kind == "file" else f"changed {kind}")
        if entry.modes[0] != entry.modes[1]:
            said.append("made executable" if entry.modes[1] & 0o100 else "no longer executable")
    if entry.status == "A" and entry.modes[1] & 0o100:
        said.append("executable")
    return f"{_name(entry.new)}: {', '.join(said) or 'changed'}"


def _name(name: bytes) -> str:
    """How the prompt names a file: in one line, and not too long."""
    text = _quoted(name).decode("utf-8", "replace")
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME // 2]}...{text[-LONGEST_NAME // 2 :]}"


def _quoted(name: bytes) -> bytes:
    """A name as git writes it in a patch with `core.quotePath` off: like a string of C where it has to be."""
    escaped = _SPECIAL.sub(lambda found: _ESCAPES.get(found[0], b"\\%03o" % ord(found[0])), name)
    return name if escaped == name else b'"' + escaped + b'"'


def style_of(history: Sequence[str]) -> Style:
    """How these messages are written; of a project without any, how git's own documentation has it."""
    subjects = [message.splitlines()[0] for message in history if message.strip()]

    def most(test: Callable[[str], object]) -> bool:
        return 2 * sum(bool(test(subject)) for subject in subjects) > len(subjects)

    with_body = sum(len(message.splitlines()) > 1 for message in history)
    return Style(
        bodies=2 * with_body > len(history),
        prefixed=most(_PREFIX.match),
        period=most(lambda subject: subject.endswith(".")),
        lower=most(lambda subject: _PREFIX.sub("", subject)[:1].islower()),
    )


def messages(change: Staged, budget: int, count: Callable[[str], int]) -> list[dict[str, str]]:
    """The dialog that asks for the message, the diff shortened to `budget` tokens as `count` has them."""
    style = style_of(change.history)
    subjects = [message.splitlines()[0][:100] for message in change.history[:8]]
    examples = "The last commits of this project:\n" + "\n".join(f"- {each}" for each in subjects) if subjects else ""
    how = ["Write the message of the commit that makes these changes."]
    if style.prefixed:
        how.append("Begin the subject with a type, as the last commits do, such as `fix: `.")
    how.append(f"The subject is one line of at most {SUBJECT_LENGTH} characters in the imperative mood.")
    how.append(
        "After an empty line, a short body says what was changed and why." if style.bodies else "There is no body."
    )
    spent = count(examples) + count(" ".join(how)) + count(SYSTEM) + 64
    diff = shortened(change.diffs, max(64, budget - spent), count)
    user = "\n\n".join(part for part in (f"The changes:\n\n```diff\n{diff}\n```", examples, " ".join(how)) if part)
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]


def shortened(diffs: Sequence[tuple[str, str]], budget: int, count: Callable[[str], int]) -> str:
    """The diffs in at most about `budget` tokens: the short ones whole, of the long ones the beginning.

    The first line of each, which names the file, is always there, or as many of these as fit and how many more.
    """
    heads = [text.partition("\n")[0] for _, text in diffs]
    costs: list[int] = []
    left = budget
    for head in heads:
        costs.append(count(head) + 1)
        left -= costs[-1]
        if left < 0 and len(costs) > 1:
            shown = max(1, len(costs) - 2)  # the last line has to fit as well
            return "\n".join([*heads[:shown], f"... and {len(heads) - shown} more files"])
    parts = [head if _DULL.search(path) else text.rstrip("\n") for head, (path, text) in zip(heads, diffs, strict=True)]
    # What takes more than its share is not counted to its end.
    sizes = [
        count(part) + 1 - cost if len(part) <= 6 * budget else budget for part, cost in zip(parts, costs, strict=True)
    ]
    waiting = sorted(range(len(parts)), key=lambda at: sizes[at])
    for number, at in enumerate(waiting):
        share = max(0, left // (len(waiting) - number))
        if sizes[at] > share or len(parts[at]) > 6 * budget:
            parts[at] = _head(parts[at], share + costs[at], count) if share >= LEAST_SHARE else heads[at]
        left = max(0, left - (count(parts[at]) + 1 - costs[at]))
    return "\n".join(parts)


def cleaned(answer: str, style: Style) -> str:
    """The message in a model's answer, as the project writes them; "" where there is none."""
    fenced = re.search(r"```[^\n]*\n(.*?)\n?```", answer, re.DOTALL)
    text = fenced.group(1) if fenced else answer.replace("```", "")
    lines = [line.rstrip() for line in text.strip().splitlines()]
    while lines and (
        re.fullmatch(r"(?i)(here.*|sure.*|(the )?commit( message)?|subject|message).*:", lines[0]) or not lines[0]
    ):
        lines.pop(0)
    if not lines:
        return ""
    subject = re.sub(r"(?i)^(?:[-*#>]+ +|\**(?:commit message|subject|commit|title)\**: *)+", "", lines[0]).strip()
    subject = subject.strip("`\"'* ").strip()
    if not style.period:
        subject = subject.rstrip(".")
    prefix = _PREFIX.match(subject)
    start = prefix.end() if prefix else 0
    if prefix is None and style.lower and not subject[:2].isupper():
        subject = subject[:1].lower() + subject[1:]
    elif not style.lower:
        subject = subject[:start] + subject[start : start + 1].upper() + subject[start + 1 :]
    if len(subject) > SUBJECT_LENGTH:
        subject = textwrap.shorten(subject, SUBJECT_LENGTH, placeholder="") or subject[:SUBJECT_LENGTH]
    body = _body(lines[1:]) if style.bodies else ""
    return f"{subject}\n\n{body}" if subject and body else subject


def _body(lines: Sequence[str]) -> str:
    """The body, wrapped; list items stay items."""
    paragraphs: list[str] = []
    for line in lines:
        if not line.strip():
            paragraphs.append("")
        elif paragraphs and paragraphs[-1] and not re.match(r"\s*([-*]|\d+\.) ", line):
            paragraphs[-1] += " " + line.strip()
        else:
            paragraphs.append(line.strip())
    wrapped = [
        textwrap.fill(each, BODY_LENGTH, subsequent_indent="  " if each[:2] in ("- ", "* ") else "")
        for each in paragraphs
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(wrapped)).strip()


def _head(text: str, budget: int, count: Callable[[str], int]) -> str:
    """The first lines of `text` in `budget` tokens, and a line that says how many are missing."""
    lines, low, high = text.split("\n"), 1, max(1, text.count("\n", 0, 6 * budget))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count("\n".join(lines[:middle])) + 8 <= budget else (low, middle - 1)
    return "\n".join([*lines[:low], f"... ({len(lines) - low} more lines)"])
