"""Asynchronous rounds in simulated time: a buffer that is released when it is full.

Nguyen et al., "Federated learning with buffered asynchronous aggregation" (FedBuff), arXiv:2106.06639,
Algorithm 1. So many phones train at any moment (`concurrency`), each from the weights that were newest
when it began. An update that arrives goes into the buffer; `goal` updates make a release. An update that
began r rounds ago has staleness r.

A phone is in the buffer or in training at most once, and is admitted by the participation rule when it
begins; the release it ends up in is that one or a later one, so the rule holds there too.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.cohorts import RoundPlan
from simulation.clock import simulated_date
from simulation.world.attempts import DONE, Attempts
from simulation.world.timeline import POLL_S, FleetCohorts

LATE = 4  # an outcome besides those of `attempts`
_COLUMNS = tuple(column.name for column in fields(Attempts))


@dataclass(frozen=True)
class _Flight:
    """Attempts under way, or done and waiting in the buffer."""

    attempts: Attempts
    started_round: NDArray[np.int64]  # [attempts]

    def __len__(self) -> int:
        return len(self.started_round)

    def pick(self, chosen: NDArray) -> "_Flight":
        return _Flight(self.attempts.pick(chosen), self.started_round[chosen])


def _join(a: Attempts, b: Attempts) -> Attempts:
    pairs = ((getattr(a, name), getattr(b, name)) for name in _COLUMNS)
    return Attempts(*(np.concatenate(pair) for pair in pairs))


_NOBODY = np.zeros(0, np.int64)
_NO_ATTEMPTS = Attempts(_NOBODY, _NOBODY, np.zeros(0), _NOBODY)


class BufferedCohorts(FleetCohorts):
    """The simulated world under a server that aggregates asynchronously; a `CohortSource`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flight = _Flight(_NO_ATTEMPTS, _NOBODY)
        self.concurrency = self.cohort.concurrency or self.wanted

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Run the world until the buffer is full, or for as long as a round may take."""
        opened_s, goal, self.invitations = self.now_s, self.cohort.goal, []
        give_up_s = opened_s + self.cohort.selection_timeout_s + self.cohort.deadline_s
        ended: dict[str, int] = {"in_flight_before": len(self._flight), "invited": 0, "late": 0}
        ended |= _NO_ATTEMPTS.dropped()
        stale = server_round - self._flight.started_round > self.cohort.max_staleness
        ended["stale"] = int(stale.sum())
        self._flight = self._flight.pick(~stale)
        draw, most_checked_in = 0, 0
        while True:
            most_checked_in = max(most_checked_in, self._top_up(server_round, draw, may_participate, ended))
            draw += 1
            arrivals = np.sort(self._flight.attempts.end_s[self._flight.attempts.outcome == DONE])
            full_s = float(arrivals[goal - 1]) if len(arrivals) >= goal else np.inf
            self.now_s = max(self.now_s, min(full_s, self.now_s + POLL_S, give_up_s))
            self._count_ended(ended)
            if full_s <= self.now_s or self.now_s >= give_up_s:
                break
        plan = self._release(full_s <= self.now_s, server_round)
        plan.record.update(
            **ended,
            reported=len(plan.reporters),
            unused=0,
            in_flight=len(self._flight),
            checked_in=most_checked_in,
            selection_s=0.0,
            opened_s=opened_s,
            closed_s=self.now_s,
            simulated_date=simulated_date(self.world.start_date, self.now_s),
        )
        return plan

    def _top_up(self, server_round: int, draw: int, may_participate: NDArray[np.bool_], ended: dict[str, int]) -> int:
        """Invite phones up to the concurrency; returns how many were checked in."""
        attempts = self._flight.attempts
        places = self.concurrency - int((attempts.end_s > self.now_s).sum())
        if places <= 0:
            return 0
        may_begin = may_participate.copy()
        may_begin[attempts.phone] = False
        checked_in = self.check_ins(may_begin)
        new = self.invite(checked_in, places, server_round, draw)
        limit_s = self.now_s + self.cohort.deadline_s
        late = (new.outcome == DONE) & (new.end_s > limit_s)
        new = Attempts(new.phone, new.tokens, np.minimum(new.end_s, limit_s), np.where(late, LATE, new.outcome))
        started = np.full(len(new.phone), server_round)
        self._flight = _Flight(_join(attempts, new), np.concatenate([self._flight.started_round, started]))
        ended["invited"] += len(new.phone)
        return len(checked_in.phone)

    def _count_ended(self, ended: dict[str, int]) -> None:
        """Take attempts that ended without an update out of the flight."""
        attempts = self._flight.attempts
        over = (attempts.outcome != DONE) & (attempts.end_s <= self.now_s)
        gone = attempts.pick(over)
        late = gone.outcome == LATE
        ended["late"] += int(late.sum())
        for cause, count in gone.pick(~late).dropped().items():
            ended[cause] += count
        self._flight = self._flight.pick(~over)

    def _release(self, full: bool, server_round: int) -> RoundPlan:
        attempts, goal = self._flight.attempts, self.cohort.goal
        arrived = np.flatnonzero((attempts.outcome == DONE) & (attempts.end_s <= self.now_s))
        if not full:
            reason = f"{len(arrived)} updates in the buffer, goal {goal}"
            return RoundPlan(_NOBODY, _NOBODY, reason, {}, _NOBODY)
        first = arrived[np.lexsort((attempts.phone[arrived], attempts.end_s[arrived]))][:goal]
        first = first[np.argsort(attempts.phone[first])]
        used, rest = self._flight.pick(first), np.ones(len(self._flight), bool)
        rest[first] = False
        self._flight = self._flight.pick(rest)
        staleness = server_round - used.started_round
        record: dict[str, int | float | str] = {"mean_staleness": float(staleness.mean())}
        return RoundPlan(used.attempts.phone, used.attempts.tokens, None, record, used.started_round)

    def state(self) -> dict[str, NDArray]:
        """All that a checkpoint needs besides the settings."""
        flight = self._flight
        arrays = {f"flight_{name}": getattr(flight.attempts, name) for name in _COLUMNS}
        return {**super().state(), **arrays, "flight_started_round": flight.started_round}

    def load_state(self, state: dict[str, NDArray]) -> None:
        """Inverse of `state`."""
        super().load_state(state)
        columns = (state[f"flight_{name}"].copy() for name in _COLUMNS)
        self._flight = _Flight(Attempts(*columns), state["flight_started_round"].copy())
