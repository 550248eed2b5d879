"""Storage keys and the envelopes that they wrap."""

import json
import os
from pathlib import Path

import pytest

from simulation.files import write_bytes_atomically
from typefleet.errors import ConfigError
from typefleet.sealed import storage_key as keys
from typefleet.sealed.envelope import (
    ENVELOPE,
    data_key_of,
    is_encrypted,
    needed_by,
    new_envelope,
    require_data_key,
    shred,
    wrapped_anew,
)
from typefleet.sealed.storage_key import Scrypt, check_place, storage_key

DIGITS, OTHER = "0123456789abcdef" * 4, "f" * 64


@pytest.fixture
def place(tmp_path):
    return key_file(tmp_path / "key", DIGITS)


def key_file(path, digits):
    path.write_text(f"{digits}\n")
    path.chmod(0o600)
    return str(path)


def made(folder, place):
    folder.mkdir(exist_ok=True)
    content, key = new_envelope(place)
    write_bytes_atomically(folder / ENVELOPE, content, private=True)
    return key


def test_an_envelope_gives_its_key_to_who_has_the_storage_key(tmp_path, place, monkeypatch):
    key = made(tmp_path / "run", place)
    assert data_key_of(tmp_path / "run") == key == require_data_key(tmp_path / "run") and len(key) == 32
    monkeypatch.setenv("MY_KEY", DIGITS)
    assert data_key_of(tmp_path / "run", "env:MY_KEY") == key
    text = (tmp_path / "run" / ENVELOPE).read_text()
    assert DIGITS not in text and key.hex() not in text and needed_by(tmp_path / "run").fingerprint in text
    assert made(tmp_path / "other", place) != key


def test_no_envelope_is_no_key(tmp_path):
    assert data_key_of(tmp_path) is None and not is_encrypted(tmp_path) and needed_by(tmp_path) is None
    with pytest.raises(ConfigError, match="can be read by nobody"):
        require_data_key(tmp_path)
    with pytest.raises(ConfigError, match="found none"):
        wrapped_anew(tmp_path, "env:X")


def test_another_storage_key_is_refused_and_nothing_is_lost(tmp_path, place):
    key = made(tmp_path / "run", place)
    wrong = key_file(tmp_path / "wrong", OTHER)
    with pytest.raises(
        ConfigError, match=r"expected the storage key of fingerprint [0-9a-f]{16}, found another one"
    ) as e:
        data_key_of(tmp_path / "run", wrong)
    assert OTHER not in str(e.value) and data_key_of(tmp_path / "run", place) == key


@pytest.mark.parametrize("name", ["fingerprint", "wrapped", "no ASCII", "layout", "scrypt"])
def test_an_envelope_that_was_changed_is_refused(tmp_path, place, name):
    made(tmp_path / "run", place)
    path = tmp_path / "run" / ENVELOPE
    found = json.loads(path.read_text())
    changed = {
        "fingerprint": "0" * 16,
        "wrapped": found["wrapped"][:-8] + ("A" * 8 if found["wrapped"][-8:] != "A" * 8 else "B" * 8),
        "no ASCII": "é" + found["wrapped"][1:],
        "layout": 2,
        "scrypt": {"salt": "0" * 32, "log_n": 30, "r": 8, "p": 1},
    }
    path.write_text(json.dumps({**found, "wrapped" if name == "no ASCII" else name: changed[name]}))
    with pytest.raises(ConfigError, match="expected"):
        data_key_of(tmp_path / "run")


def test_the_envelope_of_another_run_gives_another_key(tmp_path, place):
    first, second = made(tmp_path / "a", place), made(tmp_path / "b", place)
    (tmp_path / "a" / ENVELOPE).write_bytes((tmp_path / "b" / ENVELOPE).read_bytes())
    assert data_key_of(tmp_path / "a") == second != first  # with which nothing of the run can be opened


