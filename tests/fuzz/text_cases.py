"""Files of messages, of every format."""

import csv
import gzip
import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from client_model.config import DataConfig
from client_model.text.formats.base import DataError
from client_model.text.formats.leaf import LeafSettings
from client_model.text.population import open_population, prepare_population
from client_model.text.tokenised_file import TokenisedFile
from client_model.text.vocabulary import read_vocabulary
from tests.client_model.text.formats.files import by_user, serialised, write_hdf5, write_saved, write_sqlite
from tests.fuzz.cases import MARKER, Case, Parser

Rows = list[tuple[Any, Any]]
ROWS: Rows = [(f"user {MARKER} {n % 7}", f"Hello {MARKER}, see you at {n}!") for n in range(60)]
GOOD: Rows = [(f"u{n % 3}", f"good {n}") for n in range(9)]


class Read(NamedTuple):
    """What became of a file."""

    phones: int
    messages: int
    skipped: int
    words: frozenset[str]


def read(path: Path, on_bad_line: str, **settings: Any) -> Read:
    """As a run reads it, cache and all."""
    config = DataConfig(path=path, on_bad_line=on_bad_line, cache_dir=path.parent / "cache", **settings)
    people = open_population(prepare_population(config, 0, None))
    assert isinstance(people, TokenisedFile)
    messages = sum(len(people.message_lengths(phone)) for phone in range(people.num_phones))
    return Read(people.num_phones, messages, people.skipped_lines, frozenset(people.lexicon))


def door(file: str, **settings: Any) -> Callable[[Path], Read]:
    """Reads the file both ways; gives what is left without bad lines, which the other way are an error."""

    def reads(folder: Path) -> Read:
        left = read(folder / file, "skip", **settings)
        if not left.skipped:
            assert read(folder / file, "error", **settings) == left
            return left
        try:
            read(folder / file, "error", **settings)
        except DataError as error:
            said = str(error)
            assert MARKER not in said and "\n" not in said and ": expected " in said, said
            return left
        raise AssertionError("bad lines that are no error")

    return reads


# Valid files ---------------------------------------------------------------------------------------


def as_json(rows: Rows) -> str:
    return "".join(json.dumps({"user_id": user, "text": text}) + "\n" for user, text in rows)


def as_csv(rows: Rows) -> str:
    found = io.StringIO()
    csv.writer(found).writerows([("user_id", "text"), *rows])
    return found.getvalue()


def as_leaf(rows: Rows, **changes: Any) -> str:
    data = by_user(rows)
    content = {"users": list(data), "num_samples": [len(texts) for texts in data.values()]}
    return json.dumps({**content, "user_data": {user: {"x": texts} for user, texts in data.items()}, **changes})


def as_chats(rows: Rows) -> str:
    turns = [[{"sender": user, "text": text, "timestamp": f"2018-01-01T{n}"}] for n, (user, text) in enumerate(rows)]
    return json.dumps({MARKER: {"messages": turns}})


def in_parquet(store_schema: bool = True, **columns: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet

    found = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), found, store_schema=store_schema)
    return found.getvalue()


def packed_zst(data: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(data, "zstd", asbytes=True))


