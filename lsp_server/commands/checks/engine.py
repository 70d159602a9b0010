"""Where the model runs: the engine of this machine, or a server."""

from __future__ import annotations

import asyncio
import shlex
import socket
import urllib.parse
from collections.abc import Iterator

from lsp_server import places
from lsp_server.commands import engines
from lsp_server.commands.checks import Check, fine, note
from lsp_server.engine import address
from lsp_server.errors import UserError, reason
from lsp_server.model import endpoint, local, network
from lsp_server.model.client import ModelClient
from lsp_server.model.exchange import EngineLost, EngineRefused
from lsp_server.settings import Settings

_PROXY_SECONDS = 3.0


def folder() -> Iterator[Check]:
    """Where engines are found, and what those have left there that crashed."""
    try:
        wanted, runtime = places.wanted_runtime_folder(), places.runtime_folder()
        if runtime != wanted:
            found = f"the path of {wanted} is too long for a socket, so engines are found in {runtime} instead"
            yield note("sockets", found, "set CODELLAMA_LS_RUNTIME to a folder with a shorter path")
        if left := address.traces():
            found = f"{len(left)} file{'s' * (len(left) != 1)} of engines that ended without their end, in {runtime}"
            yield note("sockets", found, "codellama-ls stop")
    except UserError as error:
        yield Check("sockets", False, str(error))


def here(model: str) -> Check:
    """The engine of this machine."""
    try:
        at = local.running(model)
    except UserError as error:
        return Check("engine", False, str(error))
    if at is None:
        return fine("engine", "not running; the first editor window starts it")
    health, stop = asyncio.run(engines.says(at)), f"codellama-ls stop {shlex.quote(model)}"
    if health is None:
        return Check("engine", False, f"it hangs, or is stopped (process {at.pid})", stop)
    planned = "planned with " if health.status == "ready" else ""
    found = f"{health.status}: {planned}{health.message} (process {at.pid}, version {at.version})"
    if health.status == "failed":
        return Check("engine", False, found, f"see {local.log_file(model)}")
    other = local.of_another_installation(at)
    return note("engine", f"{found}. {other}", stop) if other else fine("engine", found)


def servers(settings: Settings) -> tuple[endpoint.Endpoint, ...]:
    """Those that the settings name; none where they name no addresses, which `remote` tells."""
    try:
        return endpoint.remotes(settings)
    except UserError:
        return ()


def remote(settings: Settings) -> Check:
    """The servers of `engine_url`."""
    return asyncio.run(_remote(settings))


async def _remote(settings: Settings) -> Check:
    try:
        client = ModelClient(*endpoint.remotes(settings))
    except UserError as error:  # its sentence says how to mend it
        return Check("engine", False, str(error))
    try:
        model, context = await client.served_model()
    except (EngineLost, EngineRefused) as error:
        return Check("engine", False, str(error), "check the URL, the token, and that the server runs")
    finally:
        await client.aclose()
    where = ", ".join(at.url for at in client.servers.endpoints)
    return fine("engine", f"{where} serves {model}, context {context or 'unknown'}")


def proxies(urls: list[str]) -> Iterator[Check]:
    """The proxies by which these addresses are reached."""
    seen = set()
    for url in urls:
        try:
            by = network.proxy(url)
        except network.NoWay as error:
            yield Check("proxy", False, str(error))
            continue
        if by is not None and by not in seen:
            seen.add(by)
            yield _proxy(by)


def _proxy(by: str) -> Check:
    parts, shown = urllib.parse.urlsplit(by), network.shown(by)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 1080)
        socket.create_connection((parts.hostname or "", port), _PROXY_SECONDS).close()
    except (OSError, ValueError) as error:
        mend = "check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name what needs none in NO_PROXY"
        return Check("proxy", False, f"{shown} is not reached ({reason(error)})", mend)
    return fine("proxy", f"{shown} is reached")
