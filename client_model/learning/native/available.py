"""Whether the kernel in C is there, and for which cells; asked without importing it."""

from functools import cache

from client_model.learning.cells.base import Cell, CellSizes
from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.stacked import Stacked

CELLS: dict[type, int] = {Cifg: 0, Stacked: 0, Gru: 1, Lstm: 2}  # as sizes.h numbers them
INTERFACE = 1  # of module.c, which says when it is raised
LARGEST = 2**16  # width and units at most, as training_module.c has it


def has_cell(cell: Cell) -> bool:
    """Whether the kernel trains a cell; of somebody's own, which may be derived from one of these, it knows nothing."""
    return type(cell) in CELLS


def has_sizes(sizes: CellSizes) -> bool:
    """Whether the kernel trains cells as large as this."""
    return max(sizes.embedding, sizes.units) <= LARGEST


@cache
def is_built() -> bool:
    """Whether it was built when Typefleet was installed, and not from an earlier state of a checkout."""
    try:
        from client_model.learning.native import kernel
    except ImportError:
        return False
    return bool(getattr(kernel, "INTERFACE", None) == INTERFACE)


@cache
def is_fast() -> bool:
    """Whether it is there, and made for instructions of this machine: multiply and add in one."""
    if not is_built():
        return False
    from client_model.learning.native.kernel import portable_is_fast, variants

    return variants()[0] != "portable" or portable_is_fast()
