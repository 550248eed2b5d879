"""Parameters of homomorphic encryption: as secure as the standard asks, and large enough for the sum of a round.

A phone's update is a vector of whole numbers within +-largest (`server_strategy.update_sum`: largest = 2^40, the
clip norm). The sum over n phones lies within +-n * largest, and this is what the parameters have to hold.

**BFV is exact.** It adds modulo a plaintext modulus t. One t is enough where t > 2 * n * largest: with 40 bits of
fraction and 64 phones a prime of 48 bits. For larger sums there are several primes t_1 ... t_k; each update is
encrypted once modulo each (its residues, the limbs), and the Chinese remainder theorem puts the sums together
(Garner's form). `bfv_parameters` takes the number k that costs the fewest bytes. In decryption the noise of n
ciphertexts must stay below q / (2 t), where q is the modulus of the ciphertexts; it is bounded here for the worst
case, not for a likely one, so that no decryption can fail: an error term of Microsoft SEAL is at most 21 (a centred
binomial of 2 x 21 bits; 19.2 where it is built with a clipped normal), secrets are in {-1, 0, 1}, so a fresh
ciphertext has noise e u + e_1 + e_2 s of at most 21 (2 N + 1) (Fan and Vercauteren, "Somewhat practical fully
homomorphic encryption", ePrint 2012/144, section 4).

**CKKS is approximate.** It holds N / 2 numbers times a scale, and the noise stays in what is decrypted. SEAL encrypts
with one prime p more and divides by it, which leaves per coefficient a variance of

    v = 10.5 (1 + 4 N / 3) / p^2 + (1 + 2 N / 3) / 12 + 1 / 12

(the fresh noise over p^2, the rounding times the secret key, the rounding of the encoding), per number N v / 2, and
for n phones n times as much (Cheon, Kim, Kim and Song, "Homomorphic encryption for arithmetic of approximate numbers",
ePrint 2016/421). The stated bound is 16 standard deviations of the complex number, the factor of Gentry, Halevi and
Smart, "Homomorphic evaluation of the AES circuit", ePrint 2012/099, appendix A, for a product of two random elements:
exceeded with negligible probability, where that of BFV is never exceeded.

**Security.** 128 bits against classical attacks with a ternary secret: the modulus of all primes together has at most
so many bits for a ring of degree N as Albrecht et al., "Homomorphic encryption standard", ePrint 2019/939, table 1,
allow. Anything else is refused.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from typefleet.errors import ConfigError, InputError, expected

SECURITY_BITS = 128
MOST_MODULUS_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""Bits of the modulus that the standard allows for 128-bit security, by the degree of the ring."""
LARGEST = 2**40
"""What a coordinate of a clipped update is at most, in fixed-point steps: the clip norm."""
_SPECIAL_BITS = 30  # of the prime that SEAL keeps for switching keys; nothing here does, but TenSEAL insists on it
_MOST_PRIME_BITS, _MOST_LIMB_BITS, _MOST_LIMBS = 60, 31, 6
_LARGEST_ERROR, _ERROR_VARIANCE = 21, 10.5  # of SEAL's error distribution
_DEVIATIONS = 16
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)

Scheme = Literal["bfv", "ckks"]


