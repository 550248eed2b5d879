"""Shares: the threshold recovers, fewer say nothing, wrong ones are corrected; sealed ones open for one phone only."""

import os
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.aggregation import shares
from server_strategy.aggregation.failures import ProtocolViolation
from server_strategy.aggregation.masks import stream
from server_strategy.aggregation.shares import PRIME, Recovery, recover, split
from tests.server_strategy.aggregation.known import gcm

SECRET = bytes(range(200, 232))


def shared(holders, threshold, secret=SECRET, key=b"\1" * 32):
    return split(secret, holders, threshold, stream(key, shares.coefficient_bytes(threshold)))


def is_prime(number):
    """Miller and Rabin's test, to 20 bases."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in range(2, 22):
        x = pow(base, odd, number)
        if x not in (1, number - 1) and all((x := x * x % number) != number - 1 for _ in range(twos - 1)):
            return False
    return True


def test_the_prime_is_the_first_above_all_secrets():
    assert is_prime(PRIME) and not any(is_prime(2**256 + i) for i in range(1, 297, 2))
    assert len((PRIME - 1).to_bytes(shares.SHARE_BYTES, "big")) == shares.SHARE_BYTES


def test_every_set_of_threshold_shares_recovers_and_every_smaller_one_does_not():
    found = shared([3, 0, 70_000, 2**32 - 2, 8], 3)
    for holders in combinations(found, 3):
        assert Recovery(holders).secret(found) == SECRET
    for holders in combinations(found, 2):
        assert Recovery(holders).secret(found) != SECRET


def test_fewer_shares_than_the_threshold_fit_every_secret():
    found = shared(range(5), 3)
    for other in (bytes(32), b"\xff" * 32, os.urandom(32)):
        # With the other secret as the polynomial's value at 0, two shares still leave a polynomial of degree 2.
        points = {-1: int.from_bytes(other, "big"), 1: found[1], 4: found[4]}
        weights = dict.fromkeys(points, 1)
        value_at_2 = 0
        for x in points:
            for y in points:
                if y != x:
                    weights[x] = weights[x] * (2 - y) * pow(x - y, -1, PRIME) % PRIME
            value_at_2 += weights[x] * points[x]
        assert Recovery([1, 4, 2]).secret({1: found[1], 4: found[4], 2: value_at_2 % PRIME}) == other


@settings(max_examples=40)
@given(st.data())
def test_wrong_shares_are_corrected_up_to_half_of_those_to_spare(data):
    threshold = data.draw(st.integers(1, 6))
    count = data.draw(st.integers(threshold, 12))
    found = shared(range(10, 10 + count), threshold)
    wrong = data.draw(st.sets(st.sampled_from(sorted(found)), max_size=(count - threshold) // 2))
    for holder in wrong:
        found[holder] = (found[holder] + data.draw(st.integers(1, PRIME - 1))) % PRIME
    assert recover(found, threshold) == (SECRET, tuple(sorted(wrong)))


def test_more_wrong_shares_recover_no_secret_or_another_one():
    found = shared(range(9), 5)
    for holder in range(4):
        found[holder] = (found[holder] + 1 + holder) % PRIME
    assert (recover(found, 5) or (None, ()))[0] != SECRET


def test_extreme_secrets_come_back():
    for secret in (bytes(32), b"\xff" * 32):
        found = shared(range(7), 4, secret)
        assert Recovery([0, 2, 4, 6]).secret(found) == secret and recover(found, 4) == (secret, ())


@pytest.mark.parametrize("holders", [[1, 1, 2], [1], []])
def test_holders_are_different_and_as_many_as_the_threshold(holders):
    with pytest.raises(ValueError, match="threshold: expected 1 to"):
        shared(holders, 2)


def test_our_gcm_has_the_answers_of_mcgrew_and_viega():
    zeros = bytes(32)
    assert gcm(zeros, bytes(12), b"", b"").hex() == "530f8afbc74536b9a963b4f1c4cb738b"  # test case 13
    case_14 = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    assert gcm(zeros, bytes(12), bytes(16), b"").hex() == case_14


def test_sealing_is_aes_256_gcm_with_round_and_way_beside_it():
    key, content = SECRET, os.urandom(66)
    beside = (7).to_bytes(8, "big") + (1).to_bytes(8, "big") + (2).to_bytes(8, "big")
    sealed = shares.seal(key, content, 7, 1, 2)
    assert sealed == gcm(key, bytes(12), content, beside)
    assert shares.seal(bytes(32), bytes(16), 7, 1, 2)[:16].hex() == "cea7403d4d606b6e074ec5d3baf39d18"
    assert shares.unseal(key, sealed, 7, 1, 2) == content


@pytest.mark.parametrize("way", [(8, 1, 2), (7, 2, 1), (7, 1, 3), (7, 0, 2)])
def test_sealed_shares_of_another_round_or_pair_do_not_open(way):
    sealed = shares.seal(SECRET, bytes(66), 7, 1, 2)
    with pytest.raises(ProtocolViolation) as refused:
        shares.unseal(SECRET, sealed, *way)
    assert refused.value.cause == "bad_share"


@given(place=st.integers(0, 81), bit=st.integers(0, 7))
def test_a_changed_bit_or_key_does_not_open(place, bit):
    sealed = bytearray(shares.seal(SECRET, bytes(66), 7, 1, 2))
    sealed[place] ^= 1 << bit
    other = bytearray(SECRET)
    other[place % 32] ^= 1 << bit
    for key, content in ((SECRET, bytes(sealed)), (bytes(other), shares.seal(SECRET, bytes(66), 7, 1, 2))):
        with pytest.raises(ProtocolViolation):
            shares.unseal(key, content, 7, 1, 2)
