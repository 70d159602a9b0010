"""Whether a rewritten text may take the place of the old one, or has to be shown to the user first."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from lsp_server.context.buffer import split_lines
from lsp_server.context.languages import Language, is_known, language
from lsp_server.context.syntax import Block, symbols
from lsp_server.context.trees import Leaf, Tree, errors_in, leaves, parse

# What of the old code a rewrite has to leave as it is. "code": all but comments and docstrings. "names": names, values
# and statements; types may come. "signature": each definition is still there under its name, with its attributes.
# "head": the same, and signature and documentation of the block are as they were.
Keep = Literal["code", "names", "head", "signature", "nothing"]


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why an answer is not applied silently. `sentence` is for the user."""

    kind: Literal["no-code", "truncated", "unchanged", "elided", "syntax", "dropped"]
    sentence: str


@dataclasses.dataclass(frozen=True)
class _Version:
    """The file with one version of the block, which is on its lines `first` to `last`. `tree`: None without a grammar,
    or where it is not parsed yet."""

    text: str
    lines: list[str]
    first: int
    last: int
    tree: Tree | None = None

    @property
    def rows(self) -> list[str]:
        """The lines of the block."""
        return self.lines[self.first : self.last + 1]


_ELLIPSIS = re.compile(r"^\W*(?:\.\.\.|…)|(?:\.\.\.|…)\W*$")
_ELIDED = re.compile(
    r"\b(?:rest|existing|remaining|same|original|unchanged|omitted|previous|other|code|implementation|logic)\b", re.I
)
_ELIDED_ALONE = re.compile(
    r"(?:the )?(?:rest of (?:the|your) |(?:existing|remaining|your|previous|original) (?:code|implementation|logic)\b)"
    r"|.*\bomitted for brevity|.*\b(?:code|implementation|logic) (?:goes )?here\W*$|same as (?:before|above)\W*$",
    re.I,
)
# Marks that only separate, or that a type or another way of quoting brings along.
_SEPARATORS = frozenset((",", ":", ";", "->", '"', "'", "`"))
# Words that only say a type, or that something has one.
_TYPE_WORDS = frozenset(("var", "let", "auto", "any", "const", "readonly", "final", "Any", "dynamic", "object"))
_TYPE_NODES = frozenset(("type_identifier", "primitive_type", "predefined_type", "integral_type", "void_type"))


def check(
    before: str,
    after: str,
    block: Block,
    language_id: str,
    *,
    keep: Keep = "signature",
    complete: bool = True,
    tree: Tree | None = None,
) -> Problem | None:
    """What is wrong with `after`, the file `before` with `block` rewritten; None where it may be applied.

    `complete`: whether the model came to the end of its answer. `tree`: that of `before`, if the caller has it. Lines
    outside of `block` are not compared.
    """
    old_lines, new_lines = split_lines(before), split_lines(after)
    new_last = block.last_line + len(new_lines) - len(old_lines)
    old = _Version(before, old_lines, block.first_line, block.last_line)
    new = _Version(after, new_lines, block.first_line, new_last)
    spoken = language(language_id)
    if not complete:
        return Problem("truncated", "The model's answer stops before its end, so the code is not whole.")
    if not "".join(new.rows).strip():
        return Problem("no-code", "The model's answer has no code.")
    if [line.rstrip() for line in old.rows] == [line.rstrip() for line in new.rows]:
        return Problem("unchanged", "The model suggests no change.")
    if remark := _elision(old.rows, new.rows, spoken):
        return Problem("elided", f'The model left code out: "{remark}".')
    old = dataclasses.replace(old, tree=tree or parse(before, language_id))
    new = dataclasses.replace(new, tree=parse(after, language_id, old.tree))
    if problem := _broken(old, new, spoken):
        return problem
    lost = _lost(old, new, block, keep, language_id)
    return Problem("dropped", lost) if lost else None


def _broken(old: _Version, new: _Version, spoken: Language) -> Problem | None:
    """What the new code would break in the file that was not broken before."""
    if old.tree is not None and new.tree is not None and errors_in(new.tree) <= errors_in(old.tree):
        return None
    if _open_brackets(new.rows, spoken) > max(0, _open_brackets(old.rows, spoken)):
        return Problem("truncated", "The model's answer stops before its end: a bracket stays open.")
    if old.tree is None or new.tree is None:
        return None
    return Problem("syntax", "With the model's answer the file would no longer parse.")


