"""Doors: names, objects and entry points lead to kinds; settings lie beside the name that chooses them."""

from abc import ABC, abstractmethod
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
        found = "a Kind named 'shout'" if attribute == "SHOUT" else "str"
        with pytest.raises(ConfigError, match=f"{name} of .*: expected a Kind of that name, found {found}$"):
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


def make_nothing(settings):
    return None


def make_badly(settings):
    return {}["what somebody wrote"]


@pytest.fixture
def broken_package(monkeypatch):
    """A package whose kind cannot be imported, and one that takes the name of one of ours."""
    points = [
        EntryPoint("broken", "no_such_package.kinds:KIND", "typefleet.test_greetings"),
        EntryPoint("gone", f"{__name__}:NO_SUCH_KIND", "typefleet.test_greetings"),
        EntryPoint("built-in", f"{__name__}:SHOUT", "typefleet.test_greetings"),
    ]
    monkeypatch.setattr(doors, "_all_entry_points", lambda: EntryPoints(points))


def test_a_broken_entry_point_is_said_where_it_is_chosen_and_harms_nobody_else(door, broken_package):
    with pytest.raises(ConfigError) as refused:
        door.kind("broken")
    assert str(refused.value) == (
        "typefleet.test_greetings: broken of the package no_such_package.kinds: expected no_such_package.kinds:KIND to "
        "be there, found ModuleNotFoundError: No module named 'no_such_package'"
    )
    with pytest.raises(ConfigError, match=r"gone of .*: expected .*:NO_SUCH_KIND to be there, found AttributeError"):
        door.kind("gone")
    assert list(door.kinds()) == [BUILT_IN] and "broken" in door.names


def test_an_entry_point_with_the_name_of_ours_is_said(door, broken_package, caplog):
    assert door.kind("built-in") is BUILT_IN and door.kind("built-in") is BUILT_IN
    (said,) = caplog.messages
    assert said.startswith("typefleet.test_greetings: built-in of the package ")
    assert said.endswith("expected a name that is free, found Typefleet's own, which is used instead")


@dataclass(frozen=True)
class WithoutDefault(KindSettings):
    volume: int


class Undecorated(KindSettings):
    volume: int = 3


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (5, "^greeting: expected a Kind, found int"),
        (Kind("", "", make=make_nothing), "^greeting '': expected a name of lower-case letters"),
        (Kind("My Opt!", "", make=make_nothing), "^greeting 'My Opt!': expected a name of lower-case letters"),
        (Kind(5, "", make=make_nothing), "^greeting 5: expected a name of lower-case letters"),
        (Kind("mine", "", make=None), "^greeting 'mine': expected a make that can be called, found NoneType"),
        (Kind("mine", "", make_nothing, settings=dict), "expected settings that are a subclass of KindSettings"),
        (Kind("mine", "", make_nothing, settings=WithoutDefault), "expected settings that all have a default, found"),
        (Kind("mine", "", make_nothing, settings=Undecorated), "expected settings that are a dataclass, found Undec"),
    ],
)
def test_what_is_no_usable_kind_is_not_let_in(door, kind, message):
    with pytest.raises(ConfigError, match=message):
        door.register(kind)
    assert door.names == ("built-in",)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (make_nothing, "an object with upper, found NoneType without upper"),
        (lambda settings: 5, "an object with upper, found int without upper"),
        (lambda settings: str, "an object with upper, found the class str itself; hand in an object of it"),
        (make_badly, r"a part that its make gives, found KeyError at test_doors\.py:\d+"),
    ],
)
def test_what_a_kind_makes_is_a_part_of_the_family(make, found):
    door = Door("greeting", "typefleet.test_greetings", {}, needs=("upper",))
    kind = Kind("mine", "", make=make)
    with pytest.raises(ConfigError, match=f"^greeting 'mine': expected {found}$"):
        door.made(kind, KindSettings())
    assert door.made(SHOUT, Loud(2)) == "!!"


class Abstract(ABC):
    @abstractmethod
    def upper(self):
        """Is missing."""


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda: "", r".*lambda>\(\) takes 0 positional arguments but 1 was given"),
        (lambda settings, facts: "", ".*missing 1 required positional argument: 'facts'"),
        (type("Half", (Abstract,), {"__init__": lambda self, settings: None}), ".*abstract class Half.* upper"),
        (lambda settings: "" + 5, r"TypeError at test_doors\.py:\d+"),
    ],
)
def test_a_make_that_cannot_be_called_so_is_told_what_is_missing(make, found):
    door = Door("greeting", "typefleet.greetings", {}, needs=("upper",))
    with pytest.raises(ConfigError, match=f"^greeting 'mine': expected a .*, found {found}$"):
        door.made(Kind("mine", "", make=make), KindSettings())


def test_settings_with_names_of_the_section_are_refused(door):
    @dataclass(frozen=True)
    class Clashing(KindSettings):
        learning_rate: float = 0.1

    @dataclass(frozen=True)
    class Config:
        learning_rate: float = 1.0
        greeting: str = "mine"
        settings: Annotated[KindSettings, SettingsOf("greeting", door)] = KindSettings()

    globals()["door"] = door
    door.register(Kind("mine", "", make=make_nothing, settings=Clashing))
    message = "greeting 'mine': expected settings with names that Config has not, found learning_rate"
    with pytest.raises(ConfigError, match=message):
        chosen(Config(), "greeting")
