"""What an attacker still learns of forgotten phones: of a model as it was, unlearned, and trained again without them.

Phones train in rounds from a run's starting weights as in the attack on membership (`audits.membership`): a coin says
who takes part. A tenth or so of those who do, drawn by chance, are then to be forgotten. The attacker has a model
and everybody's text, and tells the forgotten phones from people who never took part: by the model alone (its loss, its
loss beside that of the starting weights, and beside models of the attacker's own), and by two models, the one from
before beside the one from after, as whoever has both releases does.

Trained again means exactly: the same rounds, in which the forgotten phones send nothing, with fresh noise. It knows
nothing of them, so what an attacker seems to find in it is chance, and what the two models together tell is what a
deletion gives away by itself (Chen et al. 2021, "When machine unlearning jeopardizes privacy", arXiv:2005.02205).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import generator
from client_model.metrics.intervals import Interval, difference_over_people, over_people
from client_model.metrics.keyboard_metrics import TOP1_RECALL
from client_model.quiet import import_tensorflow_quietly
from simulation.studies.audits.attack import Subject
from simulation.studies.audits.membership_scores import area_difference, area_over_people
from simulation.studies.audits.membership_shadows import (
    CALIBRATED,
    COHORT,
    GOAL,
    LOSS,
    SHADOWS,
    Shadow,
    in_rounds,
    scores_of,
    trained_shadows,
)
from simulation.studies.audits.protected_training import ProtectedTraining
from simulation.studies.audits.update_sums import CLIPPED, Protection, protections_of
from simulation.studies.forgetting.unlearning import Ascent, Flat, ascend, recovered
from typefleet.errors import ConfigError, expected
from typefleet.steps import step

BEFORE, UNLEARNED, ASCENT, AGAIN = "as it was", "unlearned", "ascent alone", "trained again"
BOTH = "two models"
SCORES = (LOSS, CALIBRATED, SHADOWS, BOTH)


@dataclass(frozen=True)
class Effort:
    """How much is trained."""

    rounds: int = 16  # at most
    shadows: int = 4  # an even number
    forgotten_share: float = 0.2  # of the phones that took part
    passes: int = 30  # of the ascent, at most
    rate: float = 0.2  # of the ascent, as a multiple of the phones' learning rate
    recovery_rounds: int = 2
    held_out: int = 60  # people on whom recall is measured

    @staticmethod
    def of(quick: bool) -> "Effort":
        """Of a study that is quick, or not."""
        return Effort(rounds=8, shadows=2, passes=10, held_out=20) if quick else Effort()


@dataclass(frozen=True)
class Told:
    """What one model tells of the forgotten phones."""

    model: str
    recall: Interval | None
    recall_lost: Interval | None  # beside the model as it was, on the same people; None of that one itself
    forgotten_gain: float  # nats a token by which the forgotten phones' text is predicted better than at the start
    others_gain: float  # the same of people who never took part
    areas: Mapping[str, Interval]  # under the ROC curve, by score
    beside_again: Mapping[str, Interval]  # how much larger, than of the model that was trained again


@dataclass(frozen=True)
class Leak:
    """Of all models under one protection."""

    protection: str
    told: tuple[Told, ...]
    forgotten: int
    others: int
    took_part: int
    ascent: Ascent


@dataclass(frozen=True)
class _People:
    """Who is who, by their place in the order of all; phones are planned once each."""

    order: NDArray[np.int64]  # [rounds, cohort]
    is_in: NDArray[np.bool_]  # [rounds * cohort]
    is_forgotten: NDArray[np.bool_]  # of those who are in

    @property
    def asked(self) -> NDArray[np.bool_]:
        """Of whom the attacker asks: the forgotten, and those who never took part."""
        return self.is_forgotten | ~self.is_in


def leak_of(subject: Subject, effort: Effort) -> list[Leak]:
    """`measure_leak` on the phones of a subject.

    Args:
        subject: whose settings they are.
        effort: how much is trained.

    Raises:
        ConfigError: too few phones train.
    """
    prepared = subject.prepared
    if (phones := len(prepared.training_phones)) < 2 * COHORT:
        raise ConfigError(expected("phones that train", f"at least {2 * COHORT} of them", phones))
    import_tensorflow_quietly()
    return measure_leak(ProtectedTraining(subject, prepared.population, "forgetting"), effort)


def measure_leak(training: ProtectedTraining, effort: Effort) -> list[Leak]:
    """Train, forget and attack, with clipping alone and, if the settings have noise, with each kind of it.

    Args:
        training: on people of whom eighty or more train.
        effort: how much is trained.
    """
    people = _people(training.subject, effort)
    with step("attacker's models", total=effort.shadows) as looking:
        shadows = trained_shadows(training, people.order, effort.shadows, looking.advance)
    asked = [Shadow(one.is_in[people.asked], one.losses[people.asked]) for one in shadows]
    protections = [one for one in protections_of(training.prepared.plan) if one.clip_norm is not None]
    return [_leak(training, people, one, asked, effort) for one in protections]


def _people(subject: Subject, effort: Effort) -> _People:
    rng = generator(subject.seed, "phones to forget")
    order = in_rounds(rng.permutation(subject.prepared.training_phones), effort.rounds)
    is_in = rng.random(order.size) < 0.5
    return _People(order, is_in, is_in & (rng.random(order.size) < effort.forgotten_share))


def _leak(
    training: ProtectedTraining, people: _People, protection: Protection, shadows: list[Shadow], effort: Effort
) -> Leak:
    order, phones = people.order, people.order.ravel()
    before = training.trained(order, protection, sends=people.is_in.reshape(order.shape), goal=GOAL)
    stay = people.is_in & ~people.is_forgotten
    again = training.trained(
        order, protection, sends=stay.reshape(order.shape), goal=GOAL, purpose="trained again without some"
    )
    ascent = _ascent(training, people, before, protection, effort)
    some = phones[stay][: effort.recovery_rounds * GOAL]
    unlearned = recovered(training, ascent.flat, some[: len(some) // GOAL * GOAL].reshape(-1, GOAL), protection)
    models = {BEFORE: before, ASCENT: ascent.flat, UNLEARNED: unlearned, AGAIN: again}
    return Leak(
        protection="clipping alone" if protection.name == CLIPPED else protection.name,
        told=tuple(_told(training, people, models, shadows, effort)),
        forgotten=int(people.is_forgotten.sum()),
        others=int((~people.is_in).sum()),
        took_part=int(people.is_in.sum()),
        ascent=ascent,
    )


def _ascent(
    training: ProtectedTraining, people: _People, before: Flat, protection: Protection, effort: Effort
) -> Ascent:
    """Ended by people who are held out, whom the server may measure on, and not by those whom the attacker asks of."""
    forgotten = people.order.ravel()[people.is_forgotten]
    strangers = training.prepared.held_out_phones[: effort.held_out]
    start = {name: training.losses(training.start, who).mean() for name, who in (("f", forgotten), ("s", strangers))}

    def done(flat: Flat) -> bool:
        gain = start["f"] - training.losses(flat, forgotten).mean()
        return bool(gain <= start["s"] - training.losses(flat, strangers).mean())

    return ascend(
        training,
        before,
        forgotten,
        protection,
        took_part=int(people.is_in.sum()),
        done=done,
        most_passes=effort.passes,
        rate=effort.rate,
    )


def _told(
    training: ProtectedTraining,
    people: _People,
    models: Mapping[str, Flat],
    shadows: list[Shadow],
    effort: Effort,
) -> Iterator[Told]:
    asked = people.order.ravel()[people.asked]
    is_forgotten = people.is_forgotten[people.asked]
    start = training.losses(training.start, asked)
    losses = {name: training.losses(flat, asked) for name, flat in models.items()}
    scores = {name: scores_of(one, start, shadows) for name, one in losses.items()}
    for name in models:
        if name != BEFORE:
            scores[name][BOTH] = losses[name] - losses[BEFORE]  # whose text is predicted worse than before
    counts = {name: training.counts(flat, effort.held_out) for name, flat in models.items()}
    for name in models:
        reference = scores[AGAIN]
        yield Told(
            model=name,
            recall=over_people(TOP1_RECALL, counts[name]),
            recall_lost=None if name == BEFORE else difference_over_people(TOP1_RECALL, counts[BEFORE], counts[name]),
            forgotten_gain=float((start - losses[name])[is_forgotten].mean()),
            others_gain=float((start - losses[name])[~is_forgotten].mean()),
            areas={
                score: area_over_people(values[is_forgotten], values[~is_forgotten])
                for score, values in scores[name].items()
            },
            beside_again={
                score: area_difference(
                    values[is_forgotten],
                    values[~is_forgotten],
                    (reference[score][is_forgotten], reference[score][~is_forgotten]),
                )
                for score, values in scores[name].items()
                if name != AGAIN
            },
        )
