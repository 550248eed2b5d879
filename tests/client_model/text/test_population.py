import json

import numpy as np
import pytest

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.population import (
    PopulationSpec,
    open_population,
    phone_labels,
    prepare_population,
    split_phones,
)

GOOD = [
    {"user_id": "ann", "text": "Hello there!", "extra": [1, 2]},
    {"user_id": "bob", "text": "hi"},
    {"user_id": "ann", "text": "see you"},
    {"user_id": 7, "text": "numbers are ids too"},
]


def write_jsonl(path, rows):
    path.write_bytes(b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in rows))
    return path


def prepare(path, tmp_path, **settings):
    return prepare_population(DataConfig(path=path, cache_dir=tmp_path / "cache", **settings), 0, None)


def texts(population):
    lexicon = population.lexicon
    found = []
    for phone in range(population.num_phones):
        flat, offsets = population.types(phone)
        found.append([" ".join(lexicon[t] for t in flat[a:b]) for a, b in zip(offsets[:-1], offsets[1:], strict=True)])
    return sorted(found)


EXPECTED = [["hello there !", "see you"], ["hi"], ["numbers are ids too"]]


def test_jsonl(tmp_path):
    population = open_population(prepare(write_jsonl(tmp_path / "m.jsonl", GOOD), tmp_path))
    assert texts(population) == EXPECTED
    assert [population.message_lengths(p).sum() for p in range(3)] == [len(population.types(p)[0]) for p in range(3)]


def test_csv_and_parquet_hold_the_same(tmp_path):
    import pyarrow
    import pyarrow.parquet

    csv = tmp_path / "m.csv"
    csv.write_text("user_id,text,n\n" + "".join(f'{r["user_id"]},"{r["text"]}",1\n' for r in GOOD))
    parquet = tmp_path / "m.parquet"
    columns = {"user_id": [str(r["user_id"]) for r in GOOD], "text": [r["text"] for r in GOOD], "n": [1] * 4}
    pyarrow.parquet.write_table(pyarrow.table(columns), parquet)
    for path in (csv, parquet):
        assert texts(open_population(prepare(path, tmp_path))) == EXPECTED


def test_a_subset_of_messages(tmp_path):
    population = open_population(prepare(write_jsonl(tmp_path / "m.jsonl", GOOD), tmp_path))
    phone = next(p for p in range(3) if len(population.message_lengths(p)) == 2)
    flat, offsets = population.types(phone, np.array([1]))
    assert [population.lexicon[t] for t in flat] == ["see", "you"] and offsets.tolist() == [0, 2]


def test_the_order_of_the_file_does_not_matter(tmp_path):
    a = open_population(prepare(write_jsonl(tmp_path / "a.jsonl", GOOD), tmp_path))
    b = open_population(prepare(write_jsonl(tmp_path / "b.jsonl", [GOOD[i] for i in (3, 1, 0, 2)]), tmp_path))
    np.testing.assert_array_equal(a.digests(), b.digests())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{not json", "invalid JSON"),
        (b'["a list"]', "expected a JSON object, found a list"),
        ({"text": "no id"}, "expected a user_id"),
        ({"user_id": "", "text": "x"}, "expected a user_id"),
        ({"user_id": None, "text": "x"}, "expected a user_id"),
        ({"user_id": True, "text": "x"}, "expected a user_id"),
        ({"user_id": "carol"}, "expected a text that is a string, found none"),
        ({"user_id": "carol", "text": 5}, "expected a text that is a string, found a number"),
        (b'{"user_id": "carol", "text": "\xff"}', "expected UTF-8, found byte 0xff"),
    ],
)
def test_bad_lines_are_named_or_skipped(tmp_path, line, problem):
    path = write_jsonl(tmp_path / "m.jsonl", [*GOOD[:2], line, *GOOD[2:]])
    with pytest.raises(DataError, match=problem) as error:
        prepare(path, tmp_path)
    assert str(error.value).startswith(f"{path}:3: ")
    assert "carol" not in str(error.value)
    population = open_population(prepare(path, tmp_path, on_bad_line="skip"))
    assert population.skipped_lines == 1 and texts(population) == EXPECTED


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "found none with any word"), (b"\n\n", "found none"), (b'{"user_id": "a", "text": "()"}\n', "found none")],
)
def test_files_without_text_are_refused(tmp_path, content, problem):
    path = tmp_path / "m.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem):
        prepare(path, tmp_path)


def test_missing_files_folders_and_endings_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none.jsonl: expected a file of messages, found no such file"):
        prepare(tmp_path / "none.jsonl", tmp_path)
    with pytest.raises(DataError, match=r"found a folder"):
        prepare(tmp_path, tmp_path, format="jsonl")
    (tmp_path / "m.txt").write_text("x")
    with pytest.raises(DataError, match=r"--data\.format"):
        prepare(tmp_path / "m.txt", tmp_path)
    (tmp_path / "m.csv").write_text("+491511234,my PIN is 4711,text\n+491511235,hello there,text\n")
    with pytest.raises(DataError, match=r"m.csv:1: expected the columns user_id and text, found 3 columns") as error:
        prepare(tmp_path / "m.csv", tmp_path)
    assert " and no user_id; --data.user-column, " in str(error.value)
    assert "PIN" not in str(error.value) and "4911" not in str(error.value)  # the first message, where a header lacks
    (tmp_path / "m.jsonl").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(DataError, match=r"m.jsonl:1: expected UTF-8, found byte 0xff"):
        prepare(tmp_path / "m.jsonl", tmp_path)
    (tmp_path / "m.parquet").write_text("not parquet")
    with pytest.raises(DataError, match="expected a Parquet file"):
        prepare(tmp_path / "m.parquet", tmp_path)


def test_raw_ids_are_not_kept(tmp_path):
    prepare(write_jsonl(tmp_path / "m.jsonl", [{"user_id": "very-raw-id", "text": "hello"}] + GOOD), tmp_path)
    kept = [p.read_bytes() for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert kept and not any(b"very-raw-id" in content for content in kept)


def test_a_fleet_larger_than_the_file_is_refused_and_a_smaller_one_is_a_seeded_subset(tmp_path):
    path = write_jsonl(tmp_path / "m.jsonl", GOOD)
    config = DataConfig(path=path, cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match=r"--fleet\.size: expected at most the 3 phones of .*, found 4"):
        prepare_population(config, 0, 4)
    whole = set(open_population(prepare_population(config, 0, None)).digests().tolist())
    part = open_population(prepare_population(config, 0, 2))
    assert part.num_phones == 2 and set(part.digests().tolist()) < whole


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("phones", [2, 3, 50])
def test_split_leaves_phones_on_both_sides(share, phones):
    digests = open_population(PopulationSpec(0, phones)).digests()
    training, held_out = split_phones(digests, 1, share)
    assert len(training) and len(held_out)
    assert sorted([*training, *held_out]) == list(range(phones))


def test_split_needs_two_phones():
    with pytest.raises(DataError, match="at least 2 phones"):
        split_phones(np.zeros(1, np.uint64), 0, 0.1)


def test_labels_depend_on_the_salt():
    digests = np.arange(3, dtype=np.uint64)
    assert phone_labels("a", digests) == phone_labels("a", digests)
    assert not set(phone_labels("a", digests)) & set(phone_labels("b", digests))
