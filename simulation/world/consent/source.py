"""The consents that the settings ask for."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulation.world.consent.config import ConsentConfig
from simulation.world.consent.file import read_consents
from simulation.world.consent.labels import PhoneLabels
from simulation.world.consent.model import modelled_consents
from simulation.world.consent.times import Consents

ConsentSource: TypeAlias = Callable[[NDArray[np.float64]], Consents | None]
"""(utc_offset_h, [phones]) -> the consents of these phones; None: everybody agrees to all, always."""


def consent_source(config: ConsentConfig, seed: int, labels: Callable[[], PhoneLabels]) -> ConsentSource:
    """What makes the consents of a fleet.

    Args:
        config: the settings.
        seed: key of what is drawn.
        labels: of the phones; asked for where a file names them.
    """

    def consents(utc_offset_h: NDArray[np.float64]) -> Consents | None:
        if not config.is_simulated:
            return None
        if config.path is not None:
            return read_consents(config.path, labels())
        return modelled_consents(config, seed, utc_offset_h)

    return consents
