"""What of a class or a module may be called from another file, by the words of each language: what is private is not,
and what belongs to the class itself is called by its name, all else on one of its objects."""

from __future__ import annotations

import posixpath
import re

from lsp_server.context.languages import words
from lsp_server.context.related.outlines import Definition

_PRIVATE = re.compile(r"(?:\A|\n)\s*(?:[\w@]+ )*?private\b|\A#")
_STATIC = re.compile(r"(?:\A|\n)\s*(?:[\w@]+ )*?static\b")
_CLASS, _CLASS_JAVA = re.compile(r"\bclass\b"), re.compile(r"\b(?:class|record|enum)\b")
_C = frozenset(words(".h .hh .hpp .hxx .c .cc .cpp .cxx .cu .cuh"))
_SELF_RUST = re.compile(r"\(\s*&?\s*(?:'\w+\s+)?(?:mut\s+)?self\b")
_SELF_PYTHON = re.compile(r"\bdef \w+\(\s*self\b")


def is_reached(from_path: str, path: str, owner: Definition | None, member: Definition, *, by_name: bool) -> bool:
    """Whether a file may write a `member` of a class of another file, or of a module where there is no `owner`, behind
    a dot. `by_name`: what stands before the dot is the class itself, not an object."""
    suffix, text, own = posixpath.splitext(path)[1], member.text, path == from_path
    if suffix == ".go":
        return posixpath.dirname(path) == posixpath.dirname(from_path) or member.name[:1].isupper()
    if owner is None:
        return True
    if suffix == ".rs":
        is_trait = owner.text.split("\n")[-1].startswith(("trait ", "pub trait "))
        return member.kind != "function" or is_trait or by_name != bool(_SELF_RUST.search(text))
    if suffix == ".py":
        return not by_name or member.name.startswith("__") or not _SELF_PYTHON.search(text)
    if _PRIVATE.search(text) and not own:
        return False
    if suffix in _C:
        return True
    kind = _CLASS_JAVA if suffix == ".java" else _CLASS
    if not kind.search(owner.text.split("\n")[-1]):  # an interface, an enumeration, an object of its own
        return True
    is_constant = suffix == ".java" and text.endswith(",")
    return by_name == (member.kind == "class" or is_constant or bool(_STATIC.search(text)))
