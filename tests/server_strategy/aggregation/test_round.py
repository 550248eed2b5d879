"""The sum is right for whoever survives, whenever others leave; below the threshold there is none."""

from contextlib import suppress
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.aggregation.failures import RoundFailedError
from server_strategy.aggregation.graph import Assumptions, graph_size
from server_strategy.aggregation.keys import Authority
from server_strategy.aggregation.masks import Ring, RingOverflowError
from server_strategy.aggregation.round import play_round
from server_strategy.aggregation.terms import Step
from tests.server_strategy.aggregation.conftest import NUMBERS, SECRET, as_far_as
from typefleet.errors import ConfigError

SUBSETS = [*chain.from_iterable(combinations(NUMBERS, n) for n in range(9))]
GENERATOR = np.random.default_rng(1)
VECTORS = {number: GENERATOR.integers(-(2**40), 2**40, 5) for number in NUMBERS}


@pytest.mark.parametrize("check_views", [True, False])
def test_the_sum_is_right_for_every_subset_of_survivors(shared_round, check_views):
    """Exhaustively: all 256, the vectors masked once, and each subset's round played on from there."""
    shared = shared_round if check_views else as_far_as(Step.MASK, check_views=False)
    size = shared.terms.graph_size(8)
    assert size.complete and (size.threshold, size.least_survivors) == (5, 6)
    playing = shared.copy()
    masked = {number: playing.masked(number) for number in NUMBERS}
    right = 0
    for subset in SUBSETS:
        now = playing.copy()
        for number in subset:
            assert now.server.receive_masked([number], masked[number])
        if len(subset) < size.least_survivors:
            with pytest.raises(RoundFailedError) as failed:
                now.server.close()
            assert failed.value.cause == "too_few_masked"
            with pytest.raises(ValueError, match="expected a round that has been unmasked"):
                now.server.sum()
            continue
        now.server.close()
        if check_views:
            now.play(Step.CONFIRM, subset)
            now.play(Step.UNMASK, subset)
        else:
            for number in subset:
                assert now.server.receive(number, now.phones[number].confirm(now.hear(number)))
            now.server.close()
        assert now.server.survivors == tuple(sorted(subset)) and not now.server.refused
        assert now.terms.ring.decode(now.server.sum()).tolist() == sum(now.vectors[n] for n in subset).tolist()
        right += 1
    assert right == 37


@pytest.mark.parametrize("step", [step for step in Step if step != Step.DONE])
def test_the_sum_is_right_whoever_leaves_at_each_step(step):
    for gone in [(), *combinations(NUMBERS[:3], 1), NUMBERS[2:4]]:
        played = play_round(VECTORS, SECRET, dict.fromkeys(gone, step))
        staying = [n for n in NUMBERS if n not in gone]
        survivors = NUMBERS if step > Step.MASK else staying
        assert played.failure is None and played.survivors == tuple(sorted(survivors))
        assert played.sum.tolist() == sum(VECTORS[n] for n in survivors).tolist()


@settings(max_examples=15)
@given(
    leaves=st.dictionaries(st.sampled_from(NUMBERS), st.sampled_from(Step), max_size=5),
    bits=st.sampled_from([64, 48]),
    check_views=st.booleans(),
)
def test_a_round_gives_the_right_sum_or_none(leaves, bits, check_views):
    played = play_round(VECTORS, SECRET, leaves, ring=Ring(bits), assumptions=Assumptions(check_views=check_views))
    assert not played.refused and not played.refused_by_phones
    steps = [s for s in Step if s != Step.CONFIRM or check_views]
    left = {s: sum(leaves.get(n, Step.DONE) > s for n in NUMBERS) for s in steps}
    if played.failure is None:
        survivors = [n for n in NUMBERS if leaves.get(n, Step.DONE) > Step.MASK]
        assert played.survivors == tuple(sorted(survivors))
        assert played.sum.tolist() == sum(VECTORS[n] for n in survivors).tolist()
    else:
        assert played.sum is None
        size = None
        with suppress(ConfigError):  # there is no graph of so few phones
            size = graph_size(left[Step.ADVERTISE], Assumptions(check_views=check_views), 8)
        assert size is None or left[Step.MASK] < size.least_survivors or left[Step.UNMASK] <= size.threshold


@pytest.mark.parametrize(
    ("step", "gone", "cause"),
    [
        (Step.ADVERTISE, 6, "too_few_advertised"),
        (Step.SHARE, 3, "too_few_shared"),
        (Step.MASK, 3, "too_few_masked"),
        (Step.CONFIRM, 3, "too_few_confirmed"),
        (Step.UNMASK, 3, "too_few_unmasked"),
    ],
)
def test_a_round_below_the_threshold_fails_by_the_step_that_was_left(step, gone, cause):
    played = play_round(VECTORS, SECRET, dict.fromkeys(NUMBERS[:gone], step))
    assert played.failure == cause and played.sum is None
    before = play_round(VECTORS, SECRET, dict.fromkeys(NUMBERS[: gone - 1], step))
    assert before.failure is None or step == Step.ADVERTISE


