"""Folders of Hugging Face's datasets: splits, Arrow and Parquet; what is damaged or missing."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client_model.config import DataConfig
from client_model.text.formats.base import DataError, Message, read_messages
from client_model.text.formats.columns import Columns
from client_model.text.formats.huggingface import HuggingFace
from client_model.text.population import open_population, prepare_population
from tests.client_model.text.formats.files import write_saved, write_stream

ROWS = [("ann", "hello"), ("bob", "hi"), ("ann", "see you"), ("eve", "bye")]
MESSAGES = [Message(*row) for row in ROWS]


def test_a_saved_split_is_read_without_what_lies_beside_it(tmp_path):
    assert list(HuggingFace().read(write_saved(tmp_path / "saved", ROWS))) == MESSAGES


def test_all_splits_are_read(tmp_path):
    folder = write_saved(tmp_path / "saved", ROWS, ("train", "test"))
    assert sorted(HuggingFace().read(folder)) == sorted(MESSAGES)
    spec = prepare_population(DataConfig(path=folder, format="huggingface", cache_dir=tmp_path / "cache"), 0, None)
    assert open_population(spec).num_phones == 3


def test_arrow_streams_without_a_list_of_them_are_read(tmp_path):
    write_stream(tmp_path / "b.arrow", ROWS[2:])
    write_stream(tmp_path / "a.arrow", ROWS[:2])
    assert list(HuggingFace().read(tmp_path)) == MESSAGES


def test_the_hubs_parquet_files_are_read(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("a data set")
    for number, rows in enumerate((ROWS[:3], ROWS[3:])):
        users, texts = zip(*rows, strict=True)
        pq.write_table(pa.table({"user_id": users, "text": texts}), tmp_path / f"data/train-{number}-of-2.parquet")
    assert list(HuggingFace().read(tmp_path)) == MESSAGES


def test_columns_have_the_names_that_are_given(tmp_path):
    folder = write_saved(tmp_path / "saved", ROWS, column="body")
    assert list(HuggingFace().with_columns(Columns(text="body")).read(folder)) == MESSAGES
    with pytest.raises(
        DataError, match=r"of-00002\.arrow: expected the columns user_id and text, found 2 columns and no"
    ):
        list(HuggingFace().read(folder))


def test_a_bad_row_takes_only_its_own_place(tmp_path):
    write_stream(tmp_path / "a.arrow", [("ann", None), *ROWS[1:]])
    bad, *good = HuggingFace().read(tmp_path)
    assert good == MESSAGES[1:]
    assert str(bad) == f"{tmp_path}/a.arrow:row 1: expected a text that is a string, found none"


def damage(folder, part):
    file = folder / "data-00000-of-00002.arrow"
    if part == "content":
        file.write_bytes(file.read_bytes()[:-150])
    elif part == "kind":
        file.write_text("secret")
    elif part == "file":
        file.unlink()
    else:
        (folder / "state.json").write_text(part)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("content", "arrow: expected a file of Arrow record batches, found one of another kind, or a damaged one"),
        ("kind", "arrow: expected a file of Arrow record batches, found one of another kind, or a damaged one"),
        ("file", "state.json: expected all of its _data_files beside it, found no. 1 missing"),
        ("{", "state.json:1: expected a list of _data_files, found invalid JSON (Expecting property name"),
        ('{"_data_files": [{"filename": "../../x.arrow"}]}', "state.json: expected a list of _data_files, found none"),
    ],
)
def test_damage_is_said_in_one_line(part, said, tmp_path):
    folder = write_saved(tmp_path / "saved", ROWS)
    damage(folder, part)
    with pytest.raises(DataError) as error:
        list(HuggingFace().read(folder))
    assert said in str(error.value)


def test_without_any_file_the_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected a folder with \.arrow or \.parquet files, found none in it$"):
        list(HuggingFace().read(tmp_path))
    (tmp_path / "m.arrow").write_text("x")
    with pytest.raises(DataError, match=r"m\.arrow: expected a folder that datasets saved, found a file$"):
        list(HuggingFace().read(tmp_path / "m.arrow"))
    with pytest.raises(DataError, match=r"none: expected a file of messages, found no such file"):
        list(read_messages(tmp_path / "none", HuggingFace()))
