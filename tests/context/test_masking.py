"""What is masked before it goes to another machine, and what is not. The secrets are made up, in published forms."""

from __future__ import annotations

import random
import string
import sysconfig
from pathlib import Path

import pytest

from lsp_server.context import masking

LETTERS = "q7Zt2LmX9vBn4KcR8sWd3FhJ6pGy5TaQ1eUo0iCxVzNbMkYwHrSf"


def made(count: int, letters: str = LETTERS) -> str:
    return (letters * 9)[:count]


HEX = made(64, "0f3a9c7be1d24856")
KEY = "\n".join(made(64, LETTERS[shift:] + LETTERS[:shift]) for shift in range(5)) + "\nAbC123=="

SECRETS = [
    ("aws_id = '¦'", "AKIA" + made(16, "Q7ZT2LMX9VBN4KCR")),
    ('aws_secret_access_key = "¦"', made(40, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYz3k9Qh2L")),
    ("AWS_SECRET_ACCESS_KEY=¦", made(40)),
    ("git clone https://¦@github.com/a/b", "ghp_" + made(36)),
    ("token: ¦", "github_pat_" + made(40)),
    ("x = '¦'", "glpat-" + made(20)),
    ("SLACK='¦'", "xoxb-123456789012-" + made(24)),
    ("url = 'https://hooks.slack.com/services/¦'", "T0AB12CD3/B0EF45GH6/" + made(24)),
    ("stripe.api_key = '¦'", "sk_live_" + made(24)),
    ("client = Client('¦')", "sk-ant-" + made(40)),
    ("key=¦&q=1", "AIza" + made(35)),
    ("//packages.example.com/:_authToken=¦", "npm_" + made(36)),
    ("jwt = '¦'", "eyJ" + made(20) + ".eyJ" + made(40) + "." + made(43)),
    ("headers = {'Authorization': 'Bearer ¦'}", made(40)),
    ("curl -H 'authorization: basic ¦'", made(24) + "=="),
    ("-----BEGIN RSA PRIVATE KEY-----\n¦\n-----END RSA PRIVATE KEY-----\n", KEY),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\n¦", KEY[:300]),
    ("¦\n-----END PRIVATE KEY-----\n", KEY),
    ("¦\n", KEY.rpartition("\n")[0]),  # the middle of a long one
    ("postgres://user:¦@localhost:5432/app", "correct-horse7"),
    ('password = "¦"', "hunter2"),
    ("password: str = '¦'", "open sesame".replace(" ", "-")),
    ('{"db_password": "¦"}', "Tr0ub4dor&3"),
    ("DB_PASSWORD=¦", "s3cretValue"),
    ("export API_KEY=¦", HEX[:32]),
    ("  password: ¦", "pa55w0rd!x"),
    ("config['secret_key'] = '¦'", HEX[:48]),
    ("const clientSecret = '¦';", "8f14e45fceea167a5a36dedd4bea2543"),
    ("define('AUTH_KEY', '', token => '¦')", "a1b2c3d4e5f6"),
    ("x = '¦'", made(44)),
]

CODE = [
    "password = getpass.getpass()",
    "password = os.environ['DATABASE_PASSWORD']",
    'password = "<your password>"',
    'password = "${DB_PASSWORD}"',
    'password = f"{prefix}{name}"',
    "def login(user: str, password: str = '') -> None:",
    "password: string;",
    "type Token = Token123;",
    "tokens = ['if', 'else', 'while']",
    'token = "NEWLINE"',
    'token_type = "identifier_or_keyword"',
    'parser.add_argument("--password", help="The password of the database.")',
    'raise ValueError("password: must not be empty")',
    'secret = "please enter it"',
    'key = "user_id"',
    'api_key = "YOUR_API_KEY_HERE"',
    "keys = sorted(mapping, key=lambda each: each.name)",
    'digest = "d41d8cd98f00b204e9800998ecf8427e"',
    "import { AuthenticationHttpInterceptor2Service } from './a';",
    'name = "AbstractSingletonProxyFactoryBean"',
    'ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"',
    'uuid = "123e4567-e89b-12d3-a456-426614174000"',
    "https://example.com:8080/path@2x.png",
    "http://user@host/path",
    "-----BEGIN CERTIFICATE-----",
    'if line == "-----BEGIN PRIVATE KEY-----":\n    raise Unsupported("keys of that kind cannot be read here")\n',
    'if line == "-----END PRIVATE KEY-----":\n    return parse("".join(lines))\n',
    "uint16_t token: uint16_t",
    "x = basic configuration_of_the_server",
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_masked_and_all_else_stays(text: str, secret: str) -> None:
    before, _, after = text.partition("¦")
    masked = masking.masked(before + secret + after)
    assert masked == before + "".join("\n" if each == "\n" else "*" for each in secret) + after


@pytest.mark.parametrize("text", CODE)
def test_ordinary_code_stays_as_it_is(text: str) -> None:
    assert masking.masked(text) == text


@pytest.mark.parametrize("at", range(9))
def test_a_secret_with_the_cursor_in_it(at: int) -> None:
    prefix, suffix = 'password = "' + "hunter22"[:at], "hunter22"[at:] + '"\nx\n'
    assert masking.around(prefix, suffix) == ('password = "' + "*" * at, "*" * (8 - at) + '"\nx\n')


def test_one_that_is_being_typed() -> None:
    assert masking.around('password = "hunter2', "\nx = 1\n") == ('password = "*******', "\nx = 1\n")
    assert masking.around('password = "', '"\n') == ('password = "', '"\n')


def test_the_length_and_the_lines_stay_whatever_the_text() -> None:
    rng = random.Random(5)
    parts = [
        *string.printable,
        "é",
        "\u2028",
        "password",
        "= '",
        "token",
        ": ",
        "-----BEGIN PRIVATE KEY-----",
        KEY,
        *CODE,
    ]
    for _ in range(500):
        text = "".join(rng.choices(parts, k=rng.randrange(1, 30)))
        cut = rng.randrange(len(text) + 1)
        prefix, suffix = masking.around(text[:cut], text[cut:])
        assert (len(prefix), len(prefix + suffix)) == (cut, len(text))
        assert [each for each in prefix + suffix if each.isspace()] == [each for each in text if each.isspace()]


def test_hardly_anything_in_the_standard_library() -> None:
    """Python's own files hold no secrets; in its tests are passwords of tests."""
    found = lines = 0
    top = Path(sysconfig.get_path("stdlib"))
    for path in sorted(top.rglob("*.py")):
        if {"site-packages", "dist-packages", "test", "tests"}.isdisjoint(path.relative_to(top).parts):
            text = path.read_text("utf-8", "replace")
            lines += text.count("\n")
            found += len(list(masking.spans(text)))
    assert lines > 100_000
    assert found < lines / 10_000
