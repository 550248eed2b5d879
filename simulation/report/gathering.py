"""Reads a run's folder into the facts of its report; what is missing or damaged costs its part of the page only."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from os.path import lexists
from pathlib import Path
from typing import Any, TypeVar

from client_model.metrics.intervals import Interval, over_people
from client_model.metrics.metric import Metric
from client_model.metrics.table import MetricTable, metric_table
from client_model.tflite.export_folder import FILES, MANIFEST
from server_strategy.pooled_evaluation import PhoneCounts
from server_strategy.privacy.statement_noise import noise_source_of
from simulation.config import RunConfig
from simulation.device.everyday_sentences import SENTENCES
from simulation.device.keyboard import Keyboard
from simulation.device.keyboard_server import blocked_words
from simulation.files import read_json_object
from simulation.flags import read_config
from simulation.report.facts import (
    Agreeing,
    Central,
    ConsentFacts,
    Group,
    GroupRecall,
    KeyPress,
    LeftOut,
    ModelFile,
    Participation,
    Privacy,
    RecallByConsent,
    RunFacts,
    TypedWord,
)
from simulation.run.central import read_central
from simulation.run.checkpoint import CheckpointError, newest_about
from simulation.run.directory import RunDirectory
from simulation.run.forgotten import read_requests
from simulation.run.held_out_phones import read_phone_counts
from simulation.run.records import Summary
from simulation.run.text_use import TextUse
from simulation.subcommands import command
from typefleet.errors import ConfigError, InputError, expected

SENTENCES_SHOWN = 3
T = TypeVar("T")
_SECONDS = re.compile(r"[0-9]{1,11}")  # of this millennium or the next
_NOT_YET = LeftOut("the run is not finished")


def collect_facts(
    root: Path,
    config: RunConfig | None = None,
    metrics: MetricTable | None = None,
    key_presses: Mapping[str, KeyPress] | None = None,
) -> RunFacts:
    """Everything that the page says of a run.

    Args:
        root: folder of a run with a summary; what else is missing or damaged is left out, with the reason.
        config, metrics: of the run, by default those of its config.toml.
        key_presses: how long a key press takes, by name of the file, where it was measured.

    Raises:
        InputError: there is no run, or its settings, rounds or summary are damaged.
    """
    directory = RunDirectory(root)
    config = config or read_config(directory.config, begun=True)
    metrics = metrics or metric_table(config.evaluation.metrics)
    summary = directory.read_summary()
    rounds = directory.read_rounds_of(summary, metrics)
    finished = summary.stopped_early is not None or summary.rounds_completed >= config.rounds
    participation = _or_left_out(lambda: _participation(root / "participation.json", metrics))
    people, intervals = _over_people(directory, metrics, summary, participation)
    files = _or_left_out(lambda: _model_files(directory, summary, key_presses or {}))
    if not finished and isinstance(files, LeftOut):
        files = _NOT_YET
    sentences = _or_left_out(lambda: files if isinstance(files, LeftOut) else _typed_sentences(root))
    return RunFacts(
        root=root,
        config=config,
        metrics=metrics,
        finished=finished,
        rounds=rounds,
        summary=summary,
        begun=_begun(directory),
        people=people,
        intervals=intervals,
        privacy=_or_left_out(lambda: _privacy(root)),
        participation=participation,
        central=_or_left_out(lambda: _central(root)) if finished else _NOT_YET,
        files=files,
        sentences=sentences,
        parts=_parts(directory),
    )


def _or_left_out(read: Callable[[], T]) -> T | LeftOut:
    """What is read, or why it cannot be."""
    try:
        return read()
    except (InputError, CheckpointError) as error:
        return LeftOut(str(error))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:  # another program's JSON
        return LeftOut(f"the file does not have the form that this version writes ({type(error).__name__})")


def _begun(directory: RunDirectory) -> datetime | None:
    """When the run was begun.

    Its settings were written then, and a resumed run leaves them as they are; its first curve was begun soon after,
    whose seconds are in the file's name, which copying a folder keeps. The earlier of the two it is.
    """
    named = (path.name.split(".") for path in (directory.root / "tensorboard").glob("events.out.tfevents.*"))
    seconds = [int(parts[3]) for parts in named if len(parts) > 3 and _SECONDS.fullmatch(parts[3])]
    if seconds and directory.config.exists():
        seconds.append(int(directory.config.stat().st_mtime))
    return datetime.fromtimestamp(min(seconds), UTC) if seconds else None


def _parts(directory: RunDirectory) -> list[str]:
    """The kinds of objects that were handed in, as the newest checkpoint has them; none where there is no such."""
    given = _or_left_out(lambda: dict(newest_about(directory.checkpoints)["fingerprint"]["parts"]))
    return [] if isinstance(given, LeftOut) else sorted(name.replace("_", " ") for name in given)


def _over_people(
    directory: RunDirectory, metrics: MetricTable, summary: Summary, participation: Participation | LeftOut
) -> tuple[int | None, Mapping[str, Interval] | LeftOut]:
    """(number of people, interval of each metric), of the last measurement."""
    if not lexists(directory.held_out_phones):
        if isinstance(participation, LeftOut):
            return None, LeftOut(f"no {directory.held_out_phones.name}: the run is not finished, or older than that")
        rows = participation.recalls
        people = sum(row.people for row in rows if row.grouping == rows[0].grouping) or None
        return people, LeftOut(f"the run has no {directory.held_out_phones.name}, with what was counted on each person")
    counted = _or_left_out(lambda: read_phone_counts(directory.held_out_phones))
    if isinstance(counted, LeftOut):
        return None, counted
    found = {metric.name: _interval(metric, counted, summary) for metric in metrics.metrics}
    intervals = {name: interval for name, interval in found.items() if interval is not None}
    for name, interval in intervals.items():
        told = summary.held_out.get(name)
        if told is None or abs(interval.mean - told) > 1e-9 * max(1.0, abs(told)):
            if summary.consent is not None:
                return None, LeftOut(f"{directory.held_out_phones.name} lacks owners who do not agree to telemetry")
            reason = f"{directory.held_out_phones.name} is of another measurement than summary.json"
            return len(counted.phones), LeftOut(reason)
    return len(counted.phones), intervals


def _interval(metric: Metric, counted: PhoneCounts, summary: Summary) -> Interval | None:
    """Of a metric that raises, one of somebody's own, the value without bounds, and why; the others keep theirs."""
    try:
        return over_people(metric, counted.counts)
    except ConfigError as error:
        told = summary.held_out.get(metric.name)
        return None if told is None else Interval(told, None, None, len(counted.phones), "people", why=str(error))


