"""What the tables of the report take together."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.flags import parse_simulate, read_config, to_toml
from simulation.report.funnel import funnel_rows, funnel_totals, pace_of_rounds, why_abandoned
from simulation.report.tables import _kernels, changed_settings, simulated_time
from simulation.run.records import RoundRecord
from simulation.world.policies.buffered import BufferedFunnel
from tests.conftest import ROOT
from tests.simulation.run.test_records import BUFFER, COUNTS, record


def settings_of(*flags):
    return changed_settings(parse_simulate(list(flags)).run).rows


def test_of_a_default_run_nothing_differs(tmp_path):
    assert settings_of() == []
    (tmp_path / "config.toml").write_text(to_toml(parse_simulate([]).run))
    assert changed_settings(read_config(tmp_path / "config.toml")).rows == []


@pytest.mark.parametrize("kernel", ["native", "tensorflow"])
def test_the_kernel_that_auto_came_to_is_no_setting_that_differs(kernel):
    assert settings_of("--engine.kernel", kernel) == []


@pytest.mark.parametrize(
    ("kernels", "flags", "said"),
    [
        (["native", "native"], (), "native"),
        (["native", "native", "tensorflow"], (), "native from round 1, tensorflow from round 3"),
        ([None, None], (), "tensorflow, the only one of its version"),
        (["tensorflow"], ("--engine.phones-at-a-time", "4"), "tensorflow, 4 phones at once"),
    ],
)
def test_speed_says_which_kernel_trained(kernels, flags, said):
    lines = [{"round": number, **({"kernel": one} if one else {})} for number, one in enumerate(kernels, 1)]
    facts = SimpleNamespace(
        rounds=lines, config=parse_simulate(list(flags)).run, summary=SimpleNamespace(kernel=kernels[-1])
    )
    assert _kernels(facts) == said


def test_what_differs_stands_beside_its_default():
    assert settings_of("--rounds", "7", "--engine.no-export") == [
        ["rounds", "7", "100"],
        ["engine.export", "no", "yes"],
    ]
    rows = {row[0]: row[1:] for row in settings_of("--privacy.mechanism", "blt", "--privacy.target-epsilon", "4")}
    assert rows["privacy.mechanism"] == ["blt", "gaussian"] and rows["privacy.target_epsilon"] == ["4.0", "not set"]
    assert rows.keys() == {
        "privacy.mechanism",
        "privacy.target_epsilon",
        "privacy.noise_multiplier",
        "privacy.modelled_cohort",
    }


def test_a_setting_of_another_kind_is_held_to_that_kinds_default():
    assert [row[0] for row in settings_of("--cohort.policy", "buffered")] == [
        row[0] for row in settings_of("--cohort.policy", "buffered", "--cohort.max-staleness", "10")
    ]
    rows = settings_of("--cohort.policy", "buffered", "--cohort.max-staleness", "4")
    assert ["cohort.max_staleness", "4", "10"] in rows


@pytest.mark.parametrize("recipe", sorted((ROOT / "configs").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_differs_in_what_it_sets(recipe):
    config = read_config(recipe)
    assert changed_settings(config).rows


counts = st.integers(0, 50)


@given(st.lists(st.tuples(counts, counts, counts, counts, counts, counts), min_size=1, max_size=5))
def test_the_funnel_of_a_run_adds_up(rounds):
    lines = []
    for reported, unused, late, failed, ineligible, upload in rounds:
        numbers = {"reported": reported, "unused": unused, "late": late}
        numbers |= {"dropped_failure": failed, "dropped_ineligible": ineligible, "dropped_upload": upload}
        lines.append({**COUNTS, **numbers, "invited": sum(numbers.values())})
    rows = funnel_rows(funnel_totals(lines))
    invited = sum(line["invited"] for line in lines)
    assert bool(rows) == bool(invited)
    if rows:
        assert rows[0].phones == invited == sum(row.phones for row in rows[1:])
        assert sum(row.share for row in rows[1:]) == pytest.approx(1)


def test_those_still_under_way_are_in_the_funnel_too():
    line = record(funnel=BufferedFunnel(**{**COUNTS, "invited": 40}, **BUFFER)).as_line()
    rows = funnel_rows(funnel_totals([json.loads(json.dumps(line))]))
    assert rows[-1].short == "other" and sum(row.phones for row in rows[1:]) == 40


def test_a_round_that_asked_nobody_plays_no_part():
    asked, nobody = record().as_line(), record(funnel=None, abandoned="nobody was there").as_line()
    assert isinstance(RoundRecord.from_line(nobody), RoundRecord)
    assert funnel_totals([asked, nobody]) == funnel_totals([asked]) and funnel_totals([nobody]) == {}
    assert pace_of_rounds([nobody]) is None and pace_of_rounds([asked, nobody]) == pace_of_rounds([asked])


def test_why_rounds_were_abandoned_is_said_in_words_and_what_differs_in_a_number_only_is_one():
    reasons = [
        "12 reports, minimum 16",
        None,
        "1 report, minimum 16",
        "5 usable updates of 20 reports; a cause",
    ]
    reasons += ["the moon was full", "1,200 phones admitted, goal 2,000", "3 reports, minimum 16"]
    assert why_abandoned([{"abandoned": reason} for reason in reasons]) == [
        ("fewer phones reported in time than the 16 that a round needs (1 to 12)", 3),
        ("too few of the updates that came could be used (5)", 1),
        ("fewer phones were allowed to take part again than the goal of 2,000 (1,200)", 1),
        ("the moon was full", 1),
    ]
    assert why_abandoned([]) == []


@pytest.mark.parametrize(("seconds", "said"), [(30, "0.5 minutes"), (7200, "2.0 hours"), (567_877, "6.6 days")])
def test_a_time_is_said_in_the_unit_that_fits(seconds, said):
    assert simulated_time(seconds) == said


def test_the_seed_and_where_files_lie_are_not_shown():
    assert settings_of("--seed", "918273645", "--rounds", "7") == [["rounds", "7", "100"]]
