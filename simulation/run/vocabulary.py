"""The vocabulary of a run: read from a file, or counted on phones."""

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import wanted_vocabulary_size
from client_model.text.population import Population
from client_model.text.vocabulary import FIRST_WORD, Vocabulary, build_vocabulary, read_vocabulary
from client_model.text.word_counts import type_counts, type_writers
from simulation.config import RunConfig
from typefleet.errors import ConfigError


def run_vocabulary(
    config: RunConfig, population: Population, phones: NDArray[np.int64], where: str, min_phones: int
) -> Vocabulary:
    """The list that --data.vocabulary-path names, else the most frequent words of some phones.

    Args:
        config: of the run.
        population: the text.
        phones: ids, whose words are counted.
        where: what the text is, for the error.
        min_phones: that wrote a word which enters. What fewer wrote may be one person's: a name, a number.

    Raises:
        ConfigError: there is no word on the phones.
        VocabularyError: the list cannot be used.
    """
    if config.data.vocabulary_path is not None:
        return read_vocabulary(config.data.vocabulary_path)
    counts = type_counts(population, phones)
    if min_phones > 1:
        counts[type_writers(population, phones) < min_phones] = 0
    vocabulary = build_vocabulary(list(population.lexicon), counts, wanted_vocabulary_size(config.model))
    if len(vocabulary) <= FIRST_WORD:
        of_several = f" that at least {min_phones} phones wrote (--data.min-phones-a-word)" if min_phones > 1 else ""
        raise ConfigError(f"{where}: expected words{of_several}, found none")
    return vocabulary
