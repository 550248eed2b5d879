"""The lines of a privacy ledger: their form, the chain that holds them together, and reading them back.

A line is taken only with exactly the fields that it has, each of its kind, and with the hash of the line before it.
"""

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from typefleet.errors import InputError, expected
from typefleet.untrusted.own_json import json_kind, parse_json, read_lines

# What lines have, and of which kind.
_CHAIN = {"release": int, "previous": str, "hash": str}
_FIRST = {"plan": dict}
_RELEASE = {"round": int, "reports": int, "participants": str, "spent": dict, "epsilon_is_of": str}


class LedgerError(InputError):
    """A ledger that does not fit the run, or was changed."""


@dataclass(frozen=True)
class PrivacySpent:
    """What the participations so far cost."""

    releases: int
    max_participations: int
    min_separation_rounds: int | None  # None while no phone took part twice
    zcdp_rho: float | None  # None, as all below, without privacy
    epsilon: float | None  # by Renyi orders, an upper bound
    delta: float | None


def encode_labels(labels: NDArray[np.uint64]) -> str:
    """Base64 of sorted little-endian 64-bit labels."""
    return base64.b64encode(np.sort(labels).astype("<u8").tobytes()).decode("ascii")


def decode_labels(text: str) -> NDArray[np.uint64]:
    """Inverse of `encode_labels`."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<u8")


def chained(entry: dict[str, Any], previous: str) -> dict[str, Any]:
    """A line with the hash of the line before it, and its own."""
    body = {**entry, "previous": previous}
    return {**body, "hash": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()}


def read_ledger(path: Path) -> tuple[list[dict[str, Any]], int | None]:
    """All whole lines, verified; and their bytes, if a last line without its newline follows them, else None.

    Raises:
        LedgerError: the file cannot be read, is another one, or was edited.
    """
    entries: list[dict[str, Any]] = []
    whole_bytes = 0
    for number, content, is_whole in read_lines(path, "a privacy ledger", LedgerError):
        if not is_whole:
            return entries, whole_bytes
        where = f"{path}:{number}"
        entry = _entry(parse_json(content, where, "a ledger line", LedgerError), where, is_first=not entries)
        body = {name: value for name, value in entry.items() if name not in ("previous", "hash")}
        previous = entries[-1]["hash"] if entries else ""
        intact = entry == chained(body, entry["previous"])
        if not intact or entry["previous"] != previous or entry["release"] != number - 1:
            raise LedgerError(expected(where, "an unbroken chain", "an edited or missing line"))
        entries.append(entry)
        whole_bytes += len(content) + 1
    return entries, None


def _entry(found: Any, where: str, is_first: bool) -> dict[str, Any]:
    """A line with all that such a line has, and nothing else, each of its kind.

    Raises:
        LedgerError: it is another one.
    """
    kinds = _CHAIN | (_FIRST if is_first else _RELEASE)
    if not isinstance(found, dict):
        raise LedgerError(expected(where, "a ledger line", json_kind(found)))
    if found.keys() != kinds.keys():
        absent = next((name for name in kinds if name not in found), None)
        raise LedgerError(expected(where, "a ledger line", f"no {absent}" if absent else "something that none has"))
    for name, kind in kinds.items():
        if type(found[name]) is not kind:
            raise LedgerError(expected(where, "a ledger line", f"{name} of another kind"))
        if kind is int and found[name] < 0:
            raise LedgerError(expected(where, "a ledger line", f"{name} below 0"))
    if not is_first:
        _require_spent(found["spent"], where)
    return found


def _require_spent(spent: dict[str, Any], where: str) -> None:
    types = get_type_hints(PrivacySpent)
    if spent.keys() != types.keys():
        raise LedgerError(expected(where, "what was spent", "other values"))
    for name, hint in types.items():
        kinds = get_args(hint) or (hint,)
        value = spent[name]
        if type(value) not in kinds and not (type(value) is int and float in kinds):
            raise LedgerError(expected(where, "what was spent", f"{name} of another kind"))
        if value is not None and value < 0:
            raise LedgerError(expected(where, "what was spent", f"{name} below 0"))


def participants_of(path: Path | None, entry: dict[str, Any]) -> NDArray[np.uint64]:
    """The labels of a release.

    Raises:
        LedgerError: they are none, another number than was reported, or a phone is there twice, which would be counted
            once.
    """
    where, what = f"{path}:{entry['release'] + 1}", "the participants of a release"
    try:
        labels = decode_labels(entry["participants"])
    except (binascii.Error, ValueError) as error:
        raise LedgerError(expected(where, what, "a damaged list")) from error
    if len(labels) != entry["reports"]:
        raise LedgerError(expected(where, f"{what}, as many as reported", f"{len(labels)}"))
    if (labels[1:] <= labels[:-1]).any():
        raise LedgerError(expected(where, f"{what}, in their order, each once", "others"))
    return labels


def cut_off(path: Path, whole_bytes: int) -> None:
    """Take off a last line that was never a release."""
    with path.open("r+b") as file:
        file.truncate(whole_bytes)
        os.fsync(file.fileno())
