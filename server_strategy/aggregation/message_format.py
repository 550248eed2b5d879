"""The format that all messages of a round have in common: a strict one, read with limits.

A message is `TSA1`, its kind (1 byte), the round (8), the sender (4; all ones for the server) and a body of numbers and
fields of fixed lengths, big-endian; lists have their count (4) first. Whoever reads one says of which kind, round and
sender it has to be and how large it may get, and gets either a whole message or a `ProtocolViolation`.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self, TypeVar

from server_strategy.aggregation.failures import violation
from server_strategy.aggregation.graph import MOST_PHONES
from server_strategy.aggregation.keys import KEY_BYTES, SIGNATURE_BYTES
from server_strategy.aggregation.masks import FULL_RING, Ring
from server_strategy.aggregation.shares import PRIME, SHARE_BYTES

SERVER = (1 << 32) - 1
MAGIC = b"TSA1"
HEADER = struct.Struct(">4sBQI")
COUNT = struct.Struct(">I")
KINDS_OF_MESSAGES = 9  # two of each step in their order, the server's first; the first step has none of it
KEYS_BYTES = 3 * KEY_BYTES + 2 * SIGNATURE_BYTES

Field = TypeVar("Field")


@dataclass(frozen=True)
class Limits:
    """How large a message may be.

    Attributes:
        phones: that take part at most.
        length: numbers of a vector.
        ring: that it is of.
    """

    phones: int = MOST_PHONES
    length: int = 0
    ring: Ring = FULL_RING


class Reader:
    """Reads a body from front to back and refuses what is not there, or too much."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self._data = data
        self._at = 0
        self.limits = limits

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > len(self._data) - self._at:
            raise violation("malformed", "a message", f"{size} more bytes", len(self._data) - self._at)
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self) -> int:
        """The next number, of 4 bytes."""
        return int.from_bytes(self.take(COUNT.size), "big")

    def count(self) -> int:
        """The length of a list, of a phone each."""
        if (count := self.number()) > self.limits.phones:
            raise violation("oversized", "a list", f"at most {self.limits.phones} phones", count)
        return count

    def phones(self) -> tuple[int, ...]:
        """A list of phones in ascending order."""
        count = self.count()
        found = struct.unpack(f">{count}I", self.take(count * COUNT.size))
        if any(one >= other for one, other in pairwise(found)):
            raise violation("malformed", "a list", "phones in ascending order", "others")
        return found

    def by_phone(self, read: Callable[[], Field]) -> dict[int, Field]:
        """A list of fields, each after the number of its phone, in ascending order."""
        found: dict[int, Field] = {}
        before = -1
        for _ in range(self.count()):
            if (phone := self.number()) <= before:
                raise violation("malformed", "a list", "phones in ascending order", "others")
            before = phone
            found[phone] = read()
        return found

    def share(self) -> int:
        """A share of a secret."""
        if (share := int.from_bytes(self.take(SHARE_BYTES), "big")) >= PRIME:
            raise violation("malformed", "a share", "a number below the prime", "a larger one")
        return share

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise violation("malformed", "a message", "its end", f"{len(self._data) - self._at} more bytes")


@dataclass(frozen=True)
class Message(ABC):
    """What all messages begin with.

    Attributes:
        server_round: of the round.
        sender: number of the phone, or `SERVER`.
    """

    KIND: ClassVar[int]
    server_round: int
    sender: int

    def to_bytes(self) -> bytes:
        """The message as it is sent."""
        return HEADER.pack(MAGIC, self.KIND, self.server_round, self.sender) + self._body()

    @classmethod
    def from_bytes(cls, data: bytes, server_round: int, sender: int, limits: Limits) -> Self:
        """Read a message of this kind.

        Args:
            data: as it arrived.
            server_round: that it has to be of.
            sender: who delivered it, as the channel knows.
            limits: how large it may be.

        Raises:
            ProtocolViolation: it is something else, or of another round or sender.
        """
        if len(data) < HEADER.size:
            raise violation("malformed", cls.__name__, f"at least {HEADER.size} bytes", len(data))
        magic, kind, of_round, of_sender = HEADER.unpack_from(data)
        if magic != MAGIC or not 1 <= kind <= KINDS_OF_MESSAGES:
            raise violation("malformed", cls.__name__, "a message of this protocol", "something else")
        if of_round != server_round:
            raise violation("wrong_round", cls.__name__, f"round {server_round}", of_round)
        if of_sender != sender:
            raise violation("wrong_sender", cls.__name__, f"sender {sender}", of_sender)
        if kind != cls.KIND:
            over = kind // 2 < cls.KIND // 2  # kinds are in the order of the steps, two of each
            raise violation("replayed" if over else "malformed", cls.__name__, f"kind {cls.KIND}", kind)
        if len(data) > cls._most_bytes(limits):
            raise violation("oversized", cls.__name__, f"at most {cls._most_bytes(limits)} bytes", len(data))
        reader = Reader(data[HEADER.size :], limits)
        message = cls._read(reader, server_round, sender)
        reader.end()
        return message

    @abstractmethod
    def _body(self) -> bytes:
        """What follows the header."""

    @classmethod
    @abstractmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        """The message of a body; inverse of `_body`."""

    @classmethod
    def _most_bytes(cls, limits: Limits) -> int:
        """No honest message of the kind has more; its parts are then checked one by one."""
        return HEADER.size + COUNT.size + KEYS_BYTES + limits.phones

    @classmethod
    def list_bytes(cls, limits: Limits, *each: int) -> int:
        """Room for lists of the most phones, with so many bytes for each."""
        return HEADER.size + 2 * COUNT.size + KEY_BYTES + limits.phones * sum(each)


def listed(fields: Iterable[tuple[int, bytes]]) -> bytes:
    """Fields by phone, in ascending order, as `Reader.by_phone` reads them."""
    ordered = sorted(fields)
    return COUNT.pack(len(ordered)) + b"".join(COUNT.pack(phone) + field for phone, field in ordered)
