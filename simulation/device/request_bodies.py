"""Memory for what requests bring: bounded, and not to be kept from others by whoever sends slowly."""

import socket
import threading
import time
from collections.abc import Callable
from io import BufferedIOBase

_AT_ONCE = 1 << 16  # bytes that are asked for


class RequestBodies:
    """All bodies that a server holds; room is taken as bytes arrive, and not as a request announces them.

    Where there is no room, the body that has been coming for longest ends. On this machine an honest one is there in
    milliseconds; so a sender that dawdles makes room for others, and does not hold them up.
    """

    def __init__(self, most_bytes: int, end: Callable[[socket.socket], None], wait_s: float) -> None:
        """Hold nothing yet.

        Args:
            most_bytes: of all bodies together.
            end: ends a connection, whose thread then finds that nothing more comes.
            wait_s: for room where all that there is belongs to requests that are being answered.
        """
        self._most, self._end, self._wait_s = most_bytes, end, wait_s
        self._held: dict[socket.socket, int] = {}
        self._coming: dict[socket.socket, float] = {}  # since when
        self._changed = threading.Condition()

    def read(self, connection: socket.socket, stream: BufferedIOBase, length: int) -> bytes | None:
        """A body of a stated length; None: it did not come whole, or there is no room. `release` it afterwards.

        Args:
            connection: that it comes from.
            stream: to read from.
            length: in bytes.
        """
        with self._changed:
            self._held[connection], self._coming[connection] = 0, time.monotonic()
        parts: list[bytes] = []
        left = length
        while left:
            size = min(left, _AT_ONCE)
            if not self._has_room(connection, size):
                return None
            part = stream.read1(size)
            if not part:
                return None
            with self._changed:
                self._held[connection] += len(part) - size
            parts.append(part)
            left -= len(part)
        with self._changed:
            self._coming.pop(connection, None)
        return b"".join(parts)

    def release(self, connection: socket.socket) -> None:
        """Give back what a connection's body took.

        Args:
            connection: whose request has been answered, or has ended.
        """
        with self._changed:
            self._held.pop(connection, None)
            self._coming.pop(connection, None)
            self._changed.notify_all()

    def _has_room(self, connection: socket.socket, size: int) -> bool:
        """Take room; whether there is some, if need be after the longest coming body has ended."""
        until = time.monotonic() + self._wait_s
        with self._changed:
            while sum(self._held.values()) + size > self._most:
                if self._coming:
                    longest = min(self._coming, key=lambda one: self._coming[one])
                    if longest is connection:
                        return False
                    del self._coming[longest]  # it is ended once
                    self._end(longest)
                if not self._changed.wait(until - time.monotonic()):
                    return False
            self._held[connection] += size
        return True
