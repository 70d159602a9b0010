"""How the pages in this folder become a site: `make docs`. They are plain Markdown, and read well without it."""

from __future__ import annotations

import re
from typing import Any

from lsp_server import __version__

project = "codellama-ls"
author = "the contributors of codellama-ls"
version = release = __version__
extensions = ["myst_parser"]
exclude_patterns = ["team", "contributing/*"]
html_theme = "furo"
html_title = f"codellama-ls {__version__}"
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
myst_heading_anchors = 4
# Without this, ```console and the like would be warned of where a line is no command of theirs.
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure"]

_PAGE = re.compile(r"^- \[[^\]]+\]\(([\w-]+)\.md\)", re.MULTILINE)


def with_contents(app: Any, page: str, source: list[str]) -> None:
    """The list of pages in index.md is the site's navigation, too: each page is named once."""
    if page == "index":
        pages = "\n".join(_PAGE.findall(source[0]))
        source[0] += f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def setup(app: Any) -> None:
    app.connect("source-read", with_contents)
