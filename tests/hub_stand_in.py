"""A server on this machine that imitates the few endpoints of the hub, cut off where a test wants it."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

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

    def handle_error(self, request, client_address):
        """A client that has what it wanted may close its connection; that is not to stand among what a test reads."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


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


def serve(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Hub]:
    """The hub of this process, as long as this is iterated; its client's own files are in `folder`."""
    from huggingface_hub import HfApi

    from lsp_server.engine.loading import hub

    server = Hub()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HF_HOME", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    # The client keeps its endpoint from import time.
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: HfApi(endpoint=endpoint))
    monkeypatch.setattr(hub.time, "sleep", lambda seconds: None)
    yield server
    server.shutdown()
    server.server_close()