@cache
def made_once(write: Callable[[Path], object], name: str) -> bytes:
    """The file that a library writes."""
    with TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def binary(name: str, write: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(made_once(write, name))


def sqlite_of_rows(path: Path) -> None:
    write_sqlite(path, ROWS)


def hdf5_of_rows(path: Path) -> None:
    write_hdf5(path, [(user.replace(" ", "_"), text) for user, text in ROWS])


@cache
def saved_once() -> tuple[TemporaryDirectory, Path]:
    folder = TemporaryDirectory()
    return folder, write_saved(Path(folder.name) / "saved", ROWS)


def text_file(kind: str, name: str, text: str, **settings: Any) -> Parser:
    return Parser(kind, lambda folder: (folder / name).write_text(text), name, door(name, **settings))


def saved(kind: str, damaged: str, *without: str) -> Parser:
    def write(folder: Path) -> None:
        shutil.copytree(saved_once()[1], folder / "saved")

    return Parser(kind, write, f"saved/{damaged}", door("saved", format="huggingface"), without=frozenset(without))


def folder_of_files(folder: Path) -> None:
    (folder / "all").mkdir()
    (folder / "all" / "a.jsonl").write_text(as_json(ROWS[:30]))
    (folder / "all" / "b.csv").write_text(as_csv(ROWS[30:]))


def read_words(folder: Path) -> Any:
    return read_vocabulary(folder / "vocab.txt")


WORDS = ["<pad>", "<bos>", "<eos>", "<oov>", ".", ",", "?", "!", "the", MARKER, "it's", "\N{GRINNING FACE}"]

JSONL = text_file("jsonl", "m.jsonl", as_json(ROWS))
CSV = text_file("csv", "m.csv", as_csv(ROWS))
GZIP = binary("m.jsonl.gz", lambda path: path.write_bytes(gzip.compress(as_json(ROWS).encode(), mtime=0)))
ZSTD = binary("m.csv.zst", lambda path: path.write_bytes(packed_zst(as_csv(ROWS).encode())))
PACKED = Parser("jsonl-gz", GZIP, "m.jsonl.gz", door("m.jsonl.gz"))
PACKED_ZST = Parser("csv-zst", ZSTD, "m.csv.zst", door("m.csv.zst"))
USERS, TEXTS = [user for user, _ in ROWS], [text for _, text in ROWS]
PARQUET = Parser(
    "parquet",
    binary("m.parquet", lambda path: path.write_bytes(in_parquet(user_id=USERS, text=TEXTS))),
    "m.parquet",
    door("m.parquet"),
)
LEAF = text_file("leaf", "all.json", as_leaf(ROWS), format="leaf")
SAMPLES = text_file(
    "leaf-lists",
    "all.json",
    as_leaf([(u, [1, t]) for u, t in ROWS]),
    format="leaf",
    format_settings=LeafSettings(sample_index=1),
)
CHATS = text_file("chitchat", "chats.json", as_chats(ROWS), format="chitchat")
SQLITE = Parser("tff-sqlite", binary("m.sqlite", sqlite_of_rows), "m.sqlite", door("m.sqlite"))
HDF5 = Parser("tff-hdf5", binary("m.h5", hdf5_of_rows), "m.h5", door("m.h5"))
ARROW = saved("huggingface-arrow", "data-00000-of-00002.arrow")
STATE = saved("huggingface-state", "state.json", "missing")  # without the list all are read
FOLDER = Parser("folder", folder_of_files, "all/b.csv", door("all"), without=frozenset({"missing"}))
VOCABULARY = Parser(
    "vocabulary", lambda folder: (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n"), "vocab.txt", read_words
)

PARSERS = (
    JSONL,
    CSV,
    PACKED,
    PACKED_ZST,
    PARQUET,
    LEAF,
    SAMPLES,
    CHATS,
    SQLITE,
    HDF5,
    ARROW,
    STATE,
    FOLDER,
    VOCABULARY,
)

# Further inputs --------------------------------------------------------------------------------------


def of(parser: Parser, name: str, content: str | bytes | Callable[[], bytes], **expectation: Any) -> Case:
    """A case that is a file of this content."""

    def make(folder: Path) -> None:
        data = content() if callable(content) else content
        (folder / parser.file).write_bytes(data.encode() if isinstance(data, str) else data)

    return Case(parser, name, make, **expectation)


def left(skipped: int, messages: int = len(GOOD)) -> dict[str, Any]:
    """All good rows are read and so many bad ones skipped."""
    return {"refused": None, "accepted": lambda found: (found.messages, found.skipped) == (messages, skipped)}


def bad_line(name: str, line: str | bytes, skipped: int = 1) -> Case:
    """A line among good ones, which takes nothing but its own place."""
    raw = line.encode() if isinstance(line, str) else line
    return of(JSONL, name, as_json(GOOD[:4]).encode() + raw + b"\n" + as_json(GOOD[4:]).encode(), **left(skipped))


def bad_row(name: str, row: str | bytes, skipped: int = 1, messages: int = len(GOOD)) -> Case:
    raw = row.encode() if isinstance(row, str) else row
    whole = as_csv(GOOD[:4]).encode() + raw + b"\r\n" + as_csv(GOOD[4:]).encode().partition(b"\n")[2]
    return of(CSV, name, whole, **left(skipped, messages))


DIGITS = "1" * 4301
JSON_LINES = (
    of(JSONL, "as it was", as_json(ROWS), **left(0, 60)),
    bad_line("digits in the user", f'{{"user_id": {DIGITS}, "text": "a"}}'),
    bad_line("digits in another key", f'{{"user_id": "u", "text": "a", "n": {DIGITS}}}'),
    bad_line("digits of a fraction", f'{{"user_id": 0.{DIGITS}, "text": "a"}}'),
    bad_line("as many digits as may be", f'{{"user_id": {DIGITS[:-1]}, "text": "\u00bf"}}', 0),
    bad_line("deep", '{"user_id": "u", "text": "a", "n": ' + "[" * 101 + "]" * 101 + "}"),
    bad_line("deeper than Python goes", "[" * 50_000 + "]" * 50_000),
    bad_line("deep objects", '{"a":' * 600 + "1" + "}" * 600),
    bad_line("no JSON", f"{MARKER} said hello"),
    bad_line("cut", f'{{"user_id": "u", "text": "{MARKER}'),
    bad_line("a list", f'["{MARKER}"]'),
    bad_line("a text", f'"{MARKER}"'),
    bad_line("a number", "3"),
    bad_line("null", "null"),
    bad_line("NaN", "NaN"),
    bad_line("two objects", as_json(GOOD[:1]).strip() * 2),
    bad_line("no user", f'{{"text": "{MARKER}"}}'),
    bad_line("an empty user", f'{{"user_id": "", "text": "{MARKER}"}}'),
    bad_line("a user that is true", f'{{"user_id": true, "text": "{MARKER}"}}'),
    bad_line("a user that is a fraction", f'{{"user_id": 1.5, "text": "{MARKER}"}}'),
    bad_line("a user that is endless", f'{{"user_id": 1e999, "text": "{MARKER}"}}'),
    bad_line("a user that is a list", f'{{"user_id": ["{MARKER}"], "text": "a"}}'),
    bad_line("no text", f'{{"user_id": "{MARKER}"}}'),
    bad_line("a text that is a list", f'{{"user_id": "u", "text": ["{MARKER}"]}}'),
    bad_line("a text that is too long", f'{{"user_id": "u", "text": "{"a" * 100_001}"}}'),
    bad_line("a line that is too long", f'{{"user_id": "u", "text": "a", "n": "{"a" * 2**20}"}}'),
    bad_line("bytes that are not UTF-8", b'{"user_id": "u", "text": "\xff"}'),
    bad_line("UTF-8 of half a letter", b'{"user_id": "u", "text": "\xed\xa0\xbd"}'),
    bad_line("UTF-8 cut short", b'{"user_id": "u", "text": "\xf0\x9f"}'),
    bad_line("half a letter, escaped", r'{"user_id": "\ud83d", "text": "\ud83d"}', 0),
    bad_line("NUL, escaped", r'{"user_id": "\u0000", "text": "\u0000"}', 0),
    bad_line("a control character", b'{"user_id": "u", "text": "\x01"}'),
    bad_line("a text without words", '{"user_id": "u", "text": " -- "}', 0),
    bad_line("an escape that is none", r'{"user_id": "u", "text": "\x"}'),
    of(JSONL, "a mark before the first line", b"\xef\xbb\xbf" + as_json(GOOD).encode(), **left(0)),
    of(JSONL, "no end of the last line", as_json(GOOD).strip(), **left(0)),
    of(JSONL, "ends of lines of Windows", as_json(GOOD).replace("\n", "\r\n"), **left(0)),
    of(JSONL, "empty lines", as_json(GOOD).replace("\n", "\n\n  \n"), **left(0)),
    of(JSONL, "no words", as_json([("u", "--")] * 9), refused="expected messages, found none with any word"),
    of(JSONL, "without spaces", as_json([("u", "\u4f60\u597d\u4e16\u754c")] * 9), refused="found mostly Han"),
    of(JSONL, "a word of 300,000 letters", as_json([*GOOD, ("u0", f"{MARKER} {'a' * 300_000}")]), **left(1)),
    of(JSONL, "a word of 99,990 letters", as_json([*GOOD, ("u0", "a" * 99_990)]), **left(0, 10)),
    of(JSONL, "99,000 words", as_json([*GOOD, ("u0", "a " * 49_000)]), **left(0, 10)),
    of(JSONL, "marks that join", as_json([*GOOD, ("u0", "a" + "\u0301" * 90_000)]), **left(0, 10)),
    of(JSONL, "pictures that join", as_json([*GOOD, ("u0", "\U0001f469\u200d" * 40_000)]), **left(0, 10)),
    of(JSONL, "apostrophes", as_json([*GOOD, ("u0", "a'" * 49_000)]), **left(0, 10)),
)
TABLES = (
    of(CSV, "as it was", as_csv(ROWS), **left(0, 60)),
    of(CSV, "no header", as_csv(ROWS).partition("\n")[2], refused=r"m\.csv:1: expected the columns user_id and text"),
    of(CSV, "a header alone", "user_id,text\n", refused="found none with any word"),
    of(CSV, "a header without an end", "user_id,text", refused="found none with any word"),
    of(CSV, "a header in an open quote", f'user_id,"text\n{MARKER},b\n' * 700, refused=r"m\.csv:1: expected a "),
    of(CSV, "many columns", ",".join(["user_id", "text", *"c" * 20_000]) + "\n", refused="at most 10,000 columns"),
    of(CSV, "a column twice", f"user_id,text,text\n{MARKER},b,c\n", refused="text more than once"),
    of(CSV, "semicolons", as_csv(ROWS).replace(",", ";"), refused="expected the columns user_id and text"),
    of(CSV, "tabs", as_csv(ROWS).replace(",", "\t"), refused="expected the columns user_id and text"),
    of(CSV, "a mark before the header", b"\xef\xbb\xbf" + as_csv(GOOD).encode(), **left(0)),
    of(CSV, "ends of lines of old", as_csv(GOOD).replace("\r\n", "\r"), **left(0)),
    of(CSV, "empty rows", as_csv(GOOD).replace("\r\n", "\r\n\r\n"), **left(0)),
    of(
        CSV,
        "all in quotes",
        as_csv(GOOD).replace("\r\n", '"\r\n"').replace(",", '","').join('"x')[1:-2] + "\n",
        either=True,
    ),
    bad_row("an open quote", f'u,"{MARKER}'),
    bad_row("an open quote of a user", f'"{MARKER},a'),
    bad_row("a quote closed too late", 'u,"a'),
    bad_row("something behind a quote", 'u,"a"b'),
    bad_row("a quote within", 'u,5" wide', 0, 10),
    bad_row("a quote in two lines", 'u,"two\r\nlines"', 0, 10),
    bad_row("a long field", "u," + "a" * 131_073),
    bad_row("a long field in quotes", 'u,"' + "a" * 131_073 + '"'),
    bad_row("a row that is too long", "u," + "a" * (2**20 + 5)),
    bad_row("a row of many fields that is too long", "u," * 600_000),
    bad_row("a text that is too long", "u," + "a" * 100_001),
    bad_row("too many fields", f"u,a,{MARKER}"),
    bad_row("too few fields", MARKER),
    bad_row("bytes that are not UTF-8", b"u,\xff"),
    bad_row("a user of such bytes", b"\xff,a"),
    bad_row("UTF-8 of half a letter", b"u,\xed\xa0\xbd"),
    bad_row("no user", f",{MARKER}"),
    bad_row("NUL", b"u,\x00", 0),
    bad_row("a formula", "u,=cmd|'/c calc'!A0", 0, 10),
    of(CSV, "300 rows behind an open quote", 'user_id,text\nu,"hello\n' + "u,good day\n" * 300, **left(1, 300)),
    of(CSV, "5,000 rows behind an open quote", 'user_id,text\nu,"hello\n' + "u,good day\n" * 5000, **left(1, 5000)),
    of(CSV, "open quotes all over", "user_id,text\n" + 'u,"hello\n' * 3000 + "u,good\n", **left(3000, 1)),
    of(CSV, "a quote over 1,000 lines", 'user_id,text\nu,"' + "a\n" * 1200 + '"\nu,good\n', either=True),
)


def many_lines() -> bytes:
    """Lines that are empty: 5 million in 22 kB."""
    return gzip.compress(b"\n" * 5_000_000, compresslevel=1)


PACKED_FILES = (
    of(PACKED, "one line without end", lambda: gzip.compress(b"a" * 50_000_000, 1), refused=""),
    of(PACKED, "lines without end", many_lines, refused="at most 100 times", time_limit_s=8),
    of(
        PACKED,
        "two parts",
        gzip.compress(as_json(GOOD[:4]).encode()) + gzip.compress(as_json(GOOD[4:]).encode()),
        **left(0),
    ),
    of(PACKED, "packed twice", gzip.compress(gzip.compress(as_json(GOOD).encode())), refused=""),
    of(PACKED, "zstd", lambda: packed_zst(as_json(GOOD).encode()), refused="expected a gzip file"),
    of(PACKED_ZST, "gzip", gzip.compress(as_csv(GOOD).encode()), refused="expected a zstandard file"),
    of(PACKED_ZST, "one line without end", lambda: packed_zst(b"a" * 50_000_000), refused=""),
)


def dated(**columns: Any) -> Callable[[], bytes]:
    return lambda: in_parquet(**{name: make() for name, make in columns.items()})


def arrow(values: Any, kind: str, *arguments: Any) -> Any:
    import pyarrow as pa

    return pa.array(values, getattr(pa, kind)(*arguments))


def not_utf8() -> Any:
    import pyarrow as pa

    return pa.array([b"good", b"\xff" + MARKER.encode(), b"day"], pa.binary()).view(pa.string())


def one_long_value(rows: int, characters: int, store_schema: bool) -> bytes:
    import numpy as np
    import pyarrow as pa

    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["a" * characters]))
    return in_parquet(store_schema, user_id=pa.array(["u"] * rows), text=long)


