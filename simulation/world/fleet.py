"""The phones as arrays: when they are eligible, how fast they are, and who may train."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulation.world.availability.base import Availability, WorldFacts, check_availability
from simulation.world.availability.door import AVAILABILITY
from simulation.world.check_ins import CheckInCalendar, CheckIns, Free
from simulation.world.config import FleetConfig
from simulation.world.consent.config import TRAIN
from simulation.world.consent.source import ConsentSource
from simulation.world.consent.times import Consents
from simulation.world.devices import Devices, draw_devices
from typefleet.doors import chosen
from typefleet.errors import ConfigError, expected


class Fleet:
    """All simulated phones, one row each.

    Attributes:
        config: the settings it was made with.
        num_phones: phones in it.
        seed: key of everything random about it.
        availability: when phones are eligible.
        devices: their speeds and memory.
        origin: where the availability comes from, for a reader.
        may_train: bool [phones]; False for held-out phones and those below the memory floor, which never
            check in.
        consents: what the owners agree to over time; None: everybody agrees to all, always.
    """

    def __init__(
        self,
        config: FleetConfig,
        num_phones: int,
        seed: int,
        training_phones: NDArray[np.int64],
        *,
        availability: Availability | None = None,
        devices: Devices | None = None,
        consents: ConsentSource | None = None,
    ) -> None:
        """Set up the fleet.

        Args:
            config: settings.
            num_phones: phones in it.
            seed: key of everything random about it.
            training_phones: int64 [training phones], those that are not held out.
            availability: in the place of what `config.availability` names.
            devices: in the place of what would be drawn.
            consents: makes those of the owners, of the phones' time zones; None: everybody agrees to all.

        Raises:
            ConfigError: what was handed in is for another number of phones, or gives no sessions of theirs, or the
                settings cannot be used, or the file of consents.
            TraceError: the trace that they name cannot be used.
        """
        self.config, self.num_phones, self.seed = config, num_phones, seed
        if availability is None:
            kind, settings = chosen(config, "availability")
            facts = WorldFacts(num_phones, seed, config)
            self.availability: Availability = AVAILABILITY.made(kind, settings, facts)
            self.origin = self.availability.origin or kind.description
        else:
            self.availability = availability
            self.origin = availability.origin or type(availability).__qualname__
        self._require_phones("availability", self.availability.num_phones)
        if availability is not None or config.availability not in AVAILABILITY.built_in:
            check_availability(self.availability)
        self.devices = devices or draw_devices(config, num_phones, seed, self.availability.known_hardware)
        self._require_phones("devices", *map(len, self.devices))
        self.may_train = np.zeros(num_phones, bool)
        self.may_train[training_phones] = True
        self.may_train &= self.devices.memory_gb >= config.memory_floor_gb
        self.consents: Consents | None = None if consents is None else consents(self.availability.utc_offset_h)
        self._calendar = CheckInCalendar(self.availability, self.may_train)

    def _require_phones(self, what: str, *found: int) -> None:
        wrong = [n for n in found if n != self.num_phones]
        if wrong:
            raise ConfigError(expected(what, f"those of the fleet's {self.num_phones} phones", f"{wrong[0]} phones"))

    def check_ins(self, now_s: float, free: Free | None = None) -> CheckIns:
        """Training phones that are eligible now, whatever their owners agree to.

        Args:
            now_s: the moment.
            free: which of some phones are asked for; None: all.
        """
        return self._calendar.at(now_s, free)

    @property
    def files(self) -> tuple[Path, ...]:
        """What the fleet was read from; a run is resumed only while they are unchanged."""
        return (*self.availability.files, *(() if self.consents is None else self.consents.files))

    def withdrawn_s(
        self, phones: NDArray[np.int64], since_s: float | NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """float64 [len(phones)]: when consent to train ends that held at a moment; None where nobody's ever does.

        Args:
            phones: ids.
            since_s: the moment, or that of each phone.

        Returns:
            inf where it is never withdrawn, -inf where it did not hold.
        """
        return None if self.consents is None else self.consents.until_s(TRAIN, phones, since_s)

    def agree(self, purpose: str, phones: NDArray[np.int64], now_s: float) -> NDArray[np.bool_]:
        """bool [len(phones)]: whose owners agree to a purpose now."""
        return np.ones(len(phones), bool) if self.consents is None else self.consents.holds(purpose, phones, now_s)

    def agreeing(self, purpose: str, phones: NDArray[np.int64], now_s: float) -> NDArray[np.int64]:
        """Those of some phones whose owners agree to a purpose now, in their order."""
        return phones if self.consents is None else phones[self.consents.holds(purpose, phones, now_s)]
