"""The canary audit through the real strategy: what keeps its claim passes, what is broken on purpose is caught."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from server_strategy.aggregation.config import AggregationConfig
from server_strategy.cohorts import UniformCohorts
from server_strategy.config import CohortConfig
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.distributed_noise import encoding
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.releases import Releases
from server_strategy.update_sum import FRACTION_BITS, FixedPointSum, l2_norm
from simulation.studies.audits.canaries import Claim, alone, attack, figures
from simulation.studies.audits.canary_phones import LENGTH, Canaries, CanaryHosts, random_direction
from simulation.studies.audits.canary_play import Observed, as_deployed, play
from simulation.studies.audits.canary_scores import filtered
from simulation.studies.audits.lone_canary import play_alone
from simulation.world.aggregation_settings import phones_add
from typefleet.errors import ConfigError

MECHANISMS = ("gaussian", "tree", "banded", "blt")
PHONES, GOAL, ROUNDS, SEPARATION, DELTA = 300, 30, 40, 10, 1e-6
COHORT = CohortConfig(goal=GOAL, min_separation_rounds=SEPARATION)
ADAPTIVE = {"clip_quantile": 0.6}
LAYERS = {"clip_scope": "layer"}
SAMPLED = {"adjacency": "add-or-remove", "sampler": "discrete"}


@cache
def plan_of(mechanism="gaussian", cohort=COHORT, **settings):
    privacy = PrivacyConfig(mechanism, **{"target_epsilon": 6.0, "delta": DELTA, **settings})
    return make_privacy_plan(cohort, privacy, rounds=ROUNDS, num_phones=PHONES)


def observed(plan, seed=1, cohort=COHORT, layers=1, **more):
    canaries = Canaries([4096 // layers] * layers, PHONES, seed)
    optimizer = ServerOptimizerConfig("adam", 0.01)
    cohorts = UniformCohorts(GOAL, seed)
    return play(plan, cohort, cohorts, canaries, num_phones=PHONES, optimizer=optimizer, **more)


def found(plan, **more):
    """Figures by name, held to what the accounting claims."""
    seen = observed(plan, **more)
    claim = Claim(epsilon=seen.spent.epsilon, delta=DELTA, is_of="claimed")
    return {one.name.removeprefix("canaries: "): one for one in figures(seen, claim)}


def lone(mechanism="gaussian", **settings):
    return alone(play_alone(PrivacyConfig(mechanism, **settings), DELTA, 256, 2, seed=3), DELTA)


HONEST = [
    *((mechanism, {}) for mechanism in MECHANISMS),
    *(("blt", settings) for settings in (ADAPTIVE, LAYERS)),
    *(("gaussian", settings) for settings in (ADAPTIVE, LAYERS, SAMPLED)),
]


@pytest.mark.parametrize(("mechanism", "settings"), HONEST)
def test_what_keeps_its_claim_passes_and_the_estimate_is_near_it(mechanism, settings):
    figures = found(plan_of(mechanism, **settings), layers=4 if settings == LAYERS else 1)
    assert [one.holds for one in figures.values()] == [True] * 4
    every, last = figures["all releases"], figures["last model"]
    assert 4 < every.value < 6.6 and every.low < every.value < every.high  # the claim is 6
    assert last.value < every.value / 2  # the last model tells less
    least = [figures[name].value for name in ("at least, whatever the noise", "at least, of Gaussian noise")]
    assert 0.5 < least[0] < least[1] < every.value


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_lone_canary_is_near_its_claim_and_not_above(mechanism):
    one = lone(mechanism)
    assert one.holds and 0.5 * one.bound < one.value < 1.3 * one.bound


# Broken on purpose -------------------------------------------------------------------------------------


def halved(plan):
    adaptive = plan.adaptive
    if adaptive is not None:
        adaptive = replace(adaptive, update_noise_stddev=adaptive.update_noise_stddev / 2)
    return replace(plan, noise_stddev=plan.noise_stddev / 2, adaptive=adaptive)


def add_unclipped(self, update, weight=1.0):
    self._add_scaled(update, 0, len(update), weight * 2.0**FRACTION_BITS / self.clip_norm)
    self.count += 1
    return l2_norm(update)


def divide_by_reports(monkeypatch):
    inner = Releases._next_weights

    def next_weights(self, arrays, came, below, attempt):
        kept, self._cohort = self._cohort, replace(self._cohort, goal=len(came.reported))
        try:
            return inner(self, arrays, came, below, attempt)
        finally:
            self._cohort = kept

    monkeypatch.setattr(Releases, "_next_weights", next_weights)


def reuse_one_stream(monkeypatch):
    inner = NoiseKey.generator
    monkeypatch.setattr(NoiseKey, "generator", lambda self, release, *more: inner(self, 0, *more))


@pytest.mark.parametrize(("mechanism", "settings"), [*((m, {}) for m in MECHANISMS), ("gaussian", ADAPTIVE)])
def test_half_of_the_noise_is_caught(mechanism, settings):
    assert found(halved(plan_of(mechanism, **settings)))["all releases"].holds is False


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_updates_that_nobody_clips_are_caught(mechanism, monkeypatch):
    monkeypatch.setattr(FixedPointSum, "add", add_unclipped)
    figures = found(plan_of(mechanism))
    # By what holds whatever the scores, too.
    assert figures["all releases"].holds is figures["at least, of Gaussian noise"].holds is False


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_one_stream_of_noise_for_all_releases_is_caught(mechanism, monkeypatch):
    reuse_one_stream(monkeypatch)
    assert found(plan_of(mechanism))["all releases"].holds is False


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_denominator_that_counts_reports_is_caught(mechanism, monkeypatch):
    divide_by_reports(monkeypatch)
    one = lone(mechanism)
    assert one.holds is False and one.details["move"] > 1.5


# What it is made of -------------------------------------------------------------------------------------


def test_rounds_are_those_of_the_strategy_and_bits_those_of_the_seed():
    plan = plan_of()
    first, again, other = observed(plan), observed(plan), observed(plan, seed=2)
    assert np.array_equal(first.releases, again.releases) and first.spent == again.spent
    assert not np.array_equal(first.releases, other.releases)
    taken = first.weights > 0
    assert (taken.sum(axis=0) == GOAL).all() and taken.sum(axis=1).max() <= plan.max_participations
    for rounds in map(np.flatnonzero, taken):
        assert (np.diff(rounds) >= SEPARATION).all()
    assert len(observed(plan, most_releases=7).releases) == 7


def test_a_release_is_the_sum_of_those_that_are_in():
    plan = replace(plan_of("none", target_epsilon=None), clip_norm=0.5)
    seen = observed(plan)
    expected = (seen.weights * seen.included[:, None]).T @ seen.directions
    np.testing.assert_allclose(seen.releases, expected, atol=1e-5)


def test_directions_have_length_1_in_all_and_alike_in_layers():
    whole = random_direction([100, 50, 30], 1, 2)
    assert np.linalg.norm(whole) == pytest.approx(1)
    for layer in np.split(whole, [100, 150]):
        assert np.linalg.norm(layer) == pytest.approx(3**-0.5)
    assert not np.array_equal(whole, random_direction([100, 50, 30], 1, 3))
    canaries = Canaries([180], 1, 4)
    assert (canaries.row_of(7), canaries.row_of(8), canaries.row_of(7)) == (0, None, 0) and LENGTH > 1
    assert CanaryHosts(canaries, out_fails=False).common is None


def test_the_filter_finds_whom_noise_that_is_cancelled_later_hides():
    """Noise that each release takes back from the one before: its sum is known almost exactly."""
    rng, rounds, phones, dimension = np.random.default_rng(8), 12, 300, 6000
    canaries = Canaries([dimension], phones, 5)
    for phone in range(phones):
        canaries.row_of(phone)
    draws = rng.normal(0, 3, (rounds + 1, dimension))
    weights = (rng.random((phones, rounds)) < 0.3).astype(float)
    weights[np.arange(phones), np.arange(phones) % rounds] = 1  # each takes part
    signal = (weights * canaries.included[:, None]).T @ canaries.matrix()
    made = (np.diff(draws, axis=0) + signal).astype(np.float32)
    told = {"directions": canaries.matrix(), "included": canaries.included, "spent": observed(plan_of()).spent}
    seen = Observed(releases=made, weights=weights, last_model=made.sum(axis=0), **told)
    scores = filtered(seen)
    covariance = 9 * (2 * np.eye(rounds) - np.eye(rounds, k=1) - np.eye(rounds, k=-1))
    exact = np.sqrt(np.einsum("ct,tc->c", weights, np.linalg.solve(covariance, weights.T)))
    np.testing.assert_allclose(scores.shifts, exact, rtol=0.08)  # what other canaries add is noise as well
    assert scores.most == pytest.approx(exact.max(), rel=0.08)
    out = scores.scores[~canaries.included]
    assert abs(out.mean()) < 0.3 and 0.8 < out.std() < 1.2


@pytest.mark.parametrize("settings", [{}, ADAPTIVE])
def test_a_deployment_that_is_modelled_is_played_with_all_of_its_noise(settings):
    modelled = plan_of(noise_multiplier=1.5, target_epsilon=None, modelled_cohort=5000, **settings)
    plan, cohort = as_deployed(modelled, COHORT)
    assert (plan.goal, cohort.goal, plan.modelled_cohort) == (5000, 5000, None)
    small = found(modelled)["all releases"]
    whole = found(plan, cohort=cohort)
    assert whole["all releases"].holds and whole["all releases"].bound == pytest.approx(modelled.epsilon)
    assert small.holds is False and small.value > 100  # the run itself has a hundredth of the noise
    assert as_deployed(plan, cohort) == (plan, cohort)


def test_too_few_phones_and_no_release_are_said():
    one_release = observed(plan_of(), most_releases=1)
    few = {name: getattr(one_release, name)[:10] for name in ("weights", "directions", "included")}
    (one,) = figures(replace(one_release, **few), Claim(epsilon=1, delta=1e-6, is_of=""))
    assert one.value is None and "10 phones took part" in one.why
    canaries = Canaries([4096], 10, 1)
    with pytest.raises(ConfigError, match="rounds with canaries: expected a release, found none: 300 phones admitted"):
        play(
            plan_of(),
            replace(COHORT, max_abandoned_in_a_row=2),
            UniformCohorts(PHONES + 1, 1),
            canaries,
            num_phones=PHONES,
            optimizer=ServerOptimizerConfig(),
        )


def of_phones(kind, **settings):
    """A plan whose phones add the noise, of updates as `observed` has them."""
    privacy = PrivacyConfig(noise_place="phones", phone_noise=kind, target_epsilon=6.0, delta=DELTA, **settings)
    add = phones_add(privacy, AggregationConfig("arithmetic"), COHORT, 4096)
    return make_privacy_plan(COHORT, privacy, rounds=ROUNDS, num_phones=PHONES, phones_add=add)


@pytest.mark.parametrize("kind", ["discrete-gaussian", "skellam"])
def test_noise_that_phones_add_keeps_its_claim_and_is_not_far_above_it(kind):
    plan = of_phones(kind)
    figures = found(plan, most_releases=12)
    assert [one.holds for one in figures.values()] == [True] * 4
    every = figures["all releases"]
    assert every.bound / 2 < every.value < every.bound  # noise of all 30 for that of the fewest
    assert plan.phone_noise.counted_on < GOAL == plan.phone_noise.phones


@pytest.mark.parametrize("broken", ["half of each share", "a share of every fourth phone"])
def test_phones_noise_that_is_not_what_is_claimed_is_caught(broken, monkeypatch):
    plan, inner = of_phones("skellam"), encoding.noise_share
    if broken == "half of each share":
        monkeypatch.setattr(encoding, "noise_share", lambda rng, kind, stddev, n: inner(rng, kind, stddev / 2, n))
    else:
        monkeypatch.setattr(
            encoding,
            "noise_share",
            lambda rng, kind, stddev, n: inner(rng, kind, stddev, n) if rng.random() < 0.25 else np.zeros(n, np.int64),
        )
    figures = found(plan)
    assert figures["all releases"].holds is False
    assert figures["all releases"].low > figures["all releases"].bound


def test_an_audit_of_a_run_whose_phones_add_the_noise_plays_phones_that_do():
    world = SimpleNamespace(num_phones=PHONES)
    privacy = PrivacyConfig(
        noise_place="phones", phone_noise="skellam", target_epsilon=6.0, delta=DELTA, modelled_cohort=5000
    )
    aggregation = AggregationConfig("arithmetic")
    add = phones_add(privacy, aggregation, COHORT, 100_000)
    plan = make_privacy_plan(COHORT, privacy, rounds=ROUNDS, num_phones=PHONES, phones_add=add)
    prepared = SimpleNamespace(
        plan=plan,
        config=SimpleNamespace(
            privacy=privacy, cohort=COHORT, aggregation=aggregation, server_optimizer=ServerOptimizerConfig()
        ),
        fleet=world,
        open_world=lambda: UniformCohorts(GOAL, 1),
    )
    shown = attack(SimpleNamespace(prepared=prepared, quick=True, seed=1, run_dir=None))
    every, *_, lone = shown
    assert every.name == "canaries: all releases" and every.holds and 3 < every.value < every.bound
    assert "claimed of 30 phones a round in 8,192 dimensions" in every.bound_is
    assert lone.value is None and "adds no noise either" in lone.why
