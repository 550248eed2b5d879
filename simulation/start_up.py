"""What was done when while a run started: in the driver, the engine's thread, the fork server and the workers.

A start is many things at the same time, and only side by side do their times say which of them is waited for. A span
says who did what from when until when, by the monotonic clock, which all processes of a machine share, and how much of
a processor it took. Spans are taken of every start until its first round is over; they cost microseconds, reach no
result, and are kept only with `--engine.profile`, in the line of that round.

Processes that the fork server forks add theirs to a file in Ray's folder, which the driver reads at the end. Machines
of a cluster have clocks of their own, so nothing is told of their workers.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

DRIVER, ENGINE, FORKS, WORKER = "driver", "engine", "fork server", "worker"
Kind: TypeAlias = Literal["import", "prepare", "start", "wait", "phones"]
KINDS: tuple[str, ...] = get_args(Kind)
_MOST_LETTERS = 200  # of a name; ours are of a few words
_SHORTEST_S = 0.005  # what takes less is nothing that anybody waits for


@dataclass(frozen=True)
class Span:
    """One thing that was done.

    Attributes:
        who: a process or a thread; what one of them did does not overlap.
        kind: of what it did.
        what: it did, in a few words.
        began_s, ended_s: seconds since the start began.
        processor_s: of its thread, or of its process as long as it had one alone; None where it is not known.
    """

    who: str
    kind: Kind
    what: str
    began_s: float
    ended_s: float
    processor_s: float | None

    @staticmethod
    def from_json(value: Any) -> "Span":
        """Of a line that somebody may have changed.

        Raises:
            TypeError, KeyError, ValueError: it is no span.
        """
        names = (value["who"], value["what"])
        if value["kind"] not in KINDS or not all(isinstance(name, str) and _can_be_shown(name) for name in names):
            raise ValueError
        began_s, ended_s, used_s = float(value["began_s"]), float(value["ended_s"]), value["processor_s"]
        used_s = None if used_s is None else float(used_s)
        if not 0 <= began_s <= ended_s < float("inf") or not 0 <= (used_s or 0.0) < float("inf"):
            raise ValueError
        told: dict[str, Any] = {name: value[name] for name in ("who", "kind", "what")}
        return Span(**told, began_s=began_s, ended_s=ended_s, processor_s=used_s)


def _can_be_shown(name: str) -> bool:
    return len(name) <= _MOST_LETTERS and name.isprintable()


@dataclass
class _Start:
    """A start that is going on, as this process knows it."""

    began_s: float
    who: str = DRIVER
    is_new: bool = True  # no run has begun with it
    spans: list[Span] = field(default_factory=list)
    told_in: Path | None = None  # where other processes add theirs
    adds_to: Path | None = None  # where this process does, if it is such a one
    told: set[str] = field(default_factory=set)  # what it has done for the first time
    last_s: float = 0.0  # when its last span ended
    used_s: float = 0.0  # of a processor, until then


_start: _Start | None = None
_lock = threading.Lock()


def begin_with_the_process() -> None:
    """Begin a start with what this process has done until now, from the command on."""
    _begin(_process_began_s())
    _add(DRIVER, "import", "Python and flags", _process_began_s(), time.process_time())


def begin() -> None:
    """Begin a start, unless it has begun with the process."""
    if _start is None or not _start.is_new:
        _begin(time.monotonic())
    if _start is not None:
        _start.is_new = False


def _begin(began_s: float) -> None:
    global _start
    _start = _Start(began_s)


def _process_began_s() -> float:
    """When this process was started, to a hundredth of a second; where that cannot be read, now."""
    try:
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age_s = 0.0
    return time.monotonic() - max(age_s, 0.0)


@contextmanager
def span(kind: Kind, what: str, who: str = "") -> Iterator[None]:
    """What is done within, by this thread, is a span.

    Args:
        kind, what: see `Span`.
        who: by default the process, in its main thread.
    """
    if _start is None:
        yield
        return
    began_s, processor_s = time.monotonic(), time.thread_time()
    try:
        yield
    finally:
        _add(who, kind, what, began_s, time.thread_time() - processor_s)


def opened(kind: Kind, what: str, who: str) -> Callable[[], None]:
    """Begin a span; whatever thread calls what is returned ends it, the first time that it is called.

    Args:
        kind, what, who: see `Span`.
    """
    began_s, of_start, has_ended = time.monotonic(), _start, threading.Event()

    def ended() -> None:
        if of_start is _start and not has_ended.is_set():
            has_ended.set()
            _add(who, kind, what, began_s, None)

    return ended


@contextmanager
def first(kind: Kind, what: str) -> Iterator[None]:
    """What is done within is a span of a worker's, if it has not done it before."""
    if _start is None or _start.adds_to is None or what in _start.told:
        yield
        return
    _start.told.add(what)
    with span(kind, what):
        yield


