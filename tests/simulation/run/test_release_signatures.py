"""A release that is signed by role, and everybody who would like it to be signed without that."""

import base64
import hashlib
import hmac
import json
import shutil
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from client_model.tflite.export_folder import RELEASE_SIGNATURES
from simulation.audit_trail import TRAIL, begin_on, recording
from simulation.run.ledger_head import write_head
from simulation.run.release_document import ends_of_trail, parsed, text_of, things_of, things_of_model
from simulation.run.release_signatures import (
    Wanted,
    new_signatures,
    read_signatures,
    require_signatures,
    with_signature,
    write_signatures,
)
from simulation.storage.deletion_log import LOG, Deletion, record_deletion
from tests.simulation.studies.signed_runs import WEIGHTS, export, make_run, signing_key
from tests.typefleet.signing.test_algorithms import BOTH, needs_ml_dsa
from typefleet.errors import ConfigError, InputError
from typefleet.signing import algorithms
from typefleet.signing.algorithms import SignatureError, sign
from typefleet.signing.key_files import Signer, SigningKey

NOW = datetime(2026, 11, 30, 13, 5, tzinfo=UTC)
ROLES = ("trainer", "privacy-officer")


class Team(NamedTuple):
    ann: SigningKey
    eve: SigningKey

    @property
    def wanted(self):
        return Wanted(ROLES, (self.ann.signer, self.eve.signer))


@pytest.fixture(scope="module")
def team():
    return Team(signing_key("trainer", "ann"), signing_key("privacy-officer", "eve"))


def signed(root, *keys, signatures=None):
    """Sign whatever is there now; returns the path of the signatures."""
    found = signatures or new_signatures()
    for key in keys:
        text = text_of(key.signer, things_of(root, found.salt), NOW)
        found = with_signature(found, text, sign(key.private, text.encode()))
    write_signatures(root / RELEASE_SIGNATURES, found)
    return root / RELEASE_SIGNATURES


def verified(root, wanted):
    path = root / RELEASE_SIGNATURES
    salt = read_signatures(path).salt if path.exists() else bytes(32)
    return require_signatures(path, wanted, things_of(root, salt), ends_of_trail(root))


@pytest.fixture(scope="module")
def before(team, tmp_path_factory):
    root = make_run(tmp_path_factory.mktemp("signed") / "run")
    (root / "audit.json").write_text('{"attacks": []}\n')
    signed(root, *team)
    return root


@pytest.fixture
def run(before, tmp_path):
    return shutil.copytree(before, tmp_path / "run")


def test_what_two_have_signed_holds_for_them_and_says_when(run, team):
    found = verified(run, team.wanted)
    assert [(one.signer, one.signed) for one in found] == [
        (team.ann.signer, "2026-11-30T13:05:00Z"),
        (team.eve.signer, "2026-11-30T13:05:00Z"),
    ]
    assert all(one.algorithms == ("ed25519",) and not one.unchecked for one in found)
    assert (run / RELEASE_SIGNATURES).stat().st_mode & 0o777 == 0o600  # the salt is in it


def rewritten(name, old, new):
    def change(run):
        content = (run / name).read_bytes()
        assert old in content
        (run / name).write_bytes(content.replace(old, new, 1))

    return change


def relined(run):
    """A ledger that is a line shorter, with the head that it has."""
    path = run / "privacy_ledger.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    write_head(run)


def other_weights(run):
    """Other numbers in a file, manifest and statement that fit."""
    other = make_run(run.parent / "other", np.ones(6, np.float32))
    shutil.copyfile(other / "privacy.json", run / "privacy.json")
    shutil.copytree(other / "model", run / "model", dirs_exist_ok=True)