def _number(value: Any) -> float | None:
    """A number of another program's JSON, or None.

    Raises:
        TypeError: it is something else.
    """
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise TypeError(expected("a value", "a number or null", type(value).__name__))


def _amount(value: Any) -> float:
    """A number that there always is; see `_number`."""
    if (found := _number(value)) is None:
        raise TypeError(expected("a value", "a number", "null"))
    return found


def _count(value: Any) -> int:
    """A whole number of another program's JSON, at least 0; see `_number`."""
    if type(value) is int and value >= 0:
        return value
    raise TypeError(expected("a value", "a whole number", type(value).__name__))


def _numbers(values: Any) -> dict[str, float | None]:
    """Those values of an object that are numbers or null, by name; a metric in rows has none."""
    return {name: _number(value) for name, value in values.items() if not isinstance(value, list)}


def _text(value: Any) -> str:
    """A text of another program's JSON; see `_number`."""
    if isinstance(value, str):
        return value
    raise TypeError(expected("a value", "a text", type(value).__name__))


def _participation(path: Path, metrics: MetricTable) -> Participation:
    found = read_json_object(path, "who took part in a finished run")
    overall = found["overall"]
    return Participation(
        phones=_count(overall["phones"]),
        most_updates_of_a_phone=_count(overall["most_updates_of_a_phone"]),
        never_used_share=_number(overall["never_used_share"]),
        gini=_number(overall["gini"]),
        groups=[
            Group(
                grouping=_text(row["grouping"]),
                group=_text(row["group"]),
                phones=_count(row["phones"]),
                updates_per_phone=_number(row["updates_per_phone"]),
                share_of_tokens=_number(row["share_of_tokens"]),
                never_used_share=_number(row["never_used_share"]),
            )
            for row in found["by_group"]
        ],
        recalls=[
            GroupRecall(
                grouping=_text(row["grouping"]),
                group=_text(row["group"]),
                people=_count(row["held_out_phones"]),
                values={metric.name: _number(row.get(metric.name)) for metric in metrics.compared},
                why_no_value={name: str(why) for name, why in row.get("why_no_value", {}).items()},
            )
            for row in found["recall_by_group"] or []
        ],
        consent=None if found.get("consent") is None else _consent(found["consent"], metrics),
        text=_text_use(found.get("text")),  # earlier versions wrote none
    )


