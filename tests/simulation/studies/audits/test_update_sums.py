"""Sums are of the phones that they say, and each protection does what it says."""

from types import SimpleNamespace

import numpy as np
import pytest

from client_model.keyed_random import generator
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.planning import make_privacy_plan
from simulation.studies.audits.update_sums import (
    CLIPPED,
    DEPLOYMENT,
    SIMULATION,
    SUM,
    Frame,
    Protection,
    observe,
    protections_of,
)
from simulation.studies.audits.word_attack import word_evidence

WORDS, WIDTH = 40, 3
FRAME = Frame(WORDS, WIDTH, WORDS * WIDTH + 7 + WORDS, None)
PHONES, NORM = 9, 0.5


def updates(phones=PHONES):
    rng = generator(0, "made-up updates")
    return [(0.2 * (1 + i) * rng.normal(size=FRAME.num_weights)).astype(np.float32) for i in range(phones)]


def seen(protections, most, seed=0, whose="some", frame=FRAME):
    return observe(iter(updates()), frame, protections, most, seed=seed, whose=whose)


def test_a_sum_is_of_the_phones_that_it_says():
    ones, threes = seen((Protection(SUM),), {1: 4, 3: 3})
    assert (ones.phones, threes.phones) == (1, 3)
    assert ones.evidence[SUM].shape == (4, WORDS, 2) and threes.evidence[SUM].shape == (3, WORDS, 2)
    for number, found in enumerate(threes.evidence[SUM]):
        total = np.sum(updates()[3 * number : 3 * number + 3], 0, np.float64)
        assert found == pytest.approx(word_evidence(*FRAME.parts(total)), rel=1e-5)
        assert (threes.rose[number][8:] == (total[-WORDS:] > 0)[8:]).all()


def test_each_update_is_clipped_by_itself():
    (pairs,) = seen((Protection(SUM), Protection(CLIPPED, NORM)), {2: 1})
    clipped = [one * min(1.0, NORM / np.linalg.norm(one)) for one in updates()[:2]]
    assert pairs.evidence[CLIPPED][0] == pytest.approx(word_evidence(*FRAME.parts(np.sum(clipped, 0))), rel=1e-4)


def test_layers_are_clipped_one_by_one():
    layers = (WORDS * WIDTH, 7, WORDS)
    frame = Frame(WORDS, WIDTH, FRAME.num_weights, layers)
    (ones,) = seen((Protection(CLIPPED, NORM),), {1: 1}, frame=frame)
    bias, rows = FRAME.parts(updates()[0])
    bound = NORM / np.sqrt(len(layers))
    expected = word_evidence(*(part * min(1.0, bound / np.linalg.norm(part)) for part in (bias, rows)))
    assert ones.evidence[CLIPPED][0] == pytest.approx(expected, rel=1e-4)


def test_noise_has_the_size_that_it_says_and_is_keyed():
    noise = Protection(DEPLOYMENT, NORM, noise_stddev=100.0), Protection(SIMULATION, NORM, noise_per_phone=50.0)
    (pairs,) = seen(noise, {2: 4})
    for name in (DEPLOYMENT, SIMULATION):  # 50 for each of two phones is 100
        assert pairs.evidence[name][..., 0].std() == pytest.approx(100, rel=0.25)  # 160 draws: 4.5 standard errors
        assert pairs.evidence[name][..., 1].mean() == pytest.approx(100 * np.sqrt(8 / np.pi), rel=0.1)  # chi of 3
        assert len({one[0, 0] for one in pairs.evidence[name]}) == 4
    assert (pairs.evidence[DEPLOYMENT] != pairs.evidence[SIMULATION]).all()
    (again,) = seen(noise, {2: 4})
    (others,) = seen(noise, {2: 4}, whose="others")
    assert (again.evidence[DEPLOYMENT] == pairs.evidence[DEPLOYMENT]).all()
    assert (others.evidence[DEPLOYMENT] != pairs.evidence[DEPLOYMENT]).all()


def plan(**privacy):
    return make_privacy_plan(CohortConfig(goal=20), PrivacyConfig(**privacy), rounds=10, num_phones=1000)


def test_protections_are_those_that_a_plan_has():
    modelled = protections_of(plan(noise_multiplier=2.0, clip_norm=3.0, modelled_cohort=20_000))
    assert [one.name for one in modelled] == [SUM, CLIPPED, SIMULATION, DEPLOYMENT]
    assert [one.clip_norm for one in modelled] == [None, 3.0, 3.0, 3.0]
    assert [one.stddev(20) for one in modelled] == pytest.approx([0, 0, 2 * 3 * 20 / 20_000, 6])
    own = protections_of(plan(noise_multiplier=2.0))
    assert [one.name for one in own] == [SUM, CLIPPED, DEPLOYMENT]
    assert [one.name for one in protections_of(plan(mechanism="none"))] == [SUM, CLIPPED]
    of_the_run = plan(noise_multiplier=2.0, clip_norm=3.0, modelled_cohort=20_000).noise_stddev
    assert modelled[2].stddev(20) == pytest.approx(of_the_run)


def test_a_reader_is_shown_whole_sums_with_noise_on_all_weights_and_the_evidence_stays_as_it_was():
    shown = []
    reader = SimpleNamespace(
        wants=lambda phones, number: (phones, number) == (2, 1), read=lambda *one: shown.append(one)
    )
    protections, most = (Protection(SUM), Protection(CLIPPED, NORM), Protection(DEPLOYMENT, NORM, 0.3)), {1: 2, 2: 3}
    (_, alone), (_, read) = (
        observe(iter(updates()), FRAME, protections, most, seed=0, whose="some", reader=one) for one in (None, reader)
    )
    assert all((alone.evidence[one.name] == read.evidence[one.name]).all() for one in protections)
    assert [(name, phones) for name, phones, _ in shown] == [(SUM, 2), (CLIPPED, 2), (DEPLOYMENT, 2)]
    plain, clipped, noised = (flat for _, _, flat in shown)
    assert plain == pytest.approx(np.sum(updates()[2:4], 0), abs=1e-5)
    assert np.linalg.norm(clipped) < 2 * NORM + 1e-6
    noise = noised - clipped
    for part in (noise[: WORDS * WIDTH], noise[WORDS * WIDTH : -WORDS], noise[-WORDS:]):
        assert 0.05 < np.std(part) < 0.6
    for name, _, flat in shown:
        assert read.evidence[name][1] == pytest.approx(word_evidence(*FRAME.parts(flat)), rel=1e-5)
