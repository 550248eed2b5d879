"""Which device trains, of what is asked for and what is there; no machine of these tests has a GPU."""

import itertools
import math
import os

import pytest

from benchmarks.workload import shape_of
from client_model.config import TrainingConfig
from client_model.learning.accelerator import DeviceError, leave_gpus_alone, use_gpu
from client_model.learning.padded_batches import Group
from simulation.engine import devices
from simulation.engine.config import EngineConfig
from simulation.engine.devices import (
    check_device,
    device_of,
    gpu_share,
    gpus_for,
    gpus_here,
    group_of,
    kernel_of_workers,
)
from typefleet.errors import ConfigError


@pytest.fixture(autouse=True)
def asked_anew():
    gpus_here.cache_clear()
    yield
    gpus_here.cache_clear()


def answers(monkeypatch, said, driver="null"):
    """Let another Python say what TensorFlow would, on a machine with a driver."""
    monkeypatch.setattr(devices, "_DRIVERS", (driver,))
    monkeypatch.setattr(devices, "_ASK", said)


@pytest.mark.parametrize(
    ("said", "found"),
    [("print('GPUs', 2)", 2), ("print('a warning'); print('GPUs', 0)", 0), ("raise SystemExit(1)", 0), ("", 0)],
)
def test_gpus_are_those_that_tensorflow_sees_in_another_process(monkeypatch, said, found):
    answers(monkeypatch, said)
    assert gpus_here() == found
    assert device_of(EngineConfig(device="auto")) == ("gpu" if found else "cpu")
    assert gpus_for(EngineConfig(device="auto")) == found
    assert gpus_for(EngineConfig(device="cpu")) == 0


def test_a_machine_without_a_driver_is_not_asked(monkeypatch):
    answers(monkeypatch, "print('GPUs', 2)", driver="no-such-driver")
    assert gpus_here() == 0 and device_of(EngineConfig(device="auto")) == "cpu"


def test_a_gpu_that_is_not_there_is_refused_in_one_line(monkeypatch):
    answers(monkeypatch, "print('GPUs', 0)")
    with pytest.raises(ConfigError, match=r"^--engine.device gpu: expected a GPU that TensorFlow sees .*, found none$"):
        check_device(EngineConfig(device="gpu"))
    check_device(EngineConfig(device="auto"))


def test_a_clusters_gpus_are_neither_looked_for_nor_taken(monkeypatch):
    answers(monkeypatch, "print('GPUs', 2)")
    assert device_of(EngineConfig(device="auto", address="auto")) == "cpu"
    with pytest.raises(ConfigError, match=r"workers of this machine, found --engine\.address"):
        check_device(EngineConfig(device="gpu", address="auto"))


@pytest.mark.parametrize(("workers", "gpus"), itertools.product((1, 2, 3, 7, 16, 64), (1, 2, 3, 8)))
def test_every_worker_finds_a_place_on_a_gpu(workers, gpus):
    share = gpu_share(workers, gpus)
    assert 0 < share <= 1
    assert gpus * math.floor(1 / share) >= workers
    assert workers < 2 * gpus or math.floor(1 / share) <= math.ceil(workers / gpus)  # and none is nearly empty


def test_without_gpus_none_is_shared():
    assert gpu_share(4, 0) == 0.0


def test_phones_are_trained_at_once_on_a_gpu_or_where_their_number_is_given():
    shape, training = shape_of("cifg"), TrainingConfig(batch_size=10)
    assert group_of(EngineConfig(), shape, training, 100) is None
    given = group_of(EngineConfig(phones_at_a_time=4), shape, training, 100)
    assert given == Group(4, 10, "cpu") and given.rows == 16
    found = group_of(EngineConfig(device="gpu"), shape, training, 100)
    assert found.device == "gpu" and found.rows == 10 and 16 <= found.phones <= 64
    assert group_of(EngineConfig(device="gpu"), shape, training, 5).phones == 5
    assert group_of(EngineConfig(device="gpu", phones_at_a_time=7), shape, training, 5).phones == 7


def test_a_worker_that_sees_no_gpu_says_so(monkeypatch):
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "0")
    leave_gpus_alone()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    with pytest.raises(DeviceError, match="a GPU that TensorFlow sees in a worker, found none"):
        use_gpu()


@pytest.mark.parametrize(
    ("config", "kernel"),
    [
        (EngineConfig(kernel="native", device="cpu"), "native"),
        (EngineConfig(kernel="auto", device="cpu"), "auto"),
        (EngineConfig(kernel="native", device="gpu"), "tensorflow"),
        (EngineConfig(kernel="native", device="cpu", phones_at_a_time=4), "tensorflow"),
    ],
)
def test_workers_import_tensorflow_early_where_it_trains_phones_at_once(config, kernel):
    assert kernel_of_workers(config) == kernel
