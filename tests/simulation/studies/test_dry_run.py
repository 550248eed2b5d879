"""A dry run is the timeline of a real run, and its report adds up."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from client_model.config import DataConfig
from simulation.clock import DAY_S
from simulation.config import RunConfig
from simulation.flags import parse_simulate
from simulation.studies import dry_run_report
from simulation.studies.dry_run import prepare_dry_run, run_days, tokens_of_phones
from simulation.studies.dry_run_report import dry_run_summary, play_and_report, write_report
from simulation.studies.dry_run_seeds import print_stops, summary_of_seeds
from simulation.world.config import FleetConfig
from tests.heard_steps import Heard
from tests.server_strategy.test_funnel import COUNTS
from typefleet import studies
from typefleet.errors import ConfigError
from typefleet.steps import heard_by

SETTINGS = ("--fleet.size", "4000", "--cohort.goal", "40", "--privacy.mechanism", "none")


def played(*flags, days=3.0):
    pause = () if "buffered" in flags else ("--cohort.pause-s", "1200")
    config = parse_simulate([*SETTINGS, *pause, *flags]).run
    run, cohorts = prepare_dry_run(config)
    run_days(config, run, cohorts, days)
    return config, run


@pytest.mark.parametrize("policy", ["synchronous", "deadline", "buffered"])
def test_the_report_adds_up(policy, tmp_path):
    config, run = played("--cohort.policy", policy)
    summary = json.loads(json.dumps(dry_run_summary(run, config.cohort)))
    assert summary["rounds_completed"] + summary["rounds_abandoned"] == len(run.rounds)
    assert summary["rounds_completed"] == run.releases > 50
    in_flight = run.rounds[-1].as_line().get("in_flight", 0) / summary["invited"]
    assert sum(summary["outcome_share"].values()) == pytest.approx(1 - in_flight)
    assert summary["participation"]["updates"] == sum(r.funnel.reported for r in run.rounds if r.abandoned is None)
    assert summary["min_separation_rounds"] >= config.cohort.min_separation_rounds
    assert summary["max_participations"] <= -(-run.releases // config.cohort.min_separation_rounds)
    for hours in summary["hours"].values():
        assert sum(hours["invited"]) == summary["invited"]
    for grouping in {row["grouping"] for row in summary["by_group"]}:
        rows = [row for row in summary["by_group"] if row["grouping"] == grouping]
        assert sum(row["share_of_phones"] for row in rows) == pytest.approx(1)
        assert sum(row["share_of_updates"] for row in rows) == pytest.approx(1)
    paths = write_report(tmp_path, run, summary, "a title")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)
    assert (tmp_path / "fleet.png").read_bytes().startswith(b"\x89PNG")
    phones = [int(line.split(",")[1]) for line in (tmp_path / "participations.csv").read_text().splitlines()[1:]]
    assert sum(phones) == run.fleet.may_train.sum()
    lines = [json.loads(line) for line in (tmp_path / "rounds.jsonl").read_text().splitlines()]
    assert {"round", "completed", "abandoned", "tokens", *COUNTS} <= set(lines[0])
    assert ("in_flight" in lines[0]) == (policy == "buffered")


def test_it_says_how_far_a_file_is_read(tmp_path):
    path, heard = tmp_path / "m.jsonl", Heard()
    path.write_text("".join(json.dumps({"user_id": f"u{n % 900}", "text": "see you"}) + "\n" for n in range(2000)))
    data = DataConfig(path=path, cache_dir=tmp_path / "cache")
    with heard_by(heard):
        prepare_dry_run(replace(RunConfig(), data=data))
    assert heard.names == ["reading m.jsonl"] and len(heard.moves) == 2000 // 512


def test_the_curve_of_eligible_phones_is_that_of_the_fleet():
    _, run = played(days=2.0)
    assert run.days_looked_at == 2
    shares = [len(run.fleet.availability.eligible_until(t)[0]) for t in np.arange(0, 2 * DAY_S, 1800) + 900]
    assert run.by_utc_hour.eligible.sum() / 48 == pytest.approx(np.mean(shares), rel=0.08)
    assert run.by_local_hour.eligible.sum() == run.by_utc_hour.eligible.sum()


def test_a_fleet_where_nothing_can_happen_has_nulls_and_a_page_all_the_same(tmp_path):
    config, run = played(
        *("--fleet.never-eligible-share", "0.999999", "--cohort.selection-timeout-s", "20000"), days=1.0
    )
    summary = dry_run_summary(run, config.cohort)
    assert summary["rounds_completed"] == 0 and summary["rounds_abandoned"] > 0
    assert summary["round_s"] is None and summary["participation"]["gini"] is None
    write_report(tmp_path, run, summary, "nobody")


def test_it_is_seeded():
    (_, a), (_, b), (_, c) = played(days=1.0), played(days=1.0), played("--seed", "9", days=1.0)
    assert a.rounds == b.rounds and a.rounds != c.rounds


def test_with_several_seeds_each_figure_has_students_interval_and_each_fleet_its_folder(tmp_path):
    config = replace(parse_simulate([*SETTINGS, "--cohort.pause-s", "1200"]).run, output_dir=tmp_path / "out")
    said = io.StringIO()
    files = play_and_report(Console(file=said, width=80), config, days=0.3, seeds=2)
    assert all(path.exists() for path in files)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("config.toml", "seed-0", "seed-1", "summary.json")
    ]
    each = [json.loads((tmp_path / "out" / f"seed-{seed}" / "summary.json").read_text()) for seed in range(2)]
    together = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert together["seeds"] == [0, 1] and list(together["by_seed"].values()) == each
    for name, values in (
        ("rounds_per_day", [one["rounds_per_day"] for one in each]),
        ("round_s.p50", [one["round_s"]["p50"] for one in each]),
        ("participation.gini", [one["participation"]["gini"] for one in each]),
    ):
        low, high = stats.t.interval(0.95, 1, np.mean(values), stats.sem(values))
        assert together["intervals"][name] == pytest.approx({"mean": np.mean(values), "low": low, "high": high})
    in_words = " ".join(said.getvalue().split())
    assert "over 2 seeds, 0 to 1, each another fleet: that wide because of two seeds" in in_words
    assert max(map(len, said.getvalue().splitlines())) <= 80


@pytest.mark.parametrize("was_there", [True, False])
def test_what_is_interrupted_before_a_fleet_was_played_leaves_no_folder(tmp_path, was_there, monkeypatch):
    folder = tmp_path / "out"
    if was_there:
        folder.mkdir()

    def interrupted(*_):
        assert (folder / "config.toml").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(dry_run_report, "run_days", interrupted)
    config = replace(parse_simulate([*SETTINGS]).run, output_dir=folder)
    with pytest.raises(KeyboardInterrupt):
        play_and_report(Console(file=io.StringIO()), config, days=0.1, seeds=2)
    assert folder.exists() == was_there and not [*tmp_path.glob("out/*")]


def test_one_seed_has_no_interval_and_says_why():
    summary = studies.dry_run(parse_simulate([*SETTINGS, "--cohort.pause-s", "1200"]).run, days=0.2)
    assert (summary["seeds"], summary["intervals"]) == ([0], None) and "one seed" in summary["why_no_intervals"]
    assert summary["rounds_completed_share"] == 1.0
    with pytest.raises(ConfigError, match="seeds: expected a whole number >= 1, found 0"):
        studies.dry_run(RunConfig(), days=1, seeds=0)


def test_a_figure_that_a_seed_lacks_has_no_interval_and_says_why():
    found = summary_of_seeds(
        [{"a": 1.0, "b": {"p50": None}, "by_group": []}, {"a": 2, "b": None, "by_group": []}], [4, 5]
    )
    assert found["intervals"]["a"]["mean"] == 1.5
    assert found["intervals"]["b.p50"] == {"mean": None, "low": None, "high": None, "why": "not every seed has a value"}


def test_tokens_follow_the_population():
    tokens = tokens_of_phones(RunConfig(fleet=FleetConfig(size=20_000)), 20_000)
    assert 0 < np.median(tokens) < 1000 and len(np.unique(tokens)) > 100
    np.testing.assert_array_equal(tokens[:50], tokens_of_phones(RunConfig(), 50))


def test_it_says_at_which_round_a_run_would_stop():
    flags = ("--cohort.goal", "60", "--fleet.size", "300", "--cohort.max-abandoned-in-a-row")
    (config, run), (_, patient) = played(*flags, "3", days=1.0), played(*flags, "1000", days=1.0)
    why = "".join("x" if one.abandoned else "." for one in run.rounds)
    summary, said = dry_run_summary(run, config.cohort), io.StringIO()
    assert summary["would_stop_at_round"] == why.index("xxx") + 3
    assert patient.rounds == run.rounds and patient.would_stop_at(1000) is None
    print_stops(Console(file=said, width=200), [summary, {"would_stop_at_round": None}], config.cohort)
    assert f"stop at round {summary['would_stop_at_round']}, 1 of 2 fleets: 3 in a row" in said.getvalue()
