"""Where a program asks for text, and in which form: how its request is read and its answer written."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from lsp_server.engine.serving import llama_cpp, mistral, ollama, wire
from lsp_server.engine.serving.answer import Answer, Write
from lsp_server.engine.serving.wire import ApiRequest


@dataclass(frozen=True)
class Form:
    """`read` makes a request of a body and the size of the vocabulary, and raises Refusal. `written`: its prompt may be
    one to infill that was written as text."""

    path: str
    read: Callable[[bytes, int], ApiRequest]
    write: Write
    written: bool = False


def forms(*, others: bool) -> list[Form]:
    """Those that are served; to programs that are not ours (`others`) their own too."""
    conversation = functools.partial(Answer, chat=True)
    served = [
        Form("/v1/completions", functools.partial(wire.parse, chat=False, lenient=others), Answer, written=others),
        Form("/v1/chat/completions", functools.partial(wire.parse, chat=True, lenient=others), conversation),
        Form("/infill", llama_cpp.infill, llama_cpp.Answer),
    ]
    if others:
        served += [
            Form("/completion", llama_cpp.completion, llama_cpp.Answer, written=True),
            Form("/v1/fim/completions", mistral.fim, conversation),
            Form("/api/generate", ollama.generate, ollama.Answer, written=True),
            Form("/api/chat", ollama.chat, functools.partial(ollama.Answer, chat=True)),
        ]
    return served
