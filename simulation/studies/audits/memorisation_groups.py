"""Whose secrets the keyboard remembers best: exposure by group of the phones that wrote them.

As `memorisation`, but for whom, and asked of the trained weights, of which the file in 8 bits is a rounding: each group
of phones gets secrets of its own, each written by four of its phones and by nobody else, ten times on each; all of them
train, once, under the same protection. The groups are those of what
people write (`fairness.groupings_of_text`): how much, and how much of it the vocabulary lacks. A device's tier or hours
change nothing of a phone that takes part once, so these make no groups here.

What is drawn within a group, for its interval, are secrets. No phone writes two, so they are phones as well: each draw
takes those that wrote a secret together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.metrics.groups import LEAST_PEOPLE, DrawnGroup, best_to_worst, draw_groups
from client_model.metrics.intervals import CONFIDENCE, Interval, share_over_people
from client_model.metrics.metric import Metric
from client_model.quiet import import_tensorflow_quietly
from client_model.text.population import Population
from client_model.text.vocabulary import FIRST_WORD, OOV, Vocabulary
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.batched_model import BatchedModel
from simulation.studies.audits.canary_sentences import SECRET_WORDS, CanarySentence, Forms, WithCanaries, draw_canaries
from simulation.studies.audits.exposure import exposure, number_of, secret_log_probabilities_at_once
from simulation.studies.audits.fairness import groupings_of_text
from simulation.studies.audits.memorisation import most_bits
from simulation.studies.audits.protected_training import ProtectedTraining
from simulation.studies.audits.update_sums import DEPLOYMENT, Protection, protections_of
from simulation.world.participation import Grouping
from typefleet.steps import step

_SECRETS, _QUICK_SECRETS = 18, LEAST_PEOPLE  # of a group at most; fewer than the latter are not compared
_WRITERS, _TIMES = 4, 10  # phones that write each, and how often each of them does
_COHORT = 20  # phones in a round
_LOOKED_AT = 2_000  # phones, at most, whose text says how they are grouped


@dataclass(frozen=True)
class RememberedOfGroup:
    """What the model of one protection knows of the secrets of one group of phones."""

    protection: str
    grouping: str
    group: str
    exposures: tuple[float, ...]
    """In bits, of each of the group's secrets."""
    before: tuple[float, ...]
    """The same before training."""
    gained: Interval | None
    """Bits that training added, on average over the secrets."""


@dataclass(frozen=True)
class PlacedSecrets:
    """The secrets, and the group that each is of; some groups may lack phones to write any."""

    groupings: tuple[Grouping, ...]  # of which `member` is of the phones looked at
    canaries: tuple[CanarySentence, ...]
    grouping: NDArray[np.int64]  # [canaries], index into groupings
    group: NDArray[np.int64]  # [canaries], index into its members


def memorisation_by_group(subject: Subject) -> Sequence[Attack]:
    """Have phones of each group write secrets, and see whose the model knows best; see the module.

    Args:
        subject: what is attacked.
    """
    placed = place_secrets(subject)
    if not any(len(np.unique(placed.group[placed.grouping == n])) > 1 for n in range(len(placed.groupings))):
        needed = f"{LEAST_PEOPLE * _WRITERS} in each of two groups write secrets"
        return [_unmeasured(f"too few phones train, {len(subject.prepared.training_phones)}: {needed}")]
    return as_attacks(remember_by_group(subject, placed))


