"""What updates tell of the words that phones wrote: of one phone, of sums of phones, and under each protection.

The attacker knows the weights that phones start from, the vocabulary, how much noise there is, and other people: those
held out, who say how common words are, and as many phones as are attacked, on whose updates and words the attack is
fitted (`word_attack.WordAttack`), once for each protection and size of a sum. Two questions are asked:

* which words did this one phone write, that is in the sum?
* which words did anybody in the sum write?

For each, the attacker names as many words as there truly are (the break-even point, where precision and recall are the
same: Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, section 8.4, "R-precision"). Beside
it stands guessing: the same attacker without any update. Only words of the vocabulary can be told; those outside it are
one token, and none is recovered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import erf, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.learning.language_model import flatten
from client_model.metrics.intervals import CONFIDENCE, Interval, share_over_people
from client_model.quiet import import_tensorflow_quietly
from client_model.text.vocabulary import FIRST_WORD
from server_strategy.privacy.plan import PrivacyPlan
from simulation.studies.audits import sentences_told
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.update_sums import CLIPPED, DEPLOYMENT, SIMULATION, SUM, Observed
from simulation.studies.audits.word_attack import WordPrior, best_guesses
from simulation.studies.audits.word_phones import ANYBODY, ONE, Known, People, trained, written_by
from typefleet.steps import step

SIZES = (1, 2, 8, 64, 512)
COMMON_WORDS = 500  # the first of the vocabulary; others tell more of who wrote them
_PEOPLE, _TARGETS = 512, 256  # phones that are attacked, and of them those whose words are looked for
_QUICK_PEOPLE = 64
_FEWEST = 4  # phones: two to be attacked, and two to learn from
_FITTED_SUMS = 48  # of a size, at most, that the attack is fitted on
_SURE = 0.5  # probability from which on a word counts as recovered, for precision and recall


@dataclass(frozen=True)
class Told:
    """How many words were recovered from sums of one size under one protection."""

    protection: str
    phones: int  # in the sum
    whose: str
    found: Interval | None
    """Share of the words that were written, among as many guesses, over the phones (of anybody: over the sums)."""
    guessed: Interval | None
    """The same of the attacker without the sum."""
    by_rank: Interval | None
    """The same of who names the first words of the vocabulary."""
    found_uncommon: Interval | None
    """As `found`, of words after the first 500 of the vocabulary."""
    guessed_uncommon: Interval | None
    precision: Interval | None
    """Of the words that the attacker holds likelier than not; None where there are none."""
    recall: Interval | None
    sign_precision: Interval | None
    """Of all words whose output bias rose; of the protection that is none."""
    sign_recall: Interval | None


def words_told(subject: Subject) -> Sequence[Attack]:
    """Recover words from updates that phones make of the starting weights; see the module.

    Args:
        subject: what is attacked.
    """
    if (phones := len(subject.prepared.training_phones)) < _FEWEST:
        return [_unmeasured(f"too few phones train: {phones}, and {_FEWEST} are attacked at least")]
    (told, sentences), plan = tell(subject), subject.prepared.plan
    adds = None if plan.noise_multiplier is None else total_variation(plan.noise_multiplier)
    in_order = sentences_told.as_attacks(sentences, plan, adds, subject.quick)
    return [*as_attacks(told, plan, subject.quick), *in_order]


def tell(subject: Subject) -> tuple[list[Told], list[sentences_told.SentencesTold]]:
    """The figures of every protection, size and question: of words, and of words in order.

    Args:
        subject: what is attacked; four phones or more train.
    """
    import_tensorflow_quietly()
    prepared = subject.prepared
    people = min(_QUICK_PEOPLE if subject.quick else _PEOPLE, len(prepared.training_phones) // 2)
    sizes = [n for n in SIZES if n <= people]
    order = generator(subject.seed, "phones whose words are looked for").permutation(prepared.training_phones)
    targets = min(people, _TARGETS)
    looked_at = {n: min(-(-targets // n), people // n) for n in sizes}
    fitted_on = {n: min(people // n, _FITTED_SUMS) for n in sizes}
    prior = WordPrior.of(written_by(subject, prepared.held_out_phones))
    with step("training phones whose words are looked for", total=2 * people) as training:
        practice = trained(subject, order[people : 2 * people], fitted_on, training.advance, "known")
        known = Known(prior, practice)
        reader = _reader(subject, known, people)
        attacked = trained(subject, order[:people], looked_at, training.advance, "attacked", reader=reader)
    found: list[Told] = []
    with step("looking for words", total=2 * len(sizes)) as looking:
        for seen in attacked.observed:
            for whose in (ONE, ANYBODY):
                if seen.phones == 1 and whose == ANYBODY:  # who is the one phone
                    found += [replace(one, whose=ANYBODY) for one in found]
                else:
                    found += _told_of_size(known, attacked, seen, whose, targets)
                looking.advance()
    return found, reader.told(attacked.sentences)


def _reader(subject: Subject, known: Known, people: int) -> sentences_told.SentenceReader:
    """Reads the sentences of the first of the phones that are attacked."""
    from simulation.run.starting_point import starting_weights  # TensorFlow takes seconds to import

    prepared = subject.prepared
    most = sentences_told.QUICK_PHONES if subject.quick else sentences_told.PHONES
    start = flatten(starting_weights(prepared.start, prepared.config, prepared.shape))
    attacks = {
        (protection, seen.phones): known.attack(protection, seen.phones, ONE if seen.phones == 1 else ANYBODY)
        for seen in known.people.observed
        for protection in seen.evidence
        if seen.phones in sentences_told.SPELLED_SIZES
    }
    return sentences_told.SentenceReader(prepared.shape, start, attacks, min(most, people))


def _told_of_size(known: Known, attacked: People, seen: Observed, whose: str, targets: int) -> Iterator[Told]:
    """Of sums of one size, under each protection."""
    n, guess = seen.phones, known.guess(seen.phones, whose)  # [V]
    rank = -np.arange(len(guess), dtype=np.float64)
    sums = len(seen.rose)
    rows = min(targets, sums * n)  # phones that are in a sum
    of_sum = np.arange(rows) // n if whose == ONE else np.arange(sums)  # which sum each row of `truth` is in
    truth = attacked.written[:rows] if whose == ONE else attacked.truth(seen, whose) > 0  # [rows, V]
    uncommon = FIRST_WORD + min(COMMON_WORDS, (len(guess) - FIRST_WORD) // 2)
    guesses, ranks = (np.broadcast_to(score, truth.shape) for score in (guess, rank))
    by_guess = [_recovered(guesses, truth, first) for first in (FIRST_WORD, uncommon)]
    by_rank = _recovered(ranks, truth)
    for protection, evidence in seen.evidence.items():
        attack = known.attack(protection, n, whose)
        scores = np.stack([attack.probabilities(one) for one in evidence])[of_sum]  # [rows, V]
        precision, recall = _precision_and_recall(scores > _SURE, truth)
        by_sign = _precision_and_recall(seen.rose[of_sum], truth) if protection == SUM else (None, None)
        yield Told(
            protection=protection,
            phones=n,
            whose=whose,
            found=_recovered(scores, truth),
            guessed=by_guess[0],
            by_rank=by_rank,
            found_uncommon=_recovered(scores, truth, uncommon),
            guessed_uncommon=by_guess[1],
            precision=precision,
            recall=recall,
            sign_precision=by_sign[0],
            sign_recall=by_sign[1],
        )


def _recovered(scores: NDArray[np.float64], truth: NDArray[np.bool_], first: int = FIRST_WORD) -> Interval | None:
    """Share of the true words among as many best guesses, on average over the rows that have any."""
    shares = []
    for score, written in zip(scores, truth, strict=True):
        if number := int(written[first:].sum()):
            shares.append(written[best_guesses(score, number, first)].mean())
    return share_over_people(np.array(shares), np.ones(len(shares)))


def _precision_and_recall(
    named: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> tuple[Interval | None, Interval | None]:
    """Of sets of words, over all rows together: bool [rows, V] each."""
    right = (named & truth).sum(1)
    return share_over_people(right, named.sum(1)), share_over_people(right, truth.sum(1))


def total_variation(noise_multiplier: float) -> float:
    """By how much one phone can raise the chance of anything, in one release with Gaussian noise on the sum.

    The total variation distance of two normal distributions whose means are the clip norm apart, 2 Phi(mu / 2) - 1 for
    mu = 1 / noise multiplier (Dong, Roth and Su 2022, "Gaussian differential privacy", section 2.1).

    Args:
        noise_multiplier: standard deviation of the noise over the clip norm.
    """
    return erf(1 / (2 * noise_multiplier) / sqrt(2))


_ATTACKER = "whoever reads what is added up"
_ASSUMES = "words of the vocabulary alone; the starting weights, and other people's updates and words, are known"
_SEES = {
    SUM: "the {of} as it is",
    CLIPPED: "the {of}, clipped",
    SIMULATION: "the {of}, clipped, with the noise of a modelled cohort scaled down to so few phones",
    DEPLOYMENT: "the {of}, clipped, with the whole noise of one release on it",
}


class _Question(NamedTuple):
    name: str
    quantity: str


_ASKED = {
    ONE: _Question("", "share of a phone's words"),
    ANYBODY: _Question(" of anybody", "share of the words that anybody wrote"),
}
_HEADLINES = (
    *((ONE, SUM, 1), (ONE, SUM, 2), (ONE, SUM, 8), (ONE, SUM, 64), (ONE, SUM, 512)),
    *((ONE, CLIPPED, 1), (ONE, SIMULATION, 1), (ONE, DEPLOYMENT, 1)),
    *((ANYBODY, SUM, 64), (ANYBODY, CLIPPED, 64), (ANYBODY, SIMULATION, 64), (ANYBODY, DEPLOYMENT, 64)),
    *((ANYBODY, SUM, 512), (ANYBODY, DEPLOYMENT, 512)),
)


def as_attacks(told: Sequence[Told], plan: PrivacyPlan, quick: bool) -> list[Attack]:
    """The headlines, one figure each; all others are details of the first.

    Args:
        told: all figures.
        plan: of the run.
        quick: whether fewer phones were attacked.
    """
    by_case = {(one.whose, one.protection, one.phones): one for one in told if one.found is not None}
    found: list[Attack] = []
    for case in _HEADLINES:
        if case in by_case:
            details = {} if found else {"told": [asdict(each) for each in told]}
            found.append(_as_attack(by_case[case], plan, quick, details))
    return found


def _bound(one: Told, plan: PrivacyPlan, guess: float) -> tuple[float | None, str]:
    """What the figure is held to, and where that comes from; or None, and why."""
    if one.protection == SIMULATION:
        return None, f"none: the noise is that of {plan.epsilon_is_of}, and protects none of so few phones"
    if one.protection != DEPLOYMENT or plan.noise_multiplier is None:
        return None, "none: nothing that was promised is between the update and who sees it"
    if one.whose == ANYBODY:
        return None, "none: what is promised is of one phone, and not of all of them together"
    most = min(1.0, guess + total_variation(plan.noise_multiplier))
    return most, "guessing, and what one release with this noise can add to the chance of anything"


def _unmeasured(why: str) -> Attack:
    return Attack(
        name="words",
        attacker=_ATTACKER,
        sees=_SEES[SUM].format(of="update of one phone"),
        assumes=_ASSUMES,
        quantity=_ASKED[ONE].quantity,
        value=None,
        bound_is="none: nothing was measured",
        why=why,
    )


def _as_attack(one: Told, plan: PrivacyPlan, quick: bool, details: dict[str, Any]) -> Attack:
    of = "update of one phone" if one.phones == 1 else f"sum of {one.phones} phones' updates"
    guess = 0.0 if one.guessed is None else one.guessed.mean
    bound, bound_is = _bound(one, plan, guess)
    return Attack(
        name=f"words{_ASKED[one.whose].name}: {of}{'' if one.protection == SUM else f', {one.protection}'}",
        attacker=_ATTACKER,
        sees=_SEES[one.protection].format(of=of),
        assumes=_ASSUMES,
        quantity=_ASKED[one.whose].quantity,
        value=None if one.found is None else one.found.mean,
        low=None if one.found is None else one.found.low,
        high=None if one.found is None else one.found.high,
        confidence=CONFIDENCE,
        bound=bound,
        bound_is=bound_is,
        why=f"guessing without it finds {guess:.3f}" + ("; of few phones, with --quick" if quick else ""),
        details=details,
    )
