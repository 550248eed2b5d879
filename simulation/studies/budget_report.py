"""What `scripts/privacy_budget.py` shows: the answer, tables over mechanisms and cohorts, and a plot."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from server_strategy.privacy.accounting import epsilon_of_gaussian
from server_strategy.privacy.amplification import Counterfactual, counterfactual
from server_strategy.privacy.budget import Budget, BudgetRequest, at_equal_cost, solve, with_cohort
from server_strategy.privacy.mechanisms.door import mechanism_kind, private_mechanisms
from server_strategy.privacy.rounded_up import Bound
from simulation.files import write_text_atomically
from simulation.plots import alone, kind_styles, new_figure, save_figure
from simulation.tables import print_table
from typefleet.errors import InputError
from typefleet.steps import step

_COHORT_FACTORS = (0.25, 0.5, 1, 2, 4)
_EVENLY = "participations are assumed to be evenly spaced, which nothing enforces"
_SUPPOSED = (
    "a fixed clip norm, with which zero-out and add-or-remove cost the same",
    "every round is released, and phones may come back as soon as the separation allows",
    "mechanisms not asked for have their default settings",
    "the server adds the noise; of phones that add it, a run says what it costs when it begins",
)


def answer(
    console: Console, request: BudgetRequest, poisson_counterfactual: bool, output_dir: Path | None
) -> list[Path]:
    """Solve for what is not given, print the tables, and write the files if asked to.

    Args:
        console: to print to.
        request: what is given.
        poisson_counterfactual: add what epsilon would be if phones were sampled at random, labelled so.
        output_dir: folder for the files; only printed if None.

    Returns:
        The files.

    Raises:
        InputError: the request has no answer; nothing was written.
    """
    budget = solve(request)
    print_answer(console, budget, request, poisson_counterfactual)
    with step("comparing the mechanisms"):
        budgets = compare(budget, request)
    print_mechanisms(console, budgets)
    with step("comparing cohorts"):
        cohorts = cohort_sizes(budgets, request)
    print_cohorts(console, cohorts)
    if output_dir is None:
        return []
    output_dir.mkdir(parents=True, exist_ok=True)
    content = {
        "answer": as_json(budget, poisson_counterfactual),
        "supposed": list(_SUPPOSED),
        "at_equal_rho": {name: b if isinstance(b, str) else as_json(b, False) for name, b in budgets.items()},
        "cohorts": {name: [as_json(b, False) for b in row] for name, row in cohorts.items()},
    }
    paths = [output_dir / "budget.json", output_dir / "budget.png"]
    write_text_atomically(paths[0], json.dumps(content, indent=2) + "\n")
    epsilon, delta = Bound(budget.epsilon), Bound(budget.delta)
    title = f"All mechanisms at epsilon {epsilon:.3g} at delta {delta:.2g}, {budget.rounds:,} rounds"
    title += f"\n{_EVENLY}" if budget.spacing_is_assumed else ""
    plot(paths[1], budgets, cohorts, title)
    return paths


def compare(budget: Budget, request: BudgetRequest) -> dict[str, Budget | str]:
    """The same cost with every mechanism; a text says why where there is none."""
    found: dict[str, Budget | str] = {}
    for name in private_mechanisms():
        try:
            found[name] = budget if name == budget.mechanism else at_equal_cost(budget, request, name)
        except InputError as error:
            found[name] = str(error)
    return found


def cohort_sizes(budgets: dict[str, Budget | str], request: BudgetRequest) -> dict[str, list[Budget]]:
    """The same cost with smaller and larger cohorts, by mechanism; empty without a cohort.

    A size is left out where there are fewer phones, or where the mechanism does not fit their separation.
    """
    found: dict[str, list[Budget]] = {}
    for name, budget in budgets.items():
        if isinstance(budget, str) or budget.cohort is None:
            continue
        found[name] = []
        for factor in _COHORT_FACTORS:
            try:
                size = max(round(budget.cohort * factor), 1)
                found[name].append(budget if factor == 1 else with_cohort(budget, request, size))
            except InputError:
                continue
    return found


def as_json(budget: Budget, poisson: bool) -> dict[str, Any]:
    """All figures of one budget by name; None where a figure does not exist."""
    values = {f.name: getattr(budget, f.name) for f in fields(budget) if f.name != "noise"}
    worst, sampled = budget.worst_case, _sampled(budget) if poisson else None
    return {
        **values,
        "worst_spacing_rho": None if worst is None else worst[0],
        "worst_spacing_epsilon": None if worst is None else worst[1],
        "vectors_of_memory": budget.vectors_of_memory,
        "epsilon_exact_gaussian": epsilon_of_gaussian(budget.rho, budget.delta),
        "error": budget.error,
        "error_per_report": budget.error_per_report,
        "counterfactual_poisson_epsilon": None if sampled is None else sampled.epsilon,
        "counterfactual_sampling": None if sampled is None else _sampled_words(sampled),
    }


def _sampled(budget: Budget) -> Counterfactual:
    if budget.cohort is None or budget.population is None:
        return Counterfactual(None, None, "it needs --cohort and --population")
    return counterfactual(
        budget.noise,
        budget.noise_multiplier,
        cohort=budget.cohort,
        population=budget.population,
        rounds=budget.rounds,
        delta=budget.delta,
    )


def _sampled_words(sampled: Counterfactual) -> str:
    if sampled.epsilon is None:
        return f"counterfactual, not a claim: none, since {sampled.words}"
    return (
        f"counterfactual, not a claim: epsilon {sampled.epsilon:.4g} with {sampled.sampling} sampling, {sampled.words}"
    )


def print_answer(console: Console, budget: Budget, request: BudgetRequest, poisson: bool) -> None:
    """Every quantity, and whether it was given."""
    table = Table.grid(padding=(0, 2))

    def add(name: str, value: Any, key: str | None = None) -> None:
        given = "given" if key is not None and getattr(request, key) is not None else ""
        if key is not None and key in budget.assumed:
            given = f"{getattr(request, key):,} given" if given else "assumed"
        table.add_row(name, _figure(value), given)

    add("mechanism", budget.mechanism)
    add("rounds", budget.rounds, "rounds")
    add("reports per round", budget.cohort, "cohort")
    add("phones, at least", budget.population, "population")
    add("rounds from one participation to the next", budget.min_separation_rounds, "min_separation_rounds")
    add("participations of a phone, at most", budget.max_participations, "max_participations")
    add("noise multiplier", budget.noise_multiplier, "noise_multiplier")
    add("squared sensitivity", budget.sensitivity_squared)
    add("zCDP rho", Bound(budget.rho), "rho")
    add("delta", f"{Bound(budget.delta):.3g}", "delta")
    add("epsilon, by Renyi orders", f"{Bound(budget.epsilon):,.7g}", "epsilon")  # to compare with what others publish
    add("epsilon, exact for Gaussian noise", Bound(epsilon_of_gaussian(budget.rho, budget.delta)))
    if budget.spacing_is_assumed:
        rho, epsilon = map(Bound, budget.worst_case) if budget.worst_case is not None else (None, None)
        add("zCDP rho, at the worst spacing", rho)
        add("epsilon, at the worst spacing", epsilon)
    console.print(table)
    _print_assumed(console, budget)
    if poisson:
        console.print(_sampled_words(_sampled(budget)))


def _print_assumed(console: Console, budget: Budget) -> None:
    """What nobody said, and what every budget supposes."""
    names = {"min_separation_rounds": "spacing", "population": "phones", "cohort": "reports"}
    names["max_participations"] = "participations"
    for name, why in budget.assumed.items():
        console.print(f"assumed: {names.get(name, name)}: {why}")
    if budget.spacing_is_assumed:
        console.print(
            "epsilon is as above only if the run enforces that spacing (--cohort.min-separation-rounds); if not, it is "
            "that of the worst spacing"
        )
    for supposed in _SUPPOSED:
        console.print(f"supposed: {supposed}")


def _figure(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.5g}"


def print_mechanisms(console: Console, budgets: dict[str, Budget | str]) -> None:
    """At equal cost: what is left of the noise in the model."""
    rows = []
    evenly = any(budget.spacing_is_assumed for budget in budgets.values() if isinstance(budget, Budget))
    for name, budget in budgets.items():
        if isinstance(budget, str):
            console.print(f"{name}: {budget}")
            continue
        per_report = "-" if budget.error_per_report is None else f"{budget.error_per_report:.3g}"
        row = (f"{budget.noise_multiplier:,.4g}", f"{budget.sensitivity_squared:,.4g}", f"{budget.error:,.4g}")
        worst = () if not evenly else ("-" if budget.worst_case is None else f"{Bound(budget.worst_case[1]):.4g}",)
        rows.append((name, *row, per_report, str(budget.vectors_of_memory), *worst))
    names = ("noise\nmultiplier", "squared\nsensitivity", "noise\nin sums", "\na report", "memory,\nmodels")
    more = ("epsilon at\nworst spacing",) if evenly else ()
    print_table(console, ("\nmechanism", *names, *more), rows)
    console.print("at equal rho; noise in the sum of all rounds so far, root mean square over rounds, in clip norms")
    if evenly:
        console.print(_EVENLY)


def print_cohorts(console: Console, budgets: dict[str, list[Budget]]) -> None:
    """At equal cost: what a larger cohort buys, whose phones come back sooner."""
    if not budgets:
        return
    sizes = sorted({budget.cohort for row in budgets.values() for budget in row if budget.cohort is not None})
    by_size = {(name, budget.cohort): budget for name, row in budgets.items() for budget in row}
    rows = []
    for size in sizes:
        one = next(by_size[name, size] for name in budgets if (name, size) in by_size)
        errors = (by_size.get((name, size)) for name in budgets)
        cells = ("-" if b is None or b.error_per_report is None else f"{b.error_per_report:.3g}" for b in errors)
        rows.append((f"{size:,}", f"{one.min_separation_rounds:,}", f"{one.max_participations:,}", *cells))
    print_table(console, ("reports\na round", "rounds\napart", "partici-\npations", *budgets), rows, left=())
    console.print("noise in the model: that noise divided by the reports per round, in clip norms")
    phones = next((budget.population for row in budgets.values() for budget in row), None)
    evenly = any(budget.spacing_is_assumed for row in budgets.values() for budget in row)
    if phones is not None and not evenly:
        console.print(f"the same {phones:,} phones, which come back as soon as so many allow")
    elif phones is not None:
        console.print(f"the same {phones:,} phones, no fewer participations than so many reports need")
    if evenly:
        console.print(_EVENLY)


def plot(path: Path, budgets: dict[str, Budget | str], cohorts: dict[str, list[Budget]], title: str) -> None:
    """Noise in the sums over the rounds, and over the cohort's size."""
    shown = {name: budget for name, budget in budgets.items() if isinstance(budget, Budget)}
    figure, axes = new_figure(1, 2 if cohorts else 1, (11 if cohorts else 6, 4.2), title)
    left, styles = axes.flat[0], kind_styles(map(mechanism_kind, budgets))
    for name, budget in shown.items():
        style = styles[name]
        rounds = np.arange(1, budget.rounds + 1)
        marker = alone(rounds, style.marker)
        left.plot(rounds, budget.noise_in_sums, style.line, color=style.colour, marker=marker, label=name)
    left.set(title="Noise in the sum of all rounds so far", xlabel="rounds", ylabel="standard deviation, clip norms")
    left.set_ylim(bottom=0)
    left.legend(fontsize=8)
    if cohorts:
        right = axes.flat[1]
        for name, row in cohorts.items():
            points = [(b.cohort, b.error_per_report) for b in row]
            style = styles[name]
            how = {"marker": style.marker, "ms": 5, "color": style.colour, "label": name}
            right.plot(*zip(*points, strict=True), style.line, **how)
        right.set(
            title="Noise in the model, by cohort", xlabel="reports per round", ylabel="clip norms (rms over rounds)"
        )
        right.set(xscale="log", yscale="log")
        right.set_xticks(sizes := sorted({b.cohort for row in cohorts.values() for b in row if b.cohort}))
        right.set_xticks([], minor=True)
        right.set_xticklabels([f"{size:,}" for size in sizes])
        right.yaxis.set_major_formatter("{x:g}")
        right.legend(fontsize=8)
    save_figure(figure, path)
