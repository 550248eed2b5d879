"""Runs for real where MLflow is installed: `pip install 'typefleet[mlflow]'`."""

import os
import socket

import pytest

pytest.importorskip("mlflow", reason="the extra mlflow is not installed")

from simulation.run.trackers.config import TrackingConfig
from simulation.run.trackers.mlflow import MLflow
from tests.simulation.run.trackers.told import LOSS, PNG, run_in, tell


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection to somewhere")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def runs_of(store, experiment="typefleet"):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return found, lambda run, tag: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, tag)]


def test_a_run_has_its_settings_curves_outcome_and_files(tmp_path):
    tell(MLflow(TrackingConfig(trackers=("mlflow",))), run_in(tmp_path, **{"cohort.goal": 20}), {0: 3.0, 1: 2.5})
    (run,), history = runs_of(tmp_path / "mlflow")
    assert run.info.status == "FINISHED" and run.info.run_name == tmp_path.name
    assert run.data.params == {"seed": "0", "cohort.goal": "20"}
    assert history(run, LOSS) == [(0, 3.0), (1, 2.5)] and run.data.metrics["outcome/epsilon"] == 1.5
    assert run.data.tags["outcome.epsilon_is_of"] == "this run"
    files = tmp_path / "mlflow" / "artifacts" / run.info.run_id / "artifacts"
    assert (files / "summary.json").read_text() == "{}"
    assert (files / "figures" / "recall.png").read_bytes()[:8] == PNG[:8]
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_run_that_was_killed_goes_on_as_the_same_with_each_round_once(tmp_path):
    def tracker():
        return MLflow(TrackingConfig(trackers=("mlflow",)))

    tell(tracker(), run_in(tmp_path), {0: 4.0, 1: 3.0, 2: 2.0, 3: 1.0}, end=False)
    stopped = tracker()
    tell(stopped, run_in(tmp_path, next_round=2), {2: 2.0, 3: 1.0}, end=False)
    stopped.close()
    assert runs_of(tmp_path / "mlflow")[0][0].info.status == "KILLED"
    tell(tracker(), run_in(tmp_path, next_round=3), {3: 1.0, 4: 0.5})
    tell(tracker(), run_in(tmp_path, next_round=5), {4: 0.5})
    (run,), history = runs_of(tmp_path / "mlflow")
    assert history(run, LOSS) == [(0, 4.0), (1, 3.0), (2, 2.0), (3, 1.0), (4, 0.5)]
    assert history(run, "outcome/epsilon") == [(4, 1.5)] and run.info.status == "FINISHED"


def test_several_runs_share_a_store(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        settings = TrackingConfig(trackers=("mlflow",), experiment="mine", mlflow_store=str(tmp_path / "store"))
        run = run_in(tmp_path / name)
        tell(MLflow(settings), type(run)(run.folder, name * 16, run.settings, run.told, 0), {1: 1.0})
        assert [path.name for path in run.folder.iterdir()] == ["summary.json"]
    runs, _ = runs_of(tmp_path / "store", "mine")
    assert {run.info.run_name for run in runs} == {"a", "b"}
    settings = TrackingConfig(
        trackers=("mlflow",), experiment="mine", mlflow_store=f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}"
    )
    tell(MLflow(settings), run_in(tmp_path / "a"), {1: 1.0})
    assert len(runs_of(tmp_path / "store", "mine")[0]) == 3
