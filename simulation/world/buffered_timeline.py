"""Asynchronous rounds in simulated time: a buffer that is released when it is full.

Nguyen et al., "Federated learning with buffered asynchronous aggregation" (FedBuff), arXiv:2106.06639,
Algorithm 1. So many phones train at any moment (`concurrency`), each from the weights that were newest
when it began. An update that arrives goes into the buffer; `goal` updates make a release. An update that
began r rounds ago has staleness r.

A phone is in the buffer or in training at most once, and is admitted by the participation rule when it
begins; the release it ends up in is that one or a later one, so the rule holds there too.
"""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.cohorts import RoundPlan
from server_strategy.funnel import BufferedFunnel
from simulation.clock import simulated_date
from simulation.world.attempts import DONE, FAILED, INELIGIBLE, UPLOAD_FAILED, Attempts
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


@dataclass
class _Counts:
    """What is counted while a round goes on; see `Funnel` and `BufferedFunnel`."""

    in_flight_before: int
    stale: int = 0
    invited: int = 0
    checked_in: int = 0  # the most at any moment
    late: int = 0
    dropped_failure: int = 0
    dropped_ineligible: int = 0
    dropped_upload: int = 0


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
        opened_s, self.invitations = self.now_s, []
        counts = _Counts(in_flight_before=len(self._flight))
        stale = server_round - self._flight.started_round > self.cohort.max_staleness
        counts.stale = int(stale.sum())
        self._flight = self._flight.pick(~stale)
        full = self._fill(server_round, may_participate, counts)
        plan = self._release(full)
        return replace(plan, funnel=self._funnel(plan, counts, server_round, opened_s))

    def _fill(self, server_round: int, may_participate: NDArray[np.bool_], counts: _Counts) -> bool:
        """Let time pass until the buffer is full, True, or the round may take no longer."""
        give_up_s = self.now_s + self.cohort.selection_timeout_s + self.cohort.deadline_s
        draw = 0
        while True:
            self._top_up(server_round, draw, may_participate, counts)
            draw += 1
            arrivals = np.sort(self._flight.attempts.end_s[self._flight.attempts.outcome == DONE])
            goal = self.cohort.goal
            full_s = float(arrivals[goal - 1]) if len(arrivals) >= goal else np.inf
            self.now_s = max(self.now_s, min(full_s, self.now_s + POLL_S, give_up_s))
            self._count_ended(counts)
            if full_s <= self.now_s or self.now_s >= give_up_s:
                return full_s <= self.now_s

    def _funnel(self, plan: RoundPlan, counts: _Counts, server_round: int, opened_s: float) -> BufferedFunnel:
        started = plan.started_round
        return BufferedFunnel(
            **asdict(counts),
            unused=0,
            reported=len(plan.reporters),
            closed_s=self.now_s,
            selection_s=0.0,
            opened_s=opened_s,
            simulated_date=simulated_date(self.world.start_date, self.now_s),
            in_flight=len(self._flight),
            mean_staleness=None if plan.abandoned or started is None else float((server_round - started).mean()),
        )

    def _top_up(self, server_round: int, draw: int, may_participate: NDArray[np.bool_], counts: _Counts) -> None:
        """Invite phones up to the concurrency."""
        attempts = self._flight.attempts
        places = self.concurrency - int((attempts.end_s > self.now_s).sum())
        if places <= 0:
            return
        may_begin = may_participate.copy()
        may_begin[attempts.phone] = False
        checked_in = self.check_ins(may_begin)
        new = self.invite(checked_in, places, server_round, draw)
        limit_s = self.now_s + self.cohort.deadline_s
        late = (new.outcome == DONE) & (new.end_s > limit_s)
        new = Attempts(new.phone, new.tokens, np.minimum(new.end_s, limit_s), np.where(late, LATE, new.outcome))
        started = np.full(len(new.phone), server_round)
        self._flight = _Flight(_join(attempts, new), np.concatenate([self._flight.started_round, started]))
        counts.invited += len(new.phone)
        counts.checked_in = max(counts.checked_in, len(checked_in.phone))

    def _count_ended(self, counts: _Counts) -> None:
        """Take attempts that ended without an update out of the flight."""
        attempts = self._flight.attempts
        over = (attempts.outcome != DONE) & (attempts.end_s <= self.now_s)
        gone = attempts.pick(over)
        counts.late += gone.count(LATE)
        counts.dropped_failure += gone.count(FAILED)
        counts.dropped_ineligible += gone.count(INELIGIBLE)
        counts.dropped_upload += gone.count(UPLOAD_FAILED)
        self._flight = self._flight.pick(~over)

    def _release(self, full: bool) -> RoundPlan:
        attempts, goal = self._flight.attempts, self.cohort.goal
        arrived = np.flatnonzero((attempts.outcome == DONE) & (attempts.end_s <= self.now_s))
        if not full:
            reason = f"{len(arrived)} updates in the buffer, goal {goal}"
            return RoundPlan(reporters=_NOBODY, tokens=_NOBODY, abandoned=reason, started_round=_NOBODY)
        first = arrived[np.lexsort((attempts.phone[arrived], attempts.end_s[arrived]))][:goal]
        first = first[np.argsort(attempts.phone[first])]
        used, rest = self._flight.pick(first), np.ones(len(self._flight), bool)
        rest[first] = False
        self._flight = self._flight.pick(rest)
        return RoundPlan(reporters=used.attempts.phone, tokens=used.attempts.tokens, started_round=used.started_round)

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
