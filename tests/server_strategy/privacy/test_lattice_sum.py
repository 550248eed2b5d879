import numpy as np
import pytest

from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.discrete_gaussian import discrete_gaussian
from server_strategy.privacy.lattice_sum import LatticeSum, protected_sum_of
from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.protected_sum import ProtectedSum
from server_strategy.update_sum import FRACTION_BITS
from simulation.run.checkpoint import flattened, nested
from tests.server_strategy.test_dp_fedavg import SIZE, flat, make, play, update_of
from typefleet.errors import ConfigError

GOAL, ROUNDS = 8, 12


def make_plan(mechanism="gaussian", sampler="discrete", **privacy):
    cohort = CohortConfig(goal=GOAL, min_separation_rounds=3)
    privacy = PrivacyConfig(mechanism, sampler=sampler, **({"noise_multiplier": 0.7} | privacy))
    return make_privacy_plan(cohort, privacy, rounds=ROUNDS, num_phones=40)


def made(plan, seed=9):
    return LatticeSum(plan, NoiseKey.seeded(seed), FRACTION_BITS)


def released(protected, rounds, begin=0):
    """(sums, clip norms) with made-up totals."""
    result, norms = [], []
    for t in range(begin, begin + rounds):
        norms.append(protected.clip_norm)
        result.append(protected.release(np.full(5, t * 2**30), GOAL - t % 2, 2 + t % 5))
    return np.array(result), norms


def test_the_sampler_says_which():
    key = NoiseKey.fresh()
    assert isinstance(protected_sum_of(make_plan(), key, FRACTION_BITS), LatticeSum)
    for plan in (make_plan(sampler="continuous"), make_plan("none", "continuous", noise_multiplier=None)):
        assert isinstance(protected_sum_of(plan, key, FRACTION_BITS), ProtectedSum)


def test_noise_has_the_planned_size_and_no_less():
    plan = make_plan(modelled_cohort=800)
    noise = made(plan).release(np.zeros(100_000, np.int64), GOAL, 0)
    assert noise.std() == pytest.approx(plan.noise_stddev, rel=0.01)
    for z in (0.1, 0.7, 1 / 3, 1.1, 8.0):
        assert made(make_plan(noise_multiplier=z))._sigma >= z * 2**FRACTION_BITS


def test_what_is_released_is_on_the_lattice_whatever_the_sum():
    # With floating-point noise the lowest bits depend on the sum.
    unit = 2.0 * 2.0**-FRACTION_BITS
    for total in (0, 1, 2**41 + 1):
        values = made(make_plan()).release(np.full(50, total), GOAL, 0) / unit
        np.testing.assert_array_equal(values, np.rint(values))
    continuous = ProtectedSum(make_plan(sampler="continuous"), NoiseKey.seeded(9)).release(np.zeros(50), GOAL, 0) / unit
    assert (continuous != np.rint(continuous)).any()


@pytest.mark.parametrize("quantile", [None, 0.5])
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_it_goes_on_from_a_checkpoint_bit_for_bit(quantile, cut, tmp_path):
    plan = make_plan(clip_quantile=quantile)
    expected, norms = released(made(plan), ROUNDS)
    first, second = made(plan), made(plan)
    released(first, cut)
    np.savez(tmp_path / "c.npz", **flattened(first.state()))
    with np.load(tmp_path / "c.npz") as stored:
        second.load_state(nested(dict(stored)))
    result, later_norms = released(second, ROUNDS - cut, cut)
    np.testing.assert_array_equal(result, expected[cut:])
    assert later_norms == norms[cut:] and (quantile is None) == (len(set(norms)) == 1)


def test_releases_and_attempts_have_noise_of_their_own():
    noise = [made(make_plan()).release(np.zeros(300, np.int64), GOAL, 0, attempt) for attempt in range(3)]
    protected = made(make_plan())
    noise += [protected.release(np.zeros(300, np.int64), GOAL, 0) for _ in range(3)][1:]
    assert np.abs(np.corrcoef(noise) - np.eye(5)).max() < 0.35  # 6 standard errors


def test_the_clip_norm_finds_the_quantile():
    plan = make_privacy_plan(
        CohortConfig(goal=100, min_separation_rounds=10),
        PrivacyConfig(noise_multiplier=0.3, clip_quantile=0.25, clip_norm=90.0, sampler="discrete"),
        rounds=200,
        num_phones=2000,
    )
    protected, norms, seen = made(plan), np.arange(1, 101), []
    for _ in range(200):
        protected.release(np.zeros(3, np.int64), 100, int((norms <= protected.clip_norm).sum()))
        seen.append(protected.clip_norm)
    assert np.median(seen[100:]) == pytest.approx(25, abs=3)


def test_the_strategy_releases_the_exact_sum_with_discrete_noise():
    strategy, grid = make(privacy=PrivacyConfig(clip_norm=0.5, noise_multiplier=1.0, sampler="discrete"))
    arrays = play(strategy, grid, 1)
    updates = [update_of(phone, 1) for phone in strategy.last_round.plan.reporters]
    clipped = [update * min(1, 0.5 / np.linalg.norm(update)) for update in updates]
    rng = NoiseKey.seeded(4).generator(0, 0, purpose="discrete noise")
    noise = discrete_gaussian(rng, 2**FRACTION_BITS, SIZE) * (0.5 * 2.0**-FRACTION_BITS)
    np.testing.assert_allclose(flat(arrays), (np.sum(clipped, 0) + noise) / 6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("mechanism", ["tree", "banded", "blt"])
def test_it_is_refused_where_noise_is_a_mix_of_rounds(mechanism):
    message = (
        r"^--privacy\.sampler discrete: expected only with --privacy\.mechanism gaussian \(noise that mixes draws with "
        rf"real weights is on no lattice\), found {mechanism}$"
    )
    with pytest.raises(ConfigError, match=message):
        make_plan(mechanism)


def test_it_is_refused_for_a_mechanism_of_ones_own():
    class Own(IndependentNoise):
        name = "own"

    with pytest.raises(ConfigError, match=r"--privacy\.sampler discrete: expected only with .*, found own$"):
        make_privacy_plan(
            CohortConfig(goal=8),
            PrivacyConfig(sampler="discrete", noise_multiplier=1.0),
            rounds=3,
            num_phones=40,
            mechanism=Own(),
        )


def test_more_noise_than_64_bits_hold_is_refused():
    message = r"--privacy\.noise-multiplier: expected noise of a deviation up to 32,768 clip norms"
    with pytest.raises(ConfigError, match=message):
        made(make_plan(noise_multiplier=1e5))
