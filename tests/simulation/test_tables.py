"""A table loses no figure, however narrow the terminal."""

import io

import pytest
from rich.console import Console

from simulation.tables import Whole, console_for, print_facts, print_groupings, print_table

HEADINGS = ("file", "size\nMB", "same first\nword, %", "key press\nmedian, ms")
ROWS = [[f"keyboard_{i}.tflite", f"{i}.25", f"9{i}.5 >= 97", f"0.0{i}"] for i in range(6)]


def printed(width, rows=ROWS):
    text = io.StringIO()
    print_table(Console(file=text, width=width), HEADINGS, rows)
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_every_cell_is_whole_at_every_width(width):
    text = printed(width)
    words = text.split()
    for row in ROWS:
        for cell in row:
            assert all(word in words for word in cell.split()), cell
    assert all(len(line) <= width for line in text.splitlines())


def test_its_shape_follows_the_width():
    assert [line.split()[0] for line in printed(80).splitlines() if "tflite" in line] == [row[0] for row in ROWS]
    turned = printed(45).splitlines()
    assert sum(line.lstrip().startswith("size MB") for line in turned) > 1
    assert printed(45, []) == printed(80, [])


def test_gaps_are_given_up_before_the_shape():
    usual = max(map(len, printed(80).splitlines()))
    narrow = printed(usual - 1).splitlines()
    assert [line.split()[0] for line in narrow if "tflite" in line] == [row[0] for row in ROWS]
    assert max(map(len, narrow)) < usual


def test_tables_of_groupings_have_their_columns_below_each_other():
    text = io.StringIO()
    rows = [("time zone", "UTC+5.5", "1", "23.5%"), ("time zone", "UTC", "1,000", "3.5%"), ("tier", "low", "2", "0.1%")]
    print_groupings(Console(file=text, width=60), ("phones", "of\nphones"), rows)
    lines = text.getvalue().splitlines()
    assert [line.split() for line in lines if "%" in line] == [[row[1], *row[2:]] for row in rows]
    assert len({line.rindex("%") for line in lines if "%" in line}) == 1
    assert [line.split()[0] for line in lines if line.endswith(" phones ")] == ["zone", "tier"]


def test_a_pipe_is_wide_enough():
    assert console_for(io.StringIO()).width == 160


LONG = "/a/folder/" + "x" * 60 + "/python scripts/keyboard_demo.py runs/1"
FACTS = [
    ("recall", ["20.25 % of all words, counted on 1,183 training phones, by unigrams, bigrams and trigrams"]),
    ("type on it", [Whole(LONG)]),
    ("file", [Whole("runs/1/keyboard.tflite"), "1.85 MB"]),
]


def facts(width, stream=None):
    text = stream or io.StringIO()
    print_facts(Console(file=text, width=width), FACTS)
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_facts_fit_and_what_is_copied_is_in_one_piece(width):
    lines = facts(width)
    assert all(line == line.rstrip() for line in lines)
    assert all(len(line) <= width or LONG in line for line in lines)
    assert sum(LONG in line for line in lines) == 1 and sum("runs/1/keyboard.tflite" in line for line in lines) == 1
    assert [line.split()[0] for line in lines if line and not line.startswith("  ")] == ["recall", "type", "file"]
    assert " ".join(lines[1].split() + lines[2].split()).startswith("recall 20.25 % of all words")


def test_facts_of_a_wide_place_stand_beside_their_names():
    _, first, second, third, fourth, _ = facts(200)
    assert first.startswith(" recall       20.25 %") and second == f" type on it   {LONG}"
    assert (third, fourth) == (" file         runs/1/keyboard.tflite", "              1.85 MB")


@pytest.mark.parametrize("width", range(24, 60))
def test_a_number_and_its_percent_sign_stay_on_one_line(width):
    text = io.StringIO()
    shares = "0: 23.0 %, 1: 34.5 %, 2: 37.2 %, 3: 35.4 % of all words"
    print_facts(Console(file=text, width=width), [("recall", [shares])])
    assert not any(line.split()[:1] in (["%"], ["%,"]) for line in text.getvalue().splitlines())
    assert "\N{NO-BREAK SPACE}" not in text.getvalue()
