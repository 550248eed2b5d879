"""A whole sweep of tiny runs: what it writes, that it survives a kill, and that it says what went wrong."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from client_model.metrics.keyboard_metrics import TOP1_RECALL
from server_strategy.privacy.accounting import epsilon_by_rdp
from simulation import audit_trail
from simulation.flags import read_config
from simulation.run.directory import RunDirectory
from simulation.studies.sweeps.carry_out import carry_out
from simulation.studies.sweeps.results import difference_of, sweep_result
from simulation.studies.sweeps.search import Search
from simulation.studies.sweeps.study_file import read_study
from tests.conftest import ROOT
from tests.forked_processes import ForkedProcess
from tests.simulation.studies.sweeps.conftest import described, swept, weights
from tests.waiting import wait_until
from typefleet.errors import ConfigError


@pytest.mark.slow
def test_a_sweep_leaves_runs_tables_and_a_figure(whole):
    study, folder, printed = whole
    asked = read_study(study)
    result = sweep_result(folder, asked, Search(folder, asked))
    assert [t.setting for t in result.trials] == asked.grid() and all(t.state == "finished" for t in result.trials)
    best = max(result.trials, key=lambda t: (t.reached.mean, -t.number))
    assert result.best == best.number and best.behind_best is None
    for trial in result.trials:
        runs = {seed: folder / "trials" / f"{trial.number:04d}" / f"seed-{seed}" for seed in (0, 1)}
        recalls = [json.loads((run / "summary.json").read_text())["top1_recall"] for run in runs.values()]
        assert list(trial.values.values()) == recalls and trial.reached.mean == pytest.approx(sum(recalls) / 2)
        assert 'people = "validation"' in (runs[0] / "config.toml").read_text()
        begin, end = (line.says for line in audit_trail.FORM.read(runs[0]).lines)
        assert (begin["command"], end["exit_code"]) == ("sweep", 0)
        if trial is not best:
            assert trial.behind_best.mean == pytest.approx(best.reached.mean - trial.reached.mean)
    table = pq.read_table(folder / "results.parquet").to_pylist()
    assert len(table) == 8 and {row["privacy.mechanism"] for row in table} == {"gaussian", "tree"}
    assert (folder / "results.csv").read_text().count("\n") == 9 and (folder / "sweep.png").stat().st_size > 5000
    assert "trial 4/4" in printed and "of a modelled deployment with 500 reports" in printed


@pytest.mark.slow
def test_a_finished_sweep_is_shown_again_without_a_run(whole, tmp_path):
    study, folder, printed = whole
    copied, shown = shutil.copytree(folder, tmp_path / "sweep"), io.StringIO()
    for name in ("results.csv", "results.parquet", "sweep.png", "sweep.svg", "sweep.pdf"):
        (copied / name).unlink()
    result = carry_out(read_study(study), copied, stream=shown)
    table = [line for line in shown.getvalue().splitlines() if "±" in line]
    assert table and set(table) <= set(printed.splitlines()) and f"trial {result.best} is the best" in shown.getvalue()
    assert all((copied / name).read_bytes() == (folder / name).read_bytes() for name in ("results.csv", "sweep.svg"))
    assert not (copied / "hosts" / "0.log").stat().st_size > (folder / "hosts" / "0.log").stat().st_size


@pytest.mark.slow
def test_the_choice_is_measured_on_people_held_out(whole):
    study, folder, printed = whole
    asked = read_study(study)
    found = sweep_result(folder, asked, Search(folder, asked)).confirmation
    for name in ("chosen", "unchanged"):
        text = (folder / "confirmation" / name / "seed-0" / "config.toml").read_text()
        assert 'people = "held-out"' in text
    assert found.gain.mean == pytest.approx(found.chosen.mean - found.unchanged.mean)
    assert "on people held out" in printed


@pytest.mark.slow
def test_the_cost_of_tuning_is_that_of_every_run(whole):
    study, folder, _ = whole
    asked = read_study(study)
    cost = sweep_result(folder, asked, Search(folder, asked)).cost
    spent = [json.loads(path.read_text()) for path in folder.glob("*/*/seed-*/summary.json")]
    assert cost.runs == len(spent) == 12
    assert cost.rho == pytest.approx(sum(one["zcdp_rho"] for one in spent))
    stated = [json.loads(path.read_text()) for path in folder.glob("*/*/seed-*/privacy.json")]
    of_words = sum(one["planned"]["vocabulary"]["delta"] for one in stated)  # each run has chosen its words anew
    assert cost.epsilon == epsilon_by_rdp(cost.rho, spent[0]["delta"])
    assert cost.delta == pytest.approx(spent[0]["delta"] + of_words) and of_words > 0
    assert max(one["epsilon"] for one in spent) < cost.epsilon_of_chosen < cost.epsilon


@pytest.mark.slow
def test_a_sweep_that_was_killed_goes_on_with_the_same_bits(whole, tmp_path):
    """With the first seed alone; it goes on in another process, and has the bits of the whole sweep."""
    _, straight, _ = whole
    study, folder = described(tmp_path), tmp_path / "sweep"
    study.write_text(study.read_text().replace("seeds = 2", "seeds = 1"))
    command = [sys.executable, "-m", "tests.simulation.studies.sweeps.sweep_without_ray", study]
    process = ForkedProcess([*command, "--output-dir", folder], cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_until((folder / "trials/0001/seed-0/summary.json").exists, "a second run that has ended")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list(folder.glob("trials/*/seed-*/participation.json"))) < 4
    swept(study, folder)
    found, undisturbed = weights(folder), weights(straight)
    # What is chosen by one seed may be another setting than what is chosen by two.
    same = {run for run in found if settings_of(folder, run) == settings_of(straight, run)}
    assert len(found) == 6 and same >= set(found) - {"confirmation/chosen/seed-0"}
    assert {run: found[run] for run in same} == {run: undisturbed[run] for run in same}
    rows = [line for line in (straight / "results.csv").read_text().splitlines() if line.split(",")[2] != "1"]
    assert (folder / "results.csv").read_text().splitlines() == rows and len(rows) == 5


def settings_of(sweep, run):
    return read_config((sweep / run).with_name("settings-of-seed-0.toml"))


@pytest.mark.slow
def test_a_setting_that_fails_is_kept_with_its_cause_and_the_others_go_on(tmp_path):
    study = described(tmp_path, "[4.0]", 'confirm = false\nseeds = 1\nmethod = "random"\ntrials = 3', rounds=1)
    text = (
        study.read_text()
        .replace("seeds = 2\n", "")
        .replace('"privacy.mechanism" = ["gaussian", "tree"]', '"cohort.goal" = [8, 290]')
    )
    study.write_text(text)
    folder = tmp_path / "sweep"
    printed = swept(study, folder)
    asked = read_study(study)
    states = {
        t.setting["cohort.goal"]: (t.state, t.cause) for t in sweep_result(folder, asked, Search(folder, asked)).trials
    }
    assert states[8] == ("finished", None)
    assert states[290][0] == "failed" and "--cohort.goal" in states[290][1] and "failed: " in printed


def test_settings_that_do_not_go_together_are_refused_before_anything_runs(script_here, tmp_path):
    for rates, said in (("[-1.0]", "training.learning_rate"), ('["fast"]', "training.learning-rate")):
        done = script_here("sweep.py", described(tmp_path, rates), "--output-dir", tmp_path / "sweep")
        assert done.returncode == 2 and said.replace("_", "-") in done.stderr.replace("_", "-"), done.stderr
        assert done.stderr.count("\n") == 1 and not (tmp_path / "sweep" / "study.json").exists()


def test_a_folder_of_something_else_is_refused(script_here, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.txt").write_text("mine")
    done = script_here("sweep.py", described(tmp_path), "--output-dir", tmp_path / "sweep")
    assert done.returncode == 2 and "a new or empty folder" in done.stderr
    assert [p.name for p in (tmp_path / "sweep").iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_another_study_in_the_folder_is_refused(whole, script_here, tmp_path):
    _, folder, _ = whole
    done = script_here("sweep.py", described(tmp_path, "[0.7]"), "--output-dir", folder)
    assert done.returncode == 2 and "one of this sweep" in done.stderr


@pytest.mark.slow
def test_a_difference_is_paired_by_person_with_one_seed(whole):
    _, folder, _ = whole
    one, other = ({0: folder / "trials" / number / "seed-0"} for number in ("0000", "0002"))
    found = difference_of(other, one, TOP1_RECALL)
    assert found.over == "people" and found.number == 10
    assert difference_of(one, one, TOP1_RECALL).mean == 0
    recalls = [RunDirectory(runs[0]).read_summary().held_out["top1_recall"] for runs in (other, one)]
    assert found.mean == pytest.approx(recalls[0] - recalls[1])
    assert difference_of(one, {1: folder}, TOP1_RECALL) is None


def test_a_metric_that_no_run_has_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="direction"):
        read_study(described(tmp_path, options='direction = "up"'))
