"""Downloads from a server on this machine that stands in for the hub."""

import subprocess
import sys

import pytest
from hub_stand_in import BIG, CONTENT

from lsp_server.engine.loading import hub
from lsp_server.engine.loading.checkpoint import CheckpointProblem


@pytest.fixture
def server(hub_server):
    return hub_server


def test_takes_only_what_a_safetensors_checkpoint_needs(server, tmp_path):
    seen = []
    folder = hub.download("org/name", seen.append, tmp_path)
    visible = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert visible == {BIG, "config.json", "tokenizer.model", "chat_template.jinja"}
    assert (folder / BIG).read_bytes() == CONTENT[BIG]
    shares = [progress.done for progress in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) >= 4
    assert {progress.stage for progress in seen} == {"downloading"}


def test_a_complete_model_needs_no_network(server, tmp_path):
    folder = hub.download("org/name", print, tmp_path)
    server.requests.clear()
    assert hub.download("org/name", print, tmp_path) == folder
    assert server.requests == []


def test_a_cut_connection_goes_on_at_its_last_byte(server, tmp_path):
    server.cut_after = 1_000_000
    folder = hub.download("org/name", lambda progress: None, tmp_path)
    assert (folder / BIG).read_bytes() == CONTENT[BIG]
    assert server.sent[BIG] == len(CONTENT[BIG])
    assert [wanted for path, wanted in server.requests if path.endswith(BIG)] == [None, "bytes=1000000-"]


def test_a_killed_process_leaves_what_the_next_one_goes_on_with(server, tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from lsp_server.engine.loading import hub\n"
        "hub.download('org/name', lambda p: os._exit(9) if p.done > 0.5 else None, Path(sys.argv[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=200).returncode == 9
    part = tmp_path / "hub" / "org--name" / f"{BIG}.part"
    have = part.stat().st_size
    assert len(CONTENT[BIG]) * 0.4 < have < len(CONTENT[BIG]) * 0.7
    server.requests.clear()
    folder = hub.download("org/name", lambda progress: None, tmp_path)
    assert (folder / BIG).read_bytes() == CONTENT[BIG]
    assert [wanted for path, wanted in server.requests if path.endswith(BIG)] == [f"bytes={have}-"]
    assert not part.exists()


def test_a_damaged_file_is_not_kept(server, tmp_path):
    server.corrupt = True
    with pytest.raises(CheckpointProblem, match="damaged"):
        hub.download("org/name", lambda progress: None, tmp_path)
    server.corrupt = False
    assert (hub.download("org/name", lambda progress: None, tmp_path) / BIG).read_bytes() == CONTENT[BIG]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "GatedRepo", "licence"),
        (401, "GatedRepo", "hf auth login"),
        (401, None, "no model"),
        (503, None, "reached"),
    ],
)
def test_refusals_say_the_way_out(server, tmp_path, status, code, words):
    server.status, server.error_code = status, code
    with pytest.raises(CheckpointProblem, match=words) as caught:
        hub.download("org/name", lambda progress: None, tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unknown_model(server, tmp_path):
    with pytest.raises(CheckpointProblem, match="no model org/other"):
        hub.download("org/other", print, tmp_path)


def test_pickles_alone_are_refused_before_anything_is_fetched(server, tmp_path):
    del server.content[BIG]
    with pytest.raises(CheckpointProblem, match="pickles are not opened"):
        hub.download("org/name", print, tmp_path)
    assert server.sent == {}


def test_no_network(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(CheckpointProblem, match=r"the hub is not reached \(connection refused\); go online"):
        hub.download("org/name", print, tmp_path)


def test_no_space(server, tmp_path, monkeypatch):
    usage = hub.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(CheckpointProblem, match="not enough disk space"):
        hub.download("org/name", print, tmp_path)
    assert server.sent == {}
