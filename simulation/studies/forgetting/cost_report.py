"""What exact forgetting costs, and what is left to know without it, as tables on a terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from server_strategy.privacy.mechanisms.door import mechanism_kind
from server_strategy.privacy.rounded_up import Bound
from simulation.config import RunConfig
from simulation.studies.forgetting.arrivals import Arrivals, arrivals_of_dry_run, arrivals_of_run
from simulation.studies.forgetting.remains import FALSE_POSITIVES, Remains, what_remains
from simulation.studies.forgetting.replay_cost import (
    KEEPS,
    Kept,
    NoiseForgotten,
    mean_share,
    mean_when_asked,
    shares_by_arrival,
)
from simulation.tables import console_for, print_table

_EDGES = (0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # of the run
_TOGETHER = 10  # phones that are forgotten at once
_LATER = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # rounds


def price(stream: TextIO, config: RunConfig, root: Path | None) -> None:
    """Print what exact forgetting costs: in a run, and what bounds it if nothing is done; or in a dry run.

    Args:
        stream: where to.
        config: of the run, or settings.
        root: folder of the run; None: rounds are played without training.

    Raises:
        InputError: the run, the settings or the files cannot be used.
    """
    arrivals = arrivals_of_dry_run(config) if root is None else arrivals_of_run(root, config)
    print_costs(stream, arrivals, forgets_noise(config))
    if root is not None:
        print_remains(stream, what_remains(root))


def forgets_noise(config: RunConfig) -> NoiseForgotten | None:
    """What becomes of the state of a run's noise when it is over; None: it stays, or there is none.

    Args:
        config: of the run.
    """
    privacy = config.privacy
    if privacy.mechanism == "none" or privacy.noise_source != "secret" or privacy.keep_noise_secret:
        return None
    return NoiseForgotten(is_shared=not getattr(mechanism_kind(privacy.mechanism).makes, "independent", False))


def print_costs(stream: TextIO, arrivals: Arrivals, forgets: NoiseForgotten | None) -> None:
    """Print both tables.

    Args:
        stream: where to.
        arrivals: who came when.
        forgets: what becomes of the state of the run's noise when it is over; None: it stays.
    """
    console, rounds = console_for(stream), arrivals.rounds
    every = [Kept(keep, arrivals.written) for keep in KEEPS]
    over = [kept.when_over(forgets) for kept in every]
    names = [str(keep) for keep in KEEPS]
    if arrivals.on_disk is not None:
        over, names = [*over, arrivals.on_disk], [*names, "on\ndisk"]
    console.print(
        f"{len(arrivals.first):,} phones took part in {rounds:,} rounds; a checkpoint every "
        f"{arrivals.checkpoint_every:,} completed ones. Rounds to play again to forget one when the run is over, in % "
        "of all, by when it first took part and by --engine.keep-checkpoints:"
    )
    by_stretch = [shares_by_arrival(arrivals, there, _EDGES) for there in over]
    rows = [
        [_stretch(number), _percent(by_stretch[0][number][0]), *(_percent(column[number][1]) for column in by_stretch)]
        for number in range(len(_EDGES) - 1)
    ]
    for name, together in (("one at random", 1), (f"{_TOGETHER} at once", _TOGETHER)):
        rows.append([name, "", *(_percent(mean_share(arrivals, there, together)) for there in over)])
    rows.append(["checkpoints", "", *(f"{len(there):,}" for there in over)])
    print_table(console, ("first\ntook part", "of the\nphones, %", *names), rows)
    console.print("Rounds to play again, on average over phones, if they ask while the run goes on:")
    print_table(console, ("asks so many\nrounds later", *map(str, KEEPS)), _asked_later(arrivals, every))
    if forgets is not None:
        of_what = "however many were kept" if forgets.is_shared else "of a number of newest checkpoints"
        console.print(f"The noise of such a run is secret: when it is over, {of_what}, the last one stays.")


def _asked_later(arrivals: Arrivals, every: Sequence[Kept]) -> list[list[str]]:
    rows = []
    for later in _LATER:
        means = [mean_when_asked(arrivals, kept, later) for kept in every]
        if any(mean is not None for mean in means):
            rows.append([f"{later:,}", *("-" if mean is None else f"{mean:,.1f}" for mean in means)])
    return [*rows, ["most checkpoints", *(f"{kept.most:,}" for kept in every)]]


def print_remains(stream: TextIO, remains: Remains) -> None:
    """Print what bounds every attack on a phone that stays in.

    Args:
        stream: where to.
        remains: of the run.
    """
    console = console_for(stream)
    if all(one.epsilon is None for one in remains.rows):
        console.print("Without forgetting: nothing bounds what the model tells of a phone; the run has no noise.")
        return
    whose = "" if remains.is_of_this_run else f", in {remains.is_of}"
    console.print(
        "Without forgetting: what bounds every attack on a phone, by how often it took part, at delta "
        f"{Bound(remains.delta):.2g}{whose}:"
    )
    rows = [
        [
            f"{one.participations:,}",
            f"{one.phones:,}",
            "-" if one.epsilon is None else f"{Bound(one.epsilon):.2f}",
            "-" if one.area is None else f"{Bound(one.area):.3f}",
            "-" if one.named is None else f"{Bound(100 * one.named):.1f}",
        ]
        for one in remains.rows
    ]
    named = f"named at {100 * FALSE_POSITIVES:g} %\nfalse alarms, %"
    print_table(console, ("took\npart", "phones", "epsilon", "AUC, at\nmost", named), rows)
    if not remains.is_of_this_run:
        console.print("Of the phones of this run itself, far fewer in a round, nothing is promised.")


def _stretch(number: int) -> str:
    return f"{100 * _EDGES[number]:g} to {100 * _EDGES[number + 1]:g} %"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
