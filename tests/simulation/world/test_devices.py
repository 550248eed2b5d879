"""The measured shapes come out, the tiers go together, and what a trace knows of a device is used."""

import csv

import numpy as np
import pytest
from scipy.stats import spearmanr

from simulation.world.config import FleetConfig
from simulation.world.devices import TIERS, draw_devices
from simulation.world.fleet import Fleet
from tests.conftest import REAL_DATA

PHONES = 100_000
DEVICES = draw_devices(FleetConfig(), PHONES, seed=3)


def test_quartiles_and_tails_of_the_training_speed():
    ratio = DEVICES.train_s_per_token / 0.007
    np.testing.assert_allclose(np.percentile(ratio, [25, 50, 75]), [14 / 30, 1.0, 194 / 30], rtol=0.03)
    np.testing.assert_allclose(np.percentile(ratio, [5, 95, 99]), [0.30, 11.2, 23.1], rtol=0.05)


def test_the_shape_is_that_of_the_measured_phones():
    path = REAL_DATA / "traces" / "phone_speed_ai_benchmark.csv"
    if not path.exists():
        pytest.skip("the measured speeds are not part of the project and not on this machine")
    with path.open() as file:
        ms = np.array([float(r["mobilenet_v2_fp16_ms"]) for r in csv.DictReader(file) if r["mobilenet_v2_fp16_ms"]])
    at = [2.5, 10, 20, 30, 40, 60, 70, 80, 90, 97.5]
    ratio = DEVICES.train_s_per_token / np.median(DEVICES.train_s_per_token)
    np.testing.assert_allclose(np.percentile(ratio, at), np.percentile(ms / np.median(ms), at), rtol=0.06)


def test_network_and_memory():
    down, up = DEVICES.download_bytes_per_s, DEVICES.upload_bytes_per_s
    np.testing.assert_allclose([np.median(down), np.median(up)], [4.3e6, 3.2e6], rtol=0.02)
    assert np.corrcoef(np.log(down), np.log(up))[0, 1] == pytest.approx(0.45, abs=0.02)
    shares = np.bincount(DEVICES.tier, minlength=len(TIERS)) / PHONES
    np.testing.assert_allclose(shares, [12 / 161, 109 / 161, 40 / 161], atol=0.01)


def test_better_tiers_are_faster_everywhere():
    assert spearmanr(DEVICES.memory_gb, -DEVICES.train_s_per_token)[0] == pytest.approx(0.73, abs=0.01)
    by_tier = [DEVICES.tier == t for t in range(3)]
    for speed in (1 / DEVICES.train_s_per_token, DEVICES.download_bytes_per_s, DEVICES.upload_bytes_per_s):
        medians = [np.median(speed[tier]) for tier in by_tier]
        assert medians == sorted(medians)
    independent = draw_devices(FleetConfig(tier_network_correlation=0.0), PHONES, seed=3)
    assert abs(spearmanr(independent.memory_gb, independent.download_bytes_per_s)[0]) < 0.02


def test_log_normal_on_request():
    found = draw_devices(FleetConfig(speed_spread="log-normal"), PHONES, seed=3)
    logs = np.log(found.train_s_per_token)
    assert logs.mean() == pytest.approx(np.log(0.007), abs=0.01) and logs.std() == pytest.approx(0.7, rel=0.01)


def test_a_phone_does_not_depend_on_the_size_of_the_fleet():
    for few, many in zip(draw_devices(FleetConfig(), 100, seed=3), DEVICES, strict=True):
        np.testing.assert_array_equal(few, many[:100])


def test_what_is_known_is_not_drawn():
    known = {"memory_gb": np.where(np.arange(1000) % 2, np.nan, 1.0)}
    found, drawn = draw_devices(FleetConfig(), 1000, 3, known), draw_devices(FleetConfig(), 1000, 3)
    assert set(found.memory_gb[::2]) == {1.0}
    np.testing.assert_array_equal(found.memory_gb[1::2], drawn.memory_gb[1::2])
    np.testing.assert_array_equal(found.train_s_per_token, drawn.train_s_per_token)


def test_phones_below_the_memory_floor_never_check_in():
    fleet = Fleet(FleetConfig(memory_floor_gb=4.0), 5000, 0, np.arange(5000))
    low = fleet.devices.memory_gb < 4.0
    assert low.any() and not fleet.may_train[low].any() and fleet.may_train[~low].all()
    there = np.concatenate([fleet.check_ins(t).phone for t in np.arange(0, 5e5, 5e3)])
    assert not low[there].any() and len(np.unique(there)) > 1000