THREE = ["u", "v", "w"]


def columns_of(kind: str, values: Any, *arguments: Any, of_text: bool = True) -> Callable[[], bytes]:
    def make() -> bytes:
        column = arrow(values, kind, *arguments)
        return in_parquet(user_id=THREE, text=column) if of_text else in_parquet(user_id=column, text=THREE)

    return make


PARQUETS = (
    of(PARQUET, "text that is not UTF-8", lambda: in_parquet(user_id=THREE, text=not_utf8()), **left(1, 2)),
    of(PARQUET, "users that are not UTF-8", lambda: in_parquet(user_id=not_utf8(), text=THREE), **left(1, 2)),
    *(
        of(
            PARQUET,
            f"{what} of {kind} {arguments}",
            columns_of(kind, values, *arguments, of_text=what == "text"),
            refused="found none with any word",
        )
        for what in ("text", "users")
        for kind, values, *arguments in (
            ("duration", [1, 2, 2**62], "ns"),
            ("duration", [1, 2, 3], "s"),
            ("binary", [b"a", b"\xff", None]),
            ("date32", [1, 2**31 - 1, -(2**31)]),
            ("timestamp", [1, 2**62, -(2**62)], "ns"),
            ("timestamp", [1, 2**62, None], "s"),
            ("time64", [1, 2, 3], "us"),
            ("float64", [1, float("nan"), None]),
            ("bool_", [True, False, None]),
            ("null", [None] * 3),
        )
    ),
    of(PARQUET, "users that are numbers", columns_of("uint64", [1, 2, 2**64 - 1], of_text=False), **left(0, 3)),
    of(
        PARQUET,
        "texts that are lists",
        lambda: in_parquet(user_id=THREE, text=[["a"], ["b"], None]),
        refused="found none with any word",
    ),
    of(
        PARQUET,
        "texts that are tables",
        lambda: in_parquet(user_id=THREE, text=[{"a": 1}] * 3),
        refused="found none with any word",
    ),
    of(
        PARQUET,
        "no rows",
        lambda: in_parquet(user_id=arrow([], "string"), text=arrow([], "string")),
        refused="found none",
    ),
    of(PARQUET, "no such columns", lambda: in_parquet(**{MARKER: [1]}), refused="1 columns and no user_id and no text"),
    of(
        PARQUET,
        "a value of 5 MB in 90,000 rows",
        lambda: one_long_value(90_000, 5_000_000, False),
        refused="at most 1 MiB",
    ),
    of(
        PARQUET,
        "a value of 900 kB in 90,000 rows",
        lambda: one_long_value(90_000, 900_000, False),
        refused="at most 100 times",
    ),
)


