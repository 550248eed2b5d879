"""Client data in HDF5: read, damage said in one line, and no other file followed to."""

import h5py
import pytest

from client_model.text.formats import tff_hdf5
from client_model.text.formats.base import DataError, Message, read_messages
from client_model.text.formats.by_ending import ByEnding
from client_model.text.formats.tff_hdf5 import TffHdf5
from tests.client_model.text.formats.files import write_hdf5

ROWS = [("bob", "hi \N{GRINNING FACE}"), ("ann", "hello"), ("ann", "see you"), ("ann", "bye")]


@pytest.mark.parametrize("ending", ["h5", "HDF5"])
def test_clients_come_by_name_with_all_their_texts(ending, tmp_path, monkeypatch):
    monkeypatch.setattr(tff_hdf5, "_AT_A_TIME", 2)
    path = write_hdf5(tmp_path / f"m.{ending}", ROWS)
    assert list(ByEnding().read(path)) == [Message(*row) for row in (*ROWS[1:], ROWS[0])]


def test_what_is_no_list_of_texts_takes_only_its_own_place(tmp_path):
    path = write_hdf5(tmp_path / "m.h5", [("eve", "\udcff"), ("eve", "hi")])
    with h5py.File(path, "a") as file:
        file["examples/ann/other"] = [b"secret"]
        file["examples/bob/tokens"] = [3]
        file["examples/cat"] = h5py.ExternalLink(str(path), "/examples/eve")
    *bad, good = TffHdf5().read(path)
    assert good == Message("eve", "hi")
    assert [str(one).removeprefix(f"{path}: client ") for one in bad] == [
        "1: expected a list tokens, found none",
        "2, text 1: expected a text that is a string, found a number",
        "3: expected a list tokens, found none",
        "4, text 1: expected UTF-8, found other bytes",
    ]


def test_other_and_damaged_files_are_refused_in_one_line(tmp_path):
    path, wanted = tmp_path / "m.h5", r"m\.h5: expected an HDF5 file with examples/CLIENT/tokens, found "
    path.write_text("secret")
    with pytest.raises(DataError, match=f"{wanted}one of another kind$"):
        list(TffHdf5().read(path))
    with h5py.File(path, "w") as file:
        file["secret"] = [1]
    with pytest.raises(DataError, match=f"{wanted}no group examples$"):
        list(TffHdf5().read(path))
    write_hdf5(path, ROWS * 2000)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(DataError, match=f"{wanted}a damaged one$"):
        list(TffHdf5().read(path))
    with pytest.raises(DataError, match=r"none\.h5: expected a file of messages, found no such file"):
        list(read_messages(tmp_path / "none.h5", TffHdf5()))
