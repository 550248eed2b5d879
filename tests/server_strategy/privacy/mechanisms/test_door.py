"""The door: names lead to kinds that can be put on record."""

import pytest

from server_strategy.privacy.mechanisms.base import MechanismKind
from server_strategy.privacy.mechanisms.door import MECHANISMS, mechanism_kind, private_mechanisms
from typefleet.doors import Kind
from typefleet.errors import ConfigError, UnknownKindError


@pytest.mark.parametrize("name", MECHANISMS.names)
def test_every_built_in_kind_is_one_and_is_drawn(name):
    kind = mechanism_kind(name)
    assert isinstance(kind, MechanismKind) and kind.name == name and kind.style is not None
    assert kind.makes is None or (kind.makes.name, kind.makes.description) == (name, kind.description)
    assert (name in private_mechanisms()) == (name != "none")


def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownKindError, match="noise mechanism: expected one of gaussian, tree, banded, blt, none"):
        mechanism_kind("laplace")


def test_a_kind_that_does_not_say_how_it_is_put_on_record_is_refused():
    plain = Kind("plain", "", make=lambda settings, horizon: None)
    with (
        MECHANISMS.lend(plain),
        pytest.raises(ConfigError, match=r"typefleet\.mechanisms: plain: expected a MechanismKind, found Kind"),
    ):
        mechanism_kind("plain")
