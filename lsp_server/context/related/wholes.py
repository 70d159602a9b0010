"""All that an object of a class may have: its own members, those of the classes that it is made from, and what its
language adds by itself. Nothing, where a part of it is of other people's, of which nobody tells."""

from __future__ import annotations

import builtins
import collections
import dataclasses
import enum
import posixpath
import re
import threading
from collections.abc import Iterator, Sequence

from lsp_server.context.languages import words
from lsp_server.context.related.meanings import Meanings, behind_name
from lsp_server.context.related.outlines import Definition

# What a class is made from, behind its name; and of that what has no members of its own.
_BASES = {
    ".py": re.compile(r"\A(?:\[[^\]]*\])?\s*\(([^()\[\]]*)"),
    **dict.fromkeys(
        words(".ts .tsx .mts .cts .js .jsx .mjs .cjs .java"),
        re.compile(r"\bextends\s+([\w.]+(?:\s*,\s*[\w.]+)*)"),
    ),
    **dict.fromkeys(words(".h .hh .hpp .hxx .c .cc .cpp .cxx"), re.compile(r"\A(?:\s*final)?\s*:(?!:)\s*([^{]*)")),
}
_LAST_NAMES = re.compile(r"(?<!=)\b(\w+)\s*(?:<[^,]*)?(?:,|\Z)")  # and no `metaclass=Kind`
_WITHOUT_MEMBERS = {"object", "ABC", "Protocol", "Generic"}
# Python's own classes of which others are made.
_PYTHONS = {
    name: each
    for module in (builtins, collections, enum, threading)
    for name, each in vars(module).items()
    if isinstance(each, type)
}
# With such a member there are others that are written nowhere, or of a trait that others define.
_OPENS = {".py": words("__getattr__ __getattribute__"), ".rs": words("deref next poll read write")}
_RECORD = re.compile(r"\brecord\s+\w+\s*(?:<[^>]*>)?\s*\(([^)]*)\)")
_GENERATED = re.compile(r"(?:\A|\s)private\s")


@dataclasses.dataclass(frozen=True)
class Whole:
    """`parts`: the class itself first, then those that it is made from, each with its file and its own members; none
    where it is not known what it is made from. `names`: of what stands in no file."""

    parts: Sequence[tuple[str, Definition, Sequence[Definition]]] = ()
    names: Sequence[str] = ()


def whole(means: Meanings, path: str, of: Definition) -> Whole:
    """All that there is of a class in a file. Raises sqlite3.Error."""
    parts: dict[tuple[str, Definition], Sequence[Definition]] = {}
    names: list[str] = []
    left = [(path, of)]
    while left:
        if (one := left.pop()) in parts:
            continue
        suffix, members = posixpath.splitext(one[0])[1], means.inside(*one)
        parts[one] = members
        if any(each.name in _OPENS.get(suffix, ()) for each in members):
            return Whole()
        names += _added(suffix, one[1], members)
        for name in _made_from(suffix, one, members):
            found = [each for each in means.defined(one[:1], name) if each[1].kind == "class" and each[1] != one[1]]
            own = _PYTHONS.get(name) if suffix == ".py" and not found else None
            if not found and own is None:
                return Whole()
            left += found
            names += [each for each in dir(own) if not each.startswith("__")] if own else []
    return Whole([(*one, members) for one, members in parts.items()], names)


def _made_from(suffix: str, one: tuple[str, Definition], members: Sequence[Definition]) -> set[str]:
    """The names of the classes whose members a class has too."""
    if suffix == ".go":  # what is embedded is a field without a name
        return {each.name for each in members if each.kind == "value" and " " not in each.text.strip(" ;")}
    pattern = _BASES.get(suffix)
    found = pattern.search(behind_name(*one)) if pattern is not None else None
    return set(_LAST_NAMES.findall(found[1])) - _WITHOUT_MEMBERS if found is not None else set()


def _added(suffix: str, of: Definition, members: Sequence[Definition]) -> Iterator[str]:
    """What Java, and what is customary there, adds: accessors of private fields, which may be generated, and those of a
    record's parts."""
    if suffix != ".java":
        return
    for each in members:
        if each.kind == "value" and _GENERATED.search(each.text):
            yield from (f"{verb}{each.name[:1].upper()}{each.name[1:]}" for verb in ("get", "is", "set"))
    if (record := _RECORD.search(of.text)) is not None:
        yield from (part.split()[-1] for part in record[1].split(",") if part.split())
