"""Reads a file of consents: what each owner said, and when.

Columns (CSV, Parquet) or keys (JSON lines): `phone`, as `labels` says; `purpose`, one of train, evaluate, personalise
and telemetry; `time_s`, simulated seconds since the start of the run, below 0 before it; `consent`, given or withdrawn.
Rows may stand in any order. Consent has to be given: who is not in the file, or not for a purpose, did not. A row that
says again what holds already changes nothing; two rows of the same phone, purpose and time are refused, whatever they
say. Complaints name the line, and never what stands there: a label may be a person's name.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulation.clock import DAY_S
from simulation.world.consent.config import PURPOSES
from simulation.world.consent.labels import UNKNOWN, PhoneLabels
from simulation.world.consent.times import Consents, ConsentTimes
from simulation.world.traces.tables import Rows, ending
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.json_values import json_value
from typefleet.untrusted.limits import LINE_BYTES, MIB, TRACE_YEARS

COLUMNS = ("phone", "purpose", "time_s", "consent")
_ENDINGS = (".csv", ".parquet", ".jsonl")
_LATEST_S = TRACE_YEARS * 365.25 * DAY_S
_SAID = ("given", "withdrawn")

Ints = NDArray[np.int64]


class ConsentError(ConfigError):
    """A file of consents that cannot be used."""


class _ConsentRows(Rows):
    """The rows of a table, or of JSON lines."""

    error = ConsentError
    repeated = ("phone", "purpose", "consent")

    def _read_csv(self, needed: Sequence[str]) -> None:
        if ending(self.path) != ".jsonl":
            super()._read_csv(needed)
            return
        columns: dict[str, list[Any]] = {name: [] for name in needed}
        self.names, self._columns = list(needed), columns
        with self.path.open("rb") as file:
            number = 0
            while line := file.readline(LINE_BYTES + 1):
                number += 1
                where = f"{self.path}:{number}"
                if len(line) > LINE_BYTES:
                    raise ConsentError(expected(where, f"a line of at most {LINE_BYTES // MIB} MiB", "a longer one"))
                if line.isspace():
                    continue
                line = line.removeprefix(b"\xef\xbb\xbf")
                found = json_value(line, where, "a JSON object", ConsentError, keys_once=True)
                if not isinstance(found, dict) or not found.keys() >= set(needed):
                    raise ConsentError(expected(where, f"an object with {', '.join(needed)}", "another value"))
                self._lines.append(number)
                for name, values in columns.items():
                    values.append(found[name])


def read_consents(path: Path, labels: PhoneLabels) -> Consents:
    """The consents of a fleet from a file.

    Args:
        path: of the file; its ending says what it is.
        labels: of the fleet's phones.

    Raises:
        ConsentError: with file and line (row, for Parquet).
    """
    if ending(path) not in _ENDINGS:
        raise ConsentError(expected(path, f"a file that ends in {', '.join(_ENDINGS)}", f"{path.suffix or 'none'}"))
    rows = _ConsentRows(path, COLUMNS)
    phone = labels.rows([str(label) for label in rows.texts("phone")])
    rows.refuse(phone == UNKNOWN, "a phone of the text or the fleet", "one that is in neither")
    purpose = _word_of(rows, "purpose", PURPOSES)
    given = _word_of(rows, "consent", _SAID) == 0
    time_s = rows.numbers("time_s")
    rows.refuse(np.abs(time_s) > _LATEST_S, f"a time_s of at most {TRACE_YEARS:,} years", "a later or an earlier one")
    order = np.lexsort((time_s, phone, purpose))
    again = np.zeros(len(order), bool)
    same = (column[order[1:]] == column[order[:-1]] for column in (time_s, phone, purpose))
    again[order[1:]] = np.logical_and.reduce(list(same)) & (phone[order[1:]] >= 0)
    rows.refuse(again, "one row of a phone, purpose and time", "a second one")
    order = order[phone[order] >= 0]
    phone, purpose, time_s, given = phone[order], purpose[order], time_s[order], given[order]
    times = {}
    for number, name in enumerate(PURPOSES):
        own = purpose == number
        times[name] = _times(phone[own], time_s[own], given[own], labels.num_phones)
    return Consents(times, f"{path.name}: {len(order):,} statements of {len(np.unique(phone)):,} phones", (path,))


def _word_of(rows: Rows, name: str, words: tuple[str, ...]) -> Ints:
    """int64 [rows]: which of some words stands in each row.

    Raises:
        ConsentError: at the first row with none of them.
    """
    number = {word: place for place, word in enumerate(words)}
    found = np.array([number.get(text, -1) for text in rows.texts(name).tolist()], np.int64)
    rows.refuse(found < 0, f"{name} to be one of {', '.join(words)}", "another word")
    return found


def _times(phone: Ints, time_s: NDArray[np.float64], given: NDArray[np.bool_], num_phones: int) -> ConsentTimes:
    """Intervals of statements that are sorted by phone and time."""
    follows = np.zeros(len(phone), bool)
    follows[1:] = phone[1:] == phone[:-1]
    before = np.zeros(len(phone), bool)  # what held before each statement
    before[1:] = given[:-1]
    before &= follows
    begins, ends = np.flatnonzero(given & ~before), np.flatnonzero(~given & before)
    until_s = np.full(len(begins), np.inf)
    # The withdrawal that ends an interval is the first one after its begin, if it is of the same phone.
    next_end = np.searchsorted(ends, begins)
    there = next_end < len(ends)
    end = ends[np.minimum(next_end, max(len(ends) - 1, 0))] if len(ends) else np.zeros(len(begins), np.int64)
    there &= phone[end] == phone[begins] if len(ends) else False
    until_s[there] = time_s[end[there]]
    return ConsentTimes(time_s[begins], until_s, phone[begins], num_phones)
