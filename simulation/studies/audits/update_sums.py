"""What somebody sees of phones' updates, under one protection after the other: sums, clipped, with noise.

The updates are those of a run's own local training, from its own starting weights, on its own people's text. Each phone
is in one sum of every size: phones in order, cut into blocks. What is kept of a sum is the evidence that it gives of
each word (`word_attack.word_evidence`), of the first sums of each size.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.update_sum import FixedPointSum, to_float
from simulation.studies.audits.word_attack import word_evidence, words_by_sign

SUM, CLIPPED, SIMULATION, DEPLOYMENT = "sum", "clipped", "noise of a simulation", "noise of a deployment"


@dataclass(frozen=True)
class Protection:
    """What is done to updates before anybody sees them."""

    name: str
    clip_norm: float | None = None  # None: they are added up as they are
    noise_stddev: float = 0.0  # on each coordinate of the sum
    noise_per_phone: float = 0.0  # the same, as a multiple of the phones in the sum

    def stddev(self, phones: int) -> float:
        """Of the noise on a sum of so many phones."""
        return self.noise_stddev + self.noise_per_phone * phones


def protections_of(plan: PrivacyPlan) -> tuple[Protection, ...]:
    """From no protection to all of it, each of them added to the ones before, as far as a plan has them.

    The noise of a simulation is that of a modelled cohort scaled down to the phones in the sum, as a run scales it; the
    noise of a deployment is on the sum in full. It is the noise of one release where releases are independent, and that
    of the first one where they are not.

    Args:
        plan: of the run.
    """
    found = [Protection(SUM), Protection(CLIPPED, plan.clip_norm)]
    if plan.noise_multiplier is not None:
        full = plan.noise_multiplier * plan.clip_norm
        if plan.modelled_cohort is not None:
            scaled = full / plan.modelled_cohort
            found.append(Protection(SIMULATION, plan.clip_norm, noise_per_phone=scaled))
        found.append(Protection(DEPLOYMENT, plan.clip_norm, noise_stddev=full))
    return tuple(found)


@dataclass(frozen=True)
class Frame:
    """Where the weights that belong to single words lie in a flat update."""

    words: int  # V
    width: int  # D
    num_weights: int
    layer_sizes: tuple[int, ...] | None  # of clipping layer by layer

    @classmethod
    def of(cls, shape: ModelShape, clip_scope: str) -> "Frame":
        """Of a model.

        Args:
            shape: of the model.
            clip_scope: of the plan.
        """
        layers = tuple(int(np.prod(dims)) for dims in shape.weight_shapes().values())
        by_layer = layers if clip_scope == "layer" else None
        return cls(shape.vocabulary_size, shape.embedding_size, shape.num_weights, by_layer)

    def parts(self, flat: NDArray[np.floating[Any]]) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
        """(output bias [V], rows of the embedding [V, D]) of a flat update or sum."""
        return flat[-self.words :], flat[: self.words * self.width].reshape(self.words, self.width)


@dataclass(frozen=True)
class Observed:
    """What is seen of the sums of one size; they hold phones 0 to n - 1, n to 2n - 1, and so on."""

    phones: int  # n
    evidence: Mapping[str, NDArray[np.float32]]  # [sums, V, 2], by protection
    rose: NDArray[np.bool_]  # [sums, V]: the words whose output bias rose in the sum itself


class Reader(Protocol):
    """Somebody who reads sums in whole, of which only the evidence on words is kept."""

    def wants(self, phones: int, number: int) -> bool:
        """Whether the sum of that number is read, among those of so many phones."""

    def read(self, protection: str, phones: int, flat: NDArray[np.floating[Any]]) -> None:
        """Read a sum as it is seen under a protection, [num_weights]."""


@dataclass
class _Running:
    """The sum at hand, and what was kept of those before."""

    frame: Frame
    protections: Sequence[Protection]
    phones: int
    most: int  # sums to be kept
    key: NoiseKey
    purpose: str
    reader: Reader | None = None
    evidence: list[list[NDArray[np.float32]]] = field(default_factory=list)
    rose: list[NDArray[np.bool_]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._plain = np.zeros(self.frame.num_weights)  # [num_weights]
        norm = next((one.clip_norm for one in self.protections if one.clip_norm is not None), None)
        layers = self.frame.layer_sizes
        self._clipped = None if norm is None else FixedPointSum(self.frame.num_weights, norm, layers)
        self._count = 0

    def add(self, update: NDArray[np.float32]) -> None:
        """Add a phone's update; a sum that is full is looked at, and the next one begins."""
        if len(self.rose) == self.most:
            return
        self._plain += update
        if self._clipped is not None:
            self._clipped.add(update)
        self._count += 1
        if self._count == self.phones:
            self._look()
            self._begin()

    def _look(self) -> None:
        plain = clipped = self._plain  # [num_weights]
        if self._clipped is not None:
            clipped = to_float(self._clipped.values, self._clipped.clip_norm)
        number, seen = len(self.rose), []
        reader = self.reader if self.reader is not None and self.reader.wants(self.phones, number) else None
        for place, one in enumerate(self.protections):
            flat = plain if one.clip_norm is None else clipped
            bias, rows = self.frame.parts(flat)
            if stddev := one.stddev(self.phones):
                draws = self.key.generator(number, place, self.phones, self.purpose)
                bias = bias + stddev * draws.standard_normal(bias.shape, np.float32)
                rows = rows + stddev * draws.standard_normal(rows.shape, np.float32)
                if reader is not None:
                    cell = flat[rows.size : -len(bias)]  # what stands between them
                    cell = cell + stddev * draws.standard_normal(cell.shape, np.float32)
                    flat = np.concatenate([rows.ravel(), cell, bias])
            if reader is not None:
                reader.read(one.name, self.phones, flat)
            seen.append(word_evidence(bias, rows))
        self.evidence.append(seen)
        self.rose.append(words_by_sign(self.frame.parts(plain)[0]))

    def observed(self) -> Observed:
        """All that was kept."""
        by_protection = zip(*self.evidence, strict=True)
        names = (one.name for one in self.protections)
        evidence = dict(zip(names, map(np.stack, by_protection), strict=True))
        return Observed(self.phones, MappingProxyType(evidence), np.stack(self.rose))


def observe(
    updates: Iterable[NDArray[np.float32]],
    frame: Frame,
    protections: Sequence[Protection],
    most: Mapping[int, int],
    *,
    seed: int,
    whose: str,
    reader: Reader | None = None,
) -> tuple[Observed, ...]:
    """Add phones' updates up in sums of every size, and keep what each protection leaves to be seen of them.

    Args:
        updates: of one phone after the other, float32 [num_weights]; as many as the largest sum has, or more.
        frame: where the weights of words lie.
        protections: one after the other; those that clip have one clip norm.
        most: sums to be kept, by the phones in a sum.
        seed: of the noise.
        whose: the phones are, which keys the noise.
        reader: that is shown the sums which it wants.

    Returns:
        For each size, in the order of `most`.
    """
    key = NoiseKey.seeded(seed)
    purpose = f"what updates tell: {whose}"
    running = [
        _Running(frame, protections, phones, most=kept, key=key, purpose=purpose, reader=reader)
        for phones, kept in most.items()
    ]
    for update in updates:
        for one in running:
            one.add(update)
    return tuple(one.observed() for one in running)
