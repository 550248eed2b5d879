"""What a dry run says: tables on the terminal, files for programs, and one page of plots."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from server_strategy.config import CohortConfig
from simulation.clock import DAY_S, HOUR_S
from simulation.config import RunConfig
from simulation.files import write_text_atomically
from simulation.flags import to_toml
from simulation.plots import BLUE, GREEN, GREY, ORANGE, new_figure, save_figure
from simulation.run.directory import check_output_dir, new_folder
from simulation.studies.dry_run import DryRun, prepare_dry_run, run_days
from simulation.studies.dry_run_consent import consent_of_days, print_consent
from simulation.studies.dry_run_seeds import intervals, print_intervals, print_stops, seeded, summary_of_seeds
from simulation.studies.dry_run_settings import NO_PROTECTION, Protection
from simulation.studies.dry_run_steps import LEFT, steps_summary, steps_words
from simulation.tables import print_groupings
from simulation.world.aggregation_steps import SteppedFunnel
from simulation.world.fleet_cohorts import FleetCohorts
from simulation.world.opting_out import by_consent
from simulation.world.participation import overall, participation_by_group
from typefleet.steps import step

_SETTINGS = "config.toml"
# Of the fields of a funnel, the ways in which an invitation can end; not every policy knows all of them.
_DROPPED = ("dropped_failure", "dropped_ineligible", "dropped_upload", "withdrawn")
_FUNNEL = ("reported", "unused", "late", "stale", *_DROPPED)


def play_and_report(
    console: Console, config: RunConfig, days: float, seeds: int = 1, protection: Protection = NO_PROTECTION
) -> list[Path]:
    """Play rounds, print the figures and write the files; of several seeds those of each, and their intervals.

    Args:
        console: to print to.
        config: of the simulation, with the folder for the files.
        days: simulated ones to play.
        seeds: fleets to play, each with a seed of its own, from that of the settings on.
        protection: what it adds to each phone's round that the server sees no single update.

    Returns:
        The files; of several seeds the one of all, and the folder of each.

    Raises:
        InputError: the settings or the files that they name cannot be used; nothing was written.
    """
    if config.output_dir is not None:
        check_output_dir(config.output_dir)
    fleets = seeded(config, seeds)
    with step("preparing the fleet"):
        opened = prepare_dry_run(fleets[0], protection=protection)
    phones = opened[0].fleet.num_phones
    console.print(f"{phones:,} phones; availability: {opened[0].fleet.origin}")
    was_there = config.output_dir is not None and config.output_dir.exists()
    folder = new_folder(config.output_dir, "fleet-")
    with _emptied_if_nothing_comes_of_it(folder, was_there):
        return _played_into(folder, console, config, days=days, fleets=fleets, opened=opened, protection=protection)


@contextmanager
def _emptied_if_nothing_comes_of_it(folder: Path, was_there: bool) -> Iterator[None]:
    """What was interrupted before its first fleet had been played leaves no folder of settings alone."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the error that ended it is the one to tell
            if not any(folder.glob("**/summary.json")):
                (folder / _SETTINGS).unlink(missing_ok=True)
                for made in (*folder.glob("seed-*"), *([] if was_there else [folder])):
                    made.rmdir()
        raise


def _played_into(
    folder: Path,
    console: Console,
    config: RunConfig,
    *,
    days: float,
    fleets: Sequence[RunConfig],
    opened: tuple[DryRun, FleetCohorts],
    protection: Protection,
) -> list[Path]:
    seeds, phones = len(fleets), opened[0].fleet.num_phones
    write_text_atomically(folder / _SETTINGS, to_toml(config))
    title = f"{phones:,} phones, goal {config.cohort.goal:,}, {config.cohort.policy} rounds"
    summaries: list[dict[str, Any]] = []
    files: list[Path] = []
    for one in fleets:
        of_seed, name = (folder, "") if seeds == 1 else (folder / f"seed-{one.seed}", f", seed {one.seed}")
        if summaries:
            with step(f"preparing the fleet{name}"):
                opened = prepare_dry_run(one, protection=protection)
        of_seed.mkdir(exist_ok=True)
        play(one, *opened, days=days, name=name)
        summaries.append(dry_run_summary(opened[0], one.cohort))
        files += write_report(of_seed, opened[0], summaries[-1], f"{title}{name}")
    together = summary_of_seeds(summaries, [one.seed for one in fleets])
    write_text_atomically(folder / "summary.json", json.dumps(together, indent=2) + "\n")
    if seeds == 1:
        print_summary(console, summaries[0], phones)
        print_stops(console, summaries, config.cohort)
        return files
    print_intervals(console, intervals(summaries), [one.seed for one in fleets])
    print_stops(console, summaries, config.cohort)
    return [folder / "summary.json", *(folder / f"seed-{one.seed}" for one in fleets)]


