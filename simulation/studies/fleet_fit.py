"""Fit the built-in model of availability to a trace.

The parts are fitted one after another, each to the figures that it decides, by simulating a fleet that
is observed as the trace's devices were (`fleet_statistics`), with the same random numbers every time:

1. best hours of two clusters of phones and the night/day ratio, to the hourly curve (in closed form:
   the model's curve is a mixture of von Mises curves);
2. session lengths and re-entry, to the distribution of session lengths and the chances to stay and return;
3. the phones' shares, to the mean share, the share of phones never eligible, and the quantiles of shares.

2 and 3 lean on each other, so they are repeated. The search is Nelder and Mead's, on differences in units
of what is tolerable.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import scipy  # its parts are imported when they are first used
from numpy.typing import NDArray

from client_model.metrics.intervals import CONFIDENCE, Interval, over_seeds
from simulation.studies.fleet_statistics import FleetStatistics, Looks, look_at_model, statistics
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.model import AvailabilityModel, Habits
from simulation.world.config import FleetConfig
from simulation.world.traces.trace import Trace, TraceError
from typefleet.errors import expected
from typefleet.steps import step

_PHONES = 6000  # simulated, at least, for each step of the search
_CHECK_PHONES = 20_000
_STEPS = (90, 60)  # of each search, the first time and the second
_ONE_CLOCK = FleetConfig(utc_offsets_h=(0.0,), utc_offset_weights=(1.0,))  # a fit sees local times only
_CURVE = "hourly curve, mean absolute error"
_SPREAD = 0.4  # of the search's first points: all parameters are logarithms or log-odds


@dataclass(frozen=True)
class Comparison:
    """One figure beside what was observed."""

    name: str
    observed: float
    simulated: float
    unit: str
    tolerance: float | None  # in the unit, or a share of the observed if relative; None: for information
    relative: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the simulated figure is close enough."""
        if self.tolerance is None:
            return None
        scale = abs(self.observed) if self.relative else 1.0
        return abs(self.simulated - self.observed) <= self.tolerance * scale + 1e-9


def fit_fleet(observed: Looks, say: Callable[[str], None] = lambda _: None, seed: int = 0) -> Habits:
    """The habits with which the built-in model behaves like the observed devices.

    Args:
        observed: what was seen of them.
        say: is told what happens.
        seed: of the simulated fleets.

    Raises:
        TraceError: there is too little to fit to.
    """
    target = statistics(observed)
    if target.mean_share == 0:
        raise TraceError(expected("the trace", "eligible phones", "none"))
    say("daily curve")
    with step("fitting: daily curve"):
        habits = _fit_clock(Habits(), target)
    habits = replace(habits, eligible_share_beta=habits.eligible_share_alpha * (1 / target.mean_share - 1))
    for number, steps in enumerate(_STEPS, start=1):
        for what, parameters, loss in _PARTS:
            name = f"{what}, {number} of {len(_STEPS)}"
            say(name)
            habits = _search(habits, parameters, loss, _Search(observed, target, seed, steps, name))
    return _rounded(habits)


