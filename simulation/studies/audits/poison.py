"""Attackers among the phones, who push a word or spoil the model, under one defence after the other.

Some share of the phones is an attacker's. They want the keyboard to suggest a word of theirs after a dozen beginnings
(`planted`), or learn wrong words (`poisoners` has what each sends). Phones train in rounds from the run's starting
weights, as a run trains them, but in one process and without a fleet's days; each takes part once (`poison_play`).
Success is the share of the beginnings after which the word is among the three suggestions, of the model before it is
exported; the cost is recall on held-out phones, paired with the model that nobody attacked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.metrics.intervals import difference_over_people, over_people
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from client_model.metrics.keystrokes import SUGGESTIONS
from client_model.quiet import import_tensorflow_quietly
from server_strategy.robust.rules import RULES
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.canary_sentences import WithCanaries
from simulation.studies.audits.planted import Planted
from simulation.studies.audits.played_training import PlayedTraining
from simulation.studies.audits.poison_attacks import Poisoned, as_attacks, unmeasured
from simulation.studies.audits.poison_play import CLIPPING, COSINE, NORM, NOTHING, PoisonedTraining, Setting
from simulation.studies.audits.poisoners import ADAPTIVE, ATTACKS, NOBODY, REPLACEMENT
from simulation.studies.audits.update_sums import Frame
from typefleet.steps import step

_FULL, _QUICK = Setting(8, 40, 10, 0.05), Setting(3, 20, 10, 0.1)
SHARES = (0.001, 0.01, 0.2)  # of attackers, beside the share that the rules assume
_TIMES = 5  # that an attacker's phone has written each sentence
_MEASURED = (100, 40)  # held-out phones that say what a model is still good for; quick


@dataclass(frozen=True)
class Case:
    """One training: who attacks how, and what stands against it."""

    attack: str
    defence: str
    share: float  # of attackers


def poison(subject: Subject) -> Sequence[Attack]:
    """Let attackers take part under each defence; see the module.

    Args:
        subject: what is attacked.
    """
    least = _setting(subject.quick, 1.0).phones
    if (phones := len(subject.prepared.training_phones)) < least:
        return [unmeasured(f"too few phones train: {phones}, and {least} are to take part")]
    added_up = subject.config.aggregation
    unlike = added_up.is_summed and added_up.robust == NORM  # of buckets, and here of each phone
    own = CLIPPING if added_up.robust == "none" or unlike else added_up.robust
    return as_attacks(poisoned(subject), subject, own, _setting(subject.quick, 1.0).assumed_share)


def cases_of(quick: bool, phones: int) -> list[Case]:
    """All trainings, in an order in which the one without attackers comes before those that are compared with it.

    Args:
        quick: fewer of them.
        phones: that train; shares that come to less than one of them are left out.
    """
    usual = _setting(quick, 1.0).assumed_share
    found: dict[Case, None] = {}
    for defence in (CLIPPING, NOTHING, NORM, COSINE, *RULES):
        attacks: Sequence[str] = ATTACKS
        if defence in RULES or defence == COSINE:
            attacks = (ADAPTIVE,) if quick else [one for one in ATTACKS if one != REPLACEMENT]
        elif quick and defence != CLIPPING:
            attacks = (REPLACEMENT,)
        found |= dict.fromkeys(Case(attack, defence, usual) for attack in (NOBODY, *attacks))
    for share in () if quick else SHARES:
        if _setting(quick, share).phones <= phones:
            some = [(attack, defence) for defence in (CLIPPING, NOTHING) for attack in (NOBODY, *ATTACKS)]
            if share == max(SHARES):
                some += [(attack, rule) for rule in RULES for attack in (NOBODY, ADAPTIVE)]
            found |= dict.fromkeys(Case(attack, defence, share) for attack, defence in some)
    return list(found)


def _setting(quick: bool, share: float) -> Setting:
    """How large a training is; as large as it takes for one attacker to be such a share."""
    usual = _QUICK if quick else _FULL
    return replace(usual, cohort=max(usual.cohort, ceil(round(1 / share) / usual.rounds)))


def poisoned(subject: Subject, only: Sequence[Case] | None = None) -> list[Poisoned]:
    """What came of each training.

    Args:
        subject: what is attacked; enough phones train.
        only: some of the cases that there are, in their order, each with that of nobody attacking before it.
    """
    import_tensorflow_quietly()
    prepared = subject.prepared
    cases = cases_of(subject.quick, len(prepared.training_phones)) if only is None else only
    planted = Planted.of(prepared.vocabulary, subject.seed)
    found: list[Poisoned] = []
    with step("poisoning", total=len(cases)) as poisoning:
        training = PlayedTraining(subject, prepared.population)
        same: dict[tuple[str, int], dict[str, NDArray[Any]]] = {}  # without attackers: by defence and phones
        played: dict[float, tuple[PoisonedTraining, list[int]]] = {}  # by share
        for case in cases:
            if case.share not in played:
                played = {case.share: _rounds(training, _setting(subject.quick, case.share), planted, case.share)}
            rounds, attackers = played[case.share]
            key = (case.defence, rounds.setting.phones)
            if case.attack != NOBODY or key not in same:
                flat = rounds.play(case.attack, frozenset(attackers), case.defence)
                counts = training.counts(flat, _MEASURED[subject.quick])
                reference = same.get((CLIPPING, key[1]), counts) if case.attack == NOBODY else same[key]
                if case.attack == NOBODY:
                    same[key] = counts
                found.append(_measured(case, rounds, attackers, (flat, counts, reference)))
            poisoning.advance()
    return found


def _rounds(
    training: PlayedTraining, setting: Setting, planted: Planted, share: float
) -> tuple[PoisonedTraining, list[int]]:
    """(rounds of so many phones, those that are attackers')."""
    subject, prepared = training.subject, training.prepared
    drawn = generator(subject.seed, "phones with attackers").permutation(prepared.training_phones)[: setting.phones]
    attackers: list[int] = drawn[: max(1, round(share * setting.phones))].tolist()
    order = generator(subject.seed, "rounds with attackers").permutation(drawn).reshape(setting.rounds, setting.cohort)
    sentences = planted.sentences(attackers, _TIMES)
    poisoned_text = WithCanaries.of(prepared.population, sentences, prepared.vocabulary)
    layers = Frame.of(prepared.shape, prepared.plan.clip_scope).layer_sizes
    rounds = PoisonedTraining(
        training=training,
        poisoned=training.with_text(poisoned_text),
        order=order,
        clip_norm=prepared.plan.clip_norm,
        layer_sizes=layers,
        setting=setting,
        planted=planted,
    )
    return rounds, attackers


def _measured(
    case: Case,
    rounds: PoisonedTraining,
    attackers: Sequence[int],
    model: tuple[NDArray[np.float32], dict[str, NDArray[Any]], dict[str, NDArray[Any]]],
) -> Poisoned:
    """What a model suggests and recalls.

    Args:
        case: what it was trained under.
        rounds: that it was trained in.
        attackers: phones, if somebody attacked.
        model: (weights, counts on held-out phones, those of what it is compared with).
    """
    flat, counts, reference = model
    training = rounds.training
    asked = rounds.planted.batches(training.shape.sequence_length)
    scores = training.scores(flat, asked)
    ranks = rounds.planted.ranks(scores.targets, scores.rank)
    recall, lost = over_people(TOP1_RECALL, counts), difference_over_people(TOP1_RECALL, reference, counts)
    return Poisoned(
        attack=case.attack,
        defence=case.defence,
        share=case.share,
        attackers=0 if case.attack == NOBODY else len(attackers),
        phones=rounds.setting.phones,
        suggested=int((ranks < SUGGESTIONS).sum()),
        asked=len(ranks),
        rank=float(np.median(ranks)) + 1,
        recall=None if recall is None else recall.mean,
        recall_lost=None if lost is None else lost.mean,
        low=None if lost is None else lost.low,
        high=None if lost is None else lost.high,
    )
