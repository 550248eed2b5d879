"""Where the time of a run went: how it started, and what each round was made of; of runs with `--engine.profile`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from simulation.files import write_text_atomically
from simulation.report.charts import (
    FIRST,
    FOURTH,
    SECOND,
    SIZE,
    SIZE_ALONE,
    SOFT,
    THIRD,
    Bar,
    lane_chart,
    stacked_bars,
)
from simulation.report.drawing import Drawing, standing_alone
from simulation.report.environment import REPORT_TEMPLATES
from simulation.report.facts import LeftOut
from simulation.report.tables import Table
from simulation.run.directory import RunDirectory
from simulation.start_up import DRIVER, WORKER, Kind, Span
from typefleet.errors import ConfigError, expected, unwritable

NOT_KEPT = LeftOut("where the time of the start and of the rounds went, which --engine.profile keeps")
_COLOURS: Mapping[Kind, tuple[str, str]] = {
    "import": ("imports", SECOND),
    "prepare": ("prepares", FIRST),
    "start": ("starts", FOURTH),
    "wait": ("waits", SOFT),
    "phones": ("phones' work", THIRD),
}
_VERBS = ("forks ", "plans ", "sum ")  # with which what was done begins by itself
_PIXELS_ALONE = 820
_MOST_WORKERS, _MOST_BARS = 4, 40  # that are drawn
_SAID_S = 0.3  # what took less is in the table alone
# Of a round: key, what it is called, colour; the lowest first.
_OF_DRIVER = (
    ("exchange", "phones train", FIRST),
    ("evaluation", "scoring", THIRD),
    ("server_step", "sum and step", SECOND),
    ("plan", "plan", FOURTH),
    ("checkpoint", "checkpoint", SOFT),
)
_OF_HOSTS = (
    ("train", "training", FIRST),
    ("clip_and_sum", "clip and sum", SECOND),
    ("read", "reading text", THIRD),
    ("decode", "decoding", FOURTH),
    ("other", "the answer", SOFT),
)


def start_of(rounds: Sequence[Mapping[str, Any]]) -> Sequence[Span] | LeftOut:
    """The spans of a run's first start that is on record.

    Args:
        rounds: lines of rounds.jsonl.
    """
    profiles = [line["profile"] for line in rounds if line.get("profile")]
    told = next((profile["start_up"] for profile in profiles if profile.get("start_up")), None)
    if told is None:
        return LeftOut("how the run started, which an earlier version did not keep") if profiles else NOT_KEPT
    spans: list[Span] = []
    with suppress(TypeError, KeyError, ValueError, OverflowError):
        spans = [Span.from_json(one) for one in told]
    if not any(one.ended_s for one in spans):  # a start takes time
        return LeftOut("how the run started; what is kept of it is damaged")
    return spans


def _lanes(spans: Sequence[Span]) -> list[tuple[str, list[tuple[int, Span]]]]:
    """Who, and what each did with its number; workers as far as they are drawn."""
    lanes: dict[str, list[tuple[int, Span]]] = {}
    for one in spans:
        lanes.setdefault(one.who, [])
    workers = [who for who in lanes if who.startswith(WORKER)]
    for who in workers[_MOST_WORKERS:]:
        del lanes[who]
    number = 0
    for one in spans:
        if one.who in lanes:
            number += 1
            lanes[one.who].append((number, one))
    return list(lanes.items())


def drawing_of_start(spans: Sequence[Span], *, in_words: bool = False) -> Drawing:
    """Who did what at the same time, until the first round was over.

    Args:
        spans: of the start.
        in_words: larger, with names on the bars that have room and a key of the others below, since no table is beside
            it.
    """
    lanes = [
        (
            who,
            [
                Bar(one.began_s, one.ended_s, _COLOURS[one.kind][1], *_names(number, one, in_words=in_words))
                for number, one in own
            ],
        )
        for who, own in _lanes(spans)
    ]
    long = [one for one in spans if one.who == DRIVER and one.ended_s - one.began_s >= _SAID_S]
    said = ", ".join(f"{one.what} from {one.began_s:.1f} to {one.ended_s:.1f} s" for one in long)
    kinds = dict.fromkeys(one.kind for one in spans)
    scoring = next((one.began_s for one in spans if one.who == DRIVER and one.kind == "phones"), None)
    first = "" if scoring is None else f"the first phones' work begins after {scoring:.1f} s, "
    return lane_chart(
        "start-up",
        lanes,
        x="seconds since the command",
        moments=[] if scoring is None else [scoring],
        legend=[label for kind, label in _COLOURS.items() if kind in kinds],
        alternative=(
            f"Timeline of the start: {first}the first round is over after {max(one.ended_s for one in spans):.1f} s. "
            f"The driver: {said or 'nothing that took long'}. The table has all of it."
        ),
        caption="Who did what at the same time. Numbers are the table's; from the dotted line on phones work.",
        size=SIZE_ALONE if in_words else SIZE,
    )


def _names(number: int, one: Span, *, in_words: bool) -> tuple[list[str], str]:
    """What may be written above a bar, and what is listed of its number."""
    return ([one.what, str(number)], f"{number} {_named(one)}") if in_words else ([str(number)], "")


def _named(one: Span) -> str:
    """What was done, with its verb: `imports Ray`, `waits for Flower`; what has one of its own keeps it."""
    if one.kind == "phones" or one.what.startswith(_VERBS):
        return one.what
    return f"{_COLOURS[one.kind][0]} {one.what}"


def require_svg(path: Path) -> None:
    """Refuse a path by whose name the file would be taken for another kind of picture.

    Raises:
        ConfigError: it does not end in .svg.
    """
    if path.suffix.lower() != ".svg":
        raise ConfigError(expected("--start-up", "a path that ends in .svg", path))


def write_start(root: Path, path: Path) -> None:
    """Draw the start of a run into a file of its own.

    Args:
        root: folder of the run.
        path: of the SVG file.

    Raises:
        InputError: there is no such run, its start is not on record, the file is to be no SVG, or the disk refused it.
    """
    require_svg(path)
    spans = start_of(RunDirectory(root).read_rounds())
    if isinstance(spans, LeftOut):
        raise ConfigError(expected(root, "a run with --engine.profile, and the spans of its start", "none"))
    drawing = drawing_of_start(spans, in_words=True)
    colours = (REPORT_TEMPLATES / "colours.css").read_text(encoding="utf-8")
    try:
        write_text_atomically(path, standing_alone(drawing, colours, _PIXELS_ALONE))
    except OSError as error:
        raise ConfigError(unwritable(path, error)) from error


def table_of_start(spans: Sequence[Span]) -> Table:
    """The same in figures."""
    rows: list[Sequence[str]] = []
    for who, own in _lanes(spans):
        rows.append([who])
        for number, one in own:
            used = "-" if one.processor_s is None else f"{one.processor_s:.2f}"
            rows.append([f"{number} {_named(one)}", f"{one.began_s:.2f}", f"{one.ended_s - one.began_s:.2f}", used])
    workers = len({one.who for one in spans if one.who.startswith(WORKER)})
    some = f", with {_MOST_WORKERS} of {workers} workers" if workers > _MOST_WORKERS else ""
    headings = ["what it did", "from second", "seconds", "of a processor"]
    return Table(f"The start, from the command to the end of the first round{some}", headings, rows)


@dataclass(frozen=True)
class RoundTimes:
    """What the rounds were made of.

    Attributes:
        rounds: their numbers, of completed ones.
        driver: seconds of each phase of the driver, [phases][rounds].
        hosts: the same of the hosts, summed over them.
    """

    rounds: Sequence[int]
    driver: Mapping[str, Sequence[float]]
    hosts: Mapping[str, Sequence[float]]


def rounds_of(rounds: Sequence[Mapping[str, Any]]) -> RoundTimes | LeftOut:
    """Where the time of each completed round went, of those that have a profile.

    Args:
        rounds: lines of rounds.jsonl.
    """
    profiled = [line for line in rounds if line.get("profile")]
    if not profiled:
        return NOT_KEPT
    profiled = [line for line in profiled if not line.get("abandoned")]  # in which nobody trained, or for nothing
    if not profiled:
        return LeftOut("where the time of the rounds went: no round was completed")
    try:
        driver = {key: [_seconds(line, "driver_s", key) for line in profiled] for key, _, _ in _OF_DRIVER}
        hosts = {key: [_seconds(line, "hosts_s", key) for line in profiled] for key, _, _ in _OF_HOSTS}
    except (TypeError, KeyError, ValueError):
        return LeftOut("where the time of the rounds went; what is kept of it is damaged")
    return RoundTimes([line.get("completed", line["round"]) for line in profiled], driver, hosts)


def _seconds(line: Mapping[str, Any], whose: str, phase: str) -> float:
    profile = line["profile"]
    value = profile["checkpoint_s"] if phase == "checkpoint" else profile[whose][phase]
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1 < value < float("inf"):
        raise ValueError
    return max(float(value), 0.0)


def drawings_of_rounds(times: RoundTimes) -> list[Drawing]:
    """The driver's time and the hosts', over the rounds; means of several where there are many."""
    number = len(times.rounds)
    bars = min(number, _MOST_BARS)
    cuts = [i * number // bars for i in range(bars + 1)]
    edges = [times.rounds[0] - 0.5 + cut * (times.rounds[-1] - times.rounds[0] + 1) / number for cut in cuts]
    several = "" if bars == number else f" Each bar is a mean of some {number / bars:.0f} rounds."
    return [
        stacked_bars(
            f"round-times-{who}",
            [
                (name, colour, [mean(found[key][a:b]) for a, b in zip(cuts, cuts[1:], strict=False)])
                for key, name, colour in phases
            ],
            edges,
            x="completed round",
            y=f"{whose} seconds",
            alternative=f"Stacked bars of {about} over {number} rounds; medians: {_medians(found, phases)}.",
            caption=f"{about[:1].upper()}{about[1:]}.{several}",
        )
        for who, whose, about, found, phases in (
            ("driver", "wall", "the driver's time in each round", times.driver, _OF_DRIVER),
            ("hosts", "worker", "the workers' time in each round, added up", times.hosts, _OF_HOSTS),
        )
    ]


def _medians(found: Mapping[str, Sequence[float]], phases: Sequence[tuple[str, str, str]]) -> str:
    return ", ".join(f"{name} {median(found[key]):.2g} s" for key, name, _ in phases)


def table_of_rounds(times: RoundTimes) -> Table:
    """Medians over the rounds, and the share of each phase in all of them."""
    rows: list[Sequence[str]] = []
    for who, found, phases in (
        ("driver, wall time", times.driver, _OF_DRIVER),
        ("workers, added up", times.hosts, _OF_HOSTS),
    ):
        rows.append([who])
        whole = sum(map(sum, found.values())) or 1.0
        rows += [[name, f"{median(found[key]):.3f}", f"{sum(found[key]) / whole:.1%}"] for key, name, _ in phases]
    return Table("Where the time of the rounds went", ["", "seconds, median", "of all rounds"], rows)
