"""What it costs that the words of a vocabulary are chosen with noise: coverage, and what counting then suggests.

Each row is a vocabulary: counted exactly, as without a guarantee; selected with noise at some epsilon; the public list,
which costs no phone anything. All are measured on the same held-out people: the share of their words (and emoji) that a
vocabulary has; the share of all their words that are among the three suggestions of smoothed trigrams counted on the
training phones, a word outside of the vocabulary never being one; and the keystrokes saved, where it is typed in full.
Nothing is trained. Each seed has other people held out and other noise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from client_model.metrics.counting_baselines import PhonesText, measure_baselines
from client_model.metrics.intervals import Interval, over_seeds
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.scored_tokens import spelled_lookup
from client_model.public_start import FOLDER, RANDOM_START
from client_model.text.population import Population
from client_model.text.vocabulary import FIRST_WORD, Vocabulary, may_enter, read_vocabulary
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.planning import make_privacy_plan
from simulation.config import RunConfig
from simulation.run.accepted_input import AcceptedInput, accept_input
from simulation.run.private_vocabulary import private_vocabulary
from simulation.run.vocabulary import run_vocabulary
from simulation.tables import console_for, print_table
from typefleet.errors import ConfigError
from typefleet.steps import each


@dataclass(frozen=True)
class Measured:
    """One vocabulary over all seeds; None where no word entered."""

    name: str
    phones_for_half: int | None  # phones with full lists that have to give a word; None without a threshold
    words: Interval | None
    coverage: Interval | None  # of held-out words
    suggested: Interval | None  # of all held-out words, among the first three
    savings: Interval | None  # of keystrokes


class _Case(NamedTuple):
    name: str
    phones_for_half: int | None
    vocabulary: Vocabulary | None


class Price(NamedTuple):
    """What was measured, on how many phones."""

    rows: list[Measured]
    counted_phones: int
    held_out_phones: int


def measure_price(config: RunConfig, epsilons: Sequence[float], words_per_phone: int, seeds: int) -> Price:
    """Count, select and measure.

    Args:
        config: whose text and split are taken.
        epsilons: of the selections.
        words_per_phone: that a phone gives to a selection, at most.
        seeds: how many, from the configuration's on.

    Raises:
        InputError: the text cannot be used.
    """
    of_no_run = PrivacyConfig(noise_multiplier=1.0, vocabulary_epsilon="none")
    config = replace(config, model=replace(config.model, init=RANDOM_START), privacy=of_no_run)
    found: dict[str, list[tuple[float, ...]]] = {}
    needed: dict[str, int | None] = {}
    for seed in each("measuring", range(config.seed, config.seed + seeds), seeds):
        accepted = accept_input(replace(config, seed=seed))
        for case in _cases(accepted, sorted(epsilons, reverse=True), words_per_phone):
            needed[case.name] = case.phones_for_half
            of_name = found.setdefault(case.name, [])
            if case.vocabulary is not None:
                of_name.append(_figures(accepted, case.vocabulary))
    rows = [_over_seeds(name, needed[name], rows, seeds) for name, rows in found.items()]
    return Price(rows, len(accepted.counted_phones), len(accepted.counted_held_out))


def _cases(accepted: AcceptedInput, epsilons: Sequence[float], words_per_phone: int) -> Iterator[_Case]:
    config, population, counted = accepted.config, accepted.population, accepted.counted_phones
    least = config.data.min_phones_a_word
    exact = run_vocabulary(config, population, counted, "the training phones", least)
    yield _Case(f"counted exactly, {least} phones a word", None, exact)
    for epsilon in epsilons:
        privacy = replace(config.privacy, vocabulary_epsilon=epsilon, vocabulary_words_per_phone=words_per_phone)
        plan = make_privacy_plan(config.cohort, privacy, rounds=1, num_phones=population.num_phones, counts_words=True)
        try:
            words = private_vocabulary(config, population, counted, plan, NoiseKey.seeded(config.seed))
        except ConfigError:  # no word is above the threshold
            words = None
        needed = None if plan.vocabulary is None else plan.vocabulary.phones_for_half
        yield _Case(f"with noise, epsilon {epsilon:g}", needed, words)
    yield _Case("public list", None, read_vocabulary(FOLDER / "vocab.txt"))


def _figures(accepted: AcceptedInput, vocabulary: Vocabulary) -> tuple[float, ...]:
    """(words, coverage, share of all words suggested, keystrokes saved) on the held-out people."""
    population, held_out = accepted.population, accepted.counted_held_out
    spelled = spelled_lookup(vocabulary, population)
    evaluation = accepted.config.evaluation
    counting = measure_baselines(
        PhonesText(population, spelled, accepted.counted_phones),
        PhonesText(population, spelled, held_out),
        keystroke_table(vocabulary.tokens),
        max_sequences=evaluation.max_sequences,
        sequence_length=accepted.config.model.sequence_length,
    )
    covered = coverage(vocabulary, population, held_out)
    return (
        len(vocabulary) - FIRST_WORD,
        covered,
        covered * (counting.trigram_top3 or 0.0),
        counting.trigram_keystroke_savings or 0.0,
    )


def coverage(vocabulary: Vocabulary, population: Population, phones: NDArray[np.int64]) -> float:
    """Share of the words and emoji on some phones that a vocabulary has.

    Args:
        vocabulary: the words.
        population: the text.
        phones: ids.
    """
    size = len(population.lexicon)
    counts = np.zeros(size + 1, np.int64)
    for types, _ in population.types_of_phones(phones):
        counts += np.bincount(np.minimum(types, size), minlength=size + 1)
    is_word = np.array([may_enter(token) for token in population.lexicon] + [True])  # the last: all that are unlisted
    has = vocabulary.lookup_table(population.lexicon) >= FIRST_WORD
    total = int(counts[is_word].sum())
    return float(counts[is_word & has].sum() / total) if total else 0.0


def _over_seeds(name: str, phones: int | None, rows: Sequence[tuple[float, ...]], seeds: int) -> Measured:
    if len(rows) < seeds:  # in some draws there is no vocabulary at all
        return Measured(name, phones, words=None, coverage=None, suggested=None, savings=None)
    words, covered, suggested, savings = (over_seeds(column) for column in zip(*rows, strict=True))
    return Measured(name, phones, words=words, coverage=covered, suggested=suggested, savings=savings)


def print_price(stream: TextIO, price: Price, words_per_phone: int) -> None:
    """Print the table.

    Args:
        stream: where to.
        price: what was measured.
        words_per_phone: that a phone gave, at most.
    """
    console = console_for(stream)
    headings = (
        "vocabulary",
        "phones\na word",
        "words",
        "coverage\n%",
        "in the first\nthree, %",
        "keystrokes\nsaved, %",
    )
    rows = [
        [
            one.name,
            "-" if one.phones_for_half is None else f"{one.phones_for_half:,}",
            _shown(one.words, 1, 0),
            *(_shown(value, 100, 1) for value in (one.coverage, one.suggested, one.savings)),
        ]
        for one in price.rows
    ]
    print_table(console, headings, rows)
    console.print(
        f"Words of {price.counted_phones:,} phones, with noise at most {words_per_phone:,} of each; shares are of all "
        f"words of {price.held_out_phones:,} held-out people. Phones a word: so many that give full lists let it enter "
        "in half of all draws. ±: 95 % over seeds."
    )


def _shown(value: Interval | None, scale: float, digits: int) -> str:
    if value is None:
        return "none"
    spread = "" if value.half_width is None else f" ±{scale * value.half_width:,.{digits}f}"
    return f"{scale * value.mean:,.{digits}f}{spread}"
