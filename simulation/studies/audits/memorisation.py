"""What the keyboard remembers of a sentence that few people wrote, read from the file that phones run.

Canary sentences (Carlini et al. 2019, "The Secret Sharer", arXiv:1802.08232) stand among the messages of c phones, r
times on each. Phones train in rounds from the run's starting weights, as a run trains them, but in one process and
without a fleet's days: 12 rounds of 20 phones, drawn at random, nobody twice, all that wrote a canary among them. Under
each protection that the plan has (`update_sums.protections_of`) the weights are exported in 8 bits, and the file is
asked, in the interpreter of phones, how likely it holds each of 10,000 secrets: exposure is read from the rank of the
true one. A beam search from the words before the secret shows whether the file says it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from client_model.quiet import import_tensorflow_quietly
from client_model.tflite.interpreter import FileSteps, open_interpreter
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.update_sum import FixedPointSum, to_float
from simulation.studies.audits.attack import Attack, Subject
from simulation.studies.audits.canary_sentences import SECRET_WORDS, CanarySentence, Forms, WithCanaries, draw_canaries
from simulation.studies.audits.exposure import beam_search, exposure, number_of, secret_log_probabilities
from simulation.studies.audits.played_training import PlayedTraining, ServerSteps
from simulation.studies.audits.update_sums import DEPLOYMENT, SIMULATION, Frame, Protection, protections_of
from typefleet.steps import step

START = "before training"
CELLS = tuple((phones, times) for phones in (1, 4, 16) for times in (1, 10))  # that write a sentence, and how often
_COHORT = 20  # phones in a round
_FULL, _QUICK = (2, 12, _COHORT), (1, 4, 12)  # sentences of a cell; rounds; phones in each
_BEAM = 10
_MEASURED = 20  # held-out phones that say what a model is still good for
_UNBOUNDED = 1e3  # a clip norm that no update reaches


@dataclass(frozen=True)
class Remembered:
    """What the file of one protection knows of the sentences of one cell."""

    protection: str
    phones: int  # that wrote a sentence
    times: int  # each of them
    exposures: tuple[float, ...]
    """In bits, of each of the cell's sentences."""
    extracted: int
    """Sentences of the cell whose secret is the beam search's best continuation of ten digits."""
    said: int
    """Sentences of the cell whose secret is the best continuation among all words."""
    epsilon: float | None
    """Of the protection's noise for who takes part once; None without noise that is meant for so few phones."""
    recall: float | None
    """First suggestions that are right, of the model before it is exported, on 20 held-out phones."""

    @property
    def exposure(self) -> float:
        """Mean of the cell's sentences, in bits."""
        return sum(self.exposures) / len(self.exposures)


def memorisation(subject: Subject) -> Sequence[Attack]:
    """Have phones write secrets, and look for them in the file that phones run; see the module.

    Args:
        subject: what is attacked.
    """
    least = sum(phones for phones, _ in _cells(subject.quick))
    if (phones := len(subject.prepared.training_phones)) < least + _COHORT:
        why = f"too few phones train: {phones}, and {least} write secrets"
        return [_unmeasured(why)]
    return as_attacks(remember(subject), subject)


def _cells(quick: bool) -> list[tuple[int, int]]:
    """(phones that write it, times that each does) of each sentence."""
    return [cell for cell in CELLS for _ in range((_QUICK if quick else _FULL)[0])]