def _lost(old: _Version, new: _Version, block: Block, keep: Keep, language_id: str) -> str | None:
    """What the new code does not leave as it is, though it has to, as a sentence."""
    spoken = language(language_id)
    if keep == "code":
        return _changed_code(old, new, spoken)
    if keep == "nothing":
        return None
    if keep == "names" and (lost := _lost_names(old, new) or _moved(old.rows, new.rows, spoken)):
        return lost
    old_found = symbols(old.text, language_id, tree=old.tree)
    new_found = symbols(new.text, language_id, tree=new.tree)
    lost = _lost_definition(old_found, new_found, block, new.last) or _lost_attribute(old.rows, new.rows, block, spoken)
    if keep == "head" and lost is None:
        found = [each for each in new_found if each.path == block.path and each.header_line <= new.last]
        lost = _changed_head(old.lines, new.lines, block, found[-1])
    return lost


def _elision(old: Sequence[str], new: Sequence[str], spoken: Language) -> str | None:
    """A comment that stands for code the model did not repeat, e.g. `# ... rest of the code`."""
    there = {line.strip() for line in old}
    marks = tuple(filter(None, (spoken.line_comment, spoken.block_comment and spoken.block_comment[0])))
    for line in new:
        text = line.strip()
        if text not in there and text.startswith(marks or ("\0",)):
            remark = text.lstrip("".join(marks)).strip()
            hinted = _ELLIPSIS.search(remark) and (_ELIDED.search(remark) or len(remark) <= 3)
            if hinted or _ELIDED_ALONE.match(remark):
                return text
    return None


def _changed_code(old: _Version, new: _Version, spoken: Language) -> str | None:
    if old.tree is None or new.tree is None:
        one, other = _code_lines(old.rows, spoken), _code_lines(new.rows, spoken)
        if not is_known(spoken):  # nor are its comments: nothing may be gone
            rest = iter(other)
            other = one if all(line in rest for line in one) else other
        return (
            None if one == other else _differs(next((a for a, b in zip(one, [*other, ""], strict=False) if a != b), ""))
        )
    # A `pass` is there only because a body must not be empty.
    tokens = [leaf for leaf in leaves(old.tree, old.first, old.last) if leaf.text != "pass"]
    others = [leaf for leaf in leaves(new.tree, new.first, new.last) if leaf.text != "pass"]
    for index, leaf in enumerate(tokens):
        if index >= len(others) or (leaf.text, leaf.depth) != (others[index].text, others[index].depth):
            return _differs(old.tree.lines[leaf.row].decode())
    if len(others) > len(tokens):
        return _differs(new.tree.lines[others[len(tokens)].row].decode())
    return None


def _differs(line: str) -> str:
    return (
        f"The model changed code, not only comments: `{line.strip()}`." if line.strip() else "The model changed code."
    )


def _lost_names(old: _Version, new: _Version) -> str | None:
    """The first line on which the two differ in a word or operator; types, and imports for them, aside."""
    if old.tree is None or new.tree is None:
        tokens = [(word, line) for line in old.rows for word in re.findall(r"\w+", line) if word not in _TYPE_WORDS]
        left = iter([word for line in new.rows for word in re.findall(r"\w+", line)])
        gone = next((line for word, line in tokens if word not in left), None)
    else:
        kept = list(_names(leaves(old.tree, old.first, old.last)))
        now = list(_names(leaves(new.tree, new.first, new.last)))
        there = {line.strip() for line in old.tree.lines[old.first : old.last + 1]}
        now = [leaf for leaf in now if not _imports(new.tree, leaf) or new.tree.lines[leaf.row].strip() in there]
        gone = None
        for one, other in itertools.zip_longest(kept, now):
            if one is None or other is None or one.text != other.text:
                tree, leaf = (old.tree, one) if one is not None else (new.tree, other)
                gone = tree.lines[leaf.row].decode()
                break
    return None if gone is None else f"The model changed more than types: `{gone.strip()}`."


