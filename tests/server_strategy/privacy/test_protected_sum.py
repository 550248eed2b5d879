import numpy as np
import pytest
import tensorflow as tf

from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.lattice_sum import LatticeSum
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.protected_sum import ProtectedSum, make_query, without_noise
from server_strategy.state import StateError
from server_strategy.update_sum import FRACTION_BITS, LARGEST_CLIP_NORM, SMALLEST_CLIP_NORM
from simulation.run.checkpoint import flattened, nested

GOAL, ROUNDS = 8, 12


def make_plan(mechanism="gaussian", **privacy):
    noise = {} if mechanism == "none" else {"noise_multiplier": 0.7}
    cohort = CohortConfig(goal=GOAL, min_separation_rounds=3)
    return make_privacy_plan(cohort, PrivacyConfig(mechanism, **(noise | privacy)), rounds=ROUNDS, num_phones=40)


def play(protected, rounds, begin=0):
    """(sums [rounds, 5], clip norms) with made-up totals."""
    result, norms = [], []
    for t in range(begin, begin + rounds):
        norms.append(protected.clip_norm)
        result.append(protected.release(np.full(5, float(t)), GOAL - t % 2, 2 + t % 5))
    return np.array(result), norms


@pytest.mark.parametrize("quantile", [None, 0.5])
@pytest.mark.parametrize("mechanism", ["gaussian", "tree", "banded", "blt", "none"])
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_it_goes_on_from_a_checkpoint_bit_for_bit(mechanism, quantile, cut, tmp_path):
    plan = make_plan(mechanism, clip_quantile=quantile)
    expected, norms = play(ProtectedSum(plan, NoiseKey.seeded(9)), ROUNDS)
    first, second = ProtectedSum(plan, NoiseKey.seeded(9)), ProtectedSum(plan, NoiseKey.seeded(9))
    play(first, cut)
    np.savez(tmp_path / "c.npz", **flattened(first.state()))
    with np.load(tmp_path / "c.npz") as stored:
        second.load_state(nested(dict(stored)))
    assert second.releases == cut
    result, later_norms = play(second, ROUNDS - cut, cut)
    np.testing.assert_array_equal(result, expected[cut:])
    assert later_norms == norms[cut:]


def on_a_lattice(plan, key):
    return LatticeSum(plan, key, FRACTION_BITS)


@pytest.mark.parametrize(("kind", "sampler"), [(ProtectedSum, "continuous"), (on_a_lattice, "discrete")])
@pytest.mark.parametrize(
    ("saved", "found"),
    [
        *((SMALLEST_CLIP_NORM * 0.99, "9.9e-07"), (LARGEST_CLIP_NORM + 0.1, "100000.1"), (1e9, "1000000000.0")),
        *((0.0, "0.0"), (-1.0, "-1.0"), (np.inf, "inf"), (-np.inf, "-inf"), (np.nan, "nan"), (True, "no number")),
        *(("2.0", "no number"), ([2.0], "no number"), (2.0 + 1j, "no number")),
    ],
)
def test_a_saved_clip_norm_that_updates_cannot_be_summed_by_is_refused(kind, sampler, saved, found):
    plan = make_plan(clip_quantile=0.5, sampler=sampler)
    first, second = kind(plan, NoiseKey.seeded(9)), kind(plan, NoiseKey.seeded(9))
    first.release(np.zeros(5, np.int64), GOAL, 4)
    with pytest.raises(StateError, match=rf"^state: expected a clip norm from 1e-06 to 100000, found {found}$"):
        second.load_state({**first.state(), "clip_norm": np.array(saved)})
    for taken in (SMALLEST_CLIP_NORM, LARGEST_CLIP_NORM, np.float32(2), 2):
        second.load_state({**first.state(), "clip_norm": np.array(taken)})
        assert second.clip_norm == taken


@pytest.mark.parametrize("quantile", [None, 0.5])
@pytest.mark.parametrize("mechanism", ["gaussian", "tree", "banded", "blt"])
def test_another_attempt_at_a_release_has_noise_of_its_own(mechanism, quantile):
    plan, found = make_plan(mechanism, clip_quantile=quantile), []
    for attempt in (0, 1, 2):
        protected = ProtectedSum(plan, NoiseKey.seeded(9))
        play(protected, 2)
        release = protected.release(np.zeros(5), GOAL, 4, attempt)
        found.append([*release, protected.clip_norm if quantile else attempt])
        later = protected.release(np.zeros(5), GOAL, 4)  # the attempt was of one release alone
    assert len(np.unique(found)) == np.size(found)
    if mechanism == "gaussian" and quantile is None:
        first = ProtectedSum(plan, NoiseKey.seeded(9))
        play(first, 3)
        np.testing.assert_array_equal(later, first.release(np.zeros(5), GOAL, 4))


@pytest.mark.parametrize("quantile", [None, 0.5])
def test_independent_noise_goes_on_from_a_state_that_forgot_it(quantile):
    plan = make_plan("gaussian", clip_quantile=quantile)
    whole, again = ProtectedSum(plan, NoiseKey.seeded(3)), ProtectedSum(plan, NoiseKey.seeded(3))
    play(whole, 5)
    again.load_state(without_noise(whole.state()))
    for _ in range(2):
        np.testing.assert_array_equal(again.release(np.ones(5), GOAL, 4), whole.release(np.ones(5), GOAL, 4))
    assert again.clip_norm == whole.clip_norm


