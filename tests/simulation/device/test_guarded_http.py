"""The server of the page against requests that no page makes, over real connections."""

import json
import resource
import socket
import threading
import time

import pytest

from simulation.device import guarded_http
from simulation.device.keyboard_server import KeyboardServer, open_model
from simulation.device.request_bodies import RequestBodies
from tests.fuzz import run_cases
from tests.fuzz.tiny_model import WORDS
from tests.waiting import PATIENCE_S, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_cases.write_model(folder)
    server = KeyboardServer([open_model(folder)], {}, "for a test", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def connected(server, timeout=PATIENCE_S):
    return socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=timeout)


def said(connection):
    """All that the server says until it ends the connection."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def send(server, raw):
    """What is answered to some bytes, after which nothing more is sent."""
    with connected(server) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all was sent
        return said(connection)


def head(server, method="GET", path="/", *more, host=None):
    port = server.server_address[1]
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(server, path, body, *more):
    return head(server, "POST", path, f"Content-Length: {len(body)}", *more) + body


STEP = "/run/0/keyboard.tflite/step"


def works(server):
    answer = send(server, post(server, STEP, json.dumps(run_cases.REQUEST).encode()))
    return answer.startswith(b"HTTP/1.1 200 ") and b'"ids"' in answer


def test_a_model_runs_for_its_own_page(server):
    assert works(server)
    about = json.loads(send(server, head(server, path="/models.json")).split(b"\r\n\r\n", 1)[1])
    assert about["models"][0]["state"] == {"memory": 2}
    assert send(server, head(server, path="/models/0/vocab.txt")).endswith(WORDS.to_text().encode())


REFUSED = {
    "another name": (403, lambda s: head(s, host="evil.example")),
    "a name that is pointed here": (403, lambda s: head(s, host=f"evil.example:{s.server_address[1]}")),
    "this name without its port": (403, lambda s: head(s, host="127.0.0.1")),
    "no name": (403, lambda s: b"GET / HTTP/1.1\r\n\r\n"),
    "two names": (403, lambda s: head(s, "GET", "/", "Host: evil.example")),
    "another page": (403, lambda s: post(s, STEP, b"{}", "Origin: http://evil.example")),
    "no page": (403, lambda s: post(s, STEP, b"{}", "Origin: null")),
    "two pages": (403, lambda s: post(s, STEP, b"{}", f"Origin: {s.address[:-1]}", "Origin: null")),
    "its name as the path": (404, lambda s: head(s, path="http://127.0.0.1/")),
    "a folder above": (404, lambda s: head(s, path="/models/0/../../../etc/passwd")),
    "a folder above, in percents": (404, lambda s: head(s, path="/%2e%2e/%2e%2e/etc/passwd")),
    "a NUL": (404, lambda s: head(s, path="/models/0/vocab.txt\0")),
    "not UTF-8": (404, lambda s: head(s, path="/\xff\xfe")),
    "a model below 0": (404, lambda s: head(s, path="/models/-1/vocab.txt")),
    "a long path": (414, lambda s: head(s, path="/" + "a" * 70_000)),
    "a long header": (431, lambda s: head(s, "GET", "/", "X: " + "a" * 70_000)),
    "many headers": (431, lambda s: head(s, "GET", "/", *["X: a"] * 200)),
    "no HTTP": (400, lambda s: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "HTTP/3": (400, lambda s: b"GET / HTTP/3.x\r\n\r\n"),
    "HTTP/2": (505, lambda s: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "OPTIONS": (405, lambda s: head(s, "OPTIONS", "*")),
    "PUT": (405, lambda s: head(s, "PUT", "/page.js", "Content-Length: 3") + b"abc"),
    "a method of escapes": (405, lambda s: head(s, "\x1b[2J<script>", "/")),
    "a GET with a body": (400, lambda s: head(s, "GET", "/", "Content-Length: 5") + b"GET /"),
    "a body in chunks": (411, lambda s: head(s, "POST", STEP, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n"),
    "a body of two kinds": (411, lambda s: post(s, STEP, b"{}", "Transfer-Encoding: chunked")),
    "two sizes": (411, lambda s: post(s, STEP, b"{}", "Content-Length: 3")),
    "no size": (411, lambda s: head(s, "POST", STEP)),
    "a size below 0": (411, lambda s: head(s, "POST", STEP, "Content-Length: -1")),
    "a size with a sign": (411, lambda s: head(s, "POST", STEP, "Content-Length: +2") + b"{}"),
    "a size in other digits": (411, lambda s: head(s, "POST", STEP, "Content-Length: \xb2") + b"{}"),
    "a terabyte": (413, lambda s: head(s, "POST", STEP, f"Content-Length: {1 << 40}")),
    "a size of 5,000 digits": (413, lambda s: head(s, "POST", STEP, "Content-Length: " + "9" * 5000)),
    "a place below 0": (400, lambda s: post(s, "/run/-1/keyboard.tflite/step", b"{}")),
    "a place in other digits": (400, lambda s: post(s, "/run/\xb2/keyboard.tflite/step", b"{}")),
    "a place of 5,000 digits": (400, lambda s: post(s, f"/run/{'9' * 5000}/keyboard.tflite/step", b"{}")),
    "another file": (400, lambda s: post(s, "/reset/0/other.tflite", b"{}")),
    "another action": (400, lambda s: post(s, "/dance/0/keyboard.tflite", b"{}")),
    "no action": (400, lambda s: post(s, "/", b"{}")),
}
BODIES = (b"", b"[]", b"3", b"null", b'"x"', b"{", b"\xff", b"[" * 100_000, b'{"a":' * 5000, b"9" * 5000)
BODIES += (b'{"token": NaN}', b'{"token": 1, "token": 1}', b"{}", b'{"token": {"data": {}}}', b"\0" * 100)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_page_asks_for_is_refused_and_nothing_of_it_repeated(server, name, capfd):
    status, request = REFUSED[name]
    answer = send(server, request(server))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1  # what came behind it was read as no request
    assert b"evil" not in answer and b"passwd" not in answer and b"script>" not in answer
    assert b"Content-Security-Policy: " in answer and b"Access-Control" not in answer
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_body_that_is_none_of_ours_is_answered_with_a_reason(server, body):
    answer = send(server, post(server, STEP, body))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert ": expected " in json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]


@pytest.mark.parametrize("token", [-1, len(WORDS), 2**31 - 1, -(2**31)])
def test_a_token_that_there_is_none_of_is_refused_and_the_model_goes_on(server, token):
    body = {**run_cases.REQUEST, "token": {"shape": [1], "dtype": "int32", "data": [token]}}
    assert send(server, post(server, STEP, json.dumps(body).encode())).startswith(b"HTTP/1.1 400 ")
    assert works(server)


def test_head_has_no_content_and_requests_may_follow_one_another(server):
    whole = send(server, head(server, "HEAD", "/page.js"))
    assert whole.startswith(b"HTTP/1.1 200 ") and whole.endswith(b"\r\n\r\n")
    three = send(server, head(server, path="/blocklist.txt") * 2 + post(server, STEP, b"{}"))
    assert three.count(b"HTTP/1.1 200 ") == 2 and three.count(b"HTTP/1.1 400 ") == 1


def test_a_body_is_not_read_before_its_origin_is_looked_at(server):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    held = [connected(server) for _ in range(10)]
    for connection in held:
        connection.sendall(head(server, "POST", STEP, f"Content-Length: {60 << 20}", "Origin: http://evil.example"))
    assert all(said(connection).startswith(b"HTTP/1.1 403 ") for connection in held)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10  # KiB
    for connection in held:
        connection.close()


def test_slow_and_many_connections_do_not_hold_the_page_up(server, monkeypatch):
    threads = threading.active_count()
    held = [connected(server) for _ in range(150)]
    for connection in held:
        connection.sendall(b"GET / HT")
    assert works(server)
    most = threads + guarded_http.CONNECTIONS + 2  # once those whose connections were ended have gone
    wait_until(lambda: threading.active_count() <= most, f"{most} threads at most")
    for connection in held:
        connection.close()


def test_slow_bodies_do_not_hold_up_those_of_others(server):
    held = [connected(server) for _ in range(10)]
    for connection in held:
        connection.sendall(head(server, "POST", STEP, f"Content-Length: {60 << 20}") + b"{")
    began = time.monotonic()
    assert works(server) and works(server)
    assert time.monotonic() - began < guarded_http.REQUEST_S  # after which they would be ended
    for connection in held:
        connection.close()


@pytest.mark.parametrize("path", [STEP, "/reset/0/keyboard.tflite"])
def test_every_post_without_an_origin_is_answered_and_none_of_another_page(server, path):
    body = json.dumps(run_cases.REQUEST).encode()
    own = f"Origin: {server.address[:-1]}"
    for origin, status in (
        ((), b"200"),
        ((own,), b"200"),
        (("Origin: null",), b"403"),
        (("Origin: http://a.b",), b"403"),
    ):
        assert send(server, post(server, path, body, *origin)).startswith(b"HTTP/1.1 " + status), origin


def test_where_memory_is_short_the_longest_coming_body_makes_room():
    ended = []
    ours, theirs = zip(*(socket.socketpair() for _ in range(3)), strict=True)

    def end(connection):
        ended.append(ours.index(connection))
        connection.shutdown(socket.SHUT_RDWR)

    bodies, found = RequestBodies(1 << 18, end, wait_s=PATIENCE_S), {}

    def read(number, length):
        with ours[number].makefile("rb") as stream:
            found[number] = bodies.read(ours[number], stream, length)
        bodies.release(ours[number])

    slow = [threading.Thread(target=read, args=(number, 1 << 18)) for number in (0, 1)]
    for number, thread in enumerate(slow):
        thread.start()
        theirs[number].sendall(bytes(90_000))
        wait_until(lambda own=ours[number]: bodies._held.get(own, 0) >= 90_000, "its bytes")
    sender = threading.Thread(target=theirs[2].sendall, args=(bytes(100_000),))
    sender.start()
    read(2, 100_000)
    sender.join(PATIENCE_S)
    assert found[2] == bytes(100_000) and ended[0] == 0
    for connection in theirs:
        connection.close()
    for thread in slow:
        thread.join(PATIENCE_S)
    for connection in ours:
        connection.close()
    assert found[0] is None and found[1] is None


def test_a_connection_that_is_not_done_in_time_is_ended(server, monkeypatch):
    usual = guarded_http.REQUEST_S
    monkeypatch.setattr(guarded_http, "REQUEST_S", 0.5)
    for begun in (b"", b"GET / HTTP/1.1\r\nX: ", head(server, "POST", STEP, "Content-Length: 9") + b"{"):
        with connected(server) as connection:
            connection.sendall(begun)
            begin, ended = time.monotonic(), threading.Event()
            while time.monotonic() - begin < usual:  # a byte now and then does not help
                try:
                    connection.sendall(b"a")
                    connection.settimeout(0.1)
                    if connection.recv(1 << 16) == b"":
                        ended.set()
                except TimeoutError:
                    continue
                except OSError:
                    ended.set()
                if ended.is_set():
                    break
            assert ended.is_set()
    assert works(server)


def test_whoever_leaves_in_the_middle_is_no_error(server, capfd):
    for begun in (head(server), head(server, "POST", STEP, "Content-Length: 100") + b"{", b"GE"):
        connection = connected(server)
        connection.sendall(begun)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
        connection.close()
    assert works(server) and capfd.readouterr() == ("", "")
