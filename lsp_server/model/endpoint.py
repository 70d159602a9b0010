"""One server that has a model: where it is, how one is let in, and what can be asked of it."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import urllib.parse

from lsp_server.engine.address import Address
from lsp_server.errors import UserError
from lsp_server.settings import Settings

EXAMPLE = "it looks like http://gpu-box:8000"
# What people paste along with the address of a server.
_API_PATH = re.compile(r"/v1(/(chat/)?completions|/models)?$")
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
# Between two addresses; each but the first begins with its scheme.
_BETWEEN = re.compile(rf"[\s,]+(?=[{_QUOTES}]?https?://)", re.IGNORECASE)
# What a secret in a query is called.
_SECRET = re.compile(r"(key|token|secret|sig|signature|auth|password|code)=", re.IGNORECASE)


class BadAddress(UserError):
    """A setting cannot be the address of a server or its token; the message says which and what is wrong."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How many seconds a server may be silent: before the `first` of an answer, and `between` its parts."""

    first: float = 600.0
    between: float = 600.0


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """`url` without a trailing slash, `/v1` or anything secret; `socket` where it is a Unix socket; `login`: name and
    password, and `query`: what stood behind the `?`, where the address had them. `ours`: the project's own engine,
    started for this user.

    `withheld`: there is a token, of another address. `model`: the one that is wanted of it, and `like`: names of which
    it may be another form. `authorities`: a file with the certificates of who else may vouch for it.
    """

    url: str
    socket: str = ""
    token: str = dataclasses.field(default="", repr=False)
    login: tuple[str, str] | None = dataclasses.field(default=None, repr=False)
    query: str = dataclasses.field(default="", repr=False)
    ours: bool = False
    withheld: bool = False
    model: str = ""
    like: tuple[str, ...] = ()
    authorities: str = ""
    patience: Patience = Patience()

    @property
    def name(self) -> str:
        """What it is called in a sentence, at its beginning. Where the own engine listens is nobody's concern."""
        return "The engine" if self.ours else f"The engine at {self.url}"

    def gone(self, how: str) -> str:
        """The sentence on a server that is not there."""
        if self.ours:
            return f"The engine does not answer ({how})."
        return f"No engine answers at {self.url} ({how}); check the address, and whether one runs there."

    def keeps_out(self, said: str) -> str:
        """The sentence on a server that does not let one in; `said`: its own words, or "" for none."""
        words = f" ({said})" if said else ""
        if self.withheld:
            return (
                f"{self.name} lets nobody in without a token{words}, and the one in codellama.engineToken belongs to "
                "another address: set one for this address."
            )
        if self.token or self.login:
            return f"{self.name} does not accept the token or password{words}; check codellama.engineToken."
        return f"{self.name} lets nobody in without a token{words}; set codellama.engineToken."

    @property
    def heals(self) -> bool:
        """Whether it can choose a prompt's last tokens anew."""
        return self.ours

    @property
    def chooses(self) -> bool:
        """Whether it can choose an answer's first line among several."""
        return self.ours

    @property
    def shared(self) -> bool:
        """Whether others use it, so that nothing is asked of it that nobody waits for."""
        return not self.ours


def local(at: Address) -> Endpoint:
    """The engine on this machine."""
    return Endpoint(at.url, socket=at.socket, token=at.token, ours=True)


def remotes(settings: Settings) -> tuple[Endpoint, ...]:
    """The servers of `codellama.engineUrl`, each with the token of `codellama.engineToken` that belongs to it.

    Raises BadAddress, also where a secret would be sent in the clear.
    """
    found = _addresses(settings.engine_url)
    tokens = _tokens(settings.engine_token)
    return tuple(_completed(at, tokens, settings) for at in found)


def bound(token: str, urls: str) -> str:
    """A token in the form that names the servers it belongs to, so that it goes to no other: those at `urls`, where it
    names none itself. "" where these are no addresses."""
    words = _words(token)
    if not words or any("://" in each for each in words):
        return token
    try:
        return " ".join(f"{_origin_of(at.url)} {' '.join(words)}" for at in _addresses(urls))
    except BadAddress:
        return ""


def _addresses(urls: str) -> tuple[Endpoint, ...]:
    """The servers of a setting that may name several. Raises BadAddress."""
    return tuple({at.url: at for each in _BETWEEN.split(_unquoted(urls)) if (at := remote(each))}.values())