def leaf(name: str, refused: str | None = "", **changes: Any) -> Case:
    return of(LEAF, name, as_leaf(ROWS, **changes), refused=refused)


LEAVES = (
    of(LEAF, "as it was", as_leaf(ROWS), **left(0, 60)),
    leaf("no users", users=[]),
    leaf("users that are an object", users={}),
    leaf("users that are lists", users=[[MARKER]] * 7),
    leaf("users that are endless", users=[float("inf")] * 7),
    leaf("users twice", users=[*by_user(ROWS), *by_user(ROWS)], num_samples=[9] * 14),
    leaf("counts of nothing", num_samples=[]),
    leaf("counts that are true", num_samples=[True] * 7),
    leaf("counts that are texts", num_samples=[MARKER] * 7),
    leaf("data that are a list", user_data=[MARKER]),
    leaf("data that are texts", user_data=dict.fromkeys(by_user(ROWS), MARKER)),
    leaf("samples that are an object", user_data={user: {"x": {}} for user, _ in ROWS}),
    of(LEAF, "digits", as_leaf(GOOD).replace('"good 1"', DIGITS), refused="thousands of digits"),
    of(LEAF, "samples that are numbers", as_leaf(GOOD).replace('"good 1"', "1"), **left(1, 8)),
    of(LEAF, "deep samples", as_leaf(GOOD).replace('"good 1"', "[" * 150 + "]" * 150), refused="nested too deeply"),
    of(SAMPLES, "samples of texts", as_leaf([*GOOD, ("u0", [1, "good"])]), **left(9, 1)),
    of(CHATS, "as it was", as_chats(ROWS), refused=None),
    of(CHATS, "deep times", as_chats(GOOD).replace('"2018-01-01T1"', "[" * 150 + "]" * 150), refused="too deeply"),
    of(CHATS, "digits as a time", as_chats(GOOD).replace('"2018-01-01T1"', DIGITS), refused="thousands of digits"),
    of(CHATS, "messages that are none", json.dumps({MARKER: {"messages": MARKER}}), refused="conversation 1"),
    of(CHATS, "turns that are texts", json.dumps({MARKER: {"messages": [[MARKER]]}}), refused=""),
)


