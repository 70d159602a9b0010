"""What the user is given to read: an answer as a Markdown file in a temporary folder, opened in the editor."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import re
import shutil
import tempfile
from pathlib import Path

from lsprotocol import types

from lsp_server.context.languages import Language
from lsp_server.server.editor import Editor

# What a message holds of a text that the editor cannot open.
MESSAGE_LENGTH = 2000


def opens(editor: Editor) -> bool:
    """Whether the editor opens documents when asked to."""
    window = editor.capabilities.window
    return window is not None and window.show_document is not None and window.show_document.support


async def show(editor: Editor, title: str, text: str) -> str:
    """Open a text in the editor, or tell it in a message where the editor opens none; its URI, or ""."""
    if not opens(editor):
        cut = text if len(text) <= MESSAGE_LENGTH else text[:MESSAGE_LENGTH] + " …"
        editor.show_message(cut, types.MessageType.Info)
        return ""
    uri = (await asyncio.to_thread(write, title, text)).as_uri()
    editor.show_document(uri)
    return uri


def write(title: str, text: str) -> Path:
    """A new file with the text, which only its owner can read."""
    name = re.sub(r"\W+", "-", title).strip("-").lower()[:60] or "answer"
    number = 0
    while True:
        path = _folder() / (f"{name}-{number}.md" if number else f"{name}.md")
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            number += 1
            continue
        with open(descriptor, "w", encoding="utf-8", errors="replace") as file:  # half a pair may be in a buffer
            file.write(text)
        return path


def proposal(reason: str, proposed: str, spoken: Language) -> str:
    """What is shown of an edit that was not applied."""
    ticks = "`" * (max((len(run) for run in re.findall(r"`{3,}", proposed)), default=2) + 1)
    return f"# Not applied\n\n{reason}\n\n{ticks}{spoken.fence}\n{proposed.rstrip()}\n{ticks}\n"


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="codellama-")  # 0700
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
