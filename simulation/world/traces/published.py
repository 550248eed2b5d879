"""Traces that others published: the events of FLASH and the pickles of FedScale.

FLASH (Yang et al., WWW 2021): a JSON object, device -> {"messages": lines of "date<TAB>event"}. Events set
one of three states; a state is unknown until its first event, and unknown is not eligible. A device is
observed from its first event to its last.

FedScale (Lai et al., ICML 2022): a pickled dictionary, device -> {"active": [seconds], "inactive": [seconds],
"finish_time": seconds}; active[i] to inactive[i] is eligible, and it is observed from 0 to finish_time.
A pickle can run any code, so nothing but dictionaries, lists, text and numbers is let through.

Complaints name a device by its number in the file, from 1 on: its id may be a person's.
"""

import io
import math
import pickle
import pickletools
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulation.world.traces.trace import Trace, TraceError
from typefleet.errors import expected, said_of
from typefleet.untrusted.json_values import read_json
from typefleet.untrusted.limits import TRACE_BYTES
from typefleet.untrusted.opening import read_bytes

# event -> (state, its value)
_EVENTS = {
    "battery_charged_on": ("charging", True),
    "battery_charged_off": ("charging", False),
    "wifi": ("wifi", True),
    "2g": ("wifi", False),
    "3g": ("wifi", False),
    "4g": ("wifi", False),
    "5g": ("wifi", False),
    "unknown": ("wifi", False),
    "screen_on": ("screen off", False),
    "screen_off": ("screen off", True),
    "screen_lock": ("locked", True),
    "screen_unlock": ("locked", False),
}
_IMPORTS = ("GLOBAL", "STACK_GLOBAL", "INST", "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4")
_NOT_LISTS = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "EMPTY_SET", "ADDITEMS", "FROZENSET")
# What an unpickler makes of bytes that are no pickle.
_NO_PICKLE = (
    *(pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError),
    *(MemoryError, OverflowError, RecursionError),
)
# Whose names a message may have; others are what somebody wrote.
_KNOWN = {*sys.stdlib_module_names, "numpy", "pandas", "torch"}
_NO_STATE = ("battery_low", "battery_okay", "phone_on", "phone_off")
_LARGEST = sys.float_info.max
_IDLE = {"screen-off": ("screen off",), "locked": ("locked",), "either": ("screen off", "locked")}


def read_flash(path: Path, idle: str) -> Trace:
    """Read FLASH events; see the module docstring.

    Raises:
        TraceError: naming the device by its number, and its line.
    """
    found = read_json(path, "JSON", TraceError, TRACE_BYTES)
    if not isinstance(found, dict) or not found:
        raise TraceError(expected(path, "an object with a key for each device", "none"))
    sessions, spans = [], []
    ids, places = sorted(found), _places(path, found)
    for name in ids:
        record = found[name]
        messages = record.get("messages") if isinstance(record, dict) else None
        if not isinstance(messages, str) or not messages.strip():
            raise TraceError(f'{places[name]}: expected "messages" with lines of events, found none')
        events = list(_events(messages, places[name]))
        sessions.append(_eligible(events, _IDLE[idle]))
        spans.append((events[0][0], events[-1][0]))
        if spans[-1][0] == spans[-1][1]:
            raise TraceError(f"{places[name]}: expected events at two moments or more, found one")
    return _trace(path, ids, sessions, spans)


def _places(path: Path, found: dict[str, Any]) -> dict[str, str]:
    """Where each device is, by its id."""
    return {name: f"{path}: device no. {number}" for number, name in enumerate(found, start=1)}