def play(config: RunConfig, run: DryRun, cohorts: FleetCohorts, *, days: float, name: str) -> None:
    """Play the days of one fleet as a step that is seen.

    Args:
        config: of the run that is dry.
        run, cohorts: by `prepare_dry_run`.
        days: simulated ones.
        name: of the fleet, after a comma.
    """
    with step(f"playing {days:g} {'day' if days == 1 else 'days'}{name}", days) as playing:

        def tick(now: DryRun) -> None:
            playing.reached(now.simulated_s / DAY_S, f"{len(now.rounds):,} rounds")

        run_days(config, run, cohorts, days, tick)


def dry_run_summary(run: DryRun, cohort: CohortConfig) -> dict[str, Any]:
    """All figures of a dry run by name; None where a value does not exist."""
    done = [r for r in run.rounds if r.abandoned is None]
    days = run.simulated_s / DAY_S
    completed_s = np.array([r.funnel.closed_s for r in done])
    invited = sum(r.funnel.invited for r in run.rounds)
    separation = run.log.min_separation or None
    consent = consent_of_days(run.fleet, run.consent_days, run.groupings, run.simulated_s)
    stepped = [r.funnel for r in run.rounds if isinstance(r.funnel, SteppedFunnel)]
    return {
        "simulated_days": days,
        "rounds_completed": len(done),
        "rounds_abandoned": len(run.rounds) - len(done),
        "rounds_completed_share": len(done) / len(run.rounds) if run.rounds else None,
        "would_stop_at_round": run.would_stop_at(cohort.max_abandoned_in_a_row),
        "rounds_per_day": len(done) / days if days else None,
        "round_s": _quantiles(np.array([r.took_s for r in done])),
        "days_to_rounds": {
            str(n): float(completed_s[n - 1] / DAY_S) for n in (10, 100, 1000, 2000, 5000) if n <= len(done)
        },
        "checked_in": _quantiles(np.array([r.funnel.checked_in for r in run.rounds])),
        "invited": invited,
        "outcome_share": {
            name: sum(getattr(r.funnel, name, None) or 0 for r in run.rounds) / invited if invited else None
            for name in (*_FUNNEL, *(LEFT if stepped else ()))
        },
        **({"aggregation": steps_summary(stepped)} if stepped else {}),
        **({} if consent is None else {"consent": consent}),
        "participation": asdict(overall(run.fleet.may_train, run.log.counts)),
        "max_participations": int(run.log.counts.max(initial=0)),
        "min_separation_rounds": separation,
        "min_separation_rounds_asked": cohort.min_separation_rounds,
        "by_group": participation_by_group(
            [*run.groupings, *by_consent(run.fleet, run.simulated_s)],
            run.fleet.may_train,
            run.log.counts,
            run.log.counts * run.tokens,
        ),
        "hours": {
            name: {"eligible_mean": counts.mean_eligible(run.days_looked_at), "invited": counts.invited.tolist()}
            for name, counts in (("utc", run.by_utc_hour), ("local", run.by_local_hour))
        },
        "ready_s": run.ready_s,
        "planning_s": run.planning_s,
        "rounds_per_wall_second": len(run.rounds) / run.planning_s if run.planning_s else None,
    }


def _quantiles(values: NDArray[np.float64] | NDArray[np.int64]) -> dict[str, float] | None:
    if not len(values):
        return None
    return {f"p{q}": float(np.percentile(values, q)) for q in (5, 25, 50, 75, 95)}


