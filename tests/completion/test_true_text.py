"""What a programmer wrote is right, and so is shown as it is: holes in real code, and the true text as the answer."""

from __future__ import annotations

import dataclasses
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from lsp_server.completion.filters import tidy
from lsp_server.completion.scanner import open_far_above
from lsp_server.completion.stopping import Place, place_at
from lsp_server.context.languages import words

ROOT = Path(__file__).parents[2]
MODULES = words(
    """
    abc argparse ast base64 bdb bisect calendar cmd codecs configparser contextlib copy csv dataclasses difflib enum
    filecmp fileinput fnmatch fractions ftplib functools getpass gettext glob gzip hashlib heapq hmac imaplib inspect
    ipaddress linecache locale mailbox mimetypes netrc optparse pathlib pdb pickle platform plistlib poplib posixpath
    pprint profile queue quopri random reprlib sched selectors shelve shlex shutil smtplib socket ssl statistics string
    subprocess tarfile tempfile textwrap threading timeit trace traceback types typing uuid warnings wave weakref zipapp
    """
)
FOLDERS = {"typescript": ("editors/vscode/src", ".ts"), "lua": ("editors/neovim/lua", ".lua")}
FILES = {"c": "strbuf.c", "rust": "ring.rs", "java": "Ledger.java", "go": "queue.go"}
# Characters that the model is shown before and after the cursor, lines of a block, and holes for each language.
BEFORE, AFTER, MOST_LINES = 3000, 1200, 10
HOLES = {"python": 1200, "typescript": 400, "lua": 200, "c": 50, "rust": 50, "java": 50, "go": 50}
KEPT = 0.99


@dataclasses.dataclass(frozen=True)
class Hole:
    path: Path
    kind: str
    here: Place
    text: str


def files(language: str) -> list[Path]:
    if language == "python":
        library = Path(sysconfig.get_paths()["stdlib"])
        return [path for name in MODULES if (path := library / f"{name}.py").exists()]
    if language in FOLDERS:
        folder, suffix = FOLDERS[language]
        return sorted((ROOT / folder).rglob(f"*{suffix}"))
    return [ROOT / "tests/actions/files" / FILES[language]]


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def cut(lines: list[str], row: int, kind: str, chance: random.Random) -> tuple[int, int, int] | None:
    """(column where the hole begins, row and column of its end) of a hole that begins on a row."""
    line = lines[row].rstrip()
    if kind == "end of a line":
        places = [
            at for at in range(indent(line), len(line)) if not (line[at - 1 : at].isalnum() and line[at].isalnum())
        ]
        return (chance.choice(places), row, len(line)) if places else None
    if kind == "an argument":
        opened = [at for at in range(indent(line), len(line) - 1) if line[at] in "([" and line[at + 1] not in ")]"]
        if not opened:
            return None
        start = chance.choice(opened) + 1
        depth = 0
        for at in range(start, len(line)):
            if line[at] in "\"'`#\\" or line.startswith("//", at):
                return None
            if depth == 0 and line[at] in ",)]":
                return start, row, at
            depth += (line[at] in "([{") - (line[at] in ")]}")
        return None
    last = row
    if kind == "a block":
        while last + 1 < len(lines) and last - row < MOST_LINES and lines[last + 1].strip():
            if indent(lines[last + 1]) < indent(line):
                break
            last += 1
        while last > row and last + 1 < len(lines) and indent(lines[last + 1]) > indent(line):
            last -= 1  # it ends where a statement does
    return indent(line), last, len(lines[last].rstrip())


def place(text: str, start: int, end: int, language: str, multiline: str) -> Place:
    prefix, suffix = text[:start], text[end:]
    above, below = prefix.find("\n", max(0, len(prefix) - BEFORE)) + 1, suffix.rfind("\n", 0, AFTER) + 1
    above = above if len(prefix) > BEFORE else 0
    below = below if len(suffix) > AFTER else len(suffix)
    return place_at(
        prefix[above:],
        suffix[:below],
        multiline,
        cut_after=below < len(suffix),
        language_id=language,
        within=open_far_above(prefix[:above], language) if above else (),
    )


def holes() -> Iterator[Hole]:
    chance = random.Random(11)
    for language, count in HOLES.items():
        paths = files(language)
        texts = {path: path.read_text("utf-8") for path in paths}
        made = 0
        while made < count:
            path = chance.choice(paths)
            lines = texts[path].split("\n")
            row = chance.randrange(len(lines))
            kind = chance.choice(("end of a line", "a whole line", "a block", "an argument"))
            found = cut(lines, row, kind, chance) if lines[row].strip() else None
            if found is None:
                continue
            column, last, stop = found
            start = sum(len(line) + 1 for line in lines[:row]) + column
            end = sum(len(line) + 1 for line in lines[:last]) + stop
            text = texts[path][start:end]
            if not text.strip() or any(line != line.rstrip() for line in text.split("\n")):
                continue
            made += 1
            multiline = "always" if kind == "a block" else "auto"
            yield Hole(path, kind, place(texts[path], start, end, language, multiline), text)


def test_what_was_there_is_shown() -> None:
    tried, changed = 0, []
    for hole in holes():
        tried += 1
        shown, reason = tidy(hole.text, hole.here, finished=True)
        if shown != hole.text:
            changed.append((hole.path.name, hole.kind, hole.here.line_before, hole.text, shown, reason))
    assert tried == 2000
    listed = "\n\n".join("\n".join(map(repr, each)) for each in changed)
    assert len(changed) <= (1 - KEPT) * tried, listed