@dataclass(frozen=True, kw_only=True)
class EncryptionParameters:
    """What phones, server and key holder agree on; there is none that is insecure or too small.

    Attributes:
        scheme: exact (bfv) or approximate (ckks).
        ring_degree: N; a ciphertext holds N (bfv) or N / 2 (ckks) coordinates.
        prime_bits: of the primes of the modulus, the special one last.
        phones: that one sum may hold.
        largest: magnitude of a coordinate, at most.
        plain_moduli: of bfv, one prime per limb.
        scale_bits: of ckks, logarithm of the scale of 1, which stands for `largest`.

    Raises:
        ConfigError: less than 128-bit security, or the sum of so many phones does not fit.
    """

    scheme: Scheme
    ring_degree: int
    prime_bits: tuple[int, ...]
    phones: int
    largest: int = LARGEST
    plain_moduli: tuple[int, ...] = ()
    scale_bits: int = 0

    def __post_init__(self) -> None:
        if self.phones < 1:
            raise ConfigError(expected("phones of an encrypted sum", "a number >= 1", self.phones))
        require_security(self.ring_degree, self.prime_bits)
        if self.scheme == "bfv":
            self._require_exact()
        elif math.log2(self.phones) + self.scale_bits >= self._data_bits - 1:
            fits = f"a scale of at most {self._data_bits - 2 - math.ceil(math.log2(self.phones))} bits"
            raise ConfigError(expected(f"CKKS for {self.phones} phones", fits, f"{self.scale_bits} bits"))

    @property
    def slots(self) -> int:
        """Coordinates of one ciphertext."""
        return self.ring_degree if self.scheme == "bfv" else self.ring_degree // 2

    @property
    def limbs(self) -> int:
        """Times that each update is encrypted."""
        return max(1, len(self.plain_moduli))

    @property
    def error_bound(self) -> float:
        """What the decrypted sum may be off by, per coordinate, as a share of `largest`; 0 where it is exact."""
        return _DEVIATIONS * self.error_deviation * math.sqrt(2)

    @property
    def error_deviation(self) -> float:
        """Standard deviation of a coordinate's error in the decrypted sum of all phones, as a share of `largest`."""
        if self.scheme == "bfv":
            return 0.0
        n, special = self.ring_degree, 2.0 ** (self.prime_bits[-1] - 1)
        fresh = _ERROR_VARIANCE * (1 + 4 * n / 3) / special**2
        variance = fresh + (1 + 2 * n / 3) / 12 + 1 / 12
        return math.sqrt(self.phones * n * variance / 2) / 2.0**self.scale_bits

    @property
    def _data_bits(self) -> int:
        """The modulus of ciphertexts is at least two to this: a prime of b bits is at least 2^(b - 1)."""
        return sum(bits - 1 for bits in self.prime_bits[:-1])

    def _require_exact(self) -> None:
        room, needed = math.prod(self.plain_moduli), 2 * self.phones * self.largest + 1
        if room < needed:
            fits = f"a plaintext modulus of at least {needed.bit_length()} bits"
            raise ConfigError(expected(f"BFV for {self.phones} phones", fits, f"{room.bit_length()} bits"))
        needed_bits = bfv_data_bits(self.ring_degree, max(self.plain_moduli), self.phones)
        if self._data_bits < needed_bits:
            fits = f"a ciphertext modulus of at least {needed_bits} bits, so that noise cannot reach the sum"
            raise ConfigError(expected(f"BFV for {self.phones} phones", fits, f"{self._data_bits} bits"))


def require_security(ring_degree: int, prime_bits: Sequence[int]) -> None:
    """Refuse parameters below 128-bit security by the standard's table.

    Args:
        ring_degree: N.
        prime_bits: of all primes of the modulus, the special one included.

    Raises:
        ConfigError: N is not in the table, or the modulus has too many bits for it.
    """
    if ring_degree not in MOST_MODULUS_BITS:
        raise ConfigError(expected("ring degree", f"one of {', '.join(map(str, MOST_MODULUS_BITS))}", ring_degree))
    most, found = MOST_MODULUS_BITS[ring_degree], sum(prime_bits)
    if found > most:
        what = f"at most {most} bits for {SECURITY_BITS}-bit security with a ring of degree {ring_degree}"
        raise ConfigError(expected("modulus of the ciphertexts", what, f"{found} bits"))
    low = _fewest_prime_bits(ring_degree)
    if len(prime_bits) < 2 or not all(low <= bits <= _MOST_PRIME_BITS for bits in prime_bits):
        what = f"two primes or more, each of {low} to {_MOST_PRIME_BITS} bits"
        raise ConfigError(expected("modulus of the ciphertexts", what, " and ".join(map(str, prime_bits)) or "none"))


