"""State: what a checkpoint keeps, as a tree in which each owner has a branch of its own.

An owner's `state()` gives its branch, and its `load_state()` is given the same branch back and never sees another's.
Leaves are arrays; a number is an array of no dimension. A branch without leaves does not survive a checkpoint, so
`branch` takes one that is missing for empty.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from typefleet.errors import InputError, expected

State: TypeAlias = Mapping[str, "NDArray[Any] | State"]


class StateError(InputError):
    """A state that lacks what its owner needs, as one of another version does."""


def leaf(state: State, name: str) -> NDArray[Any]:
    """A copy of the array of a name.

    Raises:
        StateError: there is none.
    """
    value = state.get(name)
    if value is None or isinstance(value, Mapping):
        raise StateError(expected("state", f"an array {name}", f"only {', '.join(sorted(state)) or 'nothing'}"))
    return np.array(value)


def branch(state: State, name: str) -> State:
    """The branch of a name; empty if there is none.

    Raises:
        StateError: there is an array in its place.
    """
    value = state.get(name, {})
    if not isinstance(value, Mapping):
        raise StateError(expected("state", f"a branch {name}", "an array"))
    return value


def leaves_of(state: State) -> dict[str, NDArray[Any]]:
    """Copies of all arrays of a branch that has no further branches.

    Raises:
        StateError: it has.
    """
    return {name: leaf(state, name) for name in state}
