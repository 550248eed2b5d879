"""A small web server for one page on this machine, which nobody else can hold up, fill or speak through.

Whatever a request may not do is refused before its body is read: another name than this machine's (`Host`), so that
no web page elsewhere reaches the server through a name that it points here; another page (`Origin`); a body of unknown
or absurd size. A POST without an `Origin` comes from no web page, since browsers state it, and is answered. A
connection that is not done in time is ended, as is the longest waiting one where there are too many.
"""

import json
import socket
import sys
import threading
import time
from abc import abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from simulation.device.request_bodies import RequestBodies
from typefleet.untrusted.limits import CONNECTIONS, MIB, REQUEST_BYTES, REQUEST_S

_ANSWER_S = 120  # a model may learn before it answers
_BODIES = 4  # of the largest size, held in memory at a time
_TEXT = "text/plain; charset=utf-8"
_REFUSED = {
    400: "expected an HTTP request, found something else",
    405: "expected GET, HEAD or POST, found another method",
    414: "expected a shorter address, found a longer one",
    431: "expected fewer and shorter headers, found others",
    505: "expected HTTP/1.1, found another version",
}


class GuardedServer(ThreadingHTTPServer):
    """Ends connections that are late or too many."""

    daemon_threads = True
    request_queue_size = CONNECTIONS
    policy = "default-src 'none'"
    """The content security policy of every answer."""

    def __init__(self, port: int, handler: type["GuardedHandler"]) -> None:
        """On 127.0.0.1; port 0 takes any that is free."""
        self._ends: dict[socket.socket, float] = {}  # when each connection will be ended
        self._ends_lock = threading.Lock()
        self.bodies = RequestBodies(_BODIES * REQUEST_BYTES, self._end, REQUEST_S)
        super().__init__(("127.0.0.1", port), handler)

    def allow(self, connection: socket.socket, seconds: float) -> None:
        """Let a connection last for so long from now on."""
        with self._ends_lock:
            self._ends[connection] = time.monotonic() + seconds

    def process_request(self, request: Any, client_address: Any) -> None:
        """Make room for a new connection; the longest waiting one ends where there are too many."""
        with self._ends_lock:
            late = sorted(self._ends, key=lambda one: self._ends[one])[: max(len(self._ends) + 1 - CONNECTIONS, 0)]
        for connection in late:
            self._end(connection)
        self.allow(request, REQUEST_S)
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End what is late; called twice a second."""
        now = time.monotonic()
        with self._ends_lock:
            late = [connection for connection, end in self._ends.items() if end < now]
        for connection in late:
            self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        with self._ends_lock:
            self._ends.pop(connection, None)
        try:
            connection.shutdown(socket.SHUT_RDWR)  # its thread finds that nothing more comes
        except OSError:
            return  # it has ended by itself

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        with self._ends_lock:
            self._ends.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor who leaves is no error; anything else is a defect, and shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """URL of the page, on this machine only."""
        return f"http://127.0.0.1:{self.server_address[1]}/"


class GuardedHandler(BaseHTTPRequestHandler):
    """Answers requests that this machine's own page makes."""

    server: GuardedServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Typefleet", ""

    @abstractmethod
    def get(self) -> tuple[int, bytes, str]:
        """(status, content, its type) of `self.path`."""

    @abstractmethod
    def accepts_post(self) -> tuple[int, str] | None:
        """(status, reason) of refusing a POST to `self.path`, whose body is not read; None: it is accepted."""

    @abstractmethod
    def post(self, body: bytes) -> tuple[int, bytes, str]:
        """(status, content, its type) of a POST to `self.path` that was accepted."""

    def handle_one_request(self) -> None:
        """Within the time for one, waiting for it included."""
        self.server.allow(self.connection, REQUEST_S)
        super().handle_one_request()

    def do_GET(self) -> None:
        """Answer with what there is."""
        if self._is_refused() or self._has_a_body():
            return
        self.answer(*self.get())

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Look at everything but the body first."""
        if self._is_refused() or (length := self._length_of_body()) is None:
            return
        if (refusal := self.accepts_post()) is not None:
            self._refuse(*refusal)
            return
        try:
            body = self.server.bodies.read(self.connection, self.rfile, length)
            if body is None:
                self._refuse(503, "expected a whole body while there is room for one, found another")
                return
            self.server.allow(self.connection, _ANSWER_S)
            self.answer(*self.post(body))
        finally:
            self.server.bodies.release(self.connection)

    def _is_refused(self) -> bool:
        """Whether the request was not made by this machine's own page, and has been answered."""
        port = self.server.server_address[1]
        hosts, origins = self.headers.get_all("Host", []), self.headers.get_all("Origin", [])
        if hosts not in ([f"127.0.0.1:{port}"], [f"localhost:{port}"]):
            self._refuse(403, "this server answers to this machine only")
        elif origins not in ([], [f"http://{hosts[0]}"]):
            self._refuse(403, "this server answers to its own page only")
        else:
            return False
        return True

    def _has_a_body(self) -> bool:
        """Whether a GET has one, which would be read as the next request, and has been answered."""
        lengths = self.headers.get_all("Content-Length", [])
        if not self.headers.get_all("Transfer-Encoding") and lengths in ([], ["0"]):
            return False
        self._refuse(400, "expected no body, found one")
        return True

    def _length_of_body(self) -> int | None:
        """None: it is not stated as it should be, or too large, and has been answered."""
        lengths = self.headers.get_all("Content-Length", [])
        stated = lengths[0] if len(lengths) == 1 else ""
        if self.headers.get_all("Transfer-Encoding") or not (stated.isascii() and stated.isdecimal()):
            self._refuse(411, "expected a body of a stated size, found another")
        elif len(stated) > 12 or int(stated) > REQUEST_BYTES:
            self._refuse(413, f"expected a body of at most {REQUEST_BYTES // MIB} MiB, found a larger one")
        else:
            return int(stated)
        return None

    def _refuse(self, status: int, reason: str) -> None:
        """Answer and end the connection, whose next bytes are nobody's request."""
        self.close_connection = True
        if self.command == "POST":  # the page shows the reason
            self.answer(status, json.dumps({"error": reason}).encode(), "application/json")
        else:
            self.answer(status, reason.encode(), _TEXT)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Whatever is no request that we know; nothing of it is repeated."""
        code = 405 if code == 501 else code
        self.request_version = self.protocol_version  # else nobody would be told the status
        self.close_connection = True
        self.answer(code, _REFUSED.get(code, _REFUSED[400]).encode(), _TEXT)

    def answer(self, status: int, content: bytes, kind: str) -> None:
        """Send an answer that stays on this page."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        # A page on its own may measure time in microseconds.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        if status == 405:
            self.send_header("Allow", "GET, HEAD, POST")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what the page asks for is nobody's business."""
