"""The way to a server: by which proxy, and who may vouch for it."""

from __future__ import annotations

import ipaddress
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lsp_server import installing
from lsp_server.errors import UserError, reason
from lsp_server.model.endpoint import BadAddress, Endpoint, is_loopback, remote

if TYPE_CHECKING:
    import ssl

_PROXIES = ("http", "https", "socks5", "socks5h")


class NoWay(UserError):
    """A server cannot be reached as the settings or the environment say; the message is the sentence."""


def proxy(url: str) -> str | None:
    """The proxy by which a URL is reached, None for none: that of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or of the
    system's settings, unless NO_PROXY names the host. This machine is reached without. Raises NoWay."""
    import urllib.request  # an editor waits for `initialize`, not for HTTP

    found = urllib.request.getproxies()
    parts = urllib.parse.urlsplit(url)
    named = found.get(parts.scheme) or found.get("all")
    if not named or is_loopback(url) or _is_exempt(parts, found.get("no", "")):
        return None
    if "://" not in named:
        named = f"http://{named}"
    scheme = urllib.parse.urlsplit(named).scheme.lower()
    if scheme == "socks":
        scheme, named = "socks5", f"socks5{named[len('socks') :]}"
    if scheme not in _PROXIES:
        raise NoWay(f"The proxy for {url} is one of {scheme}, which is not known: set {_variable(parts.scheme)}.")
    if scheme.startswith("socks") and not _has_socks():
        mend = installing.adding("httpx[socks]")
        raise NoWay(f"The proxy for {url} is one of SOCKS, for which a package is missing: run `{mend}`.")
    return named


def shown(proxy: str) -> str:
    """A proxy as a sentence may name it, without its password."""
    parts = urllib.parse.urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def authorities(at: Endpoint) -> ssl.SSLContext | bool:
    """Who may vouch for a server: those that the system knows, or SSL_CERT_FILE names, and those of its own file. False
    for one that is reached in the clear: to read them takes 20 ms. Raises NoWay."""
    if not at.url.startswith("https:"):
        return False
    import ssl

    import httpx

    context = httpx.create_ssl_context()
    if not os.environ.get("SSL_CERT_FILE") and not os.environ.get("SSL_CERT_DIR"):
        context.load_default_certs()  # httpx knows those of browsers alone, and not a company's
    if at.authorities:
        try:
            context.load_verify_locations(cafile=Path(at.authorities).expanduser())
        except ssl.SSLError as error:
            raise NoWay(
                f"codellama.caFile ({at.authorities}) has no certificate in PEM form: it begins with BEGIN CERTIFICATE."
            ) from error
        except OSError as error:
            raise NoWay(f"codellama.caFile ({at.authorities}) cannot be read: {reason(error)}.") from error
    return context


def failure(at: Endpoint, error: Exception) -> str:
    """The sentence on a connection that could not be made."""
    import ssl

    cause = next((each for each in _causes(error) if isinstance(each, ssl.SSLError)), None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = cause.verify_message.strip().rstrip(".")
        return (
            f"The certificate of {at.url} is not trusted ({why[:1].lower()}{why[1:]}): name the file of who vouches "
            "for it in codellama.caFile, or check the address."
        )
    if cause is not None:
        return f"{at.url} does not speak TLS ({reason(cause)}): check whether the address should begin with http://."
    how = reason(error)
    if not at.ours and (by := proxy(at.url)) is not None:
        return f"No engine answers at {at.url} by way of the proxy {shown(by)} ({how}); check both addresses."
    return at.gone(how)


def sent_on(at: Endpoint, to: str) -> str:
    """The sentence on a server that has another address answer; `to`: which, as it says."""
    try:
        where = remote(urllib.parse.urljoin(f"{at.url}/", to)).url
    except (BadAddress, ValueError):
        where = "another address"
    return f"{at.name} sends one on to {where}: name that in codellama.engineUrl, if it is right."


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(10):  # a circle would be a fault of a library
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _is_exempt(parts: urllib.parse.SplitResult, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host: it has names, which stand for what is below them too, addresses and networks,
    each with a port or without, or `*`. Source: https://everything.curl.dev/usingcurl/proxies/env.html"""
    host, port = (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}[parts.scheme]
    return any(_names(each.lower(), host, port) for each in no_proxy.replace(",", " ").split())


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        network = ipaddress.ip_network(entry.strip("[]"), strict=False)
        return ipaddress.ip_address(host) in network
    except ValueError:
        pass  # one of both is a name
    entry = entry.partition("://")[2] or entry
    name, _, its_port = entry.rpartition(":") if entry.rpartition(":")[2].isdigit() else (entry, "", "")
    name = name.strip("[]").removeprefix("*").lstrip(".")
    return bool(name) and (not its_port or int(its_port) == port) and (host == name or host.endswith(f".{name}"))


def _variable(scheme: str) -> str:
    return f"{scheme.upper()}_PROXY"


def _has_socks() -> bool:
    import importlib.util

    return importlib.util.find_spec("socksio") is not None
