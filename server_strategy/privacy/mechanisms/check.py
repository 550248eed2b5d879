"""Whether somebody's mechanism keeps what it says, found out on a few numbers before a run begins with it.

The cost on record, rho = s^2 / (2 z^2) with the squared sensitivity s^2, is that of noise which is linear in the draws.
Its first n releases are then B g with standard normal g, of covariance S = B B'. A phone that moves release t by a
vector u_t of norm 1 or less, in the releases of its schedule, costs sum_(t, t') (S^-1)_(t, t') <u_t, u_t'> / (2 z^2)
and no less (Gaussian mechanism; zCDP as in Bun and Steinke, arXiv:1605.02658, Lemma 2.3). So each schedule with each
choice of signs is a bound from below on s^2: a mechanism that claims less is refused, and none that claims enough is.

It is no proof: schedules and runs that are longer than what is tried here rest on the word of whoever wrote it.

| symbol | here |
|---|---|
| n, m | releases that are tried, draws that they take |
| B | matrix, float64 [n, m] |
| S | covariance, float64 [n, n] |
"""

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from server_strategy.privacy.mechanisms.base import Horizon, Mechanism, NoiseStream, Vector, as_sensitivity
from typefleet.errors import ConfigError, expected
from typefleet.own_parts import calling

_EVERY_SCHEDULE = 6  # releases of which all schedules are tried
_MOST_RELEASES = 64  # of which evenly spaced schedules are tried
_COORDINATES = 3  # of the vectors whose noise is compared
_TOLERANCE = 1e-6  # of sums that are taken in another order
_OF_SUMS = 0.01  # by which a variance that is shown to people may be off

Place = tuple[int, int]  # release, and which of its draws
Numbers = Mapping[Place, Vector]


def check_mechanism(mechanism: Mechanism, horizon: Horizon) -> None:
    """Try a mechanism that is not ours on a few numbers.

    Args:
        mechanism: with all that `Mechanism` asks for.
        horizon: of the run.

    Raises:
        ConfigError: its noise is no linear function of its draws, does not go on from its own state, or is another than
            it says; or its sensitivity is less than that of its noise, or falls. The message begins with
            `mechanism NAME:`.
    """
    where = f"mechanism {mechanism.name!r}"
    releases = min(horizon.rounds, _MOST_RELEASES)
    with calling(where, "noise of its stream"):
        matrix = _matrix(where, mechanism, releases)
    covariance = matrix @ matrix.T
    factor = _cholesky(where, covariance)
    shared = np.abs(covariance - np.diag(np.diag(covariance))).max()
    if mechanism.independent and shared > _TOLERANCE * covariance.max():
        raise ConfigError(expected(where, "noise that is drawn anew in each release", "releases that share some"))
    _check_sums(where, mechanism, covariance)
    few = min(releases, _EVERY_SCHEDULE)
    _check_every_schedule(where, mechanism, factor[:few, :few])
    _check_long_schedules(where, mechanism, factor, horizon)


# Noise ------------------------------------------------------------------------------------------


def _matrix(where: str, mechanism: Mechanism, releases: int) -> NDArray[np.float64]:
    """B [n, m], of a stream that is found to be linear, to repeat itself and to go on from its state."""
    rng = np.random.default_rng(0)
    drawn: dict[Place, Vector] = {}

    def draw_anew(place: Place) -> Vector:
        return drawn.setdefault(place, rng.standard_normal(_COORDINATES))

    found = _noise_of(where, mechanism.stream(), range(releases), draw_anew, _COORDINATES)  # [n, coordinates]
    again = _noise_of(where, mechanism.stream(), range(releases), drawn.__getitem__, _COORDINATES)
    if not np.array_equal(found, again):
        raise ConfigError(expected(where, "the same noise of the same draws", "another"))
    _check_state(where, mechanism, drawn, again)
    units = dict(zip(drawn, np.eye(len(drawn)), strict=True))
    matrix = _noise_of(where, mechanism.stream(), range(releases), units.__getitem__, len(units))
    linear = matrix @ np.reshape(list(drawn.values()), (-1, _COORDINATES))
    if not np.allclose(found, linear, rtol=_TOLERANCE, atol=_TOLERANCE * np.abs(found).max()):
        what = "noise that is a sum of its draws, each times a number, as the cost of Gaussian noise supposes"
        raise ConfigError(expected(where, what, "other noise"))
    return matrix


def _noise_of(
    where: str, stream: NoiseStream, releases: range, drawn: Callable[[Place], Vector], size: int
) -> NDArray[np.float64]:
    """Noise of some releases: float64 [releases, size]."""
    noise = []
    for release in releases:

        def draw(number: int, release: int = release) -> Vector:
            return drawn((release, number)).copy()

        one = stream.next(draw)
        if not isinstance(one, np.ndarray) or one.dtype != np.float64 or one.shape != (size,):
            found = f"{getattr(one, 'dtype', type(one).__name__)} {list(np.shape(one))}"
            raise ConfigError(expected(where, f"noise of its stream as float64 {[size]}", found))
        if not np.isfinite(one).all():
            raise ConfigError(expected(where, "noise of its stream that is finite", "NaN or infinite numbers"))
        noise.append(one.copy())
    return np.array(noise)


