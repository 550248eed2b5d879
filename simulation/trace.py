"""Recorded availability: what phones really did, from a file.

A trace says for each device when it was observed and when, in that time, it was eligible. Outside a
device's observed span its state is unknown, which is not the same as not eligible.

Formats, told by the file's ending:

* `.csv`, `.parquet`: one interval a row, `device_id, start_s, end_s`, half-open, sorted by start within
  a device. A coverage file (`device_id, observed_from_s, observed_to_s`) says when each device was
  observed, and names devices that were never eligible. Beside `NAME_intervals.csv` the file
  `NAME_coverage.csv` is it, unless another is given. Without one every device counts as observed from
  the first start to the last end in the file.
* `.json`: events of the FLASH data set, `.pkl`, `.pickle` or no ending: FedScale; see `trace_formats`.

A device file (`device_id` and any of the columns of `PROPERTIES`) adds what is known of the devices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from simulation.clock import DAY_S
from simulation.config import ConfigError, FleetConfig

PROPERTIES = (
    "train_s_per_token",
    "relative_train_s",
    "download_kbytes_per_s",
    "upload_kbytes_per_s",
    "memory_gb",
    "utc_offset_h",
)

Floats = NDArray[np.float64]


class TraceError(ConfigError):
    """A trace that cannot be used; the message names file and line."""


@dataclass(frozen=True)
class Trace:
    """Recorded devices; times are seconds since midnight of the first observed day."""

    source: str
    device_ids: tuple[str, ...]
    device: NDArray[np.int64]  # [sessions], index into device_ids; sorted, then by start
    start_s: Floats  # [sessions]
    end_s: Floats  # [sessions]
    observed_from_s: Floats  # [devices]
    observed_to_s: Floats  # [devices]
    properties: dict[str, Floats] = field(default_factory=dict)  # [devices] each; NaN where not known

    @property
    def eligible_share(self) -> Floats:
        """float64 [devices]: share of its observed time that each was eligible."""
        eligible = np.bincount(self.device, self.end_s - self.start_s, minlength=len(self.device_ids))
        return eligible / (self.observed_to_s - self.observed_from_s)


def read_trace(
    path: Path, coverage: Path | None = None, devices: Path | None = None, idle: str = "screen-off"
) -> Trace:
    """Read a trace in any of the formats.

    Args:
        path: the trace.
        coverage: when each device was observed; for interval files only.
        devices: what is known of the devices.
        idle: for FLASH events: `screen-off`, `locked`, or `either`.

    Raises:
        TraceError: with file and line (row, for Parquet; device, for JSON and pickles).
    """
    from simulation import trace_formats

    if not path.is_file():
        raise TraceError(f"{path}: expected a trace, found none")
    interval_file = path.suffix in (".csv", ".parquet")
    if coverage is not None and not interval_file:
        raise TraceError(f"{coverage}: expected a coverage file only beside an interval file, found {path.name}")
    if interval_file:
        coverage = coverage or coverage_beside(path)
        raw = _read_intervals(path, coverage)
    elif path.suffix == ".json":
        raw = trace_formats.read_flash(path, idle)
    elif path.suffix in (".pkl", ".pickle", ""):
        raw = trace_formats.read_fedscale(path)
    else:
        raise TraceError(f"{path}: expected .csv, .parquet, .json, .pkl or .pickle, found {path.suffix}")
    known = {} if devices is None else _read_properties(devices, raw.device_ids)
    origin = float(np.floor(raw.observed_from_s.min() / DAY_S) * DAY_S)
    return Trace(
        raw.source,
        raw.device_ids,
        raw.device,
        raw.start_s - origin,
        raw.end_s - origin,
        raw.observed_from_s - origin,
        raw.observed_to_s - origin,
        {**raw.properties, **known},
    )


def coverage_beside(path: Path) -> Path | None:
    """The coverage file that goes with an interval file by its name, if there is one."""
    other = path.with_name(path.name.replace("_intervals.", "_coverage."))
    return other if other != path and other.is_file() else None


def trace_of(config: FleetConfig) -> Trace:
    """The trace that the settings name.

    Raises:
        TraceError: it cannot be used.
    """
    if config.trace is None:
        raise TraceError("expected --fleet.trace, found none")
    return read_trace(config.trace, config.trace_coverage, config.trace_devices, config.trace_idle)


class Rows:
    """A table with a place (file and line) for each row."""

    def __init__(self, path: Path, needed: Sequence[str]) -> None:
        self.path = path
        try:
            table = _table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise TraceError(f"{path}: expected a table, found {str(error).splitlines()[0]}") from error
        self.names = table.column_names
        missing = [name for name in needed if name not in self.names]
        if missing:
            raise TraceError(f"{self.place(None)}: expected the columns {', '.join(needed)}, found no {missing[0]}")
        if not table.num_rows:
            raise TraceError(f"{path}: expected at least one row, found none")
        self._table = table

    def __len__(self) -> int:
        return self._table.num_rows

    def place(self, row: int | None) -> str:
        """Where a row is; the header for None."""
        if self.path.suffix == ".parquet":
            return f"{self.path}" if row is None else f"{self.path}: row {row + 1}"
        return f"{self.path}:{1 if row is None else row + 2}"

    def texts(self, name: str) -> NDArray[np.str_]:
        """A column as text."""
        return np.array([str(v) for v in self._table.column(name).to_pylist()])

    def numbers(self, name: str, may_lack: bool = False) -> Floats:
        """A column of finite numbers; NaN for an empty field if it may be.

        Raises:
            TraceError: at the first field that is none.
        """
        found = np.full(len(self), np.nan)
        for row, value in enumerate(self._table.column(name).to_pylist()):
            if may_lack and value in (None, ""):
                continue
            try:
                found[row] = float(value)
            except (TypeError, ValueError):
                found[row] = np.inf
            if not np.isfinite(found[row]):
                raise TraceError(f"{self.place(row)}: expected {name} to be a finite number, found {value!r}")
        return found

    def refuse(self, bad: NDArray[np.bool_], expected: str, found: Sequence | NDArray) -> None:
        """Raise TraceError at the first row that is `bad`."""
        if bad.any():
            row = int(np.argmax(bad))
            raise TraceError(f"{self.place(row)}: expected {expected}, found {found[row]}")


def _table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path)
    names = path.open(encoding="utf-8").readline().strip().split(",")
    as_text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    keep_empty = pyarrow.csv.ParseOptions(ignore_empty_lines=False)
    return pyarrow.csv.read_csv(path, convert_options=as_text, parse_options=keep_empty)


def _devices(rows: Rows, ids: Sequence[str]) -> NDArray[np.int64]:
    """The index of each row's device among the sorted `ids`."""
    names, known = rows.texts("device_id"), np.array(ids)
    index = np.minimum(np.searchsorted(known, names), len(known) - 1)
    rows.refuse(known[index] != names, "a device of the coverage file or trace", names)
    return index


