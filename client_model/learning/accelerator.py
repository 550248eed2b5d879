"""A process and the GPUs that it sees: to use one, or to leave them alone.

Both before TensorFlow's first operation; afterwards it is too late.
"""

import os

from typefleet.errors import MachineError, expected


class DeviceError(MachineError):
    """A device on which a run cannot be trained; to ask it again is no use."""


def leave_gpus_alone() -> None:
    """Let CUDA see no GPU in this process, so that what is to run on the processor does."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def use_gpu() -> None:
    """Let TensorFlow take as much of a GPU's memory as it needs and no more, and compute the same each time.

    Products are float32 throughout: TensorFlow would round what they multiply to the 10 binary digits of TF32 on GPUs
    that can do that, a thousand times the error that is stated for training there. Operations without a fixed order
    of their sums raise.

    Raises:
        DeviceError: TensorFlow sees no GPU, or has computed something already.
    """
    import tensorflow as tf  # takes seconds

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise DeviceError(expected("--engine.device gpu", "a GPU that TensorFlow sees in a worker", "none"))
    try:
        for gpu in gpus:  # several processes may share it
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise DeviceError(expected("TensorFlow", "a process in which it was not used before", "another one")) from error
    tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.config.experimental.enable_op_determinism()
