"""A folder of files: every one of them is read, or the folder is refused."""

import gzip
import json

import pytest

from client_model.config import DataConfig
from client_model.text.formats.base import DataError, Message
from client_model.text.formats.by_ending import ByEnding
from client_model.text.formats.share_read import watched
from client_model.text.population import open_population, prepare_population


def line(user, text):
    return json.dumps({"user_id": user, "text": text}) + "\n"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "messages"
    folder.mkdir()
    (folder / "b.csv").write_text("user_id,text\nann,second\n")
    (folder / "a.jsonl").write_text(line("ann", "first") + line("bob", "hello"))
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(line("ann", "third").encode()))
    return folder


def prepare(folder, **settings):
    return prepare_population(DataConfig(path=folder, cache_dir=folder.parent / "cache", **settings), 0, None)


def test_every_file_is_read_in_the_order_of_names(folder):
    with watched() as share:
        read = []
        for message in ByEnding().read(folder):
            read.append((message, share()))
    assert [message for message, _ in read] == [
        *(Message("ann", "first"), Message("bob", "hello"), Message("ann", "second"), Message("ann", "third")),
    ]
    shares = [share for _, share in read]
    assert shares == sorted(shares) and shares[-1] == 1
    assert open_population(prepare(folder)).num_phones == 2


def test_the_cache_depends_on_the_names_and_the_content_of_all(folder):
    first = prepare(folder)
    assert prepare(folder) == first
    (folder / "b.csv").write_text("user_id,text\nann,other\n")
    second = prepare(folder)
    (folder / "b.csv").rename(folder / "d.csv")
    third = prepare(folder)
    assert len({spec.cache_folder for spec in (first, second, third)}) == 3


def test_a_bad_line_is_said_of_its_file(folder):
    (folder / "b.csv").write_text("user_id,text\n,second\n")
    with pytest.raises(DataError, match=r"messages/b\.csv:2: expected a user_id"):
        prepare(folder)
    assert open_population(prepare(folder, on_bad_line="skip")).skipped_lines == 1


@pytest.mark.parametrize("name", ["README", "n.txt", ".hidden", "z.doc.gz"])
def test_another_file_is_refused_by_name_before_any_is_read(folder, name):
    (folder / name).write_text("x")
    (folder / "zz.txt").write_text("x")
    (folder / "a.jsonl").write_text("damaged")
    with pytest.raises(DataError, match=rf"messages/{name}: expected an ending of \.jsonl, .*; name the format with"):
        prepare(folder)


def test_empty_folders_and_folders_within_are_refused(folder, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"none: expected a folder with files of messages, found none in it"):
        prepare(tmp_path / "none")
    (folder / "more").mkdir()
    with pytest.raises(DataError, match=r"messages/more: expected an ending of "):
        prepare(folder)
    with pytest.raises(DataError, match=r"messages: expected a file of messages, found a folder"):
        prepare(folder, format="csv")
