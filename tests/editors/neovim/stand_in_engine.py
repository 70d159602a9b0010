"""A stand-in for an engine: an OpenAI-compatible server in a thread of the test, which says what it is told."""

from __future__ import annotations

import json
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SUGGESTION_TOKENS = 33
"""Tests set `maxTokens` to this, by which a request for a suggestion is known."""


class Engine:
    """`suggestion` is the answer to a request for a suggestion, `others` are those for further ones; `answers` to all
    else, in turn, the last for ever.

    `pause`: seconds between two pieces of an answer. `gate`: an answer waits until it is set. `ended`: how many answers
    were broken off by the client. `refuses`: the status that everything is answered with, 0 for none; `hangs`: nothing
    is answered. `health`: what an engine of this project says of itself. `progress`: what it says of a prompt that it
    reads, before the gate and the answer to all else than a suggestion.
    """

    def __init__(self) -> None:
        self.suggestion = "return a + b"
        self.others: list[str] = []
        self.answers = ["I have nothing to say."]
        self.pause = 0.0
        self.suggestion_pause = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.refuses = 0
        self.hangs = False
        self.progress: dict[str, int] = {}
        self.health: dict[str, Any] = {"status": "ready"}
        self.asked: list[dict[str, Any]] = []
        self.ended = 0
        engine = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                if self._refused():
                    return
                if self.path == "/health":
                    return self._json(engine.health)
                self._json({"data": [{"id": "stand-in", "max_model_len": 16384}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                engine.asked.append(body)
                if self._refused():
                    return
                typed = body["max_tokens"] == SUGGESTION_TOKENS
                if typed:
                    answer = engine.others[body["seed"]] if engine.others and "seed" in body else engine.suggestion
                    time.sleep(engine.suggestion_pause)
                else:
                    answer = engine.answers.pop(0) if len(engine.answers) > 1 else engine.answers[0]
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                try:
                    if engine.progress and not typed:
                        self._event({"choices": [], "prompt_progress": engine.progress})
                        engine.gate.wait()
                    size = max(8, len(answer) // 400)
                    for at in range(0, len(answer), size):
                        self._event({"choices": [{"text": answer[at : at + size]}]})
                        while not typed and not engine.gate.wait(0.05):
                            self._event({"choices": [{"text": ""}]})
                        time.sleep(0 if typed else engine.pause)
                    self._event({"choices": [{"text": "", "finish_reason": "stop"}], "usage": {}})
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    engine.ended += 1

            def _refused(self) -> bool:
                while engine.hangs:
                    time.sleep(0.05)
                if engine.refuses:
                    self._json({"error": {"message": HTTPStatus(engine.refuses).phrase}}, engine.refuses)
                return engine.refuses > 0

            def _event(self, value: dict[str, Any]) -> None:
                self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
                self.wfile.flush()

            def _json(self, value: dict[str, Any], status: int = 200) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def suggestions_asked(self) -> int:
        return sum(body["max_tokens"] == SUGGESTION_TOKENS for body in self.asked)

    def close(self) -> None:
        self.gate.set()
        self.hangs = False
        self._server.shutdown()
        self._server.server_close()
