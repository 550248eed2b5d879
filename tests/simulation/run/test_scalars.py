import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from simulation.run.scalars import ScalarWriter


def test_known_values_are_written_and_a_diverged_model_does_not_stop_the_run(tmp_path):
    with ScalarWriter(tmp_path) as scalars:
        scalars.write(1, {"loss": 2.5, "perplexity": None, "epsilon": 1.0, "epsilon_is_of": "this run"})
        scalars.write(2, {"loss": 3.5, "perplexity": 9.75e49, "unknown": 3})
    events = EventAccumulator(str(tmp_path)).Reload()

    def values(tag):
        return [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]

    assert values("training/loss_nats_per_token") == [(1, 2.5), (2, 3.5)]
    assert values("held_out/perplexity") == [(2, np.inf)]
    assert values("privacy/epsilon") == [(1, 1.0)]