def since_the_last(kind: Kind, what: str) -> None:
    """What a forked process has done since its last span, or since it began, is a span, once."""
    if _start is not None and _start.adds_to is not None and what not in _start.told:
        _start.told.add(what)
        _add("", kind, what, _start.last_s, time.process_time() - _start.used_s)


def laps(kinds: Mapping[str, tuple[Kind, str]], seconds: Mapping[str, float]) -> None:
    """What the driver has done until now, one after another without a gap, is spans.

    Args:
        kinds: kind and what of each phase, by its name.
        seconds: of each phase, in their order.
    """
    if _start is None:
        return
    began_s = time.monotonic() - sum(seconds.values())
    for phase, lasted_s in seconds.items():
        _add(DRIVER, *kinds[phase], began_s, None, ended_s=began_s + lasted_s)
        began_s += lasted_s


def told_in(path: Path) -> None:
    """Let `end` read what other processes tell in a file."""
    if _start is not None:
        _start.told_in = path


def add_to(path: Path, who: str) -> None:
    """From now on this process is another one than the driver, and adds its spans to a file."""
    global _start
    now_s = time.monotonic()
    _start = _Start(now_s, who, is_new=False, adds_to=path, last_s=now_s, used_s=time.process_time())


def in_a_fork() -> None:
    """From now on this process is a worker, forked from one that adds its spans to a file."""
    if _start is not None and _start.adds_to is not None:
        add_to(_start.adds_to, f"{WORKER} {os.getpid()}")


def _add(
    who: str, kind: Kind, what: str, began_s: float, processor_s: float | None, *, ended_s: float | None = None
) -> None:
    if (now := _start) is None:
        return
    ended_s = time.monotonic() if ended_s is None else ended_s
    now.last_s, now.used_s = ended_s, time.process_time()
    if ended_s - began_s < _SHORTEST_S:
        return
    one = Span(who or now.who, kind, what, began_s=began_s, ended_s=ended_s, processor_s=processor_s)
    if now.adds_to is None:
        with _lock:
            now.spans.append(one)
        return
    with suppress(OSError), now.adds_to.open("a", encoding="utf-8") as file:  # one that is missing stops nobody
        file.write(json.dumps(asdict(one)) + "\n")  # in one piece, since it is short


def end() -> tuple[Span, ...]:
    """The spans of the start, which is over; none if none was going on."""
    global _start
    ended, _start = _start, None
    if ended is None:
        return ()
    spans = [*ended.spans, *_told_by_others(ended.told_in)]
    workers = dict.fromkeys(one.who for one in sorted(spans, key=lambda one: one.began_s) if WORKER in one.who)
    names = {who: f"{WORKER} {number}" for number, who in enumerate(workers, 1)}
    return tuple(
        replace(
            one,
            who=names.get(one.who, one.who),
            began_s=round(max(one.began_s - ended.began_s, 0.0), 4),
            ended_s=round(max(one.ended_s - ended.began_s, 0.0), 4),
            processor_s=None if one.processor_s is None else round(one.processor_s, 4),
        )
        for one in sorted(spans, key=lambda one: (one.who != DRIVER, one.who, one.began_s))
    )


def _told_by_others(path: Path | None) -> Iterator[Span]:
    """Spans that other processes have told until now."""
    lines: list[str] = []
    with suppress(OSError):
        lines = [] if path is None else path.read_text(encoding="utf-8").splitlines()
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):  # of a process that was killed while it wrote
            yield Span.from_json(json.loads(line))
