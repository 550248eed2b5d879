"""A run that goes back to forget phones: fresh noise, participations of its own, and a cost that counts both lives."""

import json
from copy import deepcopy
from dataclasses import asdict

import numpy as np
import pytest

from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.ledger import LedgerError, recompute
from server_strategy.privacy.ledger_lines import Record, chained, goes_back, life_begins, read_ledger
from server_strategy.privacy.noise_key import NoiseKey
from tests.server_strategy.test_dp_fedavg import flat, make, play, play_round, start_arrays

MECHANISMS = ("gaussian", "tree", "banded", "blt", "none")
KEY = NoiseKey.seeded(4)
RECORD = Record(1, "0" * 64)


def settings_of(mechanism, **more):
    z = None if mechanism == "none" else 1.0
    return dict(privacy=PrivacyConfig(mechanism, clip_norm=0.5, noise_multiplier=z, **more), goal=6)


def went_back(state, path, life, phones=1, server_round=0, **settings):
    strategy, grid = make(**settings, ledger_path=path, noise=KEY.of_life(life))
    strategy.load_state(deepcopy(state))
    strategy.go_back(phones, server_round, RECORD)
    return strategy, grid


@pytest.fixture(params=MECHANISMS)
def lived(request, tmp_path):
    """(mechanism, settings, ledger, state before the first release and after the second, weights after each)."""
    settings, path = settings_of(request.param), tmp_path / "l"
    strategy, grid = make(**settings, ledger_path=path)
    states, weights, arrays = [deepcopy(strategy.state())], [start_arrays()], start_arrays()
    for r in range(1, 6):
        arrays = play_round(strategy, grid, r, arrays)
        states.append(deepcopy(strategy.state()))
        weights.append(arrays)
    return request.param, settings, path, states, weights, strategy


@pytest.mark.parametrize("at", [0, 2])
def test_the_same_sums_have_fresh_noise_and_count_a_second_time(lived, at):
    mechanism, settings, path, states, weights, first = lived
    strategy, grid = went_back(states[at], path, 1, server_round=at, **settings)
    arrays, alone = weights[at], first.spent(True)
    for r in range(at + 1, 6):
        arrays = play_round(strategy, grid, r, arrays)
        assert (flat(arrays) == flat(weights[r])).all() == (mechanism == "none")
    assert (strategy.participation.counts == first.participation.counts).all()  # nobody is kept out by the first life
    spent = strategy.spent(True)
    assert spent.repeated_releases == 5 - at and (mechanism == "none" or spent.zcdp_rho > alone.zcdp_rho)
    if mechanism not in ("none", "gaussian"):
        assert spent.zcdp_rho == pytest.approx(2 * alone.zcdp_rho)
    entries, _ = read_ledger(path)
    assert goes_back(entries[6]) and life_begins(entries) == 6 and entries[6]["follows"] == at
    assert recompute(path, 5, everything=True) == json.loads(json.dumps(asdict(spent))) == entries[-1]["spent"]


def test_a_life_is_repeated_bit_for_bit_and_for_nothing(lived):
    _, settings, path, states, weights, _ = lived
    strategy, grid = went_back(states[1], path, 1, **settings)
    arrays = weights[1]
    for r in (2, 3):
        arrays = play_round(strategy, grid, r, arrays)
    made, whole = flat(arrays), path.read_bytes()
    again, grid = went_back(states[1], path, 1, **settings)  # a kill right after the line, before a checkpoint
    assert path.read_bytes() != whole  # its line follows what had been released since: counted, not taken back
    third, grid = went_back(states[1], path, 1, **settings)
    before = path.read_bytes()
    went_back(states[1], path, 1, **settings)
    assert path.read_bytes() == before  # two kills in a row leave one line
    arrays = weights[1]
    for r in (2, 3):
        arrays = play_round(third, grid, r, arrays)
    np.testing.assert_array_equal(flat(arrays), made)
    assert again.releases == 1


def test_what_a_run_released_before_keeps_nobody_out_and_stays_spent():
    strategy, grid = make(**settings_of("gaussian"))
    play(strategy, grid, 5)
    everybody, most = strategy.participation.counts.copy(), strategy.spent(True)
    strategy._releases.load_state({**make()[0].state(), "ledger": {"line": np.array(0), "key": np.zeros(32, np.uint8)}})
    strategy.go_back(3, 0, RECORD)
    assert strategy._releases.admitted(1).all()
    assert strategy.spent(False).max_participations == everybody.max() == most.max_participations
    assert strategy.spent(False).epsilon == most.epsilon


@pytest.mark.parametrize(
    "change",
    [{"release": 1}, {"follows": 2}, {"forgotten": -1}, {"forgotten": True}, {"more": 1}, {"record_sha256": "0"}],
)
def test_a_line_that_goes_back_to_nowhere_is_refused(tmp_path, change):
    path = tmp_path / "l"
    strategy, grid = make(ledger_path=path)
    play(strategy, grid, 3)
    entries, _ = read_ledger(path)
    line = {"release": 2, "forgotten": 1, "round": 2, "follows": 2, **RECORD._asdict()}
    path.write_text("".join(json.dumps(one) + "\n" for one in [*entries, chained(line, entries[-1]["hash"])]))
    assert life_begins(read_ledger(path)[0]) == 4
    wrong = {**line, **({"release": 1} if "follows" in change else change)}
    path.write_text("".join(json.dumps(one) + "\n" for one in [*entries, chained(wrong, entries[-1]["hash"])]))
    with pytest.raises(LedgerError):
        read_ledger(path)


@pytest.mark.parametrize("key", [NoiseKey.seeded(3), NoiseKey.secret(bytes(32), b"run")])
def test_each_life_has_a_key_of_its_own_that_can_be_had_again(key):
    draws = [key.of_life(life).generator(2, 0).standard_normal(4) for life in (0, 1, 2, 1)]
    assert len({tuple(one) for one in draws}) == 3 and (draws[1] == draws[3]).all()
    assert key.of_life(0) == key and key.of_life(1).source == key.source
    assert (draws[0] == key.generator(2, 0).standard_normal(4)).all()
    assert key.of_life(1).of_phones() != key.of_phones()
