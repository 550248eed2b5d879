"""A file of consents is read strictly, and a bad line named with its place, in every format."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_model.text.tokenising import user_digest
from simulation.world.consent.config import PURPOSES
from simulation.world.consent.file import COLUMNS, ConsentError, read_consents
from simulation.world.consent.labels import PhoneLabels

PEOPLE = ("anna", "bo", "#3")  # the last one has a name like a number
OTHERS = ("chris",)
LABELS = PhoneLabels(
    6, np.array([user_digest(one) for one in PEOPLE], np.uint64), np.array([user_digest("chris")], np.uint64)
)
ALL = np.arange(6)
ROWS = [
    ("bo", "train", 100.0, "withdrawn"),
    ("anna", "train", -50, "given"),
    ("bo", "train", 0, "given"),
    ("#3", "train", 10, "given"),  # the person: phones with people's text have no number
    ("#4", "telemetry", 0, "given"),
    ("bo", "train", 200, "given"),
    ("chris", "train", 0, "given"),
]


def write(path, rows, header=COLUMNS):
    if path.suffix == ".csv":
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in (header, *rows)))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))
    else:
        columns = zip(*rows, strict=True)
        pq.write_table(pa.table(dict(zip(header, map(pa.array, map(list, columns)), strict=True))), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_who_said_what_when(tmp_path, suffix):
    found = read_consents(write(tmp_path / f"said{suffix}", ROWS), LABELS)
    assert found.until_s("train", ALL, 50.0).tolist() == [np.inf, 100, np.inf, -np.inf, -np.inf, -np.inf]
    assert found.until_s("train", ALL, 100.0).tolist()[1] == -np.inf
    assert found.until_s("train", ALL, 200.0).tolist()[1] == np.inf
    assert found.holds("telemetry", ALL, 0.0).tolist() == [False] * 4 + [True, False]
    assert not found.holds("evaluate", ALL, 0.0).any()  # who is not in the file agreed to nothing
    assert found.origin == f"said{suffix}: 6 statements of 4 phones" and found.files == (tmp_path / f"said{suffix}",)


def test_parquet_is_read_too(tmp_path):
    rows = [(*row[:2], float(row[2]), row[3]) for row in ROWS]
    found = read_consents(write(tmp_path / "said.parquet", rows), LABELS)
    assert found.until_s("train", ALL, 50.0).tolist()[:2] == [np.inf, 100]
    with pytest.raises(ConsentError, match=r"said.parquet: row 8: expected one row of a phone, purpose and time, "):
        read_consents(write(tmp_path / "said.parquet", [*rows, rows[0]]), LABELS)


BAD = {
    "unknown label": (("dora", "train", 0, "given"), "a phone of the text or the fleet, found one that is in neither"),
    "a number of a person's phone": (("#1", "train", 0, "given"), "a phone of the text or the fleet"),
    "a number beyond the fleet": (("#6", "train", 0, "given"), "a phone of the text or the fleet"),
    "no label": (("", "train", 0, "given"), "phone to be a text or a number"),
    "unknown purpose": (("anna", "sell", 0, "given"), "purpose to be one of train, evaluate, personalise, telemetry"),
    "unknown word": (("anna", "train", 0, "yes"), "consent to be one of given, withdrawn"),
    "no number": (("anna", "train", "noon", "given"), "time_s to be a finite number, found text that is no number"),
    "not finite": (("anna", "train", "nan", "given"), "time_s to be a finite number"),
    "no time": (("anna", "train", "", "given"), "time_s to be a finite number, found none"),
    "too late": (("anna", "train", 1e15, "given"), "a time_s of at most 8,000 years"),
    "a duplicate": (("anna", "train", -50.0, "given"), "one row of a phone, purpose and time, found a second one"),
    "a contradiction": (("anna", "train", -50, "withdrawn"), "one row of a phone, purpose and time, found a second"),
}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named_and_not_quoted(tmp_path, suffix, name):
    row, said = BAD[name]
    path = write(tmp_path / f"said{suffix}", [*ROWS, row])
    number = len(ROWS) + 1 + (suffix == ".csv")
    with pytest.raises(ConsentError) as caught:
        read_consents(path, LABELS)
    assert str(caught.value).startswith(f"{path}:{number}: expected {said}")
    assert "\n" not in str(caught.value) and "dora" not in str(caught.value) and "noon" not in str(caught.value)


def test_what_is_no_such_file_is_refused(tmp_path):
    for name, content, said in (
        ("said.txt", "", r"said.txt: expected a file that ends in .csv, .parquet, .jsonl, found .txt"),
        ("said.csv", "phone,purpose\nanna,train\n", r"said.csv:1: expected the columns .*, found no time_s"),
        ("said.csv", "phone,purpose,time_s,consent\n", "said.csv: expected at least one row, found none"),
        ("said.csv", "phone,purpose,time_s,consent\nanna,train\n", r"said.csv:2: .*found a row of 2 columns"),
        ("said.jsonl", "[]\n", r"said.jsonl:1: expected an object with phone, purpose, time_s, consent"),
        ("said.jsonl", "\n{\n", r"said.jsonl:2: expected a JSON object, found invalid JSON"),
        (
            "said.jsonl",
            '\n{"phone":"anna","purpose":"train","time_s":0,"consent":"withdrawn","consent":"given"}\n',
            "said.jsonl:2: expected a JSON object with each key once, found a key twice",
        ),
        ("said.jsonl", "", "said.jsonl: expected at least one row, found none"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ConsentError, match=said):
            read_consents(tmp_path / name, LABELS)
    with pytest.raises(ConsentError, match="no such file"):
        read_consents(tmp_path / "nowhere.csv", LABELS)


STATEMENT = st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PURPOSES[:2]), st.integers(-3, 8), st.booleans())


@settings(max_examples=30, deadline=None)
@given(st.lists(STATEMENT, min_size=1, max_size=14, unique_by=lambda one: one[:3]), st.integers(-4, 9))
def test_the_last_word_before_a_moment_counts_whatever_the_order_of_the_rows(tmp_path_factory, said, now):
    path = tmp_path_factory.getbasetemp() / "any-order.csv"
    words = {True: "given", False: "withdrawn"}
    found = read_consents(write(path, [(*one[:3], words[one[3]]) for one in said]), LABELS)
    for phone, name in enumerate(PEOPLE):
        for purpose in PURPOSES[:2]:
            own = sorted((time, given) for who, what, time, given in said if (who, what) == (name, purpose))
            past = [given for time, given in own if time <= now]
            assert found.holds(purpose, np.array([phone]), now)[0] == bool(past and past[-1])