def _fewest_prime_bits(ring_degree: int) -> int:
    """Of a prime that is 1 modulo 2 N, as packing asks for: below, there may not be enough of them."""
    return (2 * ring_degree).bit_length() + 6


def bfv_data_bits(ring_degree: int, plain_modulus: int, phones: int) -> int:
    """Bits that the ciphertexts' modulus needs for sums that decrypt right whatever the noise is.

    Args:
        ring_degree: N.
        plain_modulus: t.
        phones: ciphertexts of a sum, each with noise of at most 21 (2 N + 1), and 1 of rounding.
    """
    noise = _LARGEST_ERROR * (2 * ring_degree + 1) + 1
    return (2 * plain_modulus * phones * noise).bit_length()


def bfv_parameters(phones: int, largest: int = LARGEST) -> EncryptionParameters:
    """The exact scheme, with the ring and the number of limbs that cost the fewest bytes.

    Args:
        phones: that the sum may hold.
        largest: magnitude of a coordinate, at most.

    Raises:
        ConfigError: no secure parameters hold the sum, or it does not fit 64 bits.
    """
    if 2 * phones * largest + 1 >= 2**63:
        most = (2**63 - 2) // (2 * largest)
        raise ConfigError(expected("phones of an encrypted sum", f"at most {most}, for 64 bits", phones))
    found = list(_exact_parameters(phones, largest))
    if not found:
        raise ConfigError(expected(f"BFV for {phones} phones", "a secure ring that holds the sum", "none"))
    return min(found, key=lambda one: (one.limbs * sum(one.prime_bits[:-1]), one.ring_degree, one.limbs))


def _exact_parameters(phones: int, largest: int) -> Iterator[EncryptionParameters]:
    """The smallest of each ring and each number of limbs, where there are any."""
    for ring_degree, most in MOST_MODULUS_BITS.items():
        for limbs in range(1, _MOST_LIMBS + 1):
            moduli = _plain_moduli(ring_degree, limbs, 2 * phones * largest + 1)
            if moduli is None:
                continue
            bits = (*_primes_for(bfv_data_bits(ring_degree, moduli[0], phones), ring_degree), _SPECIAL_BITS)
            if sum(bits) <= most:
                yield EncryptionParameters(
                    scheme="bfv",
                    ring_degree=ring_degree,
                    prime_bits=bits,
                    phones=phones,
                    largest=largest,
                    plain_moduli=moduli,
                )


def ckks_parameters(phones: int, largest: int = LARGEST, tolerance: float = 2.0**-24) -> EncryptionParameters:
    """The approximate scheme, with the fewest bytes whose error bound is within a tolerance.

    Args:
        phones: that the sum may hold.
        largest: magnitude of a coordinate, at most.
        tolerance: error of a coordinate of the sum, at most, as a share of `largest`; by default the resolution of
            float32.

    Raises:
        ConfigError: no secure parameters reach the tolerance.
    """
    for ring_degree, most in MOST_MODULUS_BITS.items():
        for scale_bits in range(10, 53):  # encoded in double precision
            bits = (*_primes_for(scale_bits + math.ceil(math.log2(phones)) + 2, ring_degree), _SPECIAL_BITS)
            if sum(bits) > most:
                break
            found = EncryptionParameters(
                scheme="ckks",
                ring_degree=ring_degree,
                prime_bits=bits,
                phones=phones,
                largest=largest,
                scale_bits=scale_bits,
            )
            if found.error_bound <= tolerance:
                return found
    raise ConfigError(expected(f"CKKS for {phones} phones", "a secure ring with so small an error", f"{tolerance:.1g}"))


