"""Getting to know a server of others: what it is, as it says itself, its model, and whether it reads prompts rightly.

Once for each server. Only a server that says that it is one of those that read prompts as text is given one to
try; of any other it shows with the first request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsp_server.model.client import ModelClient
from lsp_server.model.dialect import TEXT_ALONE, Kind
from lsp_server.model.exchange import EngineDenied, EngineLost, EngineRefused, EngineSilent
from lsp_server.model.servers import EngineBusy
from lsp_server.model.words import Words

if TYPE_CHECKING:
    from lsp_server.codellama import CodeLlamaTokenizer
    from lsp_server.codellama.text_form import TextForms

log = logging.getLogger(__name__)

# Some load their model with the first request.
TRY_SECONDS = 30.0
AGAIN_SECONDS = 30.0
# One that still loads is asked again so often, for so long.
SERVED_SECONDS, LOADING_SECONDS = 1.0, 1200.0
_OWNERS: dict[str, Kind] = {"vllm": "vllm", "llamacpp": "llama.cpp"}
# Addresses that only one of those has that describe themselves.
_PATHS: dict[str, Kind] = {"/load_model": "transformers", "/extras/tokenize": "llama-cpp-python"}
_TGI_LIMITS = ("max_total_tokens", "max_input_tokens", "max_input_length")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# What must not be lost on the way: a space in front, one before the cursor, a bracket right behind it.
_BEFORE, _AFTER = "def area(w, h):\n    return int(w * ", ")\n\n\nprint(area(1, 2))\n"


async def served_model(client: ModelClient, wanted: str) -> tuple[str, int]:
    """(name, context length or 0) of the model that a server serves, which says what it is. `wanted`: the model of the
    settings, for a server that loads what it is asked for. Raises as `ModelClient.served_model`."""
    problem, model, context = None, "", 0
    try:
        model, context = await client.served_model()
    except (EngineBusy, EngineDenied, EngineSilent):
        raise
    except EngineRefused as error:
        problem = error
    dialect = client.dialect
    if not dialect.met:
        dialect.is_of(await _kind(client))
    if dialect.kind == "transformers":  # lists what is in its cache, or nothing
        model = client.endpoint.model or (wanted if _HUB_ID.fullmatch(wanted) else "")
        client.servers.use({})
    elif problem is not None:
        raise problem
    client.model = model
    return model, context or await _context_length(client)


async def loaded_model(client: ModelClient, wanted: str, on_loading: Callable[[str], None]) -> tuple[str, int]:
    """`served_model`, once the server has loaded it; until then `on_loading` is told so. Raises EngineLost,
    EngineRefused."""
    until = time.monotonic() + LOADING_SECONDS
    while True:
        try:
            return await served_model(client, wanted)
        except EngineBusy as error:
            if time.monotonic() > until:
                raise
            on_loading(str(error))
        await asyncio.sleep(SERVED_SECONDS)


async def look_again(client: ModelClient, wanted: str) -> None:
    """Look now and then whether the servers that were not there, or had another model, have come; `wanted` as above."""
    while client.servers.missing:
        await asyncio.sleep(AGAIN_SECONDS)
        with contextlib.suppress(EngineLost, EngineRefused):
            await served_model(client, wanted)


def text_forms(folder: Path, tokenizer: CodeLlamaTokenizer) -> TextForms:
    """How prompts for the model in `folder` are put as text; it takes a while."""
    from lsp_server.codellama.text_form import TextForms  # not before a model is reached

    return TextForms(folder, tokenizer)


async def try_text(client: ModelClient, tokenizer: CodeLlamaTokenizer, texts: TextForms) -> None:
    """Have a server that says that it reads prompts as text read one, and compare how many tokens that is for it."""
    dialect = client.dialect
    if dialect.kind not in TEXT_ALONE or dialect.tried:
        return
    dialect.tried = True
    if tokenizer.abilities.infilling:
        ids = tokenizer.infill_ids(_BEFORE, _AFTER)
    else:
        ids = tokenizer.completion_ids(_BEFORE)
    with contextlib.suppress(EngineLost, EngineRefused, TimeoutError, asyncio.TimeoutError):
        for _ in range(2):  # with the name of the first token, where it shows that it is wanted
            before = dialect.names_start
            await asyncio.wait_for(_asked(client, ids, Words(texts=texts)), TRY_SECONDS)
            if dialect.names_start == before:
                break
    if not dialect.infills:
        log.warning("the server does not read the infilling tokens in a text")


async def _asked(client: ModelClient, ids: list[int], words: Words) -> None:
    async with contextlib.aclosing(client.complete(ids, max_tokens=1, words=words)) as pieces:
        async for _ in pieces:
            pass


async def _kind(client: ModelClient) -> Kind:
    if (kind := _OWNERS.get(client.owner)) is not None:
        return kind
    described = [_within(each, "paths") for each in await client.says("/openapi.json")]
    for path, kind in _PATHS.items():
        if any(isinstance(paths, dict) and path in paths for paths in described):
            return kind
    return "tgi" if any(_within(each, "max_total_tokens") for each in await client.says("/info")) else ""


async def _context_length(client: ModelClient) -> int:
    """As some say it in a place of their own; 0: it is not known."""
    found: list[Any] = []
    if client.dialect.kind == "llama.cpp":
        found = [_within(each, "default_generation_settings", "n_ctx") for each in await client.says("/props")]
    elif client.dialect.kind == "tgi":
        # One limit of prompt and answer together, and one of the prompt alone: who keeps to the lesser keeps to both.
        found = [_within(each, name) for each in await client.says("/info") for name in _TGI_LIMITS]
    return min((each for each in found if type(each) is int and each > 0), default=0)


def _within(said: Any, *names: str) -> Any:
    for name in names:
        said = said.get(name) if isinstance(said, dict) else None
    return said
