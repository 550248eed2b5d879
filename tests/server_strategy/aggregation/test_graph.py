"""The graph's size is that of published examples, its bounds hold when counted, and it is what it is said to be."""

from contextlib import suppress
from fractions import Fraction
from itertools import combinations
from math import comb, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from server_strategy.aggregation.graph import (
    Assumptions,
    GraphSize,
    draw_ring,
    graph_size,
    least_roster,
    neighbours_on,
    sparse_threshold,
    upper_tail,
)
from server_strategy.aggregation.keys import RunSecret
from typefleet.errors import ConfigError

SECRET = RunSecret(bytes(range(32)))

# phones, corrupted and dropped shares, whether the server may lie about survivors, neighbours, threshold: for 2^-40 and
# 2^-20, as the tests of the parameter search of github.com/google-parfait/federated-compute have them
# (fcp/secagg/server/graph_parameter_finder_test.cc, Apache-2.0), the open implementation by the paper's authors' group.
PUBLISHED = [
    *((100, 0.45, 0.45, False, 92, 46), (1_000, 0.45, 0.45, False, 822, 417)),
    *((10, 0.33, 0.33, False, 8, 4), (100, 0.33, 0.33, False, 68, 34), (1_000, 0.33, 0.33, False, 286, 150)),
    *((10_000, 0.33, 0.33, False, 422, 221), (100_000, 0.33, 0.33, False, 480, 251)),
    *((100, 0.05, 0.33, False, 28, 6), (1_000, 0.05, 0.33, False, 72, 24), (10_000, 0.05, 0.33, False, 86, 29)),
    *((100_000, 0.05, 0.33, False, 96, 32), (1_000_000, 0.05, 0.33, False, 102, 34)),
    *((100, 0.33, 0.05, False, 34, 29), (1_000, 0.33, 0.05, False, 78, 60), (1_000_000, 0.33, 0.05, False, 110, 83)),
    *((100, 0.3, 0.3, True, 92, 62), (1_000, 0.3, 0.3, True, 872, 584)),
    *((100, 0.05, 0.33, True, 72, 39), (1_000, 0.05, 0.33, True, 398, 223)),
    *((100, 0.33, 0.05, True, 42, 37), (1_000, 0.33, 0.05, True, 132, 109), (10_000, 0.33, 0.05, True, 178, 146)),
]


def sized(phones, neighbours):
    return GraphSize(phones, neighbours, threshold=2, least_survivors=3, cannot_be_cut=neighbours == phones - 1)


def parts(left, neighbours):
    """Phones that are connected, set by set."""
    left, found = set(left), []
    while left:
        reached, front = set(), [left.pop()]
        while front:
            reached.add(phone := front.pop())
            front += [other for other in neighbours[phone] if other in left]
            left -= set(front)
        found.append(reached)
    return found


def smallest(phones, assumptions, others):
    for neighbours in range(2, phones - 1, 2):
        if (threshold := sparse_threshold(phones, neighbours, assumptions, others=others)) is not None:
            return neighbours, threshold
    raise AssertionError("no sparse graph")


@pytest.mark.parametrize(("phones", "corrupted", "dropped", "lies", "neighbours", "threshold"), PUBLISHED)
def test_sizes_are_those_of_published_examples(phones, corrupted, dropped, lies, neighbours, threshold):
    assumptions = Assumptions(corrupted, dropped, correctness_bits=20, check_views=lies, complete_up_to=0)
    assert smallest(phones, assumptions, others=phones) == (neighbours, threshold)
    # Those take neighbours as drawn from all n; a phone is none of its own, so the exact numbers differ by little.
    exact = smallest(phones, assumptions, others=None)
    assert abs(exact[0] - neighbours) <= 2 and abs(exact[1] - threshold) <= 1


@given(st.data())
def test_a_tail_is_what_counting_draws_gives(data):
    population = data.draw(st.integers(1, 12))
    marked, drawn = data.draw(st.integers(0, population)), data.draw(st.integers(0, population))
    at_least = data.draw(st.integers(-1, population + 1))
    draws = list(combinations(range(population), drawn))
    assert upper_tail(population, marked, drawn, at_least) == sum(
        sum(one < marked for one in draw) >= at_least for draw in draws
    )


