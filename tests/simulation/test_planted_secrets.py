"""No file of a run says who took part, what a single phone wrote, or what takes the noise away."""

import base64
import gzip
import json
import os

import numpy as np
import pytest

from simulation.run.checkpoint import load_newest_checkpoint
from simulation.run.noise_secret import NAME
from tests.simulation.planted_secrets import SECRETS, USERS, leaks, leaks_of_bits, plant

BITS = os.urandom(32)


@pytest.mark.slow  # of a run that other tests need as well
def test_what_identifies_or_undoes_is_in_no_file_of_a_run_but_its_own(planted):
    root = planted / "run"
    read = (planted / "m.jsonl").read_text()
    assert all(one in read for one in (*SECRETS, *USERS))
    assert leaks(root) == []
    assert not {secret for _, secret in leaks(planted / "cache")} & set(USERS)
    secret = bytes.fromhex((root / NAME).read_text().split()[0])
    assert leaks_of_bits(root, secret) == [(NAME, "digits")]  # which was to be kept
    salt = bytes.fromhex(load_newest_checkpoint(root / "checkpoints")[0].about["salt"])
    holders = {name.split("/")[0] for name, _ in leaks_of_bits(root, salt)}
    assert holders == {"checkpoints"}  # where a resume takes it from, for its owner alone


@pytest.mark.parametrize(
    "written",
    [
        BITS,
        BITS[::-1],
        BITS.hex().encode(),
        BITS.hex().upper().encode(),
        json.dumps({"key": base64.b64encode(b"1" + BITS + b"23").decode()}).encode(),
        base64.urlsafe_b64encode(b"12" + BITS),
        gzip.compress(BITS.hex().encode()),
    ],
)
def test_bits_are_found_in_whatever_form_they_are_written(tmp_path, written):
    (tmp_path / "file").write_bytes(b"something " * (written[:2] != b"\x1f\x8b") + written)
    assert len(leaks_of_bits(tmp_path, BITS)) == 1
    assert leaks_of_bits(tmp_path, os.urandom(32)) == []


def test_words_and_users_are_found_in_texts_tables_arrays_and_names(tmp_path):
    plant(tmp_path / "text")
    assert {secret for _, secret in leaks(tmp_path)} == {*SECRETS, *USERS}
    (tmp_path / "text").unlink()
    np.savez_compressed(tmp_path / "arrays.npz", users=np.array(USERS[:2]))
    (tmp_path / f"phone-{USERS[3].upper()}").write_text("nothing")
    assert {secret for _, secret in leaks(tmp_path)} == {USERS[0], USERS[1], USERS[3]}
