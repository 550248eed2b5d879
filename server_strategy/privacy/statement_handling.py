"""What the statement says of consent, and of encryption at rest: as both were in the run."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Origin: TypeAlias = Literal["nobody", "file", "model"]
KeyPlace: TypeAlias = Literal["none", "file", "variable", "passphrase"]

_NOT_ASKED = (
    "Nobody was asked for consent: every phone's owner counts as having agreed to training, to being measured, to a "
    "model of their own and to records of their phone."
)
_ORIGINS = {"file": "what a file says of each owner", "model": "drawn for each owner from a model with a seed"}
_STAYS = "What was released before an owner withdrew still has that phone's updates in it."
_OTHERS = "Consents to other purposes are in participation.json, in the run's own folder."
_PLAIN = (
    "What the run kept was not encrypted: tokenised text, checkpoints and counts of single phones lie plain in files "
    "that their owner alone may read."
)
_KEYS = {"file": "a file", "variable": "a variable of the environment", "passphrase": "a passphrase (scrypt)"}


@dataclass(frozen=True)
class Handling:
    """How a run dealt with consent, and with what it keeps.

    Attributes:
        consents: where consents come from; `nobody`: nobody was asked.
        agree_at_start, agree_at_end: shares of the phones that may train whose owners agree to that; None as above.
        updates_withdrawn: that were left out of sums since the owner withdrew before; None as above.
        storage_key: where the key is, by which what the run keeps is encrypted; `none`: it is not.
    """

    consents: Origin = "nobody"
    agree_at_start: float | None = None
    agree_at_end: float | None = None
    updates_withdrawn: int | None = None
    storage_key: KeyPlace = "none"


def handling_json(handling: Handling | None) -> dict[str, Any]:
    """Its part of privacy.json; empty for a run of an earlier version, which did not tell."""
    if handling is None:
        return {}
    return {"handling": {"consent": _consent(handling), "at_rest": _at_rest(handling)}}


def handling_markdown(handling: Handling | None) -> list[str]:
    """Its section of privacy.md; none where it was not told."""
    if handling is None:
        return []
    return ["## Consent, and what was kept", "", f"- {_consent(handling)}", f"- {_at_rest(handling)}", ""]


def _consent(handling: Handling) -> str:
    if handling.consents == "nobody":
        return _NOT_ASKED
    shares = [
        "unknown" if one is None else f"{100 * one:.1f} %" for one in (handling.agree_at_start, handling.agree_at_end)
    ]
    gone = handling.updates_withdrawn or 0
    number = "No update was" if gone == 0 else "1 update was" if gone == 1 else f"{gone:,} updates were"
    updates = f"{number} left out since the owner withdrew before the sum was there"
    return (
        f"Consent is {_ORIGINS[handling.consents]}. The owners of {shares[0]} of the phones that may train agreed to "
        f"training when the run began, and of {shares[1]} when this was written; who did not agree was not asked to "
        f"train. {updates}. {_STAYS} {_OTHERS}"
    )


def _at_rest(handling: Handling) -> str:
    if handling.storage_key == "none":
        return _PLAIN
    return (
        "Tokenised text, checkpoints, the secret of the noise and counts of single phones were encrypted at rest "
        f"(AES-256-GCM), with a key of the run's own that a storage key from {_KEYS[handling.storage_key]} wraps. All "
        "else that the run wrote is plain: model, statement, ledger, sums over phones and figures of groups."
    )
