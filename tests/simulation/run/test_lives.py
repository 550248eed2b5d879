"""Lives of a run are told apart, and each goes by the record that began it."""

from itertools import product

import pytest

from simulation.run.forgotten import Request, read_requests, record_request
from simulation.run.lives import about_record, begins_life, noise_life, record_of, require_record
from typefleet.errors import ConfigError

RELEASE, BACK = {"release": 1}, {"release": 0, "forgotten": 1}


def test_no_two_lives_with_releases_share_their_noise():
    """Whatever a run is told, however often it goes back, and whenever it is killed in between."""
    for events in product(("told", "back", "release"), repeat=7):
        numbers = numbers_used(events)
        assert len(set(numbers)) == len(numbers), events


def numbers_used(events):
    """Of the noise of each life in which something was released."""
    entries, life, number, used = [{"release": 0}], 0, 0, []
    for event in events:
        if event == "told":
            life += 1
        elif event == "back" and life:
            number = noise_life(entries, life)
            entries.append(BACK)
            assert noise_life(entries, life) == number  # killed now, it begins the same life again
        elif event == "release":
            if not used or used[-1][1] != entries.count(BACK):
                used.append((number, entries.count(BACK)))
            entries.append(RELEASE)
    return [number for number, _ in used]


def test_a_life_that_the_ledger_tells_of_is_not_the_one_of_a_checkpoint_before():
    entries = [{"release": 0}, RELEASE, BACK, RELEASE, BACK]
    assert begins_life({}, 1, entries) and begins_life({"life": "1", "went_back": "1"}, 1, entries)
    assert not begins_life({"life": "1", "went_back": "2"}, 1, entries) and not begins_life({}, 0, entries[:2])


def test_a_record_is_held_to_the_one_that_a_run_went_on_by(tmp_path):
    for number in range(3):
        record_request(tmp_path, Request("2026-01-01T00:00:00+00:00", f"{number:032x}", (f"{number:016x}",)))
    requests = read_requests(tmp_path)
    for then, now in product(range(4), repeat=2):
        names = [about_record(requests[:then]), {"release": 1}]
        if now >= then:
            require_record(tmp_path, requests[:now], names)
            continue
        found = "none" if not now else f"one of {now}"
        with pytest.raises(ConfigError, match=rf"forgotten\.jsonl: expected .* with {then} or more .* {found}$"):
            require_record(tmp_path, requests[:now], names)
    with pytest.raises(ConfigError, match="found another one"):
        require_record(tmp_path, requests[1:], [record_of(requests[:1])._asdict()])
