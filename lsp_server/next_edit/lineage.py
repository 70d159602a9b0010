"""What a class says it is made from, and the names of types."""

from __future__ import annotations

import re
from typing import Any

from lsp_server.context.languages import words

# Words between the name of a class and its body that are no names.
KEYWORDS = frozenset(words("extends implements public private protected virtual final object metaclass permits for"))
# What a type is written with beside its name.
_AROUND_TYPE = re.compile(
    r"^(?:[\s:&*]|mut\b|const\b|dyn\b|impl\b|readonly\b|final\b|struct\b|union\b|enum\b|class\b|'\w+)+"
)


def type_name(text: str) -> str:
    """The last part of the name of a type."""
    found = re.match(r"(?:\w+(?:::|\.))*(\w+)", _AROUND_TYPE.sub("", text))
    return found[1] if found is not None else ""


def bases(around: Any) -> set[str]:
    """The names that a class says it is made from, or that a struct of Go has in it without a name of their own."""
    if around.type == "type_spec":
        fields = [each for part in around.named_children[-1].named_children for each in part.named_children]
        own = [each for each in fields if each.type == "field_declaration" and each.child_by_field_name("name") is None]
        return {type_name(each.text.decode()) for each in own}
    named, body = around.child_by_field_name("name"), around.child_by_field_name("body")
    if named is None or body is None:
        return set()
    head = around.text[named.end_byte - around.start_byte : body.start_byte - around.start_byte].decode()
    return set(re.findall(r"\w+", head)) - KEYWORDS
