from dataclasses import fields

import numpy as np
import pytest

from server_strategy.optimizers.base import checked_step, learning_rate_at
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.optimizers.door import OPTIMIZERS
from server_strategy.optimizers.momentum import Momentum
from typefleet.errors import ConfigError

RATE, BETA1, BETA2, TAU = 0.3, 0.8, 0.95, 0.02


def reference(name, updates):
    """Adaptive Federated Optimization (arXiv:2003.00295), Algorithm 2, one coordinate at a time."""
    positions = []
    for coordinate in np.array(updates, np.float64).T:
        x, m, v, momentum = 0.0, 0.0, TAU**2, 0.0
        for d in coordinate:
            if name == "sgd":
                x += RATE * d
                continue
            if name == "momentum":
                momentum = BETA1 * momentum + d
                x += RATE * momentum
                continue
            m = d if name == "adagrad" else BETA1 * m + (1 - BETA1) * d
            if name == "adagrad":
                v = v + d * d
            elif name == "adam":
                v = BETA2 * v + (1 - BETA2) * d * d
            else:
                v = v - (1 - BETA2) * d * d * np.sign(v - d * d)
            x += RATE * m / (np.sqrt(v) + TAU)
        positions.append(x)
    return positions


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "yogi", "adagrad"])
def test_against_the_paper(name):
    updates = np.random.default_rng(0).normal(0, 0.1, (20, 7)).astype(np.float32)
    all_settings = {"momentum": BETA1, "second_moment_decay": BETA2, "adaptivity": TAU}
    kind = OPTIMIZERS.kind(name)
    own = {f.name: all_settings[f.name] for f in fields(kind.settings)}
    optimizer = kind.make(kind.settings(**own))
    state, position = optimizer.initial_state(7), np.zeros(7)
    for update in updates:
        step, state = optimizer.step(RATE, update, state)
        assert step.dtype == np.float32
        position = position + step
    np.testing.assert_allclose(position, reference(name, updates), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["momentum", "adam", "yogi", "adagrad"])
def test_steps_do_not_change_what_they_are_given(name):
    optimizer = ServerOptimizerConfig(name).make()
    update = np.ones(4, np.float32)
    _, first = optimizer.step(RATE, update, optimizer.initial_state(4))
    kept = {moment: np.copy(x) for moment, x in first.items()}
    optimizer.step(RATE, update, first)
    assert first.keys() == kept.keys()
    for moment, value in first.items():
        np.testing.assert_array_equal(value, kept[moment])
    assert (update == 1).all()


def rates(rounds=10, **settings):
    config = ServerOptimizerConfig("sgd", 2.0, **settings)
    return [learning_rate_at(config, release, rounds) for release in range(rounds)]


def test_schedules():
    assert rates(schedule="constant") == [2.0] * 10
    assert rates(schedule="constant", warmup_rounds=3) == pytest.approx([0.5, 1.0, 1.5] + [2.0] * 7)
    assert rates(schedule="linear") == pytest.approx(np.linspace(2.0, 0.1, 10))  # the last round moves the weights, too
    assert rates(schedule="linear", final_learning_rate_share=0.0)[-1] == 0.0
    assert rates(schedule="linear", final_learning_rate_share=0.25) == pytest.approx(np.linspace(2.0, 0.5, 10))
    cosine = rates(schedule="cosine", warmup_rounds=2, final_learning_rate_share=0.1)
    assert cosine[2] == 2.0 and cosine[-1] == pytest.approx(0.2) and (np.diff(cosine[2:]) < 0).all()
    assert cosine[:2] == pytest.approx([2 / 3, 4 / 3])


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize(("rounds", "warmup"), [(1, 0), (1, 5), (2, 1), (3, 3)])
def test_schedules_of_short_runs_stay_within_bounds(schedule, rounds, warmup):
    values = rates(rounds, schedule=schedule, warmup_rounds=warmup)
    assert all(0 <= value <= 2.0 for value in values) and values[0] > 0


def test_only_momentum_is_linear_in_the_updates():
    assert ServerOptimizerConfig("momentum", settings=Momentum(0.8)).make().linear_momentum == 0.8
    for name in OPTIMIZERS.names:
        if name != "momentum":
            assert ServerOptimizerConfig(name).make().linear_momentum == 0.0


def test_settings_of_another_optimizer_are_refused():
    with pytest.raises(ConfigError, match=r"settings: expected Adam with name 'adam', found Momentum"):
        ServerOptimizerConfig("adam", settings=Momentum()).make()


class Odd:
    """An optimizer of somebody's own that answers with anything."""

    linear_momentum = 0.0

    def __init__(self, step, state=None):
        self.answer, self.state = step, {} if state is None else state

    def initial_state(self, num_weights):
        return {}

    def step(self, learning_rate, mean_update, state):
        return (self.answer() if callable(self.answer) else self.answer), self.state


@pytest.mark.parametrize(
    ("step", "state", "message"),
    [
        (0.1, {}, r"a step of float32 \[3\], found float \[\]"),
        (np.float32(0.1), {}, r"a step of float32 \[3\], found float32 \[\]"),
        (np.ones(1, np.float32), {}, r"a step of float32 \[3\], found float32 \[1\]"),
        (np.ones(3), {}, r"a step of float32 \[3\], found float64 \[3\]"),
        (np.array([0, 1, np.nan], np.float32), {}, "a step of finite numbers, found NaN or infinite ones"),
        (np.ones(3, np.float32), {"moment": 1.0}, "a state of arrays by name, found dict"),
        (lambda: {}["text"], {}, r"a step and a state, found KeyError at test_optimizers\.py:\d+$"),
    ],
)
def test_a_step_of_somebodys_optimizer_is_held_to_the_weights(step, state, message):
    with pytest.raises(ConfigError, match=f"^server optimizer Odd: expected {message}"):
        checked_step(Odd(step, state), RATE, np.ones(3, np.float32), None)
