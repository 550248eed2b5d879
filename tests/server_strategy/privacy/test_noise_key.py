import hashlib

import numpy as np
import pytest

from server_strategy.privacy.noise_key import NoiseKey

SECRET = bytes(range(32))
PLACES = [
    {"release": 0, "tensor": 0},
    {"release": 1, "tensor": 0},
    {"release": 0, "tensor": 1},
    {"release": 0, "tensor": 0, "level": 1},
    {"release": 0, "tensor": 0, "purpose": "clip-noise"},
    {"release": 0, "tensor": 0, "attempt": 1},
    {"release": 0, "tensor": 0, "attempt": 2},
    {"release": 0, "tensor": 0, "level": 1, "attempt": 1},
    {"release": 0, "tensor": 0, "level": 2, "attempt": 1},
]


def draws(key, **place):
    return key.generator(**({"release": 0, "tensor": 0} | place)).standard_normal(300)


def keys():
    seeded = [NoiseKey.seeded(seed) for seed in (0, 1, -1, 777)]
    bound = [NoiseKey.secret(SECRET, to) for to in (b"", b"a run", b"another")]
    return [*seeded, *bound, NoiseKey.secret(SECRET[::-1], b"a run"), NoiseKey.fresh(), NoiseKey.fresh()]


@pytest.mark.parametrize("key", [NoiseKey.seeded(3), NoiseKey.secret(SECRET, b"a run")])
def test_draws_repeat(key):
    for place in PLACES:
        np.testing.assert_array_equal(draws(key, **place), draws(key, **place))


def test_no_draw_is_shared_between_keys_or_places():
    drawn = np.stack([draws(key, **place) for key in keys() for place in PLACES])
    assert len(np.unique(drawn)) == drawn.size
    assert np.abs(np.corrcoef(drawn) - np.eye(len(drawn))).max() < 0.35  # 6 standard errors


@pytest.mark.parametrize(("release", "tensor", "level", "purpose"), [(0, 0, 0, "noise"), (3, 1, 2, "clip-noise")])
def test_seeded_bits_are_a_digest_of_the_place(release, tensor, level, purpose):
    key = (5, purpose, release, tensor, level) if level else (5, purpose, release, tensor)
    entropy = int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=32).digest(), "little")
    expected = np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy))).standard_normal(300)
    np.testing.assert_array_equal(
        draws(NoiseKey.seeded(5), release=release, tensor=tensor, level=level, purpose=purpose), expected
    )


def test_a_key_does_not_show_what_it_is():
    for key in (NoiseKey.secret(SECRET, b"a run"), NoiseKey.seeded(4711)):
        assert repr(key) == str(key) == f"NoiseKey(source={key.source!r})"


def test_a_secret_has_256_bits():
    with pytest.raises(ValueError, match="secret: expected 32 bytes, found 4"):
        NoiseKey.secret(b"1234", b"")
