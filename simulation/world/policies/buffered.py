"""Asynchronous rounds: a buffer of updates that is released when it is full.

Nguyen et al., "Federated learning with buffered asynchronous aggregation" (FedBuff), arXiv:2106.06639, Algorithm 1. At
any moment `concurrency` phones train, each from the weights that were newest when it began. An update that arrives
goes into the buffer; `goal` updates make a release. An update that began r rounds ago has staleness r and is
weighted by

    s(r) = (1 + r)^-a        (the polynomial weight of Xie et al., arXiv:1903.03934; a = 1/2 by default)

after it is clipped to C like any other, so what one phone adds to a release has norm at most C s(r) <= C. The
sensitivity for which the noise is made is therefore C, as without a buffer: an update of staleness 0 reaches it. The
sum is divided by the fixed size of the buffer, not by the sum of the weights, which would depend on who reports.

A phone is in the buffer or in training at most once, and is admitted by the participation rule when it begins; the
release it ends up in is that one or a later one, so the rule holds there too. Its update is let go of, from training or
from the buffer, at the moment at which its owner takes back the consent to train.
"""

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from server_strategy.cohorts import RoundPlan
from server_strategy.funnel import Funnel
from server_strategy.state import State, branch, leaf
from simulation.clock import simulated_date
from simulation.world.attempts import DONE, FAILED, INELIGIBLE, UPLOAD_FAILED, WITHDRAWN, Attempts
from simulation.world.policies.base import RoundPolicy
from simulation.world.timeline import POLL_S, Timeline
from typefleet.doors import Kind, KindSettings
from typefleet.errors import expected
from typefleet.setting_types import Formerly

LATE = 4  # an outcome besides those of `attempts`
_COLUMNS = tuple(column.name for column in fields(Attempts))
_CONCURRENCY = 1.3  # over the goal, by default


@dataclass(frozen=True)
class BufferSettings(KindSettings):
    """Settings of asynchronous rounds."""

    concurrency: Annotated[int | None, Ge(1)] = None
    """Phones that train at the same time; by default 1.3 times the goal."""
    staleness_exponent: Annotated[float, Ge(0), Le(10), Formerly(Ge(0))] = 0.5
    """An update that began r rounds ago is weighted by (1 + r) to the minus this."""
    max_staleness: Annotated[int, Ge(0)] = 10
    """An update that began more rounds ago is not waited for."""
    deadline_s: Annotated[float, Gt(0), Le(1e9), Formerly(Gt(0))] = 600.0
    """An attempt that takes longer than this many seconds is not waited for."""
    selection_timeout_s: Annotated[float, Ge(0), Le(1e9), Formerly(Ge(0))] = 3600.0
    """If the buffer is not full this long, and a deadline, after the last release, the round is abandoned."""


@dataclass(frozen=True, kw_only=True)
class BufferedFunnel(Funnel):
    """The funnel of a release from a buffer: attempts go on from one round into the next.

    in_flight_before + invited = reported + dropped + late + stale + in_flight; `unused` is 0.
    """

    in_flight_before: int  # training, or waiting in the buffer, when the round opened
    stale: int  # began too many rounds ago to be waited for
    in_flight: int  # when it closed
    mean_staleness: float | None = None  # of the updates in the release, in rounds; None without a release


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
    withdrawn: int | None = None  # None: nobody can withdraw


def staleness_weight(staleness: int, exponent: float) -> float:
    """s(r), in (0, 1]."""
    if staleness < 0:
        raise ValueError(expected("staleness", "a number >= 0", staleness))
    return float((1.0 + staleness) ** -exponent)


@dataclass(frozen=True)
class _Flight:
    """Attempts under way, or done and waiting in the buffer."""

    attempts: Attempts
    started_round: NDArray[np.int64]  # [attempts]

    def __len__(self) -> int:
        return len(self.started_round)

    def pick(self, chosen: NDArray[Any]) -> "_Flight":
        """Some of them, by index or mask."""
        return _Flight(self.attempts.pick(chosen), self.started_round[chosen])


