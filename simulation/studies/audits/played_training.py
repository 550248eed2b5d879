"""Training in rounds as a run trains, in one process and without a fleet's days, so that an attack can take part in it.

Phones train from the run's starting weights on what they have written, by the run's own settings; the server steps by
its own optimizer and schedule.
"""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import Weights, flatten, unflatten
from client_model.metrics.scored_tokens import TokenScores
from client_model.metrics.table import stacked
from client_model.text.batches import PackedBatches, training_batches
from client_model.text.population import Population
from server_strategy.optimizers.base import OptimizerState, checked_step, learning_rate_at
from server_strategy.optimizers.config import ServerOptimizerConfig
from simulation.studies.audits.attack import Subject


class PlayedTraining:
    """The phones of a subject, which train and are scored here.

    Args:
        subject: whose settings they are.
        population: the text that they have written; not that of held-out phones, which is the subject's.

    Attributes:
        start: weights before training, float32 [num_weights].
        host: that trains phones.
    """

    def __init__(self, subject: Subject, population: Population) -> None:
        from client_model.learning.local_training import limit_threads  # TensorFlow takes seconds to import
        from simulation.engine.phone_host import PhoneHost
        from simulation.run.starting_point import starting_weights

        limit_threads(1)  # the same bits on any number of cores
        prepared = subject.prepared
        self.subject, self.prepared, self.shape = subject, prepared, prepared.shape
        self.start = flatten(starting_weights(prepared.start, prepared.config, prepared.shape))
        self.host = PhoneHost(prepared.task.on_processor)
        self._population = population
        self._lookup = prepared.vocabulary.lookup_table(population.lexicon)

    def with_text(self, population: Population) -> "PlayedTraining":
        """The same host and weights, and phones that have written something else.

        Args:
            population: the text that they have written.
        """
        other = copy.copy(self)
        other._population, other._lookup = population, self.prepared.vocabulary.lookup_table(population.lexicon)
        return other

    def weights(self, flat: NDArray[np.float32]) -> Weights:
        """Flat weights as the layers have them."""
        return unflatten(flat, self.shape)

    def batches(self, phone: int, number: int, passes: int = 1) -> PackedBatches:
        """What a phone trains on in a round, as often as a run's phone goes over it or several times as often.

        Args:
            phone: whose text it is.
            number: of the round.
            passes: for each of a run's phone.
        """
        training = self.prepared.config.training
        return training_batches(
            self._population,
            self._lookup,
            phone,
            replace(training, epochs=training.epochs * passes),
            sequence_length=self.shape.sequence_length,
            seed=self.subject.seed,
            server_round=number,
        )

    def updates(
        self, flat: NDArray[np.float32], phones: NDArray[np.int64], number: int, rate: float = 1.0
    ) -> Iterator[NDArray[np.float32]]:
        """The updates of phones in a round, one after another: float32 [num_weights] each.

        Args:
            flat: weights that they begin from, float32 [num_weights].
            phones: int64 [n].
            number: of the round.
            rate: of their steps, as a multiple of the run's learning rate; negative: they climb.
        """
        received, own = self.host.load(self.weights(flat)), rate * self.prepared.config.training.learning_rate
        for phone in phones.tolist():
            yield self.host.trainer.train(received, self.batches(phone, number), own).update

    def train(self, received: list[Any], phone: int, number: int) -> NDArray[np.float32]:
        """The update of one phone: float32 [num_weights].

        Args:
            received: weights, as the host has them loaded.
            phone: that trains.
            number: of the round.
        """
        return self.host.train(received, self.batches(phone, number)).update

    def scores(self, flat: NDArray[np.float32], batches: PackedBatches) -> TokenScores:
        """How well a model predicts some tokens.

        Args:
            flat: weights, float32 [num_weights].
            batches: that it reads.
        """
        host = self.host
        return host.trainer.score(host.load(self.weights(flat)), batches, host.keystrokes)

    def counts(self, flat: NDArray[np.float32], phones: int) -> dict[str, NDArray[Any]]:
        """What is counted on so many held-out phones, each column [phones].

        Args:
            flat: weights, float32 [num_weights].
            phones: at most.
        """
        received = self.host.load(self.weights(flat))
        return stacked(self.host.score(received, self.prepared.held_out_phones[:phones].tolist()))


class ServerSteps:
    """What the server makes of the mean update of each round.

    Args:
        settings: of its optimizer.
        rounds: that there are to be.
    """

    def __init__(self, settings: ServerOptimizerConfig, rounds: int) -> None:
        self._settings, self._rounds, self._optimizer = settings, rounds, settings.make()
        self._state: OptimizerState | None = None
        self._made = 0

    def after(self, flat: NDArray[np.float32], mean: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The weights after the next round: float32 [num_weights].

        Args:
            flat: before it.
            mean: update, float [num_weights].
        """
        rate = learning_rate_at(self._settings, self._made, self._rounds)
        moved, self._state = checked_step(self._optimizer, rate, mean.astype(np.float32), self._state)
        self._made += 1
        return flat + moved
