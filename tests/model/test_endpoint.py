"""The address of a server and its token, as people type and paste them."""

from __future__ import annotations

import asyncio

import pytest
from editor import editor

from lsp_server.model import endpoint
from lsp_server.model.access import ModelAccess, ModelUnavailable
from lsp_server.settings import Settings

ADDRESSES = {
    "http://gpu-box:8000": "http://gpu-box:8000",
    " http://gpu-box:8000\n": "http://gpu-box:8000",
    '"http://gpu-box:8000"': "http://gpu-box:8000",
    "'http://gpu-box:8000/v1/' ": "http://gpu-box:8000",
    "http://gpu-box:8000/v1/completions": "http://gpu-box:8000",
    "http://gpu-box:8000/v1/chat/completions/": "http://gpu-box:8000",
    "https://host/models/llama/v1": "https://host/models/llama",
    "HTTPS://Host": "https://host",
    "gpu-box:8000": "http://gpu-box:8000",
    "gpu-box": "http://gpu-box",
    "[::1]:8000": "http://[::1]:8000",
    "http://[fd00::5]:8000/v1/": "http://[fd00::5]:8000",
    "https://host/base/v1?api-version=2&key=s3cret": "https://host/base",
    "https://host?key=s3cret": "https://host",
    "https://me:s3cret@host/base/#top": "https://host/base",
}


@pytest.mark.parametrize("typed", ADDRESSES)
def test_an_address_as_it_was_pasted(typed):
    assert endpoint.remote(typed).url == ADDRESSES[typed]


@pytest.mark.parametrize(
    "typed",
    ["http://", "ftp://host", "unix:///tmp/x", "http://host:many", "http://host:99999", "http://[::1", "http://a b/",
     "http://ho\x00st", "://", "file:///etc", "http://a,b", "http://a:8000,b:8000", "http://a, ftp://b", "http://xn--a",
     "https://b.xn--zz--zz.example/v1",
     "http://xn--.example", "http://stra\u00dfe_.example"],
)  # fmt: skip
def test_what_is_no_address_is_said_to_be_none_in_a_sentence(typed):
    with pytest.raises(endpoint.BadAddress, match=r"^codellama\.engineUrl .*it looks like http://gpu-box:8000\.$"):
        endpoint.remote(typed)


@pytest.mark.parametrize(
    "typed", ["abc", " abc\n", '"abc"', "Bearer abc", "bearer  abc ", "\u201cabc\u201d", "'Bearer abc'"]
)
def test_a_token_as_it_was_pasted(typed):
    assert endpoint.remote("http://host", typed).token == "abc"


@pytest.mark.parametrize("typed", ["a b", "a\nb", "gehe\u00efm", "a\x00b", "a\u200bb"])
def test_what_no_header_can_hold_is_no_token(typed):
    with pytest.raises(endpoint.BadAddress, match=r"^codellama\.engineToken has a character") as caught:
        endpoint.remote("http://host", typed)
    assert typed not in str(caught.value)


async def test_a_password_in_the_address_lets_one_in_and_is_never_shown(theirs, tokenizer_folder):
    options = {
        "engineUrl": f"http://me:s%40cret@127.0.0.1:{theirs.port}/v1",
        "tokenizer": str(tokenizer_folder("7b")),
        "debounceMs": 0,
    }
    async with editor(options) as window:
        uri = window.open("untitled:a.py", "x = \n")
        ready = await window.ready()
        assert ready["device"] == theirs.url
        await window.suggest(uri, 0, 4)
    assert "authorization: basic bwu6c0bjcmv0" in theirs.heads[-1].lower()  # me:s@cret
    assert not any("cret" in str(told) for told in (window.statuses, window.messages))


@pytest.mark.parametrize("secret", ["http://me:s3cret@host:many", "http://me:s3cret@", "ftp://me:s3cret@host"])
async def test_nor_where_the_address_is_wrong(secret):
    with pytest.raises(ModelUnavailable, match="engineUrl") as caught:
        await ModelAccess(Settings(engine_url=secret)).wait()
    assert "s3cret" not in str(caught.value)


async def test_a_pasted_token_reaches_the_server(theirs, tokenizer_folder):
    settings = Settings(
        engine_url=f" 127.0.0.1:{theirs.port}/ ", engine_token='"abc\n"', tokenizer=str(tokenizer_folder("7b"))
    )
    access = ModelAccess(settings)
    await access.wait()
    assert "authorization: bearer abc\r\n" in theirs.heads[-1].lower()
    access.close()


