"""Local optimizers take the steps of their papers, and whoever brings another is told what is wrong with it."""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

from client_model.config import TrainingConfig
from client_model.learning.language_model import flatten
from client_model.learning.local_optimizers.check import check_local_optimizer
from client_model.learning.local_optimizers.door import LOCAL_OPTIMIZERS
from client_model.learning.local_optimizers.momentum import Momentum
from client_model.learning.local_optimizers.proximal import Proximal
from client_model.learning.local_optimizers.sgd import Sgd, is_plain
from client_model.learning.local_training import LocalTrainer
from client_model.learning.padded_batches import Group
from client_model.learning.trainers import chosen_kernel, make_trainer
from tests.client_model.learning.test_local_training import make_phone, padded_logits, small_shape, some_weights
from typefleet.errors import ConfigError

SHAPE = small_shape("cifg")
RATE, LENGTHS = 0.7, [7, 3, 5, 2, 6, 4, 1]


@dataclass(frozen=True)
class PlainSteps:
    """Plain SGD that is not known to be it."""

    def initial_state(self, received):
        return ()

    def step(self, weights, gradients, received, state, learning_rate):
        return tuple(w - learning_rate * g for w, g in zip(weights, gradients, strict=True)), ()


def update_by(optimizer, bound=0.0, seed=0):
    packed, _ = make_phone(LENGTHS, 2, seed)
    trainer = LocalTrainer(SHAPE, bound, optimizer)
    return trainer.train(trainer.load(some_weights(SHAPE, seed)), packed, RATE).update


def gradients_of(weights, x, y, mask, bound):
    """By automatic differentiation of a plain, padded implementation, bounded in norm."""
    variables = [tf.Variable(w) for w in weights]
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, padded_logits(SHAPE, variables, x))
        loss = tf.reduce_sum(losses * mask) / mask.sum()
    found = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, variables)]
    norm = np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in found))
    return [g * min(1.0, bound / norm) for g in found] if bound else found


def update_by_reference(step, bound, seed=0):
    """step(w, g, received, velocity) -> (w, velocity), weight by weight."""
    _, padded = make_phone(LENGTHS, 2, seed)
    received = some_weights(SHAPE, seed)
    weights, velocity = list(received), [np.zeros_like(w) for w in received]
    for x, y, mask in padded:
        stepped = zip(weights, gradients_of(weights, x, y, mask, bound), received, velocity, strict=True)
        weights, velocity = (list(found) for found in zip(*(step(*given) for given in stepped), strict=True))
    return flatten([w - r for w, r in zip(weights, received, strict=True)])


