"""Noise that phones add, through real secure aggregation: keys, masks, shares, drop-outs."""

import numpy as np
import pytest

from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregation.masks import Ring
from server_strategy.aggregation.round import play_round
from server_strategy.aggregation.terms import Step
from server_strategy.privacy.distributed_noise.encoding import PhoneEncoder, estimate_sum
from server_strategy.privacy.distributed_noise.ring import from_ring
from server_strategy.privacy.distributed_noise.settle import settle
from server_strategy.privacy.noise_key import NoiseKey

PHONES, DIMENSION, CLIP_NORM = 24, 900, 2.0


@pytest.mark.parametrize(("kind", "bits"), [("discrete-gaussian", 16), ("skellam", 12)])
def test_the_server_reads_the_noised_sum_of_the_survivors_and_the_claim_is_kept(kind, bits):
    noise = settle(kind, 0.8, bits=bits, dimension=DIMENSION, phones=PHONES, threshold=18)
    encoder = PhoneEncoder(noise, NoiseKey.secret(bytes(32), b"a run"), rotation_seed=4)
    updates = np.random.default_rng(0).normal(0, 0.05, (PHONES, DIMENSION)).astype(np.float32)
    sent = {phone: encoder.vector(u, 1, phone, clip_norm=CLIP_NORM) for phone, u in enumerate(updates)}
    leaves = {0: Step.ADVERTISE, 3: Step.SHARE, 7: Step.MASK, 8: Step.MASK, 9: Step.UNMASK}
    vectors = {phone: from_ring(vector, bits) for phone, vector in sent.items()}
    played = play_round(vectors, RunSecret(bytes(32)), leaves, ring=Ring(bits), may_wrap=True)
    survivors = sorted(set(range(PHONES)) - {0, 3, 7, 8})
    assert played.failure is None and list(played.survivors) == survivors
    unmasked = sum(sent[phone].astype(np.int64) for phone in survivors)
    np.testing.assert_array_equal(played.sum, from_ring(unmasked, bits))

    total = (played.sum % 2**bits).astype(np.uint32)
    estimate = estimate_sum(noise, total, 1, rotation_seed=4, clip_norm=CLIP_NORM)
    off = estimate - updates[survivors].astype(np.float64).sum(axis=0)
    stddev = noise.noise_stddev(len(survivors), CLIP_NORM)
    assert stddev > 0.8 * CLIP_NORM  # 20 shares, of which 18 are enough
    assert off.std() == pytest.approx(stddev, rel=0.12)  # 5 standard errors


def test_fewer_bits_are_fewer_bytes_on_the_way():
    masked = {}
    for bits in (12, 16, 32):
        noise = settle("skellam", 0.8, bits=bits, dimension=2000, phones=4, threshold=4)
        encoder = PhoneEncoder(noise, NoiseKey.seeded(0), rotation_seed=4)
        sent = {phone: encoder.vector(np.zeros(2000, np.float32), 1, phone, clip_norm=1.0) for phone in range(4)}
        vectors = {phone: from_ring(vector, bits) for phone, vector in sent.items()}
        played = play_round(vectors, RunSecret(bytes(32)), ring=Ring(bits), may_wrap=True)
        masked[bits] = played.costs[0].up_bytes[Step.MASK]
        assert 0 <= masked[bits] - noise.upload_bytes < 200  # a head, beside the vector
    assert masked[12] < masked[16] < masked[32]
