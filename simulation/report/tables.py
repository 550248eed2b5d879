"""The tables of the report: headings and cells as texts, nothing of how they look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from client_model.config import default_start
from client_model.metrics.intervals import Interval, share_of_number
from client_model.metrics.metric import Metric
from client_model.public_start import path_setting
from server_strategy.privacy.config import with_default_noise
from server_strategy.privacy.rounded_up import Bound
from simulation.config import RunConfig
from simulation.report.drift import Alarm, band_shown, shown
from simulation.report.facts import ConsentFacts, LeftOut, ModelFile, Participation, RunFacts
from simulation.report.funnel import funnel_rows, funnel_totals
from simulation.run.kernel import kernels_of
from simulation.run.progress import percent
from simulation.settings import choose, leaves, selectors

_MOST_ROUNDS = 12  # rows of the table of measured rounds
_FEW_COLUMNS, _MOST_COLUMNS = 3, 5  # on a phone's screen: as they are, and close together; of more, smaller too
DAY_S = 86_400


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Attributes:
        caption: what it shows.
        headings: of the columns; the first is that of the rows' names.
        rows: a cell for each heading; a row of one cell is the heading of those below it.
        words: number of columns, from the left, that are words; figures are aligned to the right.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1

    @property
    def on_a_phone(self) -> str:
        """Its style where the screen is narrow: columns close together, closest where there are many, or nothing."""
        if self.words and len(self.headings) > _MOST_COLUMNS:
            return "close closest"
        return "close" if len(self.headings) > _FEW_COLUMNS else ""

    @property
    def groups(self) -> list[tuple[str, list[Sequence[str]]]]:
        """(heading, rows below it), with an empty heading for rows before the first."""
        found: list[tuple[str, list[Sequence[str]]]] = []
        for row in self.rows:
            if len(row) == 1:
                found.append((row[0], []))
            else:
                if not found:
                    found.append(("", []))
                found[-1][1].append(row)
        return found


def time_unit(seconds: float) -> tuple[str, int]:
    """(name, seconds) of the largest unit that a time has at least one of; a minute for the shortest."""
    units = (("day", DAY_S), ("hour", 3_600), ("minute", 60))
    return next((unit for unit in units if seconds >= unit[1]), units[-1])


def simulated_time(seconds: float) -> str:
    """`6.6 days`, `3.2 hours`."""
    name, unit_s = time_unit(seconds)
    return f"{seconds / unit_s:.1f} {name}s"


def metric_rows(facts: RunFacts) -> Table:
    """Every metric beside its interval, what counting reaches, and central training."""
    names, has_intervals = ("unigram", "bigram", "trigram"), not isinstance(facts.intervals, LeftOut)
    central = None if isinstance(facts.central, LeftOut) else facts.central
    rows = []
    for metric in facts.metrics.metrics:
        if metric.unit == "rows":
            continue
        reached = {one.name: facts.summary.reached_by(one.key) for one in metric.baselines}
        unit, shown = (", %", metric.bare) if metric.unit == "percent" and metric.show is None else ("", metric.text)
        beside = [shown(reached.get(name)) for name in names]
        told = [shown(central.metrics.get(metric.name))] if central is not None else []
        value = facts.summary.held_out.get(metric.name)
        spread = [interval_text(facts, metric)] if has_intervals else []
        rows.append([f"{metric.label.strip()}{unit}", shown(value), *spread, *beside, *told])
    heading = ["central training"] if central is not None else []
    people = "people" if facts.people is None else f"{facts.people:,} people"
    return Table(
        f"Measured on {people} who never trained; recall is of the words that the vocabulary has",
        ["", "this run", *(["95 % interval"] if has_intervals else []), *names, *heading],
        rows,
    )


def interval_text(facts: RunFacts, metric: Metric) -> str:
    """`19.3 to 21.2`, in the metric's unit; a dash where there is none."""
    interval = None if isinstance(facts.intervals, LeftOut) else facts.intervals.get(metric.name)
    if interval is None or interval.low is None or interval.high is None or metric.has_diverged(interval.mean):
        return "-"
    return f"{metric.bare(interval.low)}\N{NO-BREAK SPACE}to {metric.bare(interval.high)}"  # two lines at the most


