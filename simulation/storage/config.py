"""Settings of what a run keeps on disk."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StorageConfig:
    """Encryption at rest; nothing here changes a result."""

    key: str | None = None
    """Encrypt tokenised text, checkpoints, the noise's secret and counts of single phones with the key at this place: the
    path of a file of 64 hexadecimal digits, env:NAME, passphrase:NAME (of a variable), or passphrase: to be asked. See
    docs/data_protection.md."""
