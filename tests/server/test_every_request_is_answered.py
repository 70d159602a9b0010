"""Over the wire: whatever an editor sends is answered, or the session ends in order; nothing is met with silence."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forking import program

# No request of these tests takes a second; a machine that is busy may.
SECONDS = 60.0

PARSE_ERROR, INVALID_REQUEST, NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
NOT_INITIALIZED, CANCELLED = -32002, -32800

INITIALIZE = {
    "processId": None,
    "rootUri": None,
    "capabilities": {
        "workspace": {"configuration": True, "applyEdit": True},
        "window": {"workDoneProgress": True, "showDocument": {"support": True}},
        "textDocument": {
            "codeAction": {
                "codeActionLiteralSupport": {"codeActionKind": {"valueSet": []}},
                "dataSupport": True,
                "resolveSupport": {"properties": ["edit"]},
            }
        },
    },
    "initializationOptions": {"engineUrl": "http://127.0.0.1:9"},
}
START = {"line": 0, "character": 0}
PLACE = {"start": START, "end": {"line": 1, "character": 0}}
HERE = {"textDocument": {"uri": "untitled:a"}, "position": START}
FUNCTION = "def f():\n    return 1\n"


class Wire:
    """Bytes to a server process, messages from it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.others: list[dict[str, Any]] = []
        self._come: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        length = 0
        while header := self.process.stdout.readline():
            if header.startswith(b"Content-Length:"):
                length = int(header.partition(b":")[2])
            elif not header.strip():
                self._come.put(json.loads(self.process.stdout.read(length)))

    def raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def body(self, body: bytes) -> None:
        self.raw(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def send(self, **message: Any) -> None:
        self.body(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def message(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message that is wanted; the others are kept."""
        end = time.monotonic() + SECONDS
        while True:
            message = self._come.get(timeout=max(0.0, end - time.monotonic()))
            if wanted(message):
                return message
            self.others.append(message)

    def answer(self, number: Any) -> dict[str, Any]:
        return self.message(lambda message: "method" not in message and message["id"] == number)

    def ask(self, number: Any, method: str, params: Any) -> dict[str, Any]:
        self.send(id=number, method=method, params=params)
        return self.answer(number)

    def code(self, number: Any, method: str, params: Any) -> int:
        answer = self.ask(number, method, params)
        return int(answer["error"]["code"]) if "error" in answer else 0

    def begin(self, text: str = FUNCTION) -> Wire:
        """The usual beginning: initialized, and one document open."""
        self.ask("begin", "initialize", INITIALIZE)
        self.send(method="initialized", params={})
        asked = self.message(lambda message: message.get("method") == "workspace/configuration")
        self.send(id=asked["id"], result=[None])
        document = {"uri": "untitled:a", "languageId": "python", "version": 1, "text": text}
        self.send(method="textDocument/didOpen", params={"textDocument": document})
        return self

    def serves(self) -> bool:
        """Whether it answers still, as it should."""
        return self.ask("serves", "textDocument/inlineCompletion", {**HERE, "context": {"triggerKind": 1}})[
            "result"
        ] == {"items": []}

    def ended(self) -> int:
        """The exit status; fails where the process goes on."""
        return self.process.wait(SECONDS / 3)


@pytest.fixture
def start(tmp_path: Path, engines: Path) -> Iterator[Callable[[], Wire]]:
    processes: list[subprocess.Popen[bytes]] = []

    def started() -> Wire:
        pipe = subprocess.PIPE
        log = (tmp_path / "log").open("wb")
        processes.append(
            subprocess.Popen(program("-m", "lsp_server"), stdin=pipe, stdout=pipe, stderr=log, cwd=tmp_path)
        )
        return Wire(processes[-1])

    yield started
    for process in processes:
        process.kill()
        process.wait()
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said, said
    assert "never retrieved" not in said, said


# Frames


def request(number: int) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "codellama/chat/commands"}).encode()


def with_length(length: object) -> bytes:
    return b"Content-Length: %b\r\n\r\n%b" % (str(length).encode(), request(5))


LENGTH = len(request(5))


WRONG = [
    *(with_length(LENGTH + more) for more in (-LENGTH + 1, -20, -1, 1, 10, 25, 60, 5000)),
    with_length(-5),
    with_length(2**40),
    with_length(10**30),
    with_length("many"),
    with_length("1.5"),
    with_length(""),
    b"\r\n\r\n" + request(5),
    request(5),
    request(5) + b"\n",
    b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n" + request(5),
    b"Content-Length: 5\r\nContent-Length: 50\r\n\r\n" + request(5),
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "привет\n".encode(),
]


@pytest.mark.parametrize(
    ("data", "goes_on"), [*((data, True) for data in WRONG), *((data, False) for data in WRONG[1:6] + WRONG[14:])]
)
def test_a_frame_that_is_wrong_is_answered_or_ends_the_session(start: Any, data: bytes, goes_on: bool) -> None:
    wire = start().begin()
    wire.raw(data)
    if goes_on:
        wire.body(request(6))
        wire.body(request(7))
    answer = wire.message(lambda message: message.get("id", "") in (None, 5, 6, 7))
    if answer["id"] is None:
        assert answer["error"]["code"] == PARSE_ERROR
    if goes_on and answer["id"] is None:  # what was lost is not known, so it does not go on as if nothing had been
        assert wire.ended() == 1


HEADERS = [
    b"Content-Length: %d\n\n",
    b"content-length: %d\r\n\r\n",
    b"CONTENT-LENGTH:%d\r\n\r\n",
    b"Content-Length:  %d \r\n\r\n",
    b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: %d\r\n\r\n",
    b"Content-Length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf8\r\n\r\n",
    b"Content-Length: %d\r\nX-Trace: a:b, c\r\n\r\n",
    b"Content-Length: %d\r\nContent-Length: %d\r\n\r\n",
    b"Content-Length: 000%d\r\n\r\n",
]


def test_headers_that_are_unusual_and_clear(start: Any) -> None:
    wire = start().begin()
    for number, header in enumerate(HEADERS):
        body = request(number)
        wire.raw(header.replace(b"%d", str(len(body)).encode()) + body)
        assert "result" in wire.answer(number), header


def test_a_message_that_comes_byte_by_byte(start: Any) -> None:
    wire = start().begin()
    for byte in with_length(LENGTH):
        wire.raw(bytes([byte]))
    assert "result" in wire.answer(5)


# Messages


def test_what_is_no_message(start: Any) -> None:
    wire = start().begin()
    for body in (b"", b"{", b"\xff\xfe", b"nonsense", b"[" * 100_000, b'{"id": NaN}', b'{"id": 1' + b"0" * 5000 + b"}"):
        wire.body(body)
        assert wire.answer(None)["error"]["code"] == PARSE_ERROR
    for body in (b"[]", b'"text"', b"5", b"null", b"true", b"{}", b'{"jsonrpc": "2.0"}', b'{"params": {}}'):
        wire.body(body)
        assert wire.answer(None)["error"]["code"] == INVALID_REQUEST
    wire.body(b"[%b, %b]" % (request(8), request(9)))  # a batch, which the protocol does not have
    assert wire.answer(None)["error"]["code"] == INVALID_REQUEST
    assert wire.serves()


def test_an_id_that_is_none(start: Any) -> None:
    wire = start().begin()
    for number in (None, 1.5, {}, {"a": 1}, [], [1], True):
        wire.send(id=number, method="codellama/chat/commands", params={})
        assert wire.answer(None)["error"]["code"] == INVALID_REQUEST
    assert wire.serves()


def test_an_id_that_is_unusual(start: Any) -> None:
    wire = start().begin()
    for number in (0, -1, 2**63, "", "ключ", "a\0b", "\u2028", "\ud800", 1.0, -0.0, 1e3, 1e300):
        assert "result" in wire.ask(number, "codellama/chat/commands", {})


def test_a_message_of_another_protocol(start: Any) -> None:
    wire = start().begin()
    for version in ("1.0", 2, None):
        wire.send(id=3, method="codellama/chat/commands", jsonrpc=version)
        assert wire.answer(3)["error"]["code"] == INVALID_REQUEST
    wire.body(b'{"id": 4, "method": "codellama/chat/commands"}')
    assert wire.answer(4)["error"]["code"] == INVALID_REQUEST
    assert wire.code(5, 7, {}) == INVALID_REQUEST  # type: ignore[arg-type]
    assert wire.serves()


def test_the_order_of_a_session(start: Any) -> None:
    wire = start()
    assert wire.code(1, "textDocument/codeAction", {}) == NOT_INITIALIZED
    assert wire.code(2, "shutdown", None) == NOT_INITIALIZED
    assert wire.code(3, "no/such/method", None) == NOT_INITIALIZED
    wire.send(method="textDocument/didOpen", params={})
    wire.send(method="initialized", params={})
    wire.begin()
    assert wire.code(4, "initialize", INITIALIZE) == INVALID_REQUEST
    wire.send(method="initialized", params={})
    assert wire.code(5, "codellama/chat/commands", {}) == 0
    assert wire.code(6, "shutdown", {"nonsense": 1}) == 0
    for number, method in enumerate(("shutdown", "initialize", "textDocument/codeAction", "no/such"), 7):
        assert wire.code(number, method, {}) == INVALID_REQUEST
    wire.send(method="exit", params=[5])
    assert wire.ended() == 0


def test_an_initialize_that_is_wrong_can_be_sent_again(start: Any) -> None:
    wire = start()
    for params in ({"capabilities": 5}, {}, None, [1], "text"):
        assert wire.code(1, "initialize", params) == INVALID_PARAMS
    assert wire.begin().serves()


def test_initialize_with_a_folder_that_there_is_not(start: Any) -> None:
    for uri in ("", "nonsense", "file:", "file:///a%00b", "file:///\ud800", "http://[", "untitled:x", "file://host/x"):
        wire = start()
        folders = [{"uri": uri, "name": uri}]
        capabilities = {"textDocument": {"inlineCompletion": {}}}  # nobody is asked for the settings
        opened = {"capabilities": capabilities, "rootUri": uri, "workspaceFolders": folders}
        answer = wire.ask(1, "initialize", {**INITIALIZE, **opened})
        assert "result" in answer, uri
        wire.send(method="initialized")
        document = {"uri": "file:///tmp/a.py", "languageId": "python", "version": 1, "text": FUNCTION}
        wire.send(method="textDocument/didOpen", params={"textDocument": document})
        params = {"textDocument": {"uri": "file:///tmp/a.py"}, "position": START, "context": {"triggerKind": 1}}
        assert "result" in wire.ask(2, "textDocument/inlineCompletion", params), uri


def test_an_id_that_is_used_twice(start: Any) -> None:
    """Both are answered, and one that is not under way any more may be used again."""
    wire = start().begin()
    for _ in range(2):
        assert wire.code(3, "codellama/chat/commands", {}) == 0
    params = {
        "command": "codellama.action",
        "arguments": [{"action": "translate", "uri": "untitled:a", "range": PLACE}],
    }
    for _ in range(2):
        wire.send(id=4, method="workspace/executeCommand", params=params)
    assert wire.answer(4)["error"]["code"] == INVALID_REQUEST
    asked = wire.message(lambda message: message.get("method") == "window/showMessageRequest")
    wire.send(id=asked["id"], result=None)
    assert "result" in wire.answer(4)


def test_an_answer_that_nobody_asked_for(start: Any) -> None:
    """Also one whose id is that of a request of the editor's own."""
    wire = start().begin()
    params = {
        "command": "codellama.action",
        "arguments": [{"action": "translate", "uri": "untitled:a", "range": PLACE}],
    }
    wire.send(id=4, method="workspace/executeCommand", params=params)
    asked = wire.message(lambda message: message.get("method") == "window/showMessageRequest")
    for number in (4, 99, "x", None, 1.5, {}, [], True, ""):
        wire.send(id=number, result={"x": 1})
        wire.send(id=number, error={"code": 1, "message": "x"})
        wire.send(id=number, error="nonsense")
    wire.send(method="$/cancelRequest", params={"id": asked["id"]})
    assert wire.serves()
    wire.send(id=asked["id"], result=None)
    assert "result" in wire.answer(4)


def test_a_cancellation_of_nothing(start: Any) -> None:
    wire = start().begin()
    for params in (None, {}, {"id": None}, {"id": {}}, {"id": [1]}, {"id": 99}, {"id": "x"}, [], "x", 5):
        wire.send(method="$/cancelRequest", params=params)
    assert wire.serves()


def test_a_cancelled_request_is_answered(start: Any) -> None:
    wire = start().begin()
    params = {
        "command": "codellama.action",
        "arguments": [{"action": "translate", "uri": "untitled:a", "range": PLACE}],
    }
    wire.send(id=4, method="workspace/executeCommand", params=params)
    wire.message(lambda message: message.get("method") == "window/showMessageRequest")
    wire.send(method="$/cancelRequest", params={"id": 4})
    assert wire.answer(4)["error"]["code"] == CANCELLED
    wire.send(method="$/cancelRequest", params={"id": 4})
    assert wire.serves()


def test_what_runs_at_shutdown_is_answered(start: Any) -> None:
    wire = start().begin()
    params = {
        "command": "codellama.action",
        "arguments": [{"action": "translate", "uri": "untitled:a", "range": PLACE}],
    }
    for number in (4, 5, 6):
        wire.send(id=number, method="workspace/executeCommand", params=params)
        wire.message(lambda message: message.get("method") == "window/showMessageRequest")
    wire.send(id=7, method="shutdown")
    codes = {}
    while len(codes) < 4:
        answer = wire.message(lambda message: "method" not in message)
        codes[answer["id"]] = answer["error"]["code"] if "error" in answer else 0
    assert codes == {4: CANCELLED, 5: CANCELLED, 6: CANCELLED, 7: 0}
    wire.send(method="exit")
    assert wire.ended() == 0


# Parameters

CODE_ACTION = {"textDocument": {"uri": "untitled:a"}, "range": PLACE, "context": {"diagnostics": []}}
# What each method takes; every field that is named `broken` below is needed.
TAKEN: dict[str, Any] = {
    "textDocument/inlineCompletion": {**HERE, "context": {"triggerKind": 1}},
    "textDocument/codeAction": CODE_ACTION,
    "codeAction/resolve": {"title": "Explain"},
    "workspace/executeCommand": {"command": "codellama.restart"},
    "codellama/chat/send": {"message": "hello"},
    "codellama/chat/stop": {"conversationId": "x"},
    "codellama/chat/preview": {"message": "hello"},
    "codellama/chat/get": {"conversationId": "x"},
    "codellama/chat/rename": {"conversationId": "x", "title": "y"},
    "codellama/chat/delete": {"conversationId": "x"},
    "codellama/chat/export": {"conversationId": "x"},
}


@pytest.mark.parametrize("method", TAKEN)
def test_parameters_that_a_method_does_not_take(start: Any, method: str) -> None:
    wire = start().begin()
    good = TAKEN[method]
    broken: list[Any] = [None, [], [good], "text", 5, True, {}]
    for name in good:
        broken.append({key: value for key, value in good.items() if key != name})
        broken += [{**good, name: value} for value in (None, {"x": 1}, [1])]
    for number, params in enumerate(broken, 100):
        assert wire.code(number, method, params) == INVALID_PARAMS, params
    assert wire.serves()


def test_a_trigger_that_there_is_not(start: Any) -> None:
    wire = start().begin()
    for kind in (0, 3, -1, 2**40, "x", None, {}, 1.5):
        params = {**HERE, "context": {"triggerKind": kind}}
        assert wire.code(1, "textDocument/inlineCompletion", params) == INVALID_PARAMS, kind
    assert wire.serves()


def test_an_unknown_method(start: Any) -> None:
    wire = start().begin()
    for number, method in enumerate(("textDocument/hover", "codellama/nothing", "", "$/progress", "\0", "a" * 10_000)):
        for params in ({}, None, [1], "text"):
            assert wire.code(number, method, params) == NOT_FOUND
            wire.send(method=method, params=params)
    assert wire.code(9, "workspace/executeCommand", {"command": "no.such"}) == INVALID_PARAMS
    assert wire.serves()


def test_what_is_nested_deeper_than_can_be_handed_on(start: Any) -> None:
    wire = start().begin()
    data: Any = []
    for _ in range(900):
        data = [data]
    for method in ("codeAction/resolve", "codellama/chat/preview", "workspace/executeCommand"):
        assert wire.code(1, method, {"title": "x", "data": data}) == INVALID_PARAMS
    assert wire.serves()


def test_what_is_no_text_does_not_become_one(start: Any) -> None:
    """A document whose text is null is none, and no document that says `None`."""
    wire = start().begin()
    good = {"uri": "untitled:b", "languageId": "python", "version": 1, "text": FUNCTION}
    for broken in ({"text": None}, {"text": 7}, {"text": {}}, {"languageId": 5}, {"version": "1"}, {"version": 1.5}):
        wire.send(method="textDocument/didOpen", params={"textDocument": {**good, **broken}})
        params = {**CODE_ACTION, "textDocument": {"uri": "untitled:b"}}
        assert wire.ask(1, "textDocument/codeAction", params)["result"] == [], broken
    wire.send(method="window/workDoneProgress/cancel", params={"token": {}})
    wire.send(
        method="textDocument/didChange", params={"textDocument": {"uri": "x", "version": 2}, "contentChanges": []}
    )
    wire.send(method="codellama/chat/get", params={"conversationId": "x"})
    assert wire.serves()


STRANGE = [-1, -(2**63), 2**31, 2**63 - 1, 2**64, 1.5, -0.5, 1e300, "1", "x", None, True, {}, []]


@pytest.mark.parametrize("where", ["line", "character"])
def test_positions_that_are_none(start: Any, where: str) -> None:
    wire = start().begin()
    for number, value in enumerate(STRANGE, 100):
        at = {**START, where: value}
        is_number = isinstance(value, (int, float)) and value is not True
        wanted = (0,) if is_number else (0, INVALID_PARAMS)
        params = {**HERE, "position": at, "context": {"triggerKind": 1}}
        assert wire.code(number, "textDocument/inlineCompletion", params) in wanted, value
        for place in ({"start": at, "end": START}, {"start": START, "end": at}, {"start": at, "end": at}):
            assert wire.code(number, "textDocument/codeAction", {**CODE_ACTION, "range": place}) in wanted, value
            change = {"range": place, "text": ""}
            document = {"uri": "untitled:b", "version": 2}
            wire.send(method="textDocument/didChange", params={"textDocument": document, "contentChanges": [change]})
    assert wire.serves()


def diagnostic(**fields: Any) -> dict[str, Any]:
    return {"range": {"start": START, "end": {"line": 0, "character": 5}}, "message": "This is wrong.", **fields}


PARTLY_WRONG = [
    diagnostic(range={"start": START, "end": {"line": 0, "character": 2**63 - 1}}),
    diagnostic(range={"start": {"line": -1, "character": 0}, "end": START}),
    diagnostic(range={"start": {"line": -1, "character": -1}, "end": {"line": 10**30, "character": 1e300}}),
    *(diagnostic(severity=value) for value in (0, 5, -1, "error", None, {}, 1.5)),
    diagnostic(message={"kind": "markdown", "value": "This is wrong."}),
    *(diagnostic(relatedInformation=value) for value in ("nonsense", [5], [{}], {}, 5)),
    *(diagnostic(tags=value) for value in ([0], ["x"], 5)),
    *(diagnostic(code=value) for value in ({}, [1], 1.5)),
    *(diagnostic(source=value) for value in ({}, 5)),
    *(diagnostic(codeDescription=value) for value in ("x", {"href": 5}, {})),
    *(diagnostic(data=value) for value in ({"a": [10**400]}, "\ud800", 5)),
]


def test_actions_for_a_diagnostic_that_is_partly_wrong(start: Any) -> None:
    """Also the one which mends it."""
    wire = start().begin()
    for number, found in enumerate(PARTLY_WRONG):
        answer = wire.ask(number, "textDocument/codeAction", {**CODE_ACTION, "context": {"diagnostics": [found]}})
        titles = [each["title"] for each in answer["result"]]
        assert any("This is wrong." in title for title in titles), (found, titles)


def test_actions_beside_what_is_no_diagnostic(start: Any) -> None:
    wire = start().begin()
    usual = wire.ask("usual", "textDocument/codeAction", CODE_ACTION)["result"]
    assert usual
    for found in ({}, None, "text", 5, [], {"range": PLACE}, {"message": "x"}, diagnostic(message=5)):
        params = {**CODE_ACTION, "context": {"diagnostics": [found]}}
        assert wire.ask(1, "textDocument/codeAction", params)["result"] == usual, found


def test_a_change_that_is_wrong_closes_its_document(start: Any) -> None:
    """Its text is not known any more; suggestions for another text than the user sees would be worse than none."""
    wire = start().begin()
    document = {"uri": "file:///tmp/a%20b.py", "languageId": "python", "version": 1, "text": FUNCTION}
    wire.send(method="textDocument/didOpen", params={"textDocument": document})
    params = {**CODE_ACTION, "textDocument": {"uri": document["uri"]}}
    assert wire.ask(1, "textDocument/codeAction", params)["result"]
    changed = {"textDocument": {"uri": document["uri"], "version": 2}, "contentChanges": [{"range": 5, "text": 7}]}
    wire.send(method="textDocument/didChange", params=changed)
    assert wire.ask(2, "textDocument/codeAction", params)["result"] == []
    assert wire.serves()


# What the editor is asked


@pytest.mark.parametrize(
    "answer",
    [
        {"result": "nonsense"},
        {"result": 5},
        {"result": {}},
        {"result": []},
        {"result": [5]},
        {"result": [None]},
        {"result": None},
        {},
        {"error": {"code": -32601, "message": "no"}},
        {"error": "nonsense"},
        {"error": {}},
        {"error": None, "result": [{"maxTokens": 3}]},
    ],
)
def test_settings_that_were_asked_for(start: Any, answer: dict[str, Any]) -> None:
    wire = start()
    wire.ask(1, "initialize", INITIALIZE)
    wire.send(method="initialized", params={})
    asked = wire.message(lambda message: message.get("method") == "workspace/configuration")
    wire.send(id=asked["id"], **answer)
    document = {"uri": "untitled:a", "languageId": "python", "version": 1, "text": FUNCTION}
    wire.send(method="textDocument/didOpen", params={"textDocument": document})
    failed = wire.message(lambda message: message.get("params", {}).get("kind") == "failed")
    assert "127.0.0.1:9" in failed["params"]["message"], "the model is reached with the settings that there are"
    assert wire.serves()
