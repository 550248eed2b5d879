import functools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.aggregation.encryption_parameters import (
    LARGEST,
    MOST_MODULUS_BITS,
    EncryptionParameters,
    Limb,
    bfv_data_bits,
    bfv_parameters,
    ckks_parameters,
    from_limbs,
    is_prime,
    require_security,
    to_limbs,
)
from server_strategy.update_sum import FRACTION_BITS
from typefleet.errors import ConfigError, InputError

chosen_once = functools.cache(bfv_parameters)
COHORTS = (1, 2, 8, 64, 100, 1000, 6500, 2**18, 2**22 - 1)


def test_a_coordinate_is_at_most_the_clip_norm_of_the_fixed_point_sum():
    assert LARGEST == 2**FRACTION_BITS


# Limbs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phones", COHORTS)
@settings(max_examples=30)
@given(data=st.data())
def test_the_sum_of_the_limbs_is_the_sum_of_the_updates(phones, data):
    """Added up modulo each prime alone, as ciphertexts are, and put together again."""
    parameters = chosen_once(phones)
    coordinates = st.lists(st.integers(-LARGEST, LARGEST), min_size=3, max_size=3)
    updates = np.array(data.draw(st.lists(coordinates, min_size=1, max_size=min(phones, 5))), np.int64)
    sums = [0] * parameters.limbs
    for update in updates:
        for i, limb in enumerate(to_limbs(update, parameters.plain_moduli)):
            assert 2 * int(np.abs(limb.residues).max()) <= limb.modulus
            sums[i] = (sums[i] + limb.residues) % limb.modulus
    limbs = [Limb(modulus, total) for modulus, total in zip(parameters.plain_moduli, sums, strict=True)]
    assert from_limbs(limbs).tolist() == updates.sum(0).tolist()


@pytest.mark.parametrize("phones", COHORTS)
def test_the_largest_sums_there_can_be_come_back(phones):
    extreme = np.array([phones * LARGEST, -phones * LARGEST, 0], np.int64)
    assert from_limbs(to_limbs(extreme, bfv_parameters(phones).plain_moduli)).tolist() == extreme.tolist()


def test_a_sum_that_is_too_large_for_its_moduli_would_wrap_around():
    assert from_limbs(to_limbs(np.array([60]), (7, 11))).tolist() == [60 - 77]


def test_limbs_that_would_not_fit_64_bits_are_refused():
    for moduli in ((2**61 - 1, 2**31 - 1), (2**31 - 1,) * 4):
        with pytest.raises(InputError, match=r"limbs: expected moduli of at most 31 bits, .*, found (61|31) bits and "):
            from_limbs(to_limbs(np.array([1]), moduli))


# Choice --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phones", COHORTS)
def test_parameters_are_secure_and_hold_the_sum(phones):
    for parameters in (bfv_parameters(phones), ckks_parameters(phones, tolerance=1e-4)):
        assert sum(parameters.prime_bits) <= MOST_MODULUS_BITS[parameters.ring_degree]
    exact = bfv_parameters(phones)
    assert math.prod(exact.plain_moduli) > 2 * phones * LARGEST
    assert len(set(exact.plain_moduli)) == exact.limbs
    for modulus in exact.plain_moduli:
        assert is_prime(modulus) and modulus % (2 * exact.ring_degree) == 1  # as packing asks for
        noise = phones * (21 * (2 * exact.ring_degree + 1) + 1)
        assert 2 * modulus * noise < math.prod(2 ** (bits - 1) for bits in exact.prime_bits[:-1])


def test_forty_bits_of_fraction_and_64_phones_take_one_prime_of_48_bits():
    (modulus,) = bfv_parameters(64).plain_moduli
    assert modulus.bit_length() == 48


def test_several_limbs_are_taken_where_they_cost_fewer_bytes():
    assert bfv_parameters(2**22 - 1).limbs > 1


def test_bfv_has_no_error_and_ckks_one_within_the_tolerance():
    assert bfv_parameters(64).error_bound == 0
    for tolerance in (1e-3, 1e-6, 1e-9):
        assert 0 < ckks_parameters(64, tolerance=tolerance).error_bound <= tolerance


# Refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ring_degree", MOST_MODULUS_BITS)
def test_one_bit_more_than_the_standard_allows_is_refused(ring_degree):
    most = MOST_MODULUS_BITS[ring_degree]
    primes = -(-most // 60) + 1
    bits = [(most + i) // primes for i in range(primes)]
    assert sum(bits) == most
    if ring_degree >= 4096:  # below, two primes of enough bits do not fit
        require_security(ring_degree, bits)
    with pytest.raises(ConfigError, match=f"at most {most} bits for 128-bit security .* degree {ring_degree}, found"):
        require_security(ring_degree, [*bits[:-1], bits[-1] + 1])


def test_rings_that_are_not_in_the_standard_are_refused():
    for ring_degree in (0, 512, 5000, 65536):
        with pytest.raises(ConfigError, match=f"ring degree: expected one of 1024, .*32768, found {ring_degree}"):
            require_security(ring_degree, (30, 30))


@pytest.mark.parametrize("bits", [(), (40,), (61, 30), (8, 30)])
def test_moduli_that_there_are_none_of_are_refused(bits):
    with pytest.raises(ConfigError, match="expected two primes or more, each of 20 to 60 bits, found"):
        require_security(4096, bits)


def test_no_parameters_are_made_that_are_insecure_or_too_small():
    exact, near = bfv_parameters(64), ckks_parameters(64)
    for changed, message in (
        (dict(prime_bits=(55, 55)), "at most 109 bits for 128-bit security with a ring of degree 4096, found 110 bits"),
        (dict(phones=1000), "BFV for 1000 phones: expected a plaintext modulus of at least 51 bits, found 48 bits"),
        (dict(prime_bits=(36, 36, 30)), "expected a ciphertext modulus of at least 73 bits, so that noise"),
        (dict(phones=0), "phones of an encrypted sum: expected a number >= 1, found 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(exact, **changed)
    with pytest.raises(ConfigError, match="CKKS for 64 phones: expected a scale of at most 41 bits, found 45 bits"):
        replace(near, scale_bits=45)
    assert isinstance(replace(near, scale_bits=41), EncryptionParameters)


def test_sums_beyond_64_bits_and_errors_out_of_reach_are_refused():
    with pytest.raises(ConfigError, match="phones of an encrypted sum: expected at most 4194303, for 64 bits, found"):
        bfv_parameters(2**22)
    with pytest.raises(ConfigError, match="a secure ring with so small an error, found 1e-16"):
        ckks_parameters(64, tolerance=1e-16)


def test_more_noise_needs_a_larger_modulus():
    assert bfv_data_bits(4096, 2**48, 128) == bfv_data_bits(4096, 2**48, 64) + 1 < bfv_data_bits(8192, 2**48, 128)


# Primes --------------------------------------------------------------------------------------------------


def test_primes_are_those_of_the_sieve():
    sieve = np.ones(20_000, bool)
    for i in range(2, 142):
        sieve[i * i :: i] = False
    assert [n for n in range(2, 20_000) if is_prime(n)] == (np.flatnonzero(sieve[2:]) + 2).tolist()


def test_large_primes_and_numbers_that_pass_for_primes():
    assert all(map(is_prime, (2**31 - 1, 2**61 - 1, 18446744073709551557)))
    carmichael, strong_to_nine_bases = (561, 1105, 8911, 3215031751), 3825123056546413051
    assert not any(map(is_prime, (*carmichael, strong_to_nine_bases, (2**31 - 1) ** 2)))
