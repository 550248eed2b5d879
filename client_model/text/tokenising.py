"""From a file of messages to arrays, in little memory and with word of how far it is.

All messages lie one after another in arrays of machine numbers while the file is read; in the end they are put in the
order of phones, and of times where messages have them.
"""

import hashlib
import json
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.text.formats.base import DataError, Message, MessageFormat, read_messages
from client_model.text.formats.share_read import watched
from client_model.text.personal.redaction import Redaction
from client_model.text.vocabulary import tokenize
from client_model.text.writing_systems import SpacesBetweenWords
from typefleet.errors import expected
from typefleet.steps import step

_LOOK_EVERY = 512  # messages
_AT_A_TIME = 65_536  # messages that are moved to their places


def user_digest(user_id: str) -> int:
    """What a phone is known by: 64 bits of its user id's BLAKE2b, as `Tokenised.digests` has them."""
    return int.from_bytes(_digest_bytes(user_id), "little")


def _digest_bytes(user_id: str) -> bytes:
    return hashlib.blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()


@dataclass
class Tokenised:
    """A file's messages as numbers, phone by phone.

    Attributes:
        types: int32 [tokens], ids into the lexicon.
        message_offsets: int64 [messages + 1], where each message begins in `types`.
        first_message: int64 [phones + 1], where each phone begins in `message_offsets`.
        digests: uint64 [phones], of the user ids.
        lexicon: the distinct tokens.
        skipped_lines: lines that were no messages.
        times_s: float64 [messages], when each was written, in seconds since 1970; None: the file does not say.
        masked_places: where redaction has put a mask.
        dropped_messages: that redaction has left out.
    """

    types: NDArray[np.int32]
    message_offsets: NDArray[np.int64]
    first_message: NDArray[np.int64]
    digests: NDArray[np.uint64]
    lexicon: list[str]
    skipped_lines: int
    times_s: NDArray[np.float64] | None = None
    masked_places: int = 0
    dropped_messages: int = 0

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those that there are, by name."""
        named = {name: getattr(self, name) for name in ("types", "message_offsets", "first_message", "digests")}
        return named if self.times_s is None else {**named, "times_s": self.times_s}

    def digest(self) -> str:
        """32 hexadecimal digits of all of it."""
        found = hashlib.sha256(json.dumps([self.lexicon, self.skipped_lines]).encode())
        for numbers in self.arrays.values():
            found.update(numbers.tobytes())
        return found.hexdigest()[:32]


def tokenise(
    path: Path,
    message_format: MessageFormat,
    on_bad_line: str,
    redaction: Redaction | None = None,
    seen: Callable[[Message], None] | None = None,
) -> Tokenised:
    """Read a file and tokenise it.

    Args:
        path: the file, or a folder if the format reads folders.
        message_format: reads it.
        on_bad_line: `error` or `skip`.
        redaction: takes personal data out of each text before it is cut into tokens.
        seen: is shown each message as it was written.

    Raises:
        DataError: the file cannot be read, has a bad line that is not to be skipped, numbers beside dates as times, no
            words, or no spaces between.
    """
    tokens_of = tokenize if redaction is None else redaction.tokens
    gathered, script, number = _Gathered(), SpacesBetweenWords(path), 0
    with watched() as share, step(f"reading {path.name}") as reading:
        for number, message in enumerate(read_messages(path, message_format), start=1):
            if number % _LOOK_EVERY == 0:
                reading.total = 1.0 if share() else None
                reading.reached(share() or 0.0, f"{number:,} messages")
            if isinstance(message, DataError):
                if on_bad_line == "error":
                    raise message
                gathered.skipped += 1
                continue
            gathered.check_time(message, f"{path}: message {number}")
            script.look_at(message.text)
            if seen is not None:
                seen(message)
            gathered.add(message, tokens_of(message.text))
    script.settle()
    if not gathered.lengths:
        raise DataError(expected(path, "messages", "none with any word"))
    tokenised = gathered.by_phone()
    if redaction is not None:
        tokenised.masked_places, tokenised.dropped_messages = redaction.masked, redaction.dropped
    return tokenised


class _Gathered:
    """Messages in the order of the file."""

    def __init__(self) -> None:
        self.types = array("i")  # [tokens]
        self.lengths = array("i")  # [messages]
        self.phones = array("i")  # [messages]: in the order in which they turned up
        self.times = array("d")  # [messages]
        self.numbers: dict[bytes, int] = {}  # of phones, by the digest of the user id
        self.lexicon: dict[str, int] = {}
        self.skipped = 0
        self.are_dated: bool | None = None  # the messages; None: no times yet

    def check_time(self, message: Message, where: str) -> None:
        """Numbers have an unknown unit, so that they cannot be put in one order with dates."""
        if message.time is None:
            return
        if self.are_dated not in (None, message.is_dated):
            kinds = ("numbers", "dates")
            wanted = f"times that are all numbers or all dates, as the {kinds[not message.is_dated]} before"
            raise DataError(expected(where, wanted, kinds[message.is_dated]))
        self.are_dated = message.is_dated

    def add(self, message: Message, words: list[str]) -> None:
        lexicon = self.lexicon
        tokens = [lexicon.setdefault(token, len(lexicon)) for token in words]
        if not tokens:
            return
        digest = _digest_bytes(message.user_id)
        self.types.extend(tokens)
        self.lengths.append(len(tokens))
        self.phones.append(self.numbers.setdefault(digest, len(self.numbers)))
        self.times.append(0.0 if message.time is None else message.time)

    def by_phone(self) -> Tokenised:
        """Phones by their digests: the order of the file matters for none but a phone's own messages."""
        digests = sorted(self.numbers)
        row = np.empty(len(digests), np.int64)
        row[[self.numbers[digest] for digest in digests]] = np.arange(len(digests))
        row_of_message = row[np.frombuffer(self.phones, np.int32)]
        lengths, times_s = np.frombuffer(self.lengths, np.int32), np.frombuffer(self.times, np.float64)
        order = np.lexsort((times_s, row_of_message))  # stable
        return Tokenised(
            types=_moved(np.frombuffer(self.types, np.int32), lengths, order),
            message_offsets=_offsets(lengths[order]),
            first_message=_offsets(np.bincount(row_of_message, minlength=len(digests))),
            digests=np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64),
            lexicon=list(self.lexicon),
            skipped_lines=self.skipped,
            times_s=times_s[order] if self.are_dated else None,
        )


def _offsets(lengths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _moved(types: NDArray[np.int32], lengths: NDArray[np.int32], order: NDArray[np.int64]) -> NDArray[np.int32]:
    """The tokens of messages in another order: int32 [tokens]."""
    begins, moved, done = _offsets(lengths), np.empty_like(types), 0
    for some in np.array_split(order, len(order) // _AT_A_TIME + 1):
        offsets = _offsets(lengths[some])
        place = np.repeat(begins[some] - offsets[:-1], lengths[some]) + np.arange(offsets[-1])
        moved[done : done + len(place)] = types[place]
        done += len(place)
    return moved