def _check_state(where: str, mechanism: Mechanism, drawn: Numbers, found: NDArray[np.float64]) -> None:
    """Refuse a stream that a resumed run could not go on with: half the releases, another stream from its state."""
    half, first, second = len(found) // 2, mechanism.stream(), mechanism.stream()
    _noise_of(where, first, range(half), drawn.__getitem__, _COORDINATES)
    state = first.state()
    if not isinstance(state, Mapping) or not all(isinstance(value, np.ndarray) for value in state.values()):
        raise ConfigError(expected(where, "a state of arrays by name", type(state).__name__))
    second.load_state({name: value.copy() for name, value in state.items()})
    rest = _noise_of(where, second, range(half, len(found)), drawn.__getitem__, _COORDINATES)
    if not np.array_equal(rest, found[half:]):
        raise ConfigError(expected(where, "a stream that goes on from its state with the same noise", "other noise"))


def _cholesky(where: str, covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """L [n, n] with S = L L', lower triangular, so that its first rows and columns are those of fewer releases."""
    try:
        factor: NDArray[np.float64] = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(covariance)
    if np.diag(factor).min() <= _TOLERANCE * np.sqrt(np.diag(covariance).max()):
        what = "noise that protects each release, whatever is known of the others"
        raise ConfigError(expected(where, what, "releases whose noise the others tell, or that have none"))
    return factor


def _check_sums(where: str, mechanism: Mechanism, covariance: NDArray[np.float64]) -> None:
    releases = len(covariance)
    sums = np.tri(releases)
    true = np.diag(sums @ covariance @ sums.T)
    with calling(where, "variances of the noise in its sums"):
        said = np.asarray(mechanism.sum_errors(releases), np.float64)
    if said.shape != true.shape:
        what = f"variances of the noise in its sums as float64 {[releases]}"
        raise ConfigError(expected(where, what, f"float64 {list(said.shape)}"))
    off = np.flatnonzero(~(np.abs(said - true) <= _OF_SUMS * true))
    if len(off):
        after = f"after {off[0] + 1} release{'s' if off[0] else ''}"
        what = f"{true[off[0]]:.6g} as the variance of the noise in its sum {after}, as its stream has it"
        raise ConfigError(expected(where, what, f"{said[off[0]]:.6g}"))


# Sensitivity ------------------------------------------------------------------------------------


def _check_every_schedule(where: str, mechanism: Mechanism, factor: NDArray[np.float64]) -> None:
    """Hold what is claimed for a few releases to the costliest schedule of each length, separation and count."""
    releases = len(factor)
    moves = np.array(list(itertools.product((0, 1, -1), repeat=releases)), np.float64)[1:]  # [schedules and signs, n]
    whitened = scipy.linalg.solve_triangular(factor, moves.T, lower=True)  # [n, schedules and signs]
    costs = np.cumsum(whitened**2, axis=0)  # of the first releases alone, which later ones do not change
    counts = np.abs(moves).sum(1)
    apart = np.array([np.diff(np.flatnonzero(move)).min(initial=releases) for move in moves])
    for separation, most in itertools.product(range(1, releases + 1), sorted({1, min(2, releases), releases})):
        allowed = (apart >= separation) & (counts <= most)
        before = 0.0
        for made in range(1, releases + 1):
            worst = int(np.argmax(np.where(allowed, costs[made - 1], 0)))
            said = _said(where, mechanism, made, separation, most)
            if said is None:
                break
            _hold(where, said, float(costs[made - 1, worst]), np.flatnonzero(moves[worst, :made]), made)
            if said < before * (1 - _TOLERANCE):
                what = f"a squared sensitivity that does not fall from {made - 1} releases to {made}"
                raise ConfigError(expected(where, what, f"{before:.9g}, then {said:.9g}"))
            before = said


def _check_long_schedules(where: str, mechanism: Mechanism, factor: NDArray[np.float64], horizon: Horizon) -> None:
    """Hold what is claimed for the run, or its first releases, to phones that take part as often as they may."""
    releases, separation, most = len(factor), horizon.min_separation_rounds, horizon.max_participations
    said = _said(where, mechanism, releases, separation, most)
    if said is None:
        return
    moves = np.zeros((min(separation, releases), releases))
    for begin, move in enumerate(moves):
        move[begin::separation][:most] = 1
    costs = (scipy.linalg.solve_triangular(factor, moves.T, lower=True) ** 2).sum(0)
    worst = int(np.argmax(costs))
    _hold(where, said, float(costs[worst]), np.flatnonzero(moves[worst]), releases)


def _said(where: str, mechanism: Mechanism, releases: int, separation: int, most: int) -> float | None:
    """The claimed squared sensitivity; None: the mechanism says that it does not know."""
    with calling(where, "a squared sensitivity"):
        try:
            found = mechanism.sensitivity_squared(releases, separation, most)
        except ValueError:
            return None
    return as_sensitivity(where, found)


def _hold(where: str, said: float, least: float, schedule: NDArray[np.int64], releases: int) -> None:
    if said < least * (1 - _TOLERANCE):
        rounds = ", ".join(str(round_ + 1) for round_ in schedule[:4]) + (", ..." if len(schedule) > 4 else "")
        what = f"a squared sensitivity of {least:.9g} or more over {releases} releases (a phone in {rounds})"
        raise ConfigError(expected(where, what, f"{said:.9g}, which its noise does not keep"))
