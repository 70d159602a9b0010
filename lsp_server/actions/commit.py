"""The commit message for what is staged, in the style of the last commits."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from lsp_server.context.privacy import why_hidden

SUBJECT_LENGTH, BODY_LENGTH = 72, 72
HISTORY = 12
GIT_SECONDS = 10.0
MOST_BYTES = 400_000
# Of a lock file or generated data the model learns nothing but that it changed.
_DULL = re.compile(r"(^|/)([^/]*[-.]lock(\.[^/]*)?|[^/]*\.lock|go\.sum|[^/]*\.(min\.js|min\.css|svg|snap|map))$")
_PREFIX = re.compile(r"^[a-z]+(\([^)]*\))?!?: ")

SYSTEM = "You write the messages of git commits. You answer with nothing but the message."


class NoCommit(RuntimeError):
    """There is no message to write; the text says why, in one sentence."""


@dataclasses.dataclass(frozen=True)
class Staged:
    """What is staged. `diffs`: (path, its diff), without the files the model must not see; those are in `hidden`."""

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


async def staged(folder: Path) -> Staged:
    """What is staged in the repository that holds `folder`. Raises NoCommit; cancelling ends git too."""
    if not await asyncio.to_thread(folder.is_dir):
        raise NoCommit(f"There is no folder {folder}.")
    root = Path((await _git(folder, "rev-parse", "--show-toplevel")).strip())
    names = await _git(root, "diff", "--cached", "--name-only", "--no-renames", "-z")
    paths = [name for name in names.split("\0") if name]
    if not paths:
        raise NoCommit("Nothing is staged, so there is nothing to write a message for; `git add` what you commit.")
    hidden = tuple(path for path in paths if why_hidden(root / path, (root,)))
    shown = [path for path in paths if path not in hidden]
    if not shown:
        raise NoCommit("Only files that the model must not see are staged (secrets, or ignored ones).")
    try:
        log = await _git(root, "log", "-n", str(HISTORY), "--no-merges", "--format=%B%x00")
    except NoCommit:  # the first commit
        log = ""
    whole = await _git(
        root, "diff", "--cached", "--no-color", "--no-ext-diff", "--no-renames", "-U3", "--", *shown[:500]
    )
    history = tuple(message.strip() for message in log.split("\0") if message.strip())
    return Staged(tuple(_by_file(whole)), hidden, history)


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
    """The diffs in at most about `budget` tokens: the short ones whole, of the long ones the beginning."""
    parts = {path: f"{path}: changed" if _DULL.search(path) else text.rstrip("\n") for path, text in diffs}
    sizes = {path: count(part[: 6 * budget]) for path, part in parts.items()}
    left, waiting = budget, sorted(parts, key=lambda path: sizes[path])
    for number, path in enumerate(waiting):
        share = max(16, left // (len(waiting) - number))
        if sizes[path] > share or len(parts[path]) > 6 * budget:
            parts[path] = _head(parts[path], share, count)
        left = max(0, left - count(parts[path]))
    return "\n".join(parts[path] for path, _ in diffs)


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
    lines, low, high = text.split("\n"), 1, text.count("\n") + 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count("\n".join(lines[:middle])) + 8 <= budget else (low, middle - 1)
    return "\n".join([lines[0][: 6 * budget], *lines[1:low], f"... ({len(lines) - low} more lines)"])


def _by_file(diff: str) -> list[tuple[str, str]]:
    """(path, diff) of each file in a diff, without git's lines about indexes."""
    found: list[tuple[str, str]] = []
    for part in re.split(r"^(?=diff --git )", diff, flags=re.MULTILINE):
        lines = [line for line in part.splitlines() if not line.startswith(("diff --git", "index "))]
        named = re.search(r"^(?:\+\+\+ b/|--- a/)([^\t\n]+)", part, re.MULTILINE)
        header = re.match(r"diff --git a/.* b/(.+)$", part, re.MULTILINE)
        new = re.search(r"^\+\+\+ b/([^\t\n]+)", part, re.MULTILINE)
        path = (new or named or header).group(1) if new or named or header else ""  # type: ignore[union-attr]
        if path:
            found.append((path, "\n".join(lines)))
    return found


async def _git(folder: Path, *arguments: str) -> str:
    """What git prints, bounded. Raises NoCommit with a sentence where it cannot."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        process = await asyncio.create_subprocess_exec(
            "git", "-c", "core.quotePath=false", *arguments,
            cwd=folder, env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise NoCommit("git is not installed, or not on the PATH, so no commit message can be written.") from error
    except OSError as error:
        raise NoCommit(f"git could not be run in {folder}: {error.strerror or error}.") from error

    async def read() -> tuple[bytes, bytes]:
        assert process.stdout is not None
        assert process.stderr is not None
        complaints = asyncio.ensure_future(_bounded(process.stderr))
        out = await _bounded(process.stdout)
        if len(out) == MOST_BYTES and process.returncode is None:  # it has more to say; we have enough
            process.kill()
        err = await complaints
        await process.wait()
        return out, err

    try:
        out, err = await asyncio.wait_for(read(), GIT_SECONDS)
    except (TimeoutError, asyncio.TimeoutError) as error:
        raise NoCommit(f"git did not answer within {GIT_SECONDS:.0f} s.") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    if process.returncode and len(out) < MOST_BYTES:
        problem = err.decode("utf-8", "replace").strip().splitlines()
        if any("not a git repository" in line for line in problem):
            raise NoCommit(f"{folder} is not in a git repository.")
        raise NoCommit(f"git {arguments[0]} failed: {problem[0] if problem else process.returncode}")
    return out.decode("utf-8", "replace")


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    """The beginning of a stream, at most MOST_BYTES."""
    parts: list[bytes] = []
    size = 0
    while size < MOST_BYTES and (part := await stream.read(65536)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:MOST_BYTES]
