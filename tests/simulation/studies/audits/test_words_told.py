"""Words of real phones: an update tells them, sums tell less of whom, and noise in full tells nothing."""

import json

import pytest
from scipy.stats import norm

from server_strategy.config import CohortConfig
from simulation.config import RunConfig, settled
from simulation.studies.audits import sentences_told
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.sentences_told import AFTER, BEFORE
from simulation.studies.audits.table import draw
from simulation.studies.audits.update_sums import CLIPPED, DEPLOYMENT, SIMULATION, SUM
from simulation.studies.audits.word_phones import ANYBODY, ONE
from simulation.studies.audits.words_told import as_attacks, tell, total_variation, words_told
from simulation.world.config import FleetConfig


def subject(phones):
    config = RunConfig(fleet=FleetConfig(size=phones), cohort=CohortConfig(goal=2))
    return Subject(settled(config), quick=True)


@pytest.fixture(scope="module")
def attacked():
    some = subject(34)  # 31 train, 15 are attacked: the last of them is in no pair
    with pytest.MonkeyPatch.context() as fewer:
        fewer.setattr(sentences_told, "QUICK_PHONES", 8)
        told, in_order = tell(some)
    return some, told, in_order


def of(told, whose, protection, phones):
    (one,) = (one for one in told if (one.whose, one.protection, one.phones) == (whose, protection, phones))
    return one


def test_one_update_tells_most_words_and_noise_in_full_hides_them(attacked):
    _, told, _ = attacked
    bare = of(told, ONE, SUM, 1)
    assert bare.found.mean > 0.95 > bare.guessed.mean + 0.3
    assert bare.found_uncommon.mean > 0.95 and bare.guessed_uncommon.mean < 0.3
    assert bare.sign_precision.mean > 0.98 and bare.sign_recall.mean > 0.7
    assert of(told, ONE, CLIPPED, 1).found.mean > 0.95  # which hides no word
    for phones in (1, 2, 8):
        hidden = of(told, ONE, DEPLOYMENT, phones)
        assert hidden.found.mean == pytest.approx(hidden.guessed.mean, abs=0.08)


def test_a_sum_hides_whose_words_they_are_and_not_which(attacked):
    _, told, _ = attacked
    bare, eight, anybody = of(told, ONE, SUM, 1), of(told, ONE, SUM, 8), of(told, ANYBODY, SUM, 8)
    assert eight.found.mean < bare.found.mean - 0.3
    assert anybody.found.mean > 0.9 and anybody.found_uncommon.mean > anybody.guessed_uncommon.mean + 0.3
    assert of(told, ANYBODY, SIMULATION, 8).found.mean > of(told, ANYBODY, DEPLOYMENT, 8).found.mean + 0.2


def test_figures_are_attacks_and_a_picture(attacked, tmp_path):
    some, told, _ = attacked
    found = as_attacks(told, some.prepared.plan, quick=True)
    assert [one.holds for one in found if one.bound is not None] == [True]
    assert len({one.name for one in found}) == len(found) and all("guessing" in one.why for one in found)
    read = [Attack.from_json(json.loads(json.dumps(one.to_json())), "a file") for one in found]
    assert len(read[0].details["told"]) == len(told)
    (path,) = draw(tmp_path, read)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not list(draw(tmp_path, read[1:]))  # without the details there is nothing to draw


def test_one_update_tells_words_in_their_order_and_noise_in_full_hides_it(attacked):
    some, _, in_order = attacked
    by_case = {(one.protection, one.phones, one.led_by): one for one in in_order}
    assert len(by_case) == len(in_order) == (4 + 1) * 3
    bare, hidden = by_case[SUM, 1, AFTER], by_case[DEPLOYMENT, 1, AFTER]
    assert bare.precision.mean > 0.1 > 0.03 > bare.precision_by_chance.mean
    assert bare.runs.mean > by_case[SUM, 1, BEFORE].runs.mean > bare.runs_by_chance.mean
    assert bare.overlap.mean > bare.overlap_by_chance.mean + 0.05
    assert hidden.runs.mean < 0.01 and hidden.whole.mean < 0.05
    found = sentences_told.as_attacks(in_order, some.prepared.plan, 0.2, quick=True)
    assert [one.holds for one in found if one.bound is not None] == [True] and "words in order" in found[0].name
    assert len(found[0].details["sentences_told"]) == 15 and not any(one.details for one in found[1:])


@pytest.mark.parametrize("z", [0.1, 0.5, 1.0, 2.0, 10.0])
def test_what_a_release_can_add_is_the_distance_of_two_normal_distributions(z):
    assert total_variation(z) == pytest.approx(2 * norm.cdf(1 / (2 * z)) - 1)


def test_of_too_few_phones_nothing_is_measured():
    (one,) = words_told(subject(4))
    assert one.value is None and one.holds is None and "too few phones train: 3" in one.why
