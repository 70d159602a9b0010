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
_BASES[".rs"] = re.compile(r"\A(?:<[^{]*?>)?\s*:\s*([^{]*)")
_LAST_NAMES = re.compile(r"(?<!=)\b(\w+)\s*(?:<[^,]*)?(?:,|\Z)")  # and no `metaclass=Kind`
_WITHOUT_MEMBERS = frozenset(words("object ABC Protocol Generic Send Sync Sized Unpin static"))
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
_ENUMS = words("values valueOf")
_ENUM = re.compile(r"\benum\s+\w")
_TUPLE = re.compile(r"\bstruct\s+\w+\s*(?:<[^(]*>)?\s*\((.*?),?\s*\)(?:\s*where\b[^;]*)?;?\s*\Z")
_GENERATED = re.compile(r"(?:\A|\s)private\s")


@dataclasses.dataclass(frozen=True)
class Whole:
    """`parts`: the class itself first, then those that it is made from, each with its file and its own members;
    `is_known`: these are all that it is made from. `names`, `of_class`: of what stands in no file, behind an object and
    behind the class itself."""

    parts: Sequence[tuple[str, Definition, Sequence[Definition]]]
    is_known: bool = True
    names: Sequence[str] = ()
    of_class: Sequence[str] = ()


def whole(means: Meanings, path: str, of: Definition, *, from_inside: bool = False) -> Whole:
    """All that there is of a class in a file; seen from inside of it, what traits of other people's would add is hardly
    used. Raises sqlite3.Error."""
    parts: dict[tuple[str, Definition], Sequence[Definition]] = {}
    names: list[str] = []
    is_known = True
    left = [(path, of)]
    while left:
        if (one := left.pop()) in parts:
            continue
        suffix, members = posixpath.splitext(one[0])[1], means.inside(*one) + means.attached_here(*one)
        parts[one] = members
        is_known = is_known and not any(each.name in _OPENS.get(suffix, ()) for each in members)
        names += _added(suffix, one[1], members)
        traits = _traits(means, *one)
        for name in _made_from(suffix, one, members) | traits:
            found = [each for each in means.defined(one[:1], name) if each[1].kind == "class" and each[1] != one[1]]
            own = _PYTHONS.get(name) if suffix == ".py" and not found else None
            is_known = is_known and (bool(found) or own is not None or (from_inside and name in traits))
            left += found
            names += _of_python(own) if own else []
    is_enum = path.endswith(".java") and _ENUM.search(of.text) is not None
    own_names = _ENUMS if is_enum else ()
    return Whole([(*one, members) for one, members in parts.items()], is_known, names, own_names)


def _made_from(suffix: str, one: tuple[str, Definition], members: Sequence[Definition]) -> set[str]:
    """The names of the classes whose members a class has too."""
    if suffix == ".go":  # what is embedded is a field without a name
        return {each.name for each in members if each.kind == "value" and " " not in each.text.strip(" ;")}
    pattern = _BASES.get(suffix)
    found = pattern.search(behind_name(*one)) if pattern is not None else None
    named = found[1].replace("+", ",").rstrip() if found is not None else ""
    return set(_LAST_NAMES.findall(named)) - _WITHOUT_MEMBERS


def _of_python(own: type) -> list[str]:
    """What an object of a class of Python's own has; an enumeration's does not tell all of it."""
    return [each for kind in own.__mro__ for each in vars(kind) if not each.startswith("__")]


def _traits(means: Meanings, path: str, of: Definition) -> set[str]:
    """The traits of Rust that the file of a class, or the one that is asked for, gives it."""
    files = dict.fromkeys((path, means.path)) if path.endswith(".rs") else ()
    said = [each for file in files for each in means.view.imports(file) if each.kind == "impl"]
    return {each.module for each in said if each.alias == of.name}


def _added(suffix: str, of: Definition, members: Sequence[Definition]) -> Iterator[str]:
    """What a language, and what is customary there, adds: in Rust the fields without a name, in Java what enumerations
    have, accessors of private fields, which may be generated, and those of a record's parts."""
    if suffix == ".rs" and (fields := _TUPLE.search(of.text)) is not None:
        yield from map(str, range(fields[1].count(",") + 1))
    if suffix != ".java":
        return
    yield from words("clone equals getClass hashCode notify notifyAll toString wait")
    if _ENUM.search(of.text):
        yield from words("compareTo getDeclaringClass name ordinal")
    for each in members:
        if each.kind == "value" and _GENERATED.search(each.text):
            yield from (f"{verb}{each.name[:1].upper()}{each.name[1:]}" for verb in ("get", "is", "set"))
    if (record := _RECORD.search(of.text)) is not None:
        yield from (part.split()[-1] for part in record[1].split(",") if part.split())
