import time

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict

from simulation.engine.profile import HostClock, Stopwatch, attach, round_profile


def reply(worker, message_s, train_s):
    metrics = {f"{p}-s": 0.0 for p in ("decode", "read", "clip_and_sum")}
    metrics |= {"train-s": train_s, "message-s": message_s, "cpu-s": message_s, "peak-rss-bytes": 5, "worker": worker}
    content = RecordDict({"profile": MetricRecord(metrics), "other": ConfigRecord({"a": 1})})
    return Message(content, dst_node_id=1, message_type="train")


def test_phases_add_up_to_the_time_watched():
    began, watch = time.perf_counter(), Stopwatch()
    for phase in ("plan", "exchange", "plan"):
        time.sleep(0.01)
        watch.lap(phase)
    assert watch.total_s == pytest.approx(time.perf_counter() - began, abs=2e-3)
    assert watch.seconds["plan"] >= 0.02 and set(watch.seconds) == {"plan", "exchange"}


def test_transport_is_what_the_busiest_worker_did_not_have_in_hand():
    watch = Stopwatch()
    watch.seconds.update(plan=0.1, exchange=5.0, server_step=0.2)
    replies = [reply(1, 2.0, 1.5), reply(2, 1.0, 0.9), reply(1, 2.5, 2.0)]
    profile = round_profile(watch, 0.3, replies, checkpoint_s=0.05)
    assert profile["transport_s"] == pytest.approx(0.5)  # worker 1 was busy for 4.5 of 5 s
    assert profile["hosts_s"]["train"] == pytest.approx(4.4)
    assert sum(profile["hosts_s"].values()) == pytest.approx(5.5) == pytest.approx(profile["hosts_cpu_s"])
    assert profile["driver_s"] == {"plan": 0.1, "exchange": 5.0, "server_step": 0.2, "evaluation": 0.0}
    assert profile["worker_peak_rss_bytes"] == 5


def test_a_round_without_training_has_no_worker_to_measure():
    profile = round_profile(Stopwatch(), 0.0, [], 0.0)
    assert profile["worker_peak_rss_bytes"] is None and profile["transport_s"] == 0


def test_the_peak_is_this_process_and_its_own():
    ballast = np.ones(50_000_000, np.uint8)
    content = RecordDict({})
    attach(HostClock(), content)
    peak = content["profile"]["peak-rss-bytes"]
    assert len(ballast) < peak < 50e9
