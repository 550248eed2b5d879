"""The flags of commands that want a release to be signed by role."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typefleet.errors import ConfigError, expected
from typefleet.signing.key_files import Role, read_trusted

if TYPE_CHECKING:
    from simulation.run.release_signatures import Wanted


@dataclass(frozen=True)
class SignedRelease:
    """Who has to have signed a release."""

    signatures: tuple[Role, ...] = ()
    """Roles that have to have signed what is here: trainer, privacy-officer, auditor."""
    keys: Path | None = None
    """TOML file with the public keys that are trusted, each for a role: files NAME.pub one after another."""
    hybrid: bool = False
    """Refuse what is signed, or can be verified here, by Ed25519 alone and not by ML-DSA-65 as well."""

    def wanted(self) -> "Wanted | None":
        """What the flags ask for; None if for nothing.

        Raises:
            ConfigError: one of them needs another, or the keys cannot be used.
            SignatureError: what stands for a key is none.
        """
        if not self.signatures:
            if self.keys is not None or self.hybrid:
                raise ConfigError(expected("--release.signatures", "the roles that have to have signed", "none"))
            return None
        if self.keys is None:
            raise ConfigError(expected("--release.keys", "the file of public keys that are trusted", "none"))
        if len(set(self.signatures)) < len(self.signatures):
            raise ConfigError(expected("--release.signatures", "each role once", "one twice"))
        from simulation.run.release_signatures import Wanted

        return Wanted(self.signatures, read_trusted(self.keys), self.hybrid)
