"""Whether a fleet has phones enough: what cannot go on is refused, and what will not is said."""

import re
from dataclasses import replace

import pytest

from server_strategy.config import CohortConfig
from server_strategy.privacy.ledger import ParticipationLog
from simulation.flags import parse_simulate
from simulation.run import sustained
from simulation.run.accepted_input import accept_input
from simulation.run.preparation import prepare
from simulation.run.sustained import require_phones_enough, too_few_phones
from typefleet.errors import ConfigError


def accepted(*flags):
    return accept_input(parse_simulate([str(flag) for flag in flags]).run)


def refusal(*flags):
    with pytest.raises(ConfigError) as error:
        require_phones_enough(accepted(*flags))
    assert "\n" not in str(error.value)
    return str(error.value)


def warning(*flags):
    return too_few_phones(prepare(parse_simulate([str(flag) for flag in flags]).run))


def rounds_at_most(phones, reports, apart, limit):
    """Releases if every phone is there at every moment: nothing that happens can make more."""
    log, releases = ParticipationLog(phones), 0
    while releases < 60:
        free = log.may_participate(releases + 1, apart, limit).nonzero()[0]
        if len(free) < reports:
            return releases
        releases += 1
        log.record(releases, free[:reports])
    return releases


@pytest.mark.parametrize("rounds", [1, 3, 7, 30])
@pytest.mark.parametrize("apart", [1, 5, 20])
@pytest.mark.parametrize("share", [0.3, 0.8, 1.0])
def test_what_is_refused_could_not_go_on_and_what_is_not_could(rounds, apart, share):
    start = accepted("--fleet.size", 300, "--rounds", rounds, "--cohort.min-separation-rounds", apart)
    phones = int(start.fleet.may_train[start.training_phones].sum())
    assert phones < len(start.training_phones)  # some have too little memory
    for goal in {*range(1, phones, 13), phones // apart, phones // apart + 1}:
        cohort = replace(start.config.cohort, goal=goal, minimum_report_share=share)
        could = rounds_at_most(phones, cohort.minimum_reports, apart, 10**9) >= rounds
        now = replace(start, config=replace(start.config, cohort=cohort))
        if could:
            require_phones_enough(now)
        else:
            with pytest.raises(ConfigError, match=r"--cohort\.goal: expected at most"):
                require_phones_enough(now)


def test_the_line_names_the_largest_goal_that_is_let_pass_and_settings_that_do():
    line = refusal("--cohort.goal", 100)
    most = int(re.search(r"expected at most (\d+) ", line).group(1))
    require_phones_enough(accepted("--cohort.goal", most))
    assert f"expected at most {most} " in refusal("--cohort.goal", most + 1)
    ways = re.findall(r"(--[\w.-]+) (\d+)", line.partition(";")[2])
    assert [name for name, _ in ways] == ["--cohort.goal", "--cohort.min-separation-rounds", "--fleet.size"]
    for way in ways:
        assert warning("--cohort.goal", 100, *way) is None


@pytest.mark.parametrize("share", [0.07, 0.14, 0.57, 0.8])
def test_the_largest_goal_is_exact_where_a_quotient_is_rounded(share):
    cohort = CohortConfig(minimum_report_share=share)
    for reports in range(300):
        most = sustained._largest_goal(cohort, reports)
        assert replace(cohort, goal=most).minimum_reports <= reports < replace(cohort, goal=most + 1).minimum_reports


def test_where_no_phone_has_memory_enough_that_is_said():
    line = refusal("--fleet.size", 300, "--fleet.memory-floor-gb", 99)
    assert line.startswith("--fleet.memory-floor-gb: expected what some training phone has, found 99, which none of 27")


def test_a_limit_on_participations_counts():
    line = refusal("--cohort.goal", 20, "--cohort.max-participations", 1)
    least = int(re.search(r"--cohort.max-participations: expected at least (\d+) ", line).group(1))
    assert least == 2
    require_phones_enough(accepted("--cohort.goal", 20, "--cohort.max-participations", least))


def test_rounds_that_a_budget_may_end_early_are_let_pass():
    flags = ("--cohort.goal", 100, "--privacy.noise-multiplier", 1, "--privacy.target-epsilon")
    require_phones_enough(accepted(*flags, 6))
    assert "--cohort.goal" in refusal(*flags, 1000)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), None),
        (("--cohort.goal", 40, "--cohort.min-separation-rounds", 5), None),
        (("--cohort.goal", 30), "more rounds are abandoned"),
        (("--cohort.goal", 40, "--cohort.max-abandoned-in-a-row", 20), "stop for want of phones after"),
        (
            ("--cohort.goal", 60, "--cohort.policy", "buffered", "--cohort.max-abandoned-in-a-row", 5),
            "stop for want of",
        ),
    ],
)
def test_a_run_whose_phones_will_run_out_is_told(flags, said):
    line = warning(*flags)
    assert line is None if said is None else said in line and "\n" not in line


def test_of_a_large_fleet_it_is_only_said_that_it_may_be_so(monkeypatch):
    monkeypatch.setattr(sustained, "_PLAYED_PHONES", 1000)
    assert "rounds may lack phones" in warning("--cohort.goal", 40)
    assert warning() is None