def test_a_tail_is_that_of_an_independent_library():
    found = Fraction(upper_tail(1023, 51, 146, 33), comb(1023, 146))
    assert float(found) == pytest.approx(hypergeom(1023, 51, 146).sf(32), rel=1e-9)


@settings(max_examples=15)
@given(
    phones=st.integers(70, 600),
    corrupted=st.floats(0, 0.2),
    dropped=st.floats(0, 0.2),
    check_views=st.booleans(),
)
def test_the_three_bounds_hold_by_an_independent_library(phones, corrupted, dropped, check_views):
    assumptions = Assumptions(corrupted, dropped, check_views=check_views)
    size = graph_size(phones, assumptions)
    k, t, bad = size.neighbours, size.threshold, max(floor(corrupted * phones), 1 if corrupted else 0)
    gone = floor(dropped * phones)
    slack = 1 + 1e-6
    if size.complete:
        assert bad < t <= phones - 1 - gone and t > min(phones / 2, phones - 2 - gone)
    else:
        assert phones * hypergeom(phones - 1, bad, k).sf(t - 1) <= 2.0**-41 * slack
        assert phones * hypergeom(phones - 1, phones - 1 - gone, k).cdf(t - 1) <= 2.0**-40 * slack
        gaps = phones * (phones - k - 1) / 2 * Fraction(comb(bad + gone, k), comb(phones, k))
        assert gaps <= Fraction(1, 2**41)
    if check_views:
        most_corrupted = min(bad, k) if size.complete else int(hypergeom(phones - 1, bad, k).isf(2.0**-41 / phones))
        assert 2 * t > k + most_corrupted


def test_few_phones_are_all_neighbours_and_more_are_sparse():
    for phones in (3, 8, 64):
        assert graph_size(phones, Assumptions()).complete
    assert not graph_size(65, Assumptions()).complete
    assert graph_size(8, Assumptions()) == GraphSize(8, 7, 5, 6, True)


@pytest.mark.parametrize(("agreed", "least"), [(20, 16), (20, 6), (200, 160), (200, 60)])
def test_a_smaller_round_needs_fewer_vectors_and_never_fewer_than_a_sum_has_to_be_of(agreed, least):
    """As the privacy statement says it: what a whole round needs is no bound for the others."""
    assumptions = Assumptions(least_phones=least)
    needed = []
    for phones in range(least_roster(agreed, assumptions), agreed + 1):
        with suppress(ConfigError):  # too few: such a round has no sum
            needed.append(graph_size(phones, assumptions, agreed).least_survivors)
    assert max(needed) == needed[-1] and min(needed) >= least
    assert agreed == 20 or min(needed) < needed[-1]


def test_a_share_of_few_phones_is_still_a_phone():
    assert [Assumptions(0.05).corrupted(n) for n in (3, 20, 40)] == [1, 1, 2]
    assert Assumptions(0.0).corrupted(100) == 0
    assert [Assumptions(dropped_share=0.1).dropped(n) for n in (9, 10, 30)] == [0, 1, 3]


@pytest.mark.parametrize(("phones", "settings"), [(8, dict(dropped_share=0.6)), (300, dict(corrupted_share=0.9))])
def test_what_no_graph_withstands_is_refused(phones, settings):
    with pytest.raises(ConfigError, match=f"a round of {phones} phones: expected"):
        graph_size(phones, Assumptions(**settings))