def test_another_wrapping_keeps_the_key_and_refuses_the_old_storage_key(tmp_path, place):
    key, path = made(tmp_path / "run", place), tmp_path / "run" / ENVELOPE
    new = key_file(tmp_path / "new", OTHER)
    before = path.read_bytes()
    content, fingerprint = wrapped_anew(tmp_path / "run", new)
    assert path.read_bytes() == before  # until it is written
    write_bytes_atomically(path, content, private=True)
    assert data_key_of(tmp_path / "run") == key and needed_by(tmp_path / "run").fingerprint == fingerprint
    with pytest.raises(ConfigError, match="another one"):
        data_key_of(tmp_path / "run", place)
    with pytest.raises(ConfigError, match="another one"):
        wrapped_anew(tmp_path / "run", place, place)


def test_what_is_shredded_is_overwritten_and_gone(tmp_path, place):
    made(tmp_path / "run", place)
    path, draft = tmp_path / "run" / ENVELOPE, tmp_path / "run" / f".{ENVELOPE}-0123abcd"
    draft.write_bytes(path.read_bytes())
    os.link(path, tmp_path / "same blocks")
    assert shred(tmp_path / "run") and not draft.exists() and not path.exists()
    assert set((tmp_path / "same blocks").read_bytes()) == {0}
    assert not shred(tmp_path / "run")


def test_a_passphrase_gives_the_key_of_its_salt(monkeypatch, tmp_path):
    monkeypatch.setattr(keys, "_own_scrypt", lambda: Scrypt("ab" * 16, log_n=14))
    monkeypatch.setenv("WORDS", "correct horse battery")
    key = made(tmp_path / "run", "passphrase:WORDS")
    assert data_key_of(tmp_path / "run") == key
    monkeypatch.setenv("OTHER", "another horse battery")
    with pytest.raises(ConfigError, match="another one"):
        data_key_of(tmp_path / "run", "passphrase:OTHER")
    monkeypatch.setenv("DIGITS", DIGITS)
    with pytest.raises(ConfigError, match="made of one"):
        data_key_of(tmp_path / "run", "env:DIGITS")


def test_scrypt_is_that_of_the_standard():
    """RFC 7914, section 12: scrypt("pleaseletmein", "SodiumChloride", N = 16384, r = 8, p = 1), its first 32 bytes."""
    expected = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    salt = Scrypt(b"SodiumChloride".hex(), log_n=14)
    assert keys.key_of_passphrase("pleaseletmein", salt).key.hex() == expected


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (DIGITS, "the key itself"),
        (f"0x{DIGITS}", "the key itself"),
        (f"{DIGITS}\n", "the key itself"),
        ("", "nothing"),
        ("env:", "without the name"),
        ("env:a b", "without the name"),
        ("passphrase:a-b", "without the name"),
    ],
)
def test_what_is_no_place_is_refused_and_not_repeated(place, found):
    with pytest.raises(ConfigError, match=found) as caught:
        check_place(place)
    assert DIGITS not in str(caught.value)


def test_a_key_that_others_can_read_or_that_is_none_is_refused(tmp_path, place, monkeypatch):
    assert storage_key(place).key.hex() == DIGITS
    Path(place).chmod(0o640)
    with pytest.raises(ConfigError, match=r"0600.*found permissions 0640"):
        storage_key(place)
    with pytest.raises(ConfigError, match="expected 64 hexadecimal digits, found something else"):
        storage_key(key_file(tmp_path / "short", "abcd"))
    with pytest.raises(ConfigError, match="found none"):
        storage_key(str(tmp_path / "nothing"))
    for kind in ("env", "passphrase"):
        with pytest.raises(ConfigError, match="the name of a variable that is set") as caught:
            storage_key(f"{kind}:mysecretword12345")
        assert "mysecretword" not in str(caught.value)  # the passphrase itself, where its variable's name belongs
    monkeypatch.setenv("WORDS", "short")
    with pytest.raises(ConfigError, match="at least 12 characters"):
        storage_key("passphrase:WORDS")


def test_a_key_says_nothing_of_itself_but_its_fingerprint(place):
    key = storage_key(place)
    assert DIGITS not in repr(key) and key.key.hex() not in repr(key) and len(key.fingerprint) == 16


def test_who_ends_the_input_in_the_place_of_a_passphrase_is_told_so(monkeypatch):
    def ended(prompt):
        raise EOFError

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", ended)
    keys._asked.cache_clear()
    with pytest.raises(
        ConfigError, match=r"^--storage\.key: passphrase:: expected a passphrase, found the end of what was"
    ):
        storage_key("passphrase:")
