"""Signatures by Ed25519, and beside it by ML-DSA-65, which a quantum computer does not forge as far as is known.

Ed25519 is that of RFC 8032, ML-DSA-65 that of FIPS 204 (pure, with the empty context). Who has keys for both signs by
both, and a signature holds if each of the two does: it is as strong as the stronger one. Both are over the same bytes,
and these name the algorithms, so that none of them can be taken away unseen.

ML-DSA-65 needs the extra `pqcrypto`. Its code has not been audited by anybody; what it gets wrong, Ed25519 still holds.

| bytes | public key | private key | signature |
|---|---|---|---|
| Ed25519 | 32 | 32 | 64 |
| ML-DSA-65 | 1,952 | 4,032 | 3,309 |
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from typefleet.errors import ConfigError, InputError, expected

ED25519, ML_DSA_65 = "ed25519", "ml-dsa-65"
INSTALL = "the package pqcrypto: pip install 'typefleet[pqcrypto]'"
_PUBLIC_BYTES = {ED25519: 32, ML_DSA_65: 1952}
_PRIVATE_BYTES = {ED25519: 32, ML_DSA_65: 4032}
_SIGNATURE_BYTES = {ED25519: 64, ML_DSA_65: 3309}


class SignatureError(InputError):
    """A signature is missing, is not of the key or of the content that was expected, or a key cannot be used."""


@dataclass(frozen=True)
class PublicKey:
    """What signatures of one holder are verified by.

    Attributes:
        ed25519: 32 bytes.
        ml_dsa_65: 1,952 bytes; None: the holder signs by Ed25519 alone.
    """

    ed25519: bytes
    ml_dsa_65: bytes | None = None

    @property
    def algorithms(self) -> tuple[str, ...]:
        """By which its holder signs."""
        return (ED25519,) if self.ml_dsa_65 is None else (ED25519, ML_DSA_65)

    @property
    def id(self) -> str:
        """SHA-256 of the keys' bytes one after the other, in hexadecimal digits."""
        return hashlib.sha256(self.ed25519 + (self.ml_dsa_65 or b"")).hexdigest()

    def shares(self, other: "PublicKey") -> bool:
        """Whether two have a key in common."""
        post_quantum = self.ml_dsa_65 is not None and self.ml_dsa_65 == other.ml_dsa_65
        return self.ed25519 == other.ed25519 or post_quantum


@dataclass(frozen=True)
class PrivateKey:
    """What its holder signs with.

    Attributes:
        public: the public halves.
        ed25519: 32 bytes, the seed of RFC 8032.
        ml_dsa_65: 4,032 bytes, as FIPS 204 encodes a private key; None with a public key that has none.
    """

    public: PublicKey
    ed25519: bytes = field(repr=False)
    ml_dsa_65: bytes | None = field(default=None, repr=False)


def has_ml_dsa() -> bool:
    """Whether the package is installed that signs and verifies by ML-DSA-65."""
    return find_spec("pqcrypto") is not None


def new_key(*, hybrid: bool) -> PrivateKey:
    """A key from the operating system's randomness.

    Args:
        hybrid: for ML-DSA-65 as well.

    Raises:
        ConfigError: it is to be hybrid, and the package for it is not installed.
    """
    own = Ed25519PrivateKey.generate()
    public, private = own.public_key().public_bytes_raw(), own.private_bytes_raw()
    if not hybrid:
        return PrivateKey(PublicKey(public), private)
    post_quantum_public, post_quantum = _ml_dsa("a hybrid key").keygen()
    return PrivateKey(PublicKey(public, bytes(post_quantum_public)), private, bytes(post_quantum))


def sign(key: PrivateKey, content: bytes) -> dict[str, bytes]:
    """Signatures of a content, by each algorithm that the key is for.

    Raises:
        ConfigError: the key is hybrid, and the package for it is not installed.
    """
    signatures = {ED25519: Ed25519PrivateKey.from_private_bytes(key.ed25519).sign(content)}
    if key.ml_dsa_65 is not None:
        signatures[ML_DSA_65] = bytes(_ml_dsa("a hybrid key").sign(key.ml_dsa_65, content))
    return signatures


