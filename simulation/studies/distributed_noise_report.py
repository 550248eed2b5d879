"""What mean estimation with noise that phones add came to: tables, a file of figures, and a plot."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from client_model.metrics.intervals import shown_half
from simulation.files import write_text_atomically
from simulation.studies.distributed_noise import CENTRAL, Experiment, Measured
from simulation.tables import print_table


def print_measured(console: Console, experiment: Experiment, rows: Sequence[Measured]) -> None:
    """Print a table for each kind of noise, a line for each epsilon, and what it is of.

    Args:
        console: where to.
        experiment: who took part.
        rows: what was measured.
    """
    shown = {(row.kind, row.bits, row.epsilon): _shown(row) for row in rows}
    sizes = {row.bits: row.upload_bytes for row in rows if row.upload_bytes}
    all_bits = sorted({row.bits for row in rows if row.bits is not None})
    for kind in dict.fromkeys(row.kind for row in rows if row.kind != CENTRAL):
        lines = [
            [f"{epsilon:g}", shown[CENTRAL, None, epsilon], *(shown[kind, bits, epsilon] for bits in all_bits)]
            for epsilon in sorted({row.epsilon for row in rows})
        ]
        columns = (f"{bits} bits\n{_kilobytes(sizes.get(bits))}" for bits in all_bits)
        print_table(console, (f"{kind}\nepsilon", "central\nGaussian", *columns), lines)
    for line in _notes(experiment, rows):
        console.print(line)


def _notes(experiment: Experiment, rows: Sequence[Measured]) -> Iterator[str]:
    """What the figures are of."""
    seeds = next((row.mse.number for row in rows if row.mse is not None), 0)
    over = f"; ±: 95 % over {seeds} seeds" if seeds > 1 else ""
    yield (
        f"Mean squared error of the mean of {experiment.survivors:,} phones' vectors in {experiment.dimension:,} "
        f"dimensions, as a multiple of what central Gaussian noise has at the same epsilon and delta "
        f"{experiment.delta:g}{over}. kB: that a phone sends. unreachable: no noise gets epsilon so low in a ring of "
        "so few bits."
    )
    if (extra := experiment.survivors / experiment.threshold) > 1:
        yield (
            f"The claim needs the noise of {experiment.threshold:,} survivors; {experiment.survivors:,} add "
            f"{extra:.2f} times its variance."
        )
    wrapped = [row.wrapped_share for row in rows if row.wrapped_share is not None]
    if wrapped:
        share = f"at most {100 * max(wrapped):.2g} %" if max(wrapped) else "none"
        yield f"Coordinates that wrapped around: {share}."
    else:
        yield "Expected, not drawn: at most so much on average, but for coordinates that wrap around."


def _kilobytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1000:,.1f} kB"


def _shown(row: Measured) -> str:
    interval = row.times_central
    if interval is None:
        return "unreachable"
    half = "" if interval.half_width is None else f" ±{shown_half(f'{interval.half_width:.2f}')}"
    return f"{interval.mean:.2f}{half}"


def write_measured(folder: Path, experiment: Experiment, rows: Sequence[Measured]) -> list[Path]:
    """Write distributed_noise.json and distributed_noise.png into a folder; returns their paths.

    Args:
        folder: made if it is not there.
        experiment: who took part.
        rows: what was measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"experiment": asdict(experiment), "measured": [asdict(row) for row in rows]}
    paths = [folder / "distributed_noise.json", folder / "distributed_noise.png"]
    write_text_atomically(paths[0], json.dumps(content, indent=2) + "\n")
    plot(paths[1], experiment, rows)
    return paths


def plot(path: Path, experiment: Experiment, rows: Sequence[Measured]) -> None:
    """Draw the error over epsilon, a panel for each kind of noise and a line for each number of bits.

    Args:
        path: of the PNG.
        experiment: who took part.
        rows: what was measured.
    """
    from simulation.plots import GREY, new_figure, save_figure  # matplotlib takes a second to import

    kinds = [kind for kind in dict.fromkeys(row.kind for row in rows) if kind != CENTRAL]
    title = f"Noise that {experiment.phones:,} phones add, {experiment.dimension:,} dimensions"
    figure, axes = new_figure(1, len(kinds), (4.2 * len(kinds) + 1, 4.2), title)
    epsilons = sorted({row.epsilon for row in rows})
    for axis, kind in zip(axes.flat, kinds, strict=True):
        axis.axhline(1, color=GREY, lw=1, ls="--", label=CENTRAL)
        for number, bits in enumerate(sorted({row.bits for row in rows if row.bits is not None})):
            _draw(axis, number, bits, [row for row in rows if (row.kind, row.bits) == (kind, bits)])
        axis.set(title=kind, xlabel="epsilon", xscale="log", yscale="log", xlim=(epsilons[0] / 1.2, epsilons[-1] * 1.2))
        axis.set_xticks(epsilons, [f"{epsilon:g}" for epsilon in epsilons])
        axis.set_xticks([], minor=True)
        axis.legend(fontsize=8, loc="upper right")
    top = max([1.25, *(axis.get_ylim()[1] for axis in axes.flat)])
    for axis in axes.flat:
        axis.set_ylim(0.8, top)
        ticks = [tick for tick in (1, 1.2, 1.5, 2, 3, 5, 10, 30, 100) if tick <= top]
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_yticks([], minor=True)
    axes.flat[0].set_ylabel("mean squared error, central noise = 1")
    save_figure(figure, path)


def _draw(axis: Any, number: int, bits: int, rows: list[Measured]) -> None:
    from simulation.plots import style_number

    style = style_number(number)
    reached = [(row.epsilon, row.times_central) for row in rows if row.times_central is not None]
    label = f"{bits} bits"
    if len(reached) < len(rows):
        label += f", from epsilon {min(reached)[0]:g}" if reached else ", never"
    heights = [interval.mean for _, interval in reached]
    halves = [interval.half_width or 0.0 for _, interval in reached]
    axis.errorbar(
        [epsilon for epsilon, _ in reached],
        heights,
        yerr=halves,
        color=style.colour,
        marker=("o", "s", "^", "D")[number % 4],
        ms=4,
        lw=1.2,
        capsize=2,
        label=label,
    )
