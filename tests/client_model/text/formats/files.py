"""Writes small files of messages; a row is (user, text)."""

import json
import sqlite3
from contextlib import closing

import h5py
import pyarrow as pa


def by_user(rows):
    found = {}
    for user, text in rows:
        found.setdefault(user, []).append(text)
    return found


def write_leaf(path, rows, **changes):
    """LEAF's JSON; changes replace its parts."""
    data = by_user(rows)
    content = {
        "users": list(data),
        "num_samples": [len(texts) for texts in data.values()],
        "user_data": {user: {"x": texts, "y": [0] * len(texts)} for user, texts in data.items()},
        **changes,
    }
    path.write_text(json.dumps(content))
    return path


def serialised(text):
    """A tf.train.Example with tokens and something else; without tokens if there is no text."""
    from tensorflow.core.example.example_pb2 import Example

    example = Example()
    example.features.feature["score"].int64_list.value.append(3)
    if text is not None:
        example.features.feature["tokens"].bytes_list.value.append(text.encode("utf-8", "surrogateescape"))
    return example.SerializeToString()


def write_sqlite(path, rows, examples=None):
    """Client data in SQLite; examples in the place of what the rows become, as (user, bytes)."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE examples (split_name TEXT, client_id TEXT, serialized_example_proto BLOB)")
        examples = examples or [(user, serialised(text)) for user, text in rows]
        connection.executemany("INSERT INTO examples VALUES ('train', ?, ?)", examples)
    return path


def write_hdf5(path, rows):
    with h5py.File(path, "w") as file:
        for user, texts in by_user(rows).items():
            encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
            file[f"examples/{user}/tokens"] = encoded
    return path


def write_saved(folder, rows, splits=("",), column="text"):
    """A folder as `datasets` saves it: the rows' parts in one split or several, two files each, a stray one beside."""
    folder.mkdir(parents=True, exist_ok=True)
    if splits != ("",):
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    for number, split in enumerate(splits):
        inside = folder / split
        inside.mkdir(exist_ok=True)
        part = rows[number :: len(splits)]
        halves = (part[: len(part) // 2], part[len(part) // 2 :])
        names = [f"data-0000{n}-of-00002.arrow" for n in range(2)]
        for name, half in zip(names, halves, strict=True):
            write_stream(inside / name, half, column)
        write_stream(inside / "cache-1.arrow", [("nobody", "left over")], column)
        (inside / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return folder


def write_stream(path, rows, column="text"):
    schema = pa.schema([("user_id", pa.string()), (column, pa.string())])
    users, texts = [user for user, _ in rows], [text for _, text in rows]
    with pa.ipc.new_stream(path, schema) as stream:
        stream.write_table(pa.table([users, texts], schema=schema))
