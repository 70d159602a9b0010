"""`textDocument/completion`: the same suggestion in the ordinary menu, for editors without inline completion."""

from __future__ import annotations

from lsprotocol import types

from lsp_server.server.inline_completion import answered, insertion
from lsp_server.server.session import Session

OPTIONS = types.CompletionOptions(trigger_characters=[".", "(", " ", "=", ":"])
LABEL_CHARACTERS = 60


async def completion(session: Session, params: types.CompletionParams) -> types.CompletionList:
    buffer = session.workspace.buffer(params.text_document.uri)
    # Not waiting for the model to be loaded: some editors stand still meanwhile, or hold back what other servers say.
    answer = await answered(session, params, buffer, by_hand=False, waits=False)
    items = []
    for suggestion in answer.suggestions[:1]:
        assert buffer is not None
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
        items.append(item)
    # Incomplete: the suggestion depends on every character, so the client asks again as one types.
    return types.CompletionList(is_incomplete=True, items=items)
