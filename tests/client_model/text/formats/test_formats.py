"""The built-in formats hold the same messages, and the ending of a file says which it is."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client_model.text.formats.base import DataError, Message, read_messages
from client_model.text.formats.by_ending import kind_by_ending
from client_model.text.formats.door import FORMATS


def write_jsonl(path, messages):
    path.write_text("".join(json.dumps(message._asdict()) + "\n" for message in messages), encoding="utf-8")


def write_csv(path, messages):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "n", "user_id"), *((m.text, 1, m.user_id) for m in messages)])


def write_parquet(path, messages):
    columns = {"user_id": [m.user_id for m in messages], "text": [m.text for m in messages]}
    schema = pa.schema([("user_id", pa.string()), ("text", pa.string())])
    pyarrow.parquet.write_table(pa.table(columns, schema=schema), path)


WRITERS = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}
# As people write: no control characters but the end of a line.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=30)
messages = st.lists(st.builds(Message, texts.filter(bool), texts, st.none(), st.just(False)), max_size=8)


@pytest.mark.parametrize(("name", "examples"), [("jsonl", 40), ("csv", 40), ("parquet", 12)])
def test_what_was_written_is_read(name, examples, tmp_path):
    """Fewer of Parquet, each of which a copy of this process reads first, twice; nothing of its text is escaped."""

    @settings(max_examples=examples)
    @given(written=messages)
    def holds(written):
        path = tmp_path / f"m.{name}"
        WRITERS[name](path, written)
        for kind in (FORMATS.kind(name), FORMATS.kind("auto")):
            assert list(read_messages(path, kind.make(kind.settings()))) == written

    holds()


@pytest.mark.parametrize(
    ("file", "name"),
    [("m.jsonl", "jsonl"), ("m.NDJSON", "jsonl"), ("a.parquet.csv", "csv"), ("m.Parquet", "parquet")],
)
def test_endings(file, name, tmp_path):
    assert kind_by_ending(tmp_path / file).name == name


PACKED = {"gz": gzip.compress, "zst": lambda data: pa.compress(data, "zstd", asbytes=True)}


@pytest.mark.parametrize("name", ["jsonl", "csv"])
@pytest.mark.parametrize("ending", PACKED)
def test_what_was_compressed_is_read_as_it_was(name, ending, tmp_path):
    written = [Message("u1", "hello, you"), Message("u2", "\N{GRINNING FACE} ok")] * 500
    WRITERS[name](tmp_path / "plain", written)
    path = tmp_path / f"m.{name}.{ending.upper()}"
    path.write_bytes(PACKED[ending]((tmp_path / "plain").read_bytes()))
    assert kind_by_ending(path).name == name
    kind = FORMATS.kind("auto")
    assert list(read_messages(path, kind.make(kind.settings()))) == written


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"hello " + data, lambda data: b"hello\n"])
def test_what_is_compressed_and_damaged_is_refused_without_its_content(ending, damage, tmp_path):
    path = tmp_path / f"m.jsonl.{ending}"
    path.write_bytes(damage(PACKED[ending](b'{"user_id": "u1", "text": "hello"}\n' * 3000)))
    kind = FORMATS.kind("jsonl")
    with pytest.raises(DataError, match=r"m\.jsonl\.\w+: expected a \w+ file, found one of another kind") as error:
        list(read_messages(path, kind.make(kind.settings())))
    assert "hello" not in str(error.value)


def test_a_compressed_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    for ending in PACKED:
        path = tmp_path / f"none.jsonl.{ending}"
        with pytest.raises(DataError, match=r"expected a file of messages, found no such file or directory"):
            list(read_messages(path, FORMATS.kind("jsonl").make(FORMATS.kind("jsonl").settings())))


def test_no_format_claims_the_ending_of_another():
    endings = [e for name in FORMATS.names for e in FORMATS.kind(name).make(FORMATS.kind(name).settings()).endings]
    assert len(set(endings)) == len(endings) and all(e == e.lower() and e.startswith(".") for e in endings)


def test_there_is_nothing_to_read_for_the_synthetic_population(tmp_path):
    kind = FORMATS.kind("synthetic")
    with pytest.raises(DataError, match=r"--data\.format: expected a format of files, to read .*, found synthetic"):
        list(read_messages(tmp_path / "m.csv", kind.make(kind.settings())))


def read(path):
    kind = FORMATS.kind("auto")
    return list(read_messages(path, kind.make(kind.settings())))


def test_a_comma_without_quotes_cuts_no_message_short(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text('user_id,text\nu,hello,extra secret\nu,"hello, you"\n')
    bad, good = read(path)
    assert good == Message("u", "hello, you") and isinstance(bad, DataError)
    assert str(bad).startswith(f"{path}:2: expected 2 fields, as the header has") and str(bad).endswith("found 3")
    assert "secret" not in str(bad)


@pytest.mark.parametrize("header", ["user_id,text,text", "user_id,text,user_id"])
def test_a_column_that_is_named_twice_is_refused(tmp_path, header):
    path = tmp_path / "m.csv"
    path.write_text(f"{header}\na,b,c\n")
    with pytest.raises(DataError, match=r"m\.csv:1: expected the columns user_id and text once each, found \w+ more"):
        read(path)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"user_id": ' + "1" * 5001 + ', "text": "a"}', "a number with thousands of digits"),
        ("[" * 100_000, "invalid JSON (nested too deeply)"),
        ("null", "none"),
        ("[1]", "a list"),
        ('"secret"', "a text"),
    ],
)
def test_a_line_that_is_no_message_takes_only_its_own_place(tmp_path, line, found):
    path = tmp_path / "m.jsonl"
    path.write_text(line + '\n{"user_id": 1, "text": "a"}\n')
    bad, good = read(path)
    assert good == Message("1", "a") and str(bad) == f"{path}:1: expected a JSON object, found {found}"


@pytest.mark.parametrize(
    ("value", "found"), [(None, "none"), (3, "a number"), (True, "true or false"), (["secret"], "a list")]
)
def test_a_text_that_is_none_is_said_in_words(tmp_path, value, found):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"user_id": "u", "text": value}) + "\n")
    assert [str(bad) for bad in read(path)] == [f"{path}:1: expected a text that is a string, found {found}"]


def test_a_damaged_parquet_file_is_one_line(tmp_path):
    path = tmp_path / "m.parquet"
    write_parquet(path, [Message("u", "hello")] * 99)
    content = bytearray(path.read_bytes())
    content[-200:-8] = b"\xff" * 192  # its footer
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"m\.parquet: expected a Parquet file, found .* damaged one$"):
        read(path)
    pyarrow.parquet.write_table(pa.table({"user_id": ["u"], "text": [b"secret"]}), path)
    assert [str(bad) for bad in read(path)] == [f"{path}:row 1: expected a text that is a string, found bytes"]
