"""A model of consent: shares that agree, regions that differ, a rate of withdrawal, and a wave after an event.

The owner of phone i agrees to purpose p from the start with probability min(share_p x factor of the region, 1). Who
agrees takes it back at the earlier of two moments:

* that of a constant hazard of -ln(1 - a) a day, a being the share that does within a day, so that the share that
  still agrees after t days is (1 - a)^t;
* for a share of the owners, that of a wave: the event's day and an exponentially distributed delay.

Every draw is a hash of (seed, what it is for, phone): it does not depend on the size of the fleet, and who agrees under
a smaller share agrees under a larger one as well. Nobody agrees again; a file can say that somebody does.
"""

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import purpose_key, uniform
from simulation.clock import DAY_S
from simulation.world.consent.config import PURPOSES, TRAIN, ConsentConfig
from simulation.world.consent.times import Consents, ConsentTimes

Floats = NDArray[np.float64]


def modelled_consents(config: ConsentConfig, seed: int, utc_offset_h: Floats) -> Consents:
    """The consents of a fleet under the settings of the model.

    Args:
        config: shares, regions, withdrawals.
        seed: key of the draws.
        utc_offset_h: float64 [phones], the region of each.
    """
    phones = np.arange(len(utc_offset_h))
    factor = np.ones(len(phones))
    for region_h, of_region in zip(config.regions_h, config.region_factors, strict=True):
        factor[utc_offset_h == region_h] = of_region
    withdrawn_s = _withdrawn_s(config, seed, phones)
    never_s = np.full(len(phones), np.inf)
    times = {}
    for purpose in PURPOSES:
        share = getattr(config, f"{purpose}_share") * factor  # [phones]
        agrees = uniform(purpose_key(seed, f"consent to {purpose}"), phones) < share
        ends_s = withdrawn_s if config.withdraws == "everything" or purpose == TRAIN else never_s
        # A withdrawal before the start: none of the model's, whose draws are above 0.
        times[purpose] = ConsentTimes(np.where(agrees, 0.0, np.inf), np.where(agrees, ends_s, -np.inf))
    return Consents(times, _origin(config))


def _withdrawn_s(config: ConsentConfig, seed: int, phones: NDArray[np.int64]) -> Floats:
    """float64 [phones]: simulated second at which each owner takes back what it agreed to; inf: never."""
    moment = np.full(len(phones), np.inf)
    if config.withdrawn_a_day > 0:
        hazard = -np.log1p(-config.withdrawn_a_day)  # a day
        moment = -np.log(uniform(purpose_key(seed, "withdrawal of consent"), phones)) / hazard
    if config.wave_day is not None:
        taken = uniform(purpose_key(seed, "share of a wave of withdrawals"), phones) < config.wave_share
        delay = -np.log(uniform(purpose_key(seed, "delay in a wave of withdrawals"), phones)) * config.wave_mean_days
        moment = np.minimum(moment, np.where(taken, config.wave_day + delay, np.inf))
    return moment * DAY_S


def _origin(config: ConsentConfig) -> str:
    said = [f"{100 * config.train_share:g} % agree to training"]
    if config.regions_h:
        said.append(f"{len(config.regions_h)} regions differ")
    if config.withdrawn_a_day:
        said.append(f"{100 * config.withdrawn_a_day:g} % of who agrees withdraw a day")
    if config.wave_day is not None:
        said.append(f"{100 * config.wave_share:g} % in a wave from day {config.wave_day:g} on")
    return f"model: {', '.join(said)}"
