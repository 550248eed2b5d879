import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from client_model.metrics.table import metric_table
from simulation.run.scalars import ScalarWriter
from tests.simulation.run.test_records import record


def test_known_values_are_written_and_a_diverged_model_does_not_stop_the_run(tmp_path):
    with ScalarWriter(tmp_path, metric_table()) as scalars:
        scalars.write_held_out(0, {"top1_recall": 0.25, "perplexity": None})
        scalars.write_round(record(round=1, loss=2.5, epsilon=1.0))
        scalars.write_round(record(round=2, loss=3.5, held_out={"perplexity": 9.75e49, "recall_by_position": [{}]}))
        scalars.write_round(record(round=3, loss=None, epsilon=2.0, epsilon_is_of="a modelled deployment"))
    events = EventAccumulator(str(tmp_path)).Reload()

    def values(tag):
        return [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]

    assert values("training/loss_nats_per_token") == [(1, 2.5), (2, 3.5)]
    assert values("held_out/perplexity") == [(2, np.inf)]
    assert values("held_out/top1_recall") == [(0, 0.25)]
    assert values("privacy/epsilon") == [(1, 1.0)]
    assert values("privacy/epsilon_of_modelled_deployment") == [(3, 2.0)]
    assert values("round/checked_in") == [(1, 40.0), (2, 40.0), (3, 40.0)]