def in_sqlite(*statements: str, examples: bool = True) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / "m.sqlite").unlink()
        with closing(sqlite3.connect(folder / "m.sqlite")) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return make


TABLE = "CREATE TABLE examples (split_name TEXT, client_id {}, serialized_example_proto {})"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


def example(text: str) -> str:
    """A serialised example as SQL has it; made by hand, since TensorFlow takes seconds to import."""
    return f"X'{serialised(text).hex()}'"


SQLITES = (
    Case(SQLITE, "no table", in_sqlite(f"CREATE TABLE {MARKER} (a)"), refused="found no such table"),
    Case(SQLITE, "an empty table", in_sqlite(TABLE.format("TEXT", "BLOB")), refused="found none with any word"),
    Case(SQLITE, "another column", in_sqlite("CREATE TABLE examples (a, b)", "INSERT INTO examples VALUES (1, 2)")),
    Case(
        SQLITE,
        "a view without end",
        in_sqlite(
            f"CREATE VIEW examples AS {ENDLESS} SELECT i AS rowid, i AS client_id, i AS serialized_example_proto FROM n"
        ),
        refused="found no such table",
    ),
    Case(
        SQLITE,
        "a computed column",
        in_sqlite(
            TABLE.format("TEXT", "BLOB AS (zeroblob(900000000))"), "INSERT INTO examples(client_id) VALUES ('u')"
        ),
    ),
    Case(
        SQLITE,
        "blobs that are texts",
        in_sqlite(TABLE.format("TEXT", "BLOB"), f"INSERT INTO examples VALUES ('train', 'u', '{MARKER}')"),
    ),
    Case(
        SQLITE,
        "blobs that are numbers",
        in_sqlite(
            TABLE.format("TEXT", "BLOB"), "INSERT INTO examples VALUES ('train', 'u', 7), ('train', 1e999, NULL)"
        ),
    ),
    Case(
        SQLITE,
        "blobs that are nothing of the kind",
        in_sqlite(
            TABLE.format("TEXT", "BLOB"), "INSERT INTO examples VALUES ('train', 'u', X'ffffffff'), ('t', X'ff', X'00')"
        ),
    ),
)


