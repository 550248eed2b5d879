"""The lines of a privacy ledger: their form, the chain that holds them together, and reading them back.

A line is taken only with exactly the fields that it has, each of its kind, and with the hash of the line before it.

The line of a release is bound to what was released:

| field | what |
|---|---|
| sum_digest | keyed BLAKE2b (RFC 7693) of the exact sum, of how many updates are in it and how many were short |
| weights_sha256 | SHA-256 of the weights that result |
| follows | the line, from 0, of the release before it on its way to the model |
| attempt | how many lines before it are of the same release: it counts the noise that was drawn for it |

Where phones add the noise, the server learns a noised sum as soon as it is unmasked. So a line is written before, of a
sum that is asked for, which the line of its release follows:

| field | what |
|---|---|
| sum | `asked`; `none` in a line that follows it and says that the masks stayed on, so that nobody learnt the sum |
| vectors_digest | keyed digest of the phones' noised vectors: whether it is the same sum, before anybody knows it |
| follows | the line of the release before it; of `none`, the line of the sum |

Where a run goes back, to be played on without phones whose owners want to be forgotten, a line says so. What is on
record before it and does not lead to the release it goes back to is of an earlier life of the run: it was released, and
is counted for good, but it is never made again, and noise and participations of the life that begins are its own:

| field | what |
|---|---|
| forgotten | how many phones the run is without from here on |
| round | after which it goes on |
| follows | the line of the release that it goes back to |
| record_lines | how many lines the record of phones to forget has |
| record_sha256 | the hash of the last of them |

The key of the digest stays with the run: without it nobody can try sums. Lines of earlier versions have no field of
these tables and bind nothing; their releases follow each other.
"""

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from typefleet.chained_log import chained as chained
from typefleet.errors import InputError, expected
from typefleet.untrusted.own_json import json_kind, parse_json, read_lines

# What lines have, and of which kind.
_CHAIN = {"release": int, "previous": str, "hash": str}
_FIRST = {"plan": dict}
_RELEASE = {"round": int, "reports": int, "participants": str, "spent": dict, "epsilon_is_of": str}
_BINDING = {"sum_digest": str, "weights_sha256": str, "follows": int, "attempt": int}
_SUM = {"sum": str, "follows": int}
_ASKED = {**_RELEASE, **_SUM, "vectors_digest": str}
_HIDDEN = {"round": int, **_SUM}
_BACK: dict[str, type] = {"forgotten": int, "round": int, "follows": int, "record_lines": int, "record_sha256": str}
ASKED, HIDDEN = "asked", "none"  # what is said of a sum
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LEDGER = b"typefleet ledger"
KEY_BYTES = 32


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
    repeated_releases: int = 0  # made again after a resume, of another sum; their cost is in the numbers above
    unreleased_sums: int = 0  # that the server learnt with the phones' noise, and that led to no model; in them too


class Binding(NamedTuple):
    """What a line says of the release itself."""

    sum_digest: str
    weights_sha256: str


class Record(NamedTuple):
    """How the record of phones to forget stands when a run goes on without them."""

    record_lines: int
    record_sha256: str  # of the last line


def digest_of_sum(key: bytes, total: NDArray[np.int64], *, clip_norm: float, reports: int, reports_below: int) -> str:
    """Keyed BLAKE2b of all that a release is computed from, 64 hexadecimal digits.

    Args:
        key: of the run, 32 bytes.
        total: the exact sum in fixed point, int64 [num_weights].
        clip_norm: its unit.
        reports: updates in it.
        reports_below: those whose norm was at most the clip norm.
    """
    digest = hashlib.blake2b(key=key, digest_size=32, person=_LEDGER)
    digest.update(json.dumps([clip_norm, reports, reports_below]).encode() + b"\n")
    digest.update(np.ascontiguousarray(total, "<i8").data)
    return digest.hexdigest()


def encode_labels(labels: NDArray[np.uint64]) -> str:
    """Base64 of sorted little-endian 64-bit labels."""
    return base64.b64encode(np.sort(labels).astype("<u8").tobytes()).decode("ascii")


