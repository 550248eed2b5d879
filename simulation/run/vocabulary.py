"""The vocabulary of a run: read from a file, or counted on phones."""

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import wanted_vocabulary_size
from client_model.text.population import Population, type_counts
from client_model.text.vocabulary import FIRST_WORD, Vocabulary, build_vocabulary, read_vocabulary
from simulation.config import RunConfig
from typefleet.errors import ConfigError


def run_vocabulary(config: RunConfig, population: Population, phones: NDArray[np.int64], where: str) -> Vocabulary:
    """The list that --data.vocabulary-path names, else the most frequent words of some phones.

    Args:
        config: of the run.
        population: the text.
        phones: ids, whose words are counted.
        where: what the text is, for the error.

    Raises:
        ConfigError: there is no word on the phones.
        VocabularyError: the list cannot be used.
    """
    if config.data.vocabulary_path is not None:
        return read_vocabulary(config.data.vocabulary_path)
    counts = type_counts(population, phones)
    vocabulary = build_vocabulary(list(population.lexicon), counts, wanted_vocabulary_size(config.model))
    if len(vocabulary) <= FIRST_WORD:
        raise ConfigError(f"{where}: expected words, found only punctuation")
    return vocabulary
