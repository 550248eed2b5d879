"""A whole run in this process: what its trackers and its table have after it was broken off and went on."""

import json

import pyarrow.parquet as pq
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from simulation.engine import client_app
from simulation.run.directory import RunDirectory
from simulation.run.trackers.door import TRACKERS
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import simulate
from typefleet.doors import Kind
from typefleet.errors import ConfigError

pytestmark = pytest.mark.slow


class Listener:
    """Notes what it is told, and breaks at a round."""

    break_at = None

    def __init__(self, settings):
        self.heard = []

    def begin(self, run):
        self.path = run.folder / "heard.json"
        self.heard = [["begin", run.next_round, sorted(run.told), run.key, run.settings["cohort.goal"]]]

    def round(self, number, values):
        if number == self.break_at:
            raise RuntimeError("broken")
        self.heard.append(["round", number, len(values)])

    def end(self, outcome):
        names = [path.name for path in outcome.files]
        self.heard.append(["end", outcome.last_round, sorted(outcome.figures), names])

    def close(self):
        before = json.loads(self.path.read_text()) if self.path.exists() else []
        self.path.write_text(json.dumps([*before, *self.heard, ["close"]]))


@pytest.fixture(scope="module", autouse=True)
def tensorflow_is_at_work():
    """A worker sets its threads before TensorFlow's first operation; here other tests have come before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_app, "_open_hosts", [True])
        yield


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory):
    """The folder of a run whose tracker broke at its second round, and which then went on."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    flags = [*map(str, WEIGHTS_ONLY), "--output-dir", str(folder), "--tracking.trackers", "tensorboard", "listener"]
    with TRACKERS.lend(Kind("listener", "for a test", make=Listener)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Listener, "break_at", 2)
        with pytest.raises(ConfigError, match=r"^tracker listener: expected to take round 2, found RuntimeError at "):
            simulate(flags)
        assert len(RunDirectory(folder).read_rounds()) == 2  # the second is told of before its checkpoint
        patch.setattr(Listener, "break_at", None)
        simulate(["--resume", str(folder)])
    return folder


def test_a_tracker_is_told_the_whole_run_and_each_time_that_it_is_the_same(gone_on):
    heard = json.loads((gone_on / "heard.json").read_text())
    first, second = (one for one in heard if one[0] == "begin")
    assert first[1:3] == [0, []] and second[1:3] == [2, [0, 1]] and first[3:] == second[3:]
    assert [one[1] for one in heard if one[0] == "round"] == [0, 1, 2, 3]
    assert heard[-2] == [
        *("end", 3, ["figures/epsilon", "figures/recall"]),
        ["config.toml", "summary.json", "privacy.json", "privacy.md"],
    ]
    assert [one[0] for one in heard].count("close") == 2


def test_every_round_is_in_the_curves_and_in_the_table_once(gone_on):
    events = EventAccumulator(str(gone_on / "tensorboard")).Reload()
    assert [event.step for event in events.Tensors("training/loss_nats_per_token")] == [1, 2, 3]
    assert [event.step for event in events.Tensors("held_out/top1_recall")] == [0, 3]
    assert {"figures/recall", "figures/epsilon"} <= set(events.Tags()["tensors"])
    lines = RunDirectory(gone_on).read_rounds()
    rows = pq.read_table(gone_on / "rounds.parquet").to_pylist()
    assert [row["weights_sha256"] for row in rows] == [line["weights_sha256"] for line in lines]
    assert len(rows) == 3


def test_a_finished_run_can_be_resumed_for_another_tracker(gone_on, capsys):
    before = (gone_on / "rounds.parquet").read_bytes()
    simulate(["--resume", str(gone_on), "--tracking.trackers"])  # none at all
    assert f"--logdir {gone_on / 'tensorboard'}" in " ".join(capsys.readouterr().out.split())
    simulate(["--resume", str(gone_on), "--tracking.trackers", "tensorboard"])
    events = EventAccumulator(str(gone_on / "tensorboard")).Reload()
    assert [event.step for event in events.Tensors("training/loss_nats_per_token")] == [1, 2, 3]
    assert len(events.Tensors("figures/recall")) == 1
    assert (gone_on / "rounds.parquet").read_bytes() == before


def test_a_run_without_trackers_leaves_none_and_names_none(tmp_path, capsys):
    simulate([*map(str, WEIGHTS_ONLY), "--output-dir", str(tmp_path / "run"), "--tracking.trackers"])
    assert not (tmp_path / "run" / "tensorboard").exists() and (tmp_path / "run" / "rounds.parquet").exists()
    assert "logdir" not in capsys.readouterr().out
