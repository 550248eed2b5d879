"""Where a run's weights start: at random, at given weights, or after central training on a public corpus.

`--model.init` takes `public` (what ships with the project), a run's folder, a weights file (.npz, with vocab.txt
beside it), or a file of messages. The vocabulary comes with it: the one of the weights, or the corpus's most frequent
words, unless --data.vocabulary-path names one.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from client_model.config import DataConfig, public_shape
from client_model.learning.language_model import ModelShape, Weights, initial_weights
from client_model.learning.trainers import chosen_kernel
from client_model.public_start import FOLDER, PUBLIC_START, starting_file
from client_model.text.population import PopulationSpec, open_population, prepare_population
from client_model.text.purpose import NEXT_WORD
from client_model.text.vocabulary import Vocabulary, read_vocabulary
from simulation.config import RunConfig
from simulation.run.directory import read_weights
from simulation.run.earlier_runs import run_of
from simulation.run.forgotten import require_nothing_pending
from simulation.run.vocabulary import run_vocabulary
from typefleet.errors import ConfigError, expected, unreadable
from typefleet.plain_names import plain
from typefleet.untrusted.opening import require_file
from typefleet.untrusted.toml_tables import read_toml


@dataclass(frozen=True)
class StartingPoint:
    """What --model.init names."""

    path: Path  # of the weights or of the corpus
    vocabulary: Vocabulary
    digest: str  # SHA-256 of the file
    corpus: PopulationSpec | None  # None: the file holds weights

    @property
    def ships_with_us(self) -> bool:
        """Whether it is the public start."""
        return self.path.parent == FOLDER

    @property
    def name(self) -> str:
        """Which file it is, and of which run or in which folder, without where that lies."""
        folder, beside = self.path.absolute().parent, "in"
        if folder.name == "model":
            folder, beside = folder.parent, "of"
        return plain(f"{self.path.name} {beside} {folder.name}")

    @property
    def description(self) -> str:
        """For the privacy statement."""
        if self.ships_with_us:
            return "the starting weights and the vocabulary, which ship with Typefleet: trained on public text alone"
        if self.corpus is None:
            return f"the starting weights, read from {self.name}: what they were trained on is not covered"
        return f"central training on the text of {plain(self.path.name)}, for the starting weights: taken to be public"


def open_starting_point(config: RunConfig) -> StartingPoint | None:
    """The starting point of a configuration; None if weights start at random.

    Raises:
        ConfigError, DataError, VocabularyError: the file cannot be used.
    """
    path = starting_file(config.model.init, lambda: public_shape(config.model))
    if path is None:
        return None
    if config.model.init == PUBLIC_START and public_shape(config.model) is None:
        shapes = "cifg small, cifg large, or stacked small of 2 layers"
        found = f"another ({config.model.cell} {config.model.preset}, or other sizes)"
        raise ConfigError(expected("--model.init public", f"a model that has public weights ({shapes})", found))
    if path.is_dir():
        path = path / "model" / "weights.npz"
    _require_same_purpose(config, path)
    if path.suffix == ".npz":
        require_nothing_pending(run_of(path), "--model.init")
    try:
        require_file(path, error=ConfigError)  # of a pipe or a device nothing would come, or no end
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except ConfigError as error:
        raise ConfigError(f"--model.init: {error}") from error
    except OSError as error:
        raise ConfigError(unreadable(f"--model.init: {path}", error)) from error
    if path.suffix == ".npz":
        return StartingPoint(path, _vocabulary_of_weights(config, path), digest, None)
    of_run = config.data
    data = DataConfig(path=path, on_bad_line=of_run.on_bad_line, cache_dir=of_run.cache_dir, purpose=of_run.purpose)
    spec = prepare_population(data, config.seed, None, storage_key=config.storage.key)
    corpus = open_population(spec)
    writers = corpus.num_phones
    # Public or not, what few people wrote is theirs; a book's one writer has nobody to stand out from.
    least = min(config.data.min_phones_a_word, writers)
    vocabulary = run_vocabulary(config, corpus, np.arange(writers), f"--model.init: {path}", least)
    return StartingPoint(path, vocabulary, digest, spec)


def _require_same_purpose(config: RunConfig, path: Path) -> None:
    """Refuse weights of a run whose people gave their text for something else.

    Raises:
        ConfigError: they are.
    """
    settings = run_of(path) / "config.toml"
    if path.suffix != ".npz" or not settings.exists():
        return
    data = read_toml(settings, "settings of a run", ConfigError).get("data", {})
    earlier = data.get("purpose", NEXT_WORD) if isinstance(data, dict) else NEXT_WORD  # there was no other once
    if earlier != config.data.purpose:
        raise ConfigError(
            expected("--data.purpose", f"that of the run that it starts from, {earlier}", config.data.purpose)
        )


def _vocabulary_of_weights(config: RunConfig, path: Path) -> Vocabulary:
    beside = path.with_name("vocab.txt")
    given = config.data.vocabulary_path
    if given is None and not beside.exists():
        raise ConfigError(f"--model.init: expected vocab.txt beside {path}, or --data.vocabulary-path, found neither")
    vocabulary = read_vocabulary(given or beside)
    if beside.exists() and read_vocabulary(beside) != vocabulary:
        raise ConfigError(f"--data.vocabulary-path: expected the vocabulary of the weights, {beside}, found {given}")
    return vocabulary


def starting_weights(point: StartingPoint | None, config: RunConfig, shape: ModelShape) -> Weights:
    """The weights before the first round.

    Raises:
        ConfigError: the weights are of another model.
    """
    if point is None:
        return initial_weights(shape, config.seed)
    if point.corpus is None:
        return read_weights(point.path, shape)
    from client_model.learning.central_training import train_centrally  # TensorFlow takes seconds to import

    corpus = open_population(point.corpus)
    return train_centrally(
        corpus,
        point.vocabulary.lookup_table(corpus.lexicon),
        shape,
        initial_weights(shape, config.seed),
        epochs=config.model.init_epochs,
        learning_rate=config.model.init_learning_rate,
        max_gradient_norm=config.training.max_gradient_norm,
        seed=config.seed,
        kernel=chosen_kernel(config.engine.kernel, shape),
        name=f"central training on {point.path.name}",
    )
