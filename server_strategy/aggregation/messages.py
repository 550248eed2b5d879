"""What phones and server say to each other in a round.

| step | the server sends | each phone answers |
|---|---|---|
| advertise | the terms, with the task | `AdvertiseKeys` |
| share | `PeerKeys` | `SharedKeys` |
| mask | `SealedShares` | `MaskedInput` |
| confirm | `Survivors` | `Confirmation` |
| unmask | `Confirmations` | `UnmaskingShares` |
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from server_strategy.aggregation.failures import violation
from server_strategy.aggregation.keys import KEY_BYTES, SIGNATURE_BYTES
from server_strategy.aggregation.masks import Words
from server_strategy.aggregation.message_format import COUNT, HEADER, KEYS_BYTES, MAGIC, Limits, Message, Reader, listed
from server_strategy.aggregation.shares import SHARE_BYTES, TAG_BYTES

SEALED_BYTES = 2 * SHARE_BYTES + TAG_BYTES


@dataclass(frozen=True)
class AdvertiseKeys(Message):
    """A phone's public keys of the round, signed with the key that it is known by.

    Attributes:
        share_public: X25519, for sealing shares.
        mask_public: X25519, for pairwise masks.
        identity_public: Ed25519, the phone's own.
        certificate: the authority's signature of the phone's number and `identity_public`.
        signature: the phone's, of round, number and both keys.
    """

    KIND = 1
    share_public: bytes
    mask_public: bytes
    identity_public: bytes
    certificate: bytes
    signature: bytes

    @staticmethod
    def signed(server_round: int, sender: int, share_public: bytes, mask_public: bytes) -> bytes:
        """What `signature` is of."""
        return MAGIC + b"keys" + struct.pack(">QI", server_round, sender) + share_public + mask_public

    def _body(self) -> bytes:
        return self.share_public + self.mask_public + self.identity_public + self.certificate + self.signature

    @classmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        keys = (reader.take(KEY_BYTES) for _ in range(3))
        signatures = (reader.take(SIGNATURE_BYTES) for _ in range(2))
        return cls(server_round, sender, *keys, *signatures)


@dataclass(frozen=True)
class PeerKeys(Message):
    """Who takes part, and the keys of a phone's neighbours.

    Attributes:
        roster: all phones that advertised keys, in ascending order.
        neighbours: their keys, by phone.
    """

    KIND = 2
    roster: tuple[int, ...]
    neighbours: Mapping[int, AdvertiseKeys]

    def _body(self) -> bytes:
        roster = struct.pack(f">{len(self.roster) + 1}I", len(self.roster), *self.roster)
        return roster + listed((phone, keys._body()) for phone, keys in self.neighbours.items())

    @classmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        roster = reader.phones()
        bodies = reader.by_phone(lambda: reader.take(KEYS_BYTES))
        keys = {
            phone: AdvertiseKeys._read(Reader(body, reader.limits), server_round, phone)
            for phone, body in bodies.items()
        }
        return cls(server_round, sender, roster, keys)

    @classmethod
    def _most_bytes(cls, limits: Limits) -> int:
        return cls.list_bytes(limits, 2 * COUNT.size, KEYS_BYTES)


@dataclass(frozen=True)
class SharedKeys(Message):
    """A phone's shares, sealed for each neighbour.

    Attributes:
        seed_digest: SHA-256 of the seed of the self mask, by which the server knows the right one.
        sealed: a share of the seed and one of the mask key, by neighbour.
    """

    KIND = 3
    seed_digest: bytes
    sealed: Mapping[int, bytes]

    def _body(self) -> bytes:
        return self.seed_digest + listed(self.sealed.items())

    @classmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        digest = reader.take(KEY_BYTES)
        return cls(server_round, sender, digest, reader.by_phone(lambda: reader.take(SEALED_BYTES)))

    @classmethod
    def _most_bytes(cls, limits: Limits) -> int:
        return cls.list_bytes(limits, COUNT.size, SEALED_BYTES)


@dataclass(frozen=True)
class SealedShares(Message):
    """The shares that a phone's neighbours sealed for it.

    Attributes:
        sealed: by neighbour; those who are not in it have left.
    """

    KIND = 4
    sealed: Mapping[int, bytes]

    def _body(self) -> bytes:
        return listed(self.sealed.items())

    @classmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        return cls(server_round, sender, reader.by_phone(lambda: reader.take(SEALED_BYTES)))

    @classmethod
    def _most_bytes(cls, limits: Limits) -> int:
        return cls.list_bytes(limits, COUNT.size, SEALED_BYTES)


@dataclass(frozen=True)
class MaskedInput(Message):
    """A phone's masked vector.

    Attributes:
        packed: its words, as many bits each as the ring has.
    """

    KIND = 5
    packed: bytes

    def words(self, limits: Limits) -> Words:
        """The vector, a copy."""
        return limits.ring.unpack(self.packed, limits.length)

    def _body(self) -> bytes:
        return self.packed

    @classmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        ring, length = reader.limits.ring, reader.limits.length
        packed = reader.take(ring.packed_bytes(length))
        if not ring.has_no_spare_bits(packed, length):
            raise violation("malformed", "a masked vector", "zeros after the last number", "a one")
        return cls(server_round, sender, packed)

    @classmethod
    def _most_bytes(cls, limits: Limits) -> int:
        return HEADER.size + limits.ring.packed_bytes(limits.length)


@dataclass(frozen=True)
class Survivors(Message):
    """Whose vectors are in the sum.

    Attributes:
        places: of these phones in the roster, in ascending order; sent as a bit for each phone of it.
        roster_size: phones of the roster.
    """

    KIND = 6
    places: tuple[int, ...]
    roster_size: int

    def _body(self) -> bytes:
        bits = sum(1 << place for place in self.places)
        return COUNT.pack(self.roster_size) + bits.to_bytes((self.roster_size + 7) // 8, "little")

    @classmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        size = reader.count()
        bits = int.from_bytes(reader.take((size + 7) // 8), "little")
        if bits >> size:
            raise violation("malformed", "survivors", "a bit for each phone", "more")
        return cls(server_round, sender, tuple(i for i, bit in enumerate(reversed(f"{bits:b}")) if bit == "1"), size)


@dataclass(frozen=True)
class Confirmation(Message):
    """A phone's signature of whose vectors are in the sum, as it was shown."""

    KIND = 7
    signature: bytes

    @staticmethod
    def signed(server_round: int, roster: Iterable[int], survivors: Iterable[int]) -> bytes:
        """What the signature is of: round, everybody, and who survived."""
        lists = (sorted(roster), sorted(survivors))
        content = b"".join(struct.pack(f">{len(one) + 1}I", len(one), *one) for one in lists)
        return MAGIC + b"survivors" + struct.pack(">Q", server_round) + hashlib.sha256(content).digest()

    def _body(self) -> bytes:
        return self.signature

    @classmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        return cls(server_round, sender, reader.take(SIGNATURE_BYTES))