def _consent(found: Any, metrics: MetricTable) -> ConsentFacts:
    return ConsentFacts(
        origin=_text(found["origin"]),
        purposes=[_agreeing(row["purpose"], "", row) for row in found["purposes"]],
        groups=[_agreeing(row["group"], _text(row["grouping"]), row) for row in found["by_group"]],
        recalls=[
            RecallByConsent(
                state=_text(row["group"]),
                people=_count(row["held_out_phones"]),
                measured=_count(row["measured"]),
                values={metric.name: _bounds(row, metric.name) for metric in metrics.compared},
                why=_text(row.get("why_no_value", "")),
            )
            for row in found["recall"]
        ],
    )


def _agreeing(name: Any, grouping: str, row: Any) -> Agreeing:
    numbers = (_count(row[one]) for one in ("phones", "given", "withdrawn", "never_given"))
    return Agreeing(_text(name), grouping, *numbers)


def _bounds(row: Any, name: str) -> Interval | None:
    value, low, high = (_number(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return None if value is None else Interval(value, low, high, _count(row["measured"]), "people")


def _text_use(found: Any) -> TextUse | None:
    return None if found is None else TextUse(**{f.name: _count(found[f.name]) for f in fields(TextUse)})


def _privacy(root: Path) -> Privacy:
    found = read_json_object(root / "privacy.json", "the privacy statement of a run")
    planned, spent = found["planned"], found["spent"]
    return Privacy(
        statement=_text(found["statement"]),
        mechanism=_text(found["mechanism"]),
        epsilon_is_of=_text(found["epsilon_is_of"]),
        noise_source=noise_source_of(found),
        epsilon=_number(spent["epsilon"]),
        delta=_number(spent["delta"]),
        zcdp_rho=_number(spent["zcdp_rho"]),
        epsilon_exact=_number(found["epsilon_exact_gaussian"]),
        epsilon_budget=_number(planned["epsilon_budget"]),
        modelled_cohort=None if planned["modelled_cohort"] is None else _count(planned["modelled_cohort"]),
        goal=_count(planned["goal"]),
        clip_norm=_amount(planned["clip_norm"]),
        noise_multiplier=_number(planned["noise_multiplier"]),
        max_participations=None if spent["max_participations"] is None else _count(spent["max_participations"]),
        unit=_text(found["unit"]),
        trust_model=_text(found["trust_model"]),
        outside_the_budget=[_text(item) for item in found["outside_the_budget"]],
        caveats=[_text(item) for item in found["caveats"]],
        handling=[_text(item) for item in found.get("handling", {}).values()],
        forgotten=_text(found.get("forgotten", {}).get("says", "")),
        forgotten_on=sorted({one.at[:10] for one in read_requests(root) if not one.taken_over}),
    )


def _central(root: Path) -> Central | LeftOut:
    found = read_central(root)
    if found is None:
        what = "central training, what the same model reaches with all the phones' text in one place"
        remedy = command("scripts/compare_central.py", root)
        return LeftOut(f"{what}: not made (once it is, scripts/report.py puts it here)", remedy)
    metrics = {name: value for name, value in found.metrics.items() if not isinstance(value, list)}  # a row each
    return Central({name: _number(value) for name, value in metrics.items()}, found.epochs)


def _model_files(
    directory: RunDirectory, summary: Summary, key_presses: Mapping[str, KeyPress]
) -> Sequence[ModelFile] | LeftOut:
    path = directory.model / MANIFEST
    if not path.exists():
        return LeftOut("the run exported no files for phones", command("scripts/export_model.py", directory.root))
    manifest = read_json_object(path, "the manifest of an export")
    entries = {name: manifest[name] for name in FILES.values() if name in manifest}
    if any(entry["weights_sha256"] != summary.weights_sha256 for entry in entries.values()):
        again = command("scripts/export_model.py", directory.root)
        return LeftOut("the files in model/ are of other weights than the run's", again)
    return [
        ModelFile(
            name=name,
            size_bytes=_count(entry["bytes"]),
            same_first_word=_amount(entry["same_first_word"]),
            same_three_words=_amount(entry["same_three_words"]),
            contexts=_count(entry["contexts"]),
            metrics=_numbers(entry["metrics"]),
            key_press=key_presses.get(name),
        )
        for name, entry in entries.items()
    ]


def _typed_sentences(root: Path) -> Sequence[tuple[str, Sequence[TypedWord]]]:
    """The first of the everyday sentences, on the file that ships, as the keyboard page shows it."""
    keyboard = Keyboard(root, additions=True, blocked=blocked_words())
    typed = {sentence: keyboard.read(sentence) for sentence in SENTENCES[:SENTENCES_SHOWN]}
    return [(sentence, [TypedWord(word, shown) for shown, word in read]) for sentence, read in typed.items()]
