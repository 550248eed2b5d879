"""The way of the data as a drawing: SVG that needs no font, no script and no colour to be read."""

import textwrap
from collections.abc import Iterator, Sequence
from html import escape

from simulation.studies.assessment.flows import Protection, Station
from simulation.studies.assessment.parts import State

_WIDTH, _LEFT, _PAD, _LINE, _GAP = 640, 8, 14, 22, 16
_CHARACTERS = 74  # of a line in a box
_WORDS = {State.ON: "on", State.OFF: "off", State.UNKNOWN: "not known"}


def as_svg(way: Sequence[Station]) -> str:
    """The figure, with a title for those who do not see it.

    Args:
        way: the stations.
    """
    parts: list[str] = []
    y = 4
    for one in way:
        drawn, y = _station(one, y)
        parts += drawn
    told = "; ".join(f"{one.name}: {_told(one)}" for one in way)
    head = f'<svg viewBox="0 0 {_WIDTH} {y}" role="img" aria-label="{escape(f"The way of the data. {told}")}">'
    return "\n".join([head, *parts, "</svg>"])


def _told(one: Station) -> str:
    marks = (f"{each.text} ({_WORDS[each.state]})" for each in (*one.protections, *one.on_the_way))
    return ", ".join((*one.lines, *marks))


def _station(one: Station, y: int) -> tuple[list[str], int]:
    """What is drawn of a station, and where the next one begins."""
    lines = [part for line in one.lines for part in textwrap.wrap(line, _CHARACTERS)]
    height = _PAD + _LINE * (1 + len(lines) + len(one.protections)) + _PAD // 2
    drawn = [f'<rect class="station" x="{_LEFT}" y="{y}" width="{_WIDTH - 2 * _LEFT}" height="{height}" rx="5"/>']
    at = y + _PAD + 6
    drawn.append(_text(one.name, _LEFT + _PAD, at, "name"))
    for line in lines:
        at += _LINE
        drawn.append(_text(line, _LEFT + _PAD, at))
    for each in one.protections:
        at += _LINE
        drawn += _mark(each, _LEFT + _PAD, at)
    y += height
    if not one.goes_on:
        return drawn, y + _GAP
    below = _PAD + _LINE * (1 + len(one.on_the_way)) + _PAD // 2
    drawn += _arrow(y, below)
    at = y + _PAD + 6
    drawn.append(_text(one.goes_on, 64, at))
    for each in one.on_the_way:
        at += _LINE
        drawn += _mark(each, 64, at)
    return drawn, y + below


def _text(text: str, x: int, y: int, kind: str = "") -> str:
    marked = f' class="{kind}"' if kind else ""
    return f'<text{marked} x="{x}" y="{y}">{escape(text)}</text>'


def _mark(one: Protection, x: int, y: int) -> Iterator[str]:
    """A box, filled where it is on, with a word beside it."""
    yield f'<rect class="mark {one.state}" x="{x}" y="{y - 12}" width="13" height="13" rx="2"/>'
    if one.state is State.ON:
        yield f'<path class="tick" d="M{x + 3} {y - 6} l3 3 l5 -6"/>'
    yield _text(f"{one.text}: {_WORDS[one.state]}", x + 22, y, "" if one.state is State.ON else "lacking")


def _arrow(y: int, length: int) -> list[str]:
    end = y + length - 2
    return [
        f'<path class="way" d="M40 {y} V{end - 8}"/>',
        f'<path class="head" d="M33 {end - 9} h14 l-7 9 z"/>',
    ]
