import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tensorflow_privacy.privacy.dp_query import tree_aggregation
from tensorflow_privacy.privacy.dp_query.no_privacy_query import NoPrivacySumQuery
from tensorflow_privacy.privacy.dp_query.quantile_adaptive_clip_sum_query import QuantileAdaptiveClipSumQuery
from tensorflow_privacy.privacy.dp_query.tree_aggregation_query import TreeResidualSumQuery

from server_strategy.privacy.mechanisms.gaussian import IndependentNoise
from server_strategy.privacy.mechanisms.tree import TreeNoise
from server_strategy.privacy.noise import AdaptiveClipSumQuery, KeyedSumQuery
from server_strategy.privacy.noise_key import NoiseKey
from tests.server_strategy.privacy.mechanisms.dense import PRIVATE, make
from typefleet.errors import ConfigError


def releases(seed, count, size=2000, stddev=1.0, name="gaussian", purpose="noise", tensors=1):
    """Noise of `count` releases: float64 [count, tensors, size]."""
    query = KeyedSumQuery(1.0, stddev, NoiseKey.seeded(seed), make(name, 20, 5, 4), purpose)
    state, result = query.initial_global_state(), []
    for _ in range(count):
        noised, state, _ = query.get_noised_result([tf.zeros(size, tf.float64)] * tensors, state)
        result.append([tensor.numpy() for tensor in noised])
    return np.array(result)


def test_noise_is_gaussian_with_the_asked_deviation():
    noise = releases(1, 1, 400_000, 2.0).ravel()
    assert stats.kstest(noise / 2.0, "norm").pvalue > 1e-3
    assert noise.std() == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("name", PRIVATE)
def test_releases_repeat_bit_for_bit(name):
    np.testing.assert_array_equal(releases(3, 9, 50, name=name), releases(3, 9, 50, name=name))


@pytest.mark.parametrize("name", PRIVATE)
def test_no_draw_is_shared_between_seeds_releases_tensors_or_purposes(name, monkeypatch):
    # tensorflow-privacy's own tree noise repeats between neighbouring seeds; ours must not. Looked at are
    # the draws themselves, before a mechanism mixes them.
    drawn, generator = [], NoiseKey.generator

    def recording(*key):
        drawn.append(generator(*key).standard_normal(300))
        return generator(*key)

    monkeypatch.setattr(NoiseKey, "generator", recording)
    for seed in range(9):
        for purpose in ("noise", "clip-noise"):
            releases(seed, 8, 3, name=name, purpose=purpose, tensors=2)
    assert len(drawn) == 9 * 2 * 2 * (15 if name == "tree" else 8)
    values = np.concatenate(drawn)
    assert len(np.unique(values)) == len(values)
    correlation = np.corrcoef(np.stack(drawn)) - np.eye(len(drawn))
    assert np.abs(correlation).max() < 0.35  # 6 standard errors


@pytest.mark.parametrize("name", PRIVATE)
def test_a_state_can_be_used_once(name):
    query = KeyedSumQuery(1.0, 1.0, NoiseKey.seeded(0), make(name, 20, 5, 4))
    _, state, _ = query.get_noised_result(tf.zeros(3), query.initial_global_state())
    query.get_noised_result(tf.zeros(3), state)
    with pytest.raises(ValueError, match=r"expected noise for release 1, found noise used 2 times"):
        query.get_noised_result(tf.zeros(3), state)


def test_events():
    query = KeyedSumQuery(2.0, 3.0, NoiseKey.seeded(0), IndependentNoise())
    assert query.get_noised_result(tf.zeros(2), query.initial_global_state())[2].noise_multiplier == 1.5
    query = KeyedSumQuery(2.0, 3.0, NoiseKey.seeded(0), TreeNoise(4))
    event = query.get_noised_result(tf.zeros(2), query.initial_global_state())[2]
    assert type(event).__name__ == "UnsupportedDpEvent"  # no release of a tree can be accounted alone


def test_global_random_state_is_neither_used_nor_changed():
    tf.random.set_seed(1)
    np.random.seed(1)  # noqa: NPY002  the point is that it does not matter
    a = releases(5, 2)
    tf.random.set_seed(2)
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(a, releases(5, 2))


def test_the_tree_is_tensorflow_privacys_given_the_same_draws():
    # The library draws a leaf before each release, then its parents from below: the order of our nodes.
    nodes = iter([(t, level) for t in range(17) for level in range((t + 1 & -(t + 1)).bit_length())])

    class OurDraws(tree_aggregation.ValueGenerator):
        def initialize(self):
            return ()

        def next(self, state):
            release, level = next(nodes)
            return tf.constant(NoiseKey.seeded(4).generator(release, 0, level).standard_normal(6), tf.float32), state

    tf.config.run_functions_eagerly(True)  # traced, the library would draw these once
    try:
        library = TreeResidualSumQuery(tf.TensorSpec([6]), OurDraws(), None, 1.0)
        state, theirs = library.initial_global_state(), []
        for _ in range(16):
            noised, state, _ = library.get_noised_result(tf.zeros(6), state)
            theirs.append(noised.numpy())
    finally:
        tf.config.run_functions_eagerly(False)
    query = KeyedSumQuery(1.0, 1.0, NoiseKey.seeded(4), TreeNoise(16))
    state, ours = query.initial_global_state(), []
    for _ in range(16):
        noised, state, _ = query.get_noised_result(tf.zeros(6, tf.float64), state)
        ours.append(noised.numpy())
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def adaptive(update=None, count=None, clip=1.0):
    return AdaptiveClipSumQuery(
        initial_clip_norm=clip,
        quantile=0.7,
        learning_rate=0.3,
        expected_reports=10,
        update_query=update or NoPrivacySumQuery(),
        count_query=count or NoPrivacySumQuery(),
    )


