"""Runs that began when more was allowed: all that looks at one still can, and none goes on or begins with its settings.

Each is a run as an earlier version made it: settings, ledger, statement and weights go together.
"""

import io
import re

import numpy as np
import pytest

from server_strategy import update_sum
from server_strategy.privacy import planning
from simulation.flags import parse_simulate
from simulation.parts import Parts
from simulation.run.checkpoint import load_newest_checkpoint, save_checkpoint
from simulation.settings import with_values
from simulation.start import start
from tests.simulation.conftest import TINY, WEIGHTS_ONLY

CLIP_NORM, TOO_LITTLE = 1e9, 1.5
REFUSED = re.compile(
    r"error: \S+config\.toml: privacy\.clip_norm: expected a number >= 1e-06 and <= 100000, found 1e\+09"
)


def made_by_earlier_version(folder, flags, values, on_round=None):
    """A run with values that no flag takes any more."""
    from tests.simulation.engine_in_process import EngineInProcess  # which imports TensorFlow

    config = parse_simulate([str(one) for one in (*flags, "--output-dir", folder)]).run
    config = with_values(config, {tuple(key.split(".")): value for key, value in values.items()})
    start(config, Parts(), io.StringIO(), False, EngineInProcess(), on_round=on_round)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs whose clip norm is beyond today's; they differ in the seed."""
    from server_strategy.privacy import protected_sum  # so that it has its range from before the patch

    folder = tmp_path_factory.mktemp("earlier")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(update_sum, "LARGEST_CLIP_NORM", CLIP_NORM)
        first = made_by_earlier_version(folder / "first", TINY, {"privacy.clip_norm": CLIP_NORM})
        values = {"privacy.clip_norm": CLIP_NORM, "seed": 1}
        second = made_by_earlier_version(folder / "second", WEIGHTS_ONLY, values)
    assert update_sum.LARGEST_CLIP_NORM == protected_sum.LARGEST_CLIP_NORM < CLIP_NORM
    return first, second


@pytest.mark.slow
def test_whatever_looks_at_a_run_still_can(runs, script_here, tmp_path):
    first, second = runs
    although = ("--although", "modelled-deployment", "seeded-noise", "vocabulary")
    for name, *arguments in (
        ("check_privacy.py", first),
        ("report.py", first),
        ("explain_phone.py", first, "--phone", "#3"),
        ("compare_runs.py", first, second, "--output-dir", tmp_path / "comparison"),
        ("assess.py", first),
        ("price_forgetting.py", first),
        ("publish.py", first, tmp_path / "published", *although),
        ("export_model.py", first),
        ("type_sentences.py", first),
        ("personalise.py", first, "--phones", 3),
    ):
        done = script_here(name, *arguments)
        assert done.returncode == 0, (name, done.stderr)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("simulate.py", ("--resume", "{run}")),
        ("simulate.py", ("--config", "{run}/config.toml")),
        ("forget.py", ("{run}", "--phones", "#3")),
        ("audit.py", ("{run}", "--quick")),
        ("price_forgetting.py", ("{run}", "--leak", "--quick")),
    ],
)
def test_none_goes_on_and_nothing_is_trained_by_its_settings(runs, script_here, name, flags):
    done = script_here(name, *(one.format(run=runs[0]) for one in flags))
    assert done.returncode == 2 and REFUSED.match(done.stderr.replace("1000000000.0", "1e+09")), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_run_whose_budget_had_no_room_for_one_release_can_still_be_read(script_here, tmp_path, monkeypatch):
    values = {"privacy.noise_multiplier": 1.0, "privacy.target_epsilon": TOO_LITTLE}
    with monkeypatch.context() as patched:
        patched.setattr(planning, "_require_room_for_one", lambda plan: None)
        run = made_by_earlier_version(tmp_path / "run", WEIGHTS_ONLY, values)
    for name, *arguments in (("check_privacy.py", run), ("explain_phone.py", run, "--phone", "#3"), ("report.py", run)):
        done = script_here(name, *arguments)
        assert done.returncode == 0, (name, done.stderr)
    done = script_here("simulate.py", "--config", run / "config.toml", "--output-dir", tmp_path / "again")
    assert done.returncode == 2 and "--privacy.target-epsilon: expected at least the" in done.stderr
    assert not (tmp_path / "again").exists()


def test_a_checkpoint_with_a_clip_norm_beyond_todays_is_refused_in_one_line(script_here, tmp_path):
    flags = (*WEIGHTS_ONLY, "--privacy.clip-quantile", 0.5)
    run = made_by_earlier_version(tmp_path / "run", flags, {}, on_round=lambda record: True)
    stored, _ = load_newest_checkpoint(run / "checkpoints")
    noise = stored.state["strategy"]["noise"]
    assert noise["releases"] == 1 and 1 < noise["clip_norm"] < 3
    strategy = {**stored.state["strategy"], "noise": {**noise, "clip_norm": np.array(CLIP_NORM)}}
    save_checkpoint(run / "checkpoints", 1, {**stored.state, "strategy": strategy}, stored.about, 1)
    done = script_here("simulate.py", "--resume", run)
    said = r"error: \S+checkpoint-000001\.npz: expected a clip norm from 1e-06 to 100000, found 1000000000.0\n"
    assert done.returncode == 2 and re.fullmatch(said, done.stderr), done.stderr