def _join(a: Attempts, b: Attempts) -> Attempts:
    pairs = ((getattr(a, name), getattr(b, name)) for name in _COLUMNS)
    return Attempts(*(np.concatenate(pair) for pair in pairs))


_NOBODY = np.zeros(0, np.int64)
_NO_ATTEMPTS = Attempts(_NOBODY, _NOBODY, np.zeros(0), _NOBODY)


def _full_s(attempts: Attempts, withdrawn_s: NDArray[np.float64] | None, goal: int) -> float:
    """The first moment at which so many updates are in the buffer, which withdrawn ones leave; inf: there is none."""
    done = attempts.outcome == DONE
    arrivals_s = np.sort(attempts.end_s[done])
    there = np.arange(1, len(arrivals_s) + 1)  # [updates], in the buffer when each arrives
    if withdrawn_s is not None:
        there = there - np.searchsorted(np.sort(withdrawn_s[done]), arrivals_s, "right")
    full = np.flatnonzero(there >= goal)
    return float(arrivals_s[full[0]]) if len(full) else np.inf


class Buffered(RoundPolicy):
    """The server aggregates asynchronously; a round is what happens between two releases."""

    weighting = "weighted by at most 1 for their staleness"

    def __init__(self, settings: BufferSettings, timeline: Timeline) -> None:
        super().__init__(timeline)
        self.settings, self.max_staleness = settings, settings.max_staleness
        self.concurrency = settings.concurrency or int(np.ceil(timeline.cohort.goal * _CONCURRENCY))
        self._flight = _Flight(_NO_ATTEMPTS, _NOBODY)

    @property
    def most_reports(self) -> int:
        """The size of the buffer."""
        return self.timeline.cohort.goal

    def plan_round(self, server_round: int, may_participate: NDArray[np.bool_]) -> RoundPlan:
        """Run the world until the buffer is full, or for as long as a round may take."""
        timeline, opened_s = self.timeline, self.timeline.now_s
        counts = _Counts(in_flight_before=len(self._flight), withdrawn=None if timeline.fleet.consents is None else 0)
        stale = server_round - self._flight.started_round > self.max_staleness
        counts.stale = int(stale.sum())
        self._flight = self._flight.pick(~stale)
        full = self._fill(server_round, may_participate, counts)
        used, in_buffer = self._release(full)
        staleness = server_round - used.started_round  # [reports]
        weights = [staleness_weight(r, self.settings.staleness_exponent) for r in staleness.tolist()]
        funnel = BufferedFunnel(
            **asdict(counts),
            unused=0,
            reported=len(used),
            closed_s=timeline.now_s,
            selection_s=0.0,
            opened_s=opened_s,
            simulated_date=simulated_date(timeline.fleet.config.start_date, timeline.now_s),
            in_flight=len(self._flight),
            mean_staleness=float(staleness.mean()) if full else None,
        )
        return RoundPlan(
            reporters=used.attempts.phone,
            tokens=used.attempts.tokens,
            abandoned=None if full else f"{in_buffer} updates in the buffer, goal {timeline.cohort.goal}",
            funnel=funnel,
            started_round=used.started_round,
            update_weight=np.array(weights, np.float64),
        )

    def _fill(self, server_round: int, may_participate: NDArray[np.bool_], counts: _Counts) -> bool:
        """Let time pass until the buffer is full, True, or the round may take no longer."""
        timeline, goal = self.timeline, self.timeline.cohort.goal
        give_up_s = timeline.now_s + self.settings.selection_timeout_s + self.settings.deadline_s
        draw = 0
        while True:
            self._top_up(server_round, draw, may_participate, counts)
            draw += 1
            attempts = self._flight.attempts
            # Of phones whose consent holds now, as that of all in the flight does.
            withdrawn_s = timeline.fleet.withdrawn_s(attempts.phone, timeline.now_s)
            full_s = _full_s(attempts, withdrawn_s, goal)
            timeline.now_s = max(timeline.now_s, min(full_s, timeline.now_s + POLL_S, give_up_s))
            self._count_ended(counts, withdrawn_s)
            if full_s <= timeline.now_s or timeline.now_s >= give_up_s:
                return full_s <= timeline.now_s

    def _top_up(self, server_round: int, draw: int, may_participate: NDArray[np.bool_], counts: _Counts) -> None:
        """Invite phones up to the concurrency."""
        attempts, now_s = self._flight.attempts, self.timeline.now_s
        places = self.concurrency - int((attempts.end_s > now_s).sum())
        if places <= 0:
            return
        may_begin = may_participate.copy()
        may_begin[attempts.phone] = False
        checked_in = self.timeline.check_ins(may_begin)
        new = self.timeline.invite(checked_in, places, server_round, draw)
        limit_s = now_s + self.settings.deadline_s
        late = (new.outcome == DONE) & (new.end_s > limit_s)
        new = Attempts(new.phone, new.tokens, np.minimum(new.end_s, limit_s), np.where(late, LATE, new.outcome))
        started = np.full(len(new.phone), server_round)
        self._flight = _Flight(_join(attempts, new), np.concatenate([self._flight.started_round, started]))
        counts.invited += len(new.phone)
        counts.checked_in = max(counts.checked_in, len(checked_in))

    def _count_ended(self, counts: _Counts, withdrawn_s: NDArray[np.float64] | None) -> None:
        """Take attempts that ended without an update out of the flight, and updates of phones that withdrew."""
        attempts = self._flight.attempts
        over = (attempts.outcome != DONE) & (attempts.end_s <= self.timeline.now_s)
        if counts.withdrawn is not None and withdrawn_s is not None:
            gone_again = (attempts.outcome == DONE) & (withdrawn_s <= self.timeline.now_s)
            counts.withdrawn += attempts.pick(over).count(WITHDRAWN) + int(gone_again.sum())
            over |= gone_again
        gone = attempts.pick(over)
        counts.late += gone.count(LATE)
        counts.dropped_failure += gone.count(FAILED)
        counts.dropped_ineligible += gone.count(INELIGIBLE)
        counts.dropped_upload += gone.count(UPLOAD_FAILED)
        self._flight = self._flight.pick(~over)

    def _release(self, full: bool) -> tuple[_Flight, int]:
        """(the attempts whose updates make the release, none if the buffer is not full; updates in it before)."""
        attempts, goal = self._flight.attempts, self.timeline.cohort.goal
        arrived = np.flatnonzero((attempts.outcome == DONE) & (attempts.end_s <= self.timeline.now_s))
        first = arrived[np.lexsort((attempts.phone[arrived], attempts.end_s[arrived]))][: goal if full else 0]
        first = first[np.argsort(attempts.phone[first])]
        used, rest = self._flight.pick(first), np.ones(len(self._flight), bool)
        rest[first] = False
        self._flight = self._flight.pick(rest)
        return used, len(arrived)

    def forget(self, phones: NDArray[np.int64]) -> None:
        """Let go of these phones' attempts and updates."""
        self._flight = self._flight.pick(~np.isin(self._flight.attempts.phone, phones))

    def state(self) -> State:
        """What a checkpoint keeps: the attempts under way and in the buffer."""
        flight = self._flight
        columns = {name: getattr(flight.attempts, name) for name in _COLUMNS}
        return {"attempts": columns, "started_round": flight.started_round}

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        attempts = branch(state, "attempts")
        columns = {name: leaf(attempts, name) for name in _COLUMNS}
        self._flight = _Flight(Attempts(**columns), leaf(state, "started_round"))


KIND = Kind(
    "buffered", "phones train all the time; each `goal` updates make a release", make=Buffered, settings=BufferSettings
)
