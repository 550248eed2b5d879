"""A table loses no figure, however narrow the terminal."""

import io

import pytest
from rich.console import Console

from simulation.tables import Whole, console_for, print_facts, print_groupings, print_named, print_table

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


@pytest.mark.parametrize(("said", "width"), [("72", 72), ("0", 160), ("-1", 160), ("wide", 160), ("99999", 160)])
def test_columns_of_the_environment_count_in_a_pipe_if_they_are_a_width(monkeypatch, said, width):
    monkeypatch.setenv("COLUMNS", said)
    assert console_for(io.StringIO()).width == width


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


@pytest.mark.parametrize("width", [20, 60, 80, 120])
def test_named_values_break_where_the_terminal_ends_and_go_on_below_the_value(width):
    """No word is lost or broken, and nothing is wider unless one word alone is."""
    text = (
        "Typefleet 0.1.0   /a/path/that/is/long/and/is/copied/so/it/stays/in/one/piece/wherever/it/is/shown\n"
        "privacy     at most epsilon 6.3 at delta 1.9e-07, of a modelled deployment with 20,000 reports per round:\n"
        "            gaussian noise, multiplier 2, a phone takes part at most 5 times in 100 rounds"
    )
    shown = io.StringIO()
    print_named(Console(file=shown, width=width), text)
    lines = shown.getvalue().splitlines()
    assert " ".join(shown.getvalue().split()) == " ".join(text.split())
    for line in lines:
        assert len(line) <= width or len(line.split()) <= 1 + line.startswith(("Typefleet", "privacy"))
    begin = {"Typefleet": 18, "privacy": 12}
    below = [line for line in lines if not line.startswith(tuple(begin))]
    assert {len(line) - len(line.lstrip()) for line in below} <= {12, 18}
    assert (len(lines) > 3) == (width < 120)
