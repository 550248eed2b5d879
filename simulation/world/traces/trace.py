"""Recorded availability: what phones really did.

A trace says for each device when it was observed and when, in that time, it was eligible. Outside a
device's observed span its state is unknown, which is not the same as not eligible.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from typefleet.errors import ConfigError

PROPERTIES = (
    "train_s_per_token",
    "relative_train_s",
    "download_kbytes_per_s",
    "upload_kbytes_per_s",
    "memory_gb",
    "utc_offset_h",
)

Floats = NDArray[np.float64]


class TraceError(ConfigError):
    """A trace that cannot be used; the message names file and line."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Recorded devices; times are seconds since midnight of the first observed day."""

    source: str
    device_ids: tuple[str, ...]
    device: NDArray[np.int64]  # [sessions], index into device_ids; sorted, then by start
    start_s: Floats  # [sessions]
    end_s: Floats  # [sessions]
    observed_from_s: Floats  # [devices]
    observed_to_s: Floats  # [devices]
    properties: Mapping[str, Floats] = field(default_factory=dict)  # [devices] each; NaN where not known

    @property
    def eligible_share(self) -> Floats:
        """float64 [devices]: share of its observed time that each was eligible."""
        eligible = np.bincount(self.device, self.end_s - self.start_s, minlength=len(self.device_ids))
        return eligible / (self.observed_to_s - self.observed_from_s)
