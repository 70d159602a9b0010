"""Where a program asks for text, and in which form: how its request is read and its answer written."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsp_server.engine.serving import llama_cpp, mistral, ollama, wire
from lsp_server.engine.serving.answer import Answer, Write
from lsp_server.engine.serving.wire import ApiRequest


@dataclass(frozen=True)
class Form:
    """`read` makes a request of a body and the size of the vocabulary, and raises Refusal. `written`: its prompt may be
    one to infill that was written as text. `nothing`: the answer to who asks for no token."""

    path: str
    read: Callable[[bytes, int], ApiRequest]
    write: Write
    written: bool = False
    nothing: Callable[[ApiRequest, str], dict[str, Any]] = llama_cpp.nothing


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
            _ollama("/api/generate", ollama.generate, chat=False),
            _ollama("/api/chat", ollama.chat, chat=True),
        ]
    return served


def _ollama(path: str, read: Callable[[bytes, int], ApiRequest], *, chat: bool) -> Form:
    write, nothing = functools.partial(ollama.Answer, chat=chat), functools.partial(ollama.nothing, chat=chat)
    return Form(path, read, write, written=not chat, nothing=nothing)
