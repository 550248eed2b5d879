"""The work that is measured: phones that all hold the same amount of text.

50 sentences of 20 tokens per phone, batches of 16, vocabulary 10,000: the next-word task on Stack
Overflow as it is published for federated learning simulators, with the words of the synthetic
population. A sentence of 19 words gives 20 (input, target) pairs, its start and end included.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client_model.config import ModelConfig, TrainingConfig
from client_model.learning.cells.base import Cell, CellSizes, CellWeight, Tensor, Tensors
from client_model.learning.language_model import ModelShape, model_shape
from client_model.text.synthetic_text import SyntheticPopulation
from client_model.text.vocabulary import PUNCTUATION, build_vocabulary

SENTENCES, TOKENS, BATCH = 50, 20, 16
VOCABULARY = 10_000
LEARNING_RATE = 0.3
_COUNTED_PHONES = 400  # at most, for the vocabulary and what counting achieves
# No bound on a step's gradient: the textbook client has none either.
TRAINING = TrainingConfig(LEARNING_RATE, max_gradient_norm=0.0, batch_size=BATCH)


@dataclass(frozen=True)
class StepOnly:
    """A cell without its hand-written passes, so that it trains by automatic differentiation of its step."""

    inner: Cell

    @property
    def name(self) -> str:
        """That of the cell inside."""
        return self.inner.name

    def weights(self, sizes: CellSizes) -> Mapping[str, CellWeight]:
        """Those of the cell inside."""
        return self.inner.weights(sizes)

    def state_sizes(self, sizes: CellSizes) -> Mapping[str, int]:
        """Those of the cell inside."""
        return self.inner.state_sizes(sizes)

    def step(self, weights: Tensors, x: Tensor, state: Tensors) -> tuple[Tensor, Tensors]:
        """One step of the cell inside."""
        return self.inner.step(weights, x, state)


def shape_of(cell: str) -> ModelShape:
    """The 96 / 670 model with a cell."""
    return model_shape(ModelConfig(preset="gboard", cell=cell), VOCABULARY)


def flop_per_token(shape: ModelShape) -> float:
    """Floating-point operations of the matrix products for one trained token, forward and backward.

    Each weight matrix takes part in one product forward and two backward, of 2 operations a weight; the
    embedding in those of the logits. Biases and gates are left out.
    """
    return 6.0 * sum(math.prod(dims) for dims in shape.weight_shapes().values() if len(dims) == 2)


def spelled_words(number: int) -> list[str]:
    """Made-up tokens; as many begin alike as in English, where a word shares its first letter with 8 % of all."""
    return [f"{'abcdefghijklm'[word % 13]}{word}" for word in range(number)]


def write_messages(path: Path, phones: int, sentences: int = SENTENCES, words: int = TOKENS - 1) -> None:
    """A JSON-lines file of `phones` users with the same number of equally long messages, and words beside it.

    Counted on phones, words of one of them would be left out, and a model of few phones would be smaller than it is to
    be; these words are made up, so they may all be listed.
    """
    population = SyntheticPopulation(seed=0, num_phones=100 * phones + 1000)
    lexicon, pool, source, counts = population.lexicon, list[str](), 0, Counter[str]()
    with path.open("w", encoding="utf-8") as file:
        for phone in range(phones):
            while len(pool) < sentences * words:
                types, _ = population.types(source)
                pool += [lexicon[t] for t in types if len(PUNCTUATION) <= t < len(lexicon)]
                source += 1
            for begin in range(0, sentences * words, words):
                text = " ".join(pool[begin : begin + words])
                file.write(json.dumps({"user_id": f"phone {phone}", "text": text}) + "\n")
            if phone < _COUNTED_PHONES:
                counts.update(pool[: sentences * words])
            pool = pool[sentences * words :]
    listed = build_vocabulary(list(counts), np.array(list(counts.values()), np.int64), VOCABULARY)
    vocabulary_of(path).write_text(listed.to_text(), encoding="utf-8")


def vocabulary_of(messages: Path) -> Path:
    """Where the words of a file of messages are listed."""
    return messages.with_suffix(".vocab.txt")


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """One simulation of this work.

    Attributes:
        cell: of the model.
        phones: that train in a round.
        rounds: of the run.
        workers: of the engine.
        held_out_share: of the phones, which are only scored.
        scored: phones at most that are scored each time; two units of eight for each worker wake them all.
        scores_every: rounds; also before the first and after the last.
    """

    cell: str
    phones: int
    rounds: int
    workers: int
    held_out_share: float
    scored: int
    scores_every: int


def simulate_flags(messages: Path, cache: Path, of: Simulated) -> list[str]:
    """Flags of scripts/simulate.py for this work: everybody is there, nobody drops out, all are used."""
    flags = {
        "data.path": messages,
        "data.cache-dir": cache,
        "data.held-out-share": of.held_out_share,
        "data.vocabulary-path": vocabulary_of(messages),
        "data.vocabulary-phones": _COUNTED_PHONES,
        "model.preset": "gboard",
        "model.cell": of.cell,
        "training.batch-size": BATCH,
        "training.max-gradient-norm": 0,
        "training.learning-rate": LEARNING_RATE,
        "cohort.goal": of.phones,
        "cohort.over-selection": 1,
        "cohort.min-separation-rounds": 1,
        "cohort.deadline-s": 1e9,
        "fleet.failure-share": 0,
        "fleet.memory-floor-gb": 0,
        "fleet.eligible-share-alpha": 1e4,
        "fleet.eligible-share-beta": 1e-2,
        "privacy.noise-multiplier": 1,
        "rounds": of.rounds,
        "engine.workers": of.workers,
        "engine.checkpoint-every-rounds": of.rounds,
        "evaluation.every-rounds": of.scores_every,
        "evaluation.max-sequences": SENTENCES,
        "evaluation.max-phones": of.scored,
    }
    named = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    # An export takes longer than the smaller of these runs, and nothing of it is measured.
    return [*named, "--engine.profile", "--engine.no-export", "--engine.no-report", "--tracking.trackers"]
