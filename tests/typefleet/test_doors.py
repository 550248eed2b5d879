"""Doors: names, objects and entry points lead to kinds; settings lie beside the name that chooses them."""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from typing import Annotated

import pytest

from typefleet import doors
from typefleet.doors import Door, Kind, KindSettings, SettingsOf, chosen
from typefleet.errors import ConfigError, TypefleetError, UnknownKindError


@dataclass(frozen=True)
class Loud(KindSettings):
    volume: int = 3


SHOUT = Kind("shout", "as loud as asked", make=lambda settings: "!" * settings.volume, settings=Loud)
NOT_A_KIND = "shout"


@pytest.fixture
def door():
    return Door("greeting", "typefleet.test_greetings", {"built-in": f"{__name__}:BUILT_IN"})


BUILT_IN = Kind("built-in", "the usual one", make=lambda settings: "hello")


def test_built_in_and_registered_kinds_are_found(door):
    door.register(SHOUT)
    assert door.names == ("built-in", "shout")
    assert door.kind("built-in") is BUILT_IN
    assert door.kind("shout").make(Loud(2)) == "!!"


def test_a_name_is_given_once(door):
    door.register(SHOUT)
    door.register(SHOUT)
    for kind in (Kind("shout", "another", make=lambda settings: ""), Kind("built-in", "", make=lambda settings: "")):
        with pytest.raises(ConfigError, match="expected a name that is free, found it taken"):
            door.register(kind)


def test_an_unknown_name_is_refused_with_a_suggestion(door):
    with pytest.raises(UnknownKindError, match=r"^greeting: expected one of built-in, found 'bulit-in'; did you mean"):
        door.kind("bulit-in")
    assert issubclass(UnknownKindError, TypefleetError)


@pytest.mark.parametrize(
    ("attribute", "name", "fits"),
    [("SHOUT", "shout", True), ("SHOUT", "whisper", False), ("NOT_A_KIND", "shout", False)],
)
def test_an_installed_package_lets_its_kind_in(door, monkeypatch, attribute, name, fits):
    points = EntryPoints([EntryPoint(name, f"{__name__}:{attribute}", "typefleet.test_greetings")])
    monkeypatch.setattr(doors, "_all_entry_points", lambda: points)
    assert name in door.names
    if fits:
        assert door.kind(name) is SHOUT
    else:
        with pytest.raises(ConfigError, match=f"{name}: expected a Kind of that name"):
            door.kind(name)


def test_a_lent_kind_is_there_for_as_long_as_it_is_lent(door):
    with door.lend(SHOUT):
        assert door.kind("shout") is SHOUT and not door.every_process_finds("shout")
        with door.lend(SHOUT):
            pass
        assert "shout" in door.names  # who lent it first still does
        with pytest.raises(ConfigError, match="found it taken"), door.lend(Kind("shout", "", make=lambda _: "")):
            pass
    assert door.names == door.built_in == ("built-in",)
    with pytest.raises(UnknownKindError):
        door.kind("shout")


def test_what_an_installed_package_brings_is_found_by_every_process_and_hidden_by_nobody(door, monkeypatch):
    points = EntryPoints([EntryPoint("shout", f"{__name__}:SHOUT", "typefleet.test_greetings")])
    monkeypatch.setattr(doors, "_all_entry_points", lambda: points)
    assert door.every_process_finds("shout") and door.every_process_finds("built-in")
    with pytest.raises(ConfigError, match="found it taken"):
        door.register(Kind("shout", "another", make=lambda settings: ""))
    door.register(SHOUT)
    assert door.kind("shout") is SHOUT and door.built_in == ("built-in",)


def test_settings_are_the_kinds_defaults_or_those_given(door):
    door.register(SHOUT)

    @dataclass(frozen=True)
    class Config:
        greeting: str = "shout"
        settings: Annotated[KindSettings, SettingsOf("greeting", door)] = KindSettings()

    globals()["door"] = door
    assert chosen(Config(), "greeting") == (SHOUT, Loud(3))
    assert chosen(Config(settings=Loud(7)), "greeting") == (SHOUT, Loud(7))
    with pytest.raises(ConfigError, match="expected KindSettings with greeting 'built-in', found Loud"):
        chosen(Config("built-in", Loud(7)), "greeting")
