"""The phones as arrays: when they are eligible and how fast they are."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from client_model.keyed_random import purpose_key, uniform
from simulation.availability import AvailabilityModel
from simulation.config import FleetConfig


class CheckIns(NamedTuple):
    """Phones that could be invited at one moment."""

    phone: NDArray[np.int64]  # [checked in], sorted
    until_s: NDArray[np.float64]  # [checked in], when each stops being eligible


class Fleet:
    """All simulated phones, one row each.

    Attributes:
        availability: when phones are eligible.
        train_s_per_token, download_bytes_per_s, upload_bytes_per_s: float64 [phones].
        may_train: bool [phones]; False for held-out phones, which never check in.
    """

    def __init__(self, config: FleetConfig, num_phones: int, seed: int, training_phones: NDArray[np.int64]) -> None:
        self.num_phones = num_phones
        self.availability = AvailabilityModel(config, num_phones, seed)

        def log_normal(purpose: str, median: float, log_std: float) -> NDArray[np.float64]:
            normal = ndtri(uniform(purpose_key(seed, purpose), np.arange(num_phones)))
            return median * np.exp(log_std * normal)

        self.train_s_per_token = log_normal(
            "training speed", config.train_s_per_token_median, config.train_s_per_token_log_std
        )
        self.download_bytes_per_s = log_normal(
            "download speed", config.download_kbytes_per_s_median * 1e3, config.network_log_std
        )
        self.upload_bytes_per_s = log_normal(
            "upload speed", config.upload_kbytes_per_s_median * 1e3, config.network_log_std
        )
        self.may_train = np.zeros(num_phones, bool)
        self.may_train[training_phones] = True

    def check_ins(self, now_s: float, may_participate: NDArray[np.bool_]) -> CheckIns:
        """Training phones that are eligible now and admitted by the participation rule."""
        phone, until_s = self.availability.eligible_until(now_s)
        admitted = self.may_train[phone] & may_participate[phone]
        return CheckIns(phone[admitted], until_s[admitted])
