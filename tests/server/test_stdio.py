"""The channel to the editor: pipes, one socket both ways, a file; and how it ends."""

import json
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

SERVER = [sys.executable, "-m", "lsp_server"]
INITIALIZE = {"id": 1, "method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}}
INITIALIZED = {"method": "initialized", "params": {}}
SHUTDOWN, EXIT = {"id": 2, "method": "shutdown"}, {"method": "exit"}


def framed(*messages):
    bodies = [json.dumps({"jsonrpc": "2.0", **message}).encode() for message in messages]
    return b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)


def answer(stream):
    """The next answer to a request; notifications are passed over."""
    while True:
        length = 0
        while line := stream.readline().strip():
            length = int(line.partition(b":")[2]) if line.lower().startswith(b"content-length") else length
        message = json.loads(stream.read(length))
        if "id" in message and "method" not in message:
            return message


@pytest.fixture
def start(tmp_path):
    processes = []

    def started(stdin=subprocess.PIPE, stdout=subprocess.PIPE):
        log = (tmp_path / "log").open("wb")  # a pipe that nobody reads would fill up
        processes.append(subprocess.Popen(SERVER, stdin=stdin, stdout=stdout, stderr=log))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def test_no_thread_stands_between_a_message_and_its_handler(start):
    """Each would wait for a processor while the model has them all."""
    server = start()
    server.stdin.write(framed(INITIALIZE))
    server.stdin.flush()
    assert "capabilities" in answer(server.stdout)["result"]
    deadline = time.monotonic() + 60
    while (threads := psutil.Process(server.pid).num_threads()) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)  # the one that loads modules ends by itself
    assert threads == 1
    server.stdin.write(framed(SHUTDOWN, EXIT))
    server.stdin.flush()
    assert answer(server.stdout)["result"] is None
    assert server.wait(60) == 0


def test_a_socket_for_both_directions_keeps_all_answers(start):
    """Reading must not make writing fail where the editor is slow to take the answers."""
    here, there = socket.socketpair()
    server = start(there, there)
    there.close()
    count = 4000
    unknown = [{"id": number, "method": "codellama/unknown", "params": {}} for number in range(10, 10 + count)]
    sending = threading.Thread(target=here.sendall, args=[framed(INITIALIZE, *unknown, SHUTDOWN, EXIT)])
    sending.start()
    process, before = psutil.Process(server.pid), None
    while (now := process.cpu_times().user) != before or not now:  # until nothing more fits in between
        before = now
        time.sleep(0.5)
    with here.makefile("rb") as stream:
        ids = [answer(stream)["id"] for _ in range(count + 2)]
    assert ids == [1, *range(10, 10 + count), 2]
    sending.join()
    assert server.wait(60) == 0


def test_messages_in_a_file(start, tmp_path):
    (tmp_path / "messages").write_bytes(framed(INITIALIZE, SHUTDOWN, EXIT))
    with (tmp_path / "messages").open("rb") as messages:
        server = start(messages)
    assert answer(server.stdout)["id"] == 1
    assert answer(server.stdout)["id"] == 2
    assert server.wait(60) == 0


def test_what_one_message_begins_is_there_for_the_next(start):
    """An editor may write `initialized` and its first question at once; the chat is added by the former."""
    server = start()
    asked = {"id": 7, "method": "codellama/chat/commands", "params": {}}
    server.stdin.write(framed(INITIALIZE, INITIALIZED, asked))
    server.stdin.flush()
    assert answer(server.stdout)["id"] == 1
    assert "error" not in answer(server.stdout)


def test_a_message_larger_than_what_is_read_ahead(start):
    server = start()
    document = {"uri": "untitled:large", "languageId": "plaintext", "version": 1, "text": "é\n" * 2_000_000}
    opened = {"method": "textDocument/didOpen", "params": {"textDocument": document}}
    server.stdin.write(framed(INITIALIZE, opened, SHUTDOWN, EXIT))
    server.stdin.flush()
    assert answer(server.stdout)["id"] == 1
    assert answer(server.stdout)["id"] == 2
    assert server.wait(60) == 0


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", 0), (framed(INITIALIZE)[:-5], 0), (framed(INITIALIZE), 0), (framed(INITIALIZE, EXIT), 1)],
    ids=["closed", "half a message", "closed after a message", "exit without shutdown"],
)
def test_how_it_ends(start, sent, status, tmp_path):
    server = start()
    server.communicate(sent, timeout=120)
    assert server.returncode == status
    assert "Traceback" not in (tmp_path / "log").read_text()
