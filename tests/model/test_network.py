"""The way to a server: proxies, certificates, and what is sent in the clear."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import subprocess

import pytest

from lsp_server.model import endpoint, network
from lsp_server.model.access import ModelAccess, ModelUnavailable
from lsp_server.model.client import ModelClient
from lsp_server.settings import Settings
from model.conftest import MODELS, serving

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def why_not(**settings):
    """Why the model of these settings cannot be reached."""
    access = ModelAccess(Settings(**settings))
    with pytest.raises(ModelUnavailable) as caught:
        await access.wait()
    access.close()
    return str(caught.value)


@pytest.fixture
async def proxy():
    """A proxy that answers itself: (its address, the heads that it got)."""
    heads = []

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if heads[-1].startswith("CONNECT"):
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            else:
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(MODELS)}\r\n\r\n{MODELS}".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as listening:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}", heads


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_host_that_only_the_proxy_knows(proxy, monkeypatch, variable):
    monkeypatch.setenv(variable, f"http://me:s3cret@{proxy[0]}")
    client = ModelClient(endpoint.remote("http://gpu-box.example:8000"))
    assert await client.served_model() == ("theirs", 16384)
    await client.aclose()
    assert proxy[1][0].startswith("GET http://gpu-box.example:8000/v1/models HTTP/1.1\r\n")
    assert f"proxy-authorization: basic {base64.b64encode(b'me:s3cret').decode().lower()}" in proxy[1][0].lower()


async def test_a_proxy_for_https_is_asked_for_a_connection_and_what_it_says_is_told(proxy, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:s3cret@{proxy[0]}")
    said = await why_not(engine_url="https://gpu-box.example")
    assert proxy[1][0].startswith("CONNECT gpu-box.example:443 HTTP/1.1\r\n")
    assert f"by way of the proxy http://{proxy[0]}" in said
    assert "407 Proxy Authentication Required" in said
    assert "s3cret" not in said


async def test_a_proxy_that_wants_a_password_is_told_from_the_server(theirs, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", theirs.url)
    theirs.models = (407, "{}")
    said = await why_not(engine_url="http://gpu-box.example")
    assert said.startswith("The proxy for http://gpu-box.example lets nobody in (status 407)")


async def test_this_machine_is_reached_without_a_proxy(theirs, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    client = ModelClient(endpoint.remote(theirs.url))
    assert await client.served_model() == ("theirs", 16384)
    await client.aclose()


@pytest.mark.parametrize(
    ("url", "exempt", "goes_by"),
    [
        ("http://gpu-box:8000", "", True),
        ("http://gpu-box:8000", "other, gpu-box", False),
        ("http://gpu-box.corp.example", ".corp.example", False),
        ("http://gpu-box.corp.example", "corp.example", False),
        ("http://gpu-box.corp.example", "*.corp.example", False),
        ("http://evilcorp.example", "corp.example", True),
        ("http://GPU-Box", "gpu-BOX", False),
        ("http://gpu-box:8000", "gpu-box:8000", False),
        ("http://gpu-box:8000", "gpu-box:8001", True),
        ("http://gpu-box:8000", "*", False),
        ("http://10.1.2.3:8000", "10.0.0.0/8", False),
        ("http://11.1.2.3:8000", "10.0.0.0/8", True),
        ("http://[fd00::5]:8000", "fd00::/8", False),
        ("http://[fd00::5]:8000", "[fd00::5]", False),
        ("http://localhost:8000", "", False),
        ("http://127.0.0.2", "", False),
        ("http://[::1]:8000", "", False),
    ],
)
def test_hosts_that_no_proxy_names(monkeypatch, url, exempt, goes_by):
    monkeypatch.setenv("HTTP_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert network.proxy(url) == ("http://proxy:3128" if goes_by else None)


@pytest.mark.parametrize(("named", "sentence"), [("socks5://proxy", "httpx\\[socks\\]"), ("ftp://proxy", "HTTP_PROXY")])
async def test_a_proxy_that_cannot_be_used_is_told(monkeypatch, named, sentence):
    monkeypatch.setenv("HTTP_PROXY", named)
    with pytest.raises(network.NoWay, match=sentence):
        network.proxy("http://gpu-box")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "it.pem")]
    subprocess.run(["openssl", *made, *names, *files], check=True, capture_output=True)
    return folder / "it.pem", folder / "key"


@pytest.fixture
async def secure(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with serving(context) as scripted:
        yield scripted


async def test_a_certificate_that_nobody_vouches_for_is_told_as_such(secure):
    said = await why_not(engine_url=f"https://127.0.0.1:{secure.port}")
    assert f"The certificate of https://127.0.0.1:{secure.port} is not trusted (self-signed certificate)" in said
    assert "codellama.caFile" in said
    assert not secure.heads


async def test_the_file_of_a_certificate_makes_it_trusted(secure, certificate, tokenizer_folder):
    url = f"https://127.0.0.1:{secure.port}"
    settings = Settings(engine_url=url, ca_file=str(certificate[0]), tokenizer=str(tokenizer_folder("7b")))
    access = ModelAccess(settings)
    assert (await access.wait()).model == "theirs"
    access.close()


async def test_a_certificate_for_another_name_is_none(secure, certificate):
    said = await why_not(engine_url=f"https://localhost:{secure.port}", ca_file=str(certificate[0]))
    assert "is not trusted (hostname mismatch" in said


async def test_what_is_no_file_of_certificates(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    assert "has no certificate in PEM form" in await why_not(
        engine_url="https://gpu-box.example", ca_file=str(tmp_path / "empty.pem")
    )
    missing = str(tmp_path / "missing.pem")
    assert f"({missing}) cannot be read: no such file" in await why_not(
        engine_url="https://gpu-box.example", ca_file=missing
    )


async def test_a_server_without_tls(theirs):
    said = await why_not(engine_url=f"https://127.0.0.1:{theirs.port}")
    assert "does not speak TLS" in said
    assert "begin with http://" in said


CLEAR = ["http://gpu-box.example:8000", "http://10.0.0.5", "http://[fd00::5]:8000", "http://2130706433"]


@pytest.mark.parametrize("url", CLEAR)
async def test_a_token_is_not_sent_in_the_clear(url):
    said = await why_not(engine_url=url, engine_token="s3cret")
    assert f"would be sent to {url} in the clear" in said
    assert "codellama.allowPlainHttp" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("url", ["http://me:s3cret@gpu-box.example", "http://gpu-box.example/?api-key=s3cret"])
async def test_nor_a_password_or_a_key_in_the_address(url):
    said = await why_not(engine_url=url)
    assert "would be sent to http://gpu-box.example in the clear" in said
    assert "s3cret" not in said


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:8000", "https://gpu-box"])
def test_it_is_sent_to_this_machine_and_where_nobody_can_read_it(url):
    (at,) = endpoint.remotes(Settings(engine_url=url, engine_token="abc"))
    assert at.token == "abc"


@pytest.mark.parametrize("url", CLEAR)
def test_it_is_sent_in_the_clear_where_the_user_allows_it_or_there_is_none(url):
    (at,) = endpoint.remotes(Settings(engine_url=url, engine_token="abc", allow_plain_http=True))
    assert at.token == "abc"
    assert len(endpoint.remotes(Settings(engine_url=f"{url}?api-version=2"))) == 1


async def test_who_redirects_gets_no_token(theirs):
    """A token goes to one address; where that one sends us is another."""
    async with serving() as other:
        theirs.models = (307, "{}")
        theirs.more = f"Location: {other.url}/v1/models\r\n"
        access = ModelAccess(Settings(engine_url=theirs.url, engine_token="abc"))
        with pytest.raises(ModelUnavailable, match=f"sends one on to {other.url}: name that in codellama.engineUrl"):
            await access.wait()
        access.close()
        assert not other.heads
