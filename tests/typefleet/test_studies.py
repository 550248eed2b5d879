"""The studies from Python answer what their scripts answer."""

import pytest

from server_strategy.privacy.budget import solve
from typefleet import CohortConfig, ConfigError, FleetConfig, RunConfig, studies
from typefleet.errors import InputError


def test_a_plan_is_that_of_the_budget():
    request = studies.BudgetRequest(noise_multiplier=2.0, cohort=50, rounds=100, min_separation_rounds=20, delta=1e-7)
    assert studies.plan_privacy(request).epsilon == pytest.approx(solve(request).epsilon)
    with pytest.raises(InputError):
        studies.plan_privacy(studies.BudgetRequest())


def test_a_dry_run_plays_the_days_asked_for():
    config = RunConfig(fleet=FleetConfig(size=400), cohort=CohortConfig(goal=5, min_separation_rounds=2))
    one, two = (studies.dry_run(config, days) for days in (0.5, 2.0))
    assert 0 < one["rounds_completed"] < two["rounds_completed"]


def test_files_that_are_no_runs_or_traces_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected"):
        studies.fit_fleet(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="expected"):
        studies.export(tmp_path)
    with pytest.raises(ConfigError, match="expected"):
        studies.personalise(tmp_path)


def test_a_comparison_needs_epsilons(tmp_path):
    for epsilons in ([], [3.0, 0.0]):
        with pytest.raises(ConfigError, match="epsilons: expected numbers > 0"):
            studies.compare_mechanisms(tmp_path, RunConfig(), epsilons)
    assert not list(tmp_path.iterdir())