def _primes_for(bits: int, ring_degree: int) -> tuple[int, ...]:
    """Sizes of as few primes as there can be, about equal, whose product is at least 2^bits."""
    count = math.ceil(bits / (_MOST_PRIME_BITS - 1))
    return tuple(max(1 + (bits + i) // count, _fewest_prime_bits(ring_degree)) for i in range(count))


def _plain_moduli(ring_degree: int, limbs: int, room: int) -> tuple[int, ...] | None:
    """Primes in falling order, 1 modulo 2 N, with a product of at least `room`; None if none fit."""
    most = _MOST_PRIME_BITS if limbs == 1 else _MOST_LIMB_BITS  # products of two residues fit 64 bits
    for bits in range(max(2 * ring_degree, 2).bit_length() + 1, most + 1):
        if bits * limbs >= room.bit_length():
            moduli = _largest_primes(ring_degree, bits, limbs)
            if len(moduli) == limbs and math.prod(moduli) >= room:
                return moduli
    return None


def _largest_primes(ring_degree: int, bits: int, count: int) -> tuple[int, ...]:
    found: list[int] = []
    candidate = (2**bits - 1) // (2 * ring_degree) * 2 * ring_degree + 1
    while candidate >= 2 ** (bits - 1) and len(found) < count:
        if candidate < 2**bits and is_prime(candidate):
            found.append(candidate)
        candidate -= 2 * ring_degree
    return tuple(found)


def is_prime(number: int) -> bool:
    """Whether a number below 2^64 is prime, for certain (Miller-Rabin with the first twelve primes as witnesses).

    Args:
        number: at least 2. That these witnesses are enough: Sorenson and Webster, "Strong pseudoprimes to twelve prime
            bases", Mathematics of Computation 86, 2017.
    """
    if number in _WITNESSES or any(number % witness == 0 for witness in _WITNESSES):
        return number in _WITNESSES
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_is_witness_for_prime(number, witness, odd, twos) for witness in _WITNESSES)


def _is_witness_for_prime(number: int, witness: int, odd: int, twos: int) -> bool:
    power = pow(witness, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False


class Limb(NamedTuple):
    """An update, or a sum, modulo one prime."""

    modulus: int
    residues: NDArray[np.int64]  # [coordinates], within +-modulus / 2


def to_limbs(values: NDArray[np.int64], moduli: Sequence[int]) -> list[Limb]:
    """The residues of whole numbers modulo each of some primes, centred around 0.

    Args:
        values: int64 [coordinates].
        moduli: the primes.
    """
    return [Limb(modulus, _centred(values % modulus, modulus)) for modulus in moduli]


def from_limbs(limbs: Sequence[Limb]) -> NDArray[np.int64]:
    """The whole numbers, int64 [coordinates], nearest to 0 that have these residues: the inverse of `to_limbs`.

    Exact for numbers below 2^62 within half of the product of the moduli. Garner, "The residue number system", IRE
    Transactions on Electronic Computers 8, 1959: digit by digit, each of them centred, so that nothing exceeds 64 bits.

    Args:
        limbs: of the same numbers, one per prime; of two or more, primes below 2^31.

    Raises:
        InputError: the primes are too large together.
    """
    moduli = [limb.modulus for limb in limbs]
    if math.prod(moduli[:-1]) >= 2**62 or (len(moduli) > 1 and max(moduli) >= 2**_MOST_LIMB_BITS):
        what = f"moduli of at most {_MOST_LIMB_BITS} bits, all but the last one with a product below 2^62"
        raise InputError(expected("limbs", what, " and ".join(f"{modulus.bit_length()} bits" for modulus in moduli)))
    product, values = 1, np.zeros_like(limbs[0].residues)
    for modulus, residues in limbs:
        digit = (residues - values) % modulus * pow(product, -1, modulus) % modulus
        values = values + _centred(digit, modulus) * product
        product *= modulus
    return values


def _centred(values: NDArray[np.int64], modulus: int) -> NDArray[np.int64]:
    return np.where(values > modulus // 2, values - modulus, values)
