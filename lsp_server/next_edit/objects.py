"""Of what class an object is, as far as the text tells."""

from __future__ import annotations

import re

from lsp_server.context.languages import words
from lsp_server.context.trees import Tree
from lsp_server.next_edit.names import Hit, hits

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


def is_anothers(hit: Hit, tree: Tree, owner: str) -> bool:
    """Whether a member is one of something else than the class `owner`, by what stands in front: a module or another
    thing that is imported, another class, or what is declared as one."""
    receiver = hit.receiver
    if not receiver or receiver in ("self", "this", "Self", "cls", "*this"):
        return False
    if hit.owner:
        return bool(hit.owner != owner)
    root = re.split(r"[.(\[]|->|::", receiver)[0]
    if root in _OTHERS or any(each.imported for each in hits(tree, root)):
        return True
    declared = _declared(tree, root) if root == receiver else ""
    return bool(declared and owner and declared != owner)


def _declared(tree: Tree, name: str) -> str:
    """The class as which a variable or parameter is declared somewhere, by its capital; "" for none."""
    spelled = re.escape(name.encode())
    for pattern in (rb"\b%s\s*:\s*[&*]*(?:mut\s+)?([A-Z]\w*)", rb"\b([A-Z]\w*)[\s*&]+%s\b"):
        if found := re.search(pattern % spelled, tree.data):
            return found[1].decode()
    return ""
