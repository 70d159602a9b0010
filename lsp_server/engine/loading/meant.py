"""What a model's name that names none was probably meant as."""

from __future__ import annotations

import difflib
import re

from lsp_server.codellama import VARIANTS

_ADDRESS = re.compile(r"https?://[^/\s]+/([\w.-]+/[\w.-]+?)(?:[/?#].*)?")


def meant(name: str) -> str:
    """What to write instead, as a part of a sentence without its end; "" where that cannot be guessed."""
    if address := _ADDRESS.fullmatch(name):
        return f"write {address[1]}, without the address"
    if name.endswith(".gguf") or name.count("/") > 1 or "\\" in name:
        return f"write a file or folder with its path, such as ./{name}"
    known = {"starter": "starter"}
    for each in VARIANTS:
        known |= {each.hub_id.lower(): each.hub_id, each.hub_id.partition("/")[2].lower(): each.hub_id}
    if name in known.values():
        return ""
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
    return f"write {known[near[0]]}, if that is meant" if near else ""
