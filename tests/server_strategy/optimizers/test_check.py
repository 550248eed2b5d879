"""A server optimizer is tried before a run: what a release that is made again could not repeat is refused."""

import threading

import numpy as np
import pytest

from server_strategy.optimizers.check import check_optimizer
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.optimizers.door import OPTIMIZERS
from simulation.flags import parse_simulate
from simulation.parts import Parts
from simulation.run.accepted_input import accept_input
from tests.server_strategy.test_dp_fedavg import make
from tests.simulation.conftest import WEIGHTS_ONLY
from typefleet.errors import ConfigError


class Heavy:
    """Momentum, as it should be: what it remembers is in the state."""

    linear_momentum = 0.9

    def initial_state(self, num_weights):
        return {"velocity": np.zeros(num_weights, np.float32)}

    def step(self, learning_rate, mean_update, state):
        velocity = np.float32(0.9) * state["velocity"] + mean_update
        return np.float32(learning_rate) * velocity, {"velocity": velocity}


class InItself(Heavy):
    """Remembers beside the state, so that a checkpoint lacks it."""

    velocity = 0.0

    def step(self, learning_rate, mean_update, state):
        self.velocity = np.float32(0.9) * self.velocity + mean_update
        return np.float32(learning_rate) * self.velocity, state


class CountsRounds(Heavy):
    """Decays by how often it was asked."""

    asked = 0

    def step(self, learning_rate, mean_update, state):
        self.asked += 1
        return np.float32(learning_rate / self.asked) * mean_update, state


class Random(Heavy):
    def step(self, learning_rate, mean_update, state):
        return mean_update * np.random.default_rng().random(len(mean_update), np.float32), state


class CountsInState(Heavy):
    """Its steps are those of its state, which are others each time."""

    asked = 0

    def step(self, learning_rate, mean_update, state):
        self.asked += 1
        return state["velocity"] + mean_update, {"velocity": np.full_like(mean_update, self.asked)}


class ChangesUpdate(Heavy):
    def step(self, learning_rate, mean_update, state):
        mean_update *= np.float32(learning_rate)
        return mean_update, state


class ChangesState(Heavy):
    def step(self, learning_rate, mean_update, state):
        state["velocity"] += mean_update
        return state["velocity"].copy(), {"velocity": np.zeros_like(mean_update)}


class OfDoubles(Heavy):
    def step(self, learning_rate, mean_update, state):
        return learning_rate * mean_update.astype(np.float64), state


class Raises(Heavy):
    def step(self, learning_rate, mean_update, state):
        return learning_rate * mean_update, state["moment"]


@pytest.mark.parametrize("name", OPTIMIZERS.names)
def test_ours_pass(name):
    check_optimizer(ServerOptimizerConfig(name).make())


def test_one_that_keeps_to_its_state_passes():
    check_optimizer(Heavy())


class Watched(Heavy):
    """Notes what it was given, for whoever holds it."""

    def __init__(self):
        self.seen, self.lock = [], None

    def step(self, learning_rate, mean_update, state):
        self.seen.append(mean_update)
        return super().step(learning_rate, mean_update, state)


class Uncopied:
    def __deepcopy__(self, memo):
        raise RuntimeError("only what was made by its user can be copied")


def test_what_one_notes_for_somebody_is_not_of_the_trial():
    watched = Watched()
    check_optimizer(watched)
    assert watched.seen == []
    watched.lock = threading.Lock()  # which cannot be copied
    check_optimizer(watched)
    assert len(watched.seen) == 4
    watched.lock = Uncopied()
    check_optimizer(watched)
    assert len(watched.seen) == 8


REFUSED = [
    (InItself, "the same step and state from the same state, as a run that goes on .* needs them, found another"),
    *((kind, "the same step and state from the same state") for kind in (CountsRounds, CountsInState, Random)),
    (ChangesUpdate, "a mean update that its step leaves as it is, found one that it changes"),
    (ChangesState, "a state that its step leaves as it is, found one that it changes"),
    (OfDoubles, r"a step of float32 \[7\], found float64 \[7\]"),
    (Raises, r"a step and a state, found KeyError at test_check\.py:\d+"),
]


@pytest.mark.parametrize(("kind", "message"), REFUSED)
def test_one_that_could_not_be_resumed_or_does_not_fit_is_refused(kind, message):
    with pytest.raises(ConfigError, match=f"^server optimizer {kind.__name__}: expected {message}"):
        check_optimizer(kind())


def test_a_run_refuses_it_before_anything_is_written_and_so_does_the_strategy(tmp_path):
    config = parse_simulate([*map(str, WEIGHTS_ONLY), "--output-dir", str(tmp_path / "run")]).run
    with pytest.raises(ConfigError, match=r"^server optimizer InItself: expected the same step"):
        accept_input(config, parts=Parts(server_optimizer=InItself()))
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"^server optimizer InItself: expected the same step"):
        make(server_optimizer=InItself())