def simulated_statistics(
    habits: Habits, observed: Looks, phones: int = _CHECK_PHONES, seed: int = 1
) -> FleetStatistics:
    """What an observer would see of the model, looking as at the devices."""
    devices = len(observed.eligible)
    model = AvailabilityModel(habits, WorldFacts(-(-phones // devices) * devices, seed, _ONE_CLOCK))
    return statistics(look_at_model(model, observed))


def compare(observed: FleetStatistics, simulated: FleetStatistics) -> list[Comparison]:
    """Each figure beside its target."""

    def percent(name: str, a: float, b: float, tolerance: float | None, relative: bool = False) -> Comparison:
        return Comparison(name, 100 * a, 100 * b, "%", tolerance, relative=relative)

    curve = float(np.abs(observed.hourly - simulated.hourly).mean())
    lines = [
        percent("eligible share of the time, mean", observed.mean_share, simulated.mean_share, 0.10, True),
        percent("phones never eligible", observed.never_share, simulated.never_share, 4.0),
        percent(_CURVE, 0.0, curve, 1.0),
    ]
    for name, a, b in zip(("25 %", "50 %", "75 %", "90 %"), observed.session_h, simulated.session_h, strict=True):
        lines.append(Comparison(f"session length, {name}", float(a), float(b), "h", 0.5))
    lines.append(Comparison("chance to stay another half hour", observed.stays, simulated.stays, "", 0.05))
    lines.append(Comparison("chance to return within two hours", observed.returns, simulated.returns, "", None))
    lines.append(
        Comparison("chance to be eligible at the same time tomorrow", observed.same_time, simulated.same_time, "", None)
    )
    for name, a, b in zip(("50", "75", "90", "95"), observed.phone_shares, simulated.phone_shares, strict=False):
        lines.append(percent(f"share of the time, {name} % of phones below", float(a), float(b), None))
    return lines


def over_devices(
    looks: Looks, observed: FleetStatistics, resamples: int = 200, seed: int = 0
) -> list[tuple[float, float]]:
    """How far each observed figure moves by the chance of which devices there are, in the order of `compare`.

    95 % percentile intervals over resampled devices (Efron's bootstrap, as of people in
    `client_model.metrics.intervals`); of the hourly curve, how far a resampled one is from the observed.

    Args:
        looks: at the devices.
        observed: what they come to.
        resamples: draws of the devices.
        seed: of the draws.
    """
    rng, n = np.random.default_rng(np.random.SeedSequence([seed, 2])), len(looks.eligible)
    drawn = [compare(statistics(some_looks(looks, rng.integers(n, size=n))), observed) for _ in range(resamples)]
    bounds = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    found = []
    for same in zip(*drawn, strict=True):
        values = [line.simulated if line.name == _CURVE else line.observed for line in same]
        low, high = np.quantile(values, bounds).tolist()
        found.append((low, high))
    return found


def over_fleets(by_seed: Sequence[Sequence[Comparison]]) -> list[tuple[Comparison, Interval]]:
    """Each figure with the mean of what several fleets simulate, and its t-interval over their seeds.

    Args:
        by_seed: by `compare`, a fleet each.
    """
    found = []
    for same in zip(*by_seed, strict=True):
        interval = over_seeds([line.simulated for line in same])
        found.append((replace(same[0], simulated=interval.mean), interval))
    return found


def split_trace(trace: Trace, share: float, seed: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(devices to fit to, devices held out), each bool [devices]."""
    out = np.random.default_rng(np.random.SeedSequence([seed, 1])).permutation(len(trace.device_ids))
    held_out = np.zeros(len(out), bool)
    held_out[out[: round(share * len(out))]] = True
    return ~held_out, held_out


def some_looks(looks: Looks, devices: NDArray[np.bool_] | NDArray[np.int64]) -> Looks:
    """What was seen of some of the devices, by mask or index."""
    return Looks(looks.eligible[devices], looks.observed[devices], looks.local_step[devices])


def _fit_clock(habits: Habits, target: FleetStatistics) -> Habits:
    hours = np.arange(24) + 0.5

    def curve(x: NDArray[np.float64]) -> NDArray[np.float64]:
        kappa = np.exp(x[0])
        share = scipy.special.expit(x[3])
        waves = [np.exp(kappa * np.cos(2 * np.pi * (hours - x[k]) / 24)) / scipy.special.i0(kappa) for k in (1, 2)]
        shares: NDArray[np.float64] = target.mean_share * ((1 - share) * waves[0] + share * waves[1])
        return shares

    def loss(x: NDArray[np.float64]) -> float:
        return float(((curve(x) - target.hourly) ** 2).sum()) * 1e4 + 0.01 * float(np.exp(x[0])) ** 2

    starts = [np.array([np.log(0.6), a, a + apart, -1.0]) for a in range(0, 24, 4) for apart in (4, 8, 12)]
    best = min((scipy.optimize.minimize(loss, x, method="Nelder-Mead") for x in starts), key=lambda found: found.fun).x
    kappa, (first, second), share = float(np.exp(best[0])), best[1:3] % 24, float(scipy.special.expit(best[3]))
    if share > 0.5:
        first, second, share = second, first, 1 - share
    return replace(
        habits,
        night_day_ratio=float(np.exp(2 * kappa)),
        best_local_hour=float(first),
        other_best_local_hours=(float(second),),
        other_best_local_hour_shares=(share,),
    )


Parameters = tuple[Callable[[Habits], list[float]], Callable[[Habits, NDArray[np.float64]], Habits]]


def _sessions_to(habits: Habits) -> list[float]:
    return [
        np.log(habits.session_median_h),
        np.log(max(habits.session_mean_h / habits.session_median_h - 1, 1e-3)),
        scipy.special.logit(np.clip(habits.reentry_share, 0.2, 0.9)),
        np.log(habits.reentry_gap_mean_h),
        scipy.special.logit(np.clip(habits.long_session_share, 0.1, 0.9)),
        np.log(habits.long_session_median_h),
    ]


def _sessions_from(habits: Habits, x: NDArray[np.float64]) -> Habits:
    median = float(np.exp(np.clip(x[0], -3, 2)))
    return replace(
        habits,
        session_median_h=median,
        session_mean_h=float(min(median * (1 + np.exp(x[1])), 8.0)),
        reentry_share=float(min(scipy.special.expit(x[2]), 0.95)),
        reentry_gap_mean_h=float(np.exp(np.clip(x[3], -3, 0.7))),
        long_session_share=float(min(scipy.special.expit(x[4]), 0.95)),
        long_session_median_h=float(np.exp(np.clip(x[5], 1, 2.7))),
    )


def _shares_to(habits: Habits) -> list[float]:
    a, b = habits.eligible_share_alpha, habits.eligible_share_beta
    return [
        scipy.special.logit(a / (a + b)),
        np.log(a + b),
        scipy.special.logit(np.clip(habits.never_eligible_share, 0.05, 0.9)),
    ]


def _shares_from(habits: Habits, x: NDArray[np.float64]) -> Habits:
    mean, total = float(scipy.special.expit(x[0])), float(np.exp(np.clip(x[1], -2, 6)))
    return replace(
        habits,
        eligible_share_alpha=max(mean * total, 1e-3),
        eligible_share_beta=max((1 - mean) * total, 1e-3),
        never_eligible_share=float(min(scipy.special.expit(x[2]), 0.95)),
    )


_SESSIONS: Parameters = (_sessions_to, _sessions_from)
_SHARES: Parameters = (_shares_to, _shares_from)


def _session_loss(found: FleetStatistics, target: FleetStatistics) -> float:
    tolerable = np.where(np.arange(24) < 6, 0.03, 0.01)  # a point of the tail is worth more hours
    lengths = ((found.session_cdf[:24] - target.session_cdf[:24]) / tolerable) ** 2
    chances = ((found.stays - target.stays) / 0.01) ** 2 + ((found.returns - target.returns) / 0.03) ** 2
    return float(lengths.sum() + 3 * chances)


def _share_loss(found: FleetStatistics, target: FleetStatistics) -> float:
    mean = ((found.mean_share / target.mean_share - 1) / 0.01) ** 2
    never = ((found.never_share - target.never_share) / 0.01) ** 2
    spread = ((found.phone_shares - target.phone_shares)[:4] / 0.02) ** 2
    return float(mean + never + spread.sum())


_PARTS = (
    ("session lengths and re-entry", _SESSIONS, _session_loss),
    ("shares of the phones", _SHARES, _share_loss),
)


@dataclass(frozen=True)
class _Search:
    """What a search looks for, and for how long."""

    observed: Looks
    target: FleetStatistics  # of what was observed
    seed: int  # of the simulated fleets
    steps: int
    name: str


def _search(
    habits: Habits, parameters: Parameters, loss: Callable[[FleetStatistics, FleetStatistics], float], search: _Search
) -> Habits:
    """The habits whose `parameters` bring the loss down furthest."""
    to, back = parameters

    def value(x: NDArray[np.float64]) -> float:
        fitting.advance()
        found = simulated_statistics(back(habits, x), search.observed, _PHONES, search.seed)
        return loss(found, search.target)

    start = np.array(to(habits))
    corners = np.vstack([start, start + _SPREAD * np.eye(len(start))])
    options = {"maxfev": search.steps, "xatol": 0.01, "fatol": 0.5, "initial_simplex": corners}
    with step(f"fitting: {search.name}", search.steps) as fitting:
        return back(habits, scipy.optimize.minimize(value, start, method="Nelder-Mead", options=options).x)


def _rounded(habits: Habits) -> Habits:
    """Four digits: more would be read as knowledge."""

    def digits(value: float) -> float:
        return float(f"{value:.4g}")

    found: dict[str, Any] = {}
    for name, value in asdict(habits).items():
        found[name] = tuple(map(digits, value)) if isinstance(value, tuple) else digits(value)
    return Habits(**found)
