"""A host: trains and scores simulated phones, one after another or several at once.

It keeps the opened population, the vocabulary table and the traced model of the last tasks it saw,
so that text is opened and the model traced once per worker, not once per message.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache

from client_model.learning.language_model import Weights
from client_model.learning.trainers import GroupTrainer, LocalResult, Received, make_trainer
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.metric import Counts
from client_model.metrics.scored_tokens import ScoredTokens, TokenScores, spelled_lookup
from client_model.text.batches import PackedBatches, evaluation_batches, training_batches
from client_model.text.kept_text import DAY_S, KeptText
from client_model.text.population import Population, open_population
from client_model.text.vocabulary import vocabulary_from_text
from simulation.engine.host_task import HostTask
from simulation.engine.node_text import NOTHING_TOLD, OwnText, population_here

_READ_TOGETHER = 16  # phones; the memory that their text takes is little beside that of training one


class PhoneHost:
    """Trains and scores phones."""

    def __init__(self, task: HostTask, own: OwnText = NOTHING_TOLD, text_key: bytes = b"") -> None:
        self.task = task
        self._population = open_population(*population_here(task, own, text_key))
        vocabulary = vocabulary_from_text(task.vocabulary)
        self._lookup = vocabulary.lookup_table(self._population.lexicon)
        self._spelled = spelled_lookup(vocabulary, self._population)
        self.keystrokes = keystroke_table(vocabulary.tokens)
        self.trainer = make_trainer(
            task.shape, task.training.max_gradient_norm, task.kernel, task.group, task.local_optimizer
        )
        self.trainer.warm_up()
        self._coming: list[int] = []
        self._ahead: dict[tuple[int, int, float], PackedBatches] = {}

    @property
    def phones_at_a_time(self) -> int:
        """Phones that it trains at once."""
        return self.trainer.phones_at_a_time if isinstance(self.trainer, GroupTrainer) else 1

    def load(self, weights: Weights) -> Received:
        """Weights as the trainer takes them, once for all phones of a message."""
        return self.trainer.load(weights)

    def expect(self, phones: Sequence[int]) -> None:
        """Say whose text will be read, in this order; some are then read together.

        Training empties the processor's caches of the code that reads and of what it looks up, so that reading after
        each takes five times as long.
        """
        self._coming, self._ahead = list(phones), {}

    def read(self, phone: int, server_round: int, opened_s: float = 0.0) -> PackedBatches:
        """What one phone trains on in one round, of what it keeps when that opens."""
        found = self._ahead.pop((phone, server_round, opened_s), None)
        if found is not None:
            return found
        if phone in self._coming:
            next_one = self._coming.index(phone) + 1
            ahead, self._coming = self._coming[next_one:][: _READ_TOGETHER - 1], self._coming[next_one:]
            for other in ahead:
                with suppress(Exception):  # it is raised again when that phone's turn comes
                    self._ahead[other, server_round, opened_s] = self._read(other, server_round, opened_s)
        return self._read(phone, server_round, opened_s)

    def _read(self, phone: int, server_round: int, opened_s: float) -> PackedBatches:
        task = self.task
        return training_batches(
            self._kept(opened_s),
            self._lookup,
            phone,
            task.training,
            sequence_length=task.shape.sequence_length,
            seed=task.seed,
            server_round=server_round,
        )

    def _kept(self, opened_s: float) -> Population:
        """The phones' text at a moment of simulated time."""
        if isinstance(self._population, KeptText):
            self._population = self._population.on_day(int(opened_s // DAY_S))
        return self._population

    def train(self, received: Received, batches: PackedBatches) -> LocalResult:
        """One phone's training, from the received weights."""
        return self.trainer.train(received, batches, self.task.training.learning_rate)

    def train_together(self, received: Received, phones: Sequence[PackedBatches]) -> list[LocalResult]:
        """The training of at most `phones_at_a_time` phones, from the received weights."""
        if isinstance(self.trainer, GroupTrainer):
            return self.trainer.train_together(received, phones, self.task.training.learning_rate)
        return [self.train(received, batches) for batches in phones]

    def score(self, received: Received, phones: Sequence[int]) -> list[Counts]:
        """The counts of several held-out phones, computed together; one entry per phone."""
        batches, tokens = evaluation_batches(
            self._population, self._spelled, phones, self.task.evaluation_sequences, self.task.shape.sequence_length
        )
        scores = self.trainer.score(received, batches, self.keystrokes)
        found: list[Counts] = []
        for number in range(len(phones)):
            own = tokens.owner == number
            scored = ScoredTokens(
                scores=TokenScores(*(column[own] for column in scores)),
                place=tokens.place[own],
                unknown_letters=tokens.unknown_letters[own],
                table=self.keystrokes,
            )
            found.append(self.task.metrics.count(scored))
        return found


@lru_cache(maxsize=2)
def host_for(task_json: str, own: OwnText = NOTHING_TOLD, text_key: bytes = b"") -> PhoneHost:
    """The host for a task, made once a process.

    Args:
        task_json: the task.
        own: what its node was told of its text.
        text_key: of the tokenised text, where that is encrypted.
    """
    return PhoneHost(HostTask.from_json(task_json), own, text_key)
