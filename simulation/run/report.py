"""The closing table of a run, and its privacy in one line."""

from pathlib import Path
from typing import TextIO

from client_model.metrics.table import MetricTable
from client_model.tflite.export_tflite import Export
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.rounded_up import Bound
from server_strategy.privacy.statement import NO_PRIVACY
from server_strategy.privacy.statement_account import OtherRuns, account_line, start_sentence
from server_strategy.privacy.statement_noise import REPEATABLE
from simulation.run.central import CentralTrained
from simulation.run.progress import percent
from simulation.run.records import Summary
from simulation.subcommands import command
from simulation.tables import Whole, console_for, print_facts


def plan_lines(plan: PrivacyPlan, num_weights: int, most_rho: float | None) -> str:
    """The planned privacy, printed before the first round.

    Args:
        plan: on record.
        num_weights: of the model.
        most_rho: zCDP of all that is released, above that of the plan where more than its rounds are on record.
    """
    if plan.epsilon is None or plan.noise_stddev is None or plan.noise_multiplier is None:
        return f"privacy     {NO_PRIVACY}"
    rho = max(most_rho or 0.0, plan.zcdp_rho or 0.0)
    epsilon = plan.epsilon if rho == plan.zcdp_rho else plan.epsilon_of(rho) or plan.epsilon
    text = (
        f"privacy     at most epsilon {Bound(epsilon):.2f} at delta {Bound(plan.delta):.2g} "
        f"(rho {Bound(rho):.4g}), "
        f"of {plan.epsilon_is_of}:\n{_repeatable(plan)}"
        f"            {_kind(plan)} noise, multiplier {plan.noise_multiplier:.4g}, {_clipping(plan)}, "
        f"a phone takes part at most {_times(plan.max_participations)} in {_rounds(plan.rounds)}"
    )
    if rho != plan.zcdp_rho:
        text += (
            "\n            releases on record, and sums that were learnt, that do not lead to its model or are made"
            f"\n            again with other bits are in it: the plan alone has epsilon {Bound(plan.epsilon):.2f}"
        )
    if (words := plan.vocabulary) is not None:
        text += (
            f"\n            the vocabulary is part of it (alone epsilon {Bound(words.epsilon):.6g}): a word that some "
            f"{words.phones_for_half:,} phones give{_here(plan, words.phones_for_half)} is let in half of the time"
        )
    if plan.epsilon_budget is not None and epsilon > plan.epsilon_budget:
        text += f"\n            the run stops before the release that would take epsilon above {plan.epsilon_budget:g}"
    memory = plan.mechanism.vectors_of_memory * num_weights * 8 if plan.mechanism else 0
    if memory > 1e9:
        text += (
            f"\n            note: the {plan.mechanism_name} mechanism keeps {memory / 1e9:.1f} GB of noise, in memory "
            f"and in each checkpoint;\n            {command('scripts/privacy_budget.py')} compares what the "
            "mechanisms keep"
        )
    # The sum of goal updates is at most goal x clip norm long; noise is sqrt(weights) standard deviations.
    drowned = plan.noise_stddev * num_weights**0.5 / (plan.goal * plan.clip_norm)
    if drowned > 1:
        text += (
            f"\n            note: the noise is {drowned:.1f} times as long as the longest possible sum of updates; "
            f"expect little to be learned\n            (--privacy.modelled-cohort shows what a large deployment would "
            "reach; a larger --cohort.goal\n            needs a larger --fleet.size)"
        )
    return text


def _kind(plan: PrivacyPlan) -> str:
    noise = plan.phone_noise
    return plan.mechanism_name if noise is None else f"{noise.kind} (added by the phones, in {noise.bits} bits)"


def _here(plan: PrivacyPlan, phones: int) -> str:
    """A number of phones of the modelled deployment as it is in this run."""
    return "" if plan.share_of_the_noise == 1 else f" (of this run: {max(phones * plan.share_of_the_noise, 1):,.0f})"


def _repeatable(plan: PrivacyPlan) -> str:
    return f"            {REPEATABLE}\n" if plan.noise_source == "seeded" else ""


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _rounds(number: int) -> str:
    return "1 round" if number == 1 else f"{number} rounds"


def _clipping(plan: PrivacyPlan) -> str:
    adapts = "" if plan.adaptive is None else f" at first, then quantile {plan.adaptive.quantile:g}"
    return f"clip norm {plan.clip_norm:g}{adapts}{' by layer' if plan.clip_scope == 'layer' else ''}"


def where_curves_are(folder: Path) -> "_Rows":
    """A row for the tracker that comes with Typefleet, if it was chosen."""
    logs = folder / "tensorboard"
    return [("curves", [Whole(command("-m tensorboard.main", "--logdir", logs))])] if logs.exists() else []


