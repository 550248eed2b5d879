"""The kernel that a run trains with: settled when it begins, kept in its config.toml, and gone on with.

Kernels differ in the last bits of an update, so the settings of a run name the one that it has, and never `auto`.
"""

from dataclasses import replace
from pathlib import Path

from client_model.config import NATIVE, TENSORFLOW, Kernel, WantedKernel
from client_model.learning.cells.base import Cell
from client_model.learning.native.available import is_built
from client_model.learning.trainers import chosen_kernel
from simulation.config import RunConfig
from simulation.files import write_text_atomically
from simulation.flags import read_config, to_toml
from simulation.parts import Parts
from simulation.run.directory import RunDirectory
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected


def with_kernel(config: RunConfig, parts: Parts, begun: Path | None) -> RunConfig:
    """The settings with the kernel in the place of `auto`.

    Args:
        config: the settings.
        parts: objects handed in, in the place of kinds that they name.
        begun: folder of the run that goes on, or that they are of; None: it is a new one.

    Raises:
        ConfigError: there is no such kernel on this machine, also where it is the run's own, or it has not the cell.
    """
    wanted: WantedKernel = config.engine.kernel
    if wanted == "auto" and begun is not None and RunDirectory(begun).config.exists():
        wanted = _recorded(begun)
    if wanted == NATIVE and not is_built() and begun is not None and _names_native(begun):
        what = "a machine with the native kernel, which this run trains with and pip builds where a C compiler is"
        way_out = (
            f"{command('scripts/simulate.py', '--resume', begun, '--engine.kernel', TENSORFLOW)} goes on without it"
        )
        raise ConfigError(expected(RunDirectory(begun).config, what, f"none; {way_out}"))
    cell: Cell = parts.cell or config.model.make_cell()
    return replace(config, engine=replace(config.engine, kernel=chosen_kernel(wanted, cell)))


def for_reading(config: RunConfig) -> RunConfig:
    """The settings of a run for what trains nothing of it, wherever it is: with a kernel that this machine has."""
    if config.engine.kernel != NATIVE or is_built():
        return config
    return replace(config, engine=replace(config.engine, kernel=TENSORFLOW))


def _names_native(root: Path) -> bool:
    return RunDirectory(root).config.exists() and _recorded(root) == NATIVE


def _recorded(root: Path) -> Kernel:
    """The kernel of a run; an earlier version, which says nothing, had one."""
    kernel = read_config(RunDirectory(root).config).engine.kernel
    return TENSORFLOW if kernel == "auto" else kernel


def record_kernel(directory: RunDirectory, config: RunConfig) -> None:
    """Put the kernel that a run goes on with into its settings, where they name another.

    Args:
        directory: of the run.
        config: what it goes on with.
    """
    before = read_config(directory.config)
    if before.engine.kernel == config.engine.kernel:
        return
    now = replace(before, engine=replace(before.engine, kernel=config.engine.kernel))
    write_text_atomically(directory.config, to_toml(now), private=True)
