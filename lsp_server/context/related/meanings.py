"""What a name in a file may mean: the definitions, of this and other files of the workspace, that it may lead to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from lsp_server.context.related.imports import Target, targets
from lsp_server.context.related.near import Near
from lsp_server.context.related.outlines import Definition
from lsp_server.context.related.statements import WITHIN, Import
from lsp_server.context.related.view import View

# Classes that one name before a dot may be of.
MOST_RECEIVERS = 3
_NAME = re.compile(r"[^\W\d]\w{2,}")


class Meanings:
    """What names mean in the file `path`. Raises sqlite3.Error."""

    def __init__(self, view: View, language_id: str, path: str) -> None:
        self.view = view
        self.language_id = language_id
        self.path = path

    def places(self, path: str, imports: Sequence[Import]) -> list[Target]:
        """Where imports of a file lead."""

        def find() -> list[Target]:
            return targets(self.view, path, self.language_id, imports)

        return self.view.once(("targets", path, self.language_id, tuple(imports)), find)

    def top(self, path: str) -> list[Definition]:
        """What a file defines, without members."""
        return [each for each in self.view.definitions(path) if not each.container]

    def members(self, path: str, name: str) -> tuple[list[Definition], list[Definition]]:
        """(the members of a class in its body, those that are attached to it, in its file or its package)"""
        own = [each for each in self.view.definitions(path) if each.container == name]
        inside = [each for each in own if not each.attached]
        attached = [each for each in own if each.attached]
        if path.endswith(".go"):
            for other in self.view.in_folder(path.rpartition("/")[0]):
                if other not in (path, self.path) and other.endswith(".go"):
                    attached += [each for each in self.view.definitions(other) if each.container == name]
        return inside, attached

    def inside(self, path: str, definition: Definition) -> list[Definition]:
        """All members of a definition, of which those have some that are classes."""
        if definition.kind != "class":
            return []
        inside, attached = self.members(path, definition.path)
        return inside + attached

    def defined(self, paths: Sequence[str], name: str) -> Iterator[tuple[str, Definition]]:
        """Where one of some files defines a name, or hands it on from another, which is followed for one step."""
        found = [(path, each) for path in paths for each in self.named(path, name)]
        if not found:
            for path in paths:
                for place in self.places(path, self.view.imports(path)):
                    for there, here in place.names:
                        if here in (name, "*"):
                            wanted = name if here == "*" else there
                            found += [(other, each) for other in place.paths for each in self.named(other, wanted)]
        yield from found

    def named(self, path: str, name: str) -> list[Definition]:
        """What a file itself defines under a name, or as its `default`."""
        top = [each for each in self.view.definitions(path) if not each.container or each.kind == "class"]
        if name != "default":
            return [each for each in top if each.name == name]
        said = [each for each in top if "export default" in each.text or each.name == "exports"]
        stem = path.rpartition("/")[2].partition(".")[0]
        return said or [each for each in top if each.name.lower() == stem.lower()] or top[:1]

    def handed_on(self, paths: Sequence[str], name: str) -> Iterator[tuple[str, Definition]]:
        """Where what some files import, and so hand on, under a name is defined."""
        for path in paths:
            if any(here in (name, "*") for each in self.view.imports(path) for _, here in each.names):
                yield from self.defined((path,), name)

    def named_by(self, path: str, text: str, of: Definition) -> Iterator[tuple[str, Definition]]:
        """The classes, but for the one itself, that a part of a definition in a file names."""
        for name in dict.fromkeys(_NAME.findall(text)):
            yield from (one for one in self.defined((path,), name) if one[1].kind == "class" and one[1] != of)

    def bases(self, path: str, of: Definition) -> Iterator[tuple[str, Definition]]:
        """The classes of which a class has members, by what its header names."""
        yield from self.named_by(path, behind_name(path, of), of)

    def attached_here(self, path: str, definition: Definition) -> list[Definition]:
        """The members that the file itself attaches to a class of another file."""
        if path == self.path:
            return []
        own = self.view.definitions(self.path)
        return [each for each in own if each.attached and each.container == definition.path]

    def asked(self, near: Near, places: Sequence[Target]) -> list[Target]:
        """The modules of which all may stand at the cursor."""
        asked = self.places(self.path, near.modules) if near.modules else []
        if not near.receiver.called:
            asked += [place for place in places if place.alias and place.alias == near.receiver.name]
        return asked

    def receivers(
        self, near: Near, places: Sequence[Target], imports: Sequence[Import]
    ) -> list[tuple[str, Definition]]:
        """The classes of other files of which what stands before the dot at the cursor may be one."""
        name, called = near.receiver.name, near.receiver.called
        foreign = _names_of(imports) - _names_of(places)  # of other people's packages
        if not name or name in foreign:
            return []
        found = self.by_types({name, *(near.types.get(name, ()) if not called else ())} - foreign, places)
        makers = () if called else sorted(near.makers.get(name, frozenset()) - foreign)
        for maker in (*makers, name) if not found else ():
            for path, given in self.view.anywhere(maker, self.language_id):
                classes = self._given_by(path, given, places, member=maker == name)
                found += [one for one in classes if path != self.path or one[1].name not in foreign]
        return [one for one in dict.fromkeys(found) if one[0] != self.path][:MOST_RECEIVERS]

    def by_types(self, types: Iterable[str], places: Sequence[Target]) -> list[tuple[str, Definition]]:
        """The classes that some names of types may mean."""
        return [each for one in sorted(types) for each in self._classes(one, places)]

    def _classes(self, name: str, places: Sequence[Target]) -> list[tuple[str, Definition]]:
        """The classes that a name may mean here: one that is imported, else all of the workspace."""
        found = [
            each
            for place in places
            for there, here in place.names
            if here == name
            for each in self.defined(place.paths, there)
        ]
        found = found or self.view.anywhere(name, self.language_id)
        # In Rust many an `impl` has an `Item`, which is no class.
        return [(path, each) for path, each in found if each.kind == "class" and not each.attached]

    def _given_by(
        self, path: str, given: Definition, places: Sequence[Target], *, member: bool
    ) -> list[tuple[str, Definition]]:
        """The classes that the signature of a field or function names first, else for a `member` the one that it is
        of, as in a chain of calls."""
        head, _, of = given.text.partition(given.name)
        named = _NAME.findall(of.rpartition(")")[2] or of) + [
            each for each in _NAME.findall(head) if each != given.name
        ]
        found = [each for name in dict.fromkeys(named) for each in self._classes(name, places)]
        if not found and member and given.container:
            found = [(path, each) for each in self.view.definitions(path) if each.path == given.container]
        return found


def behind_name(path: str, of: Definition) -> str:
    """The header of a class behind its name."""
    lines = [line for line in of.text.split("\n") if re.search(rf"\b{re.escape(of.name)}\b", line)]
    return "".join(lines[:1] if path.endswith(".py") else lines[-1:]).partition(of.name)[2]


def _names_of(imported: Sequence[Import] | Sequence[Target]) -> set[str]:
    """What is called here what some imports bring."""
    named = [each for each in imported if not isinstance(each, Import) or each.kind not in WITHIN]
    return {here for each in named for _, here in each.names} | {each.alias for each in named}
