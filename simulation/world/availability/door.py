"""The door for sources of availability. To add one: a module with a `KIND` like `model`'s, and a line here."""

from typing import TYPE_CHECKING

from typefleet.doors import Door

if TYPE_CHECKING:
    from simulation.world.availability.base import Availability

AVAILABILITY: "Door[Availability]" = Door(
    "source of availability",
    "typefleet.availability",
    {
        "model": "simulation.world.availability.model:KIND",
        "recorded": "simulation.world.availability.recorded:KIND",
    },
    needs=("num_phones", "utc_offset_h", "eligible_share", "sessions_around", "eligible_until"),
)
"""`make(settings, facts)` gives the source; `facts` are `base.WorldFacts`."""
