"""The vocabulary of a run that counts words on phones under its guarantee: selected once, with noise, then read again.

A run that goes on, or is opened again when it has ended, reads the words from model/vocab.txt, which is written before
the first checkpoint: noise that is drawn once needs no key that anybody keeps.

A run that models a deployment adds the share of the noise that its cohort is of the modelled one, here as in training.
Words are legible, so that it keeps, beside the threshold, the rule of vocabularies outside of the guarantee: at least
--data.min-phones-a-word phones of this run wrote a word which enters. The deployment does not need it.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import wanted_vocabulary_size
from client_model.text.population import Population
from client_model.text.vocabulary import FIRST_WORD, Vocabulary, read_vocabulary, vocabulary_of
from client_model.text.word_weights import word_weights
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.vocabulary_cost import VocabularyCost
from simulation.config import RunConfig
from simulation.files import write_text_atomically
from typefleet.errors import ConfigError, expected

PURPOSE = "vocabulary"


def private_vocabulary(
    config: RunConfig, population: Population, phones: NDArray[np.int64], plan: PrivacyPlan, noise: NoiseKey
) -> Vocabulary:
    """Words whose noised weight is above the plan's threshold, by falling noised weight, as many as fit.

    The order is that of noised weights, so it tells no more than the selection does; models and suggestions want
    frequent words first.

    Args:
        config: of the run.
        population: the text.
        phones: ids of those that give words.
        plan: with a vocabulary.
        noise: key of the noise; with another purpose than that of the weights.

    Raises:
        ConfigError: no word is above the threshold.
    """
    if (cost := plan.vocabulary) is None:
        raise ValueError(expected("plan", "one with a vocabulary", "none"))
    found = word_weights(population, phones, cost.words_per_phone)
    candidates = np.flatnonzero(found.weights > 0)  # which some phone gave
    share = plan.share_of_the_noise
    draws = noise.generator(0, 0, purpose=PURPOSE).standard_normal(len(candidates))
    noised = found.weights[candidates] + cost.noise_stddev * share * draws
    enters = noised > cost.threshold * share
    if plan.modelled_cohort is not None:
        enters &= found.writers[candidates] >= config.data.min_phones_a_word
    candidates, noised = candidates[enters], noised[enters]
    lexicon = population.lexicon
    words = [lexicon[i] for i in candidates[np.argsort(-noised, kind="stable")].tolist()]
    vocabulary = vocabulary_of(words, wanted_vocabulary_size(config.model))
    if len(vocabulary) <= FIRST_WORD:
        raise _nothing(plan, cost, len(phones))
    return vocabulary


def _nothing(plan: PrivacyPlan, cost: VocabularyCost, phones: int) -> ConfigError:
    needed = max(round(cost.phones_for_half * plan.share_of_the_noise), 1)
    what = (
        f"words of enough phones (some {needed:,} at epsilon {Bound(cost.epsilon):.6g}; see "
        "--privacy.vocabulary-epsilon, or give a public list as --data.vocabulary-path)"
    )
    return ConfigError(expected("the training phones", what, f"none, on {phones:,} phones"))


def noise_of_vocabulary(config: RunConfig) -> NoiseKey:
    """The key of the selection's noise: forgotten when it is done, unless the run is to be repeated from its seed."""
    if config.privacy.noise_source == "seeded":
        return NoiseKey.seeded(config.seed)
    return NoiseKey.fresh()


def recorded_vocabulary(folder: Path, plan: PrivacyPlan) -> Vocabulary | None:
    """The words that a run in this folder selected; None if they are not there, or were not selected with noise.

    Raises:
        VocabularyError: the file is not the one that was written.
    """
    path = _path(folder)
    return read_vocabulary(path) if plan.vocabulary is not None and path.exists() else None


def record_vocabulary(folder: Path, plan: PrivacyPlan, vocabulary: str) -> None:
    """Keep what was selected with noise, before anything of the run is released."""
    if plan.vocabulary is not None:
        write_text_atomically(_path(folder), vocabulary)


def _path(folder: Path) -> Path:
    return folder / "model" / "vocab.txt"
