"""Settings as editors send them: alone, among those of others, with dots, with what is wrong with some of them."""

from __future__ import annotations

from typing import Any

import pytest

from lsp_server.settings import Settings
from lsp_server.settings_sent import read, section_in

OTHERS = {
    "python": {"analysis": {"typeCheckingMode": "strict"}, "maxTokens": 5},
    "rust-analyzer": {"enabled": True},
    "editor.tabSize": 4,
    "codellamaOther.model": "x",
    "files": None,
}
URL = "http://gpu-box:8000"


WRAPPED: list[dict[str, Any]] = [
    {"codellama": {"engineUrl": URL, "maxTokens": 7}},
    {"codellama.engineUrl": URL, "codellama.maxTokens": 7},
    {"codellama": {"engineUrl": URL}, "codellama.maxTokens": 7},
    {"codellama": {"codellama.engineUrl": URL, "maxTokens": 7}},
    {"codellama": None, "codellama.engineUrl": URL, "codellama.maxTokens": 7},
]
PLAIN: list[dict[str, Any]] = [{"engineUrl": URL, "maxTokens": 7}, {"engineUrl": URL, "codellama.maxTokens": 7}]


@pytest.mark.parametrize("found", [
    *(section_in(sent) for sent in WRAPPED + PLAIN),
    *(section_in(sent, alone=True) for sent in WRAPPED + PLAIN),
    *(section_in({**OTHERS, **sent}) for sent in WRAPPED),
])  # fmt: skip
def test_every_way_of_sending_them(found: dict[str, Any]) -> None:
    settings, problems = read(found)
    assert (settings.engine_url, settings.max_tokens) == (URL, 7)
    assert problems == []


@pytest.mark.parametrize("sent", [OTHERS, {}, {"python": {}}, {"a.b": 1}, {"log": {"level": "debug"}}, None])
def test_the_settings_of_others_say_nothing(sent: Any) -> None:
    assert section_in(sent) is None


@pytest.mark.parametrize("sent", [{"maxTokenz": 7}, {"max_tokens": 7}, {"enabeld": False}])
def test_a_slip_in_settings_that_are_sent_as_they_are(sent: dict[str, Any]) -> None:
    assert section_in(sent) == sent


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("maxToken", "maxTokens"),
        ("max_tokens", "maxTokens"),
        ("MaxTokens", "maxTokens"),
        ("max-tokens", "maxTokens"),
        ("engineURL", "engineUrl"),
        ("engine.url", "engineUrl"),
        ("disabledLanguage", "disabledLanguages"),
        ("debounce", "debounceMs"),
        ("multiLine", "multiline"),
    ],
)
def test_a_near_miss_is_told(name: str, meant: str) -> None:
    assert read({name: 1})[1] == [f"There is no setting `codellama.{name}`; did you mean `codellama.{meant}`?"]


@pytest.mark.parametrize("name", ["nonsense", "", "x" * 10_000, "\0"])
def test_an_unknown_name_is_ignored(name: str) -> None:
    (problem,) = read({name: 1})[1]
    assert problem == f"There is no setting `codellama.{name[:60]}`; it is ignored."


@pytest.mark.parametrize(("sent", "means"), [(64.0, 64), (7, 7), (1024.0, 1024)])
def test_a_whole_number_may_be_written_with_a_point(sent: float, means: int) -> None:
    settings, problems = read({"maxTokens": sent})
    assert (settings.max_tokens, problems) == (means, [])
    assert isinstance(settings.max_tokens, int)


@pytest.mark.parametrize("sent", [4, "4"])
def test_a_choice_that_is_a_number_may_be_sent_as_one(sent: int | str) -> None:
    settings, problems = read({"quantization": sent})
    assert (settings.quantization, problems) == ("4", [])
    (problem,) = read({"quantization": 5})[1]
    assert problem == "`codellama.quantization` must be one of auto, 8, 4, 16, not 5. It stays at 'auto'."


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"maxTokens": "64"}, "`codellama.maxTokens` must be a whole number, not the text '64'. It stays at 64."),
        ({"maxTokens": 64.5}, "`codellama.maxTokens` must be a whole number, not the number 64.5. It stays at 64."),
        ({"maxTokens": True}, "`codellama.maxTokens` must be a whole number, not true. It stays at 64."),
        ({"maxTokens": 1e300}, "`codellama.maxTokens` must be from 1 to 1024, not 1e+300. It stays at 64."),
        ({"maxTokens": {}}, "`codellama.maxTokens` must be a whole number, not an object. It stays at 64."),
        ({"enabled": "false"}, "`codellama.enabled` must be true or false, not the text 'false'. It stays at true."),
        ({"enabled": 0}, "`codellama.enabled` must be true or false, not the number 0. It stays at true."),
        ({"model": ["x"]}, "`codellama.model` must be a text, not a list. It stays at 'starter'."),
        ({"actions": "c"}, "`codellama.actions` must be a list of objects, not the text 'c'. It stays at []."),
        ({"layout": []}, "`codellama.layout` must be one of auto, psm, spm, not []. It stays at 'auto'."),
        ({"idleMinutes": "3"}, "`codellama.idleMinutes` must be a number, not the text '3'. It stays at 30."),
    ],
)  # fmt: skip
def test_a_value_that_is_wrong_is_told_and_keeps_the_others(sent: dict[str, Any], said: str) -> None:
    settings, problems = read({"windowTokens": 100, **sent, "debounceMs": 5})
    assert problems == [said]
    assert (settings.window_tokens, settings.debounce_ms) == (100, 5)


def test_what_is_secret_is_in_no_message() -> None:
    base = Settings(engine_url="http://me:password@gpu-box", engine_token="secret")
    _, problems = read({"engineUrl": 5550123, "engineToken": ["hidden"]}, base)
    assert problems == [
        "`codellama.engineUrl` must be a text, not something else. It stays as it was.",
        "`codellama.engineToken` must be a text, not something else. It stays as it was.",
    ]


def test_null_is_not_set() -> None:
    settings, problems = read({"maxTokens": None, "engineUrl": None}, Settings(max_tokens=9))
    assert (settings.max_tokens, settings.engine_url, problems) == (9, "", [])


@pytest.mark.parametrize("sent", [[], "text", 5, True])
def test_what_is_no_object(sent: Any) -> None:
    assert len(read(section_in(sent))[1]) == 1
    assert len(read(section_in({"codellama": sent}))[1]) == 1


@pytest.mark.parametrize(
    ("sent", "token"),
    [
        ({}, "secret"),
        ({"engineUrl": "https://a"}, "secret"),
        ({"engineUrl": "https://b"}, ""),
        ({"engineUrl": ""}, ""),
        ({"engineUrl": "https://b", "engineToken": "other"}, "other"),
        ({"engineUrl": "https://b", "engineToken": None}, ""),
        ({"engineToken": "other"}, "other"),
    ],
)
def test_a_token_stays_with_the_address_that_it_came_with(sent, token):
    settings, problems = read(sent, Settings(engine_url="https://a", engine_token="secret"))
    assert settings.engine_token == token
    assert len(problems) == (not token)
    assert "secret" not in "".join(problems)


def test_a_token_that_names_its_address_may_meet_any_other():
    base = Settings(engine_url="https://a", engine_token="https://a secret")
    assert read({"engineUrl": "https://b"}, base) == (
        Settings(engine_url="https://b", engine_token="https://a secret"),
        [],
    )
