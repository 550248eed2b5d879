"""Where a round's time goes: clocks on the driver and on the hosts, and one record that joins them.

A `Stopwatch` charges the time since its last lap to a named phase, so that phases never overlap and
always add up to the time watched. Every host carries one through each message and answers with
`HostClock.metrics`; `round_profile` joins the answers with the driver's own phases. Nothing of this
reaches a result: it is measured always, and reported with `--engine.profile`.
"""

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from flwr.app import Message, MetricRecord

from simulation.engine.memory import peak_rss_bytes

HOST_PHASES = ("decode", "read", "train", "clip_and_sum")
DRIVER_PHASES = ("plan", "exchange", "server_step", "evaluation")
_RECORD = "profile"


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

    def metrics(self) -> MetricRecord:
        """What the host answers with beside its result."""
        return MetricRecord(
            {
                **{f"{phase}-s": self.seconds.get(phase, 0.0) for phase in HOST_PHASES},
                "message-s": time.perf_counter() - self._began,
                "cpu-s": time.process_time() - self._cpu_began,
                "peak-rss-bytes": peak_rss_bytes(),
                "worker": os.getpid(),
            }
        )


def attach(clock: HostClock, content: Any) -> None:
    """Put the clock's metrics into the content of an answer."""
    content[_RECORD] = clock.metrics()


def round_profile(
    watch: Stopwatch, driver_cpu_s: float, replies: Iterable[Message], checkpoint_s: float
) -> dict[str, Any]:
    """The profile of one round.

    Args:
        watch: the driver's phases, `DRIVER_PHASES`.
        driver_cpu_s: processor time of the driver process over the round.
        replies: the hosts' answers to the training messages.
        checkpoint_s: seconds spent on the checkpoint that was written since the round before.

    Returns:
        `driver_s`: wall seconds of each phase on the driver; they add up to the round. `hosts_s`: seconds
        of each phase, summed over all messages. `transport_s`: the part of the exchange in which the
        busiest worker had no message in hand (encoding, transfer, decoding, polling). `checkpoint_s`:
        as given; the checkpoint after a round can only be known when the round's line is written.
    """
    found = [r.content.metric_records[_RECORD] for r in replies if _RECORD in r.content.metric_records]
    metrics: list[dict[str, Any]] = [dict(m) for m in found]
    busy: defaultdict[int, float] = defaultdict(float)
    for m in metrics:
        busy[m["worker"]] += m["message-s"]

    def total(name: str) -> float:
        return sum(m[name] for m in metrics)

    driver_s = {phase: watch.seconds.get(phase, 0.0) for phase in DRIVER_PHASES}
    hosts_s = {phase: total(f"{phase}-s") for phase in HOST_PHASES}
    hosts_s["other"] = total("message-s") - sum(hosts_s.values())
    return {
        "driver_s": driver_s,
        "hosts_s": hosts_s,
        "transport_s": driver_s["exchange"] - max(busy.values(), default=0.0),
        "checkpoint_s": checkpoint_s,
        "driver_cpu_s": driver_cpu_s,
        "hosts_cpu_s": total("cpu-s"),
        "driver_peak_rss_bytes": peak_rss_bytes(),
        "worker_peak_rss_bytes": max((m["peak-rss-bytes"] for m in metrics), default=None),
    }