def words_and_unknown(
    population: Population, vocabulary: Vocabulary, phones: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(words that each phone has written, those of them that the vocabulary lacks): int64 [phones] each.

    Args:
        population: the text.
        vocabulary: of the model.
        phones: ids.
    """
    lookup = vocabulary.lookup_table(population.lexicon)
    ids = [lookup[np.minimum(types, len(lookup) - 1)] for types, _ in population.types_of_phones(phones)]
    lacking = np.array([int((own == OOV).sum()) for own in ids], np.int64)
    return lacking + np.array([int((own >= FIRST_WORD).sum()) for own in ids], np.int64), lacking


def place_secrets(subject: Subject) -> PlacedSecrets:
    """Give the groups their secrets, and these their writers.

    Args:
        subject: what is attacked.
    """
    prepared, most = subject.prepared, _QUICK_SECRETS if subject.quick else _SECRETS
    drawn = generator(subject.seed, "phones of groups with canaries").permutation(prepared.training_phones)
    phones = drawn[:_LOOKED_AT]
    groupings = groupings_of_text(*words_and_unknown(prepared.population, prepared.vocabulary, phones))
    free = np.ones(len(phones), np.bool_)
    places: list[tuple[int, int]] = []  # of each secret
    chosen: list[NDArray[np.int64]] = []
    for number, grouping in enumerate(groupings):
        for group in range(len(grouping.members)):
            own = np.flatnonzero(free & (grouping.member == group))
            if (secrets := min(most, len(own) // _WRITERS)) >= LEAST_PEOPLE:  # of a group with fewer nothing is said
                free[own[: secrets * _WRITERS]] = False
                places += [(number, group)] * secrets
                chosen.append(phones[own[: secrets * _WRITERS]])
    cells = [(_WRITERS, _TIMES)] * len(places)
    forms = _shuffled(Forms.of(prepared.vocabulary, len(cells), subject.seed), subject.seed)
    canaries = draw_canaries(forms, cells, np.concatenate([phones[:0], *chosen]), subject.seed)
    grouping_of, group_of = np.array(places, np.int64).reshape(-1, 2).T  # [canaries] each
    return PlacedSecrets(tuple(groupings), tuple(canaries), grouping_of, group_of)


def _shuffled(forms: Forms, seed: int) -> Forms:
    """Beginnings in random order: those that are alike stand together, and would all go to one group."""
    order = generator(seed, "beginnings of groups").permutation(len(forms.prefixes)).tolist()
    return Forms(forms.digits, tuple(forms.prefixes[place] for place in order))


def remember_by_group(subject: Subject, placed: PlacedSecrets) -> list[RememberedOfGroup]:
    """What is remembered of each group's secrets, under each protection; under the run's own alone if it is quick.

    Args:
        subject: what is attacked.
        placed: its secrets.
    """
    import_tensorflow_quietly()
    prepared, digits = subject.prepared, Forms.of(subject.prepared.vocabulary, 0, subject.seed).digits
    writers = np.array([phone for one in placed.canaries for phone in one.phones])
    order, sends = _rounds_of(generator(subject.seed, "rounds with canaries of groups").permutation(writers))
    own = own_protection(protections_of(prepared.plan))
    protections = (own,) if subject.quick else protections_of(prepared.plan)
    found: list[RememberedOfGroup] = []
    with step("looking for secrets of groups", total=len(protections) + 1) as looking:
        text = WithCanaries.of(prepared.population, placed.canaries, prepared.vocabulary)
        training = ProtectedTraining(subject, text, "memorisation by group")
        before = _exposures(training, training.start, placed.canaries, digits)  # [canaries]
        looking.advance()
        for protection in protections:
            flat = training.trained(order, protection, sends=sends)
            after = _exposures(training, flat, placed.canaries, digits)  # [canaries]
            found += _by_group(protection.name, placed, before, after)
            looking.advance()
    return found


def _rounds_of(phones: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(phones of each round, which of them send): [rounds, cohort] each; in the last round some places may be empty."""
    rounds = -(-len(phones) // _COHORT)
    sends = np.arange(rounds * _COHORT) < len(phones)
    return np.resize(phones, sends.shape).reshape(rounds, _COHORT), sends.reshape(rounds, _COHORT)


def own_protection(protections: Sequence[Protection]) -> Protection:
    """What stands between the updates and the weights in the very run: of a modelled deployment, its noise scaled down.

    Args:
        protections: of the plan, from none to all.
    """
    *before, last = protections
    is_modelled = last.name == DEPLOYMENT and before[-1].noise_per_phone > 0
    return before[-1] if is_modelled else last


def _exposures(
    training: ProtectedTraining,
    flat: NDArray[np.float32],
    canaries: Sequence[CanarySentence],
    digits: Sequence[int],
) -> NDArray[np.float64]:
    """In bits, of each secret: float64 [canaries]."""
    model, found = BatchedModel(training.shape, flat), []
    for one in canaries:
        likely = secret_log_probabilities_at_once(model, one.prefix, digits, SECRET_WORDS)
        found.append(exposure(likely, number_of(one.secret, digits)))
    return np.array(found)


def _by_group(
    protection: str, placed: PlacedSecrets, before: NDArray[np.float64], after: NDArray[np.float64]
) -> Iterator[RememberedOfGroup]:
    for number, grouping in enumerate(placed.groupings):
        for place, group in enumerate(grouping.members):
            own = (placed.grouping == number) & (placed.group == place)
            if own.any():
                gained = share_over_people((after - before)[own], np.ones(int(own.sum())))
                exposures, earlier = (tuple(bits[own].tolist()) for bits in (after, before))
                yield RememberedOfGroup(
                    protection=protection,
                    grouping=grouping.name,
                    group=group,
                    exposures=exposures,
                    before=earlier,
                    gained=gained,
                )


EXPOSURE_GAINED = Metric(
    name="exposure_gained",
    label="bits of exposure that training added",
    counts={"bits": lambda _: 0.0, "secrets": lambda _: 0},  # of secrets, which are no tokens of anybody
    value=lambda counts: float(counts["bits"] / counts["secrets"]) if counts["secrets"] else None,
    unit="number",
)

_ATTACKER = "whoever has the model, and knows how the sentence begins"
_SEES = "the trained weights"
_QUANTITY = "exposure that training added, most exposed group less least, bits"


def as_attacks(found: Sequence[RememberedOfGroup]) -> list[Attack]:
    """How far the groups of each grouping lie apart under each protection; all figures are details of the first.

    Args:
        found: all figures.
    """
    by_case: dict[tuple[str, str], list[RememberedOfGroup]] = {}
    for one in found:
        by_case.setdefault((one.grouping, one.protection), []).append(one)
    attacks: list[Attack] = []
    for own in by_case.values():
        if len(own) > 1:
            details = {} if attacks else {"remembered_of_groups": [asdict(each) for each in found]}
            attacks.append(_gap(own, details))
    return attacks


def _gap(own: Sequence[RememberedOfGroup], details: dict[str, Any]) -> Attack:
    gained = np.concatenate([np.subtract(one.exposures, one.before) for one in own])  # [secrets]
    member = np.repeat(np.arange(len(own)), [len(one.exposures) for one in own])
    counts = {"bits": gained, "secrets": np.ones(len(gained))}
    everybody, groups = draw_groups(EXPOSURE_GAINED, counts, member, [one.group for one in own], seed=0)
    spread, most, least = best_to_worst(groups)
    return Attack(
        name=f"memorisation-groups: {own[0].grouping}, {own[0].protection}",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes=(
            f"{_WRITERS} phones of a group wrote each secret {_TIMES} times each, and all took part once; secrets are "
            "drawn at random within their group, and the interval holds for all pairs of groups together"
        ),
        quantity=_QUANTITY,
        value=spread.value,
        low=spread.low,
        high=spread.high,
        confidence=CONFIDENCE,
        bound_is="none: nothing is claimed of groups",
        why=(
            f"most: {_said(most)}; least: {_said(least)}; all {everybody.people} secrets: {everybody.value:.1f} bits; "
            f"exposure is {most_bits():.1f} bits at most"
        ),
        details=details,
    )


def _said(one: DrawnGroup) -> str:
    return f"{one.name} ({one.people} secrets), {one.value:.1f} bits"


def _unmeasured(why: str) -> Attack:
    return Attack(
        name="memorisation-groups",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes="some phones of a group wrote the same sentence",
        quantity=_QUANTITY,
        value=None,
        bound_is="none: nothing was measured",
        why=why,
    )
