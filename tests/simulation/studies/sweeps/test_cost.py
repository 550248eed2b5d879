"""What tuning cost: every run counts, and what cannot be counted is said."""

import numpy as np
import pytest

from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.ledger import ParticipationLog, PrivacyLedger, privacy_spent
from server_strategy.privacy.selection import epsilon_of_the_best_of
from server_strategy.privacy.vocabulary_cost import vocabulary_cost
from simulation.studies.sweeps.cost import tuning_cost
from tests.server_strategy.privacy.test_ledger import ROUNDS, plan, play


def unfinished_run(folder, releases=None, mechanism="gaussian"):
    """A run that was stopped, with a ledger of so many lines; None for none."""
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f'[privacy]\nmechanism = "{mechanism}"\n')
    if releases is not None:
        play(PrivacyLedger(plan(), folder / "privacy_ledger.jsonl"), plan(), ROUNDS[:releases])


def test_what_an_unfinished_run_has_spent_counts(tmp_path):
    unfinished_run(tmp_path / "trials/0000/seed-0", 2)
    unfinished_run(tmp_path / "trials/0000/seed-1")
    cost = tuning_cost(tmp_path, 1, 2)
    assert cost.why_not == "no run has finished" and cost.runs == 2 and not cost.without_privacy


def test_a_run_without_a_mechanism_is_one_without_privacy(tmp_path):
    unfinished_run(tmp_path / "trials/0000/seed-0", mechanism="none")
    assert tuning_cost(tmp_path, 1, 1).why_not == "1 of 1 runs had no privacy"


@pytest.mark.parametrize("content", [b"secret", b"{}\n"])
def test_a_ledger_that_cannot_be_read_is_said(content, tmp_path):
    unfinished_run(tmp_path / "trials/0000/seed-0")
    (tmp_path / "trials/0000/seed-0/privacy_ledger.jsonl").write_bytes(content)
    cost = tuning_cost(tmp_path, 1, 1)
    assert cost.epsilon is None and "privacy_ledger.jsonl" in cost.why_not and "secret" not in cost.why_not


def test_private_vocabularies_add_their_part_to_delta(tmp_path, monkeypatch):
    words = vocabulary_cost(1.0, 1e-6, 200)
    for name in ("seed-0", "seed-1"):
        folder = tmp_path / "trials/0000" / name
        unfinished_run(folder)
        PrivacyLedger(plan(vocabulary=words), folder / "privacy_ledger.jsonl").record(
            1, np.arange(3, dtype=np.uint64), privacy_spent(plan(vocabulary=words), ParticipationLog(3), 1)
        )
    spent = {"zcdp_rho": 0.5, "delta": 1e-6}
    monkeypatch.setattr(
        "simulation.studies.sweeps.cost._spent", lambda run: (spent, "this run")
    )  # as of runs that have finished
    cost = tuning_cost(tmp_path, 1, 2)
    assert cost.rho == 1.0 and cost.epsilon == epsilon_by_rdp(1.0, 1e-6)
    assert cost.delta == pytest.approx(1e-6 + 2 * words.delta) and words.delta > 0


def test_choosing_costs_what_the_seeds_of_one_setting_cost():
    each = 0.5
    assert epsilon_of_the_best_of(3 * each, 6, 1e-6) > epsilon_of_the_best_of(each, 6, 1e-6)
    assert np.isfinite(epsilon_by_rdp(3 * each, 1e-6))
