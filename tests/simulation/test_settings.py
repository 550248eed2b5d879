"""Bounds of settings: what a refusal names is what a setting may be; runs that began earlier are read by theirs."""

import math
import re
from dataclasses import fields, is_dataclass, make_dataclass, replace
from importlib import import_module
from typing import Annotated, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt

from server_strategy.privacy.budget_request import BudgetRequest
from simulation.config import RunConfig, settled
from simulation.flags import parse_simulate, read_config
from simulation.settings import check_bounds, choose, leaves, selectors, with_values
from simulation.studies.public_start import PublicTraining
from simulation.studies.sweeps.study_file import StudyOptions
from simulation.subcommands import SUBCOMMANDS
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError
from typefleet.setting_types import Formerly, hints_of

ONE_BOUND = re.compile(r"(>=|<=|>|<) (\S+?)(?=,| and |$)")
HOLDS = {
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
}


def kinds_of_settings():
    """Every dataclass that flags are made from: of each subcommand, each of its sections, each kind."""
    commands = [import_module(f"simulation.commands.{one.module}") for one in SUBCOMMANDS.values()]
    new = [one.Flags for one in commands if hasattr(one, "Flags")]
    new += [RunConfig, BudgetRequest, PublicTraining, StudyOptions]
    new += [type(kind.settings()) for s in selectors(choose(RunConfig(), {})) for kind in s.door.kinds()]
    found = []
    while new:
        kind = new.pop()
        if kind not in found and kind is not KindSettings:
            found.append(kind)
            parts = [part for hint in hints_of(kind).values() for part in (hint, *get_args(hint))]
            new += [part for part in parts if isinstance(part, type) and is_dataclass(part)]
    return found


def types_in(hint):
    """The types that a field's value may have, in lists, too."""
    if get_origin(hint) is Literal:
        return set()
    inner = [types_in(part) for part in get_args(hint) if not isinstance(part, Gt | Ge | Lt | Le | Formerly)]
    return set().union(*inner) if inner else {hint}


def numbers():
    """Every field that may be a number: its class, name, type, whether it is a list, and the number's type."""
    for kind in kinds_of_settings():
        for name, hint in hints_of(kind).items():
            plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
            number = next((one for one in (float, int) if one in types_in(plain)), None)
            if number is not None and get_origin(plain) is not dict and name in {f.name for f in fields(kind)}:
                is_list = get_origin(plain) is tuple
                yield pytest.param(name, hint, is_list, number, id=f"{kind.__module__}:{kind.__name__}.{name}")


def refusal(name, hint, value):
    """What is said of a value; None if it is taken."""
    try:
        check_bounds(make_dataclass("Section", [(name, hint)], frozen=True)(value))
    except ConfigError as error:
        return str(error)
    return None


def beyond(sign, bound, number):
    """(the last number that a bound allows, the first that it does not)."""
    up = sign in (">", ">=")
    step = (lambda to: bound + to) if number is int else (lambda to: math.nextafter(bound, to * math.inf))
    inside, outside = (1, -1) if up else (-1, 1)
    return (bound, step(outside)) if sign in (">=", "<=") else (step(inside), bound)


