"""Updates in C have the bits that they had: another build of the kernel that has others says so, by its number."""

import hashlib

import numpy as np
import pytest

from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.gru import Gru
from client_model.learning.cells.lstm import Lstm
from client_model.learning.cells.stacked import Stacked
from client_model.learning.language_model import ModelShape, initial_weights, unflatten
from client_model.learning.native.trainer import NativeTrainer
from client_model.learning.trainers import bits_of
from client_model.text.batches import pack
from tests.client_model.learning.native.built import same_bits

BITS = "1"
DIGESTS = {  # of update and loss
    "Cifg()": "b292452a951b1022",
    "Gru()": "e95d3e5e510e65d1",
    "Lstm()": "6763646eda93633f",
    "Stacked(layers=2)": "cdb8d03dc91f0376",
    "Stacked(layers=3)": "40f4cf95818b57f5",
}


def scattered(number, seed):
    """uint64 [number] below 2^32, the same ones with every NumPy."""
    return (np.arange(seed, seed + number, dtype=np.uint64) * 2_654_435_761) % 2**32


def update_of(cell, variant):
    """Of a phone whose batches end at each step, whose rows fill no block, and whose gradients are scaled down."""
    shape = ModelShape(cell, 203, 33, 50, 9)
    weights = scattered(sum(one.size for one in initial_weights(shape, 0)), 1) / 2**32 - 0.5
    lengths = np.array([9] * 7 + list(range(1, 10)) * 3)
    inputs, targets = (scattered(int(lengths.sum()), seed).astype(np.int64) % 203 for seed in (5, 7_000))
    order = np.arange(len(lengths))
    batches = pack(
        *(one.astype(np.int32) for one in (inputs, targets)),
        lengths,
        order=order,
        batch=order // 13,
        sequence_length=shape.sequence_length,
    )
    trainer = NativeTrainer(shape, 0.5, variant)
    result = trainer.train(trainer.load(unflatten((weights * 0.5).astype(np.float32), shape)), batches, 0.75)
    assert np.isfinite(result.update).all() and np.abs(result.update).max() > 0.01
    return [result.update, np.float64(result.loss_sum)]


@pytest.mark.parametrize("cell", [Cifg(), Gru(), Lstm(), Stacked(), Stacked(layers=3)], ids=repr)
def test_an_update_has_the_bits_that_its_number_stands_for(cell):
    update, loss = same_bits(lambda variant: update_of(cell, variant))
    digest = hashlib.sha256(update.tobytes() + loss.tobytes()).hexdigest()[:16]
    changed = (
        "the last bits of updates in C are others than before: if that is meant, raise _BITS[NATIVE] in "
        "client_model/learning/trainers.py, so that runs of earlier builds are told, and put number and digests here"
    )
    assert (bits_of("native"), digest) == (BITS, DIGESTS[repr(cell)]), changed