def write_report(folder: Path, run: DryRun, summary: dict[str, Any], title: str) -> list[Path]:
    """summary.json, rounds.jsonl, participations.csv and fleet.png in `folder`."""
    write_text_atomically(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    write_text_atomically(
        folder / "rounds.jsonl", "".join(json.dumps(record.as_line()) + "\n" for record in run.rounds)
    )
    phones = np.bincount(run.log.counts[run.fleet.may_train]).tolist()
    rows = [f"{updates},{count}" for updates, count in enumerate(phones)]
    write_text_atomically(folder / "participations.csv", "\n".join(["updates,phones", *rows]) + "\n")
    plot(folder / "fleet.png", run, summary, title)
    return [folder / name for name in ("summary.json", "rounds.jsonl", "participations.csv", "fleet.png")]


def print_summary(console: Console, summary: dict[str, Any], population: int) -> None:
    """The figures a reader wants first, then who takes part."""
    share, part = summary["outcome_share"], summary["participation"]
    rows = [
        ("simulated", f"{summary['simulated_days']:.1f} days of {population:,} phones"),
        (
            "rounds",
            f"{summary['rounds_completed']:,} completed, {summary['rounds_abandoned']:,} abandoned; "
            f"{_show(summary['rounds_per_day'], '{:,.0f}')} a day",
        ),
        ("round, selection included", _spread(summary["round_s"], "{:,.0f}", " s")),
        ("checked in at selection", _spread(summary["checked_in"], "{:,.0f}", " phones")),
        ("time to rounds", ", ".join(f"{int(n):,} in {d:.2f} d" for n, d in summary["days_to_rounds"].items()) or "-"),
        (
            "invited",
            f"{summary['invited']:,}; " + ", ".join(f"{_percent(v)} {_words(n)}" for n, v in share.items() if v),
        ),
        (
            "a phone",
            f"at most {summary['max_participations']} updates, at least "
            f"{_show(summary['min_separation_rounds'], '{}')} rounds apart "
            f"(asked for: {summary['min_separation_rounds_asked']})",
        ),
        ("evenness", f"{part['never_used_share']:.1%} of phones never used, Gini {_show(part['gini'], '{:.2f}')}"),
        (
            "wall time",
            f"{summary['ready_s']:.1f} s to set up, {summary['planning_s']:.1f} s of rounds: "
            f"{_show(summary['rounds_per_wall_second'], '{:,.0f}')} rounds a second",
        ),
    ]
    rows[3:3] = [("secure aggregation", steps_words(summary["aggregation"]))] if "aggregation" in summary else []
    grid = Table.grid(padding=(0, 2))
    for row in rows:
        grid.add_row(*row)
    console.print(grid)
    if "consent" in summary:
        print_consent(console, summary["consent"])
    print_groups(console, summary["by_group"])


def print_groups(console: Console, rows: list[dict[str, Any]]) -> None:
    """Who takes part, by group."""
    headings = ("phones", "of\nphones", "of\nupdates", "of\ntokens", "updates\nper\nphone", "never\nused")
    lines = []
    for row in rows:
        shares = (_show(row[f"share_of_{what}"], "{:.1%}") for what in ("phones", "updates", "tokens"))
        means = _show(row["updates_per_phone"], "{:.2f}"), _show(row["never_used_share"], "{:.1%}")
        lines.append((row["grouping"], row["group"], f"{row['phones']:,}", *shares, *means))
    print_groupings(console, headings, lines)


def _show(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _percent(share: float) -> str:
    """A share that is not nothing never reads as nothing."""
    return f"{share:.1%}" if share >= 5e-4 else "< 0.1%"


def _spread(quantiles: dict[str, float] | None, form: str, unit: str) -> str:
    if quantiles is None:
        return "-"
    low, middle, high = (form.format(quantiles[f"p{q}"]) for q in (5, 50, 95))
    return f"median {middle}{unit}, 5 to 95 %: {low} to {high}"


def _words(name: str) -> str:
    return name.replace("dropped_", "dropped: ").replace("_", " ")


def plot(path: Path, run: DryRun, summary: dict[str, Any], title: str) -> None:
    """One page: who is there when, how rounds go, and who takes part."""
    figure, axes = new_figure(3, 2, (11, 11), title)
    _plot_hours(axes[0, 0], summary["hours"]["utc"], "UTC hour")
    _plot_hours(axes[0, 1], summary["hours"]["local"], "hour on the phone's clock")
    _plot_rounds(axes[1, 0], run)
    _plot_outcomes(axes[1, 1], summary)
    _plot_participations(axes[2, 0], run)
    _plot_groups(axes[2, 1], summary)
    save_figure(figure, path)


def _plot_hours(axis: Axes, hours: dict[str, Any], label: str) -> None:
    if hours["eligible_mean"] is not None:
        axis.bar(np.arange(24) + 0.5, hours["eligible_mean"], 0.9, color=BLUE, alpha=0.5, label="eligible (left)")
    axis.set(title=f"Eligible and invited phones by {label}", xlabel=label, ylabel="phones eligible, mean")
    axis.set_xlim(0, 24)
    axis.set_xticks(range(0, 25, 4))
    other = axis.twinx()
    invited = np.array(hours["invited"])
    other.plot(np.arange(24) + 0.5, 100 * invited / max(invited.sum(), 1), "o-", ms=3, color=ORANGE, label="invited")
    other.set_ylabel("% of all invitations")
    other.set_ylim(0, 115 * invited.max(initial=1e-9) / max(invited.sum(), 1))
    axis.yaxis.set_major_formatter("{x:,.0f}")
    handles = [*axis.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
    axis.legend(handles, ["eligible (left)", "invited (right)"][-len(handles) :], fontsize=8, loc="lower right")


def _plot_rounds(axis: Axes, run: DryRun) -> None:
    done = [r for r in run.rounds if r.abandoned is None]
    at = np.array([r.funnel.closed_s for r in done]) / DAY_S
    took = np.array([r.took_s for r in done])
    axis.plot(at, took, ".", ms=2, color=BLUE, alpha=0.4)
    axis.set(title="Duration of rounds, selection included", xlabel="simulated days", ylabel="seconds")
    if len(took) and np.percentile(took, 95) > 20 * np.percentile(took, 5):
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter("{x:,g}")
    axis.set_xlim(0, max(run.simulated_s / DAY_S, HOUR_S / DAY_S))
    count = axis.twinx()
    count.plot(at, np.arange(1, len(at) + 1), color=ORANGE)
    count.set_ylabel("rounds completed (line)")
    count.set_ylim(bottom=0)
    count.yaxis.set_major_formatter("{x:,.0f}")


def _plot_outcomes(axis: Axes, summary: dict[str, Any]) -> None:
    shares = {n: 100 * (v or 0.0) for n, v in summary["outcome_share"].items() if n in ("reported", "unused") or v}
    names, values = list(shares)[::-1], list(shares.values())[::-1]
    bars = axis.barh([_words(n) for n in names], values, color=[GREEN if n == "reported" else GREY for n in names])
    axis.bar_label(bars, [_percent(v / 100) if v else "0" for v in values], padding=3, fontsize=8)
    axis.set(title="What became of the invited phones", xlabel="% of invitations", xlim=(0, 1.18 * max(*values, 1)))


def _plot_participations(axis: Axes, run: DryRun) -> None:
    phones = np.bincount(run.log.counts[run.fleet.may_train])
    axis.bar(np.arange(len(phones)), phones, 0.9, color=BLUE)
    axis.set(title="Updates per phone", xlabel="updates in a release", ylabel="phones", yscale="log", ylim=(0.5, None))
    separation = run.log.min_separation or "-"
    text = f"most: {len(phones) - 1} updates\nsmallest separation: {separation} rounds"
    axis.text(0.97, 0.95, text, transform=axis.transAxes, ha="right", va="top", fontsize=8)


def _plot_groups(axis: Axes, summary: dict[str, Any]) -> None:
    rows = [r for r in summary["by_group"] if r["phones"] and r["share_of_updates"] is not None][::-1]
    ratio = [r["share_of_updates"] / r["share_of_phones"] for r in rows]
    names = [f"{r['grouping']}: {r['group']}" for r in rows]
    axis.barh(names, ratio, color=[BLUE if value >= 1 else ORANGE for value in ratio])
    axis.axvline(1.0, color="black", lw=0.8)
    axis.tick_params(axis="y", labelsize=7)
    axis.set(title="Share of updates over share of phones (1: as many as there are)", xlabel="ratio")