def verify(key: PublicKey, content: bytes, signatures: Mapping[str, bytes], where: object) -> tuple[str, ...]:
    """Hold a content to its signatures, by each algorithm that the key is for.

    Args:
        key: of who is expected to have signed.
        content: that was signed.
        signatures: by algorithm.
        where: they were read, for the message.

    Returns:
        The algorithms by which it was verified: ML-DSA-65 is missing where its package is not installed.

    Raises:
        SignatureError: a signature is missing, one too many, or does not hold.
    """
    for algorithm in key.algorithms:
        if algorithm not in signatures:
            raise SignatureError(expected(where, f"a signature by {algorithm} as well, which this key makes", "none"))
    if set(signatures) - set(key.algorithms):
        raise SignatureError(expected(where, f"signatures by {' and '.join(key.algorithms)} alone", "one more"))
    try:
        Ed25519PublicKey.from_public_bytes(key.ed25519).verify(signatures[ED25519], content)
    except InvalidSignature as error:
        raise SignatureError(_another(where, ED25519)) from error
    if key.ml_dsa_65 is None or not has_ml_dsa():
        return (ED25519,)
    from pqcrypto import InvalidSignatureError

    try:
        _ml_dsa(str(where)).verify(key.ml_dsa_65, content, signatures[ML_DSA_65])
    except (InvalidSignatureError, ValueError) as error:  # ValueError: one of another length
        raise SignatureError(_another(where, ML_DSA_65)) from error
    return ED25519, ML_DSA_65


def require_key(key: PublicKey | PrivateKey, where: object) -> None:
    """Refuse what cannot be a key.

    Raises:
        SignatureError: it is of another length, or a point of low order.
    """
    sizes = _PUBLIC_BYTES if isinstance(key, PublicKey) else _PRIVATE_BYTES
    for algorithm, content in ((ED25519, key.ed25519), (ML_DSA_65, key.ml_dsa_65)):
        if content is not None and len(content) != sizes[algorithm]:
            raise SignatureError(expected(where, f"{sizes[algorithm]:,} bytes of {algorithm}", f"{len(content):,}"))
    if isinstance(key, PublicKey):
        if has_low_order(key.ed25519):
            raise SignatureError(
                expected(where, "an Ed25519 key", "a point of low order, whose signatures anybody makes")
            )
        return
    require_key(key.public, where)
    own = Ed25519PrivateKey.from_private_bytes(key.ed25519).public_key().public_bytes_raw()
    if own != key.public.ed25519 or not _belong_together(key.ml_dsa_65, key.public.ml_dsa_65):
        raise SignatureError(expected(where, "a private key with its public one", "another public key"))


def _belong_together(private: bytes | None, public: bytes | None) -> bool:
    """Whether two halves by ML-DSA-65 are of one key: the private one has a digest of the other (FIPS 204, 5.1)."""
    if private is None or public is None:
        return private is public
    return private[:32] == public[:32] and private[64:128] == hashlib.shake_256(public).digest(64)


def has_low_order(ed25519: bytes) -> bool:
    """Whether eight times the point of a key is the neutral one (RFC 8032, section 5.1, for the curve).

    The same signature is then good for many messages, so that nothing is signed by it. The y of the eight points, in
    either sign of x, are -1, 0, 1 and the two roots of dy^4 + 2y^2 - 1 and their negatives (the points of order 8:
    doubled, their y is 0).

    Args:
        ed25519: a public key of 32 bytes.
    """
    prime = 2**255 - 19
    y = int.from_bytes(ed25519, "little") % 2**255 % prime
    d = -121665 * pow(121666, -1, prime) % prime
    return y in (0, 1, prime - 1) or (d * y**4 + 2 * y**2 - 1) % prime == 0


def require_size(algorithm: str, signature: bytes, where: object) -> None:
    """Refuse a signature of another length than an algorithm makes.

    Raises:
        SignatureError: it is of another one.
    """
    if len(signature) != _SIGNATURE_BYTES[algorithm]:
        what = f"{_SIGNATURE_BYTES[algorithm]:,} bytes of a signature by {algorithm}"
        raise SignatureError(expected(where, what, f"{len(signature):,}"))


def _another(where: object, algorithm: str) -> str:
    return expected(where, f"a signature by {algorithm} that this key made of this text", "another")


def _ml_dsa(where: str) -> Any:
    """The package's own module."""
    if not has_ml_dsa():
        raise ConfigError(expected(where, INSTALL, "none"))
    from pqcrypto.sign import ml_dsa_65

    return ml_dsa_65
