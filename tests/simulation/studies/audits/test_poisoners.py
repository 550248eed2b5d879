"""What attackers send: exactly as long as clipping lets it be, so often boosted, with every word wrong."""

import numpy as np
import pytest

from client_model.text.vocabulary import FIRST_WORD
from server_strategy.update_sum import FixedPointSum
from simulation.studies.audits.poison_play import (
    CLIPPING,
    COSINE,
    DEFENCES,
    NORM,
    NOTHING,
    Bucket,
    Setting,
    defended_mean,
)
from simulation.studies.audits.poisoners import Round, boosted, flipped, within_norms


def at(clip_norm, layers=None):
    return Round(number=1, phones=20, attackers=2, clip_norm=clip_norm, layer_sizes=layers, planted=None)


@pytest.mark.parametrize("layers", [None, (10, 30_000, 9_990)])
@pytest.mark.parametrize("clip_norm", [0.3, 2.0])
@pytest.mark.parametrize("length", [1e-3, 1.0, 1e4])
def test_an_adaptive_update_is_as_long_as_clipping_leaves_it_and_is_not_changed(layers, clip_norm, length):
    update = (np.random.default_rng(0).standard_normal(40_000) * length).astype(np.float32)
    sent = within_norms(update, at(clip_norm, layers))
    total = FixedPointSum(len(sent), clip_norm, layers)
    norm = total.add(sent)
    assert clip_norm * (1 - 1e-5) < norm <= clip_norm
    assert np.allclose(total.values * (clip_norm * 2.0**-40), sent, rtol=0, atol=clip_norm * 2.0**-40)
    assert sent @ update > 0.999 * np.linalg.norm(sent) * np.linalg.norm(update)


def test_an_update_of_zeros_stays_one():
    assert not within_norms(np.zeros(5, np.float32), at(1.0)).any()


def test_boosted_shares_of_all_attackers_make_the_mean_their_own():
    own = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    sent = [boosted(own, 20 / 2)] * 2 + [np.zeros(100, np.float32)] * 18
    assert np.allclose(np.mean(sent, 0), own, rtol=1e-6)


def test_every_word_is_wrong_and_what_is_no_word_stays():
    words = FIRST_WORD + 100
    targets = np.arange(words, dtype=np.int32)
    wrong = flipped(targets, words)
    assert (wrong[:FIRST_WORD] == targets[:FIRST_WORD]).all() and (wrong[FIRST_WORD:] != targets[FIRST_WORD:]).all()
    assert wrong.dtype == np.int32 and (flipped(wrong, words) == targets).all()


# What is added up, and what comes of it ------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_counts_as_zeros(bad):
    bucket = Bucket(FixedPointSum(3, 1.0))
    bucket.add(np.array([0.6, 0.0, 0.0], np.float32))
    bucket.add(np.array([0.6, bad, 0.0], np.float32))
    assert bucket.left_out == 1 and np.allclose(bucket.mean(2), [0.3, 0, 0], atol=1e-7)


@pytest.mark.parametrize(("longest", "mean"), [(None, 0.5), (2.0, 0.0), (5.0, 0.5)])
def test_what_is_too_long_is_clipped_or_left_out(longest, mean):
    bucket = Bucket(FixedPointSum(2, 1.0), longest)
    bucket.add(np.array([3.0, 0.0], np.float32))
    assert np.allclose(bucket.mean(2), [mean, 0], atol=1e-7)


def test_without_a_defence_it_is_the_mean_over_phones_and_with_one_nobody_decides_alone():
    sizes, points = np.array([4, 4, 4, 4, 4, 3, 3]), np.tile([1.0, -1.0], (7, 1))
    points[5] = -30.0, 30.0
    plain = (points * sizes[:, None]).sum(0) / sizes.sum()
    for name in (NOTHING, CLIPPING, NORM):
        assert np.allclose(defended_mean(name, points, sizes, 1), plain)
    assert np.allclose(defended_mean(COSINE, points, sizes, 1), [6 / 7, -6 / 7])
    for name in set(DEFENCES) - {NOTHING, CLIPPING, NORM, COSINE}:
        assert np.allclose(defended_mean(name, points, sizes, 1), [1, -1], atol=1e-6), name


@pytest.mark.parametrize(("share", "spoiled"), [(0.05, 2), (0.1, 4), (0.001, 1), (1.0, 10)])
def test_rules_are_told_of_as_many_buckets_as_attackers_may_be_in(share, spoiled):
    setting = Setting(rounds=8, cohort=40, buckets=10, assumed_share=share)
    assert setting.spoiled == spoiled and setting.phones == 320
