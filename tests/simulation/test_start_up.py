"""Spans of a start: beside each other, by one clock, whatever process they are of."""

import json
import threading
import time
from itertools import pairwise

import pytest

from simulation import start_up
from simulation.start_up import DRIVER, ENGINE, Span

LONG_S = 0.02


@pytest.fixture(autouse=True)
def nothing_goes_on():
    start_up.end()
    yield
    start_up.end()


def do(kind="prepare", what="text", who=""):
    with start_up.span(kind, what, who):
        time.sleep(LONG_S)


def test_spans_are_counted_from_the_beginning_and_end_with_the_start():
    start_up.begin()
    time.sleep(LONG_S)
    do()
    thread = threading.Thread(target=do, args=("start", "Ray", ENGINE))
    thread.start()
    thread.join()
    do("import", "modules")
    found = start_up.end()
    assert [(one.who, one.what) for one in found] == [(DRIVER, "text"), (DRIVER, "modules"), (ENGINE, "Ray")]
    first, second, of_thread = found
    assert LONG_S <= first.began_s < first.ended_s <= of_thread.began_s < of_thread.ended_s <= second.began_s
    assert all(one.ended_s - one.began_s + 1e-4 >= LONG_S and one.processor_s < one.ended_s for one in found)
    do()
    assert start_up.end() == ()


def test_a_start_from_the_command_on_counts_what_came_before_and_belongs_to_one_run():
    start_up.begin_with_the_process()
    start_up.begin()
    do()
    python, text = start_up.end()
    assert python.began_s == 0 and python.kind == "import" and python.processor_s > 0
    assert python.ended_s > LONG_S and text.began_s >= python.ended_s  # this process took longer than that to begin
    start_up.begin_with_the_process()
    start_up.begin()  # a run that failed before its first round
    start_up.begin()  # and the next one
    assert start_up.end() == ()


def test_what_is_short_is_left_out_and_what_raises_is_told():
    start_up.begin()
    with start_up.span("wait", "for nothing"):
        pass
    with pytest.raises(KeyError), start_up.span("wait", "in vain"):
        time.sleep(LONG_S)
        raise KeyError
    assert [one.what for one in start_up.end()] == ["in vain"]


def test_phases_lie_one_after_another_up_to_now():
    start_up.begin()
    time.sleep(3 * LONG_S)
    began = time.monotonic()
    start_up.laps({"a": ("prepare", "plan"), "b": ("phones", "round")}, {"a": LONG_S, "b": 2 * LONG_S})
    plan, train = start_up.end()
    assert (plan.what, train.what, plan.processor_s) == ("plan", "round", None)
    assert plan.ended_s == train.began_s and train.ended_s - plan.began_s == pytest.approx(3 * LONG_S, abs=2e-4)
    assert time.monotonic() - began < train.ended_s + 60


def test_what_another_thread_has_begun_is_ended_once_and_by_its_own_start():
    start_up.begin()
    is_over = start_up.opened("start", "Flower", ENGINE)
    time.sleep(LONG_S)
    is_over()
    time.sleep(LONG_S)
    is_over()
    (one,) = start_up.end()
    assert one.who == ENGINE and one.processor_s is None
    start_up.begin()
    is_over = start_up.opened("start", "Flower", ENGINE)
    start_up.end()
    start_up.begin()
    time.sleep(LONG_S)
    is_over()
    assert start_up.end() == ()


def test_other_processes_add_theirs_to_a_file_and_workers_are_numbered_as_they_began(tmp_path):
    told = tmp_path / "told.jsonl"
    start_up.begin()
    start_up.told_in(told)
    do()
    driver = start_up._start
    start_up.add_to(told, start_up.FORKS)  # from here on as if it were that process
    do("start", "forks a worker")
    for _ in (0, 1):
        start_up.in_a_fork()
        do("import", "modules")
        time.sleep(LONG_S)
        for _ in (0, 1):  # a second message
            start_up.since_the_last("start", "Ray")
            with start_up.first("phones", "scores"):
                time.sleep(LONG_S)
    start_up._start = driver
    lines = told.read_text().splitlines()
    assert len(lines) == 7
    told.write_text(
        "\n".join([*(line.replace("worker", f"worker{i}") for i, line in enumerate(lines)), '{"who": 1}', "{"])
    )
    found = start_up.end()
    assert [one.who for one in found] == [DRIVER, "fork server", *(f"worker {i}" for i in range(1, 7))]
    assert [one.what for one in found[2:]] == ["modules", "Ray", "scores"] * 2
    moments = [moment for one in found for moment in (one.began_s, one.ended_s)]
    assert moments == sorted(moments)  # one clock


def test_in_the_drivers_own_process_hosts_add_nothing_to_what_it_waits_for():
    start_up.begin()
    with start_up.first("phones", "scores"):
        time.sleep(LONG_S)
    start_up.since_the_last("start", "Ray")
    assert start_up.end() == ()


SPAN = Span("worker 1", "phones", "scores", 1.0, 2.5, None)
AS_JSON = {"who": "worker 1", "kind": "phones", "what": "scores", "began_s": 1.0, "ended_s": 2.5, "processor_s": None}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"who": 3},
        {"what": None},
        {"who": "a\x00b"},
        {"what": "\ud800"},
        {"what": "x" * 5000},
        {"began_s": -1},
        {"began_s": 3.0},
        {"ended_s": float("inf")},
        {"ended_s": "x"},
        {"began_s": float("nan")},
        {"processor_s": -1.0},
        {"processor_s": float("inf")},
        {"processor_s": []},
    ],
)
def test_what_is_no_span_is_refused(change):
    assert Span.from_json(AS_JSON) == SPAN
    with pytest.raises((TypeError, ValueError, KeyError)):
        Span.from_json({**AS_JSON, **change})


def test_a_run_with_a_profile_keeps_its_start_in_the_line_of_its_first_round(planted):
    lines = [json.loads(line) for line in (planted / "run" / "rounds.jsonl").read_text().splitlines()]
    assert ["start_up" in line["profile"] for line in lines] == [True, *[False] * (len(lines) - 1)]
    spans = [Span.from_json(one) for one in lines[0]["profile"]["start_up"]]
    own = [one for one in spans if one.who == DRIVER]
    assert {"text and fleet", "folder and checkpoint"} <= {
        one.what for one in own
    }  # others may be too short to be told
    assert all(before.ended_s <= after.began_s + 2e-3 for before, after in pairwise(own))  # none within another
    assert own[-1].ended_s >= sum(lines[0]["profile"]["driver_s"].values()) - 2e-3