def distance(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(other)


@pytest.mark.parametrize("bound", [0.0, 0.3])
@pytest.mark.parametrize("mu", [0.0, 0.01, 0.5])
def test_proximal_steps_are_those_of_fedprox(mu, bound):
    expected = update_by_reference(lambda w, g, r, v: (w - np.float32(RATE) * (g + np.float32(mu) * (w - r)), v), bound)
    assert distance(update_by(Proximal(mu), bound), expected) < 1e-4


@pytest.mark.parametrize("bound", [0.0, 0.3])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_momentum_goes_along_a_decaying_sum_of_gradients(momentum, bound):
    def step(w, g, r, v):
        v = np.float32(momentum) * v + g
        return w - np.float32(RATE) * v, v

    assert distance(update_by(Momentum(momentum), bound), update_by_reference(step, bound)) < 1e-4


def test_the_stronger_it_is_held_the_less_far_a_phone_goes():
    norms = [np.linalg.norm(update_by(Proximal(mu))) for mu in (0.0, 0.3, 1.0)]
    assert norms[0] > norms[1] > norms[2]


def test_plain_sgd_has_the_bits_that_it_has_without_a_name():
    assert is_plain(None) and is_plain(Sgd()) and not is_plain(PlainSteps()) and not is_plain(Proximal(0.0))
    np.testing.assert_array_equal(update_by(Sgd(), 0.3), update_by(None, 0.3))
    assert distance(update_by(PlainSteps(), 0.3), update_by(None, 0.3)) < 1e-5


@dataclass(frozen=True)
class WithList(PlainSteps):
    """Frozen, and yet without a hash."""

    rates: list


def test_one_that_has_no_hash_trains_too():
    np.testing.assert_array_equal(update_by(WithList([0.5]), 0.3), update_by(PlainSteps(), 0.3))


def test_a_phone_begins_anew_whoever_was_trained_before():
    trainer = LocalTrainer(SHAPE, 0.3, Momentum(0.9))
    received = trainer.load(some_weights(SHAPE))
    one, other = (make_phone(LENGTHS, 2, seed)[0] for seed in (1, 2))
    first = trainer.train(received, one, RATE).update.copy()
    trainer.train(received, other, RATE)
    np.testing.assert_array_equal(trainer.train(received, one, RATE).update, first)
    assert trainer.trace_count == 1


@pytest.mark.parametrize("name", LOCAL_OPTIMIZERS.built_in)
def test_those_that_are_there_pass_the_check(name):
    check_local_optimizer(TrainingConfig(optimizer=name).make_optimizer())


def broken(**methods):
    return type("Broken", (PlainSteps,), methods)()


def raising(*_):
    raise KeyError("what somebody wrote")


class KeepsMore(PlainSteps):
    """Carries something from phone to phone."""

    def __init__(self):
        self.__dict__["last"] = tf.Variable(0.0)

    def step(self, weights, gradients, received, state, learning_rate):
        last = self.last.read_value()
        self.last.assign(tf.reduce_sum(gradients[0]))
        return [w - learning_rate * g + 0.01 * last for w, g in zip(weights, gradients, strict=True)], state


REFUSED = {
    "it raises": (broken(step=raising), "weights and a state after a step, found KeyError at"),
    "no state": (broken(initial_state=raising), "a state before the first step, found KeyError at"),
    "nothing": (broken(step=lambda *_: None), "weights and a state after a step"),
    "a number": (broken(initial_state=lambda *_: 0.0), "a state that is a list of tensors, found float"),
    "fewer": (broken(step=lambda _, w, *rest: (w[1:], ())), "weights of float32"),
    "other shapes": (broken(step=lambda _, w, *rest: ([tf.transpose(w[0]), *w[1:]], ())), r"found float32 \[3, 5\];"),
    "other numbers": (broken(step=lambda _, w, *rest: ([tf.cast(one, "float64") for one in w], ())), "found float64"),
    "a state that grows": (
        broken(step=lambda _, w, g, r, s, rate: (w, [*s, rate])),
        "a state of nothing, found float32",
    ),
    "arrays": (broken(step=lambda _, w, *rest: ([np.zeros(one.shape) for one in w], ())), "a list of tensors"),
    "random": (
        broken(step=lambda _, w, *rest: ([one + tf.random.normal(one.shape) for one in w], ())),
        "the same weights of the same phone, whoever was trained before, found others the second time",
    ),
    "infinite": (broken(step=lambda _, w, *rest: ([one / 0.0 for one in w], ())), "weights of finite numbers"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_one_that_cannot_train_is_refused_in_a_line(what):
    optimizer, found = REFUSED[what]
    with pytest.raises(ConfigError, match=found) as refused:
        check_local_optimizer(optimizer)
    assert str(refused.value).startswith("local optimizer Broken: expected ") and "somebody wrote" not in str(
        refused.value
    )


def test_one_that_carries_something_from_phone_to_phone_is_refused():
    with pytest.raises(ConfigError, match=r"^local optimizer KeepsMore: expected the same weights of the same phone"):
        check_local_optimizer(KeepsMore())


def test_only_tensorflow_has_other_steps_than_plain_ones():
    assert chosen_kernel("auto", SHAPE, Proximal()) == "tensorflow"
    assert chosen_kernel("auto", SHAPE, Sgd()) == chosen_kernel("auto", SHAPE)
    with pytest.raises(ConfigError, match=r"--engine.kernel: expected tensorflow for another local optimizer than sgd"):
        chosen_kernel("native", SHAPE, Proximal())
    for kernel, group in (("native", None), ("tensorflow", Group(2, 2, "cpu"))):
        with pytest.raises(ConfigError, match="the local optimizer: expected plain SGD"):
            make_trainer(SHAPE, 0.0, kernel, group, Proximal())
