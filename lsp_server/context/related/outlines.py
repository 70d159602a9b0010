"""What a file defines for others, as signatures: each definition at its top in a few lines of its own language.

A function is its header and what its documentation begins with, a class its header, its fields and the headers of its
methods, each a definition of its own, so that of a long class those that matter can be taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from lsp_server.context.definitions import docs_above, last_name, name_of, receiver_of
from lsp_server.context.languages import words
from lsp_server.context.related.members import (
    LONGEST_FIELD,
    agreed,
    fields_of,
    fields_set,
    flat,
    head_of,
    is_short,
    one_line,
    targets,
)
from lsp_server.context.trees import Tree, is_docstring, parse, text_of

# Characters of what documentation begins with.
LONGEST_DOC = 100
# Definitions of a file, members too: generated code has tens of thousands.
MOST = 1_000
# Namespaces, conditions and classes in each other.
DEEPEST = 12
# Around definitions at the top of a file there may be these, which change nothing.
_AROUND = frozenset(
    words(
        "export_statement decorated_definition template_declaration ambient_declaration expression_statement "
        "lexical_declaration variable_declaration type_declaration const_declaration var_declaration var_spec_list "
        "preproc_if preproc_ifdef preproc_else preproc_elif linkage_specification declaration_list "
        "namespace_definition internal_module module mod_item statement_block namespace_declaration if_statement "
        "try_statement block else_clause except_clause file_scoped_namespace_declaration body_statement "
        "enum_body_declarations ERROR"
    )
)
_VALUES = frozenset(
    words(
        "assignment const_spec var_spec const_item static_item preproc_def preproc_function_def alias_declaration "
        "declaration type_definition variable_declarator"
    )
)
_CLASS_LIKE = frozenset(words("struct_specifier union_specifier enum_specifier class_specifier"))


@dataclasses.dataclass(frozen=True)
class Definition:
    """One definition. `text`: its header, with what opens its body if it has members, and with the documentation's
    first line; `tail`: what closes it again. `container`: the class that it is a member of, dotted, "" at the top.

    `attached`: a member that is written outside of its class, and may be so in another file (Go, `impl`, C++).
    """

    name: str
    container: str
    kind: str  # "class", "function", "value"
    text: str
    tail: str = ""
    first: int = 0
    last: int = 0
    attached: bool = False

    @property
    def path(self) -> str:
        return f"{self.container}.{self.name}" if self.container else self.name


def outline(text: str, language_id: str) -> list[Definition]:
    """The definitions of a file; none where its language has no grammar."""
    tree = parse(text, language_id)
    return [] if tree is None else outline_of(tree)


def outline_of(tree: Tree) -> list[Definition]:
    """The definitions at the top of a file, each class with its members behind it."""
    found: list[Definition] = []
    for outer, node in _at_top(tree.root):
        if len(found) >= MOST:
            break
        found += _definition(tree, outer, node, "")
    return found[:MOST]


def _at_top(node: Any, outer: Any = None, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """(the node with all that belongs to it, the node) of what may be a definition at the top of a file."""
    for child in node.named_children if depth < DEEPEST else ():
        if child.type in _AROUND:
            # `export`, decorators and `template` belong to what they stand before; a group does not.
            whole = child if child.type in _BELONGS and child.named_child_count < 4 else None
            keeps = whole if outer is None or child.type not in _BELONGS else outer
            yield from _at_top(child, keeps, depth + 1)
        else:
            yield (outer if outer is not None else child), child


_BELONGS = frozenset(
    words(
        "export_statement decorated_definition template_declaration ambient_declaration expression_statement "
        "lexical_declaration variable_declaration type_declaration const_declaration var_declaration"
    )
)


def _definition(tree: Tree, outer: Any, node: Any, container: str) -> list[Definition]:
    """A definition and its members; nothing where the node is none."""
    if container.count(".") > DEEPEST:
        return []
    kind, value = node.type, node.child_by_field_name("value") or node.child_by_field_name("right")
    grammar = tree.grammar
    if kind == "impl_item":
        return _impl(tree, node)
    if kind in grammar.functions:
        return [_function(tree, outer, node, container)]
    if kind in grammar.classes:
        return _class(tree, outer, node, container) if kind not in _CLASS_LIKE or _body(node) is not None else []
    if value is not None and value.type in grammar.unnamed and value.type != "func_literal":
        named = name_of(node) or text_of(node.child_by_field_name("property"))
        return [_function(tree, outer, value, container, name=_plain(named))]
    if value is not None and value.type in ("object", "class") and kind != "assignment":
        return _class(tree, outer, value, container, name=_plain(name_of(node)))
    declared = node.child_by_field_name("type")
    if kind in ("type_definition", "declaration") and _is_new(declared):
        named = _plain(name_of(node)) if kind == "type_definition" else name_of(declared)
        return _class(tree, outer, declared, container, name=named) if named else []
    return _value(tree, outer, node, container) if kind in _VALUES else []


def _function(tree: Tree, outer: Any, node: Any, container: str, name: str = "") -> Definition:
    name = name or name_of(node)
    attached = False
    if received := receiver_of(node):
        container, attached = received, True
    elif "::" in name:  # C++, outside of its class
        *inside, name = name.split("::")
        container, attached = inside[-1].partition("<")[0], True
    text = head_of(tree, outer, node) + _ending(tree, node)
    text = text if container else _documented(tree, outer, node, text)
    return Definition(name, container, "function", text, "", outer.start_point.row, outer.end_point.row, attached)


def _ending(tree: Tree, node: Any) -> str:
    """What stands for the body of a function."""
    if tree.language.id == "python":
        return ": ..."
    if node.type in ("macro_definition", "arrow_function", "function_expression", "generator_function"):
        return " { ... }"
    return "" if tree.language.id in ("go", "ruby", "lua", "shellscript") else ";"


def _class(tree: Tree, outer: Any, node: Any, container: str, name: str = "") -> list[Definition]:
    name = name or name_of(node).partition("<")[0]
    head, body = head_of(tree, outer, node), _body(node)
    rows = outer.start_point.row, outer.end_point.row
    if tree.language.id == "python":
        opened, tail = f"{head}:", ""
    elif tree.language.id == "ruby":
        opened, tail = head, "end"
    elif body is None:  # `struct Unit;`, `type A = B`
        whole = head if tree.language.id in ("go", "ruby") or head.endswith(";") else f"{head};"
        return [Definition(name, container, "class", _documented(tree, outer, node, whole), "", *rows)]
    else:
        opened, tail = f"{head} {{", "};" if tree.language.id in ("c", "cpp", "cuda-cpp") else "}"
        if outer.type == "type_definition":
            tail = f"}} {name};"
    text = opened if container else _documented(tree, outer, node, opened)
    found = [Definition(name, container, "class", text, tail, *rows)]
    path = f"{container}.{name}" if container else name
    return found + _members(tree, body, path) if body is not None else found


def _members(tree: Tree, body: Any, path: str) -> list[Definition]:
    found: list[Definition] = []
    for outer, node in _at_top(body):
        if len(found) >= MOST:
            break
        inner = _definition(tree, outer, node, path) if node.type not in _VALUES or _is_prototype(node) else []
        found += inner or [
            Definition(name, path, "value", text, "", node.start_point.row, node.end_point.row)
            for name, text in fields_of(tree, node)
        ]
        if node.type in tree.grammar.functions and inner:
            found += [
                Definition(name, path, "value", text, "", node.start_point.row, node.end_point.row)
                for name, text in fields_set(tree, node)
            ]
    known: dict[tuple[str, bool], list[Definition]] = {}
    for each in found:
        is_value = each.kind == "value"
        # A method of Java may have the name of a field; that of others is its accessor, or says it better.
        if is_value or (each.path, True) not in known or tree.language.id == "java":
            known.setdefault((each.path, is_value), []).append(each)
    return [
        dataclasses.replace(each[0], text=agreed([one.text for one in each])) if is_value else each[0]
        for (_, is_value), each in known.items()
    ]


def _impl(tree: Tree, node: Any) -> list[Definition]:
    """The members that Rust attaches to a type."""
    name, body = last_name(name_of(node)), _body(node)
    members = _members(tree, body, name) if body is not None else []
    return [dataclasses.replace(each, attached=True) for each in members]


def _value(tree: Tree, outer: Any, node: Any, container: str) -> list[Definition]:
    names = _names(node)
    if not names or names[0].startswith("__"):
        return []
    text = flat(tree, outer if outer.end_point.row == node.end_point.row else node)
    if outer is node and node.type in ("const_spec", "var_spec"):
        text = f"{node.type.removesuffix('_spec')} {text}"
    if not is_short(text):
        before = text.partition("=")[0].rstrip()
        text = f"{before} = ..." if is_short(before) else one_line(before, LONGEST_FIELD)
    kind = "function" if _is_prototype(node) or node.type == "preproc_function_def" else "value"
    if kind == "function" and container == "":
        text = _documented(tree, outer, node, text)
    rows = node.start_point.row, node.end_point.row
    return [Definition(name, container, kind, text, "", *rows) for name in names] if text else []


def _names(node: Any) -> list[str]:
    """The names that a declaration of a value makes known; several where it takes an object apart."""
    if node.type == "assignment":  # `a, b = 1, 2`, `a = b = 1`
        return targets(node)
    if node.type in ("const_spec", "var_spec"):  # `a, b = 1, 2` of Go
        return [each.text.decode() for each in node.children_by_field_name("name")]
    pattern = node.child_by_field_name("name")
    if pattern is None or pattern.type not in ("object_pattern", "array_pattern"):
        name = _plain(name_of(node))
        return [name] if name else []
    parts = [each.child_by_field_name("value") or each for each in pattern.named_children]
    return [each.text.decode() for each in parts if each.type.endswith("identifier") or each.type.endswith("_pattern")]


def _is_prototype(node: Any) -> bool:
    """Whether a declaration of C is that of a function."""
    child = node.child_by_field_name("declarator") if node.type == "declaration" else None
    while child is not None and child.type != "function_declarator":
        child = child.child_by_field_name("declarator")
    return child is not None


def _is_new(declared: Any) -> bool:
    """Whether the type of a declaration of C is defined there."""
    return declared is not None and declared.type in _CLASS_LIKE and _body(declared) is not None


def _body(node: Any) -> Any:
    """The node that holds the members of a class; None where there is none."""
    if node.type in ("object", "enum_body"):
        return node
    body = node.child_by_field_name("body")
    if body is not None and body.type == "ordered_field_declaration_list":  # Rust's `struct Two(i32, i32);`
        return None
    if body is None and (inside := node.child_by_field_name("type")) is not None:  # Go
        listed = inside.named_children if inside.type == "struct_type" else ()
        return inside if inside.type == "interface_type" else next(iter(listed), None)
    if body is None and node.type == "class":
        body = next((child for child in node.named_children if child.type in ("class_body", "body_statement")), None)
    return body


def _plain(name: str) -> str:
    """`get` of `exports.get`, `T` of `*T`."""
    return name.partition(",")[0].rpartition(".")[2].strip("*&: ").partition("[")[0]


def _documented(tree: Tree, outer: Any, node: Any, text: str) -> str:
    """A header with the first line of the documentation, where the language has it."""
    said = _doc(tree, outer, node)
    if not said:
        return text
    if not tree.language.doc_inside:
        return f"{tree.language.line_comment} {said}\n{text}"
    return f'{text.removesuffix(" ...")}\n    """{said}"""'


def _doc(tree: Tree, outer: Any, node: Any) -> str:
    """The first line of the documentation of a definition; "" for none."""
    body = node.child_by_field_name("body")
    if tree.language.doc_inside:
        first = body.named_children[0] if body is not None and body.named_child_count else None
        raw = first.text.decode() if first is not None and is_docstring(tree, first) else ""
        return _first_line(raw.lstrip("rRuUbB").strip("\"'").split("\n"))
    _, rows = docs_above(tree, outer)
    if rows is None:
        return ""
    return _first_line([line.decode() for line in tree.lines[rows[0] : rows[1] + 1]])


def _first_line(lines: Sequence[str]) -> str:
    """The first line that says something, without comment marks."""
    said = (line.strip().strip("/*!#-").strip() for line in lines)
    return one_line(next((line for line in said if line), ""), LONGEST_DOC)
