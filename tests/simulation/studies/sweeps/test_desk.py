"""A sweep's loop over processes that end at once, in any order, and as often as not badly."""

import io
import json
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from server_strategy.privacy.account import Account
from simulation.commands import sweep
from simulation.run.run_messages import Line, RunEnded, RunFailed, RunRequest
from simulation.studies.account_report import account_lines
from simulation.studies.sweeps import desk as desk_module
from simulation.studies.sweeps.desk import Desk, Places, best_trial
from simulation.studies.sweeps.display import SweepDisplay
from simulation.studies.sweeps.folder import CHOSEN, CONFIRMATION, is_of
from simulation.studies.sweeps.search import setting_of
from simulation.studies.sweeps.study_file import Choices, Range, Study, StudyOptions, read_study
from tests.waiting import wait_until
from typefleet.errors import ConfigError

RATE = "training.learning_rate"


LOG: list[str] = []  # which run began and ended


class Process:
    """Speaks as the process of a run does, and reaches at once what the rate decides."""

    def __init__(self, waits=lambda trial: 0.0, fails=lambda rate, seed: False):
        self.waits, self.fails, self.answers = waits, fails, []

    def send(self, line):
        request = Line.read(line)
        assert isinstance(request, RunRequest)
        run = Path(request.output_dir)
        rate = tomllib.loads(Path(request.settings).read_text())["training"]["learning_rate"]
        name = f"{run.parent.name}/{run.name}"
        LOG.append(f"begin {name}")
        time.sleep(self.waits(int(run.parent.name) if run.parent.name.isdigit() else 0))
        LOG.append(f"end {name}")
        if self.fails(rate, request.seed):
            self.answers.append(Line.of(RunFailed(f"the machine was full at seed {request.seed}")))
            return
        run.mkdir(parents=True)
        (run / "summary.json").write_text(json.dumps({"top1_recall": rate / 10}))
        (run / "participation.json").write_text("{}")
        self.answers.append(Line.of(RunEnded(True, 0.0)))

    def receive(self):
        return self.answers.pop(0)

    def end(self):
        return "exit code 0"

    def kill(self):
        raise AssertionError("nothing here takes long")


@pytest.fixture(autouse=True)
def none_begun(monkeypatch):
    LOG.clear()
    monkeypatch.setattr(desk_module, "_LOOK_EVERY_S", 0.01)


def study(search, **options):
    return Study(StudyOptions(**{"seeds": 2, "confirm": False, **options}), {}, search)


def carried_out(folder, asked, number=1, retry_failed=False, **how):
    desk = Desk(folder, asked, Places(number, 1, lambda log: Process(**how)), retry_failed=retry_failed)
    desk.carry_out(lambda: None)
    return desk


def test_a_batch_of_tpe_begins_once_all_before_have_ended_however_long_one_takes(tmp_path):
    """With what `test_search` shows of batches, the search thus repeats in whatever order runs end."""
    asked = study({RATE: Range(0.1, 3.0, True, None, False)}, method="tpe", trials=3, seeds=1)
    desk = carried_out(tmp_path, asked, 2, waits=lambda trial: 0.5 * (trial == 0))
    assert sorted(LOG[:4]) == [f"{what} 000{trial}/seed-0" for what in ("begin", "end") for trial in (0, 1)]
    assert LOG[4:] == ["begin 0002/seed-0", "end 0002/seed-0"]
    assert [one.value == pytest.approx(one.params[RATE] / 10) for one in desk.search.trials()] == [True] * 3


def test_what_failed_is_tried_again_and_nothing_else(tmp_path):
    asked = study({RATE: Choices((0.5, 1.0))})
    desk = carried_out(tmp_path, asked, fails=lambda rate, seed: rate == 1.0 and seed == 1)
    assert [one.state.name for one in desk.search.trials()] == ["COMPLETE", "FAIL"]
    assert desk.search.unfinished() == desk.search.draw() == []  # unless it is asked for
    desk = carried_out(tmp_path, asked, retry_failed=True)
    done, found = desk.search.trials()
    assert (done.number, done.causes, found.number) == (0, (), 1)
    assert found.causes == ("the machine was full at seed 1",) and found.value == pytest.approx(0.1)
    runs = ["0000/seed-0", "0000/seed-1", "0001/seed-0", "0001/seed-1"]
    assert LOG[::2] == [f"begin {run}" for run in (*runs, runs[-1])]
    assert desk.search.retry_failed() == []  # nothing is left


def test_a_retry_that_becomes_the_best_is_confirmed_in_the_place_of_the_former(tmp_path):
    asked = study({RATE: Choices((0.5, 2.0))}, confirm=True, seeds=1)
    desk = carried_out(tmp_path, asked, fails=lambda rate, seed: rate == 2.0)
    chosen = tmp_path / CONFIRMATION / CHOSEN
    assert is_of(chosen, asked, {RATE: 0.5}) and not is_of(chosen, asked, {RATE: 2.0})
    desk = carried_out(tmp_path, asked, retry_failed=True)
    assert setting_of(best_trial(desk.search, maximize=True), [RATE]) == {RATE: 2.0}
    assert is_of(chosen, asked, {RATE: 2.0}) and is_of(chosen.with_name("earlier-1"), asked, {RATE: 0.5})
    assert (chosen / "seed-0" / "summary.json").exists() and (chosen.with_name("earlier-1") / "seed-0").exists()


