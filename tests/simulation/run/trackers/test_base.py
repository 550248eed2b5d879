import pytest

from simulation.flags import parse_simulate
from simulation.run.accepted_input import accept_input
from simulation.run.trackers.base import TrackerKind, make_trackers
from simulation.run.trackers.config import TrackingConfig
from simulation.run.trackers.door import TRACKERS
from simulation.run.trackers.tensorboard import TensorBoard
from tests.simulation.conftest import TINY
from typefleet.errors import ConfigError

AWAY = TrackerKind("away", "one that is not installed", make=TensorBoard, module="no_such_module")


def test_the_default_is_tensorboard_and_none_at_all_is_a_choice():
    assert list(make_trackers(TrackingConfig())) == ["tensorboard"]
    assert make_trackers(parse_simulate(["--tracking.trackers"]).run.tracking) == {}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ("tensorbord",),
            "expected one of tensorboard, mlflow, wandb, away, found 'tensorbord'; did you mean tensorboard?",
        ),
        (("tensorboard", "tensorboard"), "--tracking.trackers: expected trackers, each once, found tensorboard"),
        (("away",), "--tracking.trackers: expected away to be installed (pip install 'typefleet[away]'), found it"),
    ],
)
def test_a_tracker_that_cannot_be_is_refused_before_anything_is_written(names, said, tmp_path):
    folder = tmp_path / "run"
    flags = [*map(str, TINY), "--output-dir", str(folder), "--tracking.trackers", *names]
    with TRACKERS.lend(AWAY), pytest.raises(ConfigError) as refused:
        accept_input(parse_simulate(flags).run)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert not folder.exists()


def test_settings_of_trackers_that_are_not_chosen_are_refused():
    for flag in ("experiment", "mlflow-store"):
        with pytest.raises(ConfigError, match=f"^--tracking.{flag}: expected only with --tracking.trackers mlflow"):
            parse_simulate([f"--tracking.{flag}", "mine"])


def test_only_engine_and_trackers_may_change_on_resume(tmp_path):
    (tmp_path / "config.toml").write_text("[cohort]\ngoal = 8\n")
    resumed = parse_simulate(["--resume", str(tmp_path), "--tracking.trackers", "mlflow"])
    assert resumed.run.tracking.trackers == ("mlflow",)
    with pytest.raises(ConfigError, match=r"only --engine, --tracking and --storage settings may change on resume$"):
        parse_simulate(["--resume", str(tmp_path), "--cohort.goal", "9"])
