"""What a ledger has of a mechanism is enough, and is never read as another one."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from server_strategy.privacy.mechanisms.base import Horizon, MechanismKind
from server_strategy.privacy.mechanisms.blt import BufferedToeplitzNoise
from server_strategy.privacy.mechanisms.door import MECHANISMS
from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from server_strategy.privacy.mechanisms.record import kind_of, made, on_record, parameters_of, require_usable
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError, InputError, UnknownKindError

HORIZON = Horizon(5, 1, 5)


@dataclass(frozen=True)
class Scaled(IndependentNoise):
    """Independent noise of another scale; nobody registered it."""

    scales: tuple[tuple[float, ...], ...] = ((2.0, 1.0),)
    name = "scaled"


class WithParameters(IndependentNoise):
    name = "with-parameters"

    def __init__(self, half):
        object.__setattr__(self, "half", half)

    def parameters(self):
        return {"twice": 2 * self.half}


def test_parameters_are_the_fields_as_json_has_them():
    assert parameters_of(Scaled()) == {"scales": [[2.0, 1.0]]}
    assert parameters_of(IndependentNoise()) == {}
    assert parameters_of(WithParameters(1.5)) == {"twice": 3.0}


def test_a_registered_kind_rebuilds_from_fields_or_as_it_says():
    with pytest.raises(UnknownKindError):
        on_record("scaled", {"scales": [[3.0]]})
    with MECHANISMS.lend(MechanismKind("scaled", "", make=lambda settings, horizon: Scaled(), makes=Scaled)):
        assert on_record("scaled", {"scales": [[3.0]]}) == Scaled(((3.0,),))
    own_way = MechanismKind(
        "with-parameters",
        "",
        make=lambda settings, horizon: WithParameters(1.0),
        makes=WithParameters,
        rebuild=lambda parameters: WithParameters(parameters["twice"] / 2),
    )
    with MECHANISMS.lend(own_way):
        assert on_record("with-parameters", {"twice": 5.0}).half == 2.5


@pytest.mark.parametrize("parameters", [{"rounds": 3}, {"round": 3, "buffer_decay": [], "output_scale": []}, None])
def test_parameters_of_something_else_are_refused(parameters):
    with pytest.raises(ConfigError, match="mechanism 'blt': expected its parameters on record"):
        on_record("blt", parameters)


def test_one_that_nobody_registered_must_be_at_hand_and_the_very_one():
    assert on_record("scaled", parameters_of(Scaled()), at_hand=Scaled()) == Scaled()
    with pytest.raises(UnknownKindError, match="found 'scaled'"):
        on_record("scaled", parameters_of(Scaled()))
    for name, parameters in (("scaled", {"scales": [[9.0]]}), ("gaussian", {})):
        with pytest.raises(ConfigError, match=f"mechanism: expected '{name}' with parameters"):
            on_record(name, parameters, at_hand=Scaled())


def test_an_object_of_a_registered_kind_is_one_of_it():
    own = BufferedToeplitzNoise(9, (0.9,), (0.2,))
    require_usable(own, HORIZON)
    assert kind_of(own).name == "blt"
    assert on_record("blt", parameters_of(own), at_hand=IndependentNoise()) == own
    assert kind_of(Scaled()) is None


class Bare:
    name, description, independent = "bare", "", True


@dataclass(frozen=True)
class OfArrays(IndependentNoise):
    name = "of-arrays"
    column: np.ndarray = field(default_factory=lambda: np.ones(2))


@dataclass(frozen=True)
class OfInfinities(IndependentNoise):
    name = "of-infinities"
    scale: float = float("inf")


@dataclass(frozen=True)
class Impostor(IndependentNoise):
    """Has the name of a cheaper mechanism."""


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        (
            Bare(),
            "expected an object with name, description, .* found Bare without sensitivity_squared, sum_errors,",
        ),
        (OfArrays(), "mechanism 'of-arrays': expected parameters that JSON knows, for the ledger"),
        (OfInfinities(), "mechanism 'of-infinities': expected parameters that JSON knows, for the ledger"),
        (Impostor(), "mechanism 'gaussian': expected a name of its own, found Impostor, which is not what that name"),
    ],
)
def test_what_cannot_be_put_on_record_is_refused(mechanism, message):
    with pytest.raises(ConfigError, match=message):
        require_usable(mechanism, HORIZON)


def test_a_class_that_says_nothing_of_its_parameters_is_refused():
    class Silent:
        name, description, independent, vectors_of_memory = "silent", "", True, 0
        sensitivity_squared = sum_errors = stream = IndependentNoise.sensitivity_squared

    with pytest.raises(ConfigError, match=r"mechanism 'silent': expected a dataclass or parameters\(\)"):
        require_usable(Silent(), HORIZON)


def test_what_a_kind_cannot_make_is_said_of_it():
    def fail(settings, horizon):
        raise ValueError("no luck")

    luckless = MechanismKind("luckless", "", make=fail, makes=Scaled)
    with MECHANISMS.lend(luckless), pytest.raises(InputError, match="mechanism 'luckless': no luck"):
        made("luckless", KindSettings(), HORIZON)
