"""Drawings: colours of the page, names apart from each other, the same bytes for the same values."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from simulation.report.charts import FIRST, SECOND, Line, bar_chart, line_chart

LETTERS = 10.5


def chart(lines, name="one", **more):
    return line_chart(name, lines, x="rounds", y="recall, %", alternative='of "a" & <b>', caption="c", **more).svg


def test_every_colour_is_the_pages_and_no_letter_is_of_another_font():
    svg = chart(
        [Line("a", [1, 2], [3, 4], FIRST, points=True, bar=(3.5, 4.5)), Line("b", [0, 2], [2, 2], SECOND, "--")]
    )
    assert not re.search(r"#[0-9a-f]{6}\b", svg) and "font-family" not in svg and "<style" not in svg
    assert {"--first", "--second", "--ink"} <= set(re.findall(r"var\((--\w+)\)", svg))
    assert 'aria-label="of &#34;a&#34; &amp; &lt;b&gt;"' in svg and svg.startswith("<svg ") and svg.endswith("</svg>")
    assert "xmlns" not in svg and "http" not in svg


def test_the_same_values_give_the_same_bytes_and_two_drawings_share_no_id():
    lines = [Line("a", [1, 2], [3, 4], FIRST, points=True)]
    one, other = chart(lines), chart(lines, name="other")
    assert chart(lines) == one
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0] and ids[1] and not ids[0] & ids[1]
    assert set(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", one)) == ids[0]


@settings(max_examples=12)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=4))
def test_names_of_lines_that_end_together_stand_apart_and_within(ends):
    svg = chart([Line(f"line{i}", [0, 1], [50.0, end], FIRST) for i, end in enumerate(ends)])
    height = float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)[1])
    places = sorted(float(y) for y in re.findall(r'y="([\d.-]+)"[^>]*>line\d', svg))
    assert len(places) == len(ends) and places[0] - LETTERS + 2 > 0 and places[-1] < height
    assert all(b - a > LETTERS for a, b in zip(places, places[1:], strict=False))


@settings(max_examples=12)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=4))
def test_no_leader_reaches_into_a_name(ends):
    svg = chart([Line(f"line{i}", [0, 1], [50.0, end], FIRST) for i, end in enumerate(ends)])
    names = [float(x) for x in re.findall(r'<text[^>]*x="([\d.]+)"[^>]*>line\d', svg)]
    drawn = [
        float(x)
        for path in re.findall(r'<path d="([^"]+)"[^>]*--first', svg)
        for x in re.findall(r"[ML] ([\d.]+)", path)
    ]
    assert len(names) == len(ends) and max(drawn) < min(names) - 2


def test_a_long_line_keeps_its_ends_and_little_else():
    y = [float(i % 7) for i in range(50_000)]
    y[-1] = 6.5
    svg = chart([Line("a", list(range(50_000)), y, FIRST)])
    assert len(svg) < 30_000
    paths = re.findall(r'<path d="([^"]+)"[^>]*style="[^"]*--first', svg)
    path = max(paths, key=len)
    assert 100 < len(re.findall("[ML]", path)) <= 250


def test_a_line_of_one_point_can_be_seen():
    one, two = (chart([Line("a", list(range(n)), [3.0] * n, FIRST, steps=True)]) for n in (1, 2))
    assert [len(re.findall("<use[^>]*--first", svg)) for svg in (one, two)] == [1, 0] and "nan" not in one.lower()


def test_a_flat_line_over_an_axis_from_0_is_far_from_it():
    flat = [Line("a", [1, 2, 3], [2.5, 2.5, 2.5], FIRST)]
    assert [chart(flat, y_from_0=of_both).count(">0<") for of_both in (False, True)] == [1, 2]


def test_bars_of_nobody_are_drawn():
    svg = bar_chart("bars", [("invited", 0.0, "0"), ("reported", 0.0, "0")], alternative="a", caption="c").svg
    assert svg.count("invited") == 1 and "nan" not in svg.lower()
