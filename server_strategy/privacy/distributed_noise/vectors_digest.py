"""A digest of the vectors of a sum, by which it can be told to be the same sum again before anybody has learnt it.

A run that goes on repeats rounds, and in them the phones draw the noise again that they drew. The same sum may then be
unmasked again, and another one must not: two sums with one noise would show what they differ in. The server cannot
compare sums that it is not to learn. So each phone makes a digest of its vector, noise included, under the key of the
phones' noise, which the server never has; these add up modulo 2^256, whatever the hosts and their order, to a keyed
multiset hash (Clarke, Devadas, van Dijk, Gassend and Suh, "Incremental multiset hash functions and their application
to memory integrity checking", ASIACRYPT 2003, section 5). To whoever lacks the key it is a random number, and the same
one for the same vectors. On real phones, which do not draw the same noise twice, nothing of it is needed.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.noise_key import NoiseKey

DIGEST_BYTES = 32
_MODULUS = 1 << 8 * DIGEST_BYTES


def vector_digest(key: NoiseKey, server_round: int, phone: int, vector: NDArray[np.int64]) -> bytes:
    """Keyed BLAKE2b (RFC 7693) of what a phone hands in before masks and modulus: 32 bytes.

    Args:
        key: of the phones' noise.
        server_round, phone: whose vector it is.
        vector: int64 [length].
    """
    bits, _ = key.exported()
    digest = hashlib.blake2b(key=bits, digest_size=DIGEST_BYTES, person=b"noised vector")
    digest.update(repr((int(server_round), int(phone))).encode() + b"\n")
    digest.update(np.ascontiguousarray(vector, "<i8").data)
    return digest.digest()


def added_digests(digests: Iterable[bytes]) -> bytes:
    """The digest of all vectors that these are digests of, one or several each: 32 bytes."""
    total = sum(int.from_bytes(one, "little") for one in digests) % _MODULUS
    return total.to_bytes(DIGEST_BYTES, "little")