def decode_labels(text: str) -> NDArray[np.uint64]:
    """Inverse of `encode_labels`."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<u8")


def read_ledger(path: Path) -> tuple[list[dict[str, Any]], int | None]:
    """All whole lines, verified; and their bytes, if a last line without its newline follows them, else None.

    Raises:
        LedgerError: the file cannot be read, is another one, or was edited.
    """
    entries: list[dict[str, Any]] = []
    places = _Places()
    whole_bytes = 0
    for number, content, is_whole in read_lines(path, "a privacy ledger", LedgerError):
        if not is_whole:
            return entries, whole_bytes
        where = f"{path}:{number}"
        entry = _entry(parse_json(content, where, "a ledger line", LedgerError), where, is_first=not entries)
        body = {name: value for name, value in entry.items() if name not in ("previous", "hash")}
        previous = entries[-1]["hash"] if entries else ""
        intact = entry == chained(body, entry["previous"])
        if not intact or entry["previous"] != previous or not places.has(entry, entries):
            raise LedgerError(expected(where, "an unbroken chain", "an edited or missing line"))
        entries.append(entry)
        places.take(entry, len(entries) - 1)
        whole_bytes += len(content) + 1
    return entries, None


def _entry(found: Any, where: str, is_first: bool) -> dict[str, Any]:
    """A line with all that such a line has, and nothing else, each of its kind.

    Raises:
        LedgerError: it is another one.
    """
    if not isinstance(found, dict):
        raise LedgerError(expected(where, "a ledger line", json_kind(found)))
    kinds = _CHAIN | (_FIRST if is_first else _kinds_of(found))
    if found.keys() != kinds.keys():
        absent = next((name for name in kinds if name not in found), None)
        raise LedgerError(expected(where, "a ledger line", f"no {absent}" if absent else "something that none has"))
    for name, kind in kinds.items():
        if type(found[name]) is not kind:
            raise LedgerError(expected(where, "a ledger line", f"{name} of another kind"))
        if kind is int and found[name] < 0:
            raise LedgerError(expected(where, "a ledger line", f"{name} below 0"))
    if "spent" in found:
        _require_spent(found["spent"], where)
    if not all(
        _DIGEST.fullmatch(found[name])
        for name in (*Binding._fields, "vectors_digest", "record_sha256")
        if name in found
    ):
        raise LedgerError(expected(where, "a ledger line", "a digest that is none"))
    return found


def _kinds_of(found: Mapping[str, Any]) -> dict[str, type]:
    """What a line after the first has."""
    if "forgotten" in found:
        return _BACK
    if "sum" in found:
        return _ASKED if found["sum"] == ASKED else _HIDDEN
    return {**_RELEASE, **(_BINDING if found.keys() & _BINDING.keys() else {})}


class _Places:
    """Where a line can stand: what it follows there may be followed by it, and none says the same."""

    def __init__(self) -> None:
        self._same_release: dict[int, list[dict[str, Any]]] = {}
        self._earlier: dict[int, int] = {}  # how many of each are of an earlier life of the run
        self._followed: set[int] = set()

    def take(self, entry: dict[str, Any], line: int) -> None:
        """Remember a line that has its place."""
        if line:
            self._followed.add(follows_of(entry, line))
        if is_release(entry):
            self._same_release.setdefault(entry["release"], []).append(entry)
        if goes_back(entry):
            self._earlier = {release: len(same) for release, same in self._same_release.items()}

    def has(self, entry: dict[str, Any], before: list[dict[str, Any]]) -> bool:
        """Whether it can stand after these lines."""
        if not before:
            return bool(entry["release"] == 0)
        follows, release = follows_of(entry, len(before)), entry["release"]
        if not is_bound(entry):
            return bool(release == len(before) and before[-1]["release"] == release - 1)
        if follows >= len(before):
            return False
        parent = before[follows]
        if goes_back(entry):
            return is_release(parent) and bool(parent["release"] == release)
        if goes_back(parent):
            return False
        if parent.get("sum") == ASKED:
            if follows in self._followed or entry.get("sum") == ASKED or not _is_of(entry, parent):
                return False
        elif "sum" in parent or entry.get("sum", ASKED) != ASKED or parent["release"] != release - 1:
            return False
        again = self._same_release.get(release, [])
        same, of_this_life = ("follows", "round", *Binding._fields), again[self._earlier.get(release, 0) :]
        return not is_release(entry) or (
            entry["attempt"] == len(again)
            and not any(all(one.get(name) == entry[name] for name in same) for one in of_this_life)
        )


def _is_of(entry: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether a line says what became of the sum that another asks for."""
    named = ("release", "round", *(("participants", "reports") if is_release(entry) else ()))
    return all(entry[name] == asked[name] for name in named)


def is_release(entry: Mapping[str, Any]) -> bool:
    """Whether a line is of a release, or the first; else it says something of a sum, or that the run went back."""
    return "sum" not in entry and not goes_back(entry)


def goes_back(entry: Mapping[str, Any]) -> bool:
    """Whether a line says that the run went back, to go on without some phones."""
    return "forgotten" in entry


def life_begins(entries: Sequence[Mapping[str, Any]]) -> int:
    """The line, from 0, after which all is of the run's present life: where it went back last; 0 if it never did."""
    return next((line for line in range(len(entries) - 1, 0, -1) if goes_back(entries[line])), 0)


def last_release(entries: Sequence[Mapping[str, Any]]) -> int:
    """The number of the last release on record, 0 if there is none."""
    return max((int(entry["release"]) for entry in entries if is_release(entry)), default=0)


def is_bound(entry: Mapping[str, Any]) -> bool:
    """Whether a line says which sum it is of, if it is of any, and that of a release to which weights it led."""
    return "sum_digest" in entry or not is_release(entry)


def follows_of(entry: Mapping[str, Any], line: int) -> int:
    """The line, from 0, of the release before that of `entry`, which is the line `line`."""
    follows: int = entry.get("follows", line - 1)
    return follows


def _require_spent(spent: dict[str, Any], where: str) -> None:
    types = get_type_hints(PrivacySpent)
    needed = {f.name for f in fields(PrivacySpent) if f.default is MISSING}
    if not needed <= spent.keys() <= types.keys():
        raise LedgerError(expected(where, "what was spent", "other values"))
    for name, value in spent.items():
        kinds = get_args(types[name]) or (types[name],)
        if type(value) not in kinds and not (type(value) is int and float in kinds):
            raise LedgerError(expected(where, "what was spent", f"{name} of another kind"))
        if value is not None and value < 0:
            raise LedgerError(expected(where, "what was spent", f"{name} below 0"))


def participants_of(path: Path | None, line: int, entry: Mapping[str, Any]) -> NDArray[np.uint64]:
    """The labels of a release, whose line is the one of this number, from 0.

    Raises:
        LedgerError: they are none, another number than was reported, or a phone is there twice, which would be counted
            once.
    """
    where, what = f"{path}:{line + 1}", "the participants of a release"
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
