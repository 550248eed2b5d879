"""A bound that is stated in few digits is never below the true one, and as near to it as the digits allow."""

import ast
import re
from decimal import Decimal
from itertools import product

import pytest

from server_strategy.privacy.rounded_up import Bound, BoundOnMu, Left, as_earlier_builds_round
from tests.conftest import ROOT
from tests.syntax_trees import tree_of_file

PACKAGES = ("typefleet", "client_model", "server_strategy", "simulation", "scripts")
_MAYBE = re.compile(r"(epsilon|rho|delta|mu).*:,?[.\dgfe%]")
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
    "row['delta']": "a power of ten, as it is",
    "spent.zcdp_rho": "in a refusal of less than was spent",
    **dict.fromkeys(("cost.rho", "true"), "in a refusal of a cost that is changed"),
    "target": "what was asked for",
    "run.summary.delta or 0": "read back as a number, to tell deployments apart",
}
SETTINGS = {  # as they were given, in whatever digits
    *("delta", "target_epsilon", "total_epsilon", "plan.epsilon_budget", "experiment.delta", "cost.delta"),
    *("limit", "account.limit", "middle", "min(reached)[0]", "epsilon", "one.epsilon"),
}
_NAMED = re.compile(r"epsilon|rho|delta|\bmu\b")
_SAID = re.compile(r"\b(epsilon|rho|delta|mu) (at most |of |up to )?$")
_IN_DIGITS = re.compile(r"[gfe%]'$")


def shown_in(function):
    """(value, form, whether it is of a `Bound` or a `Left`) of each that is shown, by what its name is set to here."""
    nodes, values = list(ast.walk(function)), {}
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            in_pairs = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            for one, of in zip(target.elts, value.elts, strict=True) if in_pairs else [(target, value)]:
                values.setdefault(ast.unparse(one), []).append(ast.unparse(of))
    for before, node in (pair for text in nodes if isinstance(text, ast.JoinedStr) for pair in with_before(text)):
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            value, form = ast.unparse(node.value), ast.unparse(node.format_spec)
            if (_NAMED.search(value) or _SAID.search(before)) and _IN_DIGITS.search(form):
                yield value, form, all(re.match(r"(Bound\w*|Left)\(", of) for of in values.get(value, [value]))


def with_before(text):
    """(the words before it, the part) of each part of a text with values."""
    before = ["", *(str(part.value) if isinstance(part, ast.Constant) else "" for part in text.values)]
    return zip(before[:-1], text.values, strict=True)


def outermost(path):
    """Its functions, and the methods of its classes."""
    tree = tree_of_file(path)
    inside = [one for node in tree.body if isinstance(node, ast.ClassDef) for one in node.body]
    return [node for node in (*tree.body, *inside) if isinstance(node, ast.FunctionDef)]


def test_a_bound_that_is_shown_in_few_digits_is_rounded_up_wherever_it_is():
    shown = set()
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        if not _MAYBE.search(path.read_text(encoding="utf-8")):
            continue
        for function in outermost(path):
            for value, form, is_bound in shown_in(function):
                shown.add(value)
                may_be = NO_CLAIM if re.search(r"\.\d", form) else SETTINGS
                assert is_bound or value in may_be, f"{path}:{function.lineno}: {value}"
    assert len(shown) > 40 and NO_CLAIM.keys() | SETTINGS <= shown


@pytest.mark.parametrize(
    ("body", "is_bound"),
    [
        ("f'{rho:.4g}'", False),
        ("f'{words.epsilon:g}'", False),
        ("rho = Bound(2.0); f'{rho:.4g}'", True),
        ("rho, left = Bound(2.0), 1.0; f'{rho:.4g}'", True),
        ("rho, left = 1.0, Bound(2.0); f'{rho:.4g}'", False),
        ("rho = Bound(2.0); rho = 1.0; f'{rho:.4g}'", False),
        ("f'{Left(one.rho):.4g}'", True),
        ("f'a run of rho {left:.4g}'", False),
        ("left = Left(1.0); f'a run of rho {left:.4g}'", True),
        ("f'{math.sqrt(2 * spent.zcdp_rho):.4g}'", False),
    ],
)
def test_what_a_bound_is_shown_as_is_found(body, is_bound):
    (found,) = shown_in(ast.parse(body))
    assert found[-1] == is_bound


@pytest.mark.parametrize("form", [".1g", ".2g", ".3g", ".4g", ",.3g", ".2f"])
def test_what_is_left_is_never_shown_above_the_true_value(form):
    for value in (*GRID, 0.0):
        shown, above = (Decimal(f"{kind(value):{form}}".replace(",", "")) for kind in (Left, Bound))
        exact = Decimal(repr(value))
        digit = -int(form[-2]) if form.endswith("f") else exact.adjusted() - int(form[-2]) + 1
        assert 0 <= shown <= exact <= above and above - shown <= Decimal(1).scaleb(digit)


def test_statements_of_earlier_builds_can_be_made_as_they_were():
    with as_earlier_builds_round():
        assert f"{Bound(3.66008):.3g} {BoundOnMu(3.66008):.3g}" == "3.66 3.66"
    with as_earlier_builds_round(BoundOnMu):
        assert f"{Bound(3.66008):.3g} {BoundOnMu(3.66008):.3g}" == "3.67 3.66"
    assert f"{Bound(3.66008):.3g} {BoundOnMu(3.66008):.3g}" == "3.67 3.67"
