import time
import weakref

import numpy as np
import pytest
from flwr.app import Message, RecordDict

from server_strategy.protocol import HostProfile
from simulation.engine.profile import HostClock, Stopwatch, round_profile, timed_replies


def host(worker, message_s, train_s):
    return HostProfile(
        decode_s=0.0,
        read_s=0.0,
        train_s=train_s,
        clip_and_sum_s=0.0,
        message_s=message_s,
        cpu_s=message_s,
        peak_rss_bytes=5,
        worker=worker,
    )


def test_phases_add_up_to_the_time_watched():
    at = [time.perf_counter()]
    watch = Stopwatch()
    at.append(time.perf_counter())
    for phase in ("plan", "exchange", "plan"):
        time.sleep(0.01)
        at.append(time.perf_counter())
        watch.lap(phase)
    # However long this process had to wait between two lines.
    assert at[-1] - at[1] <= watch.total_s <= time.perf_counter() - at[0]
    assert watch.seconds["plan"] >= 0.02 and set(watch.seconds) == {"plan", "exchange"}


def test_transport_is_what_the_busiest_worker_did_not_have_in_hand():
    watch = Stopwatch()
    watch.seconds.update(plan=0.1, exchange=5.0, server_step=0.2)
    hosts = [host(1, 2.0, 1.5), host(2, 1.0, 0.9), host(1, 2.5, 2.0)]
    profile = round_profile(watch, 0.3, hosts, checkpoint_s=0.05)
    assert profile.transport_s == pytest.approx(0.5)  # worker 1 was busy for 4.5 of 5 s
    assert profile.hosts_s["train"] == pytest.approx(4.4)
    assert sum(profile.hosts_s.values()) == pytest.approx(5.5) == pytest.approx(profile.hosts_cpu_s)
    assert profile.driver_s == {"plan": 0.1, "exchange": 5.0, "server_step": 0.2, "evaluation": 0.0}
    assert profile.worker_peak_rss_bytes == 5


def test_a_round_without_training_has_no_worker_to_measure():
    profile = round_profile(Stopwatch(), 0.0, [], 0.0)
    assert profile.worker_peak_rss_bytes is None and profile.transport_s == 0


def test_the_peak_is_this_process_and_its_own():
    ballast = np.ones(50_000_000, np.uint8)
    peak = HostClock().profile().peak_rss_bytes
    assert len(ballast) < peak < 50e9


def test_replies_are_let_go_of_and_their_time_is_that_of_waiting_and_of_adding_up():
    alive: weakref.WeakSet[Message] = weakref.WeakSet()
    watch, hosts, phases = Stopwatch(), [], []
    watch.lap = phases.append  # type: ignore[method-assign]

    def answers():
        for number in range(4):
            assert not alive  # whoever waits for an answer has none of those before it
            content = RecordDict({"profile": host(number, 1.0, 0.5).to_record()} if number else {})
            reply = Message(content, dst_node_id=1, message_type="train")
            alive.add(reply)
            yield reply
            del reply

    for reply in timed_replies(answers(), watch, hosts):
        assert list(alive) == [reply]
        del reply
    assert [one.worker for one in hosts] == [1, 2, 3]
    assert phases == ["exchange", "server_step"] * 4 + ["exchange"]
