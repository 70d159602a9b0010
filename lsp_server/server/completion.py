"""`textDocument/completion`: the same suggestion in the ordinary menu, for editors without inline completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsprotocol import types

from lsp_server.server.inline_completion import insertion, suggestion_at

if TYPE_CHECKING:
    from lsp_server.server.app import CodeLlamaServer

LABEL_CHARACTERS = 60


def register(server: CodeLlamaServer) -> None:
    options = types.CompletionOptions(trigger_characters=[".", "(", " ", "=", ":"])

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, options)
    async def completion(params: types.CompletionParams) -> types.CompletionList:
        uri = params.text_document.uri
        suggestion = await suggestion_at(server, uri, params.position, at_once=False)
        buffer = server.open_buffer(uri)
        if suggestion is None or not suggestion.text or buffer is None:
            return types.CompletionList(is_incomplete=True, items=[])
        text, where = insertion(buffer, suggestion, with_word=True)
        label = text.strip().partition("\n")[0]
        item = types.CompletionItem(
            label=label if len(label) <= LABEL_CHARACTERS else label[: LABEL_CHARACTERS - 1] + "…",
            kind=types.CompletionItemKind.Text,
            detail="Code Llama",
            documentation=types.MarkupContent(types.MarkupKind.Markdown, f"```{buffer.language_id}\n{text}\n```"),
            filter_text=text,
            sort_text="zzz",  # below what other servers know for sure
            text_edit=types.TextEdit(where, text),
            insert_text_mode=types.InsertTextMode.AsIs,
        )
        # Incomplete: the suggestion depends on every character, so the client asks again as one types.
        return types.CompletionList(is_incomplete=True, items=[item])
