"""Tree aggregation with Honaker's estimate and optional restarts: DP-FTRL (arXiv:2103.00039)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from server_strategy.privacy import tree_aggregation
from server_strategy.privacy.mechanisms.base import (
    Draw,
    Horizon,
    MechanismKind,
    NoiseStream,
    StreamState,
    Vector,
)
from typefleet.doors import KindSettings, PlotStyle


@dataclass(frozen=True)
class TreeSettings(KindSettings):
    """Settings of the tree mechanism."""

    tree_restart_rounds: Annotated[int | None, Ge(1)] = None
    """Rounds from the beginning of one tree to the next one's; by default one tree for the run."""


@dataclass(frozen=True)
class TreeNoise:
    """Tree aggregation with Honaker's estimate; see `tree_aggregation`.

    Attributes:
        rounds: releases planned, for the size of the state.
        restart_every: rounds a tree; None for one tree.
    """

    rounds: int
    restart_every: int | None = None
    name: ClassVar[str] = "tree"
    description: ClassVar[str] = "tree aggregation with Honaker's estimate (DP-FTRL, arXiv:2103.00039)"
    independent: ClassVar[bool] = False

    def sensitivity_squared(self, releases: int, min_separation: int, max_participations: int) -> float:
        """Exact, by dynamic programming."""
        return float(
            tree_aggregation.tree_sensitivity_squared(releases, min_separation, max_participations, self.restart_every)
        )

    def sum_errors(self, releases: int) -> Vector:
        """About half the number of nodes that tile the rounds: float64 [releases]."""
        return tree_aggregation.tree_sum_errors(releases, self.restart_every)

    @property
    def vectors_of_memory(self) -> int:
        """One for each level of the tree."""
        return (self.restart_every or self.rounds).bit_length()

    def stream(self) -> NoiseStream:
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

    def state(self) -> StreamState:
        return {
            "leaves": np.array(self._leaves),
            **{f"node_{height}": node for height, node in self._nodes.items()},
        }

    def load_state(self, state: StreamState) -> None:
        self._leaves = int(state["leaves"])
        nodes = {name: value for name, value in state.items() if name.startswith("node_")}
        self._nodes = {int(name.removeprefix("node_")): value.copy() for name, value in nodes.items()}


def _make(settings: TreeSettings, horizon: Horizon) -> TreeNoise:
    return TreeNoise(horizon.rounds, settings.tree_restart_rounds)


KIND = MechanismKind(
    TreeNoise.name,
    TreeNoise.description,
    make=_make,
    settings=TreeSettings,
    makes=TreeNoise,
    style=PlotStyle("#CC79A7", "s"),
)
