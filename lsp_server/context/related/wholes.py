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
from lsp_server.context.related.said import arguments

_LISTED = r"[\w.]+(?:\s*,\s*[\w.]+)*"
# What a class is made from, behind its name; and of that what has no members of its own.
_BASES = {
    ".py": re.compile(r"\A(?:\[[^\]]*\])?\s*\(([^()\[\]]*)"),
    **dict.fromkeys(words(".ts .tsx .mts .cts .js .jsx .mjs .cjs"), re.compile(rf"\bextends\s+({_LISTED})")),
    ".java": re.compile(rf"\b(?:extends|implements)\s+({_LISTED}(?:\s+implements\s+{_LISTED})?)"),
    **dict.fromkeys(words(".h .hh .hpp .hxx .c .cc .cpp .cxx"), re.compile(r"\A(?:\s*final)?\s*:(?!:)\s*([^{]*)")),
}
_BASES[".rs"] = re.compile(r"\A(?:<[^{]*?>)?\s*:\s*([^{]*)")
_ARGUMENTS = re.compile(r"<[^<>]*>")
_LAST_NAMES = re.compile(r"(?<!=)\b(\w+)\s*(?:<[^,]*)?(?:,|\Z)")  # and no `metaclass=Kind`
_WITHOUT_MEMBERS = frozenset(
    words(
        "object ABC Protocol Generic Send Sync Sized Unpin Sealed static implements Serializable Cloneable Comparable "
        "Runnable Callable Closeable AutoCloseable"
    )
)
_MODULES = (builtins, collections, enum, threading)
# Python's own classes of which others are made.
_PYTHONS = {name: each for module in _MODULES for name, each in vars(module).items() if isinstance(each, type)}
# With such a member there are others that are written nowhere, or of a trait that others define.
_OPENS = {
    ".py": words("__getattr__ __getattribute__"),
    ".rs": words("deref next poll read write"),
    **dict.fromkeys(words(".h .hh .hpp .hxx .cc .cpp .cxx"), ("operator->",)),
}
_META = re.compile(r"\bmetaclass\s*=\s*(?!(?:abc\.)?ABCMeta\b|(?:enum\.)?EnumMeta\b)")
_RECORD = re.compile(r"\brecord\s+\w+\s*(?:<[^>]*>)?\s*\(((?:[^()]|\([^()]*\))*)\)")
_ANNOTATION = re.compile(r"@\w+(?:\([^()]*\))?")
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

    def named(self, *names: str) -> Iterator[tuple[str, Definition]]:
        """The members of these names, each with its file, those of the class itself first."""
        yield from ((path, each) for path, _, members in self.parts for each in members if each.name in names)


def whole(means: Meanings, path: str, of: Definition, *, from_inside: bool = False, by_name: bool = False) -> Whole:
    """All that there is of a class in a file; seen from inside of it, what traits of other people's would add is hardly
    used, nor what those that are written for it would add to the class itself. Raises sqlite3.Error."""
    parts: dict[tuple[str, Definition], Sequence[Definition]] = {}
    names: list[str] = []
    is_known = True
    left = [(path, of)]
    if from_inside and of.name.endswith("Mixin"):  # has what the classes have that it is for
        return Whole((), is_known=False)
    while left:
        if (one := left.pop()) in parts:
            continue
        suffix, members = posixpath.splitext(one[0])[1], means.inside(*one) + means.attached_here(*one)
        is_known = is_known and not _is_made_up(means, suffix, *one)
        parts[one] = members
        is_known = is_known and not any(each.name in _OPENS.get(suffix, ()) for each in members)
        names += _added(suffix, one[1], members)
        traits = _traits(means, *one)
        hardly_used = {each for each, kind in traits.items() if from_inside or (by_name and kind == "impl")}
        for name in {*_made_from(suffix, one, members), *traits}:
            found = [each for each in means.defined(one[:1], name) if each[1].kind == "class" and each[1] != one[1]]
            own = _PYTHONS.get(name) if suffix == ".py" and not found and _is_pythons(means, one[0], name) else None
            is_known = is_known and (bool(found) or own is not None or name in hardly_used)
            left += found
            names += _of_python(own) if own else []
    is_enum = path.endswith(".java") and _ENUM.search(of.text) is not None
    own_names = _ENUMS if is_enum else ()
    return Whole([(*one, members) for one, members in parts.items()], is_known, names, own_names)


def _is_made_up(means: Meanings, suffix: str, path: str, of: Definition) -> bool:
    """Whether something else adds members to a class: a class of classes, or Lombok."""
    if suffix == ".py":  # one that has nothing of its own is there to be filled
        return _META.search(of.text) is not None or not means.inside(path, of)
    return suffix == ".java" and any(each.module.startswith("lombok") for each in means.view.imports(path))


def _is_pythons(means: Meanings, path: str, name: str) -> bool:
    """Whether what a file calls by the name of one of Python's own classes is that one."""
    said = [each.module for each in means.view.imports(path) if any(here == name for _, here in each.names)]
    return set(said) <= {module.__name__ for module in _MODULES}


def _made_from(suffix: str, one: tuple[str, Definition], members: Sequence[Definition]) -> set[str]:
    """The names of the classes whose members a class has too."""
    if suffix == ".go":  # what is embedded is a field without a name
        return {
            each.name for each in members if each.kind == "value" and " " not in each.text.partition("`")[0].strip(" ;")
        }
    pattern, head = _BASES.get(suffix), behind_name(*one)
    while suffix not in (".py", ".rs") and (plain := _ARGUMENTS.sub("", head)) != head:
        head = plain
    found = pattern.search(head) if pattern is not None else None
    named = found[1].replace("+", ",").replace(" implements ", ",").rstrip() if found is not None else ""
    return set(_LAST_NAMES.findall(named)) - _WITHOUT_MEMBERS


def _of_python(own: type) -> list[str]:
    """What an object of a class of Python's own has; an enumeration's does not tell all of it."""
    return [each for kind in own.__mro__ for each in vars(kind) if not each.startswith("__")]


def _traits(means: Meanings, path: str, of: Definition) -> dict[str, str]:
    """The traits of Rust that the file of a class, or the one that is asked for, gives it, and how."""
    files = dict.fromkeys((path, means.path)) if path.endswith(".rs") else ()
    given = [each for file in files for each in means.view.imports(file) if each.alias == of.name]
    return {each.module: each.kind for kind in ("derive", "impl") for each in given if each.kind == kind}


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
        parts = (_ANNOTATION.sub("", part).split() for part in arguments(_ARGUMENTS.sub("", record[1])))
        yield from (part[-1] for part in parts if part)
