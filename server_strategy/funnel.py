"""The funnel of a round: what became of the phones that were asked, and when.

The server only passes it on; who resolves the round fills it in. A policy of one's own that has more to say derives a
dataclass from `Funnel`, and its fields stand in rounds.jsonl beside these.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Funnel:
    """A round's phones by what became of them, and its moments in simulated seconds since the start of the run.

    invited = reported + dropped + late + unused, where no phone is carried over from one round into another.
    """

    invited: int
    dropped_failure: int  # training failed
    dropped_ineligible: int  # picked up, off the charger or off the Wi-Fi before the update was there
    dropped_upload: int  # the last try of the upload broke off
    late: int  # done after the deadline
    unused: int  # done in time, when the goal had been reached
    reported: int  # their updates are in the sum, if hosts answer
    closed_s: float
    checked_in: int  # phones to choose the invited ones from
    selection_s: float  # waiting for phones to check in, before opened_s
    opened_s: float
    simulated_date: str  # when the round closed
    withdrawn: int | None = None  # consent to train taken back before the sum was there; None: nobody can

    @property
    def dropped(self) -> int:
        """Phones that were invited and ended without an update, whatever the cause."""
        return self.dropped_failure + self.dropped_ineligible + self.dropped_upload + (self.withdrawn or 0)

    def as_line(self) -> dict[str, Any]:
        """What it adds to a line of rounds.jsonl; a field whose default is None is left out while it is None."""
        unsaid = {f.name for f in fields(self) if f.default is None and getattr(self, f.name) is None}
        return {name: value for name, value in asdict(self).items() if name not in unsaid}
