"""A mechanism that is not ours is tried before a run: one that does not keep what it says is refused, ours are not."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server_strategy.config import CohortConfig
from server_strategy.privacy import toeplitz
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.mechanisms.base import Horizon, MechanismKind
from server_strategy.privacy.mechanisms.check import check_mechanism
from server_strategy.privacy.mechanisms.door import MECHANISMS
from server_strategy.privacy.mechanisms.record import made
from server_strategy.privacy.planning import make_privacy_plan
from tests.server_strategy.privacy.mechanisms.dense import make
from tests.server_strategy.privacy.mechanisms.test_every_kind import CASES
from typefleet.doors import KindSettings
from typefleet.errors import ConfigError

HORIZON = Horizon(12, 3, 4)


@dataclass(frozen=True)
class Geometric:
    """C is Toeplitz with coefficients 1, r, r^2, ...: a release takes back a share of the last draw."""

    share: float = 0.5
    name, description, independent, vectors_of_memory = "geometric", "a share is taken back", False, 1

    def column(self, releases):
        return self.share ** np.arange(releases)

    def sensitivity_squared(self, releases, min_separation, max_participations):
        return toeplitz.sensitivity_squared(self.column(releases), releases, min_separation, max_participations)

    def sum_errors(self, releases):
        return toeplitz.sum_errors(toeplitz.inverse_coefficients(self.column(releases), releases))

    def stream(self):
        return Stream(self)


class Stream:
    def __init__(self, mechanism):
        self.mechanism, self.kept = mechanism, {}

    def next(self, draw):
        new = draw(0)
        noise = new - self.mechanism.share * self.kept.get("last", 0)
        self.kept = {"last": new}
        return noise

    def state(self):
        return self.kept

    def load_state(self, state):
        self.kept = dict(state)


def of_stream(noise):
    """A mechanism that says of itself what Geometric does, and whose noise is another: noise(stream, draw)."""

    class Other(Geometric):
        def stream(self):
            return type("OtherStream", (Stream,), {"next": noise})(self)

    return Other()


def claiming(cost):
    """A mechanism with the noise of Geometric that says of its cost what `cost` makes of the true one."""

    class Claiming(Geometric):
        def sensitivity_squared(self, *schedule):
            return cost(super().sensitivity_squared(*schedule), *schedule)

    return Claiming()


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(CASES), st.integers(1, 70), st.integers(1, 9), st.integers(1, 5))
def test_none_of_ours_would_be_refused(case, rounds, separation, most):
    name, setting = case
    horizon = Horizon.planned(rounds, separation, most)
    mechanism = make(name, **setting, rounds=rounds, b=separation, k=horizon.max_participations)
    check_mechanism(mechanism, horizon)


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 0.95), st.integers(1, 70), st.integers(1, 9), st.floats(1, 3))
def test_a_right_one_is_not_refused_nor_is_one_that_claims_more(share, rounds, separation, more):
    horizon = Horizon.planned(rounds, separation)
    check_mechanism(Geometric(share), horizon)

    class Careful(Geometric):
        def sensitivity_squared(self, *schedule):
            return more * super().sensitivity_squared(*schedule)

    check_mechanism(Careful(share), horizon)


def test_one_that_does_not_know_some_costs_is_not_refused_for_it():
    def of_one_participation(true, releases, separation, most):
        if most > 1 and releases > separation:
            raise ValueError("known for one participation")
        return true

    check_mechanism(claiming(of_one_participation), HORIZON)
    check_mechanism(claiming(of_one_participation), Horizon(12, 12, 1))


def laplace(self, draw):
    return np.sign(draw(0)) * draw(1) ** 2


def its_own(self, draw):
    return np.random.default_rng().standard_normal(draw(0).shape)


def mixed(self, draw):
    return np.roll(draw(0), 1)


def shared(self, draw):
    self.kept = self.kept or {"last": draw(0)}
    return self.kept["last"].copy()


FORGETFUL = type("Forgetful", (Geometric,), {})()
type(FORGETFUL).stream = lambda self: type("Fresh", (Stream,), {"state": lambda stream: {}})(self)
INDEPENDENT = type("Independent", (Geometric,), {"independent": True})()
INDEPENDENT_AND_SMALL = of_stream(lambda stream, draw: 1e-4 * Stream.next(stream, draw))
type(INDEPENDENT_AND_SMALL).independent = True
TWO_DRAWS = of_stream(lambda stream, draw: (draw(0) + draw(1)) / np.sqrt(2))
LIST_STATE = type("Listed", (Geometric,), {})()
type(LIST_STATE).stream = lambda self: type("Listing", (Stream,), {"state": lambda stream: [1]})(self)


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        (claiming(lambda true, *_: true / 100), "a squared sensitivity of 1 or more over 1 releases (a phone in 1),"),
        (
            claiming(lambda true, *_: 1.0),
            "a squared sensitivity of 1.25 or more over 2 releases (a phone in 1), found 1",
        ),
        (
            claiming(lambda true, n, *_: true * (1 - 2e-6 * (n > 1))),
            "a squared sensitivity of 1.25 or more over 2 releases (a phone in 1), found 1.2499975, which",
        ),
        # each participation counted as if it stood alone, which is what one forgets of correlated noise
        (
            claiming(lambda true, n, b, k: min(k, -(-n // b)) * Geometric().sensitivity_squared(n, n, 1)),
            "or more over 2 releases (a phone in 1, 2), found 2.5, which its noise does not keep",
        ),
        # one participation too few where the last begins a separation
        (
            claiming(lambda true, n, b, k: Geometric().sensitivity_squared(n, b, max(1, min(k, n // b)))),
            "over 3 releases (a phone in 1, 3), found",
        ),
        (claiming(lambda true, n, *_: 100 / n), "a squared sensitivity that does not fall from 1 releases to 2"),
        (claiming(lambda *_: float("nan")), "a squared sensitivity > 0, found nan"),
        (claiming(lambda *_: "much"), "a squared sensitivity > 0, found str"),
        (claiming(lambda *_: 10**400), "a squared sensitivity > 0, found int"),
        (claiming(lambda *_: [][1]), "a squared sensitivity, found IndexError at test_check.py:"),
        (of_stream(lambda stream, draw: 0 * draw(0)), "noise that protects each release, whatever is known of"),
        (of_stream(shared), "noise that protects each release, whatever is known of the others, found"),
        (of_stream(lambda stream, draw: 0.1 * Stream.next(stream, draw)), "0.01 as the variance of the noise in its"),
        (of_stream(laplace), "noise that is a sum of its draws, each times a number"),
        (of_stream(lambda *given: 1e-7 * laplace(*given)), "noise that is a sum of its draws, each times a number"),
        (of_stream(mixed), "noise that is a sum of its draws, each times a number"),
        (of_stream(its_own), "the same noise of the same draws, found another"),
        (
            of_stream(lambda stream, draw: draw(0).astype(np.float32)),
            "noise of its stream as float64 [3], found float32",
        ),
        (of_stream(lambda stream, draw: draw(0)[:1]), "noise of its stream as float64 [3], found float64 [1]"),
        (of_stream(lambda stream, draw: draw(0) * np.inf), "noise of its stream that is finite"),
        (of_stream(lambda stream, draw: [][1]), "noise of its stream, found IndexError at test_check.py:"),
        (FORGETFUL, "a stream that goes on from its state with the same noise, found other noise"),
        (LIST_STATE, "a state of arrays by name, found list"),
        (INDEPENDENT, "noise that is drawn anew in each release, found releases that share some"),
        (INDEPENDENT_AND_SMALL, "noise that is drawn anew in each release, found releases that share some"),
        (TWO_DRAWS, "2 as the variance of the noise in its sum after 2 releases, as its stream has it, found 1.25"),
        (
            type("NoSums", (Geometric,), {"sum_errors": lambda self, n: np.ones(n + 1)})(),
            "float64 [12], found float64 [13]",
        ),
    ],
)
def test_one_that_does_not_keep_what_it_says_is_refused(mechanism, message):
    with pytest.raises(ConfigError) as refused:
        check_mechanism(mechanism, HORIZON)
    assert str(refused.value).startswith("mechanism 'geometric': expected ") and message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_two_draws_a_release_are_as_good_as_one():
    class TwoDraws(Geometric):
        def sensitivity_squared(self, releases, min_separation, max_participations):
            return float(min(max_participations, -(-releases // min_separation)))

        def sum_errors(self, releases):
            return np.arange(1.0, releases + 1)

        def stream(self):
            return TWO_DRAWS.stream()

    check_mechanism(TwoDraws(), HORIZON)


def test_a_longer_run_is_held_to_its_own_separation():
    """Beyond the few releases of which every schedule is tried, by phones that take part as often as they may."""

    def at_most_two(true, releases, separation, most):
        return Geometric().sensitivity_squared(releases, separation, min(most, 2))

    with pytest.raises(ConfigError, match=r"over 3 releases \(a phone in 1, 2, 3\)"):
        check_mechanism(claiming(at_most_two), HORIZON)

    def wrong_from_ten(true, releases, separation, most):
        return true if releases < 10 else Geometric().sensitivity_squared(releases, separation, min(most, 2))

    with pytest.raises(ConfigError, match=r"over 12 releases \(a phone in 1, 4, 7, 10\)"):
        check_mechanism(claiming(wrong_from_ten), HORIZON)


def test_what_raises_beyond_what_is_tried_is_said_in_one_line():
    def from_a_hundred(true, releases, *_):
        return true if releases < 100 else [][1]

    with pytest.raises(
        ConfigError, match=r"^mechanism 'geometric': .*a squared sensitivity, found IndexError at test_"
    ):
        make_privacy_plan(
            CohortConfig(goal=8),
            PrivacyConfig(noise_multiplier=1.0),
            rounds=120,
            num_phones=40,
            mechanism=claiming(from_a_hundred),
        )


def test_a_run_and_a_plan_refuse_it_by_object_and_by_name():
    liar = claiming(lambda true, *_: true / 100)
    message = "mechanism 'geometric': expected a squared sensitivity of 1 or more"
    with pytest.raises(ConfigError, match=message):
        make_privacy_plan(
            CohortConfig(goal=8), PrivacyConfig(noise_multiplier=1.0), rounds=3, num_phones=40, mechanism=liar
        )
    kind = MechanismKind("geometric", "", make=lambda settings, horizon: liar, makes=type(liar))
    with MECHANISMS.lend(kind), pytest.raises(ConfigError, match=message):
        made("geometric", KindSettings(), HORIZON)