def test_a_sparse_round_recovers_those_who_left():
    vectors = {7 * n: GENERATOR.integers(-99, 99, 4) for n in range(40)}
    assumptions = Assumptions(complete_up_to=0, check_views=False, dropped_share=0.2)
    size = graph_size(40, assumptions)
    assert not size.complete and size.neighbours < 20
    leaves = {0: Step.SHARE, 7: Step.MASK, 14: Step.MASK, 21: Step.UNMASK, 28: Step.MASK}
    played = play_round(vectors, SECRET, leaves, assumptions=assumptions, ring=Ring(16))
    assert played.failure is None and set(vectors) - set(played.survivors) == {0, 7, 14, 28}
    assert played.sum.tolist() == sum(vectors[n] for n in played.survivors).tolist()
    many = play_round(vectors, SECRET, {7 * n: Step.MASK for n in range(9)}, assumptions=assumptions, ring=Ring(16))
    assert many.failure == "too_few_masked"  # more than the assumed 8: the ring might be cut


@pytest.mark.parametrize("bits", [12, 16, 20, 33])
def test_a_round_in_fewer_bits_is_exact_or_refused(bits):
    largest = Ring(bits).largest // 8
    vectors = {n: np.array([largest, -largest, 0, 1]) for n in NUMBERS}
    assert play_round(vectors, SECRET, ring=Ring(bits)).sum.tolist() == [8 * largest, -8 * largest, 0, 8]
    with pytest.raises(RingOverflowError):
        play_round({**vectors, 99: np.array([largest, 0, 0, 0])}, SECRET, ring=Ring(bits))


def test_hosts_may_add_up_what_their_phones_masked(shared_round):
    now = shared_round.copy()
    hosts = (NUMBERS[:3], NUMBERS[3:5], NUMBERS[5:])
    for numbers in hosts:
        total = now.terms.ring.zeros(now.terms.length)
        for number in numbers:
            total += now.masked(number)
        assert now.server.receive_masked(numbers, total)
    assert not now.server.receive_masked(hosts[0], total)  # a second time
    assert not now.server.receive_masked([99], total) and not now.server.receive_masked([], total)
    assert dict(now.server.refused) == {
        ("mask", "replayed"): 1,
        ("mask", "unknown_phone"): 1,
        ("mask", "malformed"): 1,
    }
    now.server.close()
    now.play(Step.CONFIRM)
    now.play(Step.UNMASK)
    assert now.terms.ring.decode(now.server.sum()).tolist() == sum(now.vectors.values()).tolist()


def test_a_round_repeats_bit_for_bit_and_no_other_round_is_like_it():
    def said(server_round, secret=SECRET):
        heard = []

        def listen(step, phone, data):
            heard.append((step, phone, data))
            return data

        play_round(VECTORS, secret, {2: Step.MASK}, server_round=server_round, tamper=listen)
        return heard

    first = said(4)
    assert first == said(4)
    others = {data for _, _, data in said(5)}
    assert not others & {data for _, _, data in first}


def test_masked_twice_is_refused(shared_round):
    now = shared_round.copy()
    words = now.masked(2)
    with pytest.raises(ValueError, match="step mask: expected step confirm"):
        now.phones[2].mask(words)


def test_a_vector_of_another_shape_is_refused(shared_round):
    now = shared_round.copy()
    with pytest.raises(ValueError, match="expected shares before them"):
        now.phones[2].mask(now.terms.ring.zeros(3))
    now.phones[2].receive_shares(now.hear(2))
    for words in (now.terms.ring.zeros(4), np.zeros(3, np.uint32)):
        with pytest.raises(ValueError, match="a vector: expected 3 numbers of uint64"):
            now.phones[2].mask(words)


@pytest.mark.parametrize(("dtype", "bits"), [(np.int8, 12), (np.int16, 16), (np.int32, 32), (np.int64, 64)])
def test_the_least_number_of_a_type_is_counted_as_large_as_it_is(dtype, bits):
    """Its absolute value, in numbers of its own type, is negative: a sum of enough of them would wrap around unseen."""
    least = np.full(1, np.iinfo(dtype).min, dtype)
    with pytest.raises(RingOverflowError, match="the sum of 17 phones"):
        play_round(dict.fromkeys(range(17), least), SECRET, ring=Ring(bits))
    if dtype is np.int8:
        found = play_round(dict.fromkeys(range(15), least), SECRET, ring=Ring(bits))
        assert found.sum.tolist() == [15 * -128]


def test_vectors_that_would_be_cut_are_refused():
    with pytest.raises(ValueError, match="a vector: expected whole numbers, found numbers of float64"):
        play_round(dict.fromkeys(range(4), np.array([1.7])), SECRET)


@pytest.mark.parametrize("number", [-1, 2.5, 2**32 - 1, 2**32])
def test_a_number_that_no_phone_has_is_refused(number):
    with pytest.raises(ValueError, match="the number of a phone: expected a whole number from 0"):
        play_round(dict.fromkeys((number, 2, 3, 4), np.array([1])), SECRET)
    with pytest.raises(ValueError, match="the number of a phone: expected a whole number from 0"):
        Authority.of(SECRET).enrol(number, SECRET)


@pytest.mark.parametrize("server_round", [-1, 1.5, 2**63])
def test_a_number_that_no_round_has_is_refused(server_round):
    with pytest.raises(ValueError, match="server_round: expected a whole number from 0"):
        play_round(VECTORS, SECRET, server_round=server_round)