async def test_what_stands_behind_the_path_goes_with_each_request_and_is_never_shown(theirs, tokenizer_folder):
    options = {
        "engineUrl": f"http://[::1]:{theirs.port}/base/v1?api-version=2&key=s3cret%2F",
        "tokenizer": str(tokenizer_folder("7b")),
        "logLevel": "debug",
    }
    async with await asyncio.start_server(theirs.serve, "::1", theirs.port), editor(options) as window:
        uri = window.open("untitled:a.py", "x = \n")
        ready = await window.ready()
        assert ready["device"] == f"http://[::1]:{theirs.port}/base"
        assert len(await window.suggest(uri, 0, 4)) == 1
        theirs.answer = lambda body: (500, "text/plain", b"")
        window.insert(uri, 0, 4, "a")
        await window.suggest(uri, 0, 5)
    assert [head.split()[1] for head in theirs.heads if "/v1/" in head][:2] == [
        "/base/v1/models?api-version=2&key=s3cret%2F",
        "/base/v1/completions?api-version=2&key=s3cret%2F",
    ]
    assert not any("s3cret" in str(told) for told in (window.statuses, window.messages))


@pytest.mark.parametrize("url", ["http://me:s3cret@127.0.0.1:9/", "http://127.0.0.1:9/?key=s3cret"])
async def test_nothing_secret_is_shown_of_a_server_that_is_not_there(url):
    access = ModelAccess(Settings(engine_url=url))
    with pytest.raises(ModelUnavailable, match=r"^No engine answers at http://127\.0\.0\.1:9 \(") as caught:
        await access.wait()
    assert "s3cret" not in str(caught.value) + repr(endpoint.remotes(access.settings))
    access.close()


def tokens(urls, token):
    """The token that each server gets."""
    return [at.token for at in endpoint.remotes(Settings(engine_url=urls, engine_token=token))]


def test_several_addresses_each_once():
    urls = " http://localhost:1/v1 , 'https://b'\n\"http://localhost:3\",http://localhost:1/"
    found = endpoint.remotes(Settings(engine_url=urls))
    assert [at.url for at in found] == ["http://localhost:1", "https://b", "http://localhost:3"]


@pytest.mark.parametrize(
    ("urls", "token", "sent"),
    [
        ("https://a", "abc", ["abc"]),
        ("https://a https://b", "abc", ["abc", "abc"]),
        ("https://a", "https://a abc", ["abc"]),
        ("https://a/base/v1?x=1", "https://A:443/v1 Bearer abc", ["abc"]),
        ("https://a", "https://b abc", [""]),
        ("https://a:8443", "https://a abc", [""]),
        ("http://localhost", "https://localhost abc", [""]),
        ("https://a.evil.example", "https://a abc", [""]),
        ("https://a@evil.example", "https://a abc", [""]),
        ("https://a https://b https://c", "https://b two, https://a 'one'", ["one", "two", ""]),
    ],
)
def test_a_token_goes_to_the_address_that_it_belongs_to(urls, token, sent):
    assert tokens(urls, token) == sent


@pytest.mark.parametrize(
    "token", ["https://a", "https://a one two", "one https://a", "https://a https://b", "https:// x"]
)
def test_tokens_that_belong_to_nothing(token):
    with pytest.raises(endpoint.BadAddress, match=r"^codellama\.engine"):
        tokens("https://a", token)


async def test_that_a_token_is_of_another_address_is_told(theirs):
    theirs.models = (401, "{}")
    access = ModelAccess(Settings(engine_url=theirs.url, engine_token="https://gpu-box s3cret"))
    with pytest.raises(ModelUnavailable, match="belongs to another address: set one for this address") as caught:
        await access.wait()
    assert "s3cret" not in str(caught.value) + "".join(theirs.heads)
    access.close()


async def test_settings_of_a_workspace_do_not_send_the_users_token_elsewhere(theirs, tokenizer_folder):
    """What comes with `initialize` is the user's; what the editor is asked for may be of a project."""
    given = {"engineUrl": "https://gpu-box.example", "engineToken": "s3cret", "tokenizer": str(tokenizer_folder("7b"))}
    async with editor(given, configuration={"engineUrl": theirs.url}) as window:
        window.open("untitled:a.py", "x = \n")
        await window.ready()
        await window.until(lambda: window.messages)
    assert "`codellama.engineToken` was set along with another address" in window.messages[0]
    assert theirs.heads
    assert "s3cret" not in "".join(theirs.heads) + "".join(window.messages)
