"""An import took the place of another, or what it is called here changed: the uses of the old name follow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lsp_server.context.languages import words
from lsp_server.context.steps import Step
from lsp_server.context.trees import Tree, nodes
from lsp_server.next_edit import renames
from lsp_server.next_edit.binding import IMPORTS, above, parent_of
from lsp_server.next_edit.documents import Document, Situation, touched
from lsp_server.next_edit.names import Hit, hits
from lsp_server.next_edit.proposal import Proposal

# The statements of each language, one for each package in Go; JavaScript has one of Python's.
_STATEMENTS = {
    "go": ("import_spec",),
    "rust": ("use_declaration",),
    "java": ("import_declaration",),
    "python": ("import_statement", "import_from_statement"),
} | dict.fromkeys(("javascript", "javascriptreact", "typescript", "typescriptreact"), ("import_statement",))
# How Go imports.
_OF_GO = "package"
# In these stands what is imported, behind what it is taken from.
_LISTS = frozenset(words("import_clause named_imports use_list scoped_use_list"))
_SOURCES = ("path", "module_name", "source")
_ITEMS = frozenset(
    words("identifier dotted_name scoped_identifier import_specifier namespace_import aliased_import use_as_clause")
)
# The name of a package of Go by its path, where that tells it.
_PACKAGE = re.compile(r"(?:.*/)?(?!v\d+$)([A-Za-z_]\w*)(?:/v\d+|\.v\d+)?")

Imported = tuple[str, str]
"""How a name is imported, so that what is imported in the same way is used alike; and what it is called here."""


def proposals(here: Situation, step: Step) -> Iterator[Proposal]:
    """What follows where one name is imported no more, and another in the same way; and where the last use of a module
    of Python became one of another."""
    document = here.documents.get(step.uri)
    base = document.tree_before(step) if document is not None else None  # before the other: it is there already
    if document is None or base is None or document.tree is None:
        return
    yield from _of_uses(document, document.tree, step)
    if not _is_import(base, step):
        return
    later = here.since(step)
    after = document.tree_before(later[1]) if len(later) > 1 else document.tree
    if after is None or any(document.is_broken(row) for row in touched(later)):
        return
    before, now = imported(base), imported(after)
    gone, come = before - now, now - before
    if len(gone) != 1 or len(come) != 1:
        return
    (way, old), (new_way, new) = *gone, *come
    if way != new_way or not {old, new}.isdisjoint(("", "_", ".")) or _is_part(old, new):
        return
    if way != _OF_GO and (old.startswith(new) or len(new) == 1 < len(old)):
        return  # it is being written; what Go calls a package is short
    if {hit.row for hit in _uses(document.tree, new)} <= touched(later):
        places = [hit for hit in _uses(document.tree, old) if not hit.scope and _is_whole(hit)]
        yield from renames.lines(document, old, new, [_written(hit, old, new) for hit in places])


def _of_uses(document: Document, tree: Tree, step: Step) -> Iterator[Proposal]:
    """The import itself, where nothing in the text says the old name any more, and nothing imports the new one."""
    if tree.language.id != "python":
        return
    for old, new in dict.fromkeys((each.old, each.new) for each in renames.pairs(step)):
        left, now = hits(tree, old), hits(tree, new)
        known = new in renames.BUILT_IN or any(hit.scope or parent_of(hit.node).type != "attribute" for hit in now)
        if now and not known and len(left) == 1 and _is_module(left[0]):
            yield from renames.lines(document, old, new, [(left[0].row, left[0].column, new)])


def _is_module(hit: Hit) -> bool:
    """Whether a name is what Python imports a module by, and not a part of it."""
    path = parent_of(hit.node)
    return bool(path.type == "dotted_name" and path.child_count == 1 and parent_of(path).type == "import_statement")


def _is_import(tree: Tree, step: Step) -> bool:
    """Whether a step changed an import."""
    for row in range(step.row, min(step.row + len(step.before), len(tree.lines))):
        line = tree.lines[row]
        start = len(line) - len(line.lstrip())
        node = tree.root.descendant_for_point_range((row, start), (row, start + 1))
        if node is not None and (node.type in IMPORTS or above(node, IMPORTS) is not None):
            return True
    return False


def imported(tree: Tree) -> set[Imported]:
    """The names that a text imports."""
    types = _STATEMENTS.get(tree.language.id, ())
    return {each for statement in nodes(tree, types) for each in _names(statement)}


def _names(statement: Any) -> Iterator[Imported]:
    if statement.type == "import_spec":
        path, alias = (statement.child_by_field_name(field) for field in ("path", "name"))
        named = _PACKAGE.fullmatch(path.text.decode().strip('"`'))
        yield _OF_GO, alias.text.decode() if alias is not None else named[1] if named is not None else ""
        return
    waiting = [] if any(each.type == "asterisk" for each in statement.children) else [statement]
    while waiting:
        node = waiting.pop()
        if node.type in _LISTS or node == statement:
            sources = [node.child_by_field_name(field) for field in _SOURCES]
            waiting += [each for each in node.named_children if each not in sources]
        elif node.type in _ITEMS:
            yield _name(statement, node)


def _name(statement: Any, node: Any) -> Imported:
    said = (node.child_by_field_name("name") or node.child_by_field_name("path") or node).text.decode()
    alias = node.child_by_field_name("alias")
    called = alias.text.decode() if alias is not None else said.rpartition("::")[2]
    if statement.type == "import_declaration":  # Java
        return f"class {any(each.type == 'static' for each in statement.children)}", called.rpartition(".")[2]
    if node.type == "namespace_import":
        return node.type, node.named_children[0].text.decode()
    if statement.type == "import_statement" and node.type != "import_specifier":  # called as one likes
        return "module", called
    last = said.rpartition("::")[2]
    return "constant" if last.isupper() else "type" if last[:1].isupper() else f"name {said.count('::')}", called


def _is_part(one: str, other: str) -> bool:
    """Whether a module of Python is in the other."""
    return one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _uses(tree: Tree, called: str) -> list[Hit]:
    """Where a name is said that is imported."""
    module, _, name = called.rpartition(".")
    if module:
        return [hit for hit in hits(tree, name) if hit.role == "member" and hit.receiver == module]
    return [hit for hit in hits(tree, name) if hit.role == "plain" and not hit.imported]


def _is_whole(hit: Hit) -> bool:
    """Whether a name stands on one line with the modules in front of it."""
    return hit.role == "plain" or bool(parent_of(hit.node).start_point.row == hit.row)


def _written(hit: Hit, old: str, new: str) -> tuple[int, int, str]:
    """Where the old name begins, and what is written there."""
    return hit.row, hit.column - old.rfind(".") - 1, f"{old}: {new}" if hit.is_shorthand else new
