import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from simulation.flags import parse_simulate
from simulation.studies import dry_run_report
from simulation.studies.dry_run import model_bytes, prepare_dry_run, run_days
from simulation.studies.dry_run_protection import play_beside_plain
from simulation.studies.dry_run_report import dry_run_summary
from simulation.studies.dry_run_settings import NO_PROTECTION, Protection

HEAVY = Protection(upload_mb=400.0, download_mb=40.0, compute_s=60.0)
DAYS = 0.15


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Of 1,000 phones with the text of 20 people."""
    path = tmp_path_factory.mktemp("people") / "messages.jsonl"
    path.write_text("".join(json.dumps({"user_id": f"u{n % 20}", "text": "see you"}) + "\n" for n in range(200)))
    return parse_simulate(
        [
            *("--data.path", str(path), "--data.cache-dir", str(path.parent / "cache"), "--fleet.size", "1000"),
            *("--cohort.goal", "20", "--cohort.pause-s", "600", "--privacy.mechanism", "none"),
        ]
    ).run


@pytest.fixture(scope="module")
def played(config):
    """Rounds and summary by protection."""

    def play(protection):
        run, cohorts = prepare_dry_run(config, protection=protection)
        run_days(config, run, cohorts, DAYS)
        return run.rounds, dry_run_summary(run, config.cohort)

    return {protection: play(protection) for protection in (NO_PROTECTION, HEAVY)}


def test_the_longer_a_phone_has_to_stay_the_fewer_phones_and_rounds_come_through(played):
    plain, heavy = (played[protection][1] for protection in (NO_PROTECTION, HEAVY))
    assert heavy["rounds_completed_share"] < plain["rounds_completed_share"] == 1
    lost = ("late", "dropped_ineligible")
    assert sum(heavy["outcome_share"][name] for name in lost) > sum(plain["outcome_share"][name] for name in lost)


def test_megabytes_come_on_top_of_the_model_both_ways(config):
    _, cohorts = prepare_dry_run(config, protection=HEAVY)
    work, size = cohorts.timeline._work, model_bytes(config)
    assert (work.model_bytes, work.upload_bytes, work.extra_s) == (size + 40_000_000, size + 400_000_000, 60.0)


@pytest.mark.parametrize("seeds", [1, 2])
def test_it_is_shown_beside_the_same_fleets_without(config, played, tmp_path, seeds, monkeypatch):
    monkeypatch.setattr(dry_run_report, "plot", lambda *_: None)  # half of the time, and drawn in test_dry_run
    said = io.StringIO()
    files = play_beside_plain(
        Console(file=said, width=80), replace(config, output_dir=tmp_path / "out"), DAYS, seeds, HEAVY
    )
    assert files[-1] == tmp_path / "out" / "beside_plain.json" and max(map(len, said.getvalue().splitlines())) <= 80
    found = json.loads((tmp_path / "out" / "beside_plain.json").read_text())
    together = json.loads((tmp_path / "out" / "summary.json").read_text())
    protected = [together] if seeds == 1 else list(together["by_seed"].values())
    assert found["protection"] == {"upload_mb": 400.0, "download_mb": 40.0, "compute_s": 60.0}
    plain = [one["rounds_per_day"] for one in found["plain_by_seed"]]
    own = [one["rounds_per_day"] for one in protected]
    assert (plain[0], own[0]) == tuple(played[p][1]["rounds_per_day"] for p in (NO_PROTECTION, HEAVY))
    rounds = found["figures"]["rounds_per_day"]
    assert len(plain) == len(own) == seeds
    assert rounds["difference"] == pytest.approx((sum(own) - sum(plain)) / seeds)
    assert (rounds["low"] is None) == (rounds["why"] is not None)
    assert seeds > 1 or rounds["why"] == "one seed says nothing of the spread over seeds"
    assert f"{rounds['difference']:+,.1f}" in said.getvalue()


def test_a_fleet_without_a_completed_round_has_no_figures_and_says_why(config, tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run_report, "plot", lambda *_: None)
    rounds = replace(config.cohort.policy_settings, deadline_s=1.0)
    never = replace(config, output_dir=tmp_path / "out", cohort=replace(config.cohort, policy_settings=rounds))
    play_beside_plain(Console(file=io.StringIO(), width=80), never, DAYS, 1, HEAVY)
    found = json.loads((tmp_path / "out" / "beside_plain.json").read_text())["figures"]["round_s.p50"]
    assert found == {"plain": None, "protected": None, "difference": None, "why": "not every fleet has a value"}


def test_negative_costs_are_refused(script_here):
    done = script_here("fleet_dry_run.py", "--protection.upload-mb", "-1")
    assert (
        done.returncode == 2
        and done.stderr == "error: --protection.upload-mb: expected a number >= 0 and <= 100000, found -1.0\n"
    )


def test_steps_that_have_costs_of_their_own_are_not_protected_twice(script_here):
    done = script_here("fleet_dry_run.py", "--protection.upload-mb", "1", "--aggregation.protocol", "arithmetic")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: --protection: expected only without --aggregation.protocol, whose steps")
