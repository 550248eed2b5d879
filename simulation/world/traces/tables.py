"""Traces in tables, CSV or Parquet: intervals, coverage and devices.

Every complaint names its line, and none repeats what stands there: an id may be a person's.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulation.world.traces.trace import PROPERTIES, Trace, TraceError
from typefleet.errors import ConfigError, expected, unreadable
from typefleet.untrusted.arrow_columns import arrow_refusals, parquet_batches, values
from typefleet.untrusted.csv_rows import CsvRows, Fault
from typefleet.untrusted.limits import COLUMNS, TRACE_BYTES
from typefleet.untrusted.opening import require_file, size_of
from typefleet.untrusted.survival import require_survival

TABLES = (".csv", ".parquet")

Floats = NDArray[np.float64]


class Rows:
    """A table with a place (file and line) for each row.

    Attributes:
        error: that is raised of what cannot be used.
        repeated: columns of few different texts, of which each is kept once.
    """

    error: type[ConfigError] = TraceError
    repeated: tuple[str, ...] = ("device_id",)

    def __init__(self, path: Path, needed: Sequence[str]) -> None:
        """Read all of it.

        Args:
            path: of the file.
            needed: columns that it must have.

        Raises:
            ConfigError: (its `error`) the file is no table, a damaged one, or one without these columns or any row.
        """
        self.path = path
        if require_file(path, "a table", self.error) > TRACE_BYTES:
            raise self.error(expected(path, f"a table of at most {size_of(TRACE_BYTES)}", "a longer one"))
        self._lines: list[int] = []  # of the rows of a CSV file
        self._columns: Mapping[str, list[Any]] = {}
        self.names: list[str] = []
        try:
            self._read_parquet(needed) if ending(path) == ".parquet" else self._read_csv(needed)
        except OSError as error:
            raise self.error(unreadable(path, error, "a table")) from error
        if not len(self):
            raise self.error(expected(path, "at least one row", "none"))

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    def place(self, row: int | None) -> str:
        """Where a row is; the header for None."""
        if ending(self.path) == ".parquet":
            return f"{self.path}" if row is None else f"{self.path}: row {row + 1}"
        return f"{self.path}:{1 if row is None else self._lines[row]}"

    def texts(self, name: str) -> NDArray[np.str_]:
        """A column of ids as text: str [rows].

        Raises:
            ConfigError: at the first field that is none.
        """
        found = self._columns[name]
        for row, value in enumerate(found):
            if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
                raise self.error(expected(self.place(row), f"{name} to be a text or a number", "none or another value"))
        return np.array([str(value) for value in found])

    def numbers(self, name: str, may_lack: bool = False) -> Floats:
        """A column of finite numbers; NaN for an empty field if it may be.

        Raises:
            ConfigError: at the first field that is none.
        """
        found = np.full(len(self), np.nan)
        for row, value in enumerate(self._columns[name]):
            if value in (None, ""):
                if not may_lack:
                    raise self.error(f"{self.place(row)}: expected {name} to be a finite number, found none")
                continue
            try:
                found[row] = math.nan if isinstance(value, bool) else float(value)
            except (TypeError, ValueError, OverflowError) as error:
                what = "text that is no number" if isinstance(value, str) else "a value that is no such number"
                raise self.error(f"{self.place(row)}: expected {name} to be a finite number, found {what}") from error
            if not np.isfinite(found[row]):
                raise self.error(f"{self.place(row)}: expected {name} to be a finite number, found another one")
        return found

    def refuse(self, bad: NDArray[np.bool_], wanted: str, found: str) -> None:
        """Raise its `error` at the first row that is `bad`; `found` says in which way."""
        if bad.any():
            raise self.error(expected(self.place(int(np.argmax(bad))), wanted, found))

    def _require_columns(self, needed: Sequence[str]) -> None:
        missing = [name for name in needed if name not in self.names]
        if missing:
            raise self.error(f"{self.place(None)}: expected the columns {', '.join(needed)}, found no {missing[0]}")
        if len(self.names) > COLUMNS:
            raise self.error(expected(self.place(None), f"at most {COLUMNS:,} columns", f"{len(self.names):,}"))
        if len(set(self.names)) < len(self.names):
            raise self.error(f"{self.place(None)}: expected each column once, found one a second time")

    def _read_parquet(self, needed: Sequence[str]) -> None:
        import pyarrow.parquet  # noqa: F401  # takes a while; before the copy is made, which then has it

        require_survival(self.path, "a table", self.error, lambda: self._of_parquet(needed))
        self._of_parquet(needed)

    def _of_parquet(self, needed: Sequence[str]) -> None:
        import pyarrow.parquet

        with (
            arrow_refusals(self.path, "a table", self.error),
            pyarrow.parquet.ParquetFile(self.path) as table,
        ):
            self.names = table.schema_arrow.names
            self._require_columns(needed)
            wanted = [name for name in self.names if name in (*needed, *PROPERTIES)]
            self._columns = {name: [] for name in wanted}
            for batch in parquet_batches(self.path, table, wanted, self.error):
                for name, column in self._columns.items():
                    column += values(batch.column(batch.schema.names.index(name)))

    def _read_csv(self, needed: Sequence[str]) -> None:
        with self.path.open("rb") as file:
            rows = self._rows_of(file)
            self.names = next(rows, (1, []))[1]
            if not self.names:
                raise self.error(expected(self.path, "a table", "none"))
            self._require_columns(needed)
            wanted = {name: place for place, name in enumerate(self.names) if name in (*needed, *PROPERTIES)}
            columns: dict[str, list[str]] = {name: [] for name in wanted}
            known: dict[str, str] = {}  # an id of many rows is kept once
            for number, fields in rows:
                if len(fields) != len(self.names):
                    found = f"a row of {len(fields)} columns among those of {len(self.names)}"
                    raise self.error(expected(f"{self.path}:{number}", "a table", found))
                self._lines.append(number)
                for name, place in wanted.items():
                    value = fields[place]
                    columns[name].append(known.setdefault(value, value) if name in self.repeated else value)
            self._columns = columns

    def _rows_of(self, file: Any) -> Iterator[tuple[int, list[str]]]:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        for number, fields in CsvRows(text):
            if isinstance(fields, Fault):
                raise self.error(expected(f"{self.path}:{number}", *fields))
            if any(not field.isprintable() and not _is_utf8(field) for field in fields):
                raise self.error(expected(f"{self.path}:{number}", "a row of a table", "bytes that are not utf-8"))
            yield number, fields


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def ending(path: Path) -> str:
    """How the name of a file ends, in lower case, such as `.csv`."""
    return path.suffix.lower()


def _devices(rows: Rows, ids: Sequence[str]) -> NDArray[np.int64]:
    """The index of each row's device among the sorted `ids`."""
    names, known = rows.texts("device_id"), np.array(ids)
    index = np.minimum(np.searchsorted(known, names), len(known) - 1)
    rows.refuse(known[index] != names, "a device of the coverage file or trace", "one that is not there")
    return index


