"""From the names around a cursor to the definitions in other files that they may mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lsp_server.context.related.contents import identifiers
from lsp_server.context.related.imports import Target
from lsp_server.context.related.meanings import Meanings
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
BEFORE_CURSOR = "of what is used at the cursor"
# Names looked up in the whole workspace, definitions whose types are, unused parts of a module.
MOST_ELSEWHERE, MOST_WITH_TYPES, MOST_OF_MODULE = 40, 8, 30


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
        self.means = Meanings(view, language_id, path)

    def take(self, imports: Sequence[Import], near: Near, certain: Sequence[tuple[str, Definition]] = ()) -> None:
        """What the file imports and what it uses, by the weights of the names in it. `certain`: the classes, with their
        files, of what stands before the dot at the cursor, where that is known."""
        places = self.means.places(self.means.path, imports)
        if receivers := certain or self.means.receivers(near, places, imports):
            near = dataclasses.replace(near, known=True)
            for path, each in receivers:
                self._add(path, each, RECEIVER, BEFORE_CURSOR)
                for other, base in self.means.bases(path, each):
                    self._add(other, base, BASE, BEFORE_CURSOR)
        for place in self.means.asked(near, places):
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
        for each in self.means.top(path):
            self._add(path, each, near.of(each.name, UNUSED), "the file that belongs to this one")

    def _add(self, path: str, definition: Definition, score: float, why: str) -> None:
        key = path, definition.path
        if path != self.means.path and (key not in self.taken or self.taken[key].score < score):
            self.taken[key] = Taken(definition, score, why)

    def _take_named(self, place: Target, there: str, score: float, near: Near) -> None:
        for path, each in self.means.defined(place.paths, there):
            used = max((near.member(member.name) for member in self.means.inside(path, each)), default=0.0)
            # A class whose members are used here counts for more than one that is only named.
            self._add(path, each, score + (used / 4 if used > FILE else 0.0), _why(score))

    def _take_used(self, place: Target, near: Near) -> None:
        """Of all that some files define, and hand on, what is used in this one."""
        further = [
            other
            for path in place.paths
            for inner in self.means.places(path, self.means.view.imports(path))
            if ALL in inner.names and not path.endswith((".go", ".java"))
            for other in inner.paths
        ]
        for path in dict.fromkeys((*place.paths, *further)):
            for each in self.means.top(path):
                if (weight := near.of(each.name)) >= FILE:
                    self._add(path, each, weight, _why(weight))

    def _take_module(self, place: Target, near: Near) -> None:
        """Of a module, what is used of it, and with a low score the rest."""
        whole = near.of(place.alias, UNUSED)
        unused = UNUSED * min(whole, AROUND) / AROUND
        for path in place.paths:
            for number, each in enumerate(self.means.top(path)):
                used = near.of(each.name)
                if used >= FILE and whole >= FILE:
                    self._add(path, each, used, _why(used))
                elif number < MOST_OF_MODULE:
                    self._add(path, each, unused, "in a module that is imported here")
        for name, weight in near.weights.items() if whole >= FUNCTION else ():
            if weight >= FUNCTION:
                for path, each in self.means.handed_on(place.paths, name):
                    self._add(path, each, weight, _why(weight))

    def _take_all_of(self, place: Target, near: Near) -> None:
        """All of a module that is asked for at the cursor, and of what it hands on that whose first letters are there,
        which need not be meant for others."""
        for path in place.paths:
            for each in self.means.top(path):
                self._add(path, each, near.member(each.name, MEMBER), BEFORE_CURSOR)
            for inner in self.means.places(path, self.means.view.imports(path)) if near.receiver.typed else ():
                self._take_begun(inner, near)

    def _take_begun(self, place: Target, near: Near) -> None:
        """Of what a module hands on, that whose first letters are at the cursor."""
        for there, here in place.names:
            for path in place.paths:
                for each in self.means.top(path) if (there, here) == ALL else self.means.named(path, there):
                    name = each.name if (there, here) == ALL else here
                    if name.startswith(near.receiver.typed):
                        self._add(path, each, near.member(name), BEFORE_CURSOR)

    def _take_elsewhere(self, near: Near, known: set[str]) -> None:
        """What is used around the cursor, imported by no statement, and defined at one place of the workspace."""
        weights = near.weights
        used = [name for name, weight in weights.items() if weight >= FUNCTION and len(name) > 3 and name not in known]
        used = sorted(set(identifiers(" ".join(used))), key=lambda name: (-weights[name], name))
        for name in used[:MOST_ELSEWHERE]:
            found = self.means.view.anywhere(name, self.means.language_id)
            paths = {path for path, _ in found}
            if len(paths) != 1 or self.means.path in paths:
                continue
            path, each = found[0]
            if each.container:  # a member: its class, in which it comes first
                owners = [one for one in self.means.view.definitions(path) if one.path == each.container]
                each = owners[0] if owners else each
            self._add(path, each, weights[name] * ELSEWHERE, "the only definition of a name used here")

    def _take_types(self) -> None:
        """The classes that the signatures of what was taken name."""
        best = sorted(self.taken.items(), key=lambda item: -item[1].score)[:MOST_WITH_TYPES]
        for (path, _), taken in best:
            if taken.score < FILE:
                continue
            for other, each in self.means.named_by(path, taken.definition.text, taken.definition):
                self._add(other, each, taken.score * TYPE, f"named by {taken.definition.name}")


def _why(score: float) -> str:
    if score >= AROUND:
        return "imported, and used at the cursor"
    return "imported, and used in this function" if score >= FUNCTION else "imported here"
