"""Settings of the server: who is invited, what protects them, and how weights move."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le


@dataclass(frozen=True)
class CohortConfig:
    """Who takes part in a round, and when it closes."""

    goal: Annotated[int, Ge(1)] = 50
    """Reports a round waits for; the update sum is always divided by this number."""
    policy: Literal["synchronous", "deadline", "buffered"] = "synchronous"
    """A round closes when the goal is reached, or always at its deadline; or phones train all the time
    and each `goal` updates make a release (buffered)."""
    over_selection: Annotated[float, Ge(1)] = 1.3
    """Invite goal times this many phones, since some drop out or come late."""
    deadline_s: Annotated[float, Gt(0)] = 600.0
    """A round closes after so many seconds even if the goal was not reached."""
    minimum_report_share: Annotated[float, Gt(0), Le(1)] = 0.8
    """A round with fewer reports than this share of the goal is abandoned."""
    selection_timeout_s: Annotated[float, Ge(0)] = 3600.0
    """Wait at most so long for enough phones to check in before inviting those that did."""
    pause_s: Annotated[float, Ge(0)] = 60.0
    """Time between one round's close and the next one's opening."""
    min_separation_rounds: Annotated[int, Ge(1)] = 20
    """A phone that took part in round i may next take part in round i plus this."""
    max_participations: Annotated[int | None, Ge(1)] = None
    """A phone takes part at most so often; by default as often as the separation allows."""
    min_separation_h: Annotated[float, Ge(0)] = 0.0
    """A phone that trained is not invited again for so many hours."""
    max_attempts_per_day: Annotated[int | None, Ge(1)] = None
    """A phone is invited at most so often in a day of its own clock."""
    check_in_interval_s: Annotated[float, Ge(0)] = 0.0
    """Pace steering: a phone that was not needed, or dropped out, is told to come back after about so long
    (half to one and a half times); 0: it stays connected."""
    concurrency: Annotated[int | None, Ge(1)] = None
    """Buffered: phones that train at the same time; by default goal times over-selection."""
    staleness_exponent: Annotated[float, Ge(0), Le(10)] = 0.5
    """Buffered: an update that began r rounds ago is weighted by (1 + r) to the minus this."""
    max_staleness: Annotated[int, Ge(0)] = 10
    """Buffered: an update that began more rounds ago is not waited for."""
    max_abandoned_in_a_row: Annotated[int, Ge(1)] = 100
    """Stop the run after so many abandoned rounds without a completed one."""
