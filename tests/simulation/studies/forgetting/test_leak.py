"""Phones are forgotten by ascent and by training again, and both models are asked who it was."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.studies.audits.membership_scores import area_difference, area_over_people
from simulation.studies.audits.membership_shadows import COHORT, SHADOWS
from simulation.studies.audits.protected_training import ProtectedTraining
from simulation.studies.audits.update_sums import Protection
from simulation.studies.forgetting.leak import AGAIN, ASCENT, BEFORE, BOTH, UNLEARNED, Effort, leak_of, measure_leak
from simulation.studies.forgetting.leak_report import print_leaks
from simulation.studies.forgetting.unlearning import RADIUS, ascend, projected, recovered, reference_weights
from tests.simulation.studies.audits.test_membership import subject
from typefleet.errors import ConfigError

CLIPPING = Protection("clipped", 0.5)
EFFORT = Effort(rounds=2, shadows=2, forgotten_share=0.4, passes=1, rate=0.3, recovery_rounds=1, held_out=3)


@pytest.fixture(scope="module")
def training():
    some = subject(95)
    return ProtectedTraining(some, some.prepared.population, "forgetting")


@settings(max_examples=40)
@given(st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3), st.floats(0.01, 4))
def test_what_is_projected_is_in_the_ball_and_on_the_way_to_where_it_was(point, radius):
    flat, centre = np.array(point, np.float32), np.float32([1, 0, -1])
    found = projected(flat, centre, radius)
    assert np.linalg.norm(found - centre) <= radius * (1 + 1e-5)
    away, was = (found - centre).astype(float), (flat - centre).astype(float)
    assert np.linalg.norm(was) > radius or np.array_equal(found, flat)
    assert np.isclose(away @ was, np.linalg.norm(away) * np.linalg.norm(was), atol=1e-4)


def test_the_reference_is_the_mean_of_the_models_of_the_others(training):
    """Where the updates of all cancel, so that the mean of all models is the model, as the method supposes."""
    forgotten = training.prepared.training_phones[:3]
    own = [training.start + update for update in training.updates(training.start, forgotten, number=0)]
    others = (10 * training.start.astype(float) - np.sum(own, 0)) / 7  # 10 models whose mean is the start
    np.testing.assert_allclose(reference_weights(training, training.start, forgotten, took_part=10), others, atol=1e-5)


def test_the_ascent_raises_the_loss_on_the_forgotten_within_its_ball(training):
    forgotten, order = training.prepared.training_phones[:4], training.prepared.training_phones[:16].reshape(2, 8)
    flat = training.trained(order, CLIPPING)

    def ascent(done, rate=0.3):
        return ascend(training, flat, forgotten, CLIPPING, took_part=16, done=done, most_passes=3, rate=rate)

    assert ascent(lambda _: True).passes == 0 and np.array_equal(ascent(lambda _: True).flat, flat)
    found = ascent(lambda _: False)
    assert found.passes == 3 and found.moved > 0
    assert (training.losses(found.flat, forgotten) > training.losses(flat, forgotten)).all()
    far = ascent(lambda _: False, rate=20.0)
    centre = reference_weights(training, flat, forgotten, took_part=16)
    assert far.on_edge and np.linalg.norm(far.flat - centre) == pytest.approx(far.radius, rel=1e-4)
    assert far.radius == pytest.approx(RADIUS * np.linalg.norm(centre - training.start), rel=1e-4)
    back = recovered(training, found.flat, order[1:], CLIPPING)
    assert training.losses(back, order[1]).mean() < training.losses(found.flat, order[1]).mean()


def test_a_model_tells_of_its_phones_until_it_is_trained_again_without_them(training):
    (leak,) = measure_leak(training, EFFORT)  # settings without noise have one protection
    assert leak.protection == "clipping alone"
    assert leak.took_part + leak.others == 2 * COHORT and 8 < leak.forgotten < leak.took_part
    told = {one.model: one for one in leak.told}
    assert list(told) == [BEFORE, ASCENT, UNLEARNED, AGAIN]
    assert told[BEFORE].areas[SHADOWS].low > 0.6 > told[AGAIN].areas[SHADOWS].low
    assert told[BEFORE].beside_again[SHADOWS].low > 0 and BOTH not in told[BEFORE].areas
    assert told[AGAIN].areas[BOTH].low > 0.5  # who is gone is told by the two together
    assert told[BEFORE].forgotten_gain > told[AGAIN].forgotten_gain
    assert told[BEFORE].recall_lost is None and told[AGAIN].beside_again == {}
    out = io.StringIO()
    print_leaks(out, [leak])
    text = " ".join(out.getvalue().split())
    assert f"{leak.forgotten} forgotten phones" in text and "Under clipping alone" in text
    assert "as it was: more by" in text


def test_what_is_trained_again_has_noise_of_its_own(training):
    nobody = np.zeros((1, 8), np.bool_)
    order, noised = training.prepared.training_phones[:8].reshape(1, 8), Protection("noised", 0.5, noise_stddev=1.0)
    first, same = (training.trained(order, noised, sends=nobody) for _ in range(2))
    again = training.trained(order, noised, sends=nobody, purpose="again") - training.start
    assert np.array_equal(first, same)
    assert abs(np.corrcoef(first - training.start, again)[0, 1]) < 0.05


def test_too_few_phones_are_refused_in_one_line():
    with pytest.raises(ConfigError, match="phones that train: expected at least 80 of them, found"):
        leak_of(subject(50), EFFORT)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 50))
def test_a_difference_of_areas_is_of_the_same_draws(seed):
    rng = np.random.default_rng(seed)
    members, others = rng.normal(0.5, 1, 12), rng.normal(0, 1, 9)
    same = area_difference(members, others, (members, others))
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    beside_nothing = area_difference(members, others, (np.zeros(12), np.zeros(9)))  # whose area is always 0.5
    alone = area_over_people(members, others)
    assert (beside_nothing.mean, beside_nothing.low) == pytest.approx((alone.mean - 0.5, alone.low - 0.5))
