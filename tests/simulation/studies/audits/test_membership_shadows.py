"""Scores of losses that are made up, of which the best that can be known is known."""

import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from simulation.studies.audits.attack import Attack
from simulation.studies.audits.membership_scores import EpsilonDelta, GaussianNoise, area_under_roc
from simulation.studies.audits.membership_shadows import (
    CALIBRATED,
    COHORT,
    LOSS,
    SHADOWS,
    Shadow,
    in_rounds,
    scores_of,
    shadow_coins,
)
from simulation.studies.audits.membership_told import Told, figures_of, inferred, unmeasured

PEOPLE = 1000


class World:
    """People whose text differs in how hard it is, in how much a model learns of it, and in how much chance does."""

    def __init__(self, seed, gap=0.1, deviation=0.05):
        rng = self.rng = np.random.default_rng(seed)
        self.hard = rng.normal(4.5, 0.6, PEOPLE)
        self.gap = gap * rng.gamma(4, 1 / 4, PEOPLE)
        self.deviation = deviation * np.sqrt(rng.gamma(4, 1 / 4, PEOPLE))

    def losses(self, is_in):
        return self.hard - self.gap * is_in + self.deviation * self.rng.normal(size=PEOPLE)

    def shadows(self, number):
        return [Shadow(is_in, self.losses(is_in)) for is_in in shadow_coins(PEOPLE, number, seed=5)]

    def ratio(self, losses):
        """The logarithm of the likelihood ratio, as who knows the world has it."""
        inside, outside = (norm.logpdf(losses, self.hard - gap, self.deviation) for gap in (self.gap, 0))
        return inside - outside


def test_of_two_shadows_everybody_is_in_one():
    coins = shadow_coins(PEOPLE, 6, seed=1)
    assert len(coins) == 6
    for one, other in zip(coins[::2], coins[1::2], strict=True):
        assert (one ^ other).all() and 400 < one.sum() < 600
    assert not np.array_equal(coins[0], coins[2])
    assert np.array_equal(coins[4], shadow_coins(PEOPLE, 6, seed=1)[4]) and not shadow_coins(PEOPLE, 0, seed=1)


def test_with_many_shadows_the_score_is_the_likelihood_ratio():
    world = World(1)
    is_in = world.rng.random(PEOPLE) < 0.5
    losses = world.losses(is_in)
    found = scores_of(losses, world.hard, world.shadows(200))[SHADOWS]
    best = world.ratio(losses)
    assert spearmanr(found, best).statistic > 0.97
    assert area_under_roc(found[is_in], found[~is_in]) > area_under_roc(best[is_in], best[~is_in]) - 0.01


@pytest.mark.parametrize("shadows", [2, 4, 8])
def test_shadows_tell_more_than_the_starting_weights_and_these_more_than_the_loss(shadows):
    world = World(2)
    is_in = world.rng.random(PEOPLE) < 0.5
    start = world.hard + 0.3 * world.rng.normal(size=PEOPLE)
    scores = scores_of(world.losses(is_in), start, world.shadows(shadows))
    area = {name: area_under_roc(score[is_in], score[~is_in]) for name, score in scores.items()}
    assert 0.5 < area[LOSS] < area[CALIBRATED] < area[SHADOWS] - 0.1


def test_how_hard_a_text_is_plays_no_part_beside_shadows():
    world = World(3)
    is_in = world.rng.random(PEOPLE) < 0.5
    losses, shadows, harder = world.losses(is_in), world.shadows(4), world.rng.normal(0, 2, PEOPLE)
    before = scores_of(losses, world.hard, shadows)
    after = scores_of(losses + harder, world.hard + harder, [Shadow(c, one + harder) for c, one in shadows])
    np.testing.assert_allclose(after[SHADOWS], before[SHADOWS], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(after[CALIBRATED], before[CALIBRATED], atol=1e-12)
    assert not np.allclose(after[LOSS], before[LOSS])


def test_who_took_no_part_cannot_be_told():
    world = World(4)
    is_in = world.rng.random(PEOPLE) < 0.5
    scores = scores_of(world.losses(np.zeros(PEOPLE)), world.hard, world.shadows(4))
    assert all(abs(area_under_roc(one[is_in], one[~is_in]) - 0.5) < 0.06 for one in scores.values())
    assert scores_of(world.hard, world.hard).keys() == {LOSS, CALIBRATED}


def test_people_fill_rounds_in_order():
    people = np.arange(3 * COHORT - 1)
    assert np.array_equal(in_rounds(people, 9).ravel(), people[: 2 * COHORT]) and len(in_rounds(people, 1)) == 1


# As attacks -------------------------------------------------------------------------------------------------

TOLD = Told(attacker="a", sees="b", assumes="c", limit=None, limit_is="none: so it is", why="because")


def told_with(limit):
    return Told(attacker="a", sees="b", assumes="c", limit=limit, limit_is="what is claimed")


@pytest.mark.parametrize("limit", [EpsilonDelta(0.5, 1e-6), GaussianNoise(0.5)], ids=str)
def test_what_tells_more_than_is_allowed_falls_and_what_tells_as_much_does_not(limit):
    rng, is_in = np.random.default_rng(6), np.arange(2200) % 2 == 0
    for shift, holds in ((0.0, True), (0.3, True), (3.0, False)):
        one = inferred("m", SHADOWS, rng.normal(shift * is_in), is_in, limit=limit)
        attacks = list(figures_of("membership: m", one, told_with(limit)))
        assert [attack.holds for attack in attacks] == [holds] * 4, shift
        assert attacks == [Attack.from_json(attack.to_json(), "a file") for attack in attacks]
        assert attacks[0].bound == limit.area and attacks[1].bound == limit.balanced_accuracy
        assert attacks[2].bound > limit.true_positives(0.01)  # the threshold may let more through than it did
        assert len(one.allowed) == 40 and one.allowed[0] == (pytest.approx(1e-3), limit.true_positives(1e-3))


def test_nothing_is_held_to_what_nobody_promised_and_few_people_show_no_rate():
    is_in = np.arange(300) % 2 == 0
    one = inferred("m", LOSS, np.arange(300.0), is_in, recall=0.2)
    attacks = list(figures_of("membership: m", one, TOLD))
    assert all(attack.bound is None and attack.bound_is == "none: so it is" for attack in attacks)
    assert [attack.name for attack in attacks] == [
        "membership: m (AUC)",
        "membership: m (balanced accuracy)",
        "membership: m (true positives at 1 %)",
        "membership: m (true positives at 0.1 %)",
    ]
    assert attacks[3].value is None and attacks[2].value is not None
    assert {attack.why for attack in attacks} == {"because; 150 others are too few for a rate of 0.1 %: it takes 1,000"}
    assert one.allowed is None and one.recall == 0.2
    nothing = unmeasured("membership", TOLD, "nobody came")
    assert nothing.value is None and nothing.holds is None and nothing.why == "nobody came"
