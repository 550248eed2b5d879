"""A phone keeps its newest messages within its limits, and on each day what was written in the days before."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.kept_text import DAY_S, NO_LIMITS, KeptText, Limits
from client_model.text.population import PeopleSplit, PopulationSpec, open_population, prepare_population
from client_model.text.tokenised_file import TokenisedFile


class Written:
    """Phones whose messages and times are given."""

    def __init__(self, lengths, times=None):
        self.lengths, self.times, self.num_phones = lengths, times, len(lengths)

    def message_lengths(self, phone):
        return np.array(self.lengths[phone], np.int64)

    def message_times_s(self, phone):
        return np.array(self.times[phone], np.float64)

    def types(self, phone, messages=None):
        offsets = np.concatenate([[0], np.cumsum(self.lengths[phone])]).astype(np.int64)
        flat = np.arange(offsets[-1])
        if messages is None:
            return flat, offsets
        parts = [flat[offsets[m] : offsets[m + 1]] for m in messages]
        return np.concatenate([*parts, flat[:0]]), np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(int)

    def types_of_phones(self, phones):
        return [self.types(int(phone)) for phone in phones]


limit = st.none() | st.integers(1, 12)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 6), max_size=8), limit, limit)
def test_the_newest_that_fit_are_kept_and_all_ways_to_read_them_agree(lengths, messages, tokens):
    kept = KeptText(Written([lengths]), Limits(messages, tokens), np.array([True]))
    wanted = lengths if messages is None else lengths[-messages:]
    while tokens is not None and len(wanted) > 1 and sum(wanted) > tokens:
        wanted = wanted[1:]
    assert kept.message_lengths(0).tolist() == wanted
    flat, offsets = kept.types(0)
    assert flat.tolist() == list(range(sum(lengths)))[sum(lengths) - sum(wanted) :]
    assert np.diff(offsets).tolist() == wanted and offsets[0] == 0
    for message in range(len(wanted)):
        one, _ = kept.types(0, np.array([message]))
        assert one.tolist() == flat[offsets[message] : offsets[message + 1]].tolist()
    assert kept.has_text().tolist() == [bool(lengths)]


@settings(max_examples=60)
@given(st.lists(st.integers(0, 200), max_size=10).map(sorted), st.integers(0, 12), st.sampled_from([0.5, 1, 3, 30]))
def test_on_each_day_what_was_written_in_the_days_before_is_kept(tenths, day, days):
    start_s = 5 * DAY_S
    times = [tenth / 10 * DAY_S for tenth in tenths]
    kept = KeptText(Written([[1] * len(times)], [times]), Limits(days=days, start_s=start_s), np.array([True]))
    now_s = start_s + day * DAY_S
    there = [place for place, time_s in enumerate(times) if now_s - days * DAY_S <= time_s < now_s]
    today = kept.on_day(day)
    assert today.types(0)[0].tolist() == there and len(today.message_lengths(0)) == len(there)
    assert today.has_text().tolist() == [bool(there)]
    assert today.on_day(0).types(0)[0].tolist() == kept.types(0)[0].tolist()  # and no day leaves a trace


def test_only_phones_with_limits_are_cut():
    kept = KeptText(Written([[1, 2, 3], [1, 2, 3]]), Limits(messages=1), np.array([True, False]))
    assert [kept.message_lengths(phone).tolist() for phone in (0, 1)] == [[3], [1, 2, 3]]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "m.jsonl"
    rows = [{"user_id": f"u{n % 10}", "text": f"a b{n}", "at": f"2020-01-{1 + n // 10:02}T12:00:00"} for n in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataConfig(path=path, cache_dir=tmp_path / "cache", time_column="at")


def test_people_who_are_held_out_keep_all_and_further_phones_are_limited_too(text):
    split = PeopleSplit(0, 0.3)
    spec = prepare_population(replace(text, keep_messages=2), 0, 14, split=split)
    assert PopulationSpec.from_json(json.loads(json.dumps(asdict(spec)))) == spec
    population = open_population(spec)
    training, held_out = split.of(population.digests()[:10])
    lengths = [len(population.message_lengths(phone)) for phone in range(14)]
    assert all(lengths[phone] == 6 for phone in held_out) and all(lengths[phone] == 2 for phone in training)
    assert lengths[10:] == [2] * 4


def test_the_age_of_messages_is_by_their_own_dates(text):
    first_s = np.datetime64("2020-01-04", "s").astype(float)  # on which day those of three noons are there
    spec = prepare_population(replace(text, keep_days=2.0), 0, None, start_s=first_s)
    population = open_population(spec)
    assert all(len(population.message_lengths(phone)) == 2 for phone in range(10))
    assert [len(population.on_day(day).message_lengths(0)) for day in range(6)] == [2, 2, 2, 2, 1, 0]
    file = TokenisedFile(Path(spec.cache_folder))
    assert file.message_times_s(0).tolist() == [first_s + (day - 2.5) * DAY_S for day in range(6)]


@pytest.mark.parametrize("changed", [{"time_column": None}, {"path": None, "format": "synthetic", "time_column": None}])
def test_without_dates_there_is_no_age(text, changed):
    with pytest.raises(DataError) as error:
        prepare_population(replace(text, keep_days=2.0, **changed), 0, None)
    wanted = "--data.keep-days: expected messages with dates, found none; name their column with --data.time-column"
    assert str(error.value) == wanted


def test_numbers_are_no_dates(text):
    text.path.write_text("".join(json.dumps({"user_id": f"u{n}", "text": "a b", "at": n}) + "\n" for n in range(4)))
    with pytest.raises(DataError, match="expected messages with dates"):
        prepare_population(replace(text, keep_days=2.0), 0, None)


def test_without_limits_nothing_is_in_between(text):
    spec = prepare_population(text, 0, None)
    assert spec.limits == NO_LIMITS and isinstance(open_population(spec), TokenisedFile)