def in_hdf5(fill: Callable[[Any, Any], object]) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        import h5py

        (folder / "m.h5").unlink()
        (folder / "secret.bin").write_bytes(MARKER.encode() * 100)
        with h5py.File(folder / "other.h5", "w") as other:
            other["examples/a/tokens"] = [MARKER.encode()]
        with h5py.File(folder / "m.h5", "w") as file:
            fill(file, h5py)

    return make


def external(file: Any, h5py: Any) -> None:
    folder = Path(file.filename).parent
    file.create_dataset("examples/a/tokens", shape=(10,), dtype="S9", external=[(str(folder / "secret.bin"), 0, 90)])


def elsewhere(file: Any, h5py: Any) -> None:
    layout = h5py.VirtualLayout(shape=(1,), dtype=h5py.string_dtype())
    layout[:] = h5py.VirtualSource(str(Path(file.filename).parent / "other.h5"), "examples/a/tokens", shape=(1,))
    file.create_virtual_dataset("examples/a/tokens", layout)


def linked(path: str, target: str) -> Callable[[Any, Any], None]:
    def fill(file: Any, h5py: Any) -> None:
        file.require_group(path.rpartition("/")[0] or "/")
        file[path] = h5py.ExternalLink("other.h5", target)

    return fill


def declared(rows: int, kind: str | None) -> Callable[[Any, Any], None]:
    """Rows that are declared and never written."""

    def fill(file: Any, h5py: Any) -> None:
        dtype = h5py.string_dtype() if kind is None else kind
        file.create_dataset("examples/a/tokens", shape=(rows,), chunks=(1024,), dtype=dtype)

    return fill


