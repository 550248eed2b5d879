"""What is kept under "spaced" is never more than a factor too old, and never more than some two for each doubling."""

from itertools import accumulate
from math import log2

from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulation.run.kept_checkpoints import FACTOR, to_drop

gaps = st.lists(st.integers(1, 60), max_size=150)


def written_until_now(gaps, keep):
    """After each write: (all that were ever written, those that are kept)."""
    written, kept = [], []
    for number in accumulate(gaps, initial=0):
        written.append(number)
        kept = without(to_drop([*kept, number], keep), [*kept, number])
        yield list(written), kept


def without(dropped, numbers):
    return [number for number in numbers if number not in dropped]


def gone_back_to(round_, numbers):
    return max(number for number in numbers if number <= round_)


def breaches(written, kept):
    """Rounds from which the way back is longer than promised."""
    newest = max(written)
    return [
        r
        for r in range(newest + 1)
        if gone_back_to(r, kept) != gone_back_to(r, written) and newest - gone_back_to(r, kept) > FACTOR * (newest - r)
    ]


@settings(max_examples=40, deadline=None)
@given(gaps)
@example([1] * 300)
@example([5] * 150)
def test_the_way_back_is_at_most_twice_as_long_as_need_be_after_every_write(gaps):
    for written, kept in list(written_until_now(gaps, "spaced"))[-25:]:
        assert breaches(written, kept) == []


@settings(max_examples=40, deadline=None)
@given(gaps)
@example([1] * 300)
def test_few_are_kept_the_newest_three_and_the_first_among_them(gaps):
    for written, kept in written_until_now(gaps, "spaced"):
        assert len(kept) <= 4 + 2 * log2(max(written) + 1)
        assert kept[-3:] == written[-3:] and kept[0] == 0
        assert to_drop(kept, "spaced") == []


@settings(max_examples=40, deadline=None)
@given(gaps, st.data())
def test_a_run_that_is_killed_amid_deletions_keeps_to_it(gaps, data):
    """Each write deletes as far as it gets; a resume plays rounds again from a checkpoint that is there."""
    written, kept, furthest = [0], [0], 0
    for gap in gaps:
        if data.draw(st.integers(0, 9)) == 0:  # the newest one or two are damaged, or lost with a rewound run
            kept = kept[: max(1, len(kept) - data.draw(st.integers(1, 2)))]
            written = [number for number in written if number <= kept[-1]]
        number = kept[-1] + gap
        written, kept = [*written, number], [*kept, number]
        dropped = to_drop(kept, "spaced")
        kept = without(dropped[: data.draw(st.integers(0, len(dropped)))], kept)
        furthest = max(furthest, number)
        if number == furthest:
            assert breaches(written, kept) == []


@given(st.sets(st.integers(0, 500)), st.integers(1, 8))
def test_a_number_keeps_so_many_of_the_newest_and_all_keeps_all(numbers, keep):
    assert set(without(to_drop(list(numbers), keep), numbers)) == set(sorted(numbers)[-keep:])
    assert to_drop(list(numbers), "all") == []


def test_numbers_in_any_order_and_none_at_all():
    assert to_drop([], "spaced") == []
    assert to_drop([30, 0, 20, 10, 40], "spaced") == to_drop([0, 10, 20, 30, 40], "spaced") == [10]