def measured_rounds(facts: RunFacts) -> Table:
    """Some of the measured rounds, the first and the last among them."""
    metrics = facts.metrics.compared
    measured = facts.measured
    number = min(len(measured), _MOST_ROUNDS)
    some = [measured[i * (len(measured) - 1) // max(number - 1, 1)] for i in range(number)]
    rows = [
        [
            f"{line['completed']:,}",
            f"{line['closed_s'] / DAY_S:.1f}" if line.get("closed_s") is not None else "-",
            *(metric.bare(line.get(metric.name)) for metric in metrics),
            "-" if line["epsilon"] is None else f"{Bound(line['epsilon']):.2f}",
        ]
        for line in some
    ]
    all_of = "" if number == len(measured) else f" ({number} of {len(measured)} measured rounds)"
    headings = ["round", "simulated day", *(metric.heading for metric in metrics), "epsilon"]
    return Table(f"How it went{all_of}", headings, rows, words=0)


def funnel(facts: RunFacts) -> Table:
    """What became of the invited phones over all rounds."""
    rows = [
        [row.label, f"{row.phones:,}", percent(row.share, 1) if row.share is not None else ""]
        for row in funnel_rows(funnel_totals(facts.rounds))
    ]
    return Table("Invited phones over all rounds", ["", "phones", "of the invited"], rows)


def out_of_band(found: Sequence[Alarm]) -> Table:
    """The rounds whose statistics left their band, the first and the last of them where they are many."""
    some = list(found[: _MOST_ROUNDS // 2]) + list(found[-_MOST_ROUNDS // 2 :]) if len(found) > _MOST_ROUNDS else found
    rows = [
        [
            f"{one.round:,}",
            one.statistic.name,
            shown(one.statistic, one.value),
            band_shown(one),
        ]
        for one in some
    ]
    all_of = "" if len(some) == len(found) else f" ({len(some)} of {len(found)})"
    return Table(f"Statistics that left their band{all_of}", ["round", "statistic", "value", "its band"], rows, words=2)


def took_part(participation: Participation) -> Table:
    """Who took part, by group."""
    rows: list[list[str]] = []
    for group in participation.groups:
        _under_heading(rows, group.grouping)
        each = "-" if group.updates_per_phone is None else f"{group.updates_per_phone:.2f}"
        never, tokens = percent(group.never_used_share, 1), percent(group.share_of_tokens, 1)
        rows.append([_in_one_line(group.group), f"{group.phones:,}", never, each, tokens])
    headings = ["group", "phones", "never took part", "updates per phone", "share of text trained on"]
    return Table("Who took part, of the phones that may train", headings, rows)


def recall_by_group(facts: RunFacts, participation: Participation) -> Table:
    """How good the model is for whom."""
    metrics = facts.metrics.compared
    rows: list[list[str]] = []
    for group in participation.recalls:
        _under_heading(rows, group.grouping)
        rows.append([_in_one_line(group.group), f"{group.people:,}", *(m.bare(group.values[m.name]) for m in metrics)])
    headings = ["group", "people", *(metric.heading for metric in metrics)]
    return Table("Recall and keystrokes saved, by group of the people who never trained", headings, rows)


def consents(consent: ConsentFacts) -> Table:
    """Who agrees to what."""
    rows = [
        [one.name, f"{one.phones:,}", *(percent(number / one.phones if one.phones else None, 1) for number in one[3:])]
        for one in consent.purposes
    ]
    headings = ["to", "phones", "agree when the run ends", "withdrew", "never agreed"]
    return Table("Who agrees to what: phones that may train, or are held out", headings, rows)


def who_left(consent: ConsentFacts) -> Table:
    """Who agrees to training and who took it back, by group."""
    rows: list[list[str]] = []
    for one in consent.groups:
        _under_heading(rows, one.grouping)
        agreed = one.given + one.withdrawn
        shares = (share_of_number(one.given, one.phones), share_of_number(one.withdrawn, agreed))
        rows.append([_in_one_line(one.name), f"{one.phones:,}", *map(_share_between, shares)])
    headings = ["group", "phones", "agree when the run ends", "withdrew, of those who had agreed"]
    return Table("Consent to training, with 95 % intervals over phones", headings, rows)


def recall_by_consent(facts: RunFacts, consent: ConsentFacts) -> Table:
    """How good the model is for those who stayed, those who left and those who never came."""
    metrics = facts.metrics.compared
    rows = [
        [one.state, f"{one.measured:,} of {one.people:,}", *(_between(m, one.values[m.name]) for m in metrics)]
        for one in consent.recalls
    ]
    headings = ["consent to training", "people measured", *(metric.heading for metric in metrics)]
    return Table("People who never trained, by consent, with 95 % intervals over people", headings, rows)


def _share_between(found: Interval | None) -> str:
    if found is None or found.low is None or found.high is None:
        return "-"
    return f"{percent(found.mean, 1)} ({100 * found.low:.1f}\N{NO-BREAK SPACE}to {100 * found.high:.1f})"


def _between(metric: Metric, found: Interval | None) -> str:
    if found is None:
        return "-"
    bounds = None in (found.low, found.high)
    spread = "" if bounds else f" ({metric.bare(found.low)}\N{NO-BREAK SPACE}to {metric.bare(found.high)})"
    return f"{metric.bare(found.mean)}{spread}"


def _in_one_line(name: str) -> str:
    return name.replace(" ", "\N{NO-BREAK SPACE}")


def _under_heading(rows: list[list[str]], grouping: str) -> None:
    """Add the heading of a grouping where its first row is about to come."""
    last = next((row[0] for row in reversed(rows) if len(row) == 1), None)
    if last != grouping:
        rows.append([grouping])


def model_files(facts: RunFacts, files: Sequence[ModelFile]) -> Table:
    """What a phone can run."""
    metrics = facts.metrics.compared[:1]
    rows = [
        [
            file.name,
            f"{file.size_bytes:,}",
            "-" if file.key_press is None else f"{file.key_press.median_ms:.2f} / {file.key_press.p95_ms:.2f}",
            percent(file.same_first_word),
            percent(file.same_three_words),
            *(metric.text(file.metrics.get(metric.name)) for metric in metrics),
        ]
        for file in files
    ]
    contexts = f"{files[0].contexts:,} contexts of held-out text" if files else "held-out text"
    headings = ["file", "bytes", "ms per key press, median / p95", "same first word", "same three words"]
    return Table(
        f"Files for phones, held to the trained weights in {contexts}",
        [*headings, *(metric.short or metric.label for metric in metrics)],
        rows,
    )


# Where a run lay is of no use elsewhere, and with the seed the noise can be taken away.
_NOT_SHOWN = {("output_dir",), ("data", "path"), ("seed",), ("engine", "kernel")}  # the kernel is settled: below Speed


def changed_settings(config: RunConfig) -> Table:
    """The settings that differ from the defaults, each beside its default; not the seed, nor where files lie."""
    usual = leaves(_defaults_beside(config))
    overall = leaves(_filled_in(RunConfig()))
    rows = [
        [".".join(path), _setting(value), _setting(overall.get(path, usual[path]))]
        for path, value in leaves(config).items()
        if path not in _NOT_SHOWN and value != overall.get(path, usual[path])
    ]
    return Table("Settings that differ from the defaults", ["setting", "this run", "default"], rows, words=3)


def _defaults_beside(config: RunConfig) -> RunConfig:
    """The defaults, those of the kinds that a configuration chooses among them."""
    mine = leaves(config)
    return choose(RunConfig(), {selector.path: mine[selector.path] for selector in selectors(config)})


def _filled_in(config: RunConfig) -> RunConfig:
    """As it runs if nothing is said: with the default noise and the default start."""
    config = choose(config, {})
    start = default_start(config.data, config.model)
    return replace(config, privacy=with_default_noise(config.privacy), model=replace(config.model, init=start))


def _setting(value: Any) -> str:
    if isinstance(value, FilePath):
        return path_setting(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None else str(value)


def _kernels(facts: RunFacts) -> str:
    """Which kernel trained, from which round where they are several; where; and how many phones at once."""
    kernels, engine = kernels_of(facts.rounds), facts.config.engine
    if len(kernels) > 1:
        told = ", ".join(f"{kernel} from round {first:,}" for kernel, first in kernels)
    else:
        told = facts.summary.kernel or "tensorflow, the only one of its version"
    device = ", on a GPU" if engine.device == "gpu" else ""
    together = "" if engine.phones_at_a_time is None else f", {engine.phones_at_a_time} phones at once"
    return f"{told}{device}{together}"


def speed_rows(facts: RunFacts) -> Iterator[tuple[str, str]]:
    """What the simulation took on this machine."""
    summary = facts.summary
    rate = summary.tokens_per_second
    yield "training kernel", _kernels(facts)
    yield "tokens per second, in training", "-" if rate is None else f"{rate:,.0f}"
    yield (
        "wall time of the rounds",
        f"{summary.wall_seconds:,.1f} s, of which {summary.train_wall_seconds:,.1f} s training",
    )
    yield "simulated time", simulated_time(summary.simulated_seconds)
    yield "trained", f"{summary.devices_trained:,} updates of phones, {summary.tokens_trained:,} tokens"
    yield "most memory of the driver", f"{summary.peak_driver_rss_bytes / 1e9:.2f} GB"
    again = "" if facts.finished else " (to go on takes it again, and no round that is done)"
    yield (
        "not in these times",
        f"what comes before the first round: text, vocabulary, fleet, loading TensorFlow{again}; and after the last: "
        "the files for phones and their checks, training in one place where it is asked for, this report",
    )
