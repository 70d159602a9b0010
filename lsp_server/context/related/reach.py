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


def is_reached(from_path: str, path: str, owner: Definition | None, member: Definition, *, by_name: bool) -> bool:
    """Whether a file may write a `member` of a class of another file, or of a module where there is no `owner`, behind
    a dot. `by_name`: what stands before the dot is the class itself, not an object."""
    suffix, text, own = posixpath.splitext(path)[1], member.text, path == from_path
    if suffix == ".go":
        return posixpath.dirname(path) == posixpath.dirname(from_path) or member.name[:1].isupper()
    if owner is None:
        return True
    if suffix == ".rs":
        return member.kind != "function" or by_name or bool(_SELF_RUST.search(text))
    if suffix == ".py":
        return True
    if _PRIVATE.search(text) and not own:
        return False
    if suffix in _C:
        return True
    kind = _CLASS_JAVA if suffix == ".java" else _CLASS
    if not kind.search(owner.text.split("\n")[-1]):  # an interface, an enumeration, an object of its own
        return True
    is_constant = suffix == ".java" and text.endswith(",")
    is_static = member.kind == "class" or is_constant or bool(_STATIC.search(text))
    return by_name == is_static or (own and suffix == ".java" and not by_name)
