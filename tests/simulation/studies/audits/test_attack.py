"""What an attack came to: its verdict, and as JSON there and back."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.studies.audits.attack import Attack
from simulation.studies.audits.audit import FILE_NAME, Audit, read_audit, write_audit
from simulation.studies.audits.table import ATTACKS, attack_of
from typefleet.errors import ConfigError

numbers = st.none() | st.floats(-1e6, 1e6)


def attack(value=1.0, low=0.5, high=1.5, bound=2.0, **more):
    said = dict(name="some: figure", attacker="somebody", sees="all", assumes="nothing", quantity="epsilon")
    return Attack(**said, value=value, low=low, high=high, bound=bound, bound_is="what is claimed", **more)


@given(numbers, numbers, numbers, numbers)
def test_a_file_gives_back_what_was_written(value, low, high, bound):
    one = attack(value, low, high, bound, confidence=0.95, details={"rounds": [1, 2], "deeper": {"a": None}})
    again = Attack.from_json(json.loads(json.dumps(one.to_json(), allow_nan=False)), "a file")
    assert again == one and again.holds is one.holds


@pytest.mark.parametrize(
    ("found", "holds"),
    [
        (attack(), True),
        (attack(value=2.5, low=1.9), True),  # the low end is within
        (attack(value=2.5, low=2.1), False),
        (attack(value=2.5, low=None), False),
        (attack(bound=None), None),
        (attack(value=None, low=None, high=None), None),
    ],
)
def test_a_bound_falls_where_not_even_the_low_end_is_within_it(found, holds):
    assert found.holds is holds


def test_numbers_that_json_has_none_of_are_null():
    content = attack(value=math.inf, high=math.nan).to_json()
    assert content["value"] is None and content["high"] is None and content["low"] == 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"value": "1"},
        {"value": True},
        {"value": 10**400},
        {"name": None},
        {"details": []},
        {"holds": False},
        {"more": 1},
    ],
)
def test_another_content_is_refused(change):
    with pytest.raises(ConfigError, match="expected"):
        Attack.from_json({**attack().to_json(), **change}, "a file")


def test_audit_json_there_and_back(tmp_path):
    nothing = replace(attack(), name="another", low=None, value=None, high=None, why="nothing took part")
    audit = Audit(3, True, "ab", (attack(), nothing))
    assert read_audit(tmp_path) is None
    assert write_audit(tmp_path / "new", audit) == tmp_path / "new" / FILE_NAME
    assert read_audit(tmp_path / "new") == audit
    assert (tmp_path / "new" / FILE_NAME).stat().st_mode & 0o077 == 0
    told = '"seed": 1, "weights_sha256": null'
    for damaged in ("{}", f'{{{told}, "quick": 1, "attacks": []}}', f'{{{told}, "quick": true, "attacks": [3]}}'):
        (tmp_path / FILE_NAME).write_text(damaged)
        with pytest.raises(ConfigError, match=FILE_NAME):
            read_audit(tmp_path)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_of_the_table_is_there(name):
    assert callable(attack_of(name)) and ATTACKS[name].about


def test_an_unknown_attack_is_refused():
    with pytest.raises(ConfigError, match="--attacks: expected one of"):
        attack_of("wishing")
