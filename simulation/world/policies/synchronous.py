"""Synchronous rounds: a round closes when the goal is reached, or at its deadline."""

from simulation.world.attempts import Attempts
from simulation.world.policies.base import Closing, RoundSettings, SuccessiveRounds
from typefleet.doors import Kind


class Synchronous(SuccessiveRounds):
    """The first `goal` reports count; later ones of the round are unused, and those after the deadline late."""

    @property
    def most_reports(self) -> int:
        """The goal: later reports are unused."""
        return self.timeline.cohort.goal

    def close(self, arrivals: Attempts, deadline_s: float) -> Closing:
        """With the report that reaches the goal."""
        goal = self.timeline.cohort.goal
        if len(arrivals.end_s) < goal:
            return Closing(len(arrivals.end_s), deadline_s)
        return Closing(goal, float(arrivals.end_s[goal - 1]))


KIND = Kind("synchronous", "a round closes when the goal is reached", make=Synchronous, settings=RoundSettings)
