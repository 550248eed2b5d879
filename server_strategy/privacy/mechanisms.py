"""The noise mechanisms as one small interface: what they cost, what they do to the sums, how they flow.

| name | noise | memory, in models |
|---|---|---|
| gaussian | independent in each round (DP-FedAvg) | 0 |
| tree | binary trees, Honaker's estimate, optional restarts (DP-FTRL) | log2 of the rounds |
| banded | banded Toeplitz factorisation, optimised for the run | bands - 1 |
| blt | buffered linear Toeplitz factorisation, optimised for the run | buffers |

A mechanism is a frozen dataclass whose fields are all that the ledger needs to recompute its cost. Its
noise comes from a stream: one vector a release, from standard normal draws that the caller keys. Scale and
clip norm are the caller's; here one phone's update has norm 1 and a draw has deviation 1.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy import toeplitz, tree_aggregation

Vector = NDArray[np.float64]
Draw = Callable[[int], Vector]  # standard normal draws of this release; another number, other draws


class NoiseStream(Protocol):
    """The noise of one tensor, release after release."""

    def next(self, draw: Draw) -> Vector:
        """Noise of the next release: float64, of the shape of a draw."""

    def state(self) -> dict[str, NDArray]:
        """All that is needed to go on; the arrays are the stream's own."""

    def load_state(self, state: dict[str, NDArray]) -> None:
        """Go on from a state."""


class Mechanism(Protocol):
    """A way to make noise, with its exact cost."""

    name: ClassVar[str]

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """Largest squared change by one phone in the first `releases` releases.

        Raises:
            ValueError: it is not known exactly.
        """

    def sum_errors(self, releases: int) -> Vector:
        """Variance of the noise in the sum of the releases so far, after each: float64 [releases]."""

    def stream(self) -> NoiseStream:
        """A stream before its first release."""

    @property
    def vectors_of_memory(self) -> int:
        """Vectors of the size of the model that a stream keeps."""


