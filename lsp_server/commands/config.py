"""`config`: each setting, and where it comes from: its default, the file, the environment, the options."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from lsp_server import places, printing, settings_schema
from lsp_server.commands.chosen import chosen
from lsp_server.commands.console import notes, output
from lsp_server.settings import Settings, camel


def run(options: argparse.Namespace) -> int:
    """Print the settings, or what else of the configuration file was asked for. The status is 1 where that is wrong."""
    if options.path:
        printing.say(str(places.config_file()))
        return 0
    if options.schema:
        printing.as_json(settings_schema.document(), indent=2)
        return 0
    found = chosen(options)
    rows = [_row(field, found.settings, found.sources) for field in dataclasses.fields(Settings)]
    if options.json:
        printing.as_json(rows, indent=2)
    else:
        width = max(len(row["name"]) for row in rows)
        for row in rows:
            is_set = row["from"] != "default"
            shown = json.dumps(row["value"], ensure_ascii=False) if "value" in row else "(not shown)"
            line = Text.assemble((row["name"].ljust(width), "bold" if is_set else "dim"), "  ", shown)
            output.print(line.append(f"  {row['from']}", "green" if is_set else "dim"))
    for problem in found.problems:
        notes.print(problem, style="yellow")
    return 1 if found.problems else 0


def _row(field: dataclasses.Field[Any], settings: Settings, sources: Mapping[str, str]) -> dict[str, Any]:
    name, value = camel(field.name), getattr(settings, field.name)
    row = {"name": name, "value": value, "from": sources.get(name, "default")}
    if field.metadata["secret"] and value:
        del row["value"]
    return row
