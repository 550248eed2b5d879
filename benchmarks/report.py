"""The tables of a benchmark: the machine, each figure with its spread, and an earlier benchmark beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.earlier import Benchmarked
from benchmarks.figures import Figure
from benchmarks.machine import BUSY_CORES

_VERDICTS = {None: "", True: "met", False: "not met"}


def print_machine(console: Console, machine: Mapping[str, Any], load: float) -> None:
    """What it ran on, and whether the machine was its own."""
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items()) or "caches not readable"
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    governor = machine["governor"] or "not readable"
    console.print(f"{machine['processor']}, {machine['cores_allowed'] or machine['cores']} cores; {caches}")
    console.print(f"frequency governor {governor}; {libraries}; numpy's BLAS {machine['blas_of_numpy']}")
    busy = load > BUSY_CORES
    console.print(f"load at the start {load:.2f}{': a busy machine, every figure is marked' if busy else ''}")


def print_kernels(console: Console, kernels: Mapping[str, str]) -> None:
    """Which kernel was measured: what `--engine.kernel auto` chooses."""
    if kernels:
        told = (
            f"{kernel} ({', '.join(c for c in kernels if kernels[c] == kernel)})"
            for kernel in dict.fromkeys(kernels.values())
        )
        console.print(f"training kernel: {'; '.join(told)}")


def print_figures(console: Console, figures: Sequence[Figure], earlier: Benchmarked | None = None) -> None:
    """The table of medians and ranges; beside an earlier benchmark, of both medians and their ratio."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    for name in ("now", "range") if earlier is None else ("before", "now", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    group = ""
    for figure in figures:
        if figure.group != group:
            group = figure.group
            table.add_row(f"[bold]{group}[/bold]")
        if earlier is None:
            told = [figure.measured, figure.spread]
        else:
            old = earlier.figures.get((group, figure.name))
            before, ratio = ("-", "") if old is None else (old.measured, figure.beside(old))
            told = [before, figure.measured, ratio]
        table.add_row(f" {figure.name}", *told)
    _print_whole(console, table)
    if any(figure.is_loaded for figure in figures):
        console.print(f"* beside others' work on over {BUSY_CORES:g} of a core: better on its own")
    if earlier is not None:
        console.print("~ the two ranges meet, so the difference may be chance")


def print_musts(console: Console, ours: Benchmarked, earlier: Benchmarked | None = None) -> None:
    """What has to be reached, and whether it is; as lines of Markdown, an earlier benchmark beside it.

    Nothing where nothing has to be, as of a benchmark too small to be judged.
    """
    if all(figure.target is None for figure in ours.figures.values()):
        return
    table = Table(box=box.MARKDOWN, show_edge=True)
    table.add_column("what has to be reached", overflow="fold")
    for name in ("must", *(() if earlier is None else ("before",)), "now", ""):
        table.add_column(name, justify="right")
    for (group, name), figure in ours.figures.items():
        if figure.target is not None:
            old = None if earlier is None else earlier.figures.get((group, name))
            before = [] if earlier is None else ["-" if old is None else old.measured]
            row = [f"{group}: {name.strip()}", figure.wanted, *before, figure.measured, _VERDICTS[figure.met]]
            table.add_row(*row)
    _print_whole(console, table)


def _print_whole(console: Console, table: Table) -> None:
    """A table in which names are broken on a narrow terminal, and figures never."""
    for column in table.columns[1:]:
        column.min_width = max(map(len, map(str, column.cells)), default=0)
    console.print(table, crop=False)


def print_differences(console: Console, ours: Benchmarked, earlier: Benchmarked) -> None:
    """What is not the same about two benchmarks, beside the figures."""
    if ours.sizes != earlier.sizes:
        console.print(f"the earlier one was --{earlier.sizes}, this one --{ours.sizes}: their amounts of work differ")
    for name in ours.machine:
        then, now = earlier.machine.get(name), ours.machine[name]
        if then != now and name != "mhz_at_start":
            console.print(f"{name.replace('_', ' ')}: {then} then, {now} now")
    for cell, kernel in ours.kernels.items():
        if earlier.kernels.get(cell, kernel) != kernel:
            console.print(f"kernel of {cell}: {earlier.kernels[cell]} then, {kernel} now")
    console.print(f"load at the start: {earlier.load_at_start:.2f} then, {ours.load_at_start:.2f} now")


def profile_of(record: Mapping[str, Any]) -> str:
    """Where the time of a round went."""
    profile, phones = record["profile"], record["reports"]

    def parts(phases: Mapping[str, float], scale: float, unit: str) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {scale * seconds:.1f}" for name, seconds in phases.items()) + unit

    return (
        f"last round of cifg with 2 workers, {phones} phones in {record['train_seconds']:.1f} s:\n"
        f"  driver   {parts(profile['driver_s'], 1e3, ' ms')}\n"
        f"  hosts    {parts(profile['hosts_s'], 1e3 / phones, ' ms per phone')}\n"
        f"  transport and idling of the busiest worker {1e3 * profile['transport_s']:.0f} ms; "
        f"checkpoint {1e3 * profile['checkpoint_s']:.0f} ms\n"
        f"  processor time: driver {profile['driver_cpu_s']:.2f} s, workers {profile['hosts_cpu_s']:.2f} s"
    )
