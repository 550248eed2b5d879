"""Where a round's time goes: clocks on the driver and on the hosts, and one record that joins them.

A `Stopwatch` charges the time since its last lap to a named phase, so that phases never overlap and
always add up to the time watched. Every host carries one through each message and answers with
a `HostProfile`; `round_profile` joins the answers with the driver's own phases. Nothing of this
reaches a result: it is measured always, and reported with `--engine.profile`.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flwr.app import Message

from server_strategy.protocol import HostProfile
from simulation.engine.memory import peak_rss_bytes
from simulation.start_up import Kind, Span

DRIVER_PHASES = ("plan", "exchange", "server_step", "evaluation")
PHASES_OF_A_START: Mapping[str, tuple[Kind, str]] = {  # those of the first round, as spans
    "plan": ("prepare", "plans round 1"),
    "exchange": ("phones", "round 1"),
    "server_step": ("prepare", "sum and step of round 1"),
    "evaluation": ("phones", "scores the weights"),
}


class Stopwatch:
    """Seconds by phase.

    Example:
        >>> watch = Stopwatch()
        >>> watch.lap("plan")
        >>> list(watch.seconds)
        ['plan']
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Charge the time since the last lap to `phase`."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now

    @property
    def total_s(self) -> float:
        """Seconds charged so far."""
        return sum(self.seconds.values())


class HostClock(Stopwatch):
    """The stopwatch of one message on one host, with the worker process's own counters."""

    def __init__(self) -> None:
        super().__init__()
        self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def profile(self) -> HostProfile:
        """What the host answers with beside its result."""
        return HostProfile(
            decode_s=self.seconds["decode"],
            read_s=self.seconds["read"],
            train_s=self.seconds["train"],
            clip_and_sum_s=self.seconds["clip_and_sum"],
            message_s=time.perf_counter() - self._began,
            cpu_s=time.process_time() - self._cpu_began,
            peak_rss_bytes=peak_rss_bytes(),
            worker=os.getpid(),
        )


def timed_replies(replies: Iterable[Message], watch: Stopwatch, hosts: list[HostProfile]) -> Iterator[Message]:
    """The replies as they come, each let go of before the next one is waited for.

    Args:
        replies: of the hosts.
        watch: is told what was spent waiting for them, and what on each.
        hosts: what they say of their own time comes to it.
    """
    for reply in replies:
        watch.lap("exchange")
        profile = HostProfile.from_content(reply.content)
        hosts += [] if profile is None else [profile]
        yield reply
        del reply
        watch.lap("server_step")
    watch.lap("exchange")


@dataclass(frozen=True, kw_only=True)
class RoundProfile:
    """Where a round's time went.

    Attributes:
        driver_s: wall seconds of each phase on the driver, `DRIVER_PHASES`; they add up to the round.
        hosts_s: seconds of each phase, summed over all messages.
        transport_s: the part of the exchange in which the busiest worker had no message in hand (encoding,
            transfer, decoding, polling).
        checkpoint_s: spent on the checkpoint that was written since the round before; the one after a round can
            only be known when the round's line is written.
        driver_cpu_s, hosts_cpu_s: processor time over the round.
        driver_peak_rss_bytes, worker_peak_rss_bytes: since the processes started; None where none answered.
        start_up: what was done until the end of the round, if it is the first after a start.
    """

    driver_s: Mapping[str, float]
    hosts_s: Mapping[str, float]
    transport_s: float
    checkpoint_s: float
    driver_cpu_s: float
    hosts_cpu_s: float
    driver_peak_rss_bytes: int
    worker_peak_rss_bytes: int | None
    start_up: Sequence[Span] = ()

    def as_json(self) -> dict[str, Any]:
        """As it stands in a line of rounds.jsonl; most have no start."""
        return {name: value for name, value in asdict(self).items() if name != "start_up" or value}

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> "RoundProfile":
        """Inverse of `as_json`."""
        start = tuple(map(Span.from_json, found.get("start_up", ())))
        return RoundProfile(**{**found, "start_up": start})


def round_profile(
    watch: Stopwatch,
    driver_cpu_s: float,
    hosts: Sequence[HostProfile],
    checkpoint_s: float,
    start: Sequence[Span] = (),
) -> RoundProfile:
    """Join the clocks of one round.

    Args:
        watch: the driver's phases, `DRIVER_PHASES`.
        driver_cpu_s: processor time of the driver process over the round.
        hosts: what the hosts answered the training messages with.
        checkpoint_s: see `RoundProfile`.
        start: the spans of the start, of the first round after it.
    """
    busy: defaultdict[int, float] = defaultdict(float)
    for host in hosts:
        busy[host.worker] += host.message_s
    driver_s = {phase: watch.seconds.get(phase, 0.0) for phase in DRIVER_PHASES}
    hosts_s = {
        "decode": sum(host.decode_s for host in hosts),
        "read": sum(host.read_s for host in hosts),
        "train": sum(host.train_s for host in hosts),
        "clip_and_sum": sum(host.clip_and_sum_s for host in hosts),
    }
    return RoundProfile(
        driver_s=driver_s,
        hosts_s={**hosts_s, "other": sum(host.message_s for host in hosts) - sum(hosts_s.values())},
        transport_s=driver_s["exchange"] - max(busy.values(), default=0.0),
        checkpoint_s=checkpoint_s,
        driver_cpu_s=driver_cpu_s,
        hosts_cpu_s=sum(host.cpu_s for host in hosts),
        driver_peak_rss_bytes=peak_rss_bytes(),
        worker_peak_rss_bytes=max((host.peak_rss_bytes for host in hosts), default=None),
        start_up=start,
    )
