"""What an expression is, where it is certain: an object of a class of the workspace, such a class, or a module.

It is told by what is declared: the types of parameters, fields and results, what is made of a class, and what is
imported. Where nothing tells it, or a class is one of other people's, nothing is known.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.related.around import class_around
from lsp_server.context.related.bindings import Binding, binding_of, text_of
from lsp_server.context.related.imports import Target
from lsp_server.context.related.meanings import Meanings
from lsp_server.context.related.outlines import Definition
from lsp_server.context.related.said import (
    arguments,
    class_said,
    each_of,
    family,
    made_said,
    parts_of,
    result_said,
    value_said,
    within,
)
from lsp_server.context.related.statements import ALL, Import
from lsp_server.context.related.view import Opened
from lsp_server.context.related.wholes import whole
from lsp_server.context.trees import Tree

# Steps from one expression to the next, and classes that one may be of.
DEEPEST, MOST = 12, 3
# A member, by the fields of its node: what it is of, and its name.
_MEMBERS = {
    "attribute": ("object", "attribute"),
    "member_expression": ("object", "property"),
    "field_expression": ("value argument", "field"),
    "scoped_identifier": ("path", "name"),
    "scoped_type_identifier": ("path", "name"),
    "selector_expression": ("operand", "field"),
    "qualified_type": ("package", "name"),
    "field_access": ("object", "field"),
    "qualified_identifier": ("scope", "name"),
    "method_invocation": ("object", "name"),
}
_CALLS = {"call": "function", "call_expression": "function", "new_expression": "constructor type"}
# An object of the class that a field of the node says.
_MADE = {
    "object_creation_expression": "type",
    "composite_literal": "type",
    "struct_expression": "name",
    "compound_literal_expression": "type",
    "type_assertion_expression": "type",
    "cast_expression": "type",
    "type_cast_expression": "type",
}
# What changes nothing of what an expression is.
_SAME = frozenset(
    words(
        "parenthesized_expression reference_expression unary_expression pointer_expression non_null_expression "
        "generic_function satisfies_expression"
    )
)
_WITHIN = frozenset(words("await await_expression try_expression"))
# Rust: these give what does not fail of what may, and these the same once more.
_UNWRAPS = frozenset(words("unwrap expect unwrap_or_default unwrap_or unwrap_or_else"))
_COPIES = frozenset(words("clone as_ref as_mut to_owned borrow borrow_mut iter iter_mut into_iter cloned copied"))
_SELF, _CLASS = frozenset(words("self this")), frozenset(words("cls Self"))
_NAMES = frozenset(
    words("identifier type_identifier package_identifier namespace_identifier self this super crate field_identifier")
)


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


def before(means: Meanings, named: Opened, row: int, start: int) -> list[Known]:
    """What stands before the dot in front of a name that begins at a place, 0-based, in characters; `named`: the file,
    in which there is a name, see `with_name`. Raises sqlite3.Error."""
    if named.tree is None:
        return []
    column = len(named.buffer.lines[row][:start].encode("utf-8", "replace"))
    return Values(means, named.tree, named.imports).before(row, column)


class Values:
    """What the expressions of the file that `means` is of are. `tree`, `imports`: its own. Raises sqlite3.Error."""

    def __init__(self, means: Meanings, tree: Tree, imports: Sequence[Import]) -> None:
        self._means = means
        self._tree = tree
        self._imports = imports

    def before(self, row: int, column: int) -> list[Known]:
        """What stands before the dot in front of the name at a place, `column` in bytes of the row."""
        leaf = self._tree.root.named_descendant_for_point_range((row, column), (row, column + 1))
        while leaf.parent is not None and leaf.parent.start_point == leaf.start_point:
            leaf = leaf.parent
        parent = leaf.parent
        for fields in (_MEMBERS.get(parent.type),) if parent is not None else ():
            if fields is not None:
                return self.of(_child(parent, fields[0]))
        sign = leaf.prev_sibling
        if sign is not None and sign.type in (".", "?.", "->", "::") and sign.prev_sibling is not None:
            return self.of(sign.prev_sibling)
        return []

    def of(self, node: Any, depth: int = 0, *, called: bool = False) -> list[Known]:
        """What a node is; with `called`: what a call of it gives."""
        if node is None or depth > DEEPEST:
            return []
        kind, depth = node.type, depth + 1
        if kind in _NAMES:
            return self._named(node, depth, called=called)
        if kind == "method_invocation":
            return self._member(node, depth, called=True)
        if kind in _MEMBERS:
            return self._member(node, depth, called=called)
        if kind in _CALLS and not called:
            return self.of(_child(node, _CALLS[kind]), depth, called=True)
        if kind in _MADE and not called:
            return self._types(text_of(node.child_by_field_name(_MADE[kind])), self._means.path)
        if kind in _SAME:
            inner = node.child_by_field_name("value") or node.child_by_field_name("operand")
            inner = inner or node.child_by_field_name("argument") or next(iter(node.named_children), None)
            return self.of(inner, depth, called=called)
        if kind in _WITHIN:
            return self._inner(self.of(node.named_children[0], depth) if node.named_children else [])
        if kind == "as_expression":
            return self._types(text_of(node.named_children[-1]), self._means.path)
        if kind in ("binary_expression", "boolean_operator"):
            sign = text_of(node.child_by_field_name("operator"))
            return self.of(node.child_by_field_name("right"), depth) if sign in ("||", "??", "or") else []
        return []

    # Names

    def _named(self, node: Any, depth: int, *, called: bool) -> list[Known]:
        name = text_of(node)
        if name in _SELF | _CLASS and (of := class_around(self._tree, node)):
            classes = self._own(of) or self._classes(of, self._means.path)
            return [dataclasses.replace(each, itself=name in _CLASS and not called) for each in classes]
        binding = binding_of(self._tree, node, name)
        if binding is not None and not _is_import(binding.value):
            return self._bound(binding, node, name, depth) if not called else []
        return self._global(name, node, called=called)

    def _own(self, path: str) -> list[Value]:
        own = self._means.view.definitions(self._means.path)
        return [
            Value(self._means.path, each, True)
            for each in own
            if each.path == path and each.kind == "class" and not each.attached
        ]

    def _bound(self, binding: Binding, node: Any, name: str, depth: int) -> list[Known]:
        if self._is_narrowed(name, node):
            return []
        if binding.type is not None:
            found = self._types(text_of(binding.type), self._means.path)
        else:
            found = self.of(binding.value, depth) if binding.value is not None else []
        if binding.how == "each":
            return [one for each in found for one in self._each(each)]
        if binding.how == "within":
            return self._inner(found)
        if binding.how == "part":
            return self._part(binding.value)
        if binding.how == "made":
            return [dataclasses.replace(each, itself=False) for each in found if isinstance(each, Value)]
        return found

    def _part(self, variant: Any) -> list[Known]:
        """What is in a variant of Rust that has one part."""
        of, _, name = text_of(variant).rpartition("::")
        around = class_around(self._tree, variant) if of in _CLASS else ""
        for owner in self._own(around) if around else self._classes(of, self._means.path):
            for path, _, members in whole(self._means, owner.path, owner.of).parts:
                for each in members:
                    said = re.fullmatch(rf"{re.escape(name)}\s*\((.*)\),?", each.text)
                    parts = arguments(said[1]) if said is not None else []
                    if len(parts) == 1:
                        return self._types(parts[0], path, owner)
        return []

    def _is_narrowed(self, name: str, node: Any) -> bool:
        """Whether a text asks of what class a name is, which then is more than what it is said to be."""
        asked = rf"\bisinstance\(\s*{re.escape(name)}\b|\b{re.escape(name)} instanceof\b|\bin {re.escape(name)}\b"
        return re.search(asked.encode(), self._tree.data[max(0, node.start_byte - 4000) : node.start_byte]) is not None

    def _global(self, name: str, node: Any, *, called: bool) -> list[Known]:
        """What a name is that the file imports or defines for all, or that its class has."""
        means, path = self._means, self._means.path
        found = self._classes(name, path)
        if found:
            return [dataclasses.replace(each, itself=not called) for each in found]
        around = class_around(self._tree, node) if family(_suffix(path)) in ("java", "c") else ""
        for owner in self._own(around) if around else ():
            if given := self._of_member(owner, name, called=called):
                return given
        places = means.places(path, self._imports)
        if modules := self._modules(name):
            return [*modules] if not called else []
        for given_path, each in self._defined(name, path, places):
            if not each.container:
                return self._given(each, given_path, None, called=called)
        return []

    def _modules(self, text: str) -> list[Module]:
        """The module that a file calls by a name, or, as Python does, by a path."""
        path, last = self._means.path, text.rpartition(".")[2]
        is_python = family(_suffix(path)) == "python"
        some = [
            each
            for each in self._imports
            if (each.alias == last and (not is_python or _is_written(each, text)))
            or (text == last and any(here == last for _, here in each.names))
        ]
        places = self._means.places(path, some) if some else []
        return [Module(place.paths) for place in places if place.alias == last][:1]

    def _defined(self, name: str, path: str, places: Sequence[Target]) -> Iterator[tuple[str, Definition]]:
        """Where what a file calls by a name is defined."""
        means = self._means
        yield from ((path, each) for each in means.named(path, name))
        for place in places:
            for there, here in place.names:
                if here == name:
                    yield from means.defined(place.paths, there)
                elif (there, here) == ALL:
                    yield from ((other, each) for other in place.paths for each in means.named(other, name))

    # Members

    def _member(self, node: Any, depth: int, *, called: bool) -> list[Known]:
        fields = _MEMBERS[node.type]
        name, of = text_of(node.child_by_field_name(fields[1])), _child(node, fields[0])
        if of is None and node.type == "method_invocation":
            return self._global(name, node, called=True)
        if node.type == "attribute" and not called and (modules := self._modules(text_of(node))):
            return [*modules]
        if node.type.startswith(("scoped", "qualified")):
            whole_path = text_of(node)
            if classes := self._classes(whole_path, self._means.path):
                return [dataclasses.replace(each, itself=not called) for each in classes]
        found = [one for each in self.of(of, depth) for one in self._of_member(each, name, called=called)]
        return list(dict.fromkeys(found))

    def _of_member(self, of: Known, name: str, *, called: bool) -> list[Known]:
        """What a member of something is, or gives where it is called."""
        if isinstance(of, Said):
            if called and name in _UNWRAPS:
                return self._inner([of])
            return [of] if called and name in _COPIES else []
        if isinstance(of, Module):
            found = [one for one in self._means.defined(of.paths, name) if not one[1].container]
            return self._given(found[0][1], found[0][0], None, called=called) if found else []
        for path, _, members in whole(self._means, of.path, of.of).parts:
            for each in members:
                if each.name == name:
                    return self._given(each, path, of, called=called)
        return [of] if called and name in _COPIES else []

    def _given(self, definition: Definition, path: str, of: Value | None, *, called: bool) -> list[Known]:
        """What a definition in a file is, or gives where it is called; `of`: what it is a member of."""
        spoken = family(_suffix(path))
        if definition.kind == "class":
            return [Value(path, definition, itself=not called)]
        if definition.kind == "function" or re.search(rf"\b{re.escape(definition.name)}\s*\(", definition.text):
            is_field = "@property" in definition.text or "cached_property" in definition.text
            is_field = is_field or re.match(r"(?:\w+ )*get \w+\(", definition.text) is not None
            said = result_said(definition, spoken) if called != is_field else ""
        elif called:
            said = ""
        elif of is not None and of.itself and _ENUM.search(of.of.text) and not value_said(definition, spoken):
            return [dataclasses.replace(of, itself=False)]
        else:
            said = value_said(definition, spoken) or made_said(definition)
        if of is not None and class_said(said, spoken) in _SELF | _CLASS:
            return [dataclasses.replace(of, itself=False)]
        return self._types(said, path, of) if said else []

    # Types

    def _types(self, text: str, path: str, of: Value | None = None) -> list[Known]:
        """What an object of a type is that a file says."""
        spoken = family(_suffix(path))
        if of is not None:
            text = re.sub(r"\bSelf\b", of.of.name, text)
        name = class_said(text, spoken)
        found = [dataclasses.replace(each, itself=False) for each in self._classes(name, path)]
        return [*found] or ([Said(text, path)] if text else [])

    def _inner(self, of: Sequence[Known]) -> list[Known]:
        """What is there once it was waited for, or did not fail."""
        found: list[Known] = []
        for each in of:
            inner = within(each.text, family(_suffix(each.path))) if isinstance(each, Said) else ""
            found += self._types(inner, each.path) if isinstance(each, Said) and inner else [each]
        return found

    def _each(self, of: Known) -> list[Known]:
        said = each_of(of.text, family(_suffix(of.path))) if isinstance(of, Said) else ""
        return self._types(said, of.path) if isinstance(of, Said) and said else []

    def _classes(self, name: str, path: str) -> list[Value]:
        """The classes that a name, with what stands before it, may mean in a file."""
        parts = parts_of(name)
        if not parts:
            return []
        means, last = self._means, parts[-1]
        imports = self._imports if path == means.path else means.view.imports(path)
        places = means.places(path, imports)
        if len(parts) > 1:
            aliased = [place for place in places if place.alias == parts[-2]]
            found = [one for place in aliased for one in means.defined(place.paths, last)]
            spoken = family(_suffix(path))
            if not found and (
                parts[0] in ("crate", "super", "self") or (spoken in ("java", "c") and parts[0] != "std")
            ):
                found = means.view.anywhere(last, means.language_id)
            elif not found:
                owners = self._classes("::".join(parts[:-1]), path)
                found = [
                    (of, each)
                    for owner in owners
                    for of, _, members in whole(means, owner.path, owner.of).parts
                    for each in members
                    if each.name == last
                ]
        else:
            found = list(self._defined(last, path, places))
            if family(_suffix(path)) == "script":  # what a module is called whose only export is a class
                aliased = [place for place in places if place.alias == last]
                found += [(at, each) for place in aliased for at in place.paths for each in means.named(at, "default")]
            if not found and family(_suffix(path)) == "c":
                found = means.view.anywhere(last, means.language_id)
        kept = [Value(at, each, True) for at, each in found if each.kind == "class" and not each.attached]
        kept = list(dict.fromkeys(kept))
        own = [each for each in kept if each.path == path]
        return own[:1] or (kept if len(kept) <= MOST else [])


_ENUM = re.compile(r"\benum\b|\bEnum\b")


def _suffix(path: str) -> str:
    return posixpath.splitext(path)[1]


def _is_written(each: Import, text: str) -> bool:
    """Whether Python's `import a.b`, of which the last name is the alias, is called so."""
    return text == (each.module if each.module.endswith(f".{each.alias}") else each.alias)


def _is_import(node: Any) -> bool:
    """Whether a node is `require(...)`, which is told as an import."""
    return node is not None and text_of(node.child_by_field_name("function")) == "require"


def _child(node: Any, fields: str) -> Any:
    return next((child for each in fields.split() if (child := node.child_by_field_name(each)) is not None), None)