def values(of: Any) -> Callable[[Any, Any], None]:
    return lambda file, h5py: file.create_dataset("examples/a/tokens", data=of)


HDF5S = (
    Case(HDF5, "as it was", lambda folder: None, **left(0, 60)),
    Case(HDF5, "a link to another file", in_hdf5(linked("examples", "examples"))),
    Case(HDF5, "a client in another file", in_hdf5(linked("examples/a", "examples/a"))),
    Case(HDF5, "texts in another file", in_hdf5(linked("examples/a/tokens", "examples/a/tokens"))),
    Case(HDF5, "texts put together from another file", in_hdf5(elsewhere)),
    Case(HDF5, "bytes of another file", in_hdf5(external)),
    Case(HDF5, "a million million rows", in_hdf5(declared(10**12, None)), refused=""),
    Case(HDF5, "long rows that nobody wrote", in_hdf5(declared(10**7, "S100000")), refused=""),
    Case(HDF5, "numbers", in_hdf5(values([1, 2, 3]))),
    Case(HDF5, "a table of numbers", in_hdf5(values([[1, 2], [3, 4]]))),
    Case(HDF5, "one text", in_hdf5(values(MARKER))),
    Case(HDF5, "nothing", in_hdf5(lambda file, h5py: None)),
    Case(HDF5, "a client that is a list", in_hdf5(lambda file, h5py: file.create_dataset("examples/a", data=[b"a"]))),
    Case(
        HDF5, "a circle", in_hdf5(lambda file, h5py: file.create_group("examples").__setitem__("a", file["examples"]))
    ),
)


