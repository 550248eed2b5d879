"""Rows are those of Python's csv; a row that is none takes no other along."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typefleet.untrusted import csv_rows
from typefleet.untrusted.csv_rows import CsvRows, Fault

fields = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(',"\r\n'), max_size=8)
tables = st.lists(st.lists(fields, min_size=2, max_size=4), max_size=8)


def read(text):
    return list(CsvRows(io.StringIO(text, newline="")))


@given(tables)
def test_what_was_written_is_read(rows):
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    assert [row for _, row in read(written.getvalue())] == rows


@settings(max_examples=200)
@given(st.text('a,"\n', max_size=40))
def test_every_line_is_read_or_refused_and_no_other_text_is_made(text):
    lines = text.splitlines(keepends=True)
    last = 0
    for number, row in read(text):
        assert last < number <= len(lines)
        last = number
        if not isinstance(row, Fault):
            again = next(csv.reader(io.StringIO("".join(lines[number - 1 :]), newline=""), strict=True))
            assert row == again


@pytest.mark.parametrize("rows", [3, 300, 5000])
def test_an_open_quote_takes_its_own_line_alone(rows):
    text = 'user,text\nu,"hello\n' + "u,good day\n" * rows
    header, bad, *good = read(text)
    assert header == (1, ["user", "text"]) and bad[0] == 2 and isinstance(bad[1], Fault)
    assert good == [(3 + n, ["u", "good day"]) for n in range(rows)]


def test_open_quotes_on_every_line_cost_no_more_than_reading_twice():
    lines = [0]

    class Counted(io.StringIO):
        def readline(self, size=-1):
            lines[0] += 1
            return super().readline(size)

    assert all(isinstance(row, Fault) for _, row in CsvRows(Counted('u,"hello\n' * 20_000)))
    assert lines[0] <= 20_002


def test_a_line_that_never_ends_is_left_behind(monkeypatch):
    monkeypatch.setattr(csv_rows, "LINE_BYTES", 10)
    assert [(number, isinstance(row, Fault)) for number, row in read("a,b\n" + "c" * 55 + "\nd,e\n")] == [
        (1, False),
        (2, True),
        (3, False),
    ]


def test_empty_lines_count_and_are_no_rows():
    assert read("a\n\n\nb\n") == [(1, ["a"]), (4, ["b"])]
