"""Who trains: what a phone's training is to those that ask for it, and which implementation does it.

Those are called kernels. Each gives the same bits for the same batches whatever it trained before, and none of them
those of another: float32 sums are taken in another order.

TensorFlow is imported where it is used: it takes seconds.
"""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from client_model.config import NATIVE, TENSORFLOW, Kernel, WantedKernel
from client_model.learning.language_model import ModelShape, Weights
from client_model.learning.local_optimizers.base import LocalOptimizer
from client_model.learning.local_optimizers.sgd import is_plain
from client_model.learning.native.available import LARGEST, has_cell, has_sizes, is_built, is_fast
from client_model.learning.padded_batches import Group
from client_model.metrics.keystrokes import KeystrokeTable
from client_model.metrics.scored_tokens import TokenScores
from client_model.text.batches import PackedBatches
from typefleet.errors import ConfigError, MachineError, expected

# Raised by whoever changes the last bits of a kernel's updates: a run of a build from before may pay again for what it
# repeats, and says so where it goes on (`simulation.run.going_on`).
_BITS: dict[Kernel, int] = {NATIVE: 1, TENSORFLOW: 1}

Received = Any  # weights as the kernel that loaded them has them


class LocalResult(NamedTuple):
    """What one phone's training gives."""

    update: NDArray[np.float32]  # [num_weights], trained minus received weights
    loss_sum: float  # summed cross-entropy in nats, each batch before its step
    num_tokens: int


class Trainer(Protocol):
    """Trains and scores phones of one model shape, one after another."""

    shape: ModelShape

    def warm_up(self) -> None:
        """Do now what would otherwise be done while the first phone waits."""

    def load(self, weights: Weights) -> Received:
        """Received weights as the other methods take them, once for all phones of a message."""

    def train(self, received: Received, batches: PackedBatches, learning_rate: float) -> LocalResult:
        """Take a step for each batch, in order, starting from the received weights."""

    def score(self, received: Received, batches: PackedBatches, table: KeystrokeTable) -> TokenScores:
        """Predict every token of the batches; nothing is trained."""

    def token_losses(self, received: Received, batches: PackedBatches) -> NDArray[np.float32]:
        """Cross-entropy of every token of the batches, in nats: float32 [tokens]."""


@runtime_checkable
class GroupTrainer(Trainer, Protocol):
    """One that trains several phones at once, each with weights of its own."""

    phones_at_a_time: int

    def train_together(
        self, received: Received, phones: Sequence[PackedBatches], learning_rate: float
    ) -> list[LocalResult]:
        """As `train`, for as many phones as it trains at once, or fewer; the others change no bit of a result."""


class NoKernelError(MachineError):
    """A machine has not the kernel that a run trains with; to ask it again is no use."""


def chosen_kernel(wanted: WantedKernel, shape: ModelShape, optimizer: LocalOptimizer | None = None) -> Kernel:
    """The kernel that trains a model on this machine.

    Args:
        wanted: `auto`: the native one where it is there, is fast, and has the cell in this size, and the optimizer.
        shape: of the model, of fewer than 2^24 words.
        optimizer: of the phones; plain SGD if not given.

    Raises:
        ConfigError: the native one is asked for by name, and was not built, or does not have the cell in this size, or
            the optimizer.
    """
    if wanted == "auto":
        fits = has_cell(shape.cell) and has_sizes(shape.cell_sizes) and is_plain(optimizer)
        return NATIVE if fits and is_fast() else TENSORFLOW
    if wanted == NATIVE and not has_cell(shape.cell):
        raise ConfigError(expected("--engine.kernel", f"tensorflow for the cell {shape.cell.name}", wanted))
    if wanted == NATIVE and not has_sizes(shape.cell_sizes):
        what = f"tensorflow for an embedding, or units, above {LARGEST:,}"
        raise ConfigError(expected("--engine.kernel", what, wanted))
    if wanted == NATIVE and not is_plain(optimizer):
        what = "tensorflow for another local optimizer than sgd"
        raise ConfigError(expected("--engine.kernel", what, wanted))
    if wanted == NATIVE and not is_built():
        what = "tensorflow on a machine without the native kernel, which pip builds for each version, by a C compiler"
        raise ConfigError(expected("--engine.kernel", what, wanted))
    return wanted


def make_trainer(
    shape: ModelShape,
    max_gradient_norm: float = 0.0,
    kernel: Kernel = TENSORFLOW,
    group: Group | None = None,
    optimizer: LocalOptimizer | None = None,
) -> Trainer:
    """A trainer for a model; make one per process and keep it.

    Args:
        shape: of the model.
        max_gradient_norm: L2 norm that a step's longer gradient is scaled down to; 0 for no bound.
        kernel: that does the work, see `chosen_kernel`.
        group: what is trained at once, by a `GroupTrainer`; the kernel only scores then. None: one phone after another.
        optimizer: of a phone; another than plain SGD is TensorFlow's alone, one phone after another. None: plain SGD.

    Raises:
        ConfigError: another optimizer than plain SGD for phones that are trained at once, or for the native kernel.
        NoKernelError: it was not built on this machine.
    """
    if not is_plain(optimizer) and (group is not None or kernel == NATIVE):
        raise ConfigError(expected("the local optimizer", "plain SGD in C and for phones at once", "another"))
    trainer = _of_one_phone(shape, max_gradient_norm, kernel, optimizer)
    if group is None:
        return trainer
    from client_model.learning.batched_training import BatchedTrainer

    return BatchedTrainer(trainer, max_gradient_norm, group)


def bits_of(kernel: Kernel) -> str:
    """What tells apart the builds of a kernel whose updates have other last bits, such as `1`.

    Where TensorFlow takes the sums its version is part of it. The processor, on which its bits depend as well, is not.
    """
    number = str(_BITS[kernel])
    return number if kernel == NATIVE else f"{number} with TensorFlow {version('tensorflow')}"


def _of_one_phone(
    shape: ModelShape, max_gradient_norm: float, kernel: Kernel, optimizer: LocalOptimizer | None
) -> Trainer:
    if kernel == NATIVE:
        if not is_built():
            what = (
                "the native kernel, with which this run trains; --engine.kernel tensorflow goes on without it, and "
                "pays again for what was released after the checkpoint"
            )
            raise NoKernelError(
                expected("this machine", what, "none of this version, which pip builds where a C compiler is")
            )
        from client_model.learning.native.trainer import NativeTrainer

        return NativeTrainer(shape, max_gradient_norm)
    from client_model.learning.local_training import LocalTrainer

    return LocalTrainer(shape, max_gradient_norm, optimizer)
