"""`textDocument/completion`: the same suggestion in the ordinary menu, for editors without inline completion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lsprotocol import types

from lsp_server.server.inline_completion import suggestion_at

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer

LABEL_CHARACTERS = 60


def register(server: CodeLlamaServer) -> None:
    options = types.CompletionOptions(trigger_characters=[".", "(", " ", "=", ":"])

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, options)
    async def completion(params: types.CompletionParams) -> types.CompletionList:
        uri = params.text_document.uri
        suggestion = await suggestion_at(server, uri, params.position, wait=True)
        buffer = server.open_buffer(uri)
        if suggestion is None or not suggestion.text or buffer is None:
            return types.CompletionList(is_incomplete=True, items=[])
        row, column = suggestion.row, suggestion.column
        match = re.search(r"\w+$", buffer.lines[row][:column])
        word = match.group() if match else ""
        text = word + suggestion.text
        label = text.strip().partition("\n")[0]
        start = types.Position(row, buffer.units(row, column - len(word)))
        end = types.Position(row, buffer.units(row, column))
        item = types.CompletionItem(
            label=label if len(label) <= LABEL_CHARACTERS else label[: LABEL_CHARACTERS - 1] + "…",
            kind=types.CompletionItemKind.Text,
            detail="Code Llama",
            documentation=types.MarkupContent(types.MarkupKind.Markdown, f"```{buffer.language_id}\n{text}\n```"),
            filter_text=text,
            sort_text="zzz",  # below what other servers know for sure
            text_edit=types.TextEdit(types.Range(start, end), text),
            insert_text_mode=types.InsertTextMode.AsIs,
        )
        # Incomplete: the suggestion depends on every character, so the client asks again as one types.
        return types.CompletionList(is_incomplete=True, items=[item])
