"""A file that ends the process which reads it ends a copy of this one, and is refused."""

import ctypes
import os
import time

import pytest

from tests.waiting import PATIENCE_S
from typefleet.errors import InputError
from typefleet.untrusted import survival
from typefleet.untrusted.survival import require_survival


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_text("x")
    return tmp_path / "file"


def test_what_the_copy_survives_is_fine_whatever_it_raises_or_writes(path, capfd):
    def fails():
        os.write(1, b"said by the copy")
        raise ValueError

    read = []
    for reading in (lambda: read.append(1), fails):
        require_survival(path, "a file", InputError, reading)
    assert read == [] and capfd.readouterr() == ("", "")  # it was the copy's list


def test_what_ends_it_is_refused(path):
    with pytest.raises(InputError, match=r"file: expected a table, found a damaged one$"):
        require_survival(path, "a table", InputError, lambda: ctypes.string_at(0))


def test_what_takes_for_ever_is_refused(path, monkeypatch):
    monkeypatch.setattr(survival, "_LEAST_S", -39.5)  # 0.5 s in all
    with pytest.raises(InputError, match=r"file: expected a table, found one that takes for ever to read$"):
        require_survival(path, "a table", InputError, lambda: time.sleep(PATIENCE_S))
