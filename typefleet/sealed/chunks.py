"""A sealed file: AES-256-GCM in chunks, of which each is authenticated and can be read without the others.

    magic, 8 bytes | salt, 32 | bytes of a chunk, 4 | bytes of the content, 8 | chunks: ciphertext and tag of 16 bytes

Numbers are unsigned, little-endian. Every chunk but the last is of full size; a file without content has one chunk of
nothing, so that there is always a tag. Each writing of a file has a key of its own: by HKDF-SHA256 (RFC 5869) from the
data key, with the random salt of 256 bits, and with the header and the name of the file as context. The nonce of a
chunk is its index, in 96 bits.

*Nonces.* Under one key a nonce must never come twice (NIST SP 800-38D, section 8). Here a key encrypts one content,
once, with the nonces 0, 1, 2, ...: the deterministic construction of section 8.2.1, its counter being the whole field.
A nonce comes twice only if two of n writings under a data key draw the same salt, which has a probability below
n^2 / 2^257: 2^-193 for 2^32 of them, where the standard asks for 2^-32 (section 8). A chunk is far below the 2^39 - 256
bits of section 5.2.1.1, and a file has at most 2^32 chunks, which is held to here.

*What is refused.* Every bit of the header is in the key's context, the index of a chunk in its nonce, and both index
and length in its associated data. So a bit that was flipped anywhere, a file that was cut short or made longer, chunks
in another order or of another file, a file under another name, and one of another run or another entry, whose data key
is another, all end in one line. What is not seen is an earlier file of the same run under the same name: names of
checkpoints have their round in them, and an entry of the cache has a digest of each of its files.

The construction is that of streaming AEAD with random access, as in Google's Tink (AES-GCM-HKDF); see Hoang,
Reyhanitabar, Rogaway and Vizar, "Online authenticated-encryption and its nonce-reuse misuse-resistance", CRYPTO 2015,
section 7.
"""

import io
import os
import secrets
import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from typefleet.errors import ConfigError, expected, unreadable
from typefleet.untrusted.opening import require_file

KEY_BYTES = 32
CHUNK_BYTES = 1 << 16
TAG_BYTES = 16
MAGIC = b"TFSEAL1\n"
_HEADER = struct.Struct("<8s32sIQ")
_AAD = struct.Struct("<QQ")
_MOST_CHUNKS = 1 << 32
_MOST_CHUNK_BYTES = 1 << 24
_KEPT_CHUNKS = 16  # decrypted, by each reader


Piece: TypeAlias = bytes | bytearray | memoryview


class SealedError(ConfigError):
    """A sealed file that cannot be read with the key of its place."""


def seal(file: IO[bytes], parts: Sequence[Piece], key: bytes, name: str, chunk_bytes: int = CHUNK_BYTES) -> None:
    """Write a sealed file.

    Args:
        file: takes it, from where it stands.
        parts: of the content, one after another.
        key: data key of 32 bytes, of the run or the entry.
        name: of the file in its folder; it can be read under no other.
        chunk_bytes: of a chunk.

    Raises:
        ValueError: a key of another length, or a content of too many chunks.
        OSError: it cannot be written.
    """
    views = [view.cast("B") for part in parts if (view := memoryview(part)).nbytes]
    length = sum(len(view) for view in views)
    header = _HEADER.pack(MAGIC, secrets.token_bytes(32), chunk_bytes, length)
    if _chunks_of(length, chunk_bytes) > _MOST_CHUNKS:
        raise ValueError(expected(name, f"at most {_MOST_CHUNKS} chunks", "more"))
    cipher = AESGCM(_key_of_file(key, header, name))
    file.write(header)
    for index, chunk in enumerate(_in_chunks(views, chunk_bytes)):
        file.write(cipher.encrypt(_nonce(index), chunk, _AAD.pack(index, length)))


def sealed_bytes(content: bytes, key: bytes, name: str) -> bytes:
    """What `seal` writes of a content that is at hand."""
    file = io.BytesIO()
    seal(file, [content], key, name)
    return file.getvalue()


