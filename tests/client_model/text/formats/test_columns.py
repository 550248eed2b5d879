"""Columns with other names, and messages in the order of their times."""

import json
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.formats.columns import Columns, moment
from client_model.text.population import open_population, prepare_population
from simulation.flags import parse_simulate
from typefleet.errors import ConfigError

ROWS = [("ann", "three", 30), ("bob", "other", 10), ("ann", "one", 10), ("ann", "two", 20), ("ann", "same time", 20)]
NAMED = {"user_column": "who", "text_column": "said", "time_column": "sent"}


def write(folder, ending, times=None):
    """A file of the rows; times in the place of their numbers."""
    path = folder / f"m.{ending}"
    rows = [(who, said, sent if times is None else times[sent]) for who, said, sent in ROWS]
    if ending == "jsonl":
        path.write_text(
            "".join(json.dumps(dict(zip(("who", "said", "sent"), row, strict=True))) + "\n" for row in rows)
        )
    elif ending == "csv":
        path.write_text("sent,said,who\n" + "".join(f"{sent},{said},{who}\n" for who, said, sent in rows))
    else:
        pq.write_table(pa.table(dict(zip(("who", "said", "sent"), zip(*rows, strict=True), strict=True))), path)
    return path


def messages_of_ann(path, **settings):
    spec = prepare_population(DataConfig(path=path, cache_dir=path.parent / "cache", **settings), 0, None)
    population = open_population(spec)
    phone = max(range(2), key=lambda p: len(population.message_lengths(p)))
    flat, offsets = population.types(phone)
    words = [population.lexicon[t] for t in flat]
    return [" ".join(words[a:b]) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]


IN_ORDER = ["one", "two", "same time", "three"]
ISO = {10: "2020-01-31T09:00:00+01:00", 20: "2020-01-31 08:30", 30: "2020-02-01"}


@pytest.mark.parametrize("format_name", ["auto", "named"])
@pytest.mark.parametrize("times", [None, ISO])
@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_phones_messages_come_in_the_order_of_their_times(ending, times, format_name, tmp_path):
    path = write(tmp_path, ending, times)
    named = {**NAMED, "format": ending if format_name == "named" else "auto"}
    assert messages_of_ann(path, **named) == IN_ORDER
    assert messages_of_ann(path, **{**named, "time_column": None}) == ["three", "one", "two", "same time"]
    assert len(list((tmp_path / "cache").iterdir())) == 2  # the columns are part of what the cache depends on


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_a_parquet_column_of_time_stamps_counts(unit, zone, tmp_path):
    path = write(tmp_path, "parquet")
    table = pq.read_table(path)
    stamps = pa.array([sent + 1 for _, _, sent in ROWS], pa.int64()).cast(pa.timestamp(unit, zone))
    pq.write_table(table.set_column(2, "sent", stamps), path)
    assert messages_of_ann(path, **NAMED) == IN_ORDER


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3, 3.0),
        ("4.5", 4.5),
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        (datetime(1970, 1, 1, 0, 0, 7), 7.0),
        (datetime(1970, 1, 2, tzinfo=UTC), 86400.0),
        (date(1970, 1, 2), 86400.0),
        *((bad, None) for bad in (None, "", "yesterday", True, [1], float("nan"), "inf", 10**400)),
    ],
)
def test_what_is_a_time(value, seconds):
    found = moment(value)
    assert (found and found.at) == seconds


@pytest.mark.parametrize(
    ("sent", "found"),
    [("secret", "another text"), (True, "an unusable value"), (None, "none"), ("", "none")],
)
def test_another_value_is_a_bad_line_that_names_the_column_and_not_the_value(sent, found, tmp_path):
    path = write(tmp_path, "jsonl", {10: 1, 20: 2, 30: sent})
    with pytest.raises(DataError) as error:
        messages_of_ann(path, **NAMED)
    assert str(error.value) == f"{path}:1: expected a sent (number or ISO 8601 text), found {found}"
    assert messages_of_ann(path, **NAMED, on_bad_line="skip") == ["one", "two", "same time"]


def test_bad_lines_name_the_given_columns(tmp_path):
    path = tmp_path / "m.jsonl"
    for row, said in (({"said": "x"}, "a who (text or"), ({"who": "u", "said": 3}, "a said that is a string")):
        path.write_text(json.dumps(row))
        with pytest.raises(DataError, match=f"m.jsonl:1: expected {said}".replace("(", r"\(")):
            messages_of_ann(path, **NAMED)
    path = tmp_path / "m.csv"
    path.write_text("who,sent,text\na,b,c\n")
    with pytest.raises(
        DataError, match=r"m\.csv:1: expected the columns who, said and sent, found 3 columns and no said"
    ):
        messages_of_ann(path, **NAMED)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"user_column": ""}, "--data.user-column: expected the name of a column, found ''"),
        ({"text_column": "a\nb"}, r"--data.text-column: expected the name of a column, found 'a\nb'"),
        ({"text_column": "user_id"}, "--data.text-column: expected another than --data.user-column, found user_id"),
        ({"time_column": "text"}, "--data.time-column: expected another than --data.text-column, found text"),
    ],
)
def test_columns_without_a_name_or_with_the_same_are_refused(settings, said, tmp_path):
    with pytest.raises(DataError) as error:
        messages_of_ann(write(tmp_path, "jsonl"), **settings)
    assert str(error.value) == said


@pytest.mark.parametrize("flags", [["--data.format", "synthetic"], ["--data.format", "chitchat"], []])
@pytest.mark.parametrize("column", ["user", "text", "time"])
def test_with_a_format_that_has_none_they_are_refused_in_one_line(column, flags):
    with pytest.raises(ConfigError) as error:
        parse_simulate([*flags, f"--data.{column}-column", "x"])
    only = "only with --data.path and a format that names its columns"
    assert str(error.value) == f"--data.{column}-column: expected {only}, found it without"


def test_an_object_without_columns_is_refused_with_them(tmp_path):
    class Mine:
        endings = ()

        def read(self, path):
            raise AssertionError

    config = DataConfig(path=write(tmp_path, "jsonl"), **NAMED)
    with pytest.raises(
        DataError, match="expected a format with columns, to read who, said and sent, found one without"
    ):
        prepare_population(config, 0, None, Mine())
    assert str(Columns()) == "user_id and text"