def remote(url: str, token: str = "") -> Endpoint:
    """One server at an address, with a token, as they were typed or pasted.

    White space and quotes around them, "Bearer" before a token and the path of the API are taken away; an address
    without a scheme is one of HTTP. Raises BadAddress.
    """
    text = _unquoted(url)
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urllib.parse.urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadAddress(f"codellama.engineUrl is not a URL ({_first(error)}): {EXAMPLE}.") from error
    if parts.scheme.lower() not in ("http", "https"):
        raise BadAddress(f"codellama.engineUrl begins with {parts.scheme}://, which is not HTTP: {EXAMPLE}.")
    if "," in (host or ""):
        raise BadAddress(f"codellama.engineUrl has several addresses, not all of which begin with http: {EXAMPLE}.")
    if not host or any(not each.isprintable() or each.isspace() for each in text):
        raise BadAddress(f"codellama.engineUrl names no host: {EXAMPLE}.")
    if not _is_name(host):
        raise BadAddress(f"codellama.engineUrl names a host that none can be called, {host}: {EXAMPLE}.")
    path = _API_PATH.sub("", parts.path.rstrip("/")).rstrip("/")
    login = (urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or ""))
    return Endpoint(
        f"{_origin(parts.scheme, host, port)}{path}",
        token=_token(token),
        login=login if any(login) else None,
        query=parts.query,
    )


def _is_name(host: str) -> bool:
    """Whether what is not plain letters in a host's name can be asked for: RFC 5891."""
    if host.isascii() and "xn--" not in host:
        return True
    import idna  # which httpx asks, and stumbles over

    try:
        return bool(idna.decode(idna.encode(host, uts46=True)))
    except UnicodeError:
        return False


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine itself, so that what is sent there leaves it by no network."""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    inner = getattr(address, "ipv4_mapped", None) or address
    return inner.is_loopback or inner.is_unspecified


def heals(settings: Settings) -> bool:
    """Whether the model that `settings` name, wherever it is, can choose a prompt's last tokens anew."""
    return not settings.engine_url


def _completed(at: Endpoint, tokens: dict[str, str], settings: Settings) -> Endpoint:
    """A server with all that the settings say of it. Raises BadAddress."""
    token = tokens.get(_origin_of(at.url), tokens.get("", ""))
    secret = token or at.login or _SECRET.search(at.query)
    if secret and at.url.startswith("http:") and not is_loopback(at.url) and not settings.allow_plain_http:
        raise BadAddress(
            f"A token or password would be sent to {at.url} in the clear, where others can read it: use https, or "
            "allow it by codellama.allowPlainHttp."
        )
    return dataclasses.replace(
        at,
        token=token,
        withheld=bool(tokens) and not token,
        model=settings.remote_model,
        like=tuple(name for name in (settings.model, settings.tokenizer) if name),
        authorities=settings.ca_file,
        patience=Patience(settings.first_token_seconds, settings.next_token_seconds),
    )


def _tokens(typed: str) -> dict[str, str]:
    """Tokens by the origin that each belongs to; "": to whatever the address is. Raises BadAddress."""
    words = _words(typed)
    if not any("://" in each for each in words):
        return {"": token} if (token := _token(typed)) else {}
    if len(words) % 2 or any(("://" in each) == at % 2 for at, each in enumerate(words)):
        raise BadAddress(
            "codellama.engineToken has addresses and tokens that do not match: it is one token, or for each server its "
            "address, a space and its token."
        )
    return {_origin_of(remote(url).url): _token(token) for url, token in zip(words[::2], words[1::2], strict=True)}


def _words(typed: str) -> list[str]:
    words = (_unquoted(word) for word in re.split(r"[\s,]+", _unquoted(typed)))
    return [each for each in words if each and each.lower() != "bearer"]


def _token(typed: str) -> str:
    token = _unquoted(typed)
    if token.lower().startswith("bearer "):
        token = _unquoted(token[len("bearer ") :])
    if any(not "!" <= each <= "~" for each in token):
        raise BadAddress(
            "codellama.engineToken has a character that no token has (white space within it, or a letter that is not "
            "ASCII): paste it once more."
        )
    return token


def _origin_of(url: str) -> str:
    """Scheme, host and port of a URL, whose default port may be left out: what a token belongs to."""
    parts = urllib.parse.urlsplit(url)
    usual = {"http": 80, "https": 443}[parts.scheme]
    return _origin(parts.scheme, parts.hostname or "", parts.port or usual)


def _origin(scheme: str, host: str, port: int | None) -> str:
    where = f"[{host}]" if ":" in host else host
    return f"{scheme.lower()}://{where}{f':{port}' if port is not None else ''}"


def _unquoted(typed: str) -> str:
    """Without the white space and the quotes around it."""
    return typed.strip().strip(_QUOTES).strip()


def _first(error: Exception) -> str:
    return str(error).partition(":")[0].partition("'")[0].strip()
