import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from server_strategy.privacy.accounting import epsilon_by_rdp, epsilon_of_several, gaussian_rho
from server_strategy.privacy.distributed_noise.settle import calibrate, settle
from typefleet.errors import ConfigError, InputError

KINDS = ("discrete-gaussian", "skellam")


def make(kind="skellam", z=1.0, **changes):
    return settle(kind, z, **{**dict(bits=16, dimension=1000, phones=100, threshold=80), **changes})


@given(
    st.sampled_from(KINDS),
    st.floats(0.05, 20),
    st.integers(12, 32),
    st.integers(1, 3000),
    st.integers(2, 3000),
    st.floats(0.3, 1),
)
@settings(max_examples=80, deadline=None)
def test_the_sum_has_room_and_the_noise_is_what_was_asked_for(kind, z, bits, dimension, phones, share):
    threshold = max(1, int(share * phones))
    try:
        noise = make(kind, z, bits=bits, dimension=dimension, phones=phones, threshold=threshold)
    except ConfigError:
        assume(False)
    assert noise.noise_multiplier == pytest.approx(z, rel=1e-12)
    variance = noise.clip_units**2 * phones**2 / noise.padded + phones / 4 + phones * noise.share_stddev**2
    room = noise.deviations * math.sqrt(variance) / 2 ** (bits - 1)
    assert room <= 1 + 1e-12
    if kind == "skellam":
        assert room == pytest.approx(1, rel=1e-9)  # as fine as the ring allows
    else:
        assert noise.share_stddev == int(noise.share_stddev)


