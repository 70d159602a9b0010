"""What the classes and types of a workspace are and have, as its files say it: an object of a class, such a class, or a
module; of a type that is no class of the workspace what it says of others.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Iterator, Sequence

from lsp_server.context.languages import words
from lsp_server.context.related.imports import Target
from lsp_server.context.related.meanings import Meanings
from lsp_server.context.related.outlines import Definition
from lsp_server.context.related.receivers import CLASS, SELF
from lsp_server.context.related.said import (
    class_said,
    each_of,
    family,
    itself_said,
    made_said,
    parts_of,
    result_said,
    value_said,
    within,
    yielded,
)
from lsp_server.context.related.statements import ALL, Import
from lsp_server.context.related.wholes import whole

# Classes that one thing may be of.
MOST = 3
# Rust: these give what does not fail of what may, and these the same once more.
_UNWRAPS = frozenset(words("unwrap expect unwrap_or_default unwrap_or unwrap_or_else"))
_COPIES = frozenset(words("clone as_ref as_mut to_owned borrow borrow_mut iter iter_mut into_iter cloned copied"))
_ENUM = re.compile(r"\benum\b|\bEnum\b")


@dataclasses.dataclass(frozen=True)
class Value:
    """An object of the class that `path` defines; with `itself`: that class."""

    path: str
    of: Definition
    itself: bool = False


@dataclasses.dataclass(frozen=True)
class Module:
    """What some files define for others."""

    paths: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Said:
    """An object of a type that is no class of the workspace, as the file `path` writes it."""

    text: str
    path: str


Known = Value | Module | Said


def made(of: Sequence[Known]) -> list[Known]:
    """What is made by a call of something: objects of what are classes."""
    return [dataclasses.replace(each, itself=False) for each in of if isinstance(each, Value) and each.itself]


class Objects:
    """What is found in files for the one that `means` is of, which has `imports`. Raises sqlite3.Error."""

    def __init__(self, means: Meanings, imports: Sequence[Import]) -> None:
        self._means = means
        self._imports = imports

    def defined(self, name: str, path: str, places: Sequence[Target]) -> Iterator[tuple[str, Definition]]:
        """Where what a file calls by a name is defined."""
        means = self._means
        yield from ((path, each) for each in means.named(path, name))
        for place in places:
            for there, here in place.names:
                if here == name:
                    yield from means.defined(place.paths, there)
                elif (there, here) == ALL:
                    yield from ((other, each) for other in place.paths for each in means.named(other, name))

    def member(self, of: Known, name: str, *, called: bool) -> list[Known]:
        """What a member of something is, or gives where it is called."""
        if isinstance(of, Said):
            if called and name in _UNWRAPS:
                return self.inner([of])
            return [of] if called and name in _COPIES else []
        if isinstance(of, Module):
            found = [one for one in self._means.defined(of.paths, name) if not one[1].container]
            return self.given(found[0][1], found[0][0], None, called=called) if found else []
        for path, each in whole(self._means, of.path, of.of).named(name):
            return self.given(each, path, of, called=called)
        if called and name == "default" and of.path.endswith(".rs"):
            return made([of])
        return [of] if called and name in _COPIES else []

    def given(self, definition: Definition, path: str, of: Value | None, *, called: bool) -> list[Known]:
        """What a definition in a file is, or gives where it is called; `of`: what it is a member of."""
        spoken = family(path)
        if definition.kind == "class":
            annotated = re.search(rf"\b{re.escape(definition.name)}\s*:\s*([^={{]+?)\s*=", definition.text)
            if annotated is not None and spoken == "script":  # `const x: Type = { ... }`
                return self.types(annotated[1], path, of)
            return [Value(path, definition, itself=not called)]
        if definition.kind == "function" or re.search(rf"\b{re.escape(definition.name)}\s*\(", definition.text):
            is_field = "@property" in definition.text or "cached_property" in definition.text
            is_field = is_field or re.match(r"(?:\w+ )*get \w+\(", definition.text) is not None
            said = result_said(definition, spoken) if called != is_field else ""
            if said and spoken == "python" and "async def" in definition.text and not yielded(said):
                said = f"Awaitable[{said}]"
        elif called:
            return made(self.given(definition, path, of, called=False))
        elif of is not None and of.itself and _ENUM.search(of.of.text) and not value_said(definition, spoken):
            return [dataclasses.replace(of, itself=False)] if spoken != "script" else []
        else:
            said = value_said(definition, spoken) or made_said(definition)
        if of is not None and class_said(said, spoken) in SELF | CLASS:
            return [dataclasses.replace(of, itself=False)]
        found = self.types(said, path, of) if said else []
        return [] if any(isinstance(each, Value) and self._is_descriptor(each) for each in found) else found

    def _is_descriptor(self, of: Value) -> bool:
        """Whether a field of a class of Python is not what is there of an object."""
        return of.path.endswith(".py") and any(each.name == "__get__" for each in self._means.inside(of.path, of.of))

    def entered(self, of: Known) -> list[Known]:
        """What Python's `with` gives: mostly the object itself."""
        if isinstance(of, Said):
            inner = yielded(of.text)
            return self.types(inner, of.path) if inner else []
        if isinstance(of, Module) or of.itself:
            return []
        for path, each in whole(self._means, of.path, of.of).named("__enter__", "__aenter__"):
            return self.given(each, path, of, called=True) if "->" in each.text else [of]
        return []

    def types(self, text: str, path: str, of: Value | None = None) -> list[Known]:
        """What an object of a type is that a file says."""
        spoken = family(path)
        if of is not None:
            text = re.sub(r"\bSelf\b", of.of.name, text)
        if itself := itself_said(text, spoken):
            return [*self.classes(itself, path)] or [Said(text, path)]
        name = class_said(text, spoken)
        found = [dataclasses.replace(each, itself=False) for each in self.classes(name, path)]
        return [*found] or ([Said(text, path)] if text else [])

    def inner(self, of: Sequence[Known]) -> list[Known]:
        """What is there once it was waited for, or did not fail."""
        found: list[Known] = []
        for each in of:
            inner = within(each.text, family(each.path)) if isinstance(each, Said) else ""
            found += self.types(inner, each.path) if isinstance(each, Said) and inner else [each]
        return found

    def each(self, of: Known) -> list[Known]:
        said = each_of(of.text, family(of.path)) if isinstance(of, Said) else ""
        return self.types(said, of.path) if isinstance(of, Said) and said else []

    def classes(self, name: str, path: str) -> list[Value]:
        """The classes that a name, with what stands before it, may mean in a file."""
        parts = parts_of(name)
        if not parts:
            return []
        means, last = self._means, parts[-1]
        imports = self._imports if path == means.path else means.view.imports(path)
        places = means.places(path, imports)
        if _is_foreign(parts[0], imports, places):
            return []
        if len(parts) > 1:
            aliased = [place for place in places if place.alias == parts[-2]]
            found = [one for place in aliased for one in means.defined(place.paths, last)]
            if not found and (parts[0] in ("crate", "super", "self") or family(path) == "java"):
                found = means.view.anywhere(last, means.language_id)
            elif not found:
                owners = self.classes("::".join(parts[:-1]), path)
                found = [one for owner in owners for one in whole(means, owner.path, owner.of).named(last)]
        else:
            found = list(self.defined(last, path, places))
            if family(path) == "script":  # what a module is called whose only export is a class
                aliased = [place for place in places if place.alias == last]
                named = [(at, each) for place in aliased for at in place.paths for each in means.named(at, "default")]
                found += [(at, each) for at, each in named if _is_exported(at, each)]
            if not found and family(path) == "c":
                found = [one for one in means.view.anywhere(last, means.language_id) if _suffix(one[0])[:2] == ".h"]
        kept = [Value(at, each, True) for at, each in found if each.kind == "class" and not each.attached]
        kept = list(dict.fromkeys(kept))
        own = [each for each in kept if each.path == path]
        return own[:1] or (kept if len(kept) <= MOST else [])


def _is_exported(path: str, definition: Definition) -> bool:
    """Whether a definition of a script is what it exports alone, by its own words or by the name of the file."""
    stem = posixpath.basename(path).partition(".")[0]
    return definition.name == "exports" or "export default" in definition.text or definition.name.lower() == stem


def _is_foreign(name: str, imports: Sequence[Import], places: Sequence[Target]) -> bool:
    """Whether an import brings a name from other people's modules."""
    if not any(here == name for each in imports if not each.kind for _, here in each.names):
        return False
    return not any(here == name for place in places for _, here in place.names) and name not in {
        place.alias for place in places
    }


def _suffix(path: str) -> str:
    return posixpath.splitext(path)[1]
