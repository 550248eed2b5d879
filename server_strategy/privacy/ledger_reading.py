"""What a ledger comes to, by its file alone."""

import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server_strategy.privacy.ledger_lines import LedgerError, is_release, last_release, participants_of, read_ledger
from server_strategy.privacy.ledger_paths import cost_beside, given_up, way_to
from server_strategy.privacy.mechanisms.base import Mechanism
from server_strategy.privacy.mechanisms.record import kind_of
from server_strategy.privacy.participation_log import ParticipationLog, privacy_spent
from server_strategy.privacy.plan import PrivacyPlan
from typefleet.errors import ConfigError, InputError, UnknownKindError, expected, said_of

_RECOMPUTED = 1e-4  # what the rounding of optimised parameters does to the noise
_MECHANISM = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def recompute(
    path: Path, releases: int, mechanism: Mechanism | None = None, *, line: int | None = None, everything: bool = False
) -> dict[str, Any]:
    """The cost of the releases up to one, from the ledger's participants alone; nothing is written.

    Args:
        path: of the ledger.
        releases: to count; those that were made again on the way are counted with them.
        mechanism: that of the ledger, if it is one that nobody registered.
        line: of the last of them, from 0; None: the last on record of that release.
        everything: also the releases that follow that line, as for a run that has ended.

    Returns:
        The fields of PrivacySpent.

    Raises:
        LedgerError: the ledger is missing, edited or too short, or its mechanism is not known.
    """
    entries, _ = read_ledger(path)
    ends = [at for at, entry in enumerate(entries) if is_release(entry) and entry["release"] == releases]
    if not ends:
        raise LedgerError(expected(path, f"{releases} releases on record", last_release(entries)))
    plan, head = plan_on_record(path, entries, mechanism), ends[-1] if line is None else line
    labels = {i: participants_of(path, i, entry) for i, entry in enumerate(entries) if "participants" in entry}
    everyone = np.unique(np.concatenate(list(labels.values()))) if labels else np.zeros(0, np.uint64)

    def phones(line: int) -> NDArray[np.int64]:
        return np.searchsorted(everyone, labels[line])

    log = ParticipationLog(len(everyone))
    for one in way_to(entries, head):
        log.record(entries[one]["release"], phones(one))
    try:
        beside = cost_beside(plan, entries, given_up(entries, head, everything, sums=True), phones, len(everyone))
        return asdict(privacy_spent(plan, log, releases, beside))
    except InputError:
        raise
    except (
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
        MemoryError,
    ) as error:  # of the mechanism, which no type on record binds
        found = "parameters of another kind"
        raise LedgerError(expected(f"{path}:1", "a plan whose cost can be computed", found)) from error


def releases_on_record(path: Path) -> tuple[int, str]:
    """How many releases a ledger has, and whose epsilon its plan's is.

    Raises:
        LedgerError: it is missing, edited or without a plan, or its mechanism is not known.
    """
    entries, _ = read_ledger(path)
    if not entries:
        raise LedgerError(expected(f"{path}:1", "the plan of a run", "none"))
    return last_release(entries), plan_on_record(path, entries, None).epsilon_is_of


def charged_more(path: Path) -> str | None:
    """Why more is charged than the plan's noise multiplier says; None where that is right.

    Raises:
        LedgerError: it is missing, edited or without a plan, or its mechanism is not known.
    """
    entries, _ = read_ledger(path)
    if not entries:
        raise LedgerError(expected(f"{path}:1", "the plan of a run", "none"))
    return plan_on_record(path, entries, None).charged_more


def half_written_line(path: Path) -> int | None:
    """The number of a last line that a crash left without its end, which is counted by nobody; None if all are whole.

    Raises:
        LedgerError: the lines before it were edited, or one is missing.
    """
    entries, whole_bytes = read_ledger(path)
    return None if whole_bytes is None else len(entries) + 1


def plan_on_record(path: Path | None, entries: list[dict[str, Any]], at_hand: Mechanism | None) -> PrivacyPlan:
    """The plan in the first line.

    Raises:
        LedgerError: it is none, or its mechanism is neither registered nor at hand; no cost is guessed.
    """
    plan = entries[0]["plan"]
    name = plan.get("mechanism")
    if isinstance(name, str) and not _MECHANISM.fullmatch(name):  # which the error would repeat
        raise LedgerError(expected(f"{path}:1", "the plan of a run", "a mechanism without a proper name"))
    try:
        return PrivacyPlan.from_json(plan, at_hand)
    except UnknownKindError as error:
        raise LedgerError(f"{path}:1: {error}; without its code the cost is not known") from error
    except ConfigError as error:
        raise LedgerError(said_of(f"{path}:1", error)) from error


def same_plan(on_record: Any, plan: PrivacyPlan) -> bool:
    """Whether a plan on record is this one.

    They are equal but for parameters that an optimiser found, and for what their rounding does to the noise.
    """
    planned = plan.to_json()
    on_record = PrivacyPlan.with_defaults(on_record) if isinstance(on_record, dict) else {}
    if on_record.keys() != planned.keys():
        return False
    kind = None if plan.mechanism is None else kind_of(plan.mechanism)
    then, now = on_record["parameters"] or {}, planned["parameters"] or {}
    return (
        isinstance(then, dict)
        and then.keys() == now.keys()
        and all(
            _close(then[name], now[name], math.inf if kind is not None and name in kind.optimised else 0.0)
            for name in now
        )
        and all(_close(on_record[name], planned[name], _RECOMPUTED) for name in planned if name != "parameters")
    )


def _close(a: Any, b: Any, within: float) -> bool:
    """Equal, but for numbers with a fraction, which may differ by this share of themselves (inf: at will)."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_close(a[name], b[name], within) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_close(x, y, within) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return within == math.inf or math.isclose(a, b, rel_tol=within)
    return bool(a == b)