def test_adaptive_clipping_is_tensorflow_privacys():
    # Noise off in both: the same records give the same sums and the same clip norms.
    library = QuantileAdaptiveClipSumQuery(1.0, 0.0, 0.7, 0.3, 0.0, 10, geometric_update=True)
    ours, theirs = adaptive().initial_global_state(), library.initial_global_state()
    rng, query = np.random.default_rng(0), adaptive()
    for _ in range(12):
        records = [tf.constant(rng.normal(0, s, 5), tf.float32) for s in rng.lognormal(0, 1, 10)]
        sums, states = [], []
        for q, state in ((query, ours), (library, theirs)):
            params, sample = q.derive_sample_params(state), q.initial_sample_state(records[0])
            for record in records:
                sample = q.accumulate_record(params, sample, record)
            total, state, _ = q.get_noised_result(sample, state)
            sums.append(total.numpy())
            states.append(state)
        ours, theirs = states
        np.testing.assert_allclose(sums[0], sums[1], rtol=1e-4, atol=1e-5)
        assert ours.clip_norm == pytest.approx(float(theirs.sum_state.l2_norm_clip), rel=1e-4)
    assert abs(np.log(ours.clip_norm)) > 0.1  # it did move


@pytest.mark.parametrize("name", PRIVATE)
def test_noise_of_an_adaptive_clip_norm_is_in_its_units(name):
    mechanism = make(name, 20, 5, 4)
    query = adaptive(
        KeyedSumQuery(1.0, 2.0, NoiseKey.seeded(7), mechanism),
        KeyedSumQuery(0.5, 0.5, NoiseKey.seeded(7), mechanism, "clip-noise"),
        clip=3.0,
    )
    plain, counts = releases(7, 6, 4, 2.0, name)[:, 0], releases(7, 6, 1, 0.5, name, "clip-noise")[:, 0, 0]
    state, clip = query.initial_global_state(), 3.0
    for release in range(6):
        total, state, _ = query.get_noised_result((tf.ones(4, tf.float64), tf.constant(1.5, tf.float64)), state)
        np.testing.assert_allclose(total.numpy(), 1 + clip * plain[release], rtol=1e-12)
        clip *= np.exp(-0.3 * ((1.5 + counts[release]) / 10 + 0.5 - 0.7))
        assert state.clip_norm == pytest.approx(clip)


class OddStream:
    """A stream of somebody's own that answers with anything."""

    def __init__(self, answer):
        self.answer = answer

    def next(self, draw):
        return self.answer(draw(0))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda draw: draw[:1], r"as float64 \[5\], found float64 \[1\]"),  # the same noise on every weight
        (lambda draw: float(draw[0]), r"as float64 \[5\], found float \[\]"),
        (lambda draw: draw.astype(np.float32), r"as float64 \[5\], found float32 \[5\]"),
        (lambda draw: draw * np.nan, "that is finite, found NaN or infinite numbers"),
        (lambda draw: None, r"as float64 \[5\], found NoneType \[\]"),
        (lambda draw: draw[9], r", found IndexError at test_noise\.py:\d+$"),
    ],
)
def test_noise_has_a_number_for_each_weight_or_nothing_is_released(answer, found):
    class Odd(IndependentNoise):
        def stream(self):
            return OddStream(answer)

    query = KeyedSumQuery(1.0, 1.0, NoiseKey.seeded(0), Odd())
    with pytest.raises(ConfigError, match=f"^mechanism 'gaussian': expected noise of its stream ?{found}"):
        query.get_noised_result(tf.zeros(5, tf.float64), query.initial_global_state())


@pytest.mark.parametrize("name", PRIVATE)
def test_sums_as_arrays_and_as_tensors_have_the_same_noise_bit_for_bit(name):
    mechanism, sums = make(name, 20, 5, 4), np.random.default_rng(3).normal(size=(5, 300))

    def made():
        inner = [KeyedSumQuery(1.0, 2.0, NoiseKey.seeded(7), mechanism, purpose) for purpose in ("noise", "count")]
        return adaptive(*inner, clip=3.0)

    ours, theirs = made(), made()
    state, their_state = ours.initial_global_state(), theirs.initial_global_state()
    for total in sums:
        noised, state, _ = ours.get_noised_result((total, np.float64(1.5)), state)
        sample = (tf.constant(total), tf.constant(1.5, tf.float64))
        as_tensor, their_state, _ = theirs.get_noised_result(sample, their_state)
        assert type(noised) is np.ndarray and noised.tobytes() == as_tensor.numpy().tobytes()
        assert state.clip_norm == their_state.clip_norm
