"""Settings of the server: how many phones a round needs, and how often one may take part."""

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

from server_strategy.policies import POLICIES
from typefleet.doors import FLAT, KindSettings, SettingsOf


@dataclass(frozen=True)
class CohortConfig:
    """Who takes part in a round, and when it closes."""

    goal: Annotated[int, Ge(1)] = 20
    """Reports a round waits for; the update sum is always divided by this number."""
    # In quotes, so that it is looked at when flags are made, and lists the policies let in by then.
    policy: "Annotated[str, POLICIES.choice]" = "synchronous"
    """A round closes when the goal is reached (synchronous), or always at its deadline; or phones train all the
    time and each `goal` updates make a release (buffered)."""
    policy_settings: Annotated[KindSettings, SettingsOf("policy", POLICIES), FLAT] = KindSettings()
    """Of the policy itself."""
    minimum_report_share: Annotated[float, Gt(0), Le(1)] = 0.8
    """A round with fewer reports than this share of the goal is abandoned."""
    min_separation_rounds: Annotated[int, Ge(1)] = 20
    """A phone that took part in a completed round may next take part in the one this many completed rounds (releases)
    later. Abandoned rounds do not count: they bring nobody back."""
    max_participations: Annotated[int | None, Ge(1)] = None
    """A phone takes part at most this many times; by default as often as the separation allows."""
    min_separation_h: Annotated[float, Ge(0)] = 0.0
    """A phone that trained is not invited again for this many hours."""
    max_attempts_per_day: Annotated[int | None, Ge(1)] = None
    """A phone is invited at most this many times in a day of its own clock."""
    check_in_interval_s: Annotated[float, Ge(0)] = 0.0
    """Pace steering: a phone that was not needed, or dropped out, is told to come back after about this long
    (half to one and a half times); 0: it stays connected."""
    max_abandoned_in_a_row: Annotated[int, Ge(1)] = 100
    """Stop the run after this many abandoned rounds without a completed one."""

    @property
    def minimum_reports(self) -> int:
        """A round with fewer reports is abandoned."""
        return math.ceil(self.minimum_report_share * self.goal)