def _events(messages: str, where: str) -> Iterator[tuple[float, str]]:
    """(seconds since 1970, event), in the order of the lines, which must be that of time."""
    last = -math.inf
    for number, line in enumerate(messages.replace("\x00", "").splitlines(), start=1):
        if not line.strip():
            continue
        moment, _, event = line.strip().partition("\t")
        try:
            now = datetime.strptime(moment.strip(), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
        except ValueError as error:
            raise TraceError(f"{where}, line {number}: expected YYYY-MM-DD HH:MM:SS, found another text") from error
        if now < last:
            raise TraceError(f"{where}, line {number}: expected lines sorted by time, found an earlier one")
        last, event = now, event.strip().lower()
        if event not in _EVENTS and event not in _NO_STATE and not event.endswith("%"):
            raise TraceError(f"{where}, line {number}: expected an event such as screen_off, found another text")
        yield now, event


def _eligible(events: list[tuple[float, str]], idle: tuple[str, ...]) -> list[tuple[float, float]]:
    """Intervals in which the phone was idle, charging and on Wi-Fi; all states known."""
    state: dict[str, bool] = {}
    intervals: list[tuple[float, float]] = []
    for (now, event), (then, _) in pairwise(events):
        if event in _EVENTS:
            name, value = _EVENTS[event]
            state[name] = value
        if event == "phone_off":
            state.clear()  # nothing is known of it until it says so again
        ready = state.get("charging") and state.get("wifi") and any(state.get(name) for name in idle)
        if ready and then > now:
            if intervals and intervals[-1][1] == now:
                intervals[-1] = (intervals[-1][0], then)
            else:
                intervals.append((now, then))
    return intervals


class _PlainUnpickler(pickle.Unpickler):
    """Admits builtin containers, text and numbers, which need no import; refuses all else by name."""

    def find_class(self, module: str, name: str) -> Any:
        """Every import of a pickle comes through here."""
        is_known = module.partition(".")[0] in _KNOWN and name.isidentifier() and len(module) + len(name) < 80
        found = f"{module}.{name}" if is_known else "an import"
        raise TraceError(expected("the pickle", "plain containers and numbers", found))

    def persistent_load(self, pid: Any) -> Any:
        """Every reference to something outside the pickle comes through here."""
        raise TraceError(expected("the pickle", "plain containers and numbers", "a persistent id"))


def _require_harmless(content: bytes) -> None:
    """Refuse a pickle that takes time or memory for what it has not.

    The unpickler makes room for as many references as a pickle says, and a key of tuples, in which each is there twice,
    takes for ever to hash. What comes after an import is not looked at: there the unpickler stops.

    Raises:
        TraceError: it has containers other than dictionaries and lists.
        UnpicklingError: it remembers more than it holds.
        ValueError: it is none, or is cut short.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in _IMPORTS:
            return
        if opcode.name in _NOT_LISTS:
            raise TraceError(expected("the pickle", "dictionaries, lists, text and numbers", "another value"))
        if opcode.name in ("PUT", "LONG_BINPUT") and isinstance(argument, int) and argument > len(content):
            raise pickle.UnpicklingError("more than there is")


def _load_plain(path: Path) -> dict[str, dict[Any, Any]]:
    content = read_bytes(path, "a pickle", TraceError, TRACE_BYTES)
    try:
        _require_harmless(content)
        found = _PlainUnpickler(io.BytesIO(content)).load()
    except TraceError as error:
        raise TraceError(said_of(path, error)) from error
    except _NO_PICKLE as error:
        raise TraceError(expected(path, "a pickle", "a file that is none, or a damaged one")) from error
    if not isinstance(found, dict) or not found or not all(isinstance(value, dict) for value in found.values()):
        raise TraceError(f"{path}: expected a dictionary with a dictionary for each device, found none")
    if not all(isinstance(name, str | int) and not isinstance(name, bool) for name in found):
        raise TraceError(expected(path, "device ids that are text or numbers", "another one"))
    try:
        named = {str(name): value for name, value in found.items()}
    except ValueError as error:  # a number of thousands of digits
        raise TraceError(expected(path, "device ids that are text or numbers", "another one")) from error
    if len(named) < len(found):
        raise TraceError(expected(path, "each device once", "one a second time"))
    if sum(len(own) for value in named.values() for own in value.values() if isinstance(own, list)) > len(content):
        raise TraceError(expected(path, "times of each device", "the same for many"))
    return named


def _numbers(record: dict[Any, Any], name: str, where: str) -> list[float]:
    value = record.get(name)
    values = value if isinstance(value, list) else [value]
    for one in values:
        if isinstance(one, bool) or not isinstance(one, int | float) or not 0 <= one <= _LARGEST:
            raise TraceError(f"{where}: expected {name} >= 0, found another value")
    return [float(one) for one in values]


def read_fedscale(path: Path) -> Trace:
    """Read a FedScale availability trace; see the module docstring.

    Raises:
        TraceError: naming the device by its number.
    """
    found = _load_plain(path)
    sessions, spans = [], []
    ids, places = sorted(found), _places(path, found)
    for name in ids:
        where, record = places[name], found[name]
        active, inactive = (_numbers(record, key, where) for key in ("active", "inactive"))
        (finish,) = _numbers(record, "finish_time", where)[:1] or [0.0]
        if len(active) != len(inactive):
            raise TraceError(f"{where}: expected as many active as inactive times, found {len(active)} and others")
        times = [t for pair in zip(active, inactive, strict=True) for t in pair]
        if any(b < a for a, b in pairwise(times)):
            raise TraceError(f"{where}: expected times that rise and do not overlap, found others")
        if finish <= 0 or (times and times[-1] > finish):
            raise TraceError(f"{where}: expected finish_time after the last time, found an earlier one")
        sessions.append([(a, b) for a, b in zip(active, inactive, strict=True) if b > a])
        spans.append((0.0, finish))
    return _trace(path, ids, sessions, spans)


def read_fedscale_capacity(path: Path, ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Read a FedScale capacity file: device -> {"computation": ms a sample, "communication": kbit/s}.

    Its computation is of another model, so it gives the devices' relative speed only.

    Raises:
        TraceError: naming the device by its number; also when it names none of `ids`.
    """
    found = _load_plain(path)
    compute, network = np.full(len(ids), np.nan), np.full(len(ids), np.nan)
    places = _places(path, found)
    for i, name in enumerate(ids):
        if name in found:
            where = places[name]
            for values, key in ((compute, "computation"), (network, "communication")):
                (values[i],) = _numbers(found[name], key, where)[:1] or [0.0]
                if values[i] <= 0:
                    raise TraceError(f"{where}: expected {key} > 0, found 0")
    if np.isnan(compute).all():
        raise TraceError(f"{path}: expected devices of the trace, found none of them")
    kbytes = network / 8
    return {"relative_train_s": compute, "download_kbytes_per_s": kbytes, "upload_kbytes_per_s": kbytes}


def _trace(
    path: Path, ids: list[str], sessions: list[list[tuple[float, float]]], spans: list[tuple[float, float]]
) -> Trace:
    device = np.repeat(np.arange(len(ids)), [len(own) for own in sessions])
    rows = np.array([pair for own in sessions for pair in own], np.float64).reshape(-1, 2)
    span = np.array(spans, np.float64)
    return Trace(
        source=str(path),
        device_ids=tuple(ids),
        device=device,
        start_s=rows[:, 0],
        end_s=rows[:, 1],
        observed_from_s=span[:, 0],
        observed_to_s=span[:, 1],
    )
