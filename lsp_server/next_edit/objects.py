"""Of what class an object is, as far as the text tells."""

from __future__ import annotations

import re
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.trees import Tree
from lsp_server.next_edit.binding import CLASSES, FUNCTIONS, is_field, parent_of
from lsp_server.next_edit.lineage import bases, type_name
from lsp_server.next_edit.literals import is_object, object_called, variable_with
from lsp_server.next_edit.names import Hit, hits
from lsp_server.next_edit.roles import class_of

# Members that many classes have: of what an object is, only `self` tells.
COMMON = frozenset(
    words(
        "get set add append remove pop push items keys values update insert delete close open read write run start "
        "stop name value size length len next iter map filter find index count clear copy key data type id text "
        "string to_string toString equals hashCode clone new default push_back begin end at contains join split "
        "format print log send call apply bind then init main build create load save parse render reset"
    )
)
# Receivers whose members are never those of a class at hand.
_OTHERS = ("super", "Object", "Math")
# Classes above each other that are looked through.
MOST_ABOVE = 4
_SELF = ("self", "this", "Self", "cls", "*this")


# The last name of what stands in front of a member.
_LAST = re.compile(r"(?:^|(?<=\.)|(?<=->))\w+$")
_MADE = re.compile(r"(?:new\s+)?&?((?:\w+(?:::|\.))*)([A-Z]\w*)(?:<[^>]*>)?(?:::\w+)?\s*[({]")


def is_anothers(hit: Hit, tree: Tree, owner: str) -> bool:
    """Whether a member is one of something else than the class `owner`, by what stands in front: a module or another
    thing that is imported, another class, or what is declared as one."""
    receiver = hit.receiver
    if not receiver or receiver in _SELF:
        return False
    if hit.owner:
        return owner_of(hit, tree) != owner
    root = re.split(r"[.(\[]|->|::", receiver)[0]
    if root in _OTHERS or any(each.imported for each in hits(tree, root)):
        return True
    declared = owner_of(hit, tree)
    return bool(declared and owner and declared != owner)


def owner_of(hit: Hit, tree: Tree) -> str:
    """The class that a member is one of, by where it stands, or by what the object in front is declared as; "" where
    nothing tells. What a class of this file does not define is that of the one it is made from, if that does."""
    kind = hit.owner
    if not kind or kind == hit.receiver:  # an object of JavaScript may have a name like that of a class
        declared = class_of_receiver(hit, tree)
        kind = declared if not kind or is_object(declared) else kind
    if not kind or hit.binds:
        return kind
    definers = {each.owner for each in hits(tree, hit.node.text.decode()) if each.role == "member" and each.defines}
    seen = kind
    for _ in range(MOST_ABOVE):
        if seen in definers:
            return seen
        named = next(
            (each.node for each in hits(tree, seen) if each.binds and parent_of(each.node).type in CLASSES), None
        )
        above = bases(parent_of(named)) if named is not None else set()
        found = [each for each in sorted(above) if each in definers] or sorted(above)
        if len(found) != 1:
            break
        seen = found[0]
    return kind


def class_of_receiver(hit: Hit, tree: Tree) -> str:
    """The class of the variable, parameter or field that stands in front of a member, where it is declared as one or
    made as one; "" where it is not."""
    name = _LAST.search(hit.receiver)
    end = parent_of(hit.node).named_children[0].end_byte if name is not None else 0
    places = hits(tree, name[0]) if name is not None else []
    here = next((each for each in places if each.node.end_byte == end), None)
    owner = owner_of(here, tree) if here is not None and here.role == "member" else ""
    if here is None or not (here.scope or owner):
        return ""
    said = {
        kind
        for each in places
        if (each.defines and each.scope == here.scope != 0) or (owner and each.owner == owner and _is_field_of(each))
        if (kind := _said(each.node) or _handed_on(each.node, tree))
    }
    if len(said) != 1 or (is_object(next(iter(said))) and any(_is_given(each, here) for each in places)):
        return ""
    return said.pop()


def _is_field_of(hit: Hit) -> bool:
    """Whether a member is defined at a place, or a parameter that becomes one."""
    return hit.defines and (hit.role == "member" or is_made_a_field(parent_of(hit.node)))


def is_made_a_field(parameter: Any) -> bool:
    """Whether a parameter of TypeScript's constructors is a field as well."""
    return any(each.type == "accessibility_modifier" for each in parameter.named_children)


def _is_given(hit: Hit, other: Hit) -> bool:
    """Whether a variable of JavaScript is given another value."""
    around = parent_of(hit.node)
    return hit.scope == other.scope and around.type == "assignment_expression" and is_field(around, "left", hit.node)


def is_bound(hit: Hit, tree: Tree) -> bool:
    """Whether in front of a member stands a variable or field of this file: of a parameter, or of what a loop goes
    through, only its type tells."""
    start = parent_of(hit.node).start_byte
    places = hits(tree, hit.receiver) if hit.receiver.isidentifier() else []
    here = next((each for each in places if each.node.start_byte == start and each.scope), None)
    return here is not None and not any(_is_handed(each) for each in places if each.scope == here.scope)


def _is_handed(hit: Hit) -> bool:
    around = parent_of(hit.node)
    kind = around.type
    return hit.binds and ("parameter" in kind or kind.startswith("for_") or is_field(around, "parameter", hit.node))


def _handed_on(node: Any, tree: Tree) -> str:
    """The class that a parameter is declared as whose value a field gets, as in `self.store = store`."""
    around = parent_of(parent_of(node)) if parent_of(node) is not None else None
    value = around.child_by_field_name("right") if around is not None else None
    if value is None or value.type != "identifier":
        return ""
    places = hits(tree, value.text.decode())
    here = next((each for each in places if each.node == value), None)
    said = {_said(each.node) for each in places if here is not None and each.binds and each.scope == here.scope != 0}
    return said.pop() if len(said) == 1 else ""


def _said(node: Any) -> str:
    """The class that a declaration gives to the name in it."""
    for _ in range(5):
        inner, node = node, parent_of(node)
        if node is None or node.type in FUNCTIONS or node.type in CLASSES:
            return ""
        kind = node.child_by_field_name("type")
        if kind is not None and kind != inner and kind.text != b"auto" and kind.text != b"var":
            return type_name(kind.text.decode())
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        if value is not None and value != inner and (variable := variable_with(value)):
            return object_called(variable)
        if value is not None and value != inner:
            made = _MADE.match(value.text.decode())
            return made[2] if made is not None else ""
    return ""


def is_promised(hit: Hit, owner: str, tree: Tree) -> bool:
    """Whether a class defines a member because it keeps to the interface or trait `owner`, or overrides that of a class
    above, `owner`."""
    around = class_of(hit.node)
    trait = around.child_by_field_name("trait") if around is not None else None
    if trait is not None:
        return type_name(trait.text.decode()) == owner
    named = [each.node for each in hits(tree, owner) if each.binds]
    is_interface = any(parent_of(node).type == "interface_declaration" for node in named)
    return around is not None and owner in bases(around) and (is_interface or _overrides(hit.node))


def _overrides(name: Any) -> bool:
    """Whether a method says that a class above has it."""
    definition = parent_of(name)
    while definition.type == "function_declarator":
        definition = parent_of(definition)
    body = definition.child_by_field_name("body")
    head = definition.text[: body.start_byte - definition.start_byte] if body is not None else definition.text
    return re.search(rb"@Override\b|\boverride\b", head) is not None
