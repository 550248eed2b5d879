"""Which device trains the phones: the processor, one after another, or a GPU, many at once."""

import math
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

from client_model.config import TENSORFLOW, Device, TrainingConfig, WantedKernel
from client_model.learning.language_model import ModelShape
from client_model.learning.padded_batches import Group, phones_that_fit
from simulation.engine.config import EngineConfig
from typefleet.errors import ConfigError, expected

_DRIVERS = ("nvidia[0-9]*", "dxg", "kfd")  # of CUDA, of CUDA in Windows' Linux, and of ROCm
_ASK = "import tensorflow as tf; print('GPUs', len(tf.config.list_physical_devices('GPU')))"
_ANSWER_TIMEOUT_S = 120.0
_SHARES = 10_000  # Ray's smallest part of a GPU


@cache
def gpus_here() -> int:
    """GPUs of this machine that TensorFlow sees.

    It is asked in a process of its own: one that has looked for GPUs cannot be forked any more. A machine without a
    driver for one is not asked.
    """
    if not any(found for name in _DRIVERS for found in Path("/dev").glob(name)):
        return 0
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK], capture_output=True, text=True, timeout=_ANSWER_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return 0
    words = asked.stdout.split()
    return int(words[-1]) if words[-2:-1] == ["GPUs"] else 0


def device_of(config: EngineConfig) -> Device:
    """What trains the phones of a run; on clusters no GPU is looked for."""
    if config.device != "auto":
        return config.device
    return "gpu" if config.address is None and gpus_here() else "cpu"


def check_device(config: EngineConfig) -> None:
    """Refuse a GPU that is asked for and not there.

    Raises:
        ConfigError: TensorFlow sees none on this machine, or the workers are a cluster's.
    """
    if config.device != "gpu":
        return
    if config.address is not None:
        raise ConfigError(expected("--engine.device gpu", "workers of this machine", "--engine.address"))
    if not gpus_here():
        raise ConfigError(expected("--engine.device gpu", "a GPU that TensorFlow sees on this machine", "none"))


def group_of(config: EngineConfig, shape: ModelShape, training: TrainingConfig, cohort_goal: int) -> Group | None:
    """What is trained at once; None: one phone after another.

    Args:
        config: of the engine.
        shape: of the model.
        training: of a phone.
        cohort_goal: phones of a round.
    """
    device, phones = device_of(config), config.phones_at_a_time
    if phones is None and device == "cpu":
        return None
    one = Group(1, training.batch_size, device)
    return replace(one, phones=phones or phones_that_fit(shape, one.rows, cohort_goal))


def kernel_of_workers(config: EngineConfig) -> WantedKernel:
    """What workers import early: TensorFlow trains phones at once, whichever kernel trains one by itself."""
    in_groups = config.phones_at_a_time is not None or device_of(config) == "gpu"
    return TENSORFLOW if in_groups else config.kernel


def gpus_for(config: EngineConfig) -> int:
    """GPUs that the workers of a run are given."""
    return gpus_here() if device_of(config) == "gpu" else 0


def gpu_share(workers: int, gpus: int) -> float:
    """What Ray is told that each of some workers takes of a GPU, so that all find a place: at most 1.

    A worker's part is of one GPU, so it is the number of workers on the fullest one that counts.
    """
    if not gpus:
        return 0.0
    return math.floor(_SHARES / math.ceil(workers / gpus)) / _SHARES
