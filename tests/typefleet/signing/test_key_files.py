"""Files of keys: whose they are, who may read them, and that nobody has two roles."""

import json

import pytest

from tests.simulation.studies.signed_runs import signing_key
from tests.typefleet.signing.test_algorithms import BOTH
from typefleet.errors import ConfigError, InputError
from typefleet.sealed import storage_key
from typefleet.signing.algorithms import PublicKey, SignatureError, new_key
from typefleet.signing.key_files import (
    ROLES,
    Signer,
    private_content,
    public_content,
    read_signing_key,
    read_trusted,
)

PLACE = "passphrase:TYPEFLEET_TEST_PASSPHRASE"


def write(path, content, mode=0o600):
    path.write_bytes(content)
    path.chmod(mode)
    return path


def trusted(path, *signers):
    path.write_bytes(b"".join(map(public_content, signers)))
    return read_trusted(path)


@pytest.mark.parametrize("hybrid", BOTH)
@pytest.mark.parametrize("role", ROLES)
def test_keys_come_back_as_they_were(tmp_path, role, hybrid):
    key = signing_key(role, "eve.2", hybrid=hybrid)
    assert read_signing_key(write(tmp_path / "eve.key", private_content(key))) == key
    assert trusted(tmp_path / "eve.pub", key.signer) == (key.signer,)
    shown = repr(key)
    assert str(key.private.ed25519) not in shown and (not hybrid or str(key.private.ml_dsa_65) not in shown)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o777])
def test_a_key_that_others_can_reach_is_refused(tmp_path, mode):
    path = write(tmp_path / "k.key", private_content(signing_key("trainer", "ann")), mode)
    with pytest.raises(
        ConfigError, match=rf"k.key: expected a file that its owner alone .*, found permissions {mode:04o}"
    ):
        read_signing_key(path)


@pytest.fixture
def quick_scrypt(monkeypatch):
    """The least that a file may ask for: as long as a key of a run takes is for people to wait."""
    monkeypatch.setattr(storage_key, "_own_scrypt", lambda: storage_key.Scrypt("ab" * 16, 14))


def test_a_passphrase_keeps_all_of_a_key(tmp_path, monkeypatch, quick_scrypt):
    key = signing_key("auditor", "max")
    monkeypatch.setenv("TYPEFLEET_TEST_PASSPHRASE", "a long passphrase")
    content = private_content(key, PLACE)
    assert b"max" not in content and b"auditor" not in content
    path = write(tmp_path / "max.key", content)
    assert read_signing_key(path, PLACE) == key
    with pytest.raises(ConfigError, match="--passphrase: passphrase:: expected a terminal to ask on, found none"):
        read_signing_key(path)
    monkeypatch.setenv("TYPEFLEET_TEST_PASSPHRASE", "another passphrase")
    with pytest.raises(SignatureError, match=r"max\.key: expected the passphrase that keeps it, found another one, or"):
        read_signing_key(path, PLACE)
    with pytest.raises(ConfigError, match="--passphrase: expected passphrase:NAME"):
        read_signing_key(path, "env:TYPEFLEET_TEST_PASSPHRASE")
    monkeypatch.setenv("TYPEFLEET_TEST_PASSPHRASE", "short")
    with pytest.raises(ConfigError, match="at least 12 characters, found a shorter one"):
        private_content(key, PLACE)
    plain = write(tmp_path / "plain.key", private_content(key))
    with pytest.raises(ConfigError, match=r"--passphrase: expected none, since plain\.key needs none, found one"):
        read_signing_key(plain, PLACE)


def test_a_key_that_was_cut_or_changed_is_one_line(tmp_path, quick_scrypt, monkeypatch):
    monkeypatch.setenv("TYPEFLEET_TEST_PASSPHRASE", "a long passphrase")
    key = signing_key("trainer", "ann")
    for place in (None, PLACE):
        content = private_content(key, place)
        for cut in range(0, len(content) - 2, 23):
            with pytest.raises(InputError, match=r"k\.key"):
                read_signing_key(write(tmp_path / "k.key", content[:cut]), place)
    whole = json.loads(private_content(key))
    other = signing_key("trainer", "bob")
    for changed in (
        {"layout": 2},
        {"layout": True},
        {"role": "owner"},
        {"holder": 5},
        {"holder": "../ann"},
        {"private": {"ed25519": "*"}},
        {"private": json.loads(private_content(other))["private"]},
        {"public": {"rsa": "AA=="}},
        {"more": 1},
    ):
        with pytest.raises(InputError, match=r"k\.key"):
            read_signing_key(write(tmp_path / "k.key", json.dumps({**whole, **changed}).encode()))


def test_one_key_and_one_holder_have_one_role(tmp_path):
    ann, eve = signing_key("trainer", "ann").signer, signing_key("privacy-officer", "eve").signer
    bob = signing_key("trainer", "bob").signer
    path = tmp_path / "trusted.toml"
    assert trusted(path, ann, eve, bob) == (ann, eve, bob)  # two may have the same role
    with pytest.raises(ConfigError, match=r"trusted.toml: expected each key once, found key 1 again as key 3$"):
        trusted(path, ann, eve, Signer("privacy-officer", "x", ann.key))
    with pytest.raises(ConfigError, match="each key once, found key 1 again as key 2"):
        trusted(path, ann, ann)
    again = Signer("auditor", "ANN", new_key(hybrid=False).public)
    with pytest.raises(
        ConfigError, match="one role for each holder, found the holder of key 1, trainer, as auditor in"
    ):
        trusted(path, ann, again)
    half = Signer("auditor", "max", PublicKey(new_key(hybrid=False).public.ed25519, bytes(1952)))
    with pytest.raises(ConfigError, match="each key once, found key 1 again as key 2"):
        trusted(path, half, Signer("trainer", "tom", PublicKey(new_key(hybrid=False).public.ed25519, bytes(1952))))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "keys = 5\n",
        "keys = [1]\n",
        'more = 1\n[[keys]]\nrole = "trainer"\n',
        '[[keys]]\nrole = "owner"\nholder = "a"\ned25519 = "AA=="\n',
        '[[keys]]\nrole = "trainer"\nholder = "a b"\ned25519 = "AA=="\n',
        '[[keys]]\nrole = "trainer"\ned25519 = "AA=="\n',
        '[[keys]]\nrole = "trainer"\nholder = "a"\ned25519 = "AA=="\n',
        '[[keys]]\nrole = "trainer"\nholder = "a"\ned25519 = 7\n',
        '[[keys]]\nrole = "trainer"\nholder = "a"\nrsa = "AA=="\n',
        f'[[keys]]\nrole = "trainer"\nholder = "a"\ned25519 = "{"A" * 43}="\n',  # y = 0, of low order
    ],
)
def test_what_is_no_file_of_trusted_keys_is_refused(tmp_path, content):
    (tmp_path / "trusted.toml").write_text(content)
    with pytest.raises((ConfigError, SignatureError), match=r"trusted.toml.*: expected"):
        read_trusted(tmp_path / "trusted.toml")
