"""What a run's statement says of consent and of encryption at rest, from what the run has and not from its settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server_strategy.privacy.statement_handling import Handling, KeyPlace
from simulation.config import RunConfig
from typefleet.sealed.envelope import is_encrypted

_PLACES: dict[str, KeyPlace] = {"env": "variable", "passphrase": "passphrase"}


def handling_of(config: RunConfig, root: Path, consent: Mapping[str, Any] | None) -> Handling:
    """How a run dealt with consent, and with what it keeps.

    Args:
        config: its settings.
        root: its folder, which has a key if it is encrypted.
        consent: shares that agree, and updates that withdrawals took out of sums; None: everybody agrees to all.
    """
    key = config.storage.key
    kind, named, _ = ("" if key is None else key).partition(":")
    place = _PLACES.get(kind, "file") if named else "file"
    storage_key: KeyPlace = place if is_encrypted(root) else "none"
    if consent is None:
        return Handling(storage_key=storage_key)
    return Handling(
        consents="model" if config.consent.path is None else "file",
        agree_at_start=consent["train_share_at_start"],
        agree_at_end=consent["train_share"],
        updates_withdrawn=consent["updates_withdrawn"],
        storage_key=storage_key,
    )