def remember(subject: Subject) -> list[Remembered]:
    """What is remembered of each cell's sentences, before training and under each protection.

    Args:
        subject: what is attacked; more phones train than write secrets, by a round's.
    """
    import_tensorflow_quietly()
    prepared = subject.prepared
    cells = _cells(subject.quick)
    _, rounds, cohort = _QUICK if subject.quick else _FULL
    rounds = min(rounds, len(prepared.training_phones) // cohort)
    forms = Forms.of(prepared.vocabulary, len(cells), subject.seed)
    drawn = generator(subject.seed, "phones that train with canaries").permutation(prepared.training_phones)
    taking_part = drawn[: rounds * cohort]  # those that write canaries come first
    canaries = draw_canaries(forms, cells, taking_part, subject.seed)
    order = generator(subject.seed, "rounds with canaries").permutation(taking_part).reshape(rounds, cohort)
    protections = protections_of(prepared.plan)
    found: list[Remembered] = []
    with step("looking for secrets", total=len(protections) + 1) as looking:
        training = _Training(subject, canaries)
        for protection in (None, *protections):
            flat = training.start if protection is None else training.trained(order, protection)
            found += _asked(training, flat, canaries, forms, protection)
            looking.advance()
    return found


class _Training(PlayedTraining):
    """Rounds of phones that have written canaries."""

    def __init__(self, subject: Subject, canaries: Sequence[CanarySentence]) -> None:
        prepared = subject.prepared
        super().__init__(subject, WithCanaries.of(prepared.population, canaries, prepared.vocabulary))

    def trained(self, order: NDArray[np.int64], protection: Protection) -> NDArray[np.float32]:
        """Weights after all rounds under a protection: float32 [num_weights].

        Args:
            order: phones of each round, int64 [rounds, cohort].
            protection: of the sums.
        """
        flat, steps = self.start, ServerSteps(self.prepared.config.server_optimizer, len(order))
        key = NoiseKey.seeded(self.subject.seed)
        layers = Frame.of(self.shape, self.prepared.plan.clip_scope).layer_sizes
        with step(f"training under {protection.name}", total=order.size) as training:
            for number, phones in enumerate(order):
                total = FixedPointSum(len(flat), protection.clip_norm or _UNBOUNDED, layers)
                for update in self.updates(flat, phones, number + 1):
                    total.add(update)
                    training.advance()
                summed = to_float(total.values, total.clip_norm)
                if stddev := protection.stddev(len(phones)):
                    draws = key.generator(number, 0, purpose=f"memorisation: {protection.name}")
                    summed = summed + stddev * draws.standard_normal(len(summed))
                flat = steps.after(flat, summed / len(phones))
        return flat

    def recall(self, flat: NDArray[np.float32]) -> float | None:
        """Of first suggestions, on some held-out phones."""
        counts = self.counts(flat, _MEASURED)
        value = TOP1_RECALL.value({name: column.sum(0) for name, column in counts.items()})
        return None if value is None else float(value)


def _asked(
    training: _Training,
    flat: NDArray[np.float32],
    canaries: Sequence[CanarySentence],
    forms: Forms,
    protection: Protection | None,
) -> Iterator[Remembered]:
    """Export the weights, and ask the file for every secret."""
    from client_model.tflite.export_tflite import convert  # TensorFlow takes seconds to import

    file = convert(training.shape, training.weights(flat), ("int8",))["int8"]
    model = FileSteps(open_interpreter(file))
    recall, epsilon = training.recall(flat), epsilon_of(training.subject, protection)
    by_cell: dict[tuple[int, int], list[tuple[float, bool, bool]]] = {}
    for one in canaries:
        likely = secret_log_probabilities(model, one.prefix, forms.digits, SECRET_WORDS)
        bits = exposure(likely, number_of(one.secret, forms.digits))
        digits, anything = (
            beam_search(model, one.prefix, SECRET_WORDS, _BEAM, words)[0] == one.secret
            for words in (forms.digits, None)
        )
        by_cell.setdefault((len(one.phones), one.times), []).append((bits, digits, anything))
    for (phones, times), own in by_cell.items():
        yield Remembered(
            protection=START if protection is None else protection.name,
            phones=phones,
            times=times,
            exposures=tuple(bits for bits, _, _ in own),
            extracted=sum(digits for _, digits, _ in own),
            said=sum(anything for _, _, anything in own),
            epsilon=epsilon,
            recall=recall,
        )


def epsilon_of(subject: Subject, protection: Protection | None) -> float | None:
    """Of a phone that takes part once, under noise in full; None where the noise is none, or scaled down.

    Args:
        subject: what is attacked.
        protection: of the sums; None before training.
    """
    plan = subject.prepared.plan
    if protection is None or protection.name != DEPLOYMENT:
        return None
    rho = plan.rho_of(1, 1, 1)
    return None if rho is None else plan.epsilon_of(rho)


def most_bits() -> float:
    """The exposure of a secret that is likelier than all others."""
    return SECRET_WORDS * log2(10)


_ATTACKER = "whoever has the file in 8 bits, and knows how the sentence begins"
_SEES = "the file that phones run"


def as_attacks(found: Sequence[Remembered], subject: Subject) -> list[Attack]:
    """The exposure of what most phones wrote most often, under each protection; all figures are details of the first.

    Args:
        found: all figures.
        subject: what was attacked.
    """
    phones, times = CELLS[-1]
    attacks: list[Attack] = []
    for one in found:
        if (one.phones, one.times) == (phones, times):
            details: dict[str, Any] = {} if attacks else {"remembered": [asdict(each) for each in found]}
            attacks.append(_as_attack(one, subject, details))
    return attacks


def _as_attack(one: Remembered, subject: Subject, details: dict[str, Any]) -> Attack:
    bound_is = "none: exposure is of a sentence that several phones wrote, and no claim is of several phones"
    if one.protection == SIMULATION:
        bound_is = f"none: the noise is that of {subject.prepared.plan.epsilon_is_of}"
    said = f"said by a beam search among digits: {one.extracted} of {len(one.exposures)}, among all words: {one.said}"
    recall = "-" if one.recall is None else f"{100 * one.recall:.1f} %"
    return Attack(
        name=f"memorisation: {one.protection}",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes=f"{one.phones} phones of a few hundred wrote it {one.times} times each, and each took part once",
        quantity=f"exposure, bits of {most_bits():.1f}",
        value=one.exposure,
        bound_is=bound_is,
        why=f"{said}; recall of the model {recall}",
        details=details,
    )


def _unmeasured(why: str) -> Attack:
    return Attack(
        name="memorisation",
        attacker=_ATTACKER,
        sees=_SEES,
        assumes="some phones wrote the same sentence",
        quantity=f"exposure, bits of {most_bits():.1f}",
        value=None,
        bound_is="none: nothing was measured",
        why=why,
    )
