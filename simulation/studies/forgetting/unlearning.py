"""An approximate way to forget phones: ascent of the loss on their text, within a ball, and some rounds of the others.

Halimi, Kadhe, Rawat and Baracaldo 2022, "Federated unlearning: how to efficiently erase a client in FL?",
arXiv:2207.05521: from the final model, projected gradient ascent on the text of whom is to be forgotten, in
an L2 ball around the mean of the others' models; then rounds without them. It needs no earlier state of the run, but
the phones themselves, and their text, once more.

Where this differs, since a fleet is not a handful of clients: several phones are forgotten at once, each of which
ascends from the same weights and whose mean is taken, under the same protection as any round's; the radius is a
third of the way from the reference to the weights that the run began with (in the paper to models drawn at random),
since these are weights that know nobody here; and the ascent ends not at a threshold of accuracy but as soon as the
phones' text is predicted no better, beside those weights, than that of people who never took part.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.studies.audits.protected_training import ProtectedTraining
from simulation.studies.audits.update_sums import Protection

RADIUS = 1 / 3  # of the way to the starting weights
Flat = NDArray[np.float32]  # [num_weights]


@dataclass(frozen=True)
class Ascent:
    """What it came to."""

    flat: Flat
    passes: int  # over the forgotten phones
    moved: float  # L2 distance from where it began
    radius: float  # of the ball
    on_edge: bool  # the ball ended it


def projected(flat: Flat, centre: Flat, radius: float) -> Flat:
    """The nearest weights within a ball: float32 [num_weights].

    Args:
        flat: weights, float32 [num_weights].
        centre: of the ball, float32 [num_weights].
        radius: of it.

    Example:
        >>> projected(np.float32([3, 4]), np.zeros(2, np.float32), 2.5).tolist()
        [1.5, 2.0]
    """
    away = flat.astype(np.float64) - centre
    distance = float(np.linalg.norm(away))
    return flat if distance <= radius else (centre + away * (radius / distance)).astype(np.float32)


def reference_weights(training: ProtectedTraining, flat: Flat, forgotten: NDArray[np.int64], took_part: int) -> Flat:
    """The mean of the others' models after a round of all from the final weights: float32 [num_weights].

    The mean of all is taken to be the final weights, as in the paper: (n w - sum of the forgotten phones' own models) /
    (n - f).

    Args:
        training: of the phones.
        flat: the final weights, float32 [num_weights].
        forgotten: phones, f of them.
        took_part: phones that trained, n, these included; more than f.
    """
    summed = np.zeros(len(flat))
    for update in training.updates(flat, forgotten, number=0):
        summed += update
    return (flat - summed / (took_part - len(forgotten))).astype(np.float32)


def ascend(
    training: ProtectedTraining,
    flat: Flat,
    forgotten: NDArray[np.int64],
    protection: Protection,
    *,
    took_part: int,
    done: Callable[[Flat], bool],
    most_passes: int,
    rate: float,
) -> Ascent:
    """Raise the loss on the forgotten phones' text.

    Args:
        training: of the phones.
        flat: the final weights, float32 [num_weights].
        forgotten: phones.
        protection: of the sum of what they send.
        took_part: phones that trained, these included.
        done: are the phones forgotten well enough in these weights?
        most_passes: after which it ends in any case.
        rate: of the ascent, as a multiple of the phones' learning rate.
    """
    centre = reference_weights(training, flat, forgotten, took_part)
    radius = RADIUS * float(np.linalg.norm(centre.astype(np.float64) - training.start))
    now, passes = flat, 0
    while passes < most_passes and not done(now):
        passes += 1
        updates = training.updates(now, forgotten, number=passes, rate=-rate)
        mean = training.protected_mean(
            updates, protection, len(forgotten), number=passes, purpose="ascent of forgotten phones"
        )
        now = projected((now + mean).astype(np.float32), centre, radius)
    moved = float(np.linalg.norm(now.astype(np.float64) - flat))
    distance = float(np.linalg.norm(now.astype(np.float64) - centre))
    return Ascent(now, passes, moved, radius, distance > radius * (1 - 1e-6))


def recovered(training: ProtectedTraining, flat: Flat, rounds: NDArray[np.int64], protection: Protection) -> Flat:
    """Some rounds of phones that stay, each of which moves the weights by their mean update: float32 [num_weights].

    Args:
        training: of the phones.
        flat: weights after the ascent, float32 [num_weights].
        rounds: phones of each, int64 [rounds, phones].
        protection: of their sums.
    """
    for number, phones in enumerate(rounds, start=1):
        mean = training.protected_mean(
            training.updates(flat, phones, number=number),
            protection,
            len(phones),
            number=number,
            purpose="rounds of phones that stay",
        )
        flat = (flat + mean).astype(np.float32)
    return flat
