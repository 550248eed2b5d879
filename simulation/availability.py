"""When each phone is eligible: idle, charging and on unmetered Wi-Fi.

Model. A phone starts eligible sessions at random moments (a Poisson process whose rate follows a
daily curve in the phone's LOCAL time) and each lasts a log-normal time; it is eligible while at
least one session runs (an M/G/infinity busy period). Three consequences make the model easy to fit:

* the long-run share of time eligible is 1 - exp(-rate x mean session), so a wanted share fixes the
  rate: rate = -log(1 - share) / mean session;
* phones whose share is close to 0 have no session for days on end: never-eligible phones need no
  rule of their own;
* the daily curve of eligible phones is the curve of starts smoothed by the sessions, so the wanted
  night/day ratio fixes the amplitude of the starts.

The defaults follow 507 phones traced over five days in the FLASH data set (Yang et al., "Characterizing
impacts of heterogeneity in federated learning upon large-scale smartphone data", WWW 2021): mean
share 8.1 %, 29 % of phones never.

Every draw is a hash of (seed, purpose, day, phone, session), so the state of a phone at any moment
can be computed without its past and does not depend on the size of the fleet.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri, pdtrik

from client_model.keyed_random import purpose_key, uniform
from simulation.clock import DAY_S, HOUR_S
from simulation.config import FleetConfig

MAX_SESSION_H = 24.0
_LARGE_RATE = 60.0  # sessions a day
_CURVE_POINTS = 24 * 60


class Sessions(NamedTuple):
    """Disjoint eligible intervals, half-open, sorted by phone and start."""

    phone: NDArray[np.int64]  # [sessions]
    start_s: NDArray[np.float64]  # [sessions]
    end_s: NDArray[np.float64]  # [sessions]


class AvailabilityModel:
    """Eligible sessions of a whole fleet, a day at a time.

    Attributes:
        utc_offset_h: float64 [phones].
        eligible_share: float64 [phones], long-run share of time eligible.
    """

    def __init__(self, config: FleetConfig, num_phones: int, seed: int) -> None:
        self.num_phones, self._seed = num_phones, seed
        phones = np.arange(num_phones)
        weights = np.array(config.utc_offset_weights) / sum(config.utc_offset_weights)
        zone = np.searchsorted(np.cumsum(weights)[:-1], uniform(purpose_key(seed, "time zone"), phones))
        self.utc_offset_h = np.array(config.utc_offsets_h, np.float64)[zone]
        u = uniform(purpose_key(seed, "eligible share"), phones)
        share = betaincinv(config.eligible_share_alpha, config.eligible_share_beta, u)
        self.eligible_share = np.clip(share, 0.0, 0.999)
        self._log_median = np.log(config.session_median_h)
        self._log_std = np.sqrt(2 * np.log(config.session_mean_h / config.session_median_h))
        mean_h = self._mean_session_h()
        self._starts_a_day = -np.log1p(-self.eligible_share) * 24 / mean_h
        self._start_hour_cdf = self._start_curve(config, mean_h)
        self._local_days: dict[int, Sessions] = {}
        self._cached_day: tuple[int, Sessions] | None = None

    def _session_hours(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.minimum(np.exp(self._log_median + self._log_std * ndtri(u)), MAX_SESSION_H)

    def _mean_session_h(self) -> float:
        return float(self._session_hours((np.arange(100_000) + 0.5) / 100_000).mean())

    def _start_curve(self, config: FleetConfig, mean_h: float) -> NDArray[np.float64]:
        """Cumulative distribution of the local start hour on a grid over [0, 24]."""
        ratio = config.night_day_ratio
        wanted = (ratio - 1) / (ratio + 1)  # amplitude of the curve of eligible phones
        omega = 2 * np.pi / 24
        hours = self._session_hours((np.arange(100_000) + 0.5) / 100_000)
        # A session turns a start at s into eligibility over [s, s + length): a filter on the curve.
        response = np.mean((1 - np.exp(-1j * omega * hours)) / (1j * omega)) / mean_h
        amplitude = min(wanted / abs(response), 1.0)
        peak = config.best_local_hour + float(np.angle(response)) / omega
        grid = np.linspace(0, 24, _CURVE_POINTS + 1)
        # Integral of (1 + a cos(omega (h - peak))) / 24.
        wave = np.sin(omega * (grid - peak)) - np.sin(-omega * peak)
        return (grid + amplitude * wave / omega) / 24

    def _day_starts(self, day: int) -> Sessions:
        """Sessions that start on one local day of each phone; they may overlap."""
        phones = np.arange(self.num_phones)
        u = uniform(purpose_key(self._seed, "sessions a day", day), phones)
        counts = poisson_quantile(u, self._starts_a_day)
        phone = np.repeat(phones, counts)
        nth = np.arange(len(phone)) - np.repeat(np.cumsum(counts) - counts, counts)
        draw = uniform(purpose_key(self._seed, "session start", day), phone, nth)
        hour = np.interp(draw, self._start_hour_cdf, np.linspace(0, 24, _CURVE_POINTS + 1))
        start_s = day * DAY_S + (hour - self.utc_offset_h[phone]) * HOUR_S
        length = self._session_hours(uniform(purpose_key(self._seed, "session length", day), phone, nth))
        return Sessions(phone, start_s, start_s + length * HOUR_S)

    def sessions_around(self, day: int) -> Sessions:
        """Disjoint sessions that end after a UTC day's start, with those that may continue them."""
        if self._cached_day is None or self._cached_day[0] != day:
            if self._cached_day is not None and day < self._cached_day[0]:
                self._local_days.clear()  # what is over is dropped, so going back needs all anew
            self._cached_day = None
            # A UTC day overlaps up to three local days; sessions last up to a day and may chain.
            kept = {d: self._local_days.pop(d, None) for d in range(day - 3, day + 3)}
            self._local_days = {}
            for d, known in kept.items():
                phone, start_s, end_s = known or self._day_starts(d)
                lasting = end_s > day * DAY_S
                self._local_days[d] = Sessions(phone[lasting], start_s[lasting], end_s[lasting])
            columns = zip(*self._local_days.values(), strict=True)
            self._cached_day = (day, merge_sessions(Sessions(*(np.concatenate(c) for c in columns))))
        return self._cached_day[1]

    def eligible_until(self, now_s: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(phones eligible now, sorted; the time each stops being so)."""
        sessions = self.sessions_around(int(now_s // DAY_S))
        running = (sessions.start_s <= now_s) & (now_s < sessions.end_s)
        return sessions.phone[running], sessions.end_s[running]


def poisson_quantile(u: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.int64]:
    """The smallest counts whose cumulative probability reaches u, for u in (0, 1) and rates of sessions a day.

    Adds up the terms of the distribution, each time for those only that are not there yet; the few with
    a large rate are left to the incomplete gamma function, which takes microseconds each.
    """
    counts = np.zeros(len(u), np.int64)
    large = np.flatnonzero(rate > _LARGE_RATE)
    counts[large] = np.ceil(pdtrik(u[large], rate[large]))
    term = np.exp(-rate)
    reached = term.copy()
    left = np.flatnonzero((u > reached) & (rate <= _LARGE_RATE))
    term, reached, number = term[left], reached[left], 0
    while len(left):
        number += 1
        counts[left] = number
        term = term * rate[left] / number
        reached = reached + term
        # Past the rate, terms this small no longer change the sum, and u may be the largest below 1.
        more = (u[left] > reached) & ((term > 1e-17) | (number < rate[left]))
        left, term, reached = left[more], term[more], reached[more]
    return counts


def merge_sessions(sessions: Sessions) -> Sessions:
    """Join overlapping or touching sessions of the same phone."""
    if not len(sessions.phone):
        return sessions
    # Spread the phones far apart on one time line, so that one order and one running maximum serve all.
    low = float(sessions.start_s.min())
    gap = float(sessions.end_s.max()) - low + 1.0
    order = np.argsort(sessions.phone * gap + (sessions.start_s - low), kind="stable")
    phone, start, end = sessions.phone[order], sessions.start_s[order], sessions.end_s[order]
    shift = phone * gap
    reach = np.maximum.accumulate(end - low + shift)
    first = np.ones(len(phone), bool)
    first[1:] = (start[1:] - low + shift[1:] > reach[:-1]) | (phone[1:] != phone[:-1])
    begins = np.flatnonzero(first)
    # The last end of each group, taken from the ends themselves: the shifted ones lost precision.
    return Sessions(phone[begins], start[begins], np.maximum.reduceat(end, begins))
