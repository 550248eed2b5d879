"""What is written is read back with TensorBoard's own reader and its own HPARAMS plugin."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.get_experiment import Handler as Experiment
from tensorboard.plugins.hparams.list_session_groups import Handler as SessionGroups
from tensorboard.util.tensor_util import make_ndarray

from simulation.run.trackers.config import TrackingConfig
from simulation.run.trackers.tensorboard import TensorBoard
from tests.simulation.run.trackers.told import LOSS, PNG, run_in, tell


def tracker():
    return TensorBoard(TrackingConfig())


def points(folder, tag):
    events = EventAccumulator(str(folder / "tensorboard"), {"tensors": 0}).Reload()  # all of them
    return [(event.step, make_ndarray(event.tensor_proto).tolist()) for event in events.Tensors(tag)]


def test_curves_and_figures_are_there_and_a_diverged_model_does_not_stop_the_run(tmp_path):
    tell(tracker(), run_in(tmp_path), {1: 2.5, 2: 9.75e49})
    assert points(tmp_path, LOSS) == [(1, 2.5), (2, np.inf)]
    assert points(tmp_path, "figures/recall") == [(2, [b"3", b"2", PNG])]


def test_rounds_that_are_told_again_after_a_kill_are_there_once(tmp_path):
    tell(tracker(), run_in(tmp_path), {0: 4.0, 1: 3.0, 2: 2.0, 3: 1.0}, end=False)
    # The last record is cut short, as by a kill.
    (file,) = (tmp_path / "tensorboard").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    told = {number: {LOSS: 4.0 - number} for number in (0, 1)}
    tell(tracker(), run_in(tmp_path, told, 2), {2: 2.5, 3: 1.5, 4: 0.5})
    tracker().begin(run_in(tmp_path, told, 5))  # the finished run once more
    assert points(tmp_path, LOSS) == [(0, 4.0), (1, 3.0), (2, 2.5), (3, 1.5), (4, 0.5)]


def test_an_end_takes_the_place_of_an_earlier_one(tmp_path):
    for _ in range(2):
        tell(tracker(), run_in(tmp_path), {0: 1.0})
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    assert len(list((tmp_path / "tensorboard").glob("*.outcome"))) == 1
    assert len(points(tmp_path, "figures/recall")) == len(points(tmp_path, LOSS)) == 1


@pytest.fixture
def hparams(tmp_path):
    """hparams(handler, request): what the HPARAMS tab shows of the runs below tmp_path."""

    def ask(handler, request):
        events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
        context = Context(TBContext(data_provider=MultiplexerDataProvider(events, str(tmp_path))))
        return handler(RequestContext(), context, "", request).run()

    return ask


def test_the_hparams_tab_puts_runs_side_by_side(tmp_path, hparams):
    for name, goal, loss in (("a", 20, 2.0), ("b", 40, 1.5)):
        (tmp_path / name).mkdir()
        settings = {"cohort.goal": goal, "data.sample": True, "cohort.policy": "deadline"}
        tell(tracker(), run_in(tmp_path / name, **settings), {1: 9.0, 2: loss})
    experiment = hparams(Experiment, api_pb2.GetExperimentRequest(include_metrics=True))
    assert {info.name for info in experiment.hparam_infos} == {"seed", "cohort.goal", "cohort.policy", "data.sample"}
    assert [info.name for info in experiment.hparam_infos if info.differs] == ["cohort.goal"]
    assert LOSS in [info.name.tag for info in experiment.metric_infos]
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=9,
        include_metrics=True,
        allowed_statuses=[api_pb2.STATUS_SUCCESS],
        col_params=[api_pb2.ColParams(metric=api_pb2.MetricName(tag=LOSS))],
    )
    groups = hparams(SessionGroups, request).session_groups
    found = {
        group.hparams["cohort.goal"].number_value: metric.value
        for group in groups
        for metric in group.metric_values
        if metric.name.tag == LOSS
    }
    assert found == {20: 2.0, 40: 1.5}


def test_a_run_that_stopped_has_no_end(tmp_path, hparams):
    stopped = tracker()
    tell(stopped, run_in(tmp_path), {1: 9.0}, end=False)
    stopped.close()
    request = api_pb2.ListSessionGroupsRequest(slice_size=9, allowed_statuses=[api_pb2.STATUS_SUCCESS])
    assert not hparams(SessionGroups, request).session_groups
    request = api_pb2.ListSessionGroupsRequest(slice_size=9, allowed_statuses=[api_pb2.STATUS_UNKNOWN])
    assert len(hparams(SessionGroups, request).session_groups) == 1
