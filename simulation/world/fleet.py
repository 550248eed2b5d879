"""The phones as arrays: when they are eligible, how fast they are, and who may train."""

import numpy as np
from numpy.typing import NDArray

from simulation.world.availability import AvailabilityModel
from simulation.world.config import FleetConfig
from simulation.world.devices import draw_devices
from simulation.world.recorded import RecordedAvailability
from simulation.world.sessions import Availability, CheckInCalendar, CheckIns
from simulation.world.traces.trace import Trace


class Fleet:
    """All simulated phones, one row each.

    Attributes:
        config: the settings it was made with.
        seed: key of everything random about it.
        availability: when phones are eligible.
        devices: their speeds and memory.
        origin: where the availability comes from, for a reader.
        may_train: bool [phones]; False for held-out phones and those below the memory floor, which never
            check in.
    """

    def __init__(
        self,
        config: FleetConfig,
        num_phones: int,
        seed: int,
        training_phones: NDArray[np.int64],
        trace: Trace | None = None,
    ) -> None:
        """Set up the fleet.

        Raises:
            TraceError: the trace is too short.
        """
        self.config, self.num_phones, self.seed = config, num_phones, seed
        self.availability: Availability
        if trace is None:
            self.availability, device, self.origin = AvailabilityModel(config, num_phones, seed), None, "built-in model"
        else:
            self.availability = recorded = RecordedAvailability(trace, config, num_phones, seed)
            device = recorded.device
            too_short = f" ({recorded.left_out:,} more were observed for too short)" if recorded.left_out else ""
            self.origin = f"{len(trace.device_ids) - recorded.left_out:,} devices of {trace.source}{too_short}"
        self.devices = draw_devices(config, num_phones, seed, trace, device)
        self.may_train = np.zeros(num_phones, bool)
        self.may_train[training_phones] = True
        self.may_train &= self.devices.memory_gb >= config.memory_floor_gb
        self._calendar = CheckInCalendar(self.availability, self.may_train)

    def check_ins(self, now_s: float) -> CheckIns:
        """Training phones that are eligible now."""
        return self._calendar.at(now_s)
