"""Read a trace from a file.

Formats, told by the file's ending:

* `.csv`, `.parquet`: one interval per row, `device_id, start_s, end_s`, half-open, sorted by start within
  a device. A coverage file (`device_id, observed_from_s, observed_to_s`) says when each device was
  observed, and names devices that were never eligible. Beside `NAME_intervals.csv` the file
  `NAME_coverage.csv` is it, unless another is given. Without one every device counts as observed from
  the first start to the last end in the file; see `tables`.
* `.json`: events of the FLASH data set, `.pkl`, `.pickle` or no ending: FedScale; see `published`.

A device file (`device_id` and any of the columns of `trace.PROPERTIES`) adds what is known of the devices.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulation.clock import DAY_S
from simulation.world.traces.published import read_fedscale, read_fedscale_capacity, read_flash
from simulation.world.traces.tables import TABLES, ending, read_intervals, read_properties
from simulation.world.traces.trace import Trace, TraceError
from typefleet.errors import expected
from typefleet.untrusted.limits import TRACE_YEARS
from typefleet.untrusted.opening import require_file

_LATEST_S = TRACE_YEARS * 365.25 * DAY_S


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
        TraceError: with file and line (row, for Parquet; number of the device, for JSON and pickles).
    """
    require_file(path, "a trace", TraceError)
    interval_file = ending(path) in TABLES
    if coverage is not None and not interval_file:
        raise TraceError(f"{coverage}: expected a coverage file only beside an interval file, found {path.name}")
    if interval_file:
        coverage = coverage or coverage_beside(path)
        raw = read_intervals(path, coverage)
    elif ending(path) == ".json":
        raw = read_flash(path, idle)
    elif ending(path) in (".pkl", ".pickle", ""):
        raw = read_fedscale(path)
    else:
        raise TraceError(f"{path}: expected .csv, .parquet, .json, .pkl or .pickle, found {path.suffix}")
    if raw.observed_to_s.max() > _LATEST_S or raw.observed_from_s.min() < -_LATEST_S:
        raise TraceError(expected(path, f"times in seconds of at most {TRACE_YEARS:,} years", "others"))
    known = {} if devices is None else _properties(devices, raw.device_ids)
    origin = float(np.floor(raw.observed_from_s.min() / DAY_S) * DAY_S)
    return replace(
        raw,
        start_s=raw.start_s - origin,
        end_s=raw.end_s - origin,
        observed_from_s=raw.observed_from_s - origin,
        observed_to_s=raw.observed_to_s - origin,
        properties={**raw.properties, **known},
    )


def coverage_beside(path: Path) -> Path | None:
    """The coverage file that goes with an interval file by its name, if there is one."""
    other = path.with_name(path.name.replace("_intervals.", "_coverage."))
    return other if other != path and other.is_file() else None


def _properties(path: Path, ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    return (read_properties if ending(path) in TABLES else read_fedscale_capacity)(path, ids)