@pytest.mark.parametrize(("name", "hint", "is_list", "number"), numbers())
def test_a_refusal_names_the_range_that_the_setting_has(name, hint, is_list, number):
    def said(value):
        return refusal(name, hint, (value,) if is_list else value)

    far = (10**15, 10**16, 2**63 - 1, 2**63) if number is int else (1e15, 1e16, 1e300, 5e-324, 0.5)
    tried = [sign * value for value in (*far, 0, 1, 2) for sign in (-1, 1)]
    refused = [(value, text) for value in map(number, tried) if (text := said(value)) is not None]
    assert any(value > 0 for value, _ in refused) and any(value < 0 for value, _ in refused)
    for value, text in refused:
        _, _, rest = text.partition(": expected a number ")
        bounds = [(sign, int(b) if b.lstrip("-").isdigit() else float(b)) for sign, b in ONE_BOUND.findall(rest)]
        assert bounds, text
        assert not all(HOLDS[sign](value, bound) for sign, bound in bounds), text
        for sign, bound in bounds:
            inside, outside = beyond(sign, number(bound), number)
            assert said(inside) is None, f"{text}; refuses {inside}"
            assert said(outside) is not None, f"{text}; takes {outside}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--privacy.noise-multiplier", "1e300"), "--privacy.noise-multiplier: expected a number > 0 and <= 1e+15, "),
        (("--privacy.noise-multiplier", "-1"), "--privacy.noise-multiplier: expected a number > 0, found"),
        (("--privacy.clip-norm", "1e9"), "--privacy.clip-norm: expected a number >= 1e-06 and <= 100000, found"),
        (("--rounds", "1" + "0" * 17), "--rounds: expected a number >= 1 and <= 1e+15, found"),
        (("--seed", str(2**63)), f"--seed: expected a number >= 0 and < {2**63}, found"),
        (("--consent.region-factors", "1e16"), "--consent.region-factors: expected a number >= 0 and <= 1e"),
    ],
)
def test_both_ends_are_said_where_it_takes_both_to_say_what_is_true(arguments, said):
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}"):
        parse_simulate(arguments)


# Runs that began when more was allowed ----------------------------------------------------------------------

EARLIER = {
    "privacy.clip_norm": ("", (1e9, 1e-9)),
    "cohort.deadline_s": ("", (1e12,)),
    "cohort.selection_timeout_s": ("", (1e12,)),
    "cohort.pause_s": ("", (1e12,)),
    "cohort.staleness_exponent": ("buffered", (11.0,)),
}


def formerly():
    """The settings that once had other bounds, by their dotted name."""
    found = {}
    for policy in ("synchronous", "deadline", "buffered"):
        config = choose(RunConfig(), {("cohort", "policy"): policy})
        for path in leaves(config):
            section = config
            for part in path[:-1]:
                section = getattr(section, part)
            of = [section, *(v for v in vars(section).values() if isinstance(v, KindSettings))]
            hint = next((hints_of(type(one))[path[-1]] for one in of if path[-1] in hints_of(type(one))), None)
            marks = [mark for mark in get_args(hint) if isinstance(mark, Formerly)]
            found |= {".".join(path): marks[0].bound} if marks else {}
    return found


def test_the_settings_that_had_other_bounds_are_all_tried_here():
    assert formerly().keys() == EARLIER.keys()


@pytest.mark.parametrize(("key", "value"), [(key, one) for key, (_, values) in EARLIER.items() for one in values])
def test_what_an_earlier_version_let_begin_can_be_read_and_begins_no_more(key, value, tmp_path):
    section, name = key.split(".")
    policy, _ = EARLIER[key]
    written = f"[{section}]\n{name} = {value}\n" + (f'policy = "{policy}"\n' if policy else "")
    file = tmp_path / "config.toml"
    file.write_text(written)
    config = read_config(file, begun=True)
    assert leaves(config)[tuple(key.split("."))] == value
    flag = f"--{key.replace('_', '-')}"
    for refused in (
        lambda: read_config(file),
        lambda: parse_simulate(["--config", str(file)]),
        lambda: parse_simulate(["--resume", str(tmp_path)]),
        lambda: settled(config),
        lambda: parse_simulate([*(("--cohort.policy", policy) if policy else ()), flag, str(value)]),
    ):
        with pytest.raises(ConfigError, match=rf"({re.escape(str(file))}: {key}|^{flag}): expected a number >"):
            refused()


@pytest.mark.parametrize("key", EARLIER)
@pytest.mark.parametrize("value", [-1.0, 1e16, math.inf, math.nan])
def test_what_no_version_took_is_not_read_either(key, value, tmp_path):
    policy, _ = EARLIER[key]
    config = choose(RunConfig(), {("cohort", "policy"): policy} if policy else {})
    config = with_values(config, {tuple(key.split(".")): value})
    with pytest.raises(ConfigError, match=rf"^--{key.replace('_', '-')}: expected a "):
        check_bounds(config, begun=True)


def test_other_bounds_hold_for_what_is_read_as_well():
    with pytest.raises(ConfigError, match=r"^--rounds: expected a number >= 1, found 0$"):
        check_bounds(replace(RunConfig(), rounds=0), begun=True)
