"""Shares of a secret, of which `threshold` recover it and fewer say nothing (Shamir, "How to share a secret", 1979).

The secret is the constant term of a polynomial of degree threshold - 1 over the integers modulo 2^256 + 297, the
smallest prime that every 32-byte secret is below; a share is its value at the number of the phone that holds it, plus
one. `recover` corrects shares that do not fit, as many as Reed-Solomon decoding allows: (shares - threshold) / 2 (Gao,
"A new algorithm for decoding Reed-Solomon codes", 2003).

Shares travel through the server under AES-256-GCM (NIST SP 800-38D), bound to round, sender and addressee.
"""

import math
import struct
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server_strategy.aggregation.failures import violation
from server_strategy.aggregation.keys import KEY_BYTES
from typefleet.errors import expected

PRIME = 2**256 + 297
SHARE_BYTES = 33
TAG_BYTES = 16
_NONCE = bytes(12)  # every key is of one message


def split(secret: bytes, holders: Sequence[int], threshold: int, coefficients: bytes) -> dict[int, int]:
    """A share for each phone.

    Args:
        secret: 32 bytes.
        holders: numbers of the phones, all different.
        threshold: shares that recover the secret.
        coefficients: 48 random bytes for each share but one that recovers it: the polynomial's other terms. 48, so
            that a remainder by the prime is uniform up to 2^-127.
    """
    if not 1 <= threshold <= len(set(holders)) == len(holders):
        raise ValueError(expected("threshold", f"1 to {len(holders)}, the different holders", threshold))
    if len(secret) != KEY_BYTES or len(coefficients) != coefficient_bytes(threshold):
        raise ValueError(expected("a secret", f"32 bytes and {coefficient_bytes(threshold)} of randomness", "others"))
    terms = [int.from_bytes(coefficients[i : i + 48], "big") % PRIME for i in range(0, len(coefficients), 48)]
    terms.append(int.from_bytes(secret, "big"))
    return {holder: _value(terms, holder + 1) for holder in holders}


def coefficient_bytes(threshold: int) -> int:
    """Random bytes that `split` needs."""
    return 48 * (threshold - 1)


class Recovery:
    """Recovers secrets from shares of the same holders; what depends on the holders alone is computed once.

    Args:
        holders: numbers of phones, as many as the threshold.
    """

    def __init__(self, holders: Sequence[int]) -> None:
        self.holders = tuple(holders)
        points = [holder + 1 for holder in holders]
        product = math.prod(points)
        self._weights = []
        for point in points:
            below = point * math.prod(other - point for other in points if other != point)
            self._weights.append(product * pow(below, -1, PRIME) % PRIME)

    def secret(self, shares: Mapping[int, int]) -> bytes | None:
        """The secret: Lagrange interpolation at zero. None if it is no secret of 32 bytes."""
        total = sum(weight * shares[holder] for weight, holder in zip(self._weights, self.holders, strict=True)) % PRIME
        return total.to_bytes(KEY_BYTES, "big") if total < 1 << (8 * KEY_BYTES) else None


def recover(shares: Mapping[int, int], threshold: int) -> tuple[bytes, tuple[int, ...]] | None:
    """The secret in spite of shares that do not fit, and whose they are.

    Args:
        shares: by holder, at least `threshold`.
        threshold: shares that recover the secret.

    Returns:
        None if more than (shares - threshold) / 2 do not fit.
    """
    points = [holder + 1 for holder in shares]
    vanishing, through = _interpolate(points, list(shares.values()))
    # The extended Euclidean algorithm, stopped half-way: remainder = ... + factor * through.
    before, remainder, factor_before, factor = vanishing, through, [], [1]
    while 2 * (len(remainder) - 1) >= len(points) + threshold:
        quotient, rest = _divide(before, remainder)
        before, remainder = remainder, rest
        factor_before, factor = factor, _subtract(factor_before, _multiply(quotient, factor))
    terms, rest = _divide(remainder, factor)
    if rest or len(terms) > threshold:
        return None
    wrong = tuple(holder for holder, share in shares.items() if _value(terms[::-1], holder + 1) != share)
    secret = terms[0] if terms else 0
    if 2 * len(wrong) > len(points) - threshold or secret >= 1 << (8 * KEY_BYTES):
        return None
    return secret.to_bytes(KEY_BYTES, "big"), wrong


def seal(key: bytes, content: bytes, server_round: int, sender: int, addressee: int) -> bytes:
    """Shares for the addressee's eyes alone: AES-256-GCM under a key of this message, 16 bytes longer."""
    return AESGCM(key).encrypt(_NONCE, content, struct.pack(">3Q", server_round, sender, addressee))


def unseal(key: bytes, sealed: bytes, server_round: int, sender: int, addressee: int) -> bytes:
    """What `seal` was given.

    Raises:
        ProtocolViolation: bad_share, it was sealed under another key or for another round, sender or addressee.
    """
    try:
        return AESGCM(key).decrypt(_NONCE, sealed, struct.pack(">3Q", server_round, sender, addressee))
    except InvalidTag as error:
        raise violation("bad_share", "sealed shares", "those of this round and pair", "others") from error


def _value(terms: Sequence[int], point: int) -> int:
    """Of the polynomial with these terms, the highest first."""
    value = 0
    for term in terms:
        value = (value * point + term) % PRIME
    return value


# Polynomials as lists of terms, the lowest first and the highest not zero ------------------------------------


def _trim(terms: list[int]) -> list[int]:
    while terms and not terms[-1]:
        terms.pop()
    return terms


def _interpolate(points: Sequence[int], values: Sequence[int]) -> tuple[list[int], list[int]]:
    """The polynomial that vanishes at the points, and the one that has the values there (Newton's form)."""
    vanishing, through = [1], [0] * len(points)
    for point, value in zip(points, values, strict=True):
        missing = value - _value(through[::-1], point)
        step = missing * pow(_value(vanishing[::-1], point), -1, PRIME) % PRIME
        for place, term in enumerate(vanishing):
            through[place] = (through[place] + step * term) % PRIME
        vanishing = [(low - point * term) % PRIME for low, term in zip([0, *vanishing], [*vanishing, 0], strict=True)]
    return vanishing, _trim(through)


def _multiply(one: Sequence[int], other: Sequence[int]) -> list[int]:
    product = [0] * max(len(one) + len(other) - 1, 0)
    for place, term in enumerate(one):
        for further, factor in enumerate(other):
            product[place + further] = (product[place + further] + term * factor) % PRIME
    return _trim(product)


def _subtract(one: Sequence[int], other: Sequence[int]) -> list[int]:
    size = max(len(one), len(other))
    padded = zip([*one, *[0] * (size - len(one))], [*other, *[0] * (size - len(other))], strict=True)
    return _trim([(a - b) % PRIME for a, b in padded])


def _divide(one: Sequence[int], other: Sequence[int]) -> tuple[list[int], list[int]]:
    """Quotient and remainder."""
    rest, quotient = list(one), [0] * max(len(one) - len(other) + 1, 0)
    inverse = pow(other[-1], -1, PRIME)
    for place in range(len(one) - len(other), -1, -1):
        factor = rest[place + len(other) - 1] * inverse % PRIME
        quotient[place] = factor
        for further, term in enumerate(other):
            rest[place + further] = (rest[place + further] - factor * term) % PRIME
    return _trim(quotient), _trim(rest)