def state(content: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / STATE.file).write_text(json.dumps(content))


STATES = tuple(
    Case(STATE, name, state({"_data_files": files}))
    for name, files in (
        ("a folder above", [{"filename": "../m.arrow"}]),
        ("an absolute path", [{"filename": "/etc/passwd"}]),
        ("NUL in a name", [{"filename": "a\0b"}]),
        ("no name", [{"filename": ""}]),
        ("a long name", [{"filename": "a" * 5000}]),
        ("a name that is not there", [{"filename": MARKER}]),
        ("a name that is a number", [{"filename": 3}]),
        ("its own folder", [{"filename": "."}]),
        ("half a letter", [{"filename": "\ud83d"}]),
        ("texts", [MARKER]),
        ("a text", MARKER),
    )
)


def other_file(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "all" / name).write_bytes(content)


FOLDERS = (
    Case(FOLDER, "as it was", lambda folder: None, **left(0, 60)),
    Case(FOLDER, "another file", other_file("notes.txt", b"a"), refused="expected an ending"),
    Case(FOLDER, "a name of control characters", other_file("\x1b[31m\n.txt", b"a"), refused="expected an ending"),
    Case(FOLDER, "a name that is not UTF-8", other_file("\udcff.jsonl", as_json(GOOD).encode()), either=True),
    Case(FOLDER, "a folder in it", lambda folder: (folder / "all" / "more.jsonl").mkdir()),
    Case(FOLDER, "a further link to itself", lambda folder: (folder / "all" / "c.jsonl").symlink_to("c.jsonl")),
    Case(FOLDER, "a link to the folder", lambda folder: (folder / "all" / "c.jsonl").symlink_to(folder / "all")),
)


def words(name: str, *more: str, refused: str | None = "") -> Case:
    return of(VOCABULARY, name, "\n".join([*WORDS[:8], *more]) + "\n", refused=refused)


VOCABULARIES = (
    words("as it was", "the", "it's", refused=None),
    words("no words", refused="expected words"),
    words("a word twice", "the", MARKER, MARKER, refused=r"vocab\.txt:11: expected a token of its own"),
    words("an empty line", "the", "", "a", refused=r"vocab\.txt:10: expected"),
    words("a blank", "the", "new york", refused=r"vocab\.txt:10: expected"),
    words("a tab", "the\t7", refused=r"vocab\.txt:9: expected"),
    words("a long word", "the", "a" * 65, refused=r"vocab\.txt:10: expected"),
    words("a word of 20,000 letters", "a" * 20_000, refused=r"vocab\.txt:9: expected"),
    words("NUL", "a\0b", refused=r"vocab\.txt:9: expected"),
    words("a control character", "\x1b[31m", refused=r"vocab\.txt:9: expected"),
    words("ends of lines of Windows", "the\r", refused=None),
    words("a special token again", "<oov>", refused=""),
    of(
        VOCABULARY,
        "many words",
        lambda: ("\n".join(WORDS[:8] + [f"w{n}" for n in range(100_001)])).encode(),
        refused="at most 100,000",
    ),
    of(VOCABULARY, "another order", "\n".join(reversed(WORDS)), refused=r"vocab\.txt:1: expected <pad>"),
)

CASES = (*JSON_LINES, *TABLES, *PACKED_FILES, *PARQUETS, *LEAVES, *SQLITES, *HDF5S, *STATES, *FOLDERS, *VOCABULARIES)