@pytest.mark.parametrize("kind", KINDS)
def test_with_any_number_of_survivors_from_the_threshold_on_the_claim_is_kept(kind):
    noise = make(kind, 1.3, phones=100, threshold=60)
    claimed = 1.3 * 2.0  # clip norm 2
    assert noise.noise_stddev(60, 2.0) == pytest.approx(claimed, rel=1e-12)
    assert all(noise.noise_stddev(n, 2.0) >= claimed for n in range(60, 101))
    # All survive: 100 / 60 of the variance that the claim needs.
    assert (noise.noise_stddev(100, 2.0) / claimed) ** 2 == pytest.approx(100 / 60, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_corrupted_phones_are_made_up_for(kind):
    plain, made_up = make(kind, threshold=60), make(kind, threshold=60, corrupted=20)
    assert made_up.counted_on == 40
    assert made_up.noise_stddev(40, 1.0) == pytest.approx(plain.noise_stddev(60, 1.0), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [12, 14, 16, 24])
def test_epsilon_is_above_that_of_central_noise_and_comes_down_to_it_with_the_bits(kind, bits):
    for participations in (1, 20):
        noise = make(kind, 2.0, bits=bits, dimension=1024)
        central = epsilon_by_rdp(gaussian_rho(2.0, participations), 1e-6)
        assert noise.epsilon(participations, 1e-6) > central
        if bits == 24:
            assert noise.epsilon(participations, 1e-6) == pytest.approx(central, rel=0.01)
    assert make(kind, 2.0, bits=bits).zcdp_rho > make(kind, 2.0, bits=bits + 2).zcdp_rho


@pytest.mark.parametrize("kind", KINDS)
def test_epsilon_grows_with_participations_and_falls_with_delta(kind):
    noise = make(kind)
    epsilons = [noise.epsilon(p, 1e-6) for p in (0, 1, 2, 10, 100)]
    assert epsilons == sorted(epsilons) and epsilons[0] == 0 and len(set(epsilons)) == 5
    assert noise.epsilon(3, 1e-5) < noise.epsilon(3, 1e-7)


def test_the_rho_of_skellam_noise_covers_every_whole_order():
    for bits in (12, 14, 20):
        for z in (0.3, 3.0):
            noise = make("skellam", z, bits=bits)
            ratios = [noise.rdp(order) / order for order in (*range(2, 200), 10**4, 10**6)]
            assert max(ratios) <= noise.zcdp_rho * (1 + 1e-12)
            assert noise.charged_noise_multiplier < z


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", [0.5, 4.0])
def test_calibrated_noise_meets_its_target_and_hardly_less_would(kind, target):
    def at(z):
        return make(kind, z, bits=14)

    noise = calibrate(at, target, 1e-5)
    assert noise.epsilon(1, 1e-5) <= target
    assert at(noise.noise_multiplier * 0.99).epsilon(1, 1e-5) > target


def test_with_few_bits_there_is_an_epsilon_that_no_noise_gets_below():
    with pytest.raises(InputError, match=r"epsilon: expected one that some noise reaches in this ring, found 0\.05"):
        calibrate(lambda z: make("skellam", z, bits=12, dimension=2**15), 0.05, 1e-5)
    assert calibrate(lambda z: make("skellam", z, bits=18, dimension=2**15), 0.05, 1e-5).noise_multiplier > 50


def test_a_vector_has_the_bytes_of_its_bits():
    assert make(dimension=1025, bits=12).upload_bytes == 2048 * 12 // 8
    assert make(dimension=1025, bits=12, block=64).upload_bytes == 1088 * 12 // 8
    assert make(dimension=3, bits=17).upload_bytes == 9  # 68 bits


@pytest.mark.parametrize("kind", KINDS)
def test_smaller_blocks_send_less_and_have_more_room_for_the_signal(kind):
    whole, blocks = make(kind, dimension=1025), make(kind, dimension=1025, block=64)
    assert (whole.block, whole.padded, blocks.padded) == (2048, 2048, 1088)
    assert blocks.clip_units < whole.clip_units
    signal = 100 * blocks.clip_units / 8  # all phones' updates in one block
    variance = signal**2 + 25 + 100 * blocks.share_stddev**2
    assert 4 * math.sqrt(variance) <= 2**15 * (1 + 1e-12)
    assert blocks.noise_multiplier == pytest.approx(whole.noise_multiplier, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bits": 11}, "bits: expected a whole number from 12 to 32"),
        ({"threshold": 101}, "threshold: expected a whole number from 1 to 100, the phones of a round"),
        ({"threshold": 0}, "threshold: expected a whole number from 1 to 100"),
        ({"corrupted": 80}, "corrupted: expected a whole number from 0 to 79"),
        ({"block": 48}, "block: expected a power of 2, at most 1024, found 48"),
        ({"block": 2048}, "block: expected a power of 2, at most 1024"),
        ({"kind": "laplace"}, "kind: expected discrete-gaussian or skellam, found laplace"),
        ({"bits": 16.5}, "bits: expected a whole number from 12 to 32, found 16.5"),
        ({"dimension": 63.5}, "dimension: expected a whole number >= 1, found 63.5"),
        ({"phones": 0, "threshold": 0}, "phones: expected a whole number from 1 to 16,777,216, found 0"),
        ({"threshold": 79.5}, "threshold: expected a whole number from 1 to 100"),
        ({"corrupted": 0.5}, "corrupted: expected a whole number from 0 to 79"),
        ({"block": 64.0}, "block: expected a power of 2"),
        *(({"z": z}, "noise_multiplier: expected a number from 1e-06 to 1,000,000,000") for z in (math.nan, 0, 1e300)),
        *(({"deviations": k}, "deviations: expected a number from 0.1") for k in (math.inf, -1.0, 1e-300)),
        ({"bits": 12, "phones": 10**7}, "bits: expected more, for 4 standard deviations of what 10,000,000 phones"),
        ({"kind": "discrete-gaussian", "bits": 12, "phones": 9000, "threshold": 9000, "z": 0.1}, "at least 1 unit"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes, said):
    with pytest.raises(ConfigError, match=said):
        make(**changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("participations", "delta", "named"),
    [(-1, 1e-5, "participations"), (1.5, 1e-5, "participations"), (1, 0.0, "delta"), (1, 1.0, "delta")],
)
def test_an_epsilon_of_nonsense_is_refused(kind, participations, delta, named):
    with pytest.raises(ConfigError, match=f"{named}: expected a"):
        make(kind).epsilon(participations, delta)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_that_adds_up_covers_the_chords_between_whole_orders(kind):
    for bits, z in ((12, 0.4), (16, 1.0), (24, 4.0)):
        noise = make(kind, z, bits=bits)
        for order in np.arange(2, 40, 0.05) if kind == "skellam" else ():  # the other's is proved for every order
            low = int(order)
            t = order - low
            chord = (1 - t) * (low - 1) * noise.rdp(max(low, 2)) + t * low * noise.rdp(low + 1)
            assert chord / (order - 1) <= order * noise.zcdp_rho_from_order_2 * (1 + 1e-9)
        assert noise.zcdp_rho <= noise.zcdp_rho_from_order_2 <= noise.zcdp_rho * 1.0719
        assert noise.epsilon(3, 1e-6) <= epsilon_of_several(3 * noise.zcdp_rho_from_order_2, 1e-6) * (1 + 1e-9)


def test_what_something_else_costs_is_added_at_every_order():
    for kind in KINDS:
        noise = make(kind)
        alone, together = noise.epsilon(2, 1e-6), noise.epsilon(2, 1e-6, 0.1)
        assert alone < together < alone + epsilon_by_rdp(0.1, 1e-6)
        assert noise.epsilon(0, 1e-6) == 0.0
        group = noise.epsilon_of(4 * noise.zcdp_rho_from_order_2, 1e-6)
        assert group == noise.epsilon(4, 1e-6)


def test_sums_of_runs_are_translated_by_orders_from_2_on():
    for rho in (1e-4, 0.1, 1.0, 8.0):
        assert epsilon_of_several(rho, 1e-6) == epsilon_by_rdp(rho, 1e-6)
    assert epsilon_of_several(40.0, 1e-6) > epsilon_by_rdp(40.0, 1e-6)
