"""The text of a header or a field as one line, and the fields of a class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lsp_server.context.definitions import header_of, name_of
from lsp_server.context.languages import words
from lsp_server.context.trees import Tree, is_comment

# Characters of a header and of a field: longer ones are cut, as they take more room than they help.
LONGEST_HEADER, LONGEST_FIELD = 300, 120
_FIELDS = frozenset(
    words(
        "public_field_definition field_definition property_signature index_signature call_signature "
        "construct_signature enum_assignment property_identifier field_declaration enum_constant constant_declaration "
        "annotation_type_element_declaration enum_variant associated_type const_item type_item method_elem type_elem "
        "declaration enumerator alias_declaration type_definition pair shorthand_property_identifier assignment "
        "enum_member_declaration property_declaration"
    )
)
# Brackets in each other in a header.
_DEEPEST = 12
_BLOCKS = frozenset(
    words("block if_statement else_clause with_statement try_statement statement_block expression_statement")
)
C_LIKE = frozenset(words("c cpp cuda-cpp"))
TYPESCRIPTS = frozenset(words("typescript typescriptreact"))
# How nothing is written, of which nobody asks for members.
NOTHINGS = words("None null undefined")
# The text of a field that is made of a class, and of one of which nothing is said.
_MADE = re.compile(r" = (?:new )?(?:\w+\.)*[A-Z]\w*\(.*?(?=;?\Z)", re.DOTALL)
_NOTHING = re.compile(rf"\A[\w#$]+(?:\s*=\s*(?:{'|'.join(NOTHINGS)}))?;?\Z")
# A field that is set: alone, with others, as what a loop or `with` names.
_SET = re.compile(
    rb"\b(?:self|this|cls)\.([A-Za-z_]\w*)\s*(?:[,)][^=\n]{0,80})?(?:[-+*/%|&^?<>]{0,3})=(?![=>])"
    rb"|\b(?:as|for)\s+(?:self|this)\.([A-Za-z_]\w*)"
)
_KEPT_DECORATORS = re.compile(
    r"@(?:\w+\.)*(?:property|cached_property|staticmethod|classmethod|dataclass|abstractmethod|overload|setter)\b"
)
_SPACES = re.compile(r"\s+")


def head_of(tree: Tree, outer: Any, node: Any) -> str:
    """The header of a definition as one line, without what opens its body; `outer` is it with all that belongs to it.
    Above it in Python those decorators that say how it is used."""
    start = header_of(outer, node).start_byte
    end = _end_of_header(tree, node)
    text = one_line(_flat(tree, node if start >= node.start_byte else outer, start, end), LONGEST_HEADER)
    text = text.rstrip("{;: " if tree.language.id != "python" else " ")
    if outer.type != "decorated_definition" or tree.language.id != "python":
        return text
    marks = [one_line(child.text.decode(), 60) for child in outer.named_children if child.type == "decorator"]
    return "\n".join([*filter(_KEPT_DECORATORS.match, marks), text])


def _end_of_header(tree: Tree, node: Any) -> int:
    if tree.language.id == "python":
        colon = next((child for child in node.children if child.type == ":"), None)
        return int(colon.start_byte if colon is not None else node.end_byte)
    if node.type == "macro_definition":
        return int(node.child_by_field_name("name").end_byte)
    body = node.child_by_field_name("body") or (node if node.type == "object" else None)
    inside = node.child_by_field_name("type")
    if body is None and inside is not None and inside.type in ("struct_type", "interface_type"):
        opened = tree.data.find(b"{", inside.start_byte, inside.end_byte)
        return opened if opened >= 0 else int(inside.end_byte)
    if body is None:
        body = next((child for child in node.named_children if child.type.endswith(("_body", "body_statement"))), None)
    if body is None or body.type == "ordered_field_declaration_list":
        return int(node.end_byte)
    initial = next((child for child in node.named_children if child.type == "field_initializer_list"), body)
    return int(min(initial.start_byte, body.start_byte))


def flat(tree: Tree, node: Any) -> str:
    """The text of a node as one line without comments, which may be long."""
    return _tidied(_flat(tree, node, node.start_byte, node.end_byte))


def _flat(tree: Tree, node: Any, start: int, end: int) -> str:
    text = tree.data[start:end]
    if b"\n" in text:
        comments = [each for each in _comments(node) if start <= each.start_byte < end]
        for comment in reversed(comments):
            text = text[: comment.start_byte - start] + text[comment.end_byte - start :]
    return text.decode("utf-8", "replace")


def _comments(node: Any, depth: int = 0) -> Iterator[Any]:
    """The comments between the parts of a header."""
    for child in node.children if depth < _DEEPEST else ():
        if is_comment(child):
            yield child
        elif child.child_count and "\n" in child.text.decode() and not child.type.endswith(("body", "block")):
            yield from _comments(child, depth + 1)


def one_line(text: str, longest: int) -> str:
    """A text as one line of so many characters at most, then `...`."""
    text = _tidied(text)
    return text if len(text) <= longest else f"{text[: longest - 4].rstrip()} ..."


def is_short(text: str) -> bool:
    return len(text) <= LONGEST_FIELD


def _tidied(text: str) -> str:
    text = _SPACES.sub(" ", text).strip() if "\n" in text or "  " in text or "\t" in text else text.strip()
    return text.replace("( ", "(").replace(", )", ")").replace(" )", ")")


def fields_of(tree: Tree, node: Any) -> list[tuple[str, str]]:
    """(name, text) of the fields that a node in the body of a class declares."""
    if node.type not in _FIELDS:
        return []
    text = flat(tree, node).rstrip(",")
    ends = {"python": "", "go": "", "rust": ","}.get(tree.language.id, ";")
    if node.type in ("enumerator", "enum_constant", "enum_assignment", "property_identifier", "pair") or ends == ",":
        ends = ","
    if node.type.endswith("property_identifier"):
        ends = ","
    elif node.type in ("const_item", "associated_type", "type_item"):
        ends = ";"
    if not is_short(text):
        before = re.split(r"[={]", text, maxsplit=1)[0].rstrip()
        text = f"{before} = ..." if is_short(before) else one_line(before, LONGEST_FIELD)
    names = [each for each in _declared(tree, node, text) if not each.startswith("__")]
    return [(each, f"{text.rstrip(';')}{ends}") for each in names] if text else []


def _declared(tree: Tree, node: Any, text: str) -> list[str]:
    """The names that a field has: one, or several that are declared together."""
    if tree.language.id == "go" and (node.type == "type_elem" or node.child_by_field_name("name") is None):
        return re.findall(r"\w+", re.split(r"[\[`]", text)[0])[-1:]  # what is embedded goes by its type's name
    if tree.language.id in C_LIKE and node.type == "field_declaration":
        return _of_declarators(node)
    if node.type == "assignment":
        return targets(node)
    if (named := node.child_by_field_name("property")) is not None:  # JavaScript
        return [named.text.decode()]
    several = node.children_by_field_name("declarator") or node.children_by_field_name("name")
    if len(several) > 1:
        return [_word(each.text.decode()) for each in several]
    names = [child for child in node.named_children if child.type in ("field_identifier", "variable_declarator")]
    called = name_of(names[0]) or names[0].text.decode() if names else name_of(node) or _word(text)
    return [called.strip("*&: ")]


def targets(node: Any) -> list[str]:
    """The names that an assignment of Python gives values."""
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    several = left is not None and left.type in ("pattern_list", "tuple_pattern")
    named = [
        _word(each.text.decode().rpartition(".")[2])
        for each in (left.named_children if several else (left,))
        if each is not None
    ]
    return [
        *(each for each in named if each),
        *(targets(right) if right is not None and right.type == "assignment" else ()),
    ]


def _of_declarators(node: Any) -> list[str]:
    """The names of a field of C: of each declarator; of a type that is defined there its own, what is in it where it
    has none, and the constants of an enumeration."""
    declarators = node.children_by_field_name("declarator")
    if not declarators:
        declared = node.child_by_field_name("type")
        body = declared.child_by_field_name("body") if declared is not None else None
        name = declared.child_by_field_name("name") if declared is not None else None
        inner = body.named_children if body is not None and (name is None or body.type == "enumerator_list") else []
        named = [one for each in inner if not is_comment(each) for one in _of_member(each)]
        return [name.text.decode(), *named] if name is not None else named
    return [name for each in declarators if (name := _innermost(each))]


def _of_member(node: Any) -> list[str]:
    return _of_declarators(node) if node.type == "field_declaration" else [name_of(node)]


def _innermost(node: Any) -> str:
    """The name within what says that it is a pointer, an array or a function."""
    while (inner := node.child_by_field_name("declarator") or next(iter(node.named_children), None)) is not None:
        node = inner
    return str(node.text.decode())


def _word(text: str) -> str:
    found = re.search(r"\w+", text)
    return found[0] if found else ""


def agreed(texts: Sequence[str]) -> str:
    """What assignments say of a field: the first of them; where that says nothing, what the others say alike. One that
    is made of several classes is none of them."""
    first, more = texts[0], [text for text in texts if not _NOTHING.match(text)]
    is_alike = len({text.partition("(")[0] for text in more}) == 1
    if _NOTHING.match(first):
        return more[0] if is_alike else first
    return first if is_alike or not _MADE.search(first) else _MADE.sub(" = ...", first)


def fields_set(tree: Tree, node: Any) -> list[tuple[str, str]]:
    """(name, text) of the fields that a method sets on `self` or `this`, with what their type is if it says so."""
    said = tree.data[node.start_byte : node.end_byte]
    kept = _kept_parameters(node) if tree.language.id in TYPESCRIPTS else {}
    if b"self." not in said and b"this." not in said and b"cls." not in said:
        return list(kept.items())
    found = {name: [text] for name, text in kept.items()}
    typed = _typed_parameters(node)
    stack = [node.child_by_field_name("body")]
    while stack:
        each = stack.pop()
        if each is None:
            continue
        if each.type in ("assignment", "assignment_expression"):
            left, right = each.child_by_field_name("left"), each.child_by_field_name("right")
            several = left is not None and left.type in ("pattern_list", "tuple_pattern", "array_pattern")
            for target in left.named_children if several else (left,):
                if target is not None and target.type in ("attribute", "member_expression"):
                    owner, _, name = target.text.decode().partition(".")
                    if owner in ("self", "this") and name.isidentifier():
                        declared = each.child_by_field_name("type")
                        text = _set(tree, name, declared, right if not several else None, typed)
                        found.setdefault(name, []).append(text)
        elif each.type in _BLOCKS:
            stack += reversed(each.named_children)
    ends = ";" if tree.language.braces else ""
    for match in _SET.finditer(said):  # where blocks are not looked into
        name = (match[1] or match[2]).decode()
        found.setdefault(name, [f"{name}{ends}"])
    return [(name, agreed(texts)) for name, texts in found.items()]


def _kept_parameters(node: Any) -> dict[str, str]:
    """The parameters of a constructor of TypeScript that are fields, too."""
    listed = node.child_by_field_name("parameters")
    kept = [
        (each.child_by_field_name("pattern"), each.text.decode())
        for each in (listed.named_children if listed is not None else ())
        if any(child.type in ("accessibility_modifier", "readonly", "override_modifier") for child in each.children)
    ]
    return {name.text.decode(): f"{one_line(text, LONGEST_FIELD)};" for name, text in kept if name is not None}


def _set(tree: Tree, name: str, declared: Any, right: Any, typed: dict[str, str]) -> str:
    value = flat(tree, right) if right is not None else ""
    said = flat(tree, declared) if declared is not None else typed.get(value, "")
    if said and tree.language.id == "python":
        return f"{name}: {said}"
    if value in ("", name):
        return name + (";" if tree.language.braces else "")
    return f"{name} = {value if len(value) <= 60 else '...'}" + (";" if tree.language.braces else "")


def _typed_parameters(node: Any) -> dict[str, str]:
    """The types of parameters by their names."""
    listed = node.child_by_field_name("parameters")
    found = {}
    for each in listed.named_children if listed is not None else ():
        said = each.child_by_field_name("type")
        if said is not None:
            found[_word(each.text.decode())] = said.text.decode()
    return found