def _imports(tree: Tree, leaf: Leaf) -> bool:
    """Whether a leaf stands on a line that brings in names, which new types may need."""
    return tree.lines[leaf.row].lstrip().startswith((b"import ", b"from ", b"use ", b"using "))


def _moved(old: Sequence[str], new: Sequence[str], spoken: Language) -> str | None:
    """A line that stands at another depth than before, where that alone says which block it is in."""
    if spoken.braces:
        return None
    there, texts = {line.rstrip() for line in new}, {line.strip() for line in new}
    moved = next((line for line in old if line.strip() in texts and line.rstrip() not in there), None)
    return None if moved is None else f"The model moved code: `{moved.strip()}`."


def _names(found: Iterable[Leaf]) -> Iterable[Leaf]:
    return (
        leaf
        for leaf in found
        if leaf.text not in _SEPARATORS
        and leaf.text not in _TYPE_WORDS
        and leaf.type not in _TYPE_NODES
        and not leaf.in_type
    )


def _lost_definition(before: Sequence[Block], after: Sequence[Block], block: Block, new_last: int) -> str | None:
    """A function or class of the block that is gone; those inside functions are the function's own business."""
    old = _definitions(before, block.first_line, block.last_line)
    new = {name for name, _ in _definitions(after, block.first_line, new_last)}
    if block.name and (block.path, block.kind) not in old:
        old.insert(0, (block.path, block.kind))
    for path, kind in old:
        if path not in new:
            return f"The model's answer drops the {kind} `{path.rpartition('.')[2]}`."
    return None


def _changed_head(old: Sequence[str], new: Sequence[str], block: Block, now: Block) -> str | None:
    if now.signature != block.signature:
        return f"The model changed the signature: `{' '.join(now.signature.split())}`."
    there, here = block.docs, now.docs
    if (there and old[there[0] : there[1] + 1]) != (here and new[here[0] : here[1] + 1]):
        return "The model changed the documentation."
    return None


def _definitions(found: Sequence[Block], first: int, last: int) -> list[tuple[str, str]]:
    """(path, kind) of the definitions whose header is on these lines and that no function around them holds."""
    inside = [block for block in found if first <= block.header_line <= last]
    functions = [block for block in inside if block.kind == "function"]
    return [
        (block.path, block.kind)
        for block in inside
        if not any(outer.header_line < block.header_line and block.last_line <= outer.last_line for outer in functions)
    ]


def _lost_attribute(old: Sequence[str], new: Sequence[str], block: Block, spoken: Language) -> str | None:
    """A decorator, attribute or annotation above the definition that is gone."""
    there = {line.strip() for line in new}
    for line in old[: block.header_line - block.first_line]:
        text = line.strip()
        if text.startswith(("@", "#[", "[")) and text not in there and not text.startswith(spoken.doc_marks or ("\0",)):
            return f"The model's answer drops `{text}`."
    return None


def _code_lines(lines: Sequence[str], spoken: Language) -> list[str]:
    """The lines that are not comments, without blanks at their ends, read without a grammar."""
    text = "".join(lines)
    if spoken.block_comment:
        text = re.sub(
            re.escape(spoken.block_comment[0]) + r".*?" + re.escape(spoken.block_comment[1]), "", text, flags=re.S
        )
    if spoken.line_comment:
        text = re.sub(r"(?m)(?:^|(?<=\s))" + re.escape(spoken.line_comment) + r".*$", "", text)
    found = [line.rstrip() for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    return [line for line in found if not line.lstrip().startswith(spoken.more_marks or ("\0",))]


def _open_brackets(lines: Sequence[str], spoken: Language) -> int:
    """Brackets opened and not closed, less those closed and not opened; not in comments, nor strings on one line."""
    text = re.sub(r"\"(?:\\.|[^\"\\\r\n])*\"|'(?:\\.|[^'\\\r\n])*'|`(?:\\.|[^`\\\r\n])*`", "", "".join(lines))
    text = "\n".join(_code_lines(split_lines(text), spoken))
    return sum(text.count(char) for char in "([{") - sum(text.count(char) for char in ")]}")
