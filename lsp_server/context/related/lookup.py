"""From the names around a cursor to the definitions in other files that they may mean."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from lsp_server.context.related.contents import identifiers
from lsp_server.context.related.imports import Target, targets
from lsp_server.context.related.near import AROUND, FILE, FUNCTION, RECEIVER, Near
from lsp_server.context.related.outlines import Definition
from lsp_server.context.related.statements import ALL, Import
from lsp_server.context.related.view import View

# The score of what is imported and not used yet, and of the parts of an imported module that are not.
UNUSED = 0.5
# Of the score of what names a type: what the type gets. And what a name that is not imported gets of its own.
TYPE, ELSEWHERE = 0.4, 0.5
# What a member of the module before the dot counts for that is not used yet.
MEMBER = 5.0
# What the class counts for that one before the dot is made from.
BASE = 6.5
# Classes that one name before a dot may be of.
MOST_RECEIVERS = 3
BEFORE_CURSOR = "of what is used at the cursor"
# Names looked up in the whole workspace, definitions whose types are, unused parts of a module.
MOST_ELSEWHERE, MOST_WITH_TYPES, MOST_OF_MODULE = 40, 8, 30
_NAME = re.compile(r"[^\W\d]\w{2,}")


@dataclasses.dataclass(frozen=True)
class Taken:
    """A definition with what it is worth, and why it was taken."""

    definition: Definition
    score: float
    why: str


class Lookup:
    """What is found for one cursor in the file `path`: `taken`, by (file, dotted name). Raises sqlite3.Error."""

    def __init__(self, view: View, language_id: str, path: str) -> None:
        self.taken: dict[tuple[str, str], Taken] = {}
        self._view = view
        self._language = language_id
        self._path = path

    def take(self, imports: Sequence[Import], near: Near) -> None:
        """What the file imports and what it uses, by the weights of the names in it."""
        places = self._places(self._path, imports)
        if receivers := self._receivers(near, places):
            near = dataclasses.replace(near, known=True)
            for path, each in receivers:
                self._add(path, each, RECEIVER, BEFORE_CURSOR)
                for other, base in self._bases(path, each):
                    self._add(other, base, BASE, BEFORE_CURSOR)
        asked = self._places(self._path, near.modules) if near.modules else []
        if not near.receiver.called:
            asked += [place for place in places if place.alias and place.alias == near.receiver.name]
        for place in asked:
            self._take_all_of(place, near)
        for place in places:
            for there, here in place.names:
                if (there, here) == ALL:
                    self._take_used(place, near)
                else:
                    self._take_named(place, there, near.of(here, UNUSED), near)
            if place.alias:
                self._take_module(place, near)
        known = {here for place in places for _, here in place.names} | {place.alias for place in places}
        self._take_elsewhere(near, known)
        self._take_types()

    def take_all(self, path: str, near: Near) -> None:
        """Everything that a file defines."""
        for each in self._top(path):
            self._add(path, each, near.of(each.name, UNUSED), "the file that belongs to this one")

    def members(self, path: str, name: str) -> tuple[list[Definition], list[Definition]]:
        """(the members of a class in its body, those that are attached to it, in its file or its package)"""
        own = [each for each in self._view.definitions(path) if each.container == name]
        inside = [each for each in own if not each.attached]
        attached = [each for each in own if each.attached]
        if path.endswith(".go"):
            for other in self._view.in_folder(path.rpartition("/")[0]):
                if other not in (path, self._path) and other.endswith(".go"):
                    attached += [each for each in self._view.definitions(other) if each.container == name]
        return inside, attached

    def _places(self, path: str, imports: Sequence[Import]) -> list[Target]:
        def find() -> list[Target]:
            return targets(self._view, path, self._language, imports)

        return self._view.once(("targets", path, self._language, tuple(imports)), find)

    def _add(self, path: str, definition: Definition, score: float, why: str) -> None:
        key = path, definition.path
        if path != self._path and (key not in self.taken or self.taken[key].score < score):
            self.taken[key] = Taken(definition, score, why)

    def _take_named(self, place: Target, there: str, score: float, near: Near) -> None:
        for path, each in self._defined(place.paths, there):
            used = max((near.member(member.name) for member in self._inside(path, each)), default=0.0)
            # A class whose members are used here counts for more than one that is only named.
            self._add(path, each, score + (used / 4 if used > FILE else 0.0), _why(score))

    def _inside(self, path: str, definition: Definition) -> list[Definition]:
        if definition.kind != "class":
            return []
        inside, attached = self.members(path, definition.path)
        return inside + attached

    def _defined(self, paths: Sequence[str], name: str) -> Iterator[tuple[str, Definition]]:
        """Where one of some files defines a name, or hands it on from another, which is followed for one step."""
        found = [(path, each) for path in paths for each in self._named(path, name)]
        if not found:
            for path in paths:
                for place in self._places(path, self._view.imports(path)):
                    for there, here in place.names:
                        if here in (name, "*"):
                            wanted = name if here == "*" else there
                            found += [(other, each) for other in place.paths for each in self._named(other, wanted)]
        yield from found

    def _named(self, path: str, name: str) -> list[Definition]:
        top = [each for each in self._view.definitions(path) if not each.container or each.kind == "class"]
        if name != "default":
            return [each for each in top if each.name == name]
        said = [each for each in top if "export default" in each.text or each.name == "exports"]
        stem = path.rpartition("/")[2].partition(".")[0]
        return said or [each for each in top if each.name == stem] or top[:1]

    def _take_used(self, place: Target, near: Near) -> None:
        """Of all that some files define, and hand on, what is used in this one."""
        further = [
            other
            for path in place.paths
            for inner in self._places(path, self._view.imports(path))
            if ALL in inner.names and not path.endswith((".go", ".java"))
            for other in inner.paths
        ]
        for path in dict.fromkeys((*place.paths, *further)):
            for each in self._top(path):
                if (weight := near.of(each.name)) >= FILE:
                    self._add(path, each, weight, _why(weight))

    def _take_module(self, place: Target, near: Near) -> None:
        """Of a module, what is used of it, and with a low score the rest."""
        whole = near.of(place.alias, UNUSED)
        unused = UNUSED * min(whole, AROUND) / AROUND
        for path in place.paths:
            for number, each in enumerate(self._top(path)):
                used = near.of(each.name)
                if used >= FILE and whole >= FILE:
                    self._add(path, each, used, _why(used))
                elif number < MOST_OF_MODULE:
                    self._add(path, each, unused, "in a module that is imported here")
        for name, weight in near.weights.items() if whole >= FUNCTION else ():
            if weight >= FUNCTION:
                for path, each in self._handed_on(place.paths, name):
                    self._add(path, each, weight, _why(weight))

    def _take_all_of(self, place: Target, near: Near) -> None:
        """All of a module that is asked for at the cursor, and of what it hands on that whose first letters are there,
        which need not be meant for others."""
        for path in place.paths:
            for each in self._top(path):
                self._add(path, each, near.member(each.name, MEMBER), BEFORE_CURSOR)
            for inner in self._places(path, self._view.imports(path)) if near.receiver.typed else ():
                self._take_begun(inner, near)

    def _take_begun(self, place: Target, near: Near) -> None:
        """Of what a module hands on, that whose first letters are at the cursor."""
        for there, here in place.names:
            for path in place.paths:
                for each in self._top(path) if (there, here) == ALL else self._named(path, there):
                    name = each.name if (there, here) == ALL else here
                    if name.startswith(near.receiver.typed):
                        self._add(path, each, near.member(name), BEFORE_CURSOR)

    def _top(self, path: str) -> list[Definition]:
        return [each for each in self._view.definitions(path) if not each.container]

    def _handed_on(self, paths: Sequence[str], name: str) -> Iterator[tuple[str, Definition]]:
        """Where what some files import, and so hand on, under a name is defined."""
        for path in paths:
            if any(here in (name, "*") for each in self._view.imports(path) for _, here in each.names):
                yield from self._defined((path,), name)

    def _take_elsewhere(self, near: Near, known: set[str]) -> None:
        """What is used around the cursor, imported by no statement, and defined at one place of the workspace."""
        weights = near.weights
        used = [name for name, weight in weights.items() if weight >= FUNCTION and len(name) > 3 and name not in known]
        used = sorted(set(identifiers(" ".join(used))), key=lambda name: (-weights[name], name))
        for name in used[:MOST_ELSEWHERE]:
            found = self._view.anywhere(name, self._language)
            paths = {path for path, _ in found}
            if len(paths) != 1 or self._path in paths:
                continue
            path, each = found[0]
            if each.container:  # a member: its class, in which it comes first
                owners = [one for one in self._view.definitions(path) if one.path == each.container]
                each = owners[0] if owners else each
            self._add(path, each, weights[name] * ELSEWHERE, "the only definition of a name used here")

    def _receivers(self, near: Near, places: Sequence[Target]) -> list[tuple[str, Definition]]:
        """The classes of other files of which what stands before the dot at the cursor may be one."""
        name, called = near.receiver.name, near.receiver.called
        if not name:
            return []
        types = {name, *(near.types.get(name, ()) if not called else ())}
        found = [each for one in sorted(types) for each in self._classes(one, places)]
        makers = () if called else sorted(near.makers.get(name, ()))
        for maker in (*makers, name) if not found else ():
            for given in self._view.anywhere(maker, self._language):
                found += self._given_by(*given, places, member=maker == name)
        return [one for one in dict.fromkeys(found) if one[0] != self._path][:MOST_RECEIVERS]

    def _classes(self, name: str, places: Sequence[Target]) -> list[tuple[str, Definition]]:
        """The classes that a name may mean here: one that is imported, else all of the workspace."""
        found = [
            each
            for place in places
            for there, here in place.names
            if here == name
            for each in self._defined(place.paths, there)
        ]
        found = found or self._view.anywhere(name, self._language)
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
            found = [(path, each) for each in self._view.definitions(path) if each.path == given.container]
        return found

    def _bases(self, path: str, of: Definition) -> Iterator[tuple[str, Definition]]:
        """The classes of which a class has members, by what its header names."""
        lines = [line for line in of.text.split("\n") if re.search(rf"\b{re.escape(of.name)}\b", line)]
        header = "".join(lines[:1] if path.endswith(".py") else lines[-1:])
        yield from self._named_by(path, header.partition(of.name)[2], of)

    def _named_by(self, path: str, text: str, of: Definition) -> Iterator[tuple[str, Definition]]:
        """The classes, but for the one itself, that a part of a definition in a file names."""
        for name in dict.fromkeys(_NAME.findall(text)):
            yield from (one for one in self._defined((path,), name) if one[1].kind == "class" and one[1] != of)

    def _take_types(self) -> None:
        """The classes that the signatures of what was taken name."""
        best = sorted(self.taken.items(), key=lambda item: -item[1].score)[:MOST_WITH_TYPES]
        for (path, _), taken in best:
            if taken.score < FILE:
                continue
            for other, each in self._named_by(path, taken.definition.text, taken.definition):
                self._add(other, each, taken.score * TYPE, f"named by {taken.definition.name}")


def _why(score: float) -> str:
    if score >= AROUND:
        return "imported, and used at the cursor"
    return "imported, and used in this function" if score >= FUNCTION else "imported here"
