"""When each phone is eligible: idle, charging and on unmetered Wi-Fi. The built-in model.

A phone's owner sets off bursts of use of the charger at random moments (a Poisson process whose rate
follows a daily curve in the phone's LOCAL time). A burst is one eligible session, or several with
short gaps between them (a glance at the screen ends one and soon begins the next). The phone is
eligible while at least one session runs. Consequences that make the model easy to fit:

* the sessions of many bursts cover a moment independently, so the long-run share of time eligible is
  1 - exp(-rate x mean time eligible in a burst), and a wanted share fixes the rate;
* phones whose share is close to 0 have no session for days on end;
* the daily curve of eligible phones is the curve of starts smoothed by the bursts, so dividing the
  wanted curve's Fourier coefficients by those of the bursts gives the curve of starts.

Phones differ in their share (a Beta distribution, beside a share of phones that are never eligible)
and in their best hour (clusters: most charge at night, some at the office).

The defaults follow 507 phones traced over five days in the FLASH data set (Yang et al., "Characterizing
impacts of heterogeneity in federated learning upon large-scale smartphone data", WWW 2021): mean
share 8.1 %, 29 % of phones never. `scripts/fit_fleet.py` fits all of it to a trace.

Every draw is a hash of (seed, purpose, day, phone, session), so the state of a phone at any moment
can be computed without its past and does not depend on the size of the fleet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import scipy  # its parts are imported when they are first used
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from client_model.keyed_random import purpose_key, uniform, weighted_choice
from simulation.clock import DAY_S, HOUR_S
from simulation.world.availability.base import Availability, WorldFacts
from simulation.world.sessions import Sessions, joined
from simulation.world.threads import in_threads
from typefleet.doors import Kind, KindSettings
from typefleet.errors import ConfigError, expected

MAX_BURST_H = 24.0  # from its first start to its last end
_MAX_SESSIONS = 12  # of a burst
_LARGE_RATE = 60.0  # bursts a day
_LONG_LOG_STD = 0.3  # of the logarithm of long sessions' lengths
_CURVE_POINTS = 24 * 60
_QUANTILES = 1 << 13
_HARMONICS = 4  # of the daily curve
_MAX_GAIN = 3.0  # long sessions hide the fine shape of the curve of starts; it is not made up beyond this
_PHONES_AT_ONCE = 1 << 15  # whose numbers stay in the processor's cache
_SAMPLE = 20_000  # bursts, for their mean and their spectrum

Floats = NDArray[np.float64]
Bursts = NDArray[np.int64]  # indices of bursts
Draw = Callable[[str, Bursts, int], Floats]  # (purpose, bursts, number of the session) -> uniform numbers


@dataclass(frozen=True)
class Habits(KindSettings):
    """The habits of the phones' owners that the built-in model supposes."""

    eligible_share_alpha: Annotated[float, Gt(0)] = 0.45
    """A phone's long-run share of time eligible is Beta(alpha, beta) ..."""
    eligible_share_beta: Annotated[float, Gt(0)] = 5.1
    """... whose mean with the default numbers is 8.1 %."""
    never_eligible_share: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of the phones that are never eligible, on top of those whose share is close to 0."""
    night_day_ratio: Annotated[float, Ge(1)] = 4.0
    """Eligible phones at the best local hour over those at the worst."""
    best_local_hour: Annotated[float, Ge(0), Lt(24)] = 3.0
    """Local hour at which most phones are idle, charging and on unmetered Wi-Fi."""
    other_best_local_hours: tuple[float, ...] = ()
    """Best hours of the other clusters of phones, such as those that charge at the office."""
    other_best_local_hour_shares: Annotated[tuple[float, ...], Ge(0), Le(1)] = ()
    """Share of the phones in each of those clusters; all others have --fleet.best-local-hour."""
    session_median_h: Annotated[float, Gt(0)] = 1.0
    """Median length of one eligible session."""
    session_mean_h: Annotated[float, Gt(0), Le(8)] = 2.0
    """Mean length of one eligible session; at least the median."""
    long_session_share: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Share of sessions that are of another kind: a whole night on the charger."""
    long_session_median_h: Annotated[float, Gt(0), Le(24)] = 7.0
    """Median length of those."""
    reentry_share: Annotated[float, Ge(0), Lt(1)] = 0.0
    """After a session, the chance that the next one follows soon; 0: sessions are independent."""
    reentry_gap_mean_h: Annotated[float, Gt(0)] = 0.5
    """Mean gap before such a session."""

    def check(self, flag: Callable[[str], str]) -> None:
        """A mean at least as long as the median, and a share for each cluster."""
        if self.session_mean_h < self.session_median_h:
            least = f"a number >= {flag('session_median_h')} = {self.session_median_h:g}"
            raise ConfigError(expected(flag("session_mean_h"), least, f"{self.session_mean_h:g}"))
        others, shares = self.other_best_local_hours, self.other_best_local_hour_shares
        if len(others) != len(shares) or min(shares, default=0.0) < 0 or sum(shares) > 1:
            what = f"{len(others)} numbers >= 0, one an hour, that add up to at most 1"
            raise ConfigError(expected(flag("other_best_local_hour_shares"), what, list(shares)))

    def unused(self, flag: Callable[[str], str]) -> dict[str, str]:
        """What belongs to kinds of sessions that there are not."""
        only = {}
        if self.long_session_share == 0:
            only["long_session_median_h"] = f"with {flag('long_session_share')} > 0"
        if self.reentry_share == 0:
            only["reentry_gap_mean_h"] = f"with {flag('reentry_share')} > 0"
        return only