def test_it_is_said_once_that_the_best_is_being_confirmed_and_never_where_it_has_been(tmp_path):
    asked, seen = study({RATE: Choices((0.5, 1.0))}, confirm=True, seeds=2), []

    def until_it_was_seen(_):
        wait_until(lambda: desk.progress.confirming in seen, "a watcher that has looked")
        return 0.0

    desk = Desk(tmp_path, asked, Places(1, 1, lambda log: Process(until_it_was_seen)))
    desk.carry_out(lambda: seen.append(desk.progress.confirming))
    assert list(dict.fromkeys(seen)) == [None, 4, 3, 2, 1]
    assert carried_out(tmp_path, asked).progress.confirming is None
    stream = io.StringIO()
    desk = Desk(tmp_path / "other", asked)
    display = SweepDisplay(stream, desk)
    display.watch()
    assert not stream.getvalue()
    for desk.progress.confirming in (4, 4, 3, 3, 1):
        display._looked = 0.0
        display.watch()
    first, *later = stream.getvalue().splitlines()
    assert first.startswith("confirming on people held out, on whom no trial was measured: the best setting and the")
    assert first.endswith(", 2 runs each") and later == ["confirmed 1/4 runs", "confirmed 3/4 runs"]


def test_a_pipe_is_told_once_a_minute_how_far_a_sweep_is(tmp_path, monkeypatch):
    now_s, stream = [1000.0], io.StringIO()
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    desk = Desk(tmp_path, study({RATE: Choices((0.5, 1.0))}, seeds=2))
    display = SweepDisplay(stream, desk)
    desk.progress.running["trials/0000/seed-0"] = "round 7/50"
    for _ in range(90):
        now_s[0] += 1.0
        display.watch()
    assert stream.getvalue() == "trial 0/2  0:01:00 so far; trials/0000/seed-0: round 7/50\n"
    desk.progress.confirming = 4
    for _ in range(70):
        now_s[0] += 1.0
        display.watch()
    assert stream.getvalue().splitlines()[2:] == ["confirmed 0/4 runs; trials/0000/seed-0: round 7/50"]


def test_a_pruner_beside_runs_at_the_same_time_is_refused_before_anything_is_made(tmp_path):
    asked = study({RATE: Choices((0.5, 1.0))}, pruner="median")
    with pytest.raises(ConfigError, match=r"^--parallel: expected 1, found 2 with pruner = 'median', which would end"):
        Desk(tmp_path / "new", asked, Places(2, 1))
    assert not (tmp_path / "new").exists()
    assert len(carried_out(tmp_path, asked).search.trials()) == 2


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--fleet.size", r"size = \.\.\. below \[settings\.fleet\]"),
        ("--privacy.buffers=3", r"buffers = \.\.\. below \[settings\.privacy\]"),
        ("--rounds", r"rounds = \.\.\. below \[settings\]"),
        ("--seed", "did you mean --seeds"),
    ],
)
def test_a_setting_of_the_runs_given_as_a_flag_is_told_its_place(flag, told):
    with pytest.raises(ConfigError, match=told):
        sweep.main(["study.toml", flag, "3"])


def test_there_is_nothing_to_try_again_where_no_sweep_is(tmp_path):
    from simulation.studies.sweeps.carry_out import carry_out

    for folder in (None, tmp_path / "none"):
        with pytest.raises(ConfigError, match="--retry-failed: expected --output-dir with a sweep"):
            carry_out(study({RATE: Choices((0.5,))}), folder, retry_failed=True)
    assert not (tmp_path / "none").exists()


def test_every_trial_is_charged_on_the_account_of_the_study_which_is_nothing_to_search_over(tmp_path):
    path = tmp_path / "account.jsonl"
    asked = replace(study({RATE: Choices((0.5, 1.0))}), settings={"privacy": {"account": str(path)}})
    carried_out(tmp_path / "sweep", asked)
    written = list((tmp_path / "sweep").glob("trials/*/settings-of-*.toml"))
    assert len(written) == 4
    assert {tomllib.loads(one.read_text())["privacy"]["account"] for one in written} == {str(path)}
    assert account_lines(asked.settings) == []  # nothing here is a run that begins
    path.write_text(Account.begun(path, "text-00", "somebody's", "2026-11-29").to_text())
    said = "privacy account account.jsonl: 0 runs, together without epsilon, since none had privacy"
    assert account_lines(asked.settings) == [said]
    for name in ("account", "total_epsilon"):
        (tmp_path / "study.toml").write_text(f'[search]\n"privacy.{name}" = ["a", "b"]\n')
        with pytest.raises(ConfigError, match=rf"search: privacy\.{name}: expected a setting that changes what"):
            read_study(tmp_path / "study.toml")
