"""The last layer's loss and gradients in C, against float64."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.client_model.learning.native.built import each_variant, kernel, normal, same_bits

STEP = -0.3


class Layer(NamedTuple):
    outputs: NDArray[np.float32]  # [n, D]
    targets: NDArray[np.int32]  # [n]
    embedding: NDArray[np.float32]  # [V, D]
    bias: NDArray[np.float32]  # [V]


def layer(n, words, width, *, spread=1.0, shift=0.0):
    targets = np.random.default_rng(4).integers(0, words, n).astype(np.int32)
    return Layer(spread * normal(0, n, width), targets, normal(1, words, width), normal(2, words) + np.float32(shift))


def gradients(variant, of, *, into=None, scale=None):
    """[loss, d outputs, embedding, bias] after a step, from zero or `into`."""
    d_outputs = np.full_like(of.outputs, np.nan)
    embedding, bias = (np.full_like(of.embedding, np.nan), np.full_like(of.bias, np.nan)) if into is None else into
    scale = 1 / max(len(of.targets), 1) if scale is None else scale
    arrays = (of.outputs, of.targets, of.embedding, of.bias, d_outputs, embedding, bias)
    loss = kernel.output_layer_gradients(variant, *arrays, scale, STEP, into is not None)
    return [np.float64(loss), d_outputs, embedding, bias]


def exactly(of):
    """The same in float64."""
    outputs, embedding, bias = (x.astype(np.float64) for x in (of.outputs, of.embedding, of.bias))
    logits = outputs @ embedding.T + bias
    exponentials = np.exp(logits - logits.max(1, keepdims=True, initial=-np.inf))
    softmax = exponentials / exponentials.sum(1, keepdims=True)
    rows = np.arange(len(of.targets))
    loss = -np.log(np.maximum(softmax[rows, of.targets], 1e-37)).sum()
    softmax[rows, of.targets] -= 1
    d_logits = softmax / max(len(rows), 1)
    return [loss, d_logits @ embedding, STEP * d_logits.T @ outputs, STEP * d_logits.sum(0)]


def assert_near(found, expected, relative=3e-6):
    for one, two in zip(found, expected, strict=True):
        assert np.linalg.norm(one - two) <= relative * max(np.linalg.norm(two), 1e-12)


@pytest.mark.parametrize(
    ("n", "words", "width"),
    [
        *((n, 40, 12) for n in (0, 1, 2, 15, 16, 17, 24, 25, 48, 49, 100)),
        *((5, words, 12) for words in (2, 9, 127, 128, 129, 300)),
        *((5, 40, width) for width in (1, 7, 8, 48, 49, 97, 400)),
        (383, 20, 6),
        (385, 20, 6),  # more tokens than are taken together
    ],
)
def test_gradients_are_those_of_float64_and_of_every_variant(n, words, width):
    of = layer(n, words, width, spread=0.5)
    assert_near(same_bits(lambda variant: gradients(variant, of)), exactly(of))


@pytest.mark.parametrize(("spread", "shift"), [(10, 0), (30, -500), (0.1, 3000), (60, 0)])
def test_logits_far_from_each_other_neither_overflow_nor_vanish(spread, shift):
    of = layer(33, 500, 16, spread=spread, shift=shift)
    found = same_bits(lambda variant: gradients(variant, of))
    assert all(np.isfinite(part).all() for part in found)
    assert_near(found, exactly(of), relative=1e-4 if shift else 1e-5)  # a logit near 3,000 has six digits


def test_a_reference_that_rises_block_after_block_changes_nothing():
    of = layer(20, 600, 4)
    of = of._replace(bias=np.repeat(np.float32([0, 70, 140, 210, 280]), 120))
    assert_near(same_bits(lambda variant: gradients(variant, of)), exactly(of), relative=1e-5)


@pytest.mark.parametrize("never", [127, 128, 129, 280])
def test_words_that_are_never_predicted_may_fill_whole_blocks(never):
    of = layer(20, 300, 4)
    of.targets[:] = 299
    of.bias[:never] = -np.inf
    assert_near(same_bits(lambda variant: gradients(variant, of)), exactly(of), relative=1e-5)
    of.bias[:] = -np.inf
    assert all(np.isnan(part).all() for part in same_bits(lambda variant: gradients(variant, of)))


@each_variant
@pytest.mark.parametrize("n", [0, 30, 400])
def test_a_step_of_the_weights_themselves_is_that_of_copies(variant, n):
    of = layer(n, 50, 9)
    kept = Layer(*(x.copy() for x in of))
    apart = gradients(variant, kept, into=(of.embedding.copy(), of.bias.copy()))
    in_place = gradients(variant, of, into=(of.embedding, of.bias))
    for one, two in zip(in_place, apart, strict=True):
        assert np.array_equal(one, two)
    assert_near([in_place[2] - kept.embedding, in_place[3] - kept.bias], exactly(kept)[2:], relative=1e-5)


@each_variant
def test_a_token_does_not_depend_on_its_neighbours(variant):
    of = layer(60, 300, 20)
    whole = gradients(variant, of, scale=1.0)[1]
    for first, last in ((0, 1), (7, 30), (59, 60)):
        part = of._replace(outputs=of.outputs[first:last], targets=of.targets[first:last])
        assert np.array_equal(gradients(variant, part, scale=1.0)[1], whole[first:last])


@each_variant
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["outputs", "embedding", "bias"])
def test_what_is_no_number_comes_out_as_none(variant, bad, which):
    of = layer(20, 40, 6)
    getattr(of, which).reshape(-1)[3] = bad
    loss, _, embedding, _ = gradients(variant, of)
    if (which, bad) == ("bias", -np.inf):  # a word that is never predicted
        assert np.isfinite(embedding).all()
    else:
        assert not (np.isfinite(loss) and np.isfinite(embedding).all())


@pytest.mark.parametrize("target", [-1, 7, 2**31 - 1, -(2**31)])
def test_targets_that_are_no_words_are_refused(target):
    of = layer(3, 7, 2)
    of.targets[1] = target
    with pytest.raises(ValueError, match="targets: expected ids"):
        gradients("portable", of)


def test_arrays_that_do_not_fit_are_refused():
    of = layer(3, 7, 2)
    for change in (
        {"targets": of.targets.astype(np.int64)},
        {"targets": of.targets[:2]},
        {"outputs": of.outputs[:, :1].copy()},
        {"bias": of.bias[:6].copy()},
    ):
        with pytest.raises(ValueError):
            gradients("portable", of._replace(**change))
    with pytest.raises(ValueError):
        gradients("portable", of, into=(np.zeros((7, 3), np.float32), np.zeros(7, np.float32)))
