"""A cell that was handed in, named by the configuration; apart, so that bad input is refused without Flower."""

from dataclasses import replace

from client_model.config import ModelConfig
from client_model.learning.cells.base import Cell
from client_model.learning.cells.door import CELLS
from simulation.config import RunConfig
from simulation.parts import Parts
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError


def with_named_cell(config: RunConfig, parts: Parts) -> tuple[RunConfig, Parts]:
    """The configuration that names the cell which was handed in; a cell that every process finds is no part any more.

    Raises:
        ConfigError: its name is another cell's.
    """
    cell = parts.cell
    if cell is None:
        return config, parts
    settings = cell if isinstance(cell, KindSettings) else KindSettings()
    model = replace(config.model, cell=cell.name, cell_settings=settings)
    if cell.name in CELLS.names and _made(model) != cell:
        raise ConfigError(f"cell {cell.name!r}: expected a name that is free, found it taken by another cell")
    if CELLS.every_process_finds(cell.name):
        parts = replace(parts, cell=None)
    return replace(config, model=model), parts


def _made(model: ModelConfig) -> Cell | None:
    """The cell that is behind the door under the name; None if it has other settings."""
    try:
        return model.make_cell()
    except ConfigError:
        return None
