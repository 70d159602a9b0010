"""What an expression is, where it is certain: an object of a class of the workspace, such a class, or a module.

It is told by what is declared: the types of parameters, fields and results, what is made of a class, and what is
imported. Where nothing tells it, or a class is one of other people's, nothing is known.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Sequence
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.related.around import class_around
from lsp_server.context.related.bindings import Binding, binding_of
from lsp_server.context.related.meanings import Meanings
from lsp_server.context.related.objects import Known, Module, Objects, Value, made
from lsp_server.context.related.receivers import CLASS, SELF
from lsp_server.context.related.said import (
    arguments,
    family,
)
from lsp_server.context.related.statements import Import
from lsp_server.context.related.view import Opened
from lsp_server.context.related.wholes import whole
from lsp_server.context.trees import Tree, text_of

# Steps from one expression to the next, and bytes of one of which it is asked what is said before it.
DEEPEST, LONGEST = 12, 200
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
        "parenthesized_expression reference_expression pointer_expression non_null_expression "
        "generic_function satisfies_expression"
    )
)
_WITHIN = frozenset(words("await await_expression try_expression"))
_NAMES = frozenset(
    words("identifier type_identifier package_identifier namespace_identifier self this super crate field_identifier")
)


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
        self._objects = Objects(means, imports)
        self._imports = imports

    def before(self, row: int, column: int) -> list[Known]:
        """What stands before the dot in front of the name at a place, `column` in bytes of the row."""
        leaf = self._tree.root.named_descendant_for_point_range((row, column), (row, column + 1))
        while leaf.parent is not None and leaf.parent.start_point == leaf.start_point:
            leaf = leaf.parent
        parent, sign = leaf.parent, leaf.prev_sibling
        if parent is not None and parent.type in _MEMBERS:
            return self._owner(parent)
        if sign is not None and sign.type in (".", "?.", "->", "::") and sign.prev_sibling is not None:
            found = self.of(sign.prev_sibling)
            return self._objects.inner(found) if sign.type == "->" else found
        return []

    def _owner(self, member: Any, depth: int = 0) -> list[Known]:
        """What a node of a member is of; of C++'s pointers that are objects themselves `->` leads to what is there."""
        found = self.of(_child(member, _MEMBERS[member.type][0]), depth)
        return self._objects.inner(found) if text_of(member.child_by_field_name("operator")) == "->" else found

    def of(self, node: Any, depth: int = 0, *, called: bool = False) -> list[Known]:
        """What a node is; with `called`: what a call of it gives."""
        if node is None or depth > DEEPEST:
            return []
        kind, depth = node.type, depth + 1
        if (kind in _NAMES or kind in _MEMBERS) and not called and self._is_narrowed(node):
            return []
        if kind in _NAMES:
            return self._named(node, depth, called=called)
        if kind == "method_invocation":
            return self._member(node, depth, called=True)
        if kind in _MEMBERS:
            return self._member(node, depth, called=called)
        if kind in _CALLS and not called:
            return self.of(_child(node, _CALLS[kind]), depth, called=True)
        if kind in _MADE and not called:
            return self._objects.types(text_of(node.child_by_field_name(_MADE[kind])), self._means.path)
        if kind in _SAME:
            inner = node.child_by_field_name("value") or node.child_by_field_name("operand")
            inner = inner or node.child_by_field_name("argument") or next(iter(node.named_children), None)
            return self.of(inner, depth, called=called)
        if kind in _WITHIN:
            found = self.of(node.named_children[0], depth) if node.named_children else []
            # In Rust what a function gives is said of what is there once it was waited for.
            is_said = kind == "await_expression" and self._tree.language.id == "rust"
            return found if is_said else self._objects.inner(found)
        if kind == "as_expression":
            return self._objects.types(text_of(node.named_children[-1]), self._means.path)
        return self._operated(node, depth)

    def _operated(self, node: Any, depth: int) -> list[Known]:
        """What an operator gives: `*x`, `x or y`."""
        if node.type == "unary_expression":
            return self.of(next(iter(node.named_children), None), depth) if text_of(node)[:1] in ("&", "*") else []
        sign = text_of(node.child_by_field_name("operator"))
        if node.type not in ("binary_expression", "boolean_operator") or sign not in ("||", "??", "or"):
            return []
        left, right = (self.of(node.child_by_field_name(side), depth) for side in ("left", "right"))
        return list(dict.fromkeys([*left, *right])) if right else []

    # Names

    def _named(self, node: Any, depth: int, *, called: bool) -> list[Known]:
        name = text_of(node)
        if name in SELF | CLASS and (of := class_around(self._tree, node)):
            classes = self._own(of) or self._objects.classes(of, self._means.path)
            return [dataclasses.replace(each, itself=name in CLASS and not called) for each in classes]
        binding = binding_of(self._tree, node, name)
        if binding is not None and not _is_import(binding.value):
            return self._bound(binding, depth) if not called else made(self._bound(binding, depth))
        return self._global(name, node, called=called)

    def _own(self, path: str) -> list[Value]:
        own = self._means.view.definitions(self._means.path)
        return [
            Value(self._means.path, each, True)
            for each in own
            if each.path == path and each.kind == "class" and not each.attached
        ]

    def _bound(self, binding: Binding, depth: int) -> list[Known]:
        if binding.type is not None:
            found = self._objects.types(text_of(binding.type), self._means.path)
        else:
            found = self.of(binding.value, depth) if binding.value is not None else []
        if binding.how == "each":
            return [one for each in found for one in self._objects.each(each)]
        if binding.how == "within":
            return self._objects.inner(found)
        if binding.how == "entered":
            return [one for each in found for one in self._objects.entered(each)]
        if binding.how == "part":
            return self._part(binding.value)
        if binding.how == "made":
            return [dataclasses.replace(each, itself=False) for each in found if isinstance(each, Value)]
        return found

    def _part(self, variant: Any) -> list[Known]:
        """What is in a variant of Rust that has one part."""
        of, _, name = text_of(variant).rpartition("::")
        around = class_around(self._tree, variant) if of in CLASS else ""
        for owner in self._own(around) if around else self._objects.classes(of, self._means.path):
            for path, each in whole(self._means, owner.path, owner.of).named(name):
                said = re.fullmatch(rf"{re.escape(name)}\s*\((.*)\),?", each.text)
                parts = arguments(said[1]) if said is not None else []
                if len(parts) == 1:
                    return self._objects.types(parts[0], path, owner)
        return []

    def _is_narrowed(self, node: Any) -> bool:
        """Whether the text before an expression asks of what class it is, which then is more than what it is said to
        be."""
        if node.end_byte - node.start_byte > LONGEST:
            return False
        said = re.escape(text_of(node))
        asked = (
            rf"\b(?:isinstance|issubclass|hasattr|type|is[A-Z]\w*)\(\s*{said}\s*[,)]|(?<![\w.]){said} instanceof\b"
            rf"|['\"] in {said}\b|\bmatch {said}\s*:|(?<![\w.]){said}\??\.(?:kind|type|tag)\s*===?"
        )
        return re.search(asked.encode(), self._tree.data[max(0, node.start_byte - 4000) : node.start_byte]) is not None

    def _global(self, name: str, node: Any, *, called: bool) -> list[Known]:
        """What a name is that the file imports or defines for all, or that its class has."""
        means, path = self._means, self._means.path
        found = self._objects.classes(name, path)
        if found:
            return [dataclasses.replace(each, itself=not called) for each in found]
        around = class_around(self._tree, node) if family(path) in ("java", "c") else ""
        for owner in self._own(around) if around else ():
            if given := self._objects.member(owner, name, called=called):
                return given
        places = means.places(path, self._imports)
        if modules := self._modules(name):
            return [*modules] if not called else []
        for given_path, each in self._objects.defined(name, path, places):
            if not each.container:
                return self._objects.given(each, given_path, None, called=called)
        return []

    def _modules(self, text: str) -> list[Module]:
        """The module that a file calls by a name, or, as Python does, by a path."""
        path, last = self._means.path, text.rpartition(".")[2]
        is_python = family(path) == "python"
        if is_python and any(_is_pythons_own(each) and _is_written(each, text) for each in self._imports):
            return []
        some = [
            each
            for each in self._imports
            if (each.alias == last and (not is_python or _is_written(each, text)))
            or (text == last and any(here == last for _, here in each.names))
        ]
        places = self._means.places(path, some) if some else []
        found = [Module(place.paths) for place in places if place.alias == last][:1]
        if family(path) == "script" and not any(map(self._tells, found)):
            return []
        return found

    def _tells(self, module: Module) -> bool:
        """Whether a script says with its definitions what it exports."""
        return any(
            "export" in each.text or each.name == "exports" for at in module.paths for each in self._means.top(at)
        )

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
            if classes := self._objects.classes(whole_path, self._means.path):
                return [dataclasses.replace(each, itself=not called) for each in classes]
        owners = self._owner(node, depth)
        found = [one for each in owners for one in self._objects.member(each, name, called=called)]
        return list(dict.fromkeys(found))


def _is_pythons_own(each: Import) -> bool:
    return each.module.partition(".")[0] in sys.stdlib_module_names


def _is_written(each: Import, text: str) -> bool:
    """Whether Python's `import a.b`, of which the last name is the alias, is called so."""
    return text == (each.module if each.module.endswith(f".{each.alias}") else each.alias)


def _is_import(node: Any) -> bool:
    """Whether a node is `require(...)`, which is told as an import."""
    return node is not None and text_of(node.child_by_field_name("function")) == "require"


def _child(node: Any, fields: str) -> Any:
    return next((child for each in fields.split() if (child := node.child_by_field_name(each)) is not None), None)
