"""Training in rounds under a protection: what attacks ask models of that ask the same of each protection.

Updates are those of `played_training`; they are added up, clipped and noised as `update_sums.Protection` says.
"""

from collections.abc import Callable, Iterable

import numpy as np
import scipy.special
from numpy.typing import NDArray

from client_model.learning.language_model import Weights
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from client_model.text.batches import evaluation_batches, last_sequences
from client_model.text.population import Population
from client_model.tflite.interpreter import FileSteps, open_interpreter
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.update_sum import FixedPointSum, to_float
from simulation.studies.audits.attack import Subject
from simulation.studies.audits.played_training import PlayedTraining, ServerSteps
from simulation.studies.audits.update_sums import Frame, Protection
from typefleet.steps import step

_MEASURED = 20  # held-out phones that say what a model is still good for
_UNBOUNDED = 1e3  # a clip norm that no update reaches
_SCORED_AT_ONCE = 16  # phones


class ProtectedTraining(PlayedTraining):
    """Rounds of phones, and models of them under one protection after the other.

    Args:
        subject: whose settings they are.
        population: the text that phones have written.
        purpose: of the attack, which keys the noise.
    """

    def __init__(self, subject: Subject, population: Population, purpose: str) -> None:
        super().__init__(subject, population)
        self._purpose = purpose

    def trained(
        self,
        order: NDArray[np.int64],
        protection: Protection,
        *,
        sends: NDArray[np.bool_] | None = None,
        goal: int | None = None,
        purpose: str | None = None,
    ) -> NDArray[np.float32]:
        """Weights after all rounds under a protection: float32 [num_weights].

        Args:
            order: phones of each round, int64 [rounds, cohort].
            protection: of the sums.
            sends: bool [rounds, cohort], which of them send an update; others send zeros. None: all do.
            goal: that each sum is divided by, however many send; None: the phones of a round.
            purpose: keys the noise, in the place of that of the training.
        """
        flat, steps = self.start, ServerSteps(self.prepared.config.server_optimizer, len(order))
        sending = np.ones(order.shape, np.bool_) if sends is None else sends
        divisor = order.shape[1] if goal is None else goal
        with step(f"training under {protection.name}", total=int(sending.sum())) as training:
            for number, phones in enumerate(order):
                updates = self.updates(flat, phones[sending[number]], number + 1)
                mean = self.protected_mean(
                    updates, protection, divisor, number=number, purpose=purpose, advance=training.advance
                )
                flat = steps.after(flat, mean)
        return flat

    def protected_mean(
        self,
        updates: Iterable[NDArray[np.float32]],
        protection: Protection,
        divisor: int,
        *,
        number: int,
        purpose: str | None = None,
        advance: Callable[[], None] = lambda: None,
    ) -> NDArray[np.float64]:
        """What the server sees of a round's updates, divided: float64 [num_weights].

        Args:
            updates: of phones, float32 [num_weights] each.
            protection: of their sum.
            divisor: of the sum; the noise is that of so many phones.
            number: of the round, which keys the noise.
            purpose: keys it as well, in the place of that of the training.
            advance: called after each update.
        """
        layers = Frame.of(self.shape, self.prepared.plan.clip_scope).layer_sizes
        total = FixedPointSum(len(self.start), protection.clip_norm or _UNBOUNDED, layers)
        for update in updates:
            total.add(update)
            advance()
        summed: NDArray[np.float64] = to_float(total.values, total.clip_norm)
        if stddev := protection.stddev(divisor):
            key = NoiseKey.seeded(self.subject.seed)
            draws = key.generator(number, 0, purpose=f"{purpose or self._purpose}: {protection.name}")
            summed = summed + stddev * draws.standard_normal(len(summed))
        return summed / divisor

    def recall(self, flat: NDArray[np.float32]) -> float | None:
        """Of first suggestions, on some held-out phones."""
        counts = self.counts(flat, _MEASURED)
        value = TOP1_RECALL.value({name: column.sum(0) for name, column in counts.items()})
        return None if value is None else float(value)

    def losses(self, flat: NDArray[np.float32], phones: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean cross-entropy of each phone's text, as much as a round trains on: float64 [phones], in nats a token.

        Args:
            flat: the weights, float32 [num_weights].
            phones: ids.
        """
        received = self.host.load(self.weights(flat))
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
            loss = self.host.trainer.token_losses(received, batches).astype(np.float64)  # [tokens]
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
