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


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf"), "7"])
def test_a_dry_run_needs_days(days):
    with pytest.raises(InputError, match=r"^days: expected numbers > 0, found "):
        studies.dry_run(RunConfig(), days)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"epsilon": float("nan")}, "--epsilon: expected a finite number, found nan"),
        ({"epsilon": 3.0, "cohort": 0}, "--cohort: expected a number >= 1, found 0"),
        ({"epsilon": 3.0, "delta": 2.0}, "--delta: expected a number > 0 and < 1, found 2.0"),
        ({"epsilon": 3.0, "rounds": 2.5}, "--rounds: expected a whole number, found 2.5"),
    ],
)
def test_a_request_is_held_to_its_types_and_bounds(request_, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        studies.plan_privacy(studies.BudgetRequest(**request_))


@pytest.mark.parametrize("epsilons", [[float("nan")], "8", 8, ["8"], [float("inf")]])
def test_a_comparison_is_refused_before_anything_is_written(tmp_path, epsilons):
    with pytest.raises(InputError, match=r"^epsilons: expected numbers > 0, found "):
        studies.compare_mechanisms(tmp_path, RunConfig(), epsilons)
    with pytest.raises(InputError, match=r"^--rounds: expected a whole number"):
        studies.compare_mechanisms(tmp_path, RunConfig(rounds=2.5), [3.0])
    assert not list(tmp_path.iterdir())
