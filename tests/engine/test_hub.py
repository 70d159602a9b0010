"""Downloads from a server on this machine that imitates the few endpoints of the hub, cut off where a test wants it."""

import hashlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import HfApi

from lsp_server.engine.loading import hub
from lsp_server.engine.loading.checkpoint import CheckpointProblem

COMMIT = "a" * 40
BIG = "model.safetensors"
CONTENT = {
    BIG: bytes(range(256)) * 12_000,  # 3 MB
    "config.json": b'{"vocab_size": 4}',
    "tokenizer.model": b"pieces",
    "chat_template.jinja": b"{{ x }}",
    "pytorch_model.bin": b"a pickle",
    "modeling_x.py": b"print('code')",
    "onnx/config.json": b"{}",
}


class Hub(ThreadingHTTPServer):
    """Counts what it sends; `cut_after` closes a connection after so many bytes of the shard."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.sent, self.requests = dict(CONTENT), {}, []
        self.cut_after, self.status, self.error_code, self.corrupt = None, None, None, False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("range")))
        if self.path.startswith("/api/models/org/name"):
            siblings = []
            for name, data in server.content.items():
                entry = {"rfilename": name, "size": len(data)}
                if name == BIG:
                    entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
                else:
                    entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
                siblings.append(entry)
            return self.reply(200, json.dumps({"id": "org/name", "sha": COMMIT, "siblings": siblings}).encode())
        prefix = f"/org/name/resolve/{COMMIT}/"
        if server.status and self.path.startswith(prefix):
            return self.reply(server.status, b"", {"X-Error-Code": server.error_code} if server.error_code else {})
        name = self.path.removeprefix(prefix)
        if name == self.path or name not in server.content:
            return self.reply(404, b"", {"X-Error-Code": "RepoNotFound"})
        data, start = server.content[name], 0
        if self.headers.get("range"):
            start = int(self.headers["range"].removeprefix("bytes=").rstrip("-"))
        body = data[start:]
        if server.corrupt:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if name == BIG and server.cut_after is not None:
            body, server.cut_after = body[: server.cut_after], None
            self.close_connection = True
        server.sent[name] = server.sent.get(name, 0) + len(body)
        self.wfile.write(body)

    def reply(self, status, body, headers=None):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = Hub()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    # The client keeps its endpoint from import time.
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint=endpoint))
    monkeypatch.setattr(hub.time, "sleep", lambda seconds: None)
    yield server
    server.shutdown()
    server.server_close()


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
