import numpy as np
import pytest

from simulation.world.attempts import DONE, resolve_attempts
from simulation.world.check_ins import CheckIns
from simulation.world.config import FleetConfig
from simulation.world.devices import Devices

WORLD = FleetConfig(failure_share=0.0, upload_failure_share=0.0, train_s_per_token_median=0.01)
SLOWNESS = np.array([1.0, 3.0, 0.5])


def ends(**work):
    """When three phones are done: one of median speed, one three times as slow, one twice as fast."""
    devices = Devices(0.01 * SLOWNESS, np.full(3, 1e6), np.full(3, 5e5), np.full(3, 4.0))
    found = resolve_attempts(
        CheckIns(np.arange(3), np.full(3, np.inf)),
        100.0,
        np.array([100, 100, 0]),
        devices=devices,
        world=WORLD,
        model_bytes=1_000_000,
        seed=0,
        counters=(1,),
        **work,
    )
    assert set(found.outcome) == {DONE}
    return found.end_s


def test_a_phone_downloads_trains_and_uploads():
    assert ends() == pytest.approx([100 + 1 + 1 + 2, 100 + 1 + 3 + 2, 100 + 1 + 0 + 2])


def test_an_upload_may_have_a_size_of_its_own():
    assert ends(upload_bytes=1_000_000).tolist() == ends().tolist()
    assert ends(upload_bytes=3_000_000) - ends() == pytest.approx(np.full(3, 4.0))


def test_other_computing_takes_as_much_longer_on_a_phone_as_training_does():
    assert ends(extra_s=2.0) - ends() == pytest.approx(2.0 * SLOWNESS)
