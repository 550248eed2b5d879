"""What becomes of phones that begin to train: how long they take and what stops them.

An attempt downloads the model, trains on the phone's text, and uploads the update; an upload that breaks
off is tried again. It ends early when its owner picks the phone up, or takes it off the charger or the
Wi-Fi (its eligible session ends), when its training fails, when the last upload broke off, or when its owner takes back
the consent to train before the update is there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.keyed_random import purpose_key, uniform
from simulation.world.check_ins import CheckIns
from simulation.world.config import FleetConfig
from simulation.world.devices import Devices

DONE, FAILED, INELIGIBLE, UPLOAD_FAILED = range(4)
WITHDRAWN = 5  # 4 is a policy's own, and checkpoints have it


@dataclass(frozen=True)
class Attempts:
    """The attempts of several phones; all arrays are aligned."""

    phone: NDArray[np.int64]  # [attempts]
    tokens: NDArray[np.int64]  # [attempts], trained on
    end_s: NDArray[np.float64]  # [attempts], when it is over, by success or not
    outcome: NDArray[np.int64]  # [attempts], DONE, FAILED, INELIGIBLE, UPLOAD_FAILED or WITHDRAWN

    def pick(self, chosen: NDArray[Any]) -> "Attempts":
        """Some of them, by index or mask."""
        return Attempts(self.phone[chosen], self.tokens[chosen], self.end_s[chosen], self.outcome[chosen])

    def count(self, outcome: int) -> int:
        """How many ended so."""
        return int((self.outcome == outcome).sum())


def resolve_attempts(
    began: CheckIns,
    now_s: float,
    tokens: NDArray[np.int64],
    *,
    devices: Devices,
    world: FleetConfig,
    model_bytes: int,
    uploads: bool = True,
    seed: int,
    counters: tuple[int, ...],
    upload_bytes: int | None = None,
    extra_s: float = 0.0,
    withdrawn_s: NDArray[np.float64] | None = None,
) -> Attempts:
    """Let phones train, each at its own speed.

    Args:
        began: the phones, and when each one's session ends.
        now_s: when they begin.
        tokens: int64 [attempts], what each trains on.
        devices, world: speeds; shares of failures.
        model_bytes: size of the download, and of the upload unless it has its own.
        uploads: whether an update is uploaded at once; if not, an attempt ends with the training.
        seed, counters: key of the failures; a phone's next attempt needs others.
        upload_bytes: size of the upload.
        extra_s: of computing besides training, on a phone that trains at the settings' median speed; on another one in
            proportion.
        withdrawn_s: float64 [attempts], when each owner takes back the consent to train; inf: never. None: nobody.
    """
    phone = began.phone
    trained_s = (
        now_s + model_bytes / devices.download_bytes_per_s[phone] + tokens * devices.train_s_per_token[phone]
    )  # [attempts]
    if extra_s:
        trained_s = trained_s + extra_s * devices.train_s_per_token[phone] / world.train_s_per_token_median
    upload_size = model_bytes if upload_bytes is None else upload_bytes
    upload_s = uploads * upload_size / devices.upload_bytes_per_s[phone]  # [attempts]
    keys = np.array([[purpose_key(seed, purpose, *counters)] for purpose in ("failure", "upload")])
    fate, luck = uniform(keys, phone)  # [attempts] each
    fails = fate < world.failure_share
    # Of independent tries, the first n all break off with probability share^n.
    share = world.upload_failure_share
    tries = 1 + sum((luck < share**n).astype(np.int64) for n in range(1, world.upload_tries))
    breaks_off = uploads & (luck < share**world.upload_tries)
    end_s = np.where(fails, trained_s, trained_s + tries * upload_s)
    outcome = np.where(fails, FAILED, np.where(breaks_off, UPLOAD_FAILED, DONE))
    interrupted = end_s > began.until_s
    end_s, outcome = np.where(interrupted, began.until_s, end_s), np.where(interrupted, INELIGIBLE, outcome)
    if withdrawn_s is not None:  # an update that comes at that very moment is not taken
        gone = withdrawn_s <= end_s
        end_s, outcome = np.where(gone, withdrawn_s, end_s), np.where(gone, WITHDRAWN, outcome)
    return Attempts(phone, tokens, end_s, outcome)