CHANGED = {
    "statement": (rewritten("privacy.json", b"this run", b"that run"), "privacy.json$"),
    "page": (rewritten("privacy.md", b"None", b"Everything"), "privacy.md$"),
    "ledger": (relined, "privacy_ledger.jsonl$"),
    "settings": (rewritten("config.toml", b"5", b"6"), "config.toml$"),
    "settings, by a blank": (rewritten("config.toml", b"\n", b" \n"), "config.toml$"),
    "audit": (rewritten("audit.json", b"[]", b"[ ]"), "audit.json$"),
    "no audit any more": (lambda run: (run / "audit.json").unlink(), "audit.json$"),
    "a file for phones": (lambda run: export(run, b"another"), "model/keyboard.tflite, model/manifest.json$"),
    "a file more": (
        lambda run: ((run / "model" / "keyboard_fp16.tflite").write_bytes(b"x"), list_again(run)),
        "model/manifest.json, model/keyboard_fp16.tflite$",
    ),
    "the manifest": (rewritten("model/manifest.json", b"  ", b"   "), "model/manifest.json$"),
    "weights": (other_weights, "weights, privacy.json, model/manifest.json, model/weights.npz$"),
}


def list_again(run):
    from client_model.tflite.export_folder import place_files

    (run / "empty").mkdir()
    place_files(run / "empty", run / "model", {}, ("keyboard_fp16.tflite",))


@pytest.mark.parametrize("name", CHANGED)
def test_what_was_changed_since_is_said_in_one_line(run, team, name):
    change, what = CHANGED[name]
    change(run)
    with pytest.raises(
        SignatureError, match=f"json: trainer: expected a signature of what is here, found one of another {what}"
    ):
        verified(run, team.wanted)
    signed(run, *team, signatures=read_signatures(run / RELEASE_SIGNATURES))
    assert len(verified(run, team.wanted)) == 2  # of what is there now, and in the place of the former ones


def test_an_audit_that_was_made_after_a_run_was_signed_without_is_not_covered(run, team):
    (run / "audit.json").unlink()
    signed(run, *team)
    assert verified(run, team.wanted)
    (run / "audit.json").write_text("{}")
    with pytest.raises(SignatureError, match=r"found one of another audit.json$"):
        verified(run, team.wanted)


def test_an_audit_that_a_policy_has_deleted_since_is_passed_over_and_one_in_its_place_is_not(run, team):
    (run / "audit.json").unlink()
    with pytest.raises(SignatureError, match=r"another audit.json$"):
        verified(run, team.wanted)
    record_deletion(run, Deletion("2026-12-24T00:00:00+00:00", "audit.json", "reports", 1, 16, 7.0, 24.0, False))
    assert verified(run, team.wanted)
    (run / "audit.json").write_text("{}")
    with pytest.raises(SignatureError, match=r"another audit.json$"):
        verified(run, team.wanted)


def test_that_a_policy_has_deleted_an_audit_is_signed(run, team):
    (run / "audit.json").unlink()
    record_deletion(run, Deletion("2026-12-24T00:00:00+00:00", "audit.json", "reports", 1, 16, 7.0, 24.0, False))
    text = read_signatures(signed(run, *team)).by("trainer").text
    assert "\naudit deleted 2026-12-24\n" in text and verified(run, team.wanted)
    log = (run / LOG).read_bytes()
    (run / LOG).unlink()  # as if there had been none
    with pytest.raises(SignatureError, match=r"another audit.json$"):
        verified(run, team.wanted)
    (run / LOG).write_bytes(log)
    (run / "audit.json").write_text("{}")
    with pytest.raises(SignatureError, match=r"another audit.json$"):
        verified(run, team.wanted)


def noted(run, command):
    """A command in the audit trail of a run."""
    with recording(command):
        begin_on(run)


def test_a_trail_goes_on_after_it_was_signed_and_loses_no_line_that_was_there_before(run, team):
    assert verified(run, team.wanted)  # of a run without one
    noted(run, "audit")
    assert verified(run, team.wanted)  # which began since
    signed(run, *team)
    path = run / TRAIL
    at_signing = path.read_text()
    noted(run, "verify")
    assert verified(run, team.wanted)
    gone_on = path.read_text()
    for shorter in (at_signing.splitlines(keepends=True)[0], ""):
        path.write_text(shorter)
        with pytest.raises(SignatureError, match=r"trainer: .* found one of another audit_trail\.jsonl$"):
            verified(run, team.wanted)
    path.unlink()
    noted(run, "audit")  # one that somebody began anew
    noted(run, "verify")
    with pytest.raises(SignatureError, match=r"found one of another audit_trail\.jsonl$"):
        verified(run, team.wanted)
    path.write_text(gone_on.replace("audit", "forge", 1))
    with pytest.raises(ConfigError, match=r"audit_trail\.jsonl:1: expected"):
        verified(run, team.wanted)
    path.write_text(gone_on)
    assert verified(run, team.wanted)


