"""Whether somebody's server optimizer is what `base.ServerOptimizer` asks for, found out before anything is trained."""

import copy

import numpy as np

from server_strategy.optimizers.base import OptimizerState, ServerOptimizer, Vector, checked_step
from server_strategy.optimizers.door import OPTIMIZERS
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import require_object

_RATE = 0.5


def check_optimizer(optimizer: ServerOptimizer) -> None:
    """Try a copy of an optimizer on a few numbers: two steps, and both again.

    A release that is made again after a kill has to come to the same weights, or it is paid for twice; so a step may
    depend on nothing but what it is given, and keep nothing but the state that it returns.

    Raises:
        ConfigError: it is none at all, gives something else than a step and a state, changes what it is given, or comes
            to another step or state from the same state.
    """
    require_object("server_optimizer", optimizer, OPTIMIZERS.needs)
    where = f"server optimizer {type(optimizer).__name__}"
    optimizer = _copy_of(optimizer)
    updates = np.linspace(-1, 1, 14, dtype=np.float32).reshape(2, 7)
    state: OptimizerState | None = None
    for update in updates:
        before = None if state is None else _copied(state)
        step, following = _step(where, optimizer, update, state)
        again, same = _step(where, optimizer, update, before)
        if not (np.array_equal(step, again) and _are_equal(following, same)):
            what = "the same step and state from the same state, as a run that goes on after a kill needs them"
            raise ConfigError(expected(where, what, "another (what it remembers belongs in the state)"))
        state = following


def _copy_of(optimizer: ServerOptimizer) -> ServerOptimizer:
    """A copy, so that what an optimizer notes of its steps for somebody is of the run alone; itself if it has none."""
    try:
        return copy.deepcopy(optimizer)
    except Exception:  # noqa: BLE001  whatever it holds, such as a lock
        return optimizer


def _step(
    where: str, optimizer: ServerOptimizer, update: Vector, state: OptimizerState | None
) -> tuple[Vector, OptimizerState]:
    """A step; `update` and `state` have to stay as they are."""
    given, kept = update.copy(), None if state is None else _copied(state)
    step, following = checked_step(optimizer, _RATE, given, state)
    if not np.array_equal(given, update):
        raise ConfigError(expected(where, "a mean update that its step leaves as it is", "one that it changes"))
    if state is not None and kept is not None and not _are_equal(state, kept):
        raise ConfigError(expected(where, "a state that its step leaves as it is", "one that it changes"))
    return step.copy(), _copied(following)


def _copied(state: OptimizerState) -> OptimizerState:
    return {name: moment.copy() for name, moment in state.items()}


def _are_equal(one: OptimizerState, other: OptimizerState) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in one
    )
