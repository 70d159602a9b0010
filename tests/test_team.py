"""What the page for teams says of sizes, settings and options."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lsp_server import settings_sent
from lsp_server.engine.loading.sizes import measure

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "team.md").read_text(encoding="utf-8")
CONFIGS = ROOT / "tests" / "engine" / "configs"
# Of vLLM 0.11's `vllm serve --help` and its documentation, those that are used here.
OPTIONS = {
    "--model",
    "--tensor-parallel-size",
    "--pipeline-parallel-size",
    "--max-model-len",
    "--gpu-memory-utilization",
    "--scheduling-policy",
    "--enable-prefix-caching",
    "--quantization",
}


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((ROOT / "docs" / "team" / name).read_text(encoding="utf-8")))


def served() -> list[list[str]]:
    """The arguments of vLLM in each of the two files."""
    (compose,) = documents("compose.yaml")
    deployment = next(each for each in documents("kubernetes.yaml") if each["kind"] == "Deployment")
    return [compose["services"]["vllm"]["command"], deployment["spec"]["template"]["spec"]["containers"][0]["args"]]


@pytest.mark.parametrize("size", ["7b", "13b", "34b", "70b"])
def test_sizes_are_those_of_the_models(size: str) -> None:
    config = json.loads((CONFIGS / f"{size}.json").read_text(encoding="utf-8"))
    sizes = measure(config)
    weights, token = sizes.weights(16) / 2**30, sizes.kv_bytes / 2**30
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| CodeLlama-{size} "))
    told = [float(each) for each in re.findall(r"([\d.]+) GiB", row)[:3]]
    assert told == [round(weights, 1), round(1000 * token, 2), round(16384 * token, 1)]


def test_the_cards_divide_the_heads_of_every_model() -> None:
    for path in CONFIGS.glob("*.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        for cards in (1, 2, 4, 8):
            assert config["num_attention_heads"] % cards == 0
            assert (config.get("num_key_value_heads") or config["num_attention_heads"]) % cards == 0


def test_the_files_say_what_the_page_says() -> None:
    for arguments in served():
        names = [each.partition("=")[0] for each in arguments]
        assert set(names) <= OPTIONS
        assert "--scheduling-policy=priority" in arguments
    said = set(re.findall(r"--(?:tensor|pipeline|max|gpu|scheduling|enable|quantization)[a-z-]*", PAGE))
    assert said <= OPTIONS


def test_as_many_cards_are_asked_for_as_are_used() -> None:
    (compose,) = documents("compose.yaml")
    (card,) = compose["services"]["vllm"]["deploy"]["resources"]["reservations"]["devices"]
    deployment = next(each for each in documents("kubernetes.yaml") if each["kind"] == "Deployment")
    limits = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    for arguments, cards in zip(served(), (card["count"], limits["nvidia.com/gpu"]), strict=True):
        assert f"--tensor-parallel-size={cards}" in arguments


def test_the_settings_that_it_names_are_there() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    parsed, problems = settings_sent.read(
        {name.removeprefix("codellama."): value for name, value in json.loads(example).items()}
    )
    assert problems == []
    assert parsed.engine_url == "https://gpu-box.example.org"
