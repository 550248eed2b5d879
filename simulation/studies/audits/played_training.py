"""Training as a run's, without a fleet's days and in one process: what attacks ask models of.

Phones train from the run's starting weights, by its own local training; their updates are added up, clipped and noised
as a protection says (`update_sums.Protection`), and the run's server optimizer moves the weights.
"""

from collections.abc import Iterator

import numpy as np
import scipy.special
from numpy.typing import NDArray

from client_model.learning.language_model import Weights, flatten, unflatten
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from client_model.metrics.table import sum_counts
from client_model.text.batches import evaluation_batches, last_sequences, training_batches
from client_model.text.population import Population
from client_model.tflite.interpreter import FileSteps, open_interpreter
from server_strategy.optimizers.base import OptimizerState, checked_step, learning_rate_at
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.update_sum import FixedPointSum, to_float
from simulation.studies.audits.attack import Subject
from simulation.studies.audits.update_sums import Frame, Protection
from typefleet.steps import step

_MEASURED = 20  # held-out phones that say what a model is still good for
_UNBOUNDED = 1e3  # a clip norm that no update reaches
_SCORED_AT_ONCE = 16  # phones


class PlayedTraining:
    """Rounds of phones on some population; made once a process and attack.

    Args:
        subject: whose settings and starting weights.
        population: with the text; the subject's own or one that stands on it.
        purpose: of the attack, which keys the noise.

    Attributes:
        start: the starting weights, float32 [num_weights].
    """

    def __init__(self, subject: Subject, population: Population, purpose: str) -> None:
        from client_model.learning.local_training import limit_threads  # TensorFlow takes seconds to import
        from simulation.engine.phone_host import PhoneHost
        from simulation.run.starting_point import starting_weights

        limit_threads(1)  # the same bits on any number of cores
        prepared = subject.prepared
        self.subject, self.prepared, self.shape = subject, prepared, prepared.shape
        self.start: NDArray[np.float32] = flatten(starting_weights(prepared.start, prepared.config, prepared.shape))
        self._host, self._purpose = PhoneHost(prepared.task), purpose
        self._population = population
        self._lookup = prepared.vocabulary.lookup_table(population.lexicon)

    def updates(
        self, flat: NDArray[np.float32], phones: NDArray[np.int64], number: int
    ) -> Iterator[NDArray[np.float32]]:
        """What each phone makes of the weights: float32 [num_weights].

        Args:
            flat: the weights, float32 [num_weights].
            phones: ids.
            number: of the round, from 1 on, which keys the order of their text.
        """
        received = self._host.load(unflatten(flat, self.shape))
        for phone in phones.tolist():
            batches = training_batches(
                self._population,
                self._lookup,
                phone,
                self.prepared.config.training,
                sequence_length=self.shape.sequence_length,
                seed=self.subject.seed,
                server_round=number,
            )
            yield self._host.train(received, batches).update

    def trained(
        self,
        order: NDArray[np.int64],
        protection: Protection,
        *,
        sends: NDArray[np.bool_] | None = None,
        goal: int | None = None,
    ) -> NDArray[np.float32]:
        """Weights after all rounds under a protection: float32 [num_weights].

        Args:
            order: phones of each round, int64 [rounds, cohort].
            protection: of the sums.
            sends: bool [rounds, cohort], which of them send an update; others send zeros. None: all do.
            goal: that each sum is divided by, however many send; None: the phones of a round.
        """
        flat, settings = self.start, self.prepared.config.server_optimizer
        state: OptimizerState | None = None
        optimizer, key = settings.make(), NoiseKey.seeded(self.subject.seed)
        layers = Frame.of(self.shape, self.prepared.plan.clip_scope).layer_sizes
        sending = np.ones(order.shape, np.bool_) if sends is None else sends
        divisor = order.shape[1] if goal is None else goal
        with step(f"training under {protection.name}", total=int(sending.sum())) as training:
            for number, phones in enumerate(order):
                total = FixedPointSum(len(flat), protection.clip_norm or _UNBOUNDED, layers)
                for update in self.updates(flat, phones[sending[number]], number + 1):
                    total.add(update)
                    training.advance()
                summed = to_float(total.values, total.clip_norm)
                if stddev := protection.stddev(divisor):
                    draws = key.generator(number, 0, purpose=f"{self._purpose}: {protection.name}")
                    summed = summed + stddev * draws.standard_normal(len(summed))
                mean = (summed / divisor).astype(np.float32)
                moved, state = checked_step(optimizer, learning_rate_at(settings, number, len(order)), mean, state)
                flat = flat + moved
        return flat

    def recall(self, flat: NDArray[np.float32]) -> float | None:
        """Of first suggestions, on some held-out phones."""
        received = self._host.load(unflatten(flat, self.shape))
        counts = self._host.score(received, self.prepared.held_out_phones[:_MEASURED].tolist())
        value = TOP1_RECALL.value(sum_counts(counts))
        return None if value is None else float(value)

    def losses(self, flat: NDArray[np.float32], phones: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean cross-entropy of each phone's text, as much as a round trains on: float64 [phones], in nats a token.

        Args:
            flat: the weights, float32 [num_weights].
            phones: ids.
        """
        received = self._host.load(unflatten(flat, self.shape))
        means = []
        for begin in range(0, len(phones), _SCORED_AT_ONCE):
            some = phones[begin : begin + _SCORED_AT_ONCE].tolist()
            batches, tokens = evaluation_batches(
                self._population,
                self._lookup,
                some,
                self.prepared.config.training.max_sequences,
                self.shape.sequence_length,
            )
            loss = self._host.trainer.token_losses(received, batches).astype(np.float64)  # [tokens]
            means.append(np.bincount(tokens.owner, loss, len(some)) / np.bincount(tokens.owner, minlength=len(some)))
        return np.concatenate([np.zeros(0), *means])

    def losses_of_file(self, weights: Weights, phones: NDArray[np.int64]) -> NDArray[np.float64]:
        """`losses` of the weights as they are exported in 8 bits, in the interpreter of phones: float64 [phones].

        Args:
            weights: that are exported.
            phones: ids.
        """
        from client_model.tflite.export_tflite import convert  # TensorFlow takes seconds to import

        file = FileSteps(open_interpreter(convert(self.shape, weights, ("int8",))["int8"]))
        length, most = self.shape.sequence_length, self.prepared.config.training.max_sequences
        means = np.zeros(len(phones))
        with step("asking the file", total=len(phones)) as asking:
            for row, phone in enumerate(phones.tolist()):
                inputs, targets, lengths = last_sequences(self._population, self._lookup, phone, most, length)
                for sequence in np.split(np.arange(len(inputs)), np.cumsum(lengths)[:-1]):
                    logits, _ = file.read(inputs[sequence])  # [n, V]
                    means[row] += float(
                        -scipy.special.log_softmax(logits, 1)[np.arange(len(sequence)), targets[sequence]].sum()
                    )
                means[row] /= len(inputs)
                asking.advance()
        return means
