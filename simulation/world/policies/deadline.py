"""Rounds by deadline: a round is always as long, and all that came in time count."""

from simulation.world.attempts import Attempts
from simulation.world.policies.base import Closing, RoundSettings, SuccessiveRounds
from typefleet.doors import Kind


class Deadline(SuccessiveRounds):
    """All reports in time count, more than the goal among them; the sum is divided by the goal all the same."""

    @property
    def most_reports(self) -> int:
        """As many as are invited."""
        return self.wanted

    def close(self, arrivals: Attempts, deadline_s: float) -> Closing:
        """At the deadline."""
        return Closing(len(arrivals.end_s), deadline_s)


KIND = Kind("deadline", "a round closes at its deadline", make=Deadline, settings=RoundSettings)
