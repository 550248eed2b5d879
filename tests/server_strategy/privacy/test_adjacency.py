"""What a phone changes, in updates and in the count of shorter ones, held against dense matrices and all it can do."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.adjacency import COUNT_SENSITIVITY
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.ledger import ParticipationLog, PrivacyLedger, privacy_spent, recompute
from server_strategy.privacy.ledger_lines import chained
from server_strategy.privacy.ledger_reading import charged_more
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.planning import make_privacy_plan
from tests.server_strategy.privacy.mechanisms.dense import PRIVATE, encoder
from typefleet.errors import InputError

ROUNDS, SEPARATION, MOST = 12, 4, 3
BOTH = ["zero-out", "add-or-remove"]


def make(mechanism="gaussian", adjacency="zero-out", goal=50, rounds=ROUNDS, separation=SEPARATION, **privacy):
    cohort = CohortConfig(goal=goal, min_separation_rounds=separation)
    settings = {"noise_multiplier": 1.0, "clip_quantile": 0.5, "adjacency": adjacency} | privacy
    return make_privacy_plan(cohort, PrivacyConfig(mechanism, **settings), rounds=rounds, num_phones=2000)


def of_before(plan):
    """The same plan as earlier versions made it: the count charged by 1/2, and no word of adjacency."""
    z, count = plan.noise_multiplier, plan.adaptive.count_stddev
    split = (z**-2 - (0.5 / count) ** 2) ** -0.5
    return replace(plan, adaptive=replace(plan.adaptive, update_noise_multiplier=split, update_noise_stddev=split))


def worst_of_one_phone(plan, adjacency):
    """Largest cost over all rounds in which one phone may take part, and over what it may send in each of them.

    Its update is short (half a clip norm, which counts +1/2) or long (clipped to the whole, -1/2); the neighbour has
    zero in its place, which is short, or nothing at all.
    """
    matrix = encoder(plan.mechanism, ROUNDS)
    without = 0.5 if adjacency == "zero-out" else 0.0
    sent = [(0.5, 0.5 - without), (1.0, -0.5 - without)]
    worst = 0.0
    for taking_part in itertools.product([0, 1], repeat=ROUNDS):
        rounds = np.flatnonzero(taking_part)
        if not 0 < len(rounds) <= MOST or (np.diff(rounds) < SEPARATION).any():
            continue
        for choice in itertools.product(sent, repeat=len(rounds)):
            update, count = np.zeros(ROUNDS), np.zeros(ROUNDS)
            update[rounds], count[rounds] = zip(*choice, strict=True)
            of_updates = np.sum((matrix @ update / plan.adaptive.update_noise_multiplier) ** 2)
            of_count = np.sum((matrix @ count / plan.adaptive.count_stddev) ** 2)
            worst = max(worst, (of_updates + of_count) / 2)
    return worst


@pytest.mark.parametrize("adjacency", BOTH)
@pytest.mark.parametrize("mechanism", PRIVATE)
def test_the_charge_is_the_worst_that_one_phone_can_do(mechanism, adjacency):
    plan = make(mechanism, adjacency, clip_count_stddev=1.7)
    assert plan.zcdp_rho == pytest.approx(worst_of_one_phone(plan, adjacency), rel=1e-9)
    assert plan.charged_more is None


@pytest.mark.parametrize("adjacency", BOTH)
def test_five_participations_at_noise_multiplier_1_cost_what_they_say(adjacency):
    plan = make(adjacency=adjacency, rounds=50, separation=10)
    split = plan.adaptive
    spent = split.update_noise_multiplier**-2 + (COUNT_SENSITIVITY[adjacency] / split.count_stddev) ** 2
    assert plan.zcdp_rho == 2.5 == pytest.approx(5 * spent / 2)
    assert split.count_stddev == (4.0 if adjacency == "zero-out" else 2.5)
    assert split.update_noise_multiplier**-2 >= 15 / 16 - 1e-12


@pytest.mark.parametrize(("count_stddev", "rho"), [(2.5, 2.8), (0.55, 8.70)])
def test_a_ledger_of_before_is_charged_by_what_the_count_changes(count_stddev, rho, tmp_path):
    plan = make(rounds=50, separation=10)
    old = of_before(replace(plan, adaptive=replace(plan.adaptive, count_stddev=count_stddev)))
    on_record = {name: value for name, value in old.to_json().items() if name != "adjacency"}
    found = PrivacyPlan.from_json(json.loads(json.dumps(on_record)))
    assert found.adjacency == "zero-out" and found.zcdp_rho == pytest.approx(rho, abs=0.005)
    said = found.charged_more
    assert "charges the clip count by 1/2" in said and f"rho is {str(rho / 2.5)[:3]}" in said
    assert replace(found, adjacency="add-or-remove").zcdp_rho == 2.5

    ledger, log = PrivacyLedger(old, tmp_path / "l"), ParticipationLog(1)
    log.record(1, np.array([0]))
    ledger.record(1, np.array([7], np.uint64), privacy_spent(old, log, 1))
    assert recompute(tmp_path / "l", 1)["zcdp_rho"] == pytest.approx(rho / 5, abs=0.001)
    assert charged_more(tmp_path / "l") == old.charged_more


def test_a_run_without_the_field_on_record_goes_on(tmp_path):
    plan = make(clip_quantile=None)
    PrivacyLedger(plan, tmp_path / "l")
    text = (tmp_path / "l").read_text()
    assert '"adjacency": "zero-out"' in text
    body = {k: v for k, v in json.loads(text).items() if k not in ("previous", "hash")}
    del body["plan"]["adjacency"]
    (tmp_path / "l").write_text(json.dumps(chained(body, ""), sort_keys=True) + "\n")
    assert PrivacyLedger(plan, tmp_path / "l").plan == plan
    with pytest.raises(ValueError, match="expected the plan of this run"):
        PrivacyLedger(replace(plan, adjacency="add-or-remove"), tmp_path / "l")


@pytest.mark.parametrize(
    "wrong", [{"adjacency": "replace-one"}, {"adjacency": 3}, {"adaptive": {"update_noise_multiplier": None}}]
)
def test_what_no_plan_has_is_refused(wrong):
    values = make().to_json()
    if "adaptive" in wrong:
        wrong = {"adaptive": values["adaptive"] | wrong["adaptive"]}
    with pytest.raises(ValueError, match="the plan on record: expected the plan of a run"):
        PrivacyPlan.from_json(values | wrong)


@pytest.mark.parametrize("least", [1e-200, 5e-324])
def test_a_plan_that_nobody_made_is_charged_for_without_an_error_of_arithmetic(least):
    plan = make()
    forged = replace(plan, adaptive=replace(plan.adaptive, update_noise_multiplier=least))
    assert "times what the run said" in forged.charged_more
    with pytest.raises(InputError, match="noise multiplier: expected a noise whose cost"):
        forged.rho_of(1, 1, 1)


def test_a_fixed_clip_norm_costs_the_same_under_both():
    costs = [make(adjacency=adjacency, clip_quantile=None).zcdp_rho for adjacency in BOTH]
    assert costs == [gaussian_rho(1.0, MOST)] * 2


@pytest.mark.parametrize("stddev", [1e-300, 5e-324])
def test_a_count_with_next_to_no_noise_is_refused_in_words(stddev):
    with pytest.raises(InputError, match=r"--privacy\.clip-count-stddev: expected a number > 1"):
        make(clip_count_stddev=stddev)


@pytest.mark.parametrize("name", ["goal", "population", "modelled_cohort"])
def test_a_plan_of_no_phones_is_none(name):
    values = make(modelled_cohort=1000).to_json()
    assert PrivacyPlan.from_json(values).goal == 50
    with pytest.raises(InputError, match="no phones in a cohort or in the population"):
        PrivacyPlan.from_json(values | {name: 0})