def _read_coverage(path: Path) -> tuple[list[str], Floats, Floats]:
    rows = Rows(path, ("device_id", "observed_from_s", "observed_to_s"))
    names, begin, end = rows.texts("device_id"), rows.numbers("observed_from_s"), rows.numbers("observed_to_s")
    rows.refuse(begin < 0, "observed_from_s >= 0", begin)
    rows.refuse(end <= begin, "observed_to_s > observed_from_s", end)
    order = np.argsort(names, kind="stable")
    again = np.zeros(len(names), bool)
    again[order[1:]] = names[order[1:]] == names[order[:-1]]
    rows.refuse(again, "each device once", names)
    return names[order].tolist(), begin[order], end[order]


def _read_intervals(path: Path, coverage: Path | None) -> Trace:
    rows = Rows(path, ("device_id", "start_s", "end_s"))
    start_s, end_s = rows.numbers("start_s"), rows.numbers("end_s")
    rows.refuse(start_s < 0, "start_s >= 0", start_s)
    rows.refuse(end_s <= start_s, "end_s > start_s", end_s)
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

    rows.refuse(at_row(start_s[order] < previous_start), "rows sorted by start_s within a device", start_s)
    rows.refuse(at_row(start_s[order] < previous_end), "intervals of a device that do not overlap", start_s)
    outside = (start_s < observed_from_s[device]) | (end_s > observed_to_s[device])
    spans = [f"{a:g} to {b:g}" for a, b in zip(start_s[outside], end_s[outside], strict=True)]
    found = dict(zip(np.flatnonzero(outside).tolist(), spans, strict=True))
    if found:
        row = min(found)
        raise TraceError(f"{rows.place(row)}: expected an interval in the device's observed span, found {found[row]}")
    return Trace(str(path), tuple(ids), device[order], start_s[order], end_s[order], observed_from_s, observed_to_s)


def _read_properties(path: Path, ids: Sequence[str]) -> dict[str, Floats]:
    """What a device file, or a FedScale capacity file, knows of the devices."""
    from simulation import trace_formats

    if path.suffix not in (".csv", ".parquet"):
        return trace_formats.read_fedscale_capacity(path, ids)
    rows = Rows(path, ("device_id",))
    strange = [name for name in rows.names if name not in ("device_id", *PROPERTIES)]
    if strange:
        raise TraceError(f"{rows.place(None)}: expected only {', '.join(PROPERTIES)}, found {strange[0]}")
    device = _devices(rows, ids)
    known = {}
    for name in (n for n in PROPERTIES if n in rows.names):
        values = rows.numbers(name, may_lack=True)
        if name != "utc_offset_h":
            rows.refuse(values <= 0, f"{name} > 0", values)
        known[name] = np.full(len(ids), np.nan)
        known[name][device] = values
    return known