@dataclass(frozen=True)
class IndependentNoise:
    """Independent Gaussian noise: a phone pays for each of its participations."""

    name: ClassVar[str] = "gaussian"
    vectors_of_memory: ClassVar[int] = 0

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """The number of participations."""
        return float(min(max_participations, -(-releases // min_separation)))

    def sum_errors(self, releases: int) -> Vector:
        """1, 2, 3, ..."""
        return np.arange(1.0, releases + 1)

    def stream(self) -> "NoiseStream":
        """The draws themselves."""
        return _IndependentStream()


class _IndependentStream:
    def next(self, draw: Draw) -> Vector:
        return draw(0)

    def state(self) -> dict[str, NDArray]:
        return {}

    def load_state(self, state: dict[str, NDArray]) -> None:
        """There is none."""


@dataclass(frozen=True)
class TreeNoise:
    """Tree aggregation with Honaker's estimate; see `tree_aggregation`."""

    rounds: int  # for the size of the state
    restart_every: int | None = None
    name: ClassVar[str] = "tree"

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """Exact, by dynamic programming."""
        return float(
            tree_aggregation.tree_sensitivity_squared(releases, min_separation, max_participations, self.restart_every)
        )

    def sum_errors(self, releases: int) -> Vector:
        """About half the number of nodes that tile the rounds."""
        return tree_aggregation.tree_sum_errors(releases, self.restart_every)

    @property
    def vectors_of_memory(self) -> int:
        """One for each level of the tree."""
        return (self.restart_every or self.rounds).bit_length()

    def stream(self) -> "NoiseStream":
        """Node by node."""
        return _TreeStream(self.restart_every)


class _TreeStream:
    """Residuals of the tree's estimate: what this release adds to the noise of the sum."""

    def __init__(self, restart_every: int | None) -> None:
        self._restart_every = restart_every
        self._leaves = 0  # of the current tree
        self._nodes: dict[int, Vector] = {}  # height: node + (left + right) / 2, for those that tile the rounds

    def next(self, draw: Draw) -> Vector:
        before = self._estimate()
        node, height = draw(0), 0
        while height in self._nodes:  # the new node is a right child: its parent is complete as well
            node = draw(height + 1) + (self._nodes.pop(height) + node) / 2
            height += 1
        self._nodes[height] = node
        self._leaves += 1
        residual = self._estimate() - before
        if self._leaves == self._restart_every:
            self._leaves, self._nodes = 0, {}
        return residual

    def _estimate(self) -> Vector:
        weighted = (tree_aggregation.node_weight(height) * node for height, node in sorted(self._nodes.items()))
        return sum(weighted, start=np.zeros(()))

    def state(self) -> dict[str, NDArray]:
        return {
            "leaves": np.array(self._leaves),
            **{f"node_{height}": node for height, node in self._nodes.items()},
        }

    def load_state(self, state: dict[str, NDArray]) -> None:
        self._leaves = int(state["leaves"])
        nodes = {name: value for name, value in state.items() if name.startswith("node_")}
        self._nodes = {int(name.removeprefix("node_")): value.copy() for name, value in nodes.items()}


@dataclass(frozen=True)
class BandedToeplitzNoise:
    """Banded Toeplitz factorisation; `coefficients` are the first column of C, see `toeplitz`."""

    coefficients: tuple[float, ...]
    name: ClassVar[str] = "banded"

    @cached_property
    def _column(self) -> Vector:
        return np.array(self.coefficients)

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """Exact; also where fewer rounds lie between two participations than there are bands."""
        return toeplitz.sensitivity_squared(self._column, releases, min_separation, max_participations)

    def sum_errors(self, releases: int) -> Vector:
        """Of the prefix sums."""
        return toeplitz.sum_errors(toeplitz.inverse_coefficients(self._column, releases))

    @property
    def vectors_of_memory(self) -> int:
        """All rounds that a band reaches back."""
        return len(self.coefficients) - 1

    def stream(self) -> "NoiseStream":
        """C y = z, solved row by row."""
        return _BandedStream(self._column)


class _BandedStream:
    """y_t = (z_t - sum_j c_j y_(t-j)) / c_0, with the last bands - 1 of the y kept in a ring."""

    def __init__(self, column: Vector) -> None:
        self._column = column
        self._ring: list[Vector] = []
        self._releases = 0

    def next(self, draw: Draw) -> Vector:
        noise = draw(0).copy()
        reach = len(self._column) - 1
        for back in range(1, min(reach, self._releases) + 1):
            noise -= self._column[back] * self._ring[(self._releases - back) % reach]
        noise /= self._column[0]
        if reach and len(self._ring) < reach:
            self._ring.append(noise)
        elif reach:
            self._ring[self._releases % reach] = noise
        self._releases += 1
        return noise

    def state(self) -> dict[str, NDArray]:
        ring = {f"ring_{i}": vector for i, vector in enumerate(self._ring)}
        return {"releases": np.array(self._releases), **ring}

    def load_state(self, state: dict[str, NDArray]) -> None:
        self._releases = int(state["releases"])
        self._ring = [state[f"ring_{i}"].copy() for i in range(len(state) - 1)]


@dataclass(frozen=True)
class BufferedToeplitzNoise:
    """Buffered linear Toeplitz factorisation (BLT); see `toeplitz`."""

    rounds: int
    buffer_decay: tuple[float, ...]
    output_scale: tuple[float, ...]
    name: ClassVar[str] = "blt"

    @cached_property
    def _parameters(self) -> tuple[Vector, Vector, float]:
        """(decay, scale, norm of the first column over the run); C is divided by the norm."""
        decay, scale = np.array(self.buffer_decay), np.array(self.output_scale)
        return decay, scale, float(np.linalg.norm(toeplitz.blt_coefficients(decay, scale, self.rounds)))

    def _coefficients(self, releases: int) -> Vector:
        decay, scale, norm = self._parameters
        return toeplitz.blt_coefficients(decay, scale, releases) / norm

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """Exact."""
        return toeplitz.sensitivity_squared(self._coefficients(releases), releases, min_separation, max_participations)

    def sum_errors(self, releases: int) -> Vector:
        """Of the prefix sums."""
        return toeplitz.sum_errors(toeplitz.inverse_coefficients(self._coefficients(releases), releases))

    @property
    def vectors_of_memory(self) -> int:
        """The buffers."""
        return len(self.buffer_decay)

    def stream(self) -> "NoiseStream":
        """C^-1 z through the buffers."""
        return _BufferedStream(*self._parameters)


class _BufferedStream:
    """y = z - omega S; S = theta S + y (arXiv:2404.16706, Algorithm 1)."""

    def __init__(self, decay: Vector, scale: Vector, norm: float) -> None:
        self._decay, self._scale, self._norm = decay, scale, norm
        self._buffers: list[Vector] = []

    def next(self, draw: Draw) -> Vector:
        noise = draw(0).copy()
        if not self._buffers:
            self._buffers = [np.zeros_like(noise) for _ in self._decay]
        for scale, buffer in zip(self._scale, self._buffers, strict=True):
            noise -= scale * buffer
        for decay, buffer in zip(self._decay, self._buffers, strict=True):
            buffer *= decay
            buffer += noise
        return noise * self._norm

    def state(self) -> dict[str, NDArray]:
        return {f"buffer_{i}": buffer for i, buffer in enumerate(self._buffers)}

    def load_state(self, state: dict[str, NDArray]) -> None:
        self._buffers = [state[f"buffer_{i}"].copy() for i in range(len(state))]


MechanismName = Literal["gaussian", "tree", "banded", "blt"]
MECHANISMS: tuple[MechanismName, ...] = get_args(MechanismName)
_KINDS: dict[str, type] = {
    kind.name: kind for kind in (IndependentNoise, TreeNoise, BandedToeplitzNoise, BufferedToeplitzNoise)
}


@lru_cache(maxsize=256)
def make_mechanism(
    name: str,
    rounds: int,
    min_separation: int,
    max_participations: int,
    *,
    bands: int | None = None,
    buffers: int = 3,
    restart_every: int | None = None,
    momentum: float = 0.0,
) -> Mechanism:
    """The mechanism of a name, optimised for a run.

    Args:
        name: one of MECHANISMS.
        rounds: releases planned.
        min_separation: rounds from one participation of a phone to the next, at least.
        max_participations: of one phone, at most.
        bands: of the banded mechanism, at most min_separation; that many if None.
        buffers: of the BLT mechanism.
        restart_every: rounds after which the tree mechanism begins a new tree; never if None.
        momentum: of the server's SGD, which the Toeplitz mechanisms are optimised for.

    Raises:
        ValueError: an unknown name, or more bands than the separation allows.
    """
    if name == "gaussian":
        return IndependentNoise()
    if name == "tree":
        return TreeNoise(rounds, restart_every)
    if name == "banded":
        free = min_separation if max_participations > 1 else rounds
        if bands is not None and bands > free:
            raise ValueError(f"Expected bands <= min_separation {free}. Found {bands}.")
        return BandedToeplitzNoise(tuple(toeplitz.optimal_banded(rounds, bands or free, momentum).tolist()))
    if name == "blt":
        decay, scale = toeplitz.optimal_blt(rounds, min_separation, max_participations, buffers, momentum)
        return BufferedToeplitzNoise(rounds, tuple(decay.tolist()), tuple(scale.tolist()))
    raise ValueError(f"Expected a mechanism of {', '.join(MECHANISMS)}. Found {name!r}.")


def mechanism_parameters(mechanism: Mechanism) -> dict[str, Any]:
    """The fields of a mechanism, as JSON knows them."""
    fields = asdict(mechanism)  # type: ignore[call-overload]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def mechanism_from_parameters(name: str, parameters: dict[str, Any]) -> Mechanism:
    """Inverse of `mechanism_parameters`.

    Raises:
        ValueError: an unknown name.
    """
    if name not in _KINDS:
        raise ValueError(f"Expected a mechanism of {', '.join(MECHANISMS)}. Found {name!r}.")
    return _KINDS[name](**{k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()})
