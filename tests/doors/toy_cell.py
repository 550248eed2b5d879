"""A cell of somebody else's, which imports no more than it needs: each process that finds it reads it.

Run by itself, it trains a phone and says with what it did so.
"""

import json
from dataclasses import dataclass
from typing import Annotated, ClassVar

import tensorflow as tf
from annotated_types import Ge

from client_model.config import TrainingConfig
from client_model.learning.cells.base import glorot, starting_at
from client_model.learning.language_model import ModelShape, initial_weights
from client_model.text.population import PopulationSpec
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary
from simulation.engine.host_task import HostTask
from simulation.engine.phone_host import PhoneHost
from typefleet.doors import Kind, KindSettings


@dataclass(frozen=True)
class Gru(KindSettings):
    """Gated recurrent unit (Cho et al., arXiv:1406.1078) with a projection; gate order: update, reset, candidate."""

    name: ClassVar[str] = "my_gru"

    update_bias: Annotated[float, Ge(0)] = 1.0
    """Bias of the update gate at the start; a larger one remembers for longer."""

    def weights(self, sizes):
        d, u = sizes.embedding, sizes.units
        return {
            "input_kernel": glorot(d, 3 * u, u),
            "recurrent_kernel": glorot(u, 3 * u, u),
            "gate_bias": starting_at((self.update_bias, u), (0.0, 2 * u)),
            "projection": glorot(u, d),
        }

    def state_sizes(self, sizes):
        return {"memory": sizes.units}

    def step(self, weights, x, state):
        memory = state["memory"]
        of_input = tf.split(tf.matmul(x, weights["input_kernel"]) + weights["gate_bias"], 3, axis=1)
        of_memory = tf.split(tf.matmul(memory, weights["recurrent_kernel"]), 3, axis=1)
        update, reset = (tf.sigmoid(of_input[gate] + of_memory[gate]) for gate in (0, 1))
        candidate = tf.tanh(of_input[2] + reset * of_memory[2])
        memory = candidate + update * (memory - candidate)
        return tf.matmul(memory, weights["projection"]), {"memory": memory}


KIND = Kind("my_gru", "gated recurrent unit", make=lambda settings: settings, settings=Gru)

WORDS = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, "the", "to", "you"))


def task_of(cell):
    return HostTask(
        population=PopulationSpec(0, 40),
        vocabulary=WORDS.to_text(),
        shape=ModelShape(cell, len(WORDS), 8, 12, 6),
        training=TrainingConfig(max_sequences=5),
        evaluation_sequences=4,
        seed=0,
        handed_in={"cell": cell},
    )


def update_of_a_phone(task):
    host = PhoneHost(task)
    return host.train(host.load(initial_weights(task.shape, 0)), host.read(3, 1)).update


if __name__ == "__main__":
    task = task_of(Gru(0.25))
    print(task.to_json())
    print(json.dumps(update_of_a_phone(task).tolist()))