def _read_coverage(path: Path) -> tuple[list[str], Floats, Floats]:
    rows = Rows(path, ("device_id", "observed_from_s", "observed_to_s"))
    names, begin, end = rows.texts("device_id"), rows.numbers("observed_from_s"), rows.numbers("observed_to_s")
    rows.refuse(begin < 0, "observed_from_s >= 0", "one below 0")
    rows.refuse(end <= begin, "observed_to_s > observed_from_s", "one that is not")
    order = np.argsort(names, kind="stable")
    again = np.zeros(len(names), bool)
    again[order[1:]] = names[order[1:]] == names[order[:-1]]
    rows.refuse(again, "each device once", "one a second time")
    return names[order].tolist(), begin[order], end[order]


def read_intervals(path: Path, coverage: Path | None) -> Trace:
    """A trace from a table of intervals; times are as in the file.

    Raises:
        TraceError: with file and line.
    """
    rows = Rows(path, ("device_id", "start_s", "end_s"))
    start_s, end_s = rows.numbers("start_s"), rows.numbers("end_s")
    rows.refuse(start_s < 0, "start_s >= 0", "one below 0")
    rows.refuse(end_s <= start_s, "end_s > start_s", "one that is not")
    if coverage is None:
        ids = sorted(set(rows.texts("device_id").tolist()))
        observed_from_s, observed_to_s = np.full(len(ids), start_s.min()), np.full(len(ids), end_s.max())
    else:
        ids, observed_from_s, observed_to_s = _read_coverage(coverage)
    device = _devices(rows, ids)
    order = np.argsort(device, kind="stable")
    follows = np.zeros(len(order), bool)
    follows[1:] = device[order[1:]] == device[order[:-1]]
    previous_start, previous_end = np.roll(start_s[order], 1), np.roll(end_s[order], 1)

    def at_row(bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
        by_row = np.zeros(len(bad), bool)
        by_row[order] = follows & bad
        return by_row

    rows.refuse(at_row(start_s[order] < previous_start), "rows sorted by start_s within a device", "an earlier one")
    rows.refuse(at_row(start_s[order] < previous_end), "intervals of a device that do not overlap", "two that do")
    outside = (start_s < observed_from_s[device]) | (end_s > observed_to_s[device])
    rows.refuse(outside, "an interval in the device's observed span", "one that leaves it")
    return Trace(
        source=str(path),
        device_ids=tuple(ids),
        device=device[order],
        start_s=start_s[order],
        end_s=end_s[order],
        observed_from_s=observed_from_s,
        observed_to_s=observed_to_s,
    )


def read_properties(path: Path, ids: Sequence[str]) -> dict[str, Floats]:
    """What a device file knows of the devices: float64 [devices] each, NaN where it says nothing.

    Raises:
        TraceError: with file and line.
    """
    rows = Rows(path, ("device_id",))
    strange = [name for name in rows.names if name not in ("device_id", *PROPERTIES)]
    if strange:
        raise TraceError(f"{rows.place(None)}: expected only {', '.join(PROPERTIES)}, found another column")
    device = _devices(rows, ids)
    known = {}
    for name in (n for n in PROPERTIES if n in rows.names):
        values = rows.numbers(name, may_lack=True)
        if name != "utc_offset_h":
            rows.refuse(values <= 0, f"{name} > 0", "one that is not")
        known[name] = np.full(len(ids), np.nan)
        known[name][device] = values
    return known
