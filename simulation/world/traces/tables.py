"""Traces in tables, CSV or Parquet: intervals, coverage and devices.

Every complaint names its line, and none repeats what stands there: an id may be a person's.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from simulation.world.traces.trace import PROPERTIES, Trace, TraceError
from typefleet.errors import expected, unreadable

TABLES = (".csv", ".parquet")

Floats = NDArray[np.float64]


class Rows:
    """A table with a place (file and line) for each row."""

    def __init__(self, path: Path, needed: Sequence[str]) -> None:
        self.path = path
        try:
            table = _table(path)
        except pa.ArrowInvalid as error:  # its text may repeat a row
            widths = re.search(r"Expected (\d+) columns, got (\d+)", str(error))
            found = f"a row of {widths[2]} columns among those of {widths[1]}" if widths else "none, or a damaged one"
            raise TraceError(expected(path, "a table", found)) from error
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise TraceError(unreadable(path, error, "a table")) from error
            raise TraceError(expected(path, "a table", "none, or a damaged one")) from error
        self.names = table.column_names
        missing = [name for name in needed if name not in self.names]
        if missing:
            raise TraceError(f"{self.place(None)}: expected the columns {', '.join(needed)}, found no {missing[0]}")
        if len(set(self.names)) < len(self.names):
            raise TraceError(f"{self.place(None)}: expected each column once, found one a second time")
        if not table.num_rows:
            raise TraceError(f"{path}: expected at least one row, found none")
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def place(self, row: int | None) -> str:
        """Where a row is; the header for None."""
        if ending(self.path) == ".parquet":
            return f"{self.path}" if row is None else f"{self.path}: row {row + 1}"
        return f"{self.path}:{1 if row is None else row + 2}"

    def texts(self, name: str) -> NDArray[np.str_]:
        """A column as text: str [rows]."""
        return np.array([str(v) for v in self._values(name)])

    def numbers(self, name: str, may_lack: bool = False) -> Floats:
        """A column of finite numbers; NaN for an empty field if it may be.

        Raises:
            TraceError: at the first field that is none.
        """
        found = np.full(len(self), np.nan)
        for row, value in enumerate(self._values(name)):
            if value in (None, ""):
                if not may_lack:
                    raise TraceError(f"{self.place(row)}: expected {name} to be a finite number, found none")
                continue
            try:
                found[row] = float(value)
            except (TypeError, ValueError, OverflowError) as error:
                what = "text that is no number" if isinstance(value, str) else "a value that is no such number"
                raise TraceError(f"{self.place(row)}: expected {name} to be a finite number, found {what}") from error
            if not np.isfinite(found[row]):
                raise TraceError(f"{self.place(row)}: expected {name} to be a finite number, found another one")
        return found

    def refuse(self, bad: NDArray[np.bool_], wanted: str, found: str) -> None:
        """Raise TraceError at the first row that is `bad`; `found` says in which way."""
        if bad.any():
            raise TraceError(expected(self.place(int(np.argmax(bad))), wanted, found))

    def _values(self, name: str) -> list[Any]:
        try:
            values: list[Any] = self._table.column(name).to_pylist()
        except UnicodeDecodeError as error:
            raise TraceError(unreadable(self.path, error, f"{name} to be text")) from error
        return values


def ending(path: Path) -> str:
    """How the name of a file ends, in lower case, such as `.csv`."""
    return path.suffix.lower()


def _table(path: Path) -> pa.Table:
    if ending(path) == ".parquet":
        return pyarrow.parquet.read_table(path)
    names = _header(path).strip().split(",")
    as_text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    keep_empty = pyarrow.csv.ParseOptions(ignore_empty_lines=False)
    return pyarrow.csv.read_csv(path, convert_options=as_text, parse_options=keep_empty)


def _header(path: Path) -> str:
    """The first line of a file that is UTF-8 to its end.

    Raises:
        TraceError: the first line that is not.
    """
    header = ""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise TraceError(unreadable(f"{path}:{number}", error, "a row of a table")) from error
            header = header or text
    return header


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
