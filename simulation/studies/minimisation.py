"""What less text costs: suggestions against how much each phone keeps, and against redaction.

Each row is the text of the training phones, cut down in one way. Words are counted on what is left of it, and smoothed
trigrams (Witten-Bell) as well; both are measured on the same held-out people's text, which is whole and as they wrote
it. A word that the vocabulary lacks is one that was not suggested. Nothing is trained: what counting makes of less text
is not what a model makes of it, but it is known in seconds. Each seed has other people held out; what a row loses is
the mean over seeds of its difference from all of the text, on the same people.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from client_model.config import DataConfig
from client_model.metrics.counting_baselines import PhonesText, measure_baselines
from client_model.metrics.intervals import Interval, over_seeds, shown_half, why_so_wide
from client_model.metrics.keystrokes import keystroke_table
from client_model.metrics.scored_tokens import spelled_lookup
from client_model.public_start import RANDOM_START
from client_model.text.population import Population
from server_strategy.privacy.config import PrivacyConfig
from simulation.config import RunConfig
from simulation.run.accepted_input import AcceptedInput, accept_input
from simulation.run.vocabulary import run_vocabulary
from simulation.studies.vocabulary_price import coverage
from simulation.tables import console_for, print_table
from typefleet.steps import each

ALL = "all of it"
Redacting = Literal["mask", "drop"]


@dataclass(frozen=True)
class Row:
    """One way to have less text, over seeds."""

    name: str
    kept: Interval  # share of the training phones' tokens
    first: Interval  # share of all words of the held-out people that are the first suggestion
    three: Interval  # that are among three
    first_lost: Interval | None  # what `first` is less than with all text; None: it is all


@dataclass(frozen=True)
class Minimisation:
    """What was measured."""

    rows: list[Row]  # all text first
    training_phones: int
    held_out_phones: int
    seeds: int


@dataclass(frozen=True)
class _Figures:
    kept: float
    first: float
    three: float


def measure_minimisation(
    config: RunConfig, tokens: Sequence[int], redactions: Sequence[Redacting], seeds: int
) -> Minimisation:
    """Cut the text down in each way, count and measure.

    Args:
        config: whose text and split are taken.
        tokens: limits of what each training phone keeps.
        redactions: ways to redact.
        seeds: how many, from the configuration's on.

    Raises:
        InputError: the text cannot be used.
    """
    whole = replace(config.data, redact="off", keep_tokens=None, keep_messages=None, keep_days=None)
    of_no_run = PrivacyConfig(mechanism="none")
    config = replace(config, data=whole, model=replace(config.model, init=RANDOM_START), privacy=of_no_run)
    found: dict[str, list[_Figures]] = {}
    for seed in each("measuring", range(config.seed, config.seed + seeds), seeds):
        everything = accept_input(replace(config, seed=seed))
        for name, data in _ways(whole, tokens, redactions):
            less = everything if data == whole else accept_input(replace(config, seed=seed, data=data))
            found.setdefault(name, []).append(_figures(everything, less))
    rows = [_over_seeds(name, figures, found[ALL]) for name, figures in found.items()]
    return Minimisation(rows, len(everything.counted_phones), len(everything.held_out_phones), seeds)


def _ways(
    whole: DataConfig, tokens: Sequence[int], redactions: Sequence[Redacting]
) -> Iterator[tuple[str, DataConfig]]:
    yield ALL, whole
    for limit in sorted(tokens, reverse=True):
        yield f"newest {limit:,} tokens", replace(whole, keep_tokens=limit)
    for mode in redactions:
        yield f"redacted: {mode}", replace(whole, redact=mode)


def _figures(everything: AcceptedInput, less: AcceptedInput) -> _Figures:
    """What is left of the text, and what counting it comes to on the people who are held out of all of it."""
    held_out, config = everything.held_out_phones, everything.config
    people = everything.digests[everything.counted_phones]
    phones = np.flatnonzero(np.isin(less.digests, people))  # a phone that has nothing left is not there
    least = config.data.min_phones_a_word
    vocabulary = run_vocabulary(config, less.population, phones, "the training phones", least)
    counting = measure_baselines(
        PhonesText(less.population, spelled_lookup(vocabulary, less.population), phones),
        PhonesText(everything.population, spelled_lookup(vocabulary, everything.population), held_out),
        keystroke_table(vocabulary.tokens),
        max_sequences=config.evaluation.max_sequences,
        sequence_length=config.model.sequence_length,
    )
    covered = coverage(vocabulary, everything.population, held_out)
    kept = _tokens(less.population, phones) / _tokens(everything.population, everything.counted_phones)
    return _Figures(kept, covered * (counting.trigram_top1 or 0.0), covered * (counting.trigram_top3 or 0.0))


def _tokens(population: Population, phones: NDArray[np.int64]) -> int:
    return sum(int(population.message_lengths(phone).sum()) for phone in phones.tolist())


def _over_seeds(name: str, figures: Sequence[_Figures], whole: Sequence[_Figures]) -> Row:
    lost = [all_of_it.first - less.first for all_of_it, less in zip(whole, figures, strict=True)]
    return Row(
        name,
        kept=over_seeds([one.kept for one in figures]),
        first=over_seeds([one.first for one in figures]),
        three=over_seeds([one.three for one in figures]),
        first_lost=None if name == ALL else over_seeds(lost),
    )


def print_minimisation(stream: TextIO, found: Minimisation) -> None:
    """Print the table, and what it is of.

    Args:
        stream: where to.
        found: what was measured.
    """
    console = console_for(stream)
    headings = ("each phone keeps", "of the\ntext, %", "first\nsuggestion, %", "among\nthree, %", "lost,\npoints")
    rows = [
        [one.name, *(_shown(value) for value in (one.kept, one.first, one.three)), _shown(one.first_lost)]
        for one in found.rows
    ]
    print_table(console, headings, rows)
    wide = why_so_wide(found.seeds)
    console.print(
        f"Of all words of {found.held_out_phones:,} held-out people, by trigrams counted on {found.training_phones:,} "
        f"training phones. Lost: of first suggestions, beside all of the text, on the same people. ±: 95 % over seeds"
        f"{'' if wide is None else f', {wide}'}."
    )


def _shown(value: Interval | None) -> str:
    if value is None:
        return "-"
    digits = 2
    half = "" if value.half_width is None else f" ±{shown_half(f'{100 * value.half_width:.{digits}f}')}"
    return f"{round(100 * value.mean, digits) + 0.0:.{digits}f}{half}"  # not -0.00
