"""Keys of those who sign releases, as files of the folder of keys: `signers/NAME.key` and `signers/NAME.pub`."""

from collections.abc import Sequence

from typefleet.errors import ConfigError, expected
from typefleet.signing.algorithms import has_ml_dsa, new_key
from typefleet.signing.key_files import ROLES, Role, Signer, SigningKey, private_content, public_content, require_holder

FLAG = "--signers"


def signer_contents(signers: Sequence[str], passphrase: str | None, hybrid: bool) -> list[tuple[Signer, bytes, bytes]]:
    """New keys, each with (its holder, the content of the private file, that of the public one).

    Args:
        signers: texts such as `privacy-officer:eve`.
        passphrase: place of the one that keeps the private files; None: none does.
        hybrid: refuse to make keys for Ed25519 alone; without, they are for ML-DSA-65 as well where its package is.

    Raises:
        ConfigError: a text is no signer, there is no passphrase at its place, or no package for ML-DSA-65.
    """
    found = []
    for holder, role in _roles_of(signers).items():
        private = new_key(hybrid=hybrid or has_ml_dsa())
        signer = Signer(role, holder, private.public)
        found.append((signer, private_content(SigningKey(signer, private), passphrase), public_content(signer)))
    return found


def _roles_of(signers: Sequence[str]) -> dict[str, Role]:
    """Roles by holder."""
    found: dict[str, Role] = {}
    for text in signers:
        name, colon, holder = text.partition(":")
        role = next((one for one in ROLES if one == name), None)
        if role is None or not colon:
            raise ConfigError(expected(FLAG, f"ROLE:NAME, with a role of {', '.join(ROLES)}", "another text"))
        require_holder(holder, FLAG)
        if holder.casefold() in map(str.casefold, found):
            raise ConfigError(expected(FLAG, "each name once, since nobody has two roles", "one twice"))
        found[holder] = role
    return found
