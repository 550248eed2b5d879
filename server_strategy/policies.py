"""The door for round policies: when a round closes, and whose updates are in it.

The strategy itself asks a `cohorts.CohortSource` and knows no policy; the names are here because the settings of the
cohort hold one. Who resolves rounds lets the kinds in, see `simulation.world`.
"""

from typing import Any

from typefleet.doors import Door

POLICIES: Door[Any] = Door(
    "round policy",
    "typefleet.policies",
    {},
    needs=("most_reports", "max_staleness", "weighting", "plan_round", "state", "load_state"),
)
"""`make(settings, timeline)` gives a `simulation.world.policies.base.RoundPolicy`."""
