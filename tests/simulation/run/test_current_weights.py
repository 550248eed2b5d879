"""What is made of a run's weights is made once for each release, and is what making it anew gives."""

import hashlib

import numpy as np

from client_model.learning.cells.cifg import Cifg
from client_model.learning.language_model import ModelShape, weights_sha256
from server_strategy.model_versions import flat_weights, shaped_like, weights_digest
from simulation.run import current_weights as module
from simulation.run.current_weights import CurrentWeights

SHAPE = ModelShape(Cifg(), 60, 8, 10, 20)


def test_a_release_has_the_bytes_that_messages_and_digests_would_make_of_its_weights(monkeypatch):
    hashed = []
    monkeypatch.setattr(module, "weights_sha256", lambda flat: hashed.append(flat) or weights_sha256(flat))
    first = CurrentWeights(np.arange(SHAPE.num_weights, dtype=np.float32), SHAPE)
    released = shaped_like(first.record, first.flat * np.float32(0.5))
    after = first.next(released)
    assert after.record is released  # nothing is packed again
    anew = CurrentWeights(after.flat.copy(), SHAPE)
    assert {k: v.data for k, v in anew.record.items()} == {k: v.data for k, v in released.items()}
    assert [after.sha256, after.sha256, first.sha256] == [anew.sha256, anew.sha256, weights_digest(first.flat)]
    assert first.next(released, after.sha256).sha256 == after.sha256
    assert len(hashed) == 3  # one for each state of the weights, but for those whose digest is known
    assert after.sha256 == hashlib.sha256(flat_weights(released).tobytes()).hexdigest()