@dataclass(frozen=True)
class Confirmations(Message):
    """The signatures of a phone's neighbours.

    Attributes:
        signatures: by neighbour.
    """

    KIND = 8
    signatures: Mapping[int, bytes]

    def _body(self) -> bytes:
        return listed(self.signatures.items())

    @classmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        return cls(server_round, sender, reader.by_phone(lambda: reader.take(SIGNATURE_BYTES)))

    @classmethod
    def _most_bytes(cls, limits: Limits) -> int:
        return cls.list_bytes(limits, COUNT.size, SIGNATURE_BYTES)


@dataclass(frozen=True)
class UnmaskingShares(Message):
    """A phone's shares of its neighbours' secrets: one of each neighbour's two.

    Attributes:
        seeds: of self masks, of neighbours whose vectors are in the sum.
        keys: of mask keys, of neighbours who left after they had shared them.
    """

    KIND = 9
    seeds: Mapping[int, int]
    keys: Mapping[int, int]

    def _body(self) -> bytes:
        lists = ([(p, s.to_bytes(SHARE_BYTES, "big")) for p, s in some.items()] for some in (self.seeds, self.keys))
        return b"".join(map(listed, lists))

    @classmethod
    def _read(cls, reader: Reader, server_round: int, sender: int) -> Self:
        return cls(server_round, sender, reader.by_phone(reader.share), reader.by_phone(reader.share))

    @classmethod
    def _most_bytes(cls, limits: Limits) -> int:
        return cls.list_bytes(limits, COUNT.size, SHARE_BYTES)


KINDS: dict[int, type[Message]] = {
    kind.KIND: kind
    for kind in (
        *(AdvertiseKeys, PeerKeys, SharedKeys, SealedShares, MaskedInput),
        *(Survivors, Confirmation, Confirmations, UnmaskingShares),
    )
}
