"""The settings as a JSON schema: what editors check the configuration file, and their own settings, by."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal

from lsp_server.settings import Settings, camel

_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", types.NoneType: "null"}


def document() -> dict[str, Any]:
    """The schema of the configuration file."""
    hints = typing.get_type_hints(Settings)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "codellama-ls: config.toml",
        "type": "object",
        "properties": {
            camel(field.name): _property(field, hints[field.name]) for field in dataclasses.fields(Settings)
        },
        "additionalProperties": False,
    }


def constraints(field: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    """The type of a setting, its default and its bounds."""
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    bounds = {key: field.metadata[key] for key in ("minimum", "maximum") if field.metadata[key] is not None}
    return {**_of(hint), "default": default, **bounds}


def _property(field: dataclasses.Field[Any], hint: Any) -> dict[str, Any]:
    return {"description": field.metadata["doc"], **constraints(field, hint)}


def _of(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _of(arguments[0])}
    return {"type": _PLAIN.get(hint, "object")}
