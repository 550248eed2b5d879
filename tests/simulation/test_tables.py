"""A table loses no figure, however narrow the terminal."""

import io

import pytest
from rich.console import Console

from simulation.tables import console_for, print_table

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


def test_a_pipe_is_wide_enough():
    assert console_for(io.StringIO()).width == 160
