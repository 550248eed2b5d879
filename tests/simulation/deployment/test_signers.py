"""Keys of people who sign releases, made beside those of a deployment."""

import re
import shlex
import stat
from pathlib import Path

import pytest

from simulation.commands import make_keys
from simulation.deployment.keys import Signers
from simulation.deployment.keys import make_keys as make
from typefleet.errors import ConfigError
from typefleet.signing import algorithms
from typefleet.signing.algorithms import has_ml_dsa
from typefleet.signing.key_files import read_signing_key, read_trusted

HOW_TO = Path(__file__).parents[3] / "docs/how-to/sign-off.md"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_signer_has_a_key_of_their_own_and_the_public_ones_are_one_file(tmp_path, capsys):
    folder = tmp_path / "keys"
    make_keys.main([str(folder), "--signers", "trainer:ann", "privacy-officer:eve"])
    shown = capsys.readouterr().out
    assert "ann: trainer, ed25519" in shown and ("and ml-dsa-65" in shown) == has_ml_dsa()
    make_keys.main([str(folder), "--signers", "auditor:max"])
    inside = folder / "signers"
    assert sorted(path.name for path in inside.iterdir()) == [
        f"{n}.{e}" for n in ("ann", "eve", "max") for e in ("key", "pub")
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in inside.glob("*.key")} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in inside.glob("*.pub")} == {0o644}
    assert stat.S_IMODE(inside.stat().st_mode) == 0o700
    trusted = tmp_path / "trusted.toml"
    trusted.write_bytes(b"".join(path.read_bytes() for path in sorted(inside.glob("*.pub"))))
    signers = read_trusted(trusted)
    assert [(one.role, one.holder) for one in signers] == [
        ("trainer", "ann"),
        ("privacy-officer", "eve"),
        ("auditor", "max"),
    ]
    assert [read_signing_key(inside / f"{one.holder}.key").signer for one in signers] == list(signers)


def test_the_how_to_page_names_the_keys_that_its_own_commands_make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = HOW_TO.read_text()
    made = re.findall(r"^python scripts/make_keys\.py (.+)$", page, re.MULTILINE)
    assert len(made) == 2
    for line in made:
        make_keys.main(shlex.split(line.removesuffix(" --passphrase passphrase:")))
    (trusted,) = re.findall(r"^cat (.+) > trusted\.toml$", page, re.MULTILINE)
    Path("trusted.toml").write_bytes(b"".join(Path(one).read_bytes() for one in trusted.split()))
    trusts = {one.role: one.holder for one in read_trusted(Path("trusted.toml"))}
    signs = dict(re.findall(r"sign_off\.py RUN_DIR --role (\S+) --key (\S+)$", page, re.MULTILINE))
    assert {role: read_signing_key(Path(key)).signer.holder for role, key in signs.items()} == trusts


@pytest.mark.parametrize(
    ("signers", "message"),
    [
        (
            ("ann",),
            "--signers: expected ROLE:NAME, with a role of trainer, privacy-officer, auditor, found another text",
        ),
        (("owner:ann",), "--signers: expected ROLE:NAME"),
        (("trainer:",), "--signers: expected a name of at most 64 letters"),
        (("trainer:../ann",), "--signers: expected a name of at most 64 letters"),
        (
            ("trainer:ann", "auditor:ANN"),
            "--signers: expected each name once, since nobody has two roles, found one twice",
        ),
        (("trainer:eve",), r"eve\.key: expected no such file, since keys are never written over, found one"),
    ],
)
def test_what_is_refused_writes_nothing(tmp_path, signers, message):
    make(tmp_path / "keys", [], [], 1, signers=Signers(("privacy-officer:eve",)))
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=message):
        make(tmp_path / "keys", [], [], 1, signers=Signers(("trainer:tom", *signers)))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("flag", [["--hybrid"], ["--passphrase", "passphrase:X"]])
def test_flags_of_signers_need_signers(tmp_path, flag):
    with pytest.raises(ConfigError, match=f"{flag[0]}: expected only with --signers, found it without"):
        make_keys.main([str(tmp_path / "keys"), "--nodes", "berlin", *flag])


def test_hybrid_keys_are_not_made_by_halves(tmp_path, monkeypatch):
    monkeypatch.setattr(algorithms, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="expected the package pqcrypto"):
        make(tmp_path / "keys", [], [], 1, signers=Signers(("trainer:ann",), hybrid=True))
    assert not (tmp_path / "keys").exists()
    make(tmp_path / "keys", [], [], 1, signers=Signers(("trainer:ann",)))
    assert read_signing_key(tmp_path / "keys/signers/ann.key").signer.key.algorithms == ("ed25519",)
