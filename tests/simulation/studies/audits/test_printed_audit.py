"""What an audit prints: each figure once, in lines that the terminal holds."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from simulation.studies.audits.attack import BY_ITSELF
from simulation.studies.audits.audit import A_BOUND_FELL, Audit, number, print_audit
from tests.simulation.studies.audits.test_attack import attack

LONG = "words: update of one phone, clipped, noise of a deployment"
SOME = (
    attack(),
    replace(attack(value=0.12345, low=0.11111, high=2642.3), name=LONG, quantity="share of a phone's words"),
    replace(attack(value=None, low=None, high=None), name="words: sum of 64 phones' updates", why="too few phones"),
)


@pytest.mark.parametrize("width", [80, 160])
def test_each_figure_has_one_line_or_its_name_is_folded(width):
    written = StringIO()
    print_audit(Console(file=written, width=width), Audit(0, True, None, SOME))
    lines = written.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    (shown,) = (line for line in lines if "0.123 (0.111 to 2,642)" in line)
    assert "update of one phone, clipped" in shown and "2   within" in shown
    assert sum("sum of 64 phones' updates" in line and "within" not in line for line in lines) >= 1
    assert "words: share of a phone's words" in lines


def test_what_is_told_alike_stands_once_and_what_is_of_one_figure_behind_its_name():
    two = [replace(attack(bound=None), name=f"fairness: {name}", why=f"best: {name}") for name in ("a", "b")]
    alone = replace(attack(bound=None), name=f"canaries: {BY_ITSELF}")
    written = StringIO()
    print_audit(Console(file=written, width=80), Audit(0, True, None, (*two, alone)))
    text = " ".join(written.getvalue().split())
    assert text.count(f"fairness: a; b attacker: {two[0].attacker}") == 1
    assert "a: best: a b: best: b" in text and "by itself it comes to epsilon" in text
    assert "Nothing that was measured is held to a bound" in text


def test_figures_of_one_quantity_stand_in_one_table_wherever_they_come():
    lone = replace(attack(value=9.0, low=8.0, high=10.0), name="canaries: lone")
    between = replace(attack(), name="canaries: least", quantity="another")
    written = StringIO()
    print_audit(Console(file=written, width=80), Audit(0, True, None, (attack(), between, lone)))
    text = written.getvalue()
    assert text.count(f"canaries: {lone.quantity}\n") == 1 and text.count("canaries: another\n") == 1
    assert " ".join(A_BOUND_FELL.split()) in " ".join(text.split()), "what to do where a bound fell"


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "-"), (0.12345, "0.123"), (999.4, "999"), (2642.3, "2,642"), (0, "0"), (-1234.5, "-1,234")],
)
def test_a_large_figure_is_in_digits_and_not_in_powers(value, said):
    assert number(value) == said
