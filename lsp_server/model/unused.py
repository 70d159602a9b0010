"""An engine that runs with other options than are wanted: whose they are, and whether it takes new ones."""

from __future__ import annotations

import os

from lsp_server.engine.options import Options, different
from lsp_server.model.client import ModelClient
from lsp_server.model.exchange import EngineRefused


async def taken(client: ModelClient, wanted: Options, *, insists: bool) -> bool:
    """Have a running engine go on with the options `wanted`; whether it does, or is to be joined as it is.

    It is left as it is where others use it, where it was started by hand, and where it loads. `insists`: it is not.
    Raises EngineLost.
    """
    if not insists and not await _is_free(client, wanted):
        return True
    return await client.give_options(wanted)


async def _is_free(client: ModelClient, wanted: Options) -> bool:
    """Whether an engine has other options, which are nobody's any more."""
    try:
        health = await client.health()
    except EngineRefused:
        return False
    if (
        not health.by_settings
        or health.status == "loading"
        or not different(health.options, wanted, health.quantizations)
    ):
        return False
    import psutil

    return not any(psutil.pid_exists(pid) for pid in health.users if pid != os.getpid())
