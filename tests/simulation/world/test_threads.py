"""Phones are computed on several cores, and nobody can tell on how many."""

import threading

import numpy as np
import pytest

from simulation.world import threads
from simulation.world.availability import model
from simulation.world.availability.base import WorldFacts
from simulation.world.availability.model import AvailabilityModel, Habits
from simulation.world.sessions import Sessions, merge_lists
from simulation.world.threads import in_threads


@pytest.mark.parametrize("cores", [1, 2, 64])
@pytest.mark.parametrize("blocks", [0, 1, 5, 40])
def test_results_come_in_the_order_of_the_blocks_and_no_thread_is_left(monkeypatch, cores, blocks):
    monkeypatch.setattr(threads, "cores", lambda: cores)
    before = threading.active_count()
    numbers = [np.arange(n, n + 1000) for n in range(blocks)]
    assert in_threads(np.sum, numbers) == [block.sum() for block in numbers]
    assert threading.active_count() == before


def test_more_cores_are_used_where_there_are_some(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    together = threading.Barrier(2)
    assert sorted(in_threads(lambda _: together.wait(60), range(2))) == [0, 1]  # one core would wait for the other


def test_what_is_raised_is_raised_and_no_thread_is_left(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda n: 1 // n, [1, 0, 1, 0])
    assert threading.active_count() == before


def test_the_phones_of_a_fleet_do_not_depend_on_the_cores(monkeypatch):
    monkeypatch.setattr(model, "_PHONES_AT_ONCE", 64)
    found: list[list[np.ndarray]] = []
    for cores in (1, 3):
        monkeypatch.setattr(threads, "cores", lambda cores=cores: cores)
        fleet = AvailabilityModel(Habits(reentry_share=0.3, long_session_share=0.2), WorldFacts(1000, seed=4))
        found.append([fleet.eligible_share, *fleet.sessions_around(3)])
    for one, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, three)
    assert len(found[0][1]) > 1000


def test_merged_sessions_do_not_depend_on_the_cores(monkeypatch):
    monkeypatch.setattr("simulation.world.sessions._SESSIONS_AT_ONCE", 50)
    random, lists = np.random.default_rng(2), []
    for _ in range(3):
        start = random.random(400) * 1e4
        lists.append(Sessions(np.sort(random.integers(0, 90, 400)), start, start + random.random(400) * 300))
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(threads, "cores", lambda cores=cores: cores)
        found.append(merge_lists(lists))
    for one, three in zip(*found, strict=True):
        np.testing.assert_array_equal(one, three)