def print_closing_table(
    stream: TextIO,
    summary: Summary,
    *,
    plan: PrivacyPlan,
    metrics: MetricTable,
    export: Export,
    central: CentralTrained | None,
    folder: Path,
    page: list[str],
    others: OtherRuns | None = None,
) -> None:
    """What came out, each number beside what it compares with.

    Args:
        stream: to print to.
        summary, plan, metrics, export, central: of the run.
        folder: of the run.
        page: where the report is, or why there is none.
        others: runs that it starts from or shares an account with.
    """
    rows: _Rows = [
        *_suggestion_rows(summary, metrics, _central_text(summary, metrics, central, folder)),
        *_run_rows(summary, plan, folder, others),
        *_file_rows(export, folder),
        ("weights", [Whole(folder / "model" / "weights.npz")]),
        ("  sha256", [Whole(summary.weights_sha256), "of the numbers, not of the file"]),
        ("privacy statement", [Whole(folder / "privacy.md")]),
        ("report", page),
        *where_curves_are(folder),
    ]
    print_facts(console_for(stream), rows)


_Rows = list[tuple[str, list[str]]]  # names, and the paragraphs of their values


def _central_text(summary: Summary, metrics: MetricTable, central: CentralTrained | None, folder: Path) -> list[str]:
    """What the same model reaches without federation, or the command that finds out."""
    if central is None:
        return ["not measured; to do so:", Whole(command("scripts/compare_central.py", folder))]
    headline = metrics.metrics[0]
    reached, federated = central.metrics.get(headline.name), summary.held_out.get(headline.name)
    text = f"{headline.text(reached)} ({central.epochs} epochs)"
    return [text if not reached or federated is None else f"{text}; the run reached {federated / reached:.3f} of it"]


def _suggestion_rows(summary: Summary, metrics: MetricTable, central: list[str]) -> _Rows:
    """How good the suggestions are, and what counting reaches; of the headline, training in one place as well."""
    counted_on = f" (counted on {summary.baselines.training_phones:,} training phones)"  # said once
    rows: _Rows = []
    for metric in metrics.metrics:
        value = summary.held_out.get(metric.name)
        none = " (nothing to count, or no finite number)" if value is None and summary.was_measured else ""
        rows.append((metric.label, [metric.told(value) + none]))
        if metric.baselines:
            reached = (f"{metric.text(summary.reached_by(one.key))} {one.name}" for one in metric.baselines)
            rows.append(("  by counting", [", ".join(reached) + counted_on]))
            counted_on = ""
        if metric is metrics.metrics[0]:
            rows.append(("  trained in one place", central))
    return rows


def _other_rows(others: OtherRuns | None) -> _Rows:
    """What the run comes to together with others."""
    if others is None:
        return []
    start, account = start_sentence(others), others.account
    rows: _Rows = [] if start is None else [("  and its start", [start])]
    return rows if account is None else [*rows, ("  all runs", [account_line(account)])]


def _run_rows(summary: Summary, plan: PrivacyPlan, folder: Path, others: OtherRuns | None) -> _Rows:
    """What it cost: privacy, rounds, time, phones."""
    if summary.epsilon is None:
        privacy = [NO_PRIVACY]
    else:
        delta, rho = Bound(summary.delta), Bound(summary.zcdp_rho)
        spent = f"epsilon {Bound(summary.epsilon):.2f} at delta {delta:.2g} (rho {rho:.3g})"
        privacy = [spent, f"of {plan.epsilon_is_of}", *([REPEATABLE] if plan.noise_source == "seeded" else [])]
    rows = [
        ("privacy", privacy),
        *_other_rows(others),
        ("rounds", [f"{summary.rounds_completed} completed, {summary.rounds_abandoned} abandoned"]),
    ]
    if summary.stopped_early is not None:
        rows.append(("stopped early", [summary.stopped_early]))
    days, rate = summary.simulated_seconds / 86400, summary.tokens_per_second
    speed = "" if rate is None else f"; {rate:,.0f} tokens/s in training"
    part = summary.participation
    left_out = f"{percent(part.never_used_share, 1)} of {part.phones:,} with memory enough never took part"
    return [
        *rows,
        ("time", [f"{days:.1f} simulated days in {summary.wall_seconds:.0f} s of rounds{speed}"]),
        ("phones trained", [f"{summary.devices_trained:,} updates, {summary.tokens_trained:,} tokens"]),
        ("phones left out", [f"{left_out}; by group in {folder / 'participation.json'}"]),
        *_consent_rows(summary),
    ]


def _consent_rows(summary: Summary) -> _Rows:
    """Who agrees to training, where anybody does not."""
    if (consent := summary.consent) is None:
        return []
    first, now = (percent(consent[name], 1) for name in ("train_share_at_start", "train_share"))
    withdrawn = consent["updates_withdrawn"]
    dropped = f"{withdrawn:,} {'update was' if withdrawn == 1 else 'updates were'} dropped since their owners withdrew"
    whose = "of the owners of phones with memory enough"
    return [("consent", [f"{first} {whose} agreed to training at first, {now} do now; {dropped}"])]


def _file_rows(export: Export, folder: Path) -> _Rows:
    """What a phone can run."""
    rows: _Rows = []
    for file in export.files:
        same = file.agreement
        facts = (
            f"{file.size_bytes / 1e6:.2f} MB, {file.cost.median_ms:.2f} ms per key press; suggests the same first word "
            f"as the trained weights in {percent(same.first)} of {same.contexts:,} contexts"
        )
        rows.append((f"{file.kind} file", [Whole(file.path), facts]))
    if export.not_written is None:
        rows.append(("type on it", [Whole(command("scripts/keyboard_demo.py", folder))]))
    else:
        rows.append(("not written", [export.not_written]))
    return rows
