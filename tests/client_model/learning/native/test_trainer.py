"""The memory of the trainer in C: its own, and enough of it for whatever the kernel does with it."""

from pathlib import Path

import numpy as np
import pytest

from client_model.learning.cells.cifg import Cifg
from client_model.learning.language_model import ModelShape, initial_weights
from client_model.learning.native.trainer import NativeTrainer
from client_model.text.batches import pack
from tests.client_model.learning.native.built import each_variant, kernel

MAPPINGS = Path("/proc/self/maps")
TERMS, PANEL = 384, {"avx512": 48, "avx2": 24, "portable": 8}  # products.h: summed together; lanes.h: columns


def permissions_at(address: int) -> str:
    """What this process may do with the mapping at an address, as proc(5) writes it: the last letter is p or s."""
    for line in MAPPINGS.read_text().splitlines():
        places, permissions, *_ = line.split()
        begin, end = (int(place, 16) for place in places.split("-"))
        if begin <= address < end:
            return permissions
    raise LookupError(hex(address))


@pytest.mark.skipif(not MAPPINGS.exists(), reason="only Linux says how memory is mapped")
def test_the_memory_is_private_since_only_then_it_may_lie_in_large_pages():
    trainer = NativeTrainer(ModelShape(Cifg(), 50, 6, 11, 5))
    ids, one = np.zeros(4, np.int32), np.zeros(1, np.int64)
    batches = pack(ids, ids, np.array([4]), order=one, batch=one, sequence_length=5)
    trainer.train(trainer.load(initial_weights(trainer.shape, 0)), batches, 0.1)
    assert permissions_at(trainer._memory.ctypes.data) == "rw-p"


@each_variant
@pytest.mark.parametrize("cell", range(3))
def test_the_smallest_model_has_room_for_a_gradient_of_weights(variant, cell):
    assert kernel.training_floats((variant, cell, 1, 1, 1, 1), 1, 1) >= TERMS * PANEL[variant]
