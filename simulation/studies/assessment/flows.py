"""The way of the data, from the phone to the file: stations and what goes between them, by the run's own settings.

One figure, in two forms from the same stations: boxes of text, and a drawing (`simulation.studies.assessment.drawing`).
"""

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from server_strategy.privacy.rounded_up import Bound
from simulation.studies.assessment.gathering import STATEMENT, Gathered
from simulation.studies.assessment.parts import Safeguard, State
from simulation.studies.assessment.processing import held_out_phones, training_phones, update_figures

WIDTH = 74  # columns of the figure as text
MARKS = {State.ON: "[x]", State.OFF: "[ ]", State.UNKNOWN: "[?]"}


class Protection(NamedTuple):
    """Something that protects the data there, or does not."""

    state: State
    text: str


class Station(NamedTuple):
    """A place that the data is at, and how it goes on from there."""

    name: str
    lines: tuple[str, ...]
    protections: tuple[Protection, ...]
    goes_on: str  # what goes from here to the next; empty at the end
    on_the_way: tuple[Protection, ...] = ()


def stations(run: Gathered, safeguards: tuple[Safeguard, ...]) -> tuple[Station, ...]:
    """The stations, in order.

    Args:
        run: as it was found.
        safeguards: of the run.
    """
    states = {one.id: one.state for one in safeguards}
    return (_phones(run, states), _server(run, states), _model(run, states), _file(run, states), _disk(states))


def _of(states: dict[str, State], name: str, text: str) -> Protection:
    return Protection(states[name], text)


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "?"


def _phones(run: Gathered, states: dict[str, State]) -> Station:
    config = run.config
    secagg = _of(states, "secure-aggregation", "masked by secure aggregation")
    at_phones = run.private and config.privacy.noise_place == "phones"
    noise = Protection(State.ON if at_phones else State.OFF, "with noise that phones add")
    updates, in_model = (one.value for one in update_figures(run))
    there = "" if updates == in_model else f" ({_count(in_model)} in this model)"
    return Station(
        "Phones",
        (
            f"{_count(training_phones(run).value)} may train, {_count(held_out_phones(run).value)} never do; messages "
            "stay here (in a simulation: read from a file)",
        ),
        (
            _of(states, "consent", "asked for consent, by purpose"),
            _of(states, "minimisation", "limits on what is kept"),
            _of(states, "redaction", "personal data of known forms taken out"),
        ),
        f"{_count(updates)} changes of the model{there}, each at most {config.privacy.clip_norm:g} long (L2)",
        (secagg, noise),
    )


def _server(run: Gathered, states: dict[str, State]) -> Station:
    secagg = run.config.aggregation.protocol == "secagg"
    sees = "sees sums over phones alone" if secagg else "is told of each phone"
    made, on_the_way = None if run.released is None else run.released.releases, run.number(STATEMENT, "spent.releases")
    there = "" if made == on_the_way else f" ({_count(on_the_way)} on the way to this model)"
    at_server = run.private and run.config.privacy.noise_place != "phones"
    return Station(
        "Server",
        (f"adds the changes up; {sees}; knows who took part when",),
        (
            Protection(State.ON if at_server else State.OFF, "adds noise to the sum"),
            _of(states, "robust-rule", "a rule that few attackers cannot move"),
        ),
        f"{_count(made)} releases{there}",
    )


def _model(run: Gathered, states: dict[str, State]) -> Station:
    epsilon, delta = run.number(STATEMENT, "spent.epsilon"), run.number(STATEMENT, "spent.delta")
    whose = run.at(STATEMENT, "epsilon_is_of")
    bound = "nothing bounds what it tells of a phone"
    if epsilon is not None and delta is not None:
        bound = f"epsilon {Bound(epsilon):.3g} at delta {Bound(delta):.2g}, of {whose}"
    lacks = ("the files of this run do not have that guarantee",) if run.at(STATEMENT, "not_guaranteed") else ()
    return Station(
        "Model",
        (bound, *(lacks if epsilon is not None else ())),
        (_of(states, "differential-privacy", "differential privacy"), _of(states, "attacks", "attacked, and measured")),
        "the last model, for phones",
    )


def _file(run: Gathered, states: dict[str, State]) -> Station:
    exported = sorted(path.name for path in (run.folder / "model").glob("keyboard*.tflite") if path.is_file())
    return Station(
        "File for phones",
        (", ".join(exported) if exported else "none is exported",),
        (_of(states, "signatures", "signed by those who answer for it"),),
        "",
    )


def _disk(states: dict[str, State]) -> Station:
    return Station(
        "This machine's disk",
        ("beside all of it: tokenised text, checkpoints, records, reports",),
        (
            _of(states, "encryption", "encrypted at rest"),
            _of(states, "retention", "a policy of how long"),
            _of(states, "audit-trail", "a record of every command"),
        ),
        "",
    )


def as_text(way: tuple[Station, ...]) -> str:
    """The figure in boxes of characters, no wider than WIDTH.

    Args:
        way: the stations.
    """
    return "\n".join(line.rstrip() for one in way for line in _box(one))


def _box(one: Station) -> Iterator[str]:
    room = WIDTH - 4
    edge = f"+{'-' * (WIDTH - 2)}+"
    yield edge
    inside = [one.name.upper(), *(part for line in one.lines for part in textwrap.wrap(line, room))]
    inside += [part for each in one.protections for part in _marked(each, room)]
    for line in inside:
        yield f"| {line:<{room}} |"
    yield edge
    if one.goes_on:
        yield "     |"
        for line in [*textwrap.wrap(one.goes_on, room), *(p for each in one.on_the_way for p in _marked(each, room))]:
            yield f"     |  {line}"
        yield "     v"


def _marked(one: Protection, room: int) -> list[str]:
    return textwrap.wrap(f"{MARKS[one.state]} {one.text}", room, subsequent_indent="    ")
