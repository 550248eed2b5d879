"""Rounds in which some phones are attackers', under one defence after the other.

Each round's phones are dealt out to buckets (`robust.buckets`), and all that the server has is the sum of each, in
fixed point, of updates that went through the very code of a run: what is not finite is refused there, what is too long
is clipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from server_strategy.robust.buckets import buckets_of
from server_strategy.robust.config import spoiled_at_most
from server_strategy.robust.rules import RULES, robust_mean
from server_strategy.robust.screening import cosines_with_median, passes_norm, screened_mean
from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError, to_float
from simulation.studies.audits.planted import Planted
from simulation.studies.audits.played_training import PlayedTraining, ServerSteps
from simulation.studies.audits.poisoners import NOBODY, Round, poisoned_update
from typefleet.steps import step

NOTHING, CLIPPING, NORM, COSINE = "no clipping", "clipping", "norm-screening", "cosine-screening"
DEFENCES = (NOTHING, CLIPPING, NORM, COSINE, *RULES)
_UNBOUNDED = 1e4  # a clip norm that no update reaches
_LONGEST, _LEAST_COSINE = 2.0, 0.0  # clip norms of an update that passes; of a bucket that does


@dataclass(frozen=True)
class Setting:
    """How large the played training is."""

    rounds: int
    cohort: int  # phones in a round
    buckets: int
    assumed_share: float  # of attackers, that the rules are told

    @property
    def phones(self) -> int:
        """That take part, once each."""
        return self.rounds * self.cohort

    @property
    def spoiled(self) -> int:
        """Buckets that the rules are told may be."""
        return spoiled_at_most(self.assumed_share, self.cohort, self.buckets)


@dataclass
class Bucket:
    """The sum of a bucket so far."""

    total: FixedPointSum
    longest: float | None = None  # norm above which an update is left out
    left_out: int = 0

    def add(self, update: NDArray[np.float32]) -> None:
        """Clip and add; what is not finite, or longer than it may be, counts as zeros."""
        if self.longest is not None and not passes_norm(update, self.longest):
            self.left_out += 1
            return
        try:
            self.total.add(update)
        except NonFiniteUpdateError:
            self.left_out += 1

    def mean(self, phones: int) -> NDArray[np.float64]:
        """Per phone that was asked: float64 [num_weights]."""
        return to_float(self.total.values, self.total.clip_norm) / phones


def defended_mean(
    defence: str, points: NDArray[np.float64], sizes: NDArray[np.int64], spoiled: int
) -> NDArray[np.float64]:
    """The mean update that a server goes on with: float64 [num_weights].

    Args:
        defence: one of `DEFENCES`.
        points: mean update of each bucket, float64 [B, num_weights].
        sizes: phones of each, int64 [B].
        spoiled: buckets that a rule is told may be an attacker's.
    """
    if defence in RULES:
        return robust_mean(defence, points, spoiled)
    if defence == COSINE:
        return screened_mean(points, cosines_with_median(points) >= _LEAST_COSINE)
    mean: NDArray[np.float64] = (sizes[:, None] * points).sum(0) / sizes.sum()
    return mean


@dataclass
class PoisonedTraining:
    """Rounds with attackers among their phones.

    Attributes:
        training: of honest phones.
        poisoned: of attackers' phones, which have written their sentences.
        order: phones of each round, int64 [rounds, cohort].
        clip_norm, layer_sizes: of clipping.
        setting: how large it is.
        planted: what attackers want.
    """

    training: PlayedTraining
    poisoned: PlayedTraining
    order: NDArray[np.int64]
    clip_norm: float
    layer_sizes: tuple[int, ...] | None
    setting: Setting
    planted: Planted
    _first: dict[int, NDArray[np.float32]] = field(default_factory=dict)  # updates of the starting weights

    def play(self, attack: str, attackers: frozenset[int], defence: str) -> NDArray[np.float32]:
        """The weights after all rounds: float32 [num_weights].

        Args:
            attack: one of `poisoners.ATTACKS`; `NOBODY` attacks.
            attackers: their phones.
            defence: one of `DEFENCES`.
        """
        training = self.training
        flat = training.start
        steps = ServerSteps(training.prepared.config.server_optimizer, len(self.order))
        attackers = frozenset() if attack == NOBODY else attackers
        with step(f"{attack}, {defence}", total=self.order.size) as playing:
            for number, phones in enumerate(self.order, 1):
                groups = buckets_of(phones, self.setting.buckets, seed=training.subject.seed, server_round=number)
                sizes = np.array([len(group) for group in groups])
                buckets = [self._bucket(defence) for _ in groups]
                whose = {
                    phone: bucket for bucket, group in zip(buckets, groups, strict=True) for phone in group.tolist()
                }
                for phone, update in self._updates(flat, phones, number, attack, attackers):
                    whose[phone].add(update)
                    playing.advance()
                points = np.stack([bucket.mean(size) for bucket, size in zip(buckets, sizes.tolist(), strict=True)])
                flat = steps.after(flat, defended_mean(defence, points, sizes, self.setting.spoiled))
        return flat

    def _bucket(self, defence: str) -> Bucket:
        norm = _UNBOUNDED if defence == NOTHING else self.clip_norm
        total = FixedPointSum(len(self.training.start), norm, self.layer_sizes)
        return Bucket(total, _LONGEST * self.clip_norm if defence == NORM else None)

    def _updates(
        self, flat: NDArray[np.float32], phones: NDArray[np.int64], number: int, attack: str, attackers: frozenset[int]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(phone, what it sends) of a round, one after another."""
        own = [phone for phone in phones.tolist() if phone in attackers]
        at = Round(
            number=number,
            phones=len(phones),
            attackers=len(own),
            clip_norm=self.clip_norm,
            layer_sizes=self.layer_sizes,
            planted=self.planted,
        )
        received = self.training.host.load(self.training.weights(flat))
        for phone in phones.tolist():
            if phone in attackers:
                yield phone, poisoned_update(attack, self.poisoned, received, phone, at)
            elif number == 1:  # of the starting weights, whatever the attack and the defence
                if phone not in self._first:
                    self._first[phone] = self.training.train(received, phone, number)
                yield phone, self._first[phone]
            else:
                yield phone, self.training.train(received, phone, number)
