"""The kernel that a run trains with: settled when it begins, kept in its config.toml, and gone on with.

Kernels differ in the last bits of an update, so the settings of a run name the one that it has, and never `auto`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from client_model.config import NATIVE, TENSORFLOW, Kernel, WantedKernel
from client_model.learning.language_model import model_shape
from client_model.learning.native.available import is_built
from client_model.learning.trainers import bits_of, chosen_kernel
from simulation.config import RunConfig
from simulation.engine.host_task import HostTask
from simulation.files import write_text_atomically
from simulation.flags import read_config, to_toml
from simulation.parts import Parts
from simulation.run.directory import RunDirectory
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected

_IN_WORDS = {NATIVE: "in C", TENSORFLOW: "by TensorFlow"}


def kernel_that_trains(task: HostTask) -> Kernel:
    """Phones at once are trained by TensorFlow, whichever kernel scores them."""
    return task.kernel if task.group is None else TENSORFLOW


def bits_that_train(task: HostTask) -> str:
    """The bits of that kernel, see `bits_of`."""
    return bits_of(kernel_that_trains(task))


def trained_in_words(task: HostTask) -> str:
    """`in C`, `by TensorFlow, 4 phones at once`."""
    together = ""
    if task.group is not None:
        on_gpu = " on a GPU" if task.group.device == "gpu" else ""
        together = f"{on_gpu}, {task.group.phones} phones at once"
    return f"{_IN_WORDS[kernel_that_trains(task)]}{together}"


def kernels_of(rounds: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Each kernel that a run went on with, and the first of its rounds; of rounds that say it.

    A build with other last bits is named where both rounds say theirs.

    Args:
        rounds: lines of rounds.jsonl.

    Example:
        >>> kernels_of([{"round": 1}, {"round": 2, "kernel": "native"}, {"round": 3, "kernel": "tensorflow"}])
        [('native', 2), ('tensorflow', 3)]
        >>> kernels_of([{"round": at, "kernel": "native", "kernel_bits": bits} for at, bits in enumerate("112", 1)])
        [('native', 1), ('another build of native', 3)]
    """
    found: list[tuple[str, int]] = []
    before: tuple[str | None, str | None] = (None, None)
    for line in rounds:
        kernel, bits = line.get("kernel"), line.get("kernel_bits")
        if kernel is None:
            continue
        if kernel != before[0]:
            found.append((kernel, line["round"]))
        elif bits != before[1] and None not in (bits, before[1]):
            found.append((f"another build of {kernel}", line["round"]))
        before = kernel, bits
    return found


def with_kernel(config: RunConfig, parts: Parts, begun: Path | None) -> RunConfig:
    """The settings with the kernel in the place of `auto`.

    Args:
        config: the settings.
        parts: objects handed in, in the place of kinds that they name.
        begun: folder of the run that goes on, or that they are of; None: it is a new one.

    Raises:
        ConfigError: there is no such kernel on this machine, also where it is the run's own, or it has not the cell, or
            not in this size, or not the local optimizer.
    """
    wanted: WantedKernel = config.engine.kernel
    if wanted == "auto" and begun is not None and RunDirectory(begun).config.exists():
        wanted = _recorded(begun)
    if wanted == NATIVE and not is_built() and begun is not None and _names_native(begun):
        what = "a machine with the native kernel, which this run trains with and pip builds where a C compiler is"
        without = command("scripts/simulate.py", "--resume", begun, "--engine.kernel", TENSORFLOW)
        found = "none" if _is_over(RunDirectory(begun), config.rounds) else f"none; {without} goes on without it"
        raise ConfigError(expected(RunDirectory(begun).config, what, found))
    shape = model_shape(config.model, cell=parts.cell)
    optimizer = config.training.make_optimizer(parts.local_optimizer)
    return replace(config, engine=replace(config.engine, kernel=chosen_kernel(wanted, shape, optimizer)))


def for_reading(config: RunConfig) -> RunConfig:
    """The settings of a run with a kernel that this machine has: for what trains nothing of it, and for forgetting."""
    if config.engine.kernel != NATIVE or is_built():
        return config
    return replace(config, engine=replace(config.engine, kernel=TENSORFLOW))


def _is_over(directory: RunDirectory, rounds: int) -> bool:
    """Whether --resume trains no more of a run."""
    if not directory.summary.exists():
        return False
    summary = directory.read_summary()
    return summary.rounds_completed >= rounds or summary.stopped_early is not None


def _names_native(root: Path) -> bool:
    return RunDirectory(root).config.exists() and _recorded(root) == NATIVE


def _recorded(root: Path) -> Kernel:
    """The kernel of a run; an earlier version, which says nothing, had one."""
    kernel = read_config(RunDirectory(root).config, begun=True).engine.kernel
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
