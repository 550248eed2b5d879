"""The fleet's scripts as a user meets them: what they print, what they refuse, what they leave."""

import json

import pytest

from simulation.studies import fleet_fit
from tests.conftest import REAL_DATA

INTERVALS = "device_id,start_s,end_s\n" + "".join(
    f"d{d},{day * 86400 + 3600 * d},{day * 86400 + 3600 * d + 7200}\n" for d in range(12) for day in range(3)
)


def trace(folder, text=INTERVALS):
    path = folder / "t.csv"
    path.write_text(text)
    return path


def test_a_dry_run_on_a_trace(script_here, tmp_path):
    folder = tmp_path / "out"
    done = script_here(
        *("fleet_dry_run.py", "--fleet.trace", trace(tmp_path), "--fleet.size", 500, "--cohort.goal", 5),
        *("--days", 1, "--cohort.min-separation-rounds", 2, "--output-dir", folder),
    )
    assert done.returncode == 0, done.stderr
    assert "rounds a second" in done.stdout and "device" in done.stdout
    assert {p.name for p in folder.iterdir()} == {
        *("config.toml", "summary.json", "rounds.jsonl", "participations.csv", "fleet.png")
    }
    assert json.loads((folder / "summary.json").read_text())["rounds_completed"] > 10


BAD = {
    "no days": (["fleet_dry_run.py", "--days", "0"], "--days: expected a number > 0 and <= 3660, found 0.0"),
    "a typo": (["fleet_dry_run.py", "--cohort.gaol", "5"], "--cohort.gaol: expected a flag that --help lists"),
    "no trace": (["fleet_dry_run.py", "--fleet.trace", "none.csv"], "none.csv: expected a trace, found no such file"),
    "what only training needs": (
        ["price_vocabulary.py", "--rounds", "5"],
        "--rounds: expected only for a run that trains",
    ),
    "idle phones of intervals": (
        ["fit_fleet.py", "{bad}", "--idle", "locked"],
        "--idle: expected only with events of FLASH",
    ),
    "goal": (
        ["fleet_dry_run.py", "--fleet.size", "19"],
        "--cohort.goal: expected a number <= --fleet.size = 19, found 20",
    ),
    "memory floor": (
        ["fleet_dry_run.py", "--fleet.memory-floor-gb", "99"],
        "--cohort.goal: expected a number <= the 0 training phones with --fleet.mem",
    ),
    "staleness": (
        ["simulate.py", "--cohort.policy", "buffered", "--cohort.staleness-exponent", "11"],
        "--cohort.staleness-exponent: expected a number >= 0 and <= 10, found 11",
    ),
    "coverage alone": (
        ["fleet_dry_run.py", "--fleet.trace-coverage", "c.csv"],
        "--fleet.trace-coverage: expected only with --fleet.availability recorded",
    ),
    "a bad row": (
        ["fleet_dry_run.py", "--fleet.trace", "{bad}"],
        "bad.csv:3: expected end_s > start_s, found one that is not",
    ),
    "a bad row, real run": (
        ["simulate.py", "--fleet.trace", "{bad}"],
        "bad.csv:3: expected end_s > start_s, found one that is not",
    ),
    "too short": (["fleet_dry_run.py", "--fleet.trace", "{short}"], "expected a device observed for a day or longer"),
    "clusters": (
        ["simulate.py", "--fleet.other-best-local-hours", "13"],
        "--fleet.other-best-local-hour-shares: expected 1 numbers",
    ),
    "nothing to fit": (["fit_fleet.py", "none.csv"], "none.csv: expected a trace, found no such file"),
    "held out": (
        ["fit_fleet.py", "{bad}", "--held-out-share", "1"],
        "--held-out-share: expected a number >= 0 and <= 0.9, found 1.0",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(case, script_here, tmp_path):
    (tmp_path / "bad.csv").write_text("device_id,start_s,end_s\na,1,2\na,5,5\n")
    (tmp_path / "short.csv").write_text("device_id,start_s,end_s\na,1,2\na,5,50\n")
    arguments, message = BAD[case]
    arguments = [a.format(bad=tmp_path / "bad.csv", short=tmp_path / "short.csv") for a in arguments]
    before = sorted(tmp_path.iterdir())
    done = script_here(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_the_recorded_phones_are_matched_and_the_fit_is_a_configuration(script_here, monkeypatch, tmp_path):
    monkeypatch.setattr(fleet_fit, "_PHONES", 1000)  # a search that is less precise than for users, and quicker
    path, fitted = REAL_DATA / "traces" / "availability_intervals.csv", tmp_path / "fleet.toml"
    if not path.exists():
        pytest.skip("the recorded phones are not part of the project and not on this machine")
    done = script_here("fit_fleet.py", path, "-o", fitted)
    assert done.returncode == 0 and "NOT MET" not in done.stdout, done.stdout + done.stderr
    assert "507 devices" in done.stdout and done.stdout.count(": met") == 8
    done = script_here(
        *("fleet_dry_run.py", "--config", fitted, "--fleet.size", 500, "--cohort.goal", 5, "--days", 0.5),
        *("--output-dir", tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
