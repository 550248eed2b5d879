import numpy as np
import pytest

from server_strategy.config import ServerOptimizerConfig
from server_strategy.server_optimizers import initial_state, optimizer_step

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
    config = ServerOptimizerConfig(name, RATE, BETA1, BETA2, TAU)
    state, position = initial_state(config, 7), np.zeros(7)
    for update in updates:
        step, state = optimizer_step(config, update, state)
        assert step.dtype == np.float32
        position = position + step
    np.testing.assert_allclose(position, reference(name, updates), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["momentum", "adam", "yogi", "adagrad"])
def test_steps_do_not_change_what_they_are_given(name):
    config = ServerOptimizerConfig(name)
    state, update = initial_state(config, 4), np.ones(4, np.float32)
    _, first = optimizer_step(config, update, state)
    kept = [np.copy(x) for x in first]
    optimizer_step(config, update, first)
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (update == 1).all()