def edited(run, change):
    path = run / RELEASE_SIGNATURES
    content = json.loads(path.read_text())
    change(content["signatures"])
    path.write_text(json.dumps(content))


def swapped(run, team):
    """The officer's signature of another run of theirs."""
    other = make_run(run.parent / "other", np.ones(6, np.float32))
    own = read_signatures(signed(other, *team)).by("privacy-officer")
    edited(run, lambda some: some[1].update(text=own.text, ed25519=base64.b64encode(own.signatures[0][1]).decode()))


def of_role(role, key):
    return SigningKey(Signer(role, key.signer.holder, key.signer.key), key.private)


REFUSED = {
    "nobody": (
        lambda run, team: (run / RELEASE_SIGNATURES).unlink(),
        "signatures by trainer and privacy-officer, found none$",
    ),
    "the trainer alone": (lambda run, team: signed(run, team.ann), "a signature by privacy-officer, found none$"),
    "the officer alone": (
        lambda run, team: edited(run, lambda some: some.pop(0)),
        "a signature by trainer, found none$",
    ),
    "the trainer as both": (
        lambda run, team: signed(run, team.ann, of_role("privacy-officer", team.ann)),
        "privacy-officer: expected a signature by a key that is trusted for privacy-officer, found one of trainer$",
    ),
    "a key of nobody": (
        lambda run, team: signed(run, team.ann, signing_key("privacy-officer", "eve")),
        "privacy-officer: expected .* trusted for privacy-officer, found one by another key$",
    ),
    "another run's": (
        swapped,
        "privacy-officer: .* found one of another weights, privacy.json, config.toml, audit.json, model/",
    ),
    "a signature of the other role": (
        lambda run, team: edited(run, lambda some: some[1].update(ed25519=some[0]["ed25519"])),
        "privacy-officer: expected a signature by ed25519 that this key made of this text, found another$",
    ),
    "a text of the other role": (
        lambda run, team: edited(run, lambda some: some[1].update(text=some[0]["text"])),
        "one signature for each role, found two for one$",
    ),
    "a role in the text": (
        lambda run, team: edited(run, lambda some: some[0].update(text=some[0]["text"].replace("trainer", "auditor"))),
        "a signature by trainer, found none$",
    ),
    "a time in the text": (
        lambda run, team: edited(run, lambda some: some[0].update(text=some[0]["text"].replace("13:05", "13:06"))),
        "trainer: expected a signature by ed25519 that this key made of this text, found another$",
    ),
    "no signature": (
        lambda run, team: edited(run, lambda some: some[0].update(ed25519=None)),
        "trainer: expected a signature by ed25519 as well, which this key makes, found none$",
    ),
    "half a signature": (
        lambda run, team: edited(run, lambda some: some[0].update(ed25519=some[0]["ed25519"][:40])),
        "signature 1: expected 64 bytes of a signature by ed25519, found 30$",
    ),
    "no base64": (
        lambda run, team: edited(run, lambda some: some[0].update(ed25519="*")),
        "signature 1: expected a signature in base64, found something else$",
    ),
    "another entry": (lambda run, team: edited(run, lambda some: some[0].update(more=1)), "found another entry$"),
    "another version": (
        lambda run, team: edited(
            run, lambda some: some[0].update(text=some[0]["text"].replace("release 1", "release 2"))
        ),
        "found a damaged one, or one of another version$",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_release_without_both_signatures_is_refused(run, team, name):
    change, what = REFUSED[name]
    change(run, team)
    with pytest.raises(InputError, match=f"{RELEASE_SIGNATURES}: .*{what}"):
        verified(run, team.wanted)


def test_a_file_that_was_cut_anywhere_is_one_line(run, team):
    path = run / RELEASE_SIGNATURES
    content = path.read_bytes()
    for cut in range(0, len(content) - 2, 97):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"release_signatures.json"):
            verified(run, team.wanted)


def test_a_text_of_another_form_is_no_text_of_a_release(run, team):
    text = read_signatures(run / RELEASE_SIGNATURES).by("trainer").text
    assert text_of(team.ann.signer, dict(parsed(text, "t").things), NOW) == text
    lines = text.splitlines(keepends=True)
    others = ["".join(lines[:place] + lines[place + 1 :]) for place in range(5)]  # what each has to say
    others += [
        text[:-1],
        text + "\n",
        text + lines[-1],
        text.replace("\n", "\r\n"),
        text.replace("role ", "role  "),
        "",
    ]
    others += ["".join([*lines[:2], lines[3], lines[2], *lines[4:]]), text + "file ü 1\n", text + "role trainer\n"]
    others += [text.replace("ed25519", "rsa", 1), text.replace("13:05", "25:05")]
    for other in others:
        with pytest.raises(ConfigError, match="t: expected the text of a signed release, found a damaged one"):
            parsed(other, "t")


def test_no_seed_can_be_tried_with_what_is_passed_on(run, team, tmp_path):
    """Whoever has all of the text, and guesses the settings, still lacks the salt."""
    found = read_signatures(run / RELEASE_SIGNATURES)
    write_signatures(tmp_path / "out.json", found, with_salt=False)
    passed_on = read_signatures(tmp_path / "out.json")
    assert passed_on.salt is None and passed_on.each == found.each
    assert base64.b64encode(found.salt) not in (tmp_path / "out.json").read_bytes()
    again = things_of(run, bytes(32))
    said = dict(found.by("trainer").says.things)
    assert {name for name in said if said[name] != again[name]} == {"config", "audit"}
    assert require_signatures(tmp_path / "out.json", team.wanted, things_of_model(run / "model"))


def test_who_has_the_files_alone_verifies_the_files_alone(run, team):
    (run / "privacy.json").unlink()
    path = run / RELEASE_SIGNATURES
    assert require_signatures(path, team.wanted, things_of_model(run / "model"))
    export(run, b"another")
    with pytest.raises(SignatureError, match=r"one of another model/keyboard.tflite, model/manifest.json$"):
        require_signatures(path, team.wanted, things_of_model(run / "model"))


def test_a_run_without_files_for_phones_has_nothing_to_sign(run):
    (run / "model" / "keyboard.tflite").unlink()
    (run / "model" / "manifest.json").unlink()
    (run / "empty").mkdir()
    from client_model.tflite.export_folder import place_files

    place_files(run / "empty", run / "model", {}, ("weights.npz", "vocab.txt"))
    for _ in range(2):
        with pytest.raises(
            ConfigError, match=r"manifest.json: expected exported files for phones, .*, found none; .*export"
        ):
            things_of(run, bytes(32))
        (run / "model" / "manifest.json").unlink(missing_ok=True)


@pytest.mark.parametrize("hybrid", BOTH)
def test_who_wants_both_algorithms_gets_both_or_a_refusal(run, hybrid):
    team = Team(signing_key("trainer", "ann", hybrid=hybrid), signing_key("privacy-officer", "eve", hybrid=hybrid))
    signed(run, *team)
    wanted = Wanted(ROLES, team.wanted.trusted, hybrid=True)
    if hybrid:
        assert all(one.algorithms == ("ed25519", "ml-dsa-65") for one in verified(run, wanted))
        return
    assert verified(run, team.wanted)
    with pytest.raises(SignatureError, match="a signature by ed25519 and ml-dsa-65, found one by ed25519 alone"):
        verified(run, wanted)


@needs_ml_dsa
def test_half_of_a_hybrid_signature_is_none(run, monkeypatch):
    """Whoever can forge Ed25519 takes ML-DSA-65 away: from the file, from the text, or from the key."""
    ann, eve = (signing_key(role, name, hybrid=True) for role, name in zip(ROLES, ("ann", "eve"), strict=True))
    wanted = Wanted(ROLES, (ann.signer, eve.signer))
    path = signed(run, ann, eve)
    assert verified(run, wanted)
    whole = path.read_bytes()
    edited(run, lambda some: some[0].update({"ml-dsa-65": None}))
    with pytest.raises(SignatureError, match=r"trainer: expected a signature by ml-dsa-65 as well.*found none"):
        verified(run, wanted)
    half = signing_key("trainer", "ann")
    half = SigningKey(Signer("trainer", "ann", type(ann.signer.key)(ann.signer.key.ed25519)), half.private)
    forged = type(ann.private)(half.signer.key, ann.private.ed25519)  # by who found the key of Ed25519
    found = read_signatures(path)
    text = text_of(ann.signer, things_of(run, found.salt), NOW).replace("ed25519 ml-dsa-65", "ed25519")
    write_signatures(path, with_signature(found, text, sign(forged, text.encode())))
    with pytest.raises(
        SignatureError, match="trainer: expected a text that says it is signed by ed25519 and ml-dsa-65"
    ):
        verified(run, wanted)
    text = text_of(half.signer, things_of(run, found.salt), NOW)
    write_signatures(path, with_signature(found, text, sign(forged, text.encode())))
    with pytest.raises(SignatureError, match="trusted for trainer, found one by another key"):
        verified(run, wanted)
    path.write_bytes(whole)
    monkeypatch.setattr(algorithms, "find_spec", lambda name: None)
    assert {one.unchecked for one in verified(run, wanted)} == {("ml-dsa-65",)}
    with pytest.raises(
        SignatureError, match=r"trainer: expected the package pqcrypto.*to verify ml-dsa-65, found none"
    ):
        verified(run, Wanted(ROLES, wanted.trusted, hybrid=True))


@pytest.mark.parametrize("hybrid", BOTH)
def test_an_app_verifies_it_by_what_the_documentation_says(run, hybrid):
    """With hashes and the packages of the algorithms alone, as docs/device.md has it."""
    key = signing_key("trainer", "ann", hybrid=hybrid)
    content = json.loads(signed(run, key).read_text())
    (entry,) = content["signatures"]
    text = entry["text"].encode()
    lines = text.decode().split("\n")
    assert lines[:2] == ["typefleet release 1", "role trainer"] and lines[-1] == ""
    public = key.signer.key
    assert lines[2] == f"key {hashlib.sha256(public.ed25519 + (public.ml_dsa_65 or b'')).hexdigest()}"
    assert lines[3] == ("algorithms ed25519 ml-dsa-65" if hybrid else "algorithms ed25519")
    Ed25519PublicKey.from_public_bytes(public.ed25519).verify(base64.b64decode(entry["ed25519"]), text)
    if hybrid:
        from pqcrypto.sign import ml_dsa_65

        ml_dsa_65.verify(public.ml_dsa_65, text, base64.b64decode(entry["ml-dsa-65"]))
    statement = json.dumps(json.loads((run / "privacy.json").read_text()), sort_keys=True, separators=(",", ":"))
    ledger = (run / "privacy_ledger.jsonl").read_text().splitlines()
    salt, (config, audit) = base64.b64decode(content["salt"]), ((run / n) for n in ("config.toml", "audit.json"))
    keyed = [
        hmac.digest(salt, f"{path.name}\0".encode() + path.read_bytes(), "sha256").hex() for path in (config, audit)
    ]
    assert lines[5:13] == [
        f"weights {hashlib.sha256(WEIGHTS.tobytes()).hexdigest()}",
        f"statement {hashlib.sha256(statement.encode()).hexdigest()}",
        f"page {hashlib.sha256((run / 'privacy.md').read_bytes()).hexdigest()}",
        f"ledger-lines {len(ledger)}",
        f"ledger-head {json.loads(ledger[-1])['hash']}",
        f"config {keyed[0]}",
        f"audit {keyed[1]}",
        "trail none",
    ]
    files = sorted((run / "model").iterdir())
    assert lines[13:-1] == [f"file {one.name} {hashlib.sha256(one.read_bytes()).hexdigest()}" for one in files]
