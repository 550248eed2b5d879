"""A sum of vectors is read as what the phones' own numbers come to, whatever the order and the grouping."""

import numpy as np
import pytest

from server_strategy.aggregation.vector import (
    FIGURE_BITS,
    MOST_LOSS,
    MOST_NORM,
    MOST_TOKENS,
    TAIL,
    PhoneFigures,
    SumError,
    phone_vector,
    read_sum,
    tail_of,
)
from server_strategy.update_sum import FRACTION_BITS, MAX_PHONES

SIZE = 6


def phones(number, seed=0):
    rng = np.random.default_rng(seed)
    updates = rng.integers(-(2**FRACTION_BITS), 2**FRACTION_BITS, (number, SIZE))
    figures = [
        PhoneFigures(
            float(rng.exponential(2)), float(rng.exponential(300)), int(rng.integers(400)), bool(rng.integers(2))
        )
        for _ in range(number)
    ]
    return updates, figures


def test_the_sum_tells_what_the_phones_numbers_come_to_in_any_grouping():
    updates, figures = phones(40)
    vectors = np.stack([phone_vector(u, f) for u, f in zip(updates, figures, strict=True)])
    order = np.random.default_rng(1).permutation(40)
    total = vectors[order[:13]].sum(0) + vectors[order[13:]].sum(0)
    np.testing.assert_array_equal(total, vectors.sum(0))
    update, totals = read_sum(total, SIZE, reports=40)
    np.testing.assert_array_equal(update, updates.sum(0))
    assert totals.reports_below == sum(f.below for f in figures) and totals.tokens == sum(f.tokens for f in figures)
    half_a_unit = 40 * 2.0**-FIGURE_BITS / 2
    assert abs(totals.loss_sum - sum(f.loss_sum for f in figures)) <= half_a_unit
    assert abs(totals.norm_sum - sum(f.norm for f in figures)) <= half_a_unit


def test_masks_that_cancel_modulo_2_64_leave_no_trace():
    updates, figures = phones(3)
    vectors = [phone_vector(u, f).view(np.uint64) for u, f in zip(updates, figures, strict=True)]
    mask = np.random.default_rng(2).integers(0, 2**64, (2, SIZE + TAIL), np.uint64)
    masked = [vectors[0] + mask[0], vectors[1] - mask[0] + mask[1], vectors[2] - mask[1]]
    np.testing.assert_array_equal(sum(masked).view(np.int64), sum(vectors).view(np.int64))
    with pytest.raises(SumError, match="masks are left in it"):
        read_sum((masked[0] + masked[1]).view(np.int64), SIZE, reports=2)


def test_a_phone_holds_its_figures_to_their_bounds():
    beyond = PhoneFigures(norm=1e300, loss_sum=float("nan"), tokens=2**60, below=False)
    below, tokens, loss, norm = tail_of(beyond).tolist()
    assert (below, tokens) == (0, MOST_TOKENS)
    assert loss * 2.0**-FIGURE_BITS == MOST_LOSS and norm * 2.0**-FIGURE_BITS == MOST_NORM
    assert tail_of(PhoneFigures(0.0, -1.0, 0, True)).tolist() == [1, 0, 0, 0]


def test_the_largest_sum_is_less_than_half_the_modulus():
    assert MAX_PHONES * 2**FRACTION_BITS < 2**63
    largest = tail_of(PhoneFigures(MOST_NORM, MOST_LOSS, MOST_TOKENS, True)).max()
    assert largest == 2**FRACTION_BITS
    with pytest.raises(SumError, match=f"of at most {MAX_PHONES} phones"):
        read_sum(np.zeros(SIZE + TAIL, np.int64), SIZE, reports=MAX_PHONES + 1)


@pytest.mark.parametrize(
    "place, value", [(0, 3 * 2**FRACTION_BITS), (SIZE, 3), (SIZE, -1), (SIZE + 1, -1), (SIZE + 3, 2**62)]
)
def test_a_sum_that_no_phones_have_is_refused(place, value):
    updates, figures = phones(2)
    total = sum(phone_vector(u, f) for u, f in zip(updates, figures, strict=True))
    total[place] = value
    with pytest.raises(SumError):
        read_sum(total, SIZE, reports=2)
