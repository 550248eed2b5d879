"""Client data in SQLite: read without writing, damage said in one line."""

import sqlite3

import pytest

from client_model.text.formats.base import DataError, Message, read_messages
from client_model.text.formats.by_ending import ByEnding
from client_model.text.formats.tff_sqlite import TffSqlite
from tests.client_model.text.formats.files import serialised, write_sqlite

ROWS = [("ann", "hello"), ("bob", "hi \N{GRINNING FACE}"), ("ann", "see you")]


def test_rows_are_read_in_their_order_and_nothing_is_written(tmp_path):
    path = write_sqlite(tmp_path / "a b?c#d.sqlite", ROWS)
    before = path.read_bytes()
    path.chmod(0o400)
    assert list(ByEnding().read(path)) == [Message(*row) for row in ROWS]
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("user", "example", "said"),
    [
        ("u", None, "expected a serialised tf.train.Example, found none"),
        ("u", b"\xff secret", "expected a serialised tf.train.Example, found other bytes"),
        ("u", serialised(None), "expected one value of tokens, found 0"),
        ("u", serialised("\udcff"), "expected UTF-8, found other bytes"),
        (None, serialised("secret"), "expected a user_id (text or whole number), found an empty or unusable value"),
    ],
)
def test_a_bad_row_takes_only_its_own_place(user, example, said, tmp_path):
    path = write_sqlite(tmp_path / "m.sqlite", [], [(user, example), ("bob", serialised("hi"))])
    bad, good = TffSqlite().read(path)
    assert good == Message("bob", "hi") and str(bad) == f"{path}: row 1 of examples: {said}"


WANTED = r"m\.sqlite: expected an SQLite file with a table examples \(client_id, serialized_example_proto\), found "


def test_other_and_damaged_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "m.sqlite"
    path.write_text("secret")
    with pytest.raises(DataError, match=f"{WANTED}one of another kind$"):
        list(TffSqlite().read(path))
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE messages (secret TEXT)").connection.close()
    with pytest.raises(DataError, match=f"{WANTED}no such table$"):
        list(TffSqlite().read(path))
    path.unlink()
    write_sqlite(path, ROWS * 2000)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(DataError, match=f"{WANTED}one of another kind, or a damaged one$"):
        list(TffSqlite().read(path))
    with pytest.raises(DataError, match=r"none\.sqlite: expected a file of messages, found no such file"):
        list(read_messages(tmp_path / "none.sqlite", TffSqlite()))
