"""Keys of a round: X25519 key pairs (RFC 7748), what two of them agree on, and HKDF-SHA256 (RFC 5869).

On a phone, every secret of a round comes from the operating system's randomness, and nobody else could make it. In a
simulation it comes from a keyed stream instead: a function of the run's secret, the purpose, the round and the phone.
That is what lets a run that was killed repeat its rounds bit for bit. Who has the run's secret has every phone's, so it
is 256 bits, of the run alone, and no part of any message, log or checkpoint.

From what two phones agree on comes a key of one purpose, round, sender and addressee. A key is used once: the messages
and masks under it need no nonce of their own.
"""

import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server_strategy.aggregation.failures import violation
from typefleet.errors import expected
from typefleet.whole import check_phone

KEY_BYTES = 32
SIGNATURE_BYTES = 64
_LABEL = b"typefleet secure aggregation 1"
_THROW_AWAY = bytes(range(KEY_BYTES))  # a private key that protects nothing


@dataclass(frozen=True)
class RunSecret:
    """256 bits that all simulated phones' randomness of one run is derived from.

    Attributes:
        key: 32 bytes.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise ValueError(expected("secret", f"{KEY_BYTES} bytes", len(self.key)))

    @staticmethod
    def fresh() -> "RunSecret":
        """A secret from the operating system."""
        return RunSecret(secrets.token_bytes(KEY_BYTES))

    def material(self, purpose: str, server_round: int, phone: int, length: int = KEY_BYTES) -> bytes:
        """`length` bytes that stand for a phone's own randomness of one purpose in one round."""
        return hkdf(self.key, _info(purpose, server_round, phone), length)


@dataclass(frozen=True)
class KeyPair:
    """An X25519 key pair as bytes, so that a phone's state can be copied and stored.

    Attributes:
        private, public: 32 bytes each.
    """

    private: bytes = field(repr=False)
    public: bytes

    @staticmethod
    def of(private: bytes) -> "KeyPair":
        """The pair of a private key."""
        return KeyPair(private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())


def round_pairs(secret: RunSecret, server_round: int, phone: int) -> tuple[KeyPair, KeyPair]:
    """The two key pairs that a simulated phone makes for a round: for sealing shares, and for masks."""
    one, other = (KeyPair.of(secret.material(purpose, server_round, phone)) for purpose in ("share key", "mask key"))
    return one, other


@dataclass(frozen=True)
class Identity:
    """Who a phone is, for longer than a round: an Ed25519 key pair (RFC 8032) and its certificate.

    That a key is the phone's own is assumed, not proved: an authority that is not the server says so, such as the maker
    of the phone by its attestation. A server that could enrol phones of its own could put as many as it likes into a
    round, and every share of corrupted phones that is counted with would be exceeded.

    Attributes:
        phone: number of the phone.
        private, public: the key pair, 32 bytes each.
        certificate: the authority's signature of phone and public key, 64 bytes.
    """

    phone: int
    private: bytes = field(repr=False)
    public: bytes
    certificate: bytes

    def sign(self, content: bytes) -> bytes:
        """The phone's signature, 64 bytes."""
        return sign(self.private, content)


@dataclass(frozen=True)
class Authority:
    """Who certifies that a key is of a phone; see `Identity`.

    Attributes:
        private, public: its Ed25519 key pair.
    """

    private: bytes = field(repr=False)
    public: bytes

    @staticmethod
    def of(secret: RunSecret) -> "Authority":
        """The authority of a simulated run."""
        private = secret.material("authority", 0, 0)
        return Authority(private, signing_public_key(private))

    def enrol(self, phone: int, secret: RunSecret) -> Identity:
        """The identity of a simulated phone, the same in every round of the run.

        Raises:
            ValueError: a number that no phone has.
        """
        check_phone(phone)
        private = secret.material("identity", 0, phone)
        public = signing_public_key(private)
        return Identity(phone, private, public, sign(self.private, certified(phone, public)))


def certified(phone: int, public: bytes) -> bytes:
    """What a certificate signs."""
    return _info("certificate", 0, phone) + public


def agree(private: bytes, public: bytes) -> bytes:
    """The 32 bytes that two key pairs agree on: X25519.

    Raises:
        ProtocolViolation: bad_key, a public key of small order, with which anybody could agree on zeros.
    """
    return agree_with_each(private, {0: public})[0]


def agree_with_each(private: bytes, publics: Mapping[int, bytes]) -> dict[int, bytes]:
    """What one private key agrees on with each of several public ones, by phone.

    Raises:
        ProtocolViolation: as of `agree`.
    """
    own = X25519PrivateKey.from_private_bytes(private)  # which computes its public key, so once for all
    try:
        return {phone: own.exchange(X25519PublicKey.from_public_bytes(public)) for phone, public in publics.items()}
    except ValueError as error:
        raise violation("bad_key", "a public key", "an X25519 key", "one of small order or length") from error


def refuse_small_order(public: bytes) -> None:
    """Refuse a key with which anybody could agree on zeros; whose key it is tried with makes no difference.

    Raises:
        ProtocolViolation: as of `agree`.
    """
    agree(_THROW_AWAY, public)


def hkdf(secret: bytes, info: bytes, length: int = KEY_BYTES, salt: bytes | None = None) -> bytes:
    """HKDF-SHA256 of RFC 5869: `length` bytes for the use that `info` names."""
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def mask_key(agreed: bytes, server_round: int, one: int, other: int) -> bytes:
    """The key of the mask that two phones share, the same for both, from what their mask keys agree on."""
    return hkdf(agreed, _info("pairwise mask", server_round, min(one, other), max(one, other)))


def self_mask_key(seed: bytes, server_round: int, phone: int) -> bytes:
    """The key of a phone's self mask, from the seed of which the neighbours hold shares."""
    return hkdf(seed, _info("self mask", server_round, phone))


def share_key(agreed: bytes, server_round: int, sender: int, addressee: int) -> bytes:
    """The key under which `sender` seals its shares for `addressee`, and nothing else."""
    return hkdf(agreed, _info("shares", server_round, sender, addressee))


def signing_public_key(private: bytes) -> bytes:
    """The public half of an Ed25519 key."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign(private: bytes, content: bytes) -> bytes:
    """An Ed25519 signature, 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private).sign(content)


def verify(public: bytes, signature: bytes, content: bytes, whose: object) -> None:
    """Check an Ed25519 signature.

    Raises:
        ProtocolViolation: bad_signature.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, content)
    except (InvalidSignature, ValueError) as error:
        raise violation("bad_signature", whose, "a signature that holds", "one that does not") from error


def _info(purpose: str, *numbers: int) -> bytes:
    """A name that no other purpose or numbers have; RFC 5869 calls it info."""
    word = purpose.encode()
    return _LABEL + struct.pack(f">B{len(numbers)}Q", len(word), *numbers) + word