def is_sealed(path: Path) -> bool:
    """Whether a file begins as a sealed one does; not whether it is whole, nor whose it is."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class SealedFile(io.RawIOBase):
    """A sealed file as one to read from, at any place: a chunk is decrypted when something of it is asked for.

    Args:
        path: of the file.
        key: data key of the run or the entry.
        name: under which it was sealed.

    Raises:
        SealedError: it cannot be opened, is none, or is of another size than it says.
    """

    def __init__(self, path: Path, key: bytes, name: str) -> None:
        super().__init__()
        self._path, self._at = path, 0
        size = require_file(path, "a sealed file", SealedError)
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise SealedError(unreadable(path, error, "a sealed file")) from error
        try:
            self._begin(key, name, size)
        except BaseException:
            self._file.close()
            raise
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def _begin(self, key: bytes, name: str, size: int) -> None:
        header = self._file.read(_HEADER.size) or b""
        if not header.startswith(MAGIC):
            raise SealedError(expected(self._path, "a sealed file", "one that is not"))
        if len(header) < _HEADER.size:
            raise _changed(self._path)
        _, _, self._chunk_bytes, self.length = _HEADER.unpack(header)
        if not 0 < self._chunk_bytes <= _MOST_CHUNK_BYTES:
            raise _changed(self._path)
        self._chunks = _chunks_of(self.length, self._chunk_bytes)
        if size != _HEADER.size + self.length + TAG_BYTES * self._chunks:
            raise _changed(self._path)
        self._cipher = AESGCM(_key_of_file(key, header, name))

    def part(self, begin: int, end: int) -> bytes:
        """Bytes of the content from one place to another, both within it.

        Raises:
            SealedError: they were changed, or the key is another.
        """
        if not 0 <= begin <= end <= self.length:
            raise ValueError(expected(self._path, f"places up to {self.length}", f"{begin} to {end}"))
        if begin == end:
            return b""
        first, last = begin // self._chunk_bytes, (end - 1) // self._chunk_bytes
        start = begin - first * self._chunk_bytes
        if first == last:
            return self._chunk(first)[start : start + end - begin]
        joined = b"".join(self._chunk(index) for index in range(first, last + 1))
        return joined[start : start + end - begin]

    def _chunk(self, index: int) -> bytes:
        if (kept := self._kept.get(index)) is not None:
            self._kept.move_to_end(index)
            return kept
        stride = self._chunk_bytes + TAG_BYTES
        try:
            sealed = os.pread(self._file.fileno(), stride, _HEADER.size + index * stride)
        except OSError as error:
            raise SealedError(unreadable(self._path, error, "a sealed file")) from error
        try:
            plain = self._cipher.decrypt(_nonce(index), sealed, _AAD.pack(index, self.length))
        except InvalidTag as error:
            raise _changed(self._path) from error
        self._kept[index] = plain
        if len(self._kept) > _KEPT_CHUNKS:
            self._kept.popitem(last=False)
        return plain

    def all(self) -> bytes:
        """The whole content; every chunk of it is held to its tag, that of an empty content too.

        Raises:
            SealedError: it was changed, or the key is another.
        """
        return b"".join(self._chunk(index) for index in range(self._chunks))

    # What a file to read from has to have.

    def readable(self) -> bool:
        """It can be read from."""
        return True

    def seekable(self) -> bool:
        """Any place of it can be gone to."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place of the content."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.length}[whence]
        if base + offset < 0:
            raise ValueError(expected(self._path, "a place in the file", base + offset))
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """The place that is read from next."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; 0 at the end.

        Raises:
            SealedError: it was changed, or the key is another.
        """
        into = memoryview(buffer).cast("B")
        end = min(self._at + len(into), self.length)
        found = self.part(self._at, end) if self._at < end else b""
        into[: len(found)] = found
        self._at += len(found)
        return len(found)

    def close(self) -> None:
        """Let go of the file, and of what was decrypted of it."""
        if not self.closed:
            self._file.close()
            self._kept = OrderedDict()
        super().close()


def read_sealed(path: Path, key: bytes, name: str) -> bytes:
    """All of a sealed file.

    Raises:
        SealedError: it cannot be read, was changed, or the key is another.
    """
    with SealedFile(path, key, name) as file:
        return file.all()


def opened_bytes(sealed: bytes, key: bytes, name: str, where: object) -> bytes:
    """Inverse of `sealed_bytes`.

    Args:
        sealed: of one chunk.
        key: data key.
        name: under which it was sealed.
        where: it was found, for the message.

    Raises:
        SealedError: it was changed, or the key is another.
    """
    header, chunk = sealed[: _HEADER.size], sealed[_HEADER.size :]
    if len(header) < _HEADER.size or not header.startswith(MAGIC):
        raise _changed(where)
    _, _, _, length = _HEADER.unpack(header)
    try:
        return AESGCM(_key_of_file(key, header, name)).decrypt(_nonce(0), chunk, _AAD.pack(0, length))
    except InvalidTag as error:
        raise _changed(where) from error


def _key_of_file(key: bytes, header: bytes, name: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(expected("a data key", f"{KEY_BYTES} bytes", len(key)))
    _, salt, _, _ = _HEADER.unpack(header)
    context = b"typefleet sealed file\0" + header + name.encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=context).derive(key)


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _chunks_of(length: int, chunk_bytes: int) -> int:
    return max(1, -(-length // chunk_bytes))


def _in_chunks(views: Sequence[memoryview], size: int) -> Iterator[Piece]:
    """The views one after another, in pieces of one size; the last is what is left, and the only one may be empty."""
    held, is_begun = bytearray(), False
    for view in views:
        at = min(size - len(held), len(view)) if held else 0
        held += view[:at]
        if len(held) == size:
            yield bytes(held)
            held, is_begun = bytearray(), True
        while len(view) - at >= size:
            yield view[at : at + size]
            at, is_begun = at + size, True
        held += view[at:]
    if held or not is_begun:
        yield held


def _changed(where: object) -> SealedError:
    what = "a file as it was sealed here, with the key of its run"
    return SealedError(expected(where, what, "one that was changed, cut short, or sealed elsewhere"))
