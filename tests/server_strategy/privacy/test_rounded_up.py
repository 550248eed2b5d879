"""A bound that is stated in few digits is never below the true one, and as near to it as the digits allow."""

import ast
import re
from decimal import Decimal
from itertools import product

import pytest

from server_strategy.privacy.rounded_up import Bound, BoundOnMu, as_earlier_builds_round
from tests.conftest import ROOT
from tests.syntax_trees import nodes_of_file

PACKAGES = ("typefleet", "client_model", "server_strategy", "simulation", "scripts")
_MAYBE = re.compile(r"epsilon.*:,?\.\d")
VALUES = (3.66008, 2.50328, 4.4059e-07, 6.3, 6.30, 8.0, 1e-6, 9.996, 0.0995, 99.996, 1234.5, 1e9, 0.1 + 0.2)
GRID = [value * factor for value, factor in product(VALUES, (1.0, 1 - 2**-53, 1 + 2**-52, 0.37, 11.1))]


@pytest.mark.parametrize("form", [".1g", ".2g", ".3g", ".4g", ",.3g", ".2f", ".3f", ",.2f", ",.0f"])
def test_what_is_shown_is_never_below_the_true_value_and_less_than_a_digit_above(form):
    for value in GRID:
        shown, nearest = (Decimal(text.replace(",", "")) for text in (f"{Bound(value):{form}}", format(value, form)))
        exact = Decimal(repr(value))
        assert shown >= exact
        digit = -int(form[-2]) if form.endswith("f") else exact.adjusted() - int(form[-2]) + 1
        assert shown - exact < Decimal(1).scaleb(digit) and shown >= nearest


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (3.66008, ".3g", "3.67"),
        (2.50328, ".2f", "2.51"),
        (4.4059e-07, ".2g", "4.5e-07"),
        (6.3, ".2f", "6.30"),
        (6.3, ".3g", "6.3"),
        (8.0, ".3g", "8"),
        (1e-6, ".2g", "1e-06"),
        (9.996, ".3g", "10"),
        (0.0, ".3g", "0"),
        (float("inf"), ".2f", "inf"),
    ],
)
def test_digits_that_are_exact_stay_as_they_are(value, form, shown):
    assert f"{Bound(value):{form}}" == shown


@pytest.mark.parametrize("value", [1e26, 1e28, 1.7e300])
def test_a_bound_that_says_nothing_can_be_shown_all_the_same(value):
    for form in (".3g", ".2f", ",.0f"):
        assert float(f"{Bound(value):{form}}".replace(",", "")) >= value


NO_CLAIM = {
    "sampled.epsilon": "what another sampling would have given",
    "epsilon_of_several(left, delta)": "what is left of an account",
}


def test_an_epsilon_that_is_shown_in_few_digits_is_a_bound_wherever_it_is():
    shown = set()
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        if not _MAYBE.search(path.read_text(encoding="utf-8")):
            continue
        for node in nodes_of_file(path):
            if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                value, form = ast.unparse(node.value), ast.unparse(node.format_spec)
                if "epsilon" in value and re.search(r"\.\d", form) and not value.isidentifier():
                    shown.add(value)
                    assert value.startswith("Bound(") or value in NO_CLAIM, f"{path}:{node.lineno}: {value}"
    assert len(shown) > 20 and NO_CLAIM.keys() <= shown


def test_statements_of_earlier_builds_can_be_made_as_they_were():
    with as_earlier_builds_round():
        assert f"{Bound(3.66008):.3g} {BoundOnMu(3.66008):.3g}" == "3.66 3.66"
    with as_earlier_builds_round(BoundOnMu):
        assert f"{Bound(3.66008):.3g} {BoundOnMu(3.66008):.3g}" == "3.67 3.66"
    assert f"{Bound(3.66008):.3g} {BoundOnMu(3.66008):.3g}" == "3.67 3.67"
