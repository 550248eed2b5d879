"""What releases cost that were made again, against the dense matrix of every row that was ever released."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.ledger import (
    Binding,
    ParticipationLog,
    PrivacyLedger,
    privacy_after,
    privacy_spent,
    recompute,
)
from server_strategy.privacy.ledger_paths import given_up, lines_after, way_to
from server_strategy.privacy.participation_log import most_rho
from tests.server_strategy.privacy.mechanisms.dense import CASES, encoder, make, tree_rows
from tests.server_strategy.privacy.test_ledger import plan

PHONES, ROUNDS = 5, 8


def rows_of(mechanism, rounds):
    """The rows of C that each release draws noise for: a list for each release."""
    if mechanism.name != "tree":
        return [[row] for row in encoder(mechanism, rounds)]
    found = [[] for _ in range(rounds)]
    for row, (release, _) in tree_rows(rounds, mechanism.restart_every or rounds):
        found[release].append(row)
    return found


def dense_cost(mechanism, entries, phones):
    """The squared change of all rows of all lines by the phone that changes them most."""
    rows, most = rows_of(mechanism, ROUNDS), 0.0
    for phone in range(PHONES):
        cost = 0.0
        for line in range(1, len(entries)):
            sent = np.zeros(ROUNDS)
            for one in way_to(entries, line):
                sent[entries[one]["release"] - 1] = phone in phones[one]
            cost += sum(float(row @ sent) ** 2 for row in rows[entries[line]["release"] - 1])
        most = max(most, cost)
    return most


def played(mechanism, seed, path=None, share=0.4):
    """(ledger, phones by line, what was spent with the last line) of a run that goes back now and then."""
    rng = np.random.default_rng(seed)
    own = plan(mechanism=mechanism, noise_multiplier=1.3, rounds=ROUNDS, min_separation_rounds=1, max_participations=8)
    ledger, phones, labels = PrivacyLedger(own, path), [[]], np.arange(PHONES, dtype=np.uint64)
    spent, last = None, 0.0
    while len(phones) < 14:
        entries = ledger._entries
        if entries[ledger.head]["release"] == ROUNDS or rng.random() < 0.3:
            ledger.go_on_after(*back(entries, rng))
        log, release = ledger.participation(labels), entries[ledger.head]["release"] + 1
        present = np.flatnonzero(rng.random(PHONES) < share)
        spent = privacy_after(own, log, release, present, ledger.beside(lambda: labels, None))
        ledger.record(1, labels[present], spent, Binding(rng.bytes(32).hex(), rng.bytes(32).hex()))
        phones.append(present)
        assert spent.zcdp_rho >= last * (1 - 1e-12)  # what is spent stays spent
        last = spent.zcdp_rho
    return ledger, phones, spent


def back(entries, rng):
    head = int(rng.integers(0, max(len(entries) - 1, 1)))
    while entries[head]["release"] == ROUNDS:
        head -= 1
    return entries[head]["release"], head


@given(st.sampled_from(CASES), st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_never_less_than_the_dense_computation(case, seed):
    mechanism = make(case[0], **case[1], rounds=ROUNDS, b=1, k=8)
    ledger, phones, spent = played(mechanism, seed)
    dense = gaussian_rho(1.3, dense_cost(mechanism, ledger._entries, phones))
    assert spent.zcdp_rho >= dense * (1 - 1e-12)
    if mechanism.independent:
        assert spent.zcdp_rho == pytest.approx(dense)  # and no more


@pytest.mark.parametrize("case", CASES)
def test_the_file_alone_gives_the_same_cost(case, tmp_path):
    mechanism = make(case[0], **case[1], rounds=ROUNDS, b=1, k=8)
    ledger, _, spent = played(mechanism, 3, tmp_path / "l")
    assert recompute(tmp_path / "l", spent.releases, line=ledger.head) == spent.__dict__
    assert spent.repeated_releases == 13 - spent.releases > 3


def test_the_dense_computation_of_one_way_is_the_mechanisms_own():
    """What this is held against is right: without a way back it is the squared sensitivity."""
    mechanism = make("blt", rounds=ROUNDS, b=1, k=8)
    entries = [{"release": release} for release in range(ROUNDS + 1)]
    phones = [[], *([0] for _ in range(ROUNDS))]
    assert dense_cost(mechanism, entries, phones) == pytest.approx(mechanism.sensitivity_squared(ROUNDS, 1, 8))


def test_ways_through_a_tree_of_lines():
    follows = [None, 0, 1, 2, 1, 4, 0]
    entries = [{"release": 0}] + [{"release": 0, "follows": f} for f in follows[1:]]
    assert way_to(entries, 5) == [1, 4, 5] and way_to(entries, 0) == [] and way_to(entries, 6) == [6]
    assert lines_after(entries, 1) == {2, 3, 4, 5} and lines_after(entries, 0) == set(range(1, 7))


def test_a_phone_in_no_line_costs_nothing():
    ledger, log = PrivacyLedger(plan()), ParticipationLog(3)
    spent = privacy_after(plan(), log, 1, np.zeros(0, np.int64), ledger.beside(lambda: np.zeros(3, np.uint64), None))
    assert spent.zcdp_rho == 0 and spent.repeated_releases == 0


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("pays_again", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_keeps_its_plan_comes_to_no_more_than_the_most(case, pays_again, seed):
    """From wherever it goes on, if all that follows is made again, or what is one way alone comes out the same."""
    rng, ledger = np.random.default_rng(seed), played(make(case[0], **case[1], rounds=ROUNDS, b=1, k=8), seed)[0]
    entries, labels = ledger._entries, np.arange(PHONES, dtype=np.uint64)
    ledger.go_on_after(*back(entries, rng))
    after, beside = lines_after(entries, ledger.head), {"everything": pays_again, "one_way_again": True}
    counted = given_up(entries, ledger.head, **beside)
    most = most_rho(ledger.plan, ledger.beside(lambda: labels, ledger.head, **beside))
    if not pays_again and after <= set(way_to(entries, max(after, default=0))):
        ledger.head = max(after, default=ledger.head)
    while (release := entries[ledger.head]["release"] + 1) <= ROUNDS:
        log, present = ledger.participation(labels), np.flatnonzero(rng.random(PHONES) < 0.9)
        spent = privacy_after(ledger.plan, log, release, present, ledger.beside(lambda: labels, None))
        ledger.record(1, labels[present], spent, Binding(rng.bytes(32).hex(), rng.bytes(32).hex()))
    over = ledger.beside(lambda: labels, ledger.head, everything=True)
    assert privacy_spent(ledger.plan, ledger.participation(labels), ROUNDS, over).zcdp_rho <= most * (1 + 1e-12)
    assert (most > ledger.plan.zcdp_rho) == bool(counted)