def test_a_graph_that_is_set_is_held_to_the_same_conditions():
    found = graph_size(200, Assumptions())
    assert graph_size(200, Assumptions(neighbours=found.neighbours)) == found
    more = graph_size(200, Assumptions(neighbours=found.neighbours + 8, threshold=found.threshold + 6))
    assert (more.neighbours, more.threshold) == (found.neighbours + 8, found.threshold + 6)
    assert graph_size(200, Assumptions(neighbours=500)).complete
    few = graph_size(20, Assumptions(neighbours=14, check_views=False))  # though so few would all be neighbours
    assert few.neighbours == 14
    for neighbours in (found.neighbours - 2, found.neighbours + 1):
        with pytest.raises(ConfigError, match=f"neighbours in a round of 200 phones: .*, found {neighbours}"):
            graph_size(200, Assumptions(neighbours=neighbours))
    for threshold in (4, 8):
        with pytest.raises(ConfigError, match=f"threshold in a round of 8 phones: expected 5 to 6, found {threshold}"):
            graph_size(8, Assumptions(threshold=threshold))
    assert graph_size(8, Assumptions(threshold=6)).threshold == 6


@pytest.mark.parametrize("phones", [0, 2, 1 << 17])
def test_a_round_has_three_to_65536_phones(phones):
    with pytest.raises(ConfigError, match=f"phones of a round: expected 3 to 65536, found {phones}"):
        graph_size(phones, Assumptions())


@pytest.mark.parametrize(
    "settings",
    [
        dict(corrupted_share=1),
        dict(dropped_share=-0.1),
        dict(security_bits=0),
        dict(least_phones=2),
        dict(neighbours=1),
        dict(corrupted_share=float("nan")),
        dict(threshold=5.5),
        dict(neighbours=8.0),
        dict(security_bits=40.5),
        dict(least_phones=3.5),
        dict(complete_up_to=-1),
    ],
)
def test_an_assumption_out_of_its_range_is_named(settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))}: expected"):
        Assumptions(**settings)


@pytest.mark.parametrize("size", [sized(9, 8), sized(9, 4), sized(101, 20)])
def test_neighbours_are_mutual_and_as_many_as_said(size):
    phones = range(5, 5 + 3 * size.phones, 3)
    neighbours = neighbours_on(draw_ring(phones, SECRET, 4), size)
    assert sorted(neighbours) == list(phones)
    for phone, those in neighbours.items():
        assert len(set(those)) == size.neighbours and phone not in those and list(those) == sorted(those)
        assert all(phone in neighbours[other] for other in those)


def test_only_two_gaps_of_half_the_neighbours_cut_the_ring():
    """All sets of phones that may be gone, of nine phones with four neighbours each."""
    neighbours = neighbours_on(range(9), sized(9, 4))
    cut = 0
    for gone in (set(some) for n in range(7) for some in combinations(range(9), n)):
        connected = len(parts(set(range(9)) - gone, neighbours)) == 1
        gaps = sum({i, (i + 1) % 9} <= gone and (i - 1) % 9 not in gone for i in range(9))  # of two phones or more
        assert connected or (gaps >= 2 and len(gone) >= 4)
        cut += not connected
    assert cut > 0


def test_a_server_that_chooses_who_left_can_cut_a_large_ring_and_no_small_one():
    for phones, neighbours in ((128, 46), (512, 118), (1024, 146)):
        assumptions = Assumptions()
        size = graph_size(phones, assumptions)
        assert size.neighbours == neighbours and not size.complete
        half = neighbours // 2
        gone = {*range(half), *range(phones // 2, phones // 2 + half)}  # two gaps
        there = neighbours_on(range(phones), size)
        assert [len(part) for part in parts(set(range(phones)) - gone, there)] == [phones // 2 - half] * 2
        assert (len(gone) > assumptions.dropped(phones)) == size.cannot_be_cut == (phones < 1024)


def test_the_order_is_random_and_repeats():
    rings = [draw_ring(range(50), SECRET, server_round) for server_round in range(200)]
    assert rings[3] == draw_ring(reversed(range(50)), SECRET, 3)
    assert len({tuple(ring) for ring in rings}) == 200
    assert draw_ring(range(50), RunSecret(bytes(32)), 3) != rings[3]
    places = np.array([ring.index(0) for ring in rings])
    assert abs(places.mean() - 24.5) < 5 * 14.4 / 200**0.5
