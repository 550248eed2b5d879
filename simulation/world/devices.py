"""How fast each phone is and what memory it has.

Measured, and used here as shapes around settings of the median:

* training speed: quantiles of the inference time of 403 phone models (AI Benchmark, Ignatov et al.,
  arXiv:1910.06663; quartiles 14, 30 and 194 ms: a quarter needs more than 6 times the median). The
  median is a setting; training an LSTM of about this size in batches of 20 or 50 took 2 to 11 ms a
  token on three phones from 2014 to 2019;
* memory: of the 161 of them whose memory is known; its rank correlation with speed is 0.73;
* network: 19 phones in the FLASH data set (Yang et al., WWW 2021): medians 4.3 and 3.3 MB/s down and up,
  and a correlation of 0.45 between the two logarithms.

How the network goes with the tier of the device was not measured; it is a setting. A Gaussian copula
joins the four: every phone has a rank in each, and the ranks are correlated.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import scipy  # its parts are imported when they are first used
from numpy.typing import NDArray

from client_model.keyed_random import purpose_key, uniform
from simulation.world.config import FleetConfig

TIERS = ("low", "mid", "high")
TIER_BOUNDS_GB = (4.0, 8.0)  # of memory: below the first, below the second, the rest

# Share of phones that are faster -> their time over the median time.
_SHARE = (0.0, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
_RATIO = (0.14, 0.147, 0.194, 0.30, 0.33, 0.367, 0.433, 0.467, 0.567, 0.633, 0.733, 0.867, 1.0)
_SLOW_SHARE = (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99, 1.0)
_SLOW_RATIO = (1.27, 2.22, 4.30, 5.52, 6.47, 6.87, 8.09, 9.36, 11.2, 18.2, 23.1, 26.9)
_MEMORY_GB = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
_MEMORY_COUNT = (3, 3, 6, 60, 49, 35, 5)
_SPEED_MEMORY = 0.78  # of the copula; with memory in so few steps this gives the rank correlation of 0.73
_DOWN_UP = 0.45

Floats = NDArray[np.float64]


class Devices(NamedTuple):
    """The hardware of a fleet."""

    train_s_per_token: Floats  # [phones]
    download_bytes_per_s: Floats  # [phones]
    upload_bytes_per_s: Floats  # [phones]
    memory_gb: Floats  # [phones]

    @property
    def tier(self) -> NDArray[np.int64]:
        """int64 [phones], index into TIERS."""
        return np.searchsorted(TIER_BOUNDS_GB, self.memory_gb, "right")


def draw_devices(
    config: FleetConfig, num_phones: int, seed: int, known: Mapping[str, Floats] = MappingProxyType({})
) -> Devices:
    """Draw the hardware of a fleet.

    Args:
        config: medians and spreads.
        num_phones: size of the fleet.
        seed: key of the draws.
        known: what is known instead, by field of `Devices`: float64 [phones], NaN where nothing is.
    """
    phones = np.arange(num_phones)

    def normal(purpose: str) -> Floats:
        rank: Floats = scipy.special.ndtri(uniform(purpose_key(seed, purpose), phones))
        return rank

    tier = normal("device tier")  # high is good

    def joined(purpose: str, correlation: float, common: Floats = tier) -> Floats:
        ranks: Floats = correlation * common + np.sqrt(1 - correlation**2) * normal(purpose)
        return ranks

    own = np.sqrt(_SPEED_MEMORY)  # so that speed and memory, which share the tier, correlate by its square
    slowness = -joined("training speed", own)
    memory = _memory_of(scipy.special.ndtr(joined("memory", own)))
    network = joined("network", config.tier_network_correlation)
    spread = config.network_log_std
    down = np.exp(spread * joined("download speed", np.sqrt(_DOWN_UP), network))
    up = np.exp(spread * joined("upload speed", np.sqrt(_DOWN_UP), network))
    drawn = {
        "train_s_per_token": config.train_s_per_token_median * _slowdown(config, slowness),
        "download_bytes_per_s": config.download_kbytes_per_s_median * down * 1e3,
        "upload_bytes_per_s": config.upload_kbytes_per_s_median * up * 1e3,
        "memory_gb": memory,
    }
    for name, values in known.items():
        drawn[name] = np.where(np.isnan(values), drawn[name], values)
    return Devices(**drawn)


def _slowdown(config: FleetConfig, slowness: Floats) -> Floats:
    """Time over the median time, of standard normal ranks."""
    if config.speed_spread == "log-normal":
        times: Floats = np.exp(config.train_s_per_token_log_std * slowness)
        return times
    shares, ratios = (*_SHARE, *_SLOW_SHARE), (*_RATIO, *_SLOW_RATIO)
    return np.exp(np.interp(scipy.special.ndtr(slowness), shares, np.log(ratios)))


def _memory_of(rank: Floats) -> Floats:
    bounds = np.cumsum(_MEMORY_COUNT)[:-1] / sum(_MEMORY_COUNT)
    return np.array(_MEMORY_GB)[np.searchsorted(bounds, rank)]