@pytest.mark.parametrize("mechanism", ["tree", "banded", "blt"])
def test_a_state_that_forgot_its_noise_has_no_draw_in_it_and_releases_nothing(mechanism):
    plan = make_plan(mechanism, clip_quantile=0.5)
    first, second = ProtectedSum(plan, NoiseKey.fresh()), ProtectedSum(plan, NoiseKey.fresh())
    play(first, 5)
    left = without_noise(first.state())
    assert list(flattened(left)) == ["releases", "clip_norm", "forgotten"]
    second.load_state(left)
    assert second.releases == 5 and second.clip_norm == first.clip_norm
    with pytest.raises(RuntimeError, match="expected the noise of earlier ones, found a state that has forgotten it"):
        second.release(np.zeros(5), GOAL, 4)


def test_none_adds_nothing():
    result, norms = play(ProtectedSum(make_plan("none"), NoiseKey.seeded(0)), 4)
    np.testing.assert_array_equal(result, np.arange(4.0)[:, None] * np.ones(5))
    assert norms == [2.0] * 4


@pytest.mark.parametrize("mechanism", ["gaussian", "tree", "banded", "blt"])
def test_noise_has_the_planned_size(mechanism):
    plan = make_plan(mechanism, modelled_cohort=800)
    assert plan.noise_stddev == pytest.approx(0.7 * 2.0 * GOAL / 800)
    noise = ProtectedSum(plan, NoiseKey.seeded(1)).release(np.zeros(100_000), GOAL, 0)
    first_row = np.sqrt(plan.mechanism.sum_errors(1)[0])
    assert noise.std() == pytest.approx(plan.noise_stddev * first_row, rel=0.01)


@pytest.mark.parametrize("mechanism", ["gaussian", "blt", "none"])
def test_the_clip_norm_finds_the_quantile(mechanism):
    # Norms are 1, 2, ... 100; a quarter of them is to be shorter.
    plan = make_privacy_plan(
        CohortConfig(goal=100, min_separation_rounds=10),
        PrivacyConfig(
            mechanism, noise_multiplier=None if mechanism == "none" else 0.3, clip_quantile=0.25, clip_norm=90.0
        ),
        rounds=200,
        num_phones=2000,
    )
    protected, norms = ProtectedSum(plan, NoiseKey.seeded(0)), np.arange(1, 101)
    seen = []
    for _ in range(200):
        protected.release(np.zeros(3), 100, int((norms <= protected.clip_norm).sum()))
        seen.append(protected.clip_norm)
    assert np.median(seen[100:]) == pytest.approx(25, abs=3)


def test_a_count_that_would_take_all_noise_is_refused():
    with pytest.raises(ValueError, match=r"--privacy.clip-count-stddev: expected a number > 1.3, the noise multiplier"):
        make_plan(clip_quantile=0.5, noise_multiplier=1.3, clip_count_stddev=1.2)
    with pytest.raises(ValueError, match=r"--privacy.clip-count-stddev: expected a number > 0.65, half the noise"):
        make_plan(clip_quantile=0.5, noise_multiplier=1.3, clip_count_stddev=0.6, adjacency="add-or-remove")


@pytest.mark.parametrize("adjacency", ["zero-out", "add-or-remove"])
def test_the_query_says_what_a_release_costs(adjacency):
    plan = make_plan(clip_quantile=0.5, noise_multiplier=1.3, clip_count_stddev=1.6, adjacency=adjacency)
    query = make_query(plan, NoiseKey.seeded(0))
    _, _, event = query.get_noised_result(
        (tf.zeros(3, tf.float64), tf.constant(0.0, tf.float64)), query.initial_global_state()
    )
    cost = sum(1 / (2 * part.noise_multiplier**2) for part in event.events)
    assert cost == pytest.approx(plan.rho_of(1, 1, 1), rel=1e-12) == pytest.approx(1 / (2 * 1.3**2), rel=1e-12)


@pytest.mark.parametrize("quantile", [None, 0.5])
@pytest.mark.parametrize("mechanism", ["gaussian", "tree", "banded", "blt", "none"])
def test_noise_that_was_drawn_ahead_is_the_same_and_not_drawn_again(monkeypatch, mechanism, quantile):
    plan, drawn = make_plan(mechanism, clip_quantile=quantile), []
    expected, _ = play(ProtectedSum(plan, NoiseKey.seeded(9)), 6)
    by_key = NoiseKey.generator
    monkeypatch.setattr(NoiseKey, "generator", lambda key, *place: drawn.append(place) or by_key(key, *place))
    protected, found = ProtectedSum(plan, NoiseKey.seeded(9)), []
    for t in range(6):
        protected.draw_ahead(5)
        found += list(play(protected, 1, t)[0])
    np.testing.assert_array_equal(found, expected)
    assert len(drawn) == len(set(drawn)) and (drawn or mechanism == "none")


@pytest.mark.parametrize(("size", "attempt"), [(4, 0), (5, 1)])
def test_noise_that_was_drawn_ahead_for_something_else_is_not_used(size, attempt):
    plan, found = make_plan(), []
    for ahead in (False, True):
        protected = ProtectedSum(plan, NoiseKey.seeded(9))
        if ahead:
            protected.draw_ahead(size)
        found += [protected.release(np.zeros(5), GOAL, 4, attempt), protected.release(np.zeros(5), GOAL, 4)]
    np.testing.assert_array_equal(found[:2], found[2:])