class AvailabilityModel(Availability):
    """Eligible sessions of a whole fleet, a day at a time.

    Attributes:
        best_hour: float64 [phones], local hour at which each is most often eligible.
    """

    def __init__(self, habits: Habits, facts: WorldFacts) -> None:
        super().__init__(facts.num_phones)
        self._habits, self._seed = habits, facts.seed
        seed, phones = facts.seed, np.arange(facts.num_phones)
        self.utc_offset_h = facts.drawn_utc_offset_h()
        hours = (habits.best_local_hour, *habits.other_best_local_hours)
        shares = (1.0 - sum(habits.other_best_local_hour_shares), *habits.other_best_local_hour_shares)
        self.best_hour = weighted_choice(purpose_key(seed, "best hour"), hours, shares, phones)
        shares_of = partial(_drawn_shares, habits, purpose_key(seed, "eligible share"))
        share = np.concatenate(in_threads(shares_of, self._blocks_of_phones()))
        never = uniform(purpose_key(seed, "never eligible"), phones) < habits.never_eligible_share
        self.eligible_share = np.where(never, 0.0, np.clip(share, 0.0, 0.999))
        self._log_median = np.log(habits.session_median_h)
        self._log_std = np.sqrt(2 * np.log(habits.session_mean_h / habits.session_median_h))
        sample = self._sample_of_bursts()
        mean_h = float((sample[2] - sample[1]).sum()) / _SAMPLE
        self._starts_a_day = -np.log1p(-self.eligible_share) * 24 / mean_h
        self._start_hours = self._start_curve(*sample[1:], mean_h)
        self._start_widths = np.diff(self._start_hours)

    def _session_hours(self, u: Floats) -> Floats:
        share = self._habits.long_session_share
        is_long = u < share
        rank = scipy.special.ndtri(np.where(is_long, u / share, (u - share) / (1 - share)) if share else u)
        hours: Floats = np.exp(self._log_median + self._log_std * rank)
        if share:
            hours = np.where(is_long, self._habits.long_session_median_h * np.exp(_LONG_LOG_STD * rank), hours)
        capped: Floats = np.minimum(hours, MAX_BURST_H)
        return capped

    def _bursts(self, u: Floats, draw: Draw) -> tuple[Bursts, Floats, Floats]:
        """The sessions of len(u) bursts.

        Args:
            u: float64 [bursts], uniform; decides how many sessions each has.
            draw: (purpose, bursts, number of the session) -> uniform numbers.

        Returns:
            (index of the burst, start, end) of each session, in hours since the start of its burst.
        """
        again, gap_h = self._habits.reentry_share, self._habits.reentry_gap_mean_h
        alive, at = np.arange(len(u)), np.zeros(len(u))
        index, starts, ends = [], [], []
        for number in range(_MAX_SESSIONS):
            end = at + self._session_hours(draw("session length", alive, number))
            index.append(alive)
            starts.append(at)
            ends.append(np.minimum(end, MAX_BURST_H))
            going_on = u[alive] < again ** (number + 1)
            if not going_on.any():
                break
            alive = alive[going_on]
            at = end[going_on] - gap_h * np.log(draw("re-entry", alive, number))
            early = at < MAX_BURST_H
            alive, at = alive[early], at[early]
        if len(index) == 1:
            return index[0], starts[0], ends[0]
        return np.concatenate(index), np.concatenate(starts), np.concatenate(ends)

    def _sample_of_bursts(self) -> tuple[Bursts, Floats, Floats]:
        even = (np.arange(_SAMPLE) + 0.5) / _SAMPLE

        def draw(purpose: str, bursts: Bursts, number: int) -> Floats:
            if purpose == "session length" and number == 0:
                return even[bursts]
            return uniform(purpose_key(0, purpose, number), bursts)

        return self._bursts(uniform(purpose_key(0, "sessions of a burst"), np.arange(_SAMPLE)), draw)

    def _start_curve(self, starts: Floats, ends: Floats, mean_h: float) -> Floats:
        """Quantiles of the hours from the best hour to a start, of _QUANTILES + 1 even probabilities.

        The wanted curve of eligible phones is that of a von Mises distribution, which is largest over
        smallest = `night_day_ratio`.
        """
        kappa = np.log(self._habits.night_day_ratio) / 2
        grid = np.linspace(0, 24, _CURVE_POINTS + 1)
        curve = np.ones(len(grid))
        for k in range(1, _HARMONICS + 1):
            omega = 2 * np.pi * k / 24
            # A burst turns a start at s into eligibility over its sessions: a filter on the curve.
            spread = (np.exp(-1j * omega * starts) - np.exp(-1j * omega * ends)) / (1j * omega)
            response = spread.sum() / _SAMPLE / mean_h
            gain = min(1 / abs(response), _MAX_GAIN)
            wanted = 2 * scipy.special.ive(k, kappa) / scipy.special.ive(0, kappa)
            curve += wanted * gain * np.cos(omega * grid - np.angle(response))
        curve = np.maximum(curve, 0.0)
        steps = (curve[1:] + curve[:-1]) / 2
        cdf = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
        quantiles: Floats = np.interp(np.linspace(0, 1, _QUANTILES + 1), cdf, grid)
        return quantiles

    def day_starts(self, day: int) -> Sessions:
        """Sessions of the bursts that start on one local day of each phone; they may overlap."""
        return joined(in_threads(partial(self._starts_of, day), self._blocks_of_phones()))

    def _blocks_of_phones(self) -> list[NDArray[np.int64]]:
        first = range(0, self.num_phones, _PHONES_AT_ONCE)
        return [np.arange(n, min(n + _PHONES_AT_ONCE, self.num_phones)) for n in first]

    def _starts_of(self, day: int, phones: NDArray[np.int64]) -> Sessions:
        """The same of some successive phones."""
        u = uniform(purpose_key(self._seed, "bursts a day", day), phones)
        counts = poisson_quantile(u, self._starts_a_day[phones[0] : phones[-1] + 1])
        phone = np.repeat(phones, counts)  # [bursts]
        nth = np.arange(len(phone)) - np.repeat(np.cumsum(counts) - counts, counts)
        place = uniform(purpose_key(self._seed, "burst start", day), phone, nth) * _QUANTILES
        below = place.astype(np.int64)
        width = self._start_widths[below]
        after = self._start_hours[below] + (place - below) * width
        hour = (after + self.best_hour[phone]) % 24
        start_s = day * DAY_S + (hour - self.utc_offset_h[phone]) * HOUR_S

        def draw(purpose: str, bursts: Bursts, number: int) -> Floats:
            return uniform(purpose_key(self._seed, purpose, day, number), phone[bursts], nth[bursts])

        continues = uniform(purpose_key(self._seed, "sessions of a burst", day), phone, nth)
        burst, begin_h, end_h = self._bursts(continues, draw)
        begun = start_s[burst]
        return Sessions(phone[burst], begun + begin_h * HOUR_S, begun + end_h * HOUR_S)


def _drawn_shares(habits: Habits, key: np.uint64, phones: NDArray[np.int64]) -> Floats:
    """float64 [len(phones)]: the long-run share of time eligible of some phones that ever are."""
    share: Floats = scipy.special.betaincinv(
        habits.eligible_share_alpha, habits.eligible_share_beta, uniform(key, phones)
    )
    return share


def poisson_quantile(u: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.int64]:
    """The smallest counts whose cumulative probability reaches u, for u in (0, 1) and rates of sessions a day.

    Adds up the terms of the distribution, each time for those only that are not there yet; the few with
    a large rate are left to the incomplete gamma function, which takes microseconds each.
    """
    counts = np.zeros(len(u), np.int64)
    large = np.flatnonzero(rate > _LARGE_RATE)
    counts[large] = np.ceil(scipy.special.pdtrik(u[large], rate[large]))
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


KIND = Kind("model", "built-in model", make=AvailabilityModel, settings=Habits)
