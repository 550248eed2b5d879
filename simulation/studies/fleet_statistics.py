"""What an observer of a fleet sees: the same statistics of recorded and of simulated phones.

Both are looked at in steps of half an hour, as an observer with a clock would: a phone is eligible in a
step if it is so in the middle of it, and a step counts only where the device was observed all through.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.clock import DAY_S, HOUR_S
from simulation.world.availability.base import Availability
from simulation.world.traces.trace import Trace

STEP_S = HOUR_S / 2
_MOST_STEPS = 48  # of the distribution of session lengths


@dataclass(frozen=True)
class Looks:
    """What was seen of each device in each step."""

    eligible: NDArray[np.bool_]  # [devices, steps]
    observed: NDArray[np.bool_]  # [devices, steps]
    local_step: NDArray[np.int64]  # [devices, steps], step of the day on the device's own clock, 0 to 47


@dataclass(frozen=True)
class FleetStatistics:
    """The figures that a model of availability should reproduce."""

    mean_share: float  # of observed time eligible, over all phones
    never_share: float  # of phones never eligible while observed
    hourly: NDArray[np.float64]  # [24], share eligible by local hour
    session_h: NDArray[np.float64]  # [4], quartiles and 90 % of session lengths, hours
    session_cdf: NDArray[np.float64]  # [_MOST_STEPS], share of sessions of at most 1, 2, ... steps
    stays: float  # chance that an eligible phone is so half an hour later
    returns: float  # chance that a phone whose session ended is eligible again within two hours
    same_time: float  # chance that an eligible phone is so at the same time of the next day
    phone_shares: NDArray[np.float64]  # [5], of the phones' own shares: 50, 75, 90, 95 and 99 %


def look_at_trace(trace: Trace) -> Looks:
    """Look at every device of a trace."""
    steps = int(np.ceil(trace.observed_to_s.max() / STEP_S))
    middle_s = (np.arange(steps) + 0.5) * STEP_S
    eligible = np.zeros((len(trace.device_ids), steps), bool)
    first = np.searchsorted(middle_s, trace.start_s)
    last = np.searchsorted(middle_s, trace.end_s)
    for device, a, b in zip(trace.device.tolist(), first.tolist(), last.tolist(), strict=True):
        eligible[device, a:b] = True
    offset_h = trace.properties.get("utc_offset_h", np.zeros(len(trace.device_ids)))
    return Looks(eligible, _observed(trace, steps), _local_steps(np.nan_to_num(offset_h), steps))


def _observed(trace: Trace, steps: int) -> NDArray[np.bool_]:
    begin_s = np.arange(steps) * STEP_S
    return (begin_s >= trace.observed_from_s[:, None]) & (begin_s + STEP_S <= trace.observed_to_s[:, None])


def _local_steps(offset_h: NDArray[np.float64], steps: int) -> NDArray[np.int64]:
    """Half-hour of the device's own day [devices, steps] in which each step of a trace begins."""
    shift = np.round(offset_h * HOUR_S / STEP_S).astype(np.int64)
    local: NDArray[np.int64] = (np.arange(steps) + shift[:, None]) % 48
    return local


def look_at_model(availability: Availability, like: Looks, first_day: int = 7) -> Looks:
    """Look at simulated phones, each for the time in which the device of the same number was observed.

    Args:
        availability: the phones; more than devices are looked at in turn.
        like: what was observed.
        first_day: simulated day on which the looks begin.
    """
    steps, devices = like.eligible.shape[1], len(like.eligible)
    eligible = np.zeros((availability.num_phones, steps), bool)
    for step in range(steps):
        phone, _ = availability.eligible_until(first_day * DAY_S + (step + 0.5) * STEP_S)
        eligible[phone, step] = True
    who = np.arange(availability.num_phones) % devices
    return Looks(eligible & like.observed[who], like.observed[who], _local_steps(availability.utc_offset_h, steps))


def statistics(looks: Looks) -> FleetStatistics:
    """The figures of what was seen."""
    eligible, observed = looks.eligible & looks.observed, looks.observed
    seen = np.maximum(observed.sum(1), 1)
    shares = eligible.sum(1) / seen
    hour = looks.local_step // 2
    at = np.bincount(hour[observed], minlength=24)
    hourly = np.bincount(hour[eligible], minlength=24) / np.maximum(at, 1)
    lengths = _run_lengths(eligible)
    again = eligible[:, :-1] & observed[:, 1:]
    tomorrow = eligible[:, :-48] & observed[:, 48:]
    return FleetStatistics(
        mean_share=float(eligible.sum() / max(observed.sum(), 1)),
        never_share=float((shares == 0).mean()),
        hourly=hourly,
        session_h=np.percentile(lengths, [25, 50, 75, 90]) * STEP_S / HOUR_S if len(lengths) else np.zeros(4),
        session_cdf=np.array([(lengths <= n).mean() if len(lengths) else 0.0 for n in range(1, _MOST_STEPS + 1)]),
        stays=_ratio(again & eligible[:, 1:], again),
        returns=_returns(eligible, observed),
        same_time=_ratio(tomorrow & eligible[:, 48:], tomorrow),
        phone_shares=np.percentile(shares, [50, 75, 90, 95, 99]),
    )


def _ratio(some: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
    return float(some.sum() / max(of.sum(), 1))


def _run_lengths(eligible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64 [sessions]: steps of each run of eligible ones."""
    padded = np.pad(eligible, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded.ravel())
    return np.flatnonzero(change == -1) - np.flatnonzero(change == 1)


def _returns(eligible: NDArray[np.bool_], observed: NDArray[np.bool_], within: int = 4) -> float:
    steps = max(eligible.shape[1], within + 1)  # with fewer all that follows is empty
    ended = eligible[:, : steps - within - 1] & ~eligible[:, 1 : steps - within]
    for k in range(1, within + 2):
        ended &= observed[:, k : steps - within - 1 + k]
    back = np.zeros_like(ended)
    for k in range(2, within + 2):
        back |= eligible[:, k : steps - within - 1 + k]
    return _ratio(ended & back, ended)
