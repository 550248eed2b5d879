"""Signing a run after its statement was shown, releasing it, and checking it without any key that reads."""

import hashlib
import io
import json
import shutil

import numpy as np
import pytest

from client_model.tflite.export_folder import RELEASE_SIGNATURES, VerificationError, verify_folder
from simulation.audit_trail import begin_on, recording
from simulation.commands import (
    check_privacy,
    export_model,
    keyboard_demo,
    personalise,
    publish,
    sign_off,
    type_sentences,
    verify_model,
)
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.run.forgotten import Request, note_pending, record_request
from simulation.run.release_signatures import Wanted, read_signatures
from simulation.storage.deletion_log import Deletion, record_deletion
from simulation.studies.sign_off import release, terminal_to_ask_on, verify_release
from simulation.studies.sign_off import sign_off as sign_a_run
from tests.simulation.storage.encrypted_run import DIGITS, TINY, key_file, played, write_messages
from tests.simulation.studies.signed_runs import export, make_run, signing_key
from typefleet.errors import ConfigError, InputError
from typefleet.sealed import envelope
from typefleet.signing.algorithms import SignatureError
from typefleet.signing.key_files import private_content, public_content

ROLES = ("trainer", "privacy-officer")


@pytest.fixture(scope="module")
def team():
    return {role: signing_key(role, name) for role, name in zip(ROLES, ("ann", "eve"), strict=True)}


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def seen(run):
    return hashlib.sha256((run / "privacy.md").read_bytes()).hexdigest()


def signed(run, team, *roles):
    for role in roles:
        sign_a_run(io.StringIO(), run, role, team[role], seen=seen(run))


def wanted(team):
    return Wanted(ROLES, tuple(key.signer for key in team.values()))


def test_who_signs_is_shown_what_and_answers(run, team):
    asked, out = [], io.StringIO()

    def answer(question):
        assert "to be signed" in out.getvalue()  # it was shown before
        asked.append(question)
        return "trainer"

    sign_a_run(out, run, "trainer", team["trainer"], asks=answer)
    assert asked == ["Type trainer to sign this, or anything else to leave it: "]
    said = " ".join(out.getvalue().split())
    for line in (
        "as trainer, by ann, with ed25519",
        "epsilon 4.441 at delta 1e-06, of this run",
        "audit none: nobody has attacked this model",
        "passed on, plain model/, privacy.json, privacy.md, privacy_head.json",
        "kept, plain config.toml, privacy_ledger.jsonl",
        "kept, encrypted nothing: the run has no storage key",
        "signed so far nobody",
    ):
        assert line in said, line


@pytest.mark.parametrize("answer", ["", "y", "yes", "Trainer", "privacy-officer"])
def test_another_answer_signs_nothing(run, team, answer):
    with pytest.raises(ConfigError, match="the answer: expected trainer, found another; nothing was signed"):
        sign_a_run(io.StringIO(), run, "trainer", team["trainer"], asks=lambda question: answer)
    assert not (run / RELEASE_SIGNATURES).exists()


def test_without_a_terminal_the_digest_of_the_page_says_that_it_was_read(run, team):
    with pytest.raises(
        ConfigError, match=r"expected --statement-seen with the SHA-256 of the privacy\.md that was read"
    ):
        sign_a_run(io.StringIO(), run, "trainer", team["trainer"])
    digest = seen(run)
    for other in ("", digest[:-1], hashlib.sha256((run / "privacy.json").read_bytes()).hexdigest()):
        with pytest.raises(ConfigError, match=r"--statement-seen: expected the SHA-256 of privacy\.md as it is now"):
            sign_a_run(io.StringIO(), run, "trainer", team["trainer"], seen=other)
    assert not (run / RELEASE_SIGNATURES).exists()
    sign_a_run(io.StringIO(), run, "trainer", team["trainer"], seen=digest.upper())
    assert read_signatures(run / RELEASE_SIGNATURES).by("trainer")


def test_nothing_is_signed_that_does_not_hold_or_by_a_key_of_another_role(run, team, tmp_path):
    with pytest.raises(ConfigError, match="--role: expected trainer, which the key is for, found privacy-officer"):
        sign_a_run(io.StringIO(), run, "privacy-officer", team["trainer"], seen=seen(run))
    text = (run / "privacy.json").read_text()
    (run / "privacy.json").write_text(text.replace('"max_participations": 3', '"max_participations": 1'))
    with pytest.raises(
        VerificationError, match="expected a privacy statement that holds for the weights, found privacy"
    ):
        signed(run, team, "trainer")
    (run / "privacy.json").write_text(text)
    (run / "model" / "keyboard.tflite").write_bytes(b"another..")
    with pytest.raises(InputError, match=r"keyboard\.tflite"):
        signed(run, team, "trainer")
    assert not (run / RELEASE_SIGNATURES).exists()


def test_a_release_needs_all_and_has_no_salt_and_nothing_of_others(run, team):
    beside = run / "model" / RELEASE_SIGNATURES
    with pytest.raises(VerificationError, match="expected signatures by trainer and privacy-officer, found none"):
        release(run, wanted(team))
    signed(run, team, "trainer")
    with pytest.raises(SignatureError, match="a signature by privacy-officer, found none"):
        release(run, wanted(team))
    signed(run, team, "privacy-officer")
    max_ = signing_key("auditor", "max")
    sign_a_run(io.StringIO(), run, "auditor", max_, seen=seen(run))
    assert not beside.exists()
    found = release(run, wanted(team))
    assert [one.signer.holder for one in found] == ["ann", "eve"]
    assert read_signatures(beside).salt is None and len(read_signatures(beside).each) == 2
    assert beside.stat().st_mode & 0o777 == 0o644 or beside.stat().st_mode & 0o044  # it is passed on
    assert "keyboard.tflite" in verify_folder(run / "model", None)
    with pytest.raises(ConfigError, match="the run's own signatures, found those of a release that was passed on"):
        shutil.copyfile(beside, run / RELEASE_SIGNATURES)
        signed(run, team, "trainer")


def test_a_manifest_that_is_signed_for_a_release_is_not_called_unsigned(run, team, keys, capsys):
    signed(run, team, *ROLES)
    release(run, wanted(team))
    assert verify_model.main([str(run), *flags_of(keys)]) == 0
    said = capsys.readouterr().out
    assert "\nall as in the manifest\nsigned: trainer, ann" in said
    assert verify_model.main([str(run)]) == 0
    said = capsys.readouterr().out
    assert "which has no signature of its own\nsignatures of a release were not checked" in said


def test_a_new_export_takes_an_earlier_release_back(run, team):
    signed(run, team, *ROLES)
    release(run, wanted(team))
    export(run, b"another")
    assert not (run / "model" / RELEASE_SIGNATURES).exists()
    with pytest.raises(SignatureError, match=r"one of another model/keyboard\.tflite"):
        release(run, wanted(team))
    export(run)  # the same bytes as were signed
    assert release(run, wanted(team))


def test_a_release_that_fails_leaves_none_that_looks_like_one(run, team):
    signed(run, team, *ROLES)
    release(run, wanted(team))
    (run / "audit.json").write_text("{}")
    with pytest.raises(SignatureError, match=r"one of another audit\.json$"):
        release(run, wanted(team))
    assert not (run / "model" / RELEASE_SIGNATURES).exists()


def test_a_run_without_its_own_signatures_is_not_taken_for_one_that_was_passed_on(run, team):
    signed(run, team, *ROLES)
    release(run, wanted(team))
    assert verify_release(run, run / "model", wanted(team))[1]
    (run / RELEASE_SIGNATURES).unlink()
    for gone in (None, "config.toml", "privacy.json"):  # the ledger is enough to tell
        if gone is not None:
            (run / gone).unlink()
        with pytest.raises(VerificationError, match=r"run/release_signatures\.json: expected the run's own signatures"):
            verify_release(run, run / "model", wanted(team))
    (run / "privacy_ledger.jsonl").unlink()
    assert not verify_release(run, run / "model", wanted(team))[1]  # files and page alone: nothing else is claimed
    assert not verify_release(run / "model", run / "model", wanted(team))[1]


def test_files_of_the_model_that_lie_in_the_run_itself_are_not_all_that_is_looked_at(run, team):
    signed(run, team, *ROLES)
    release(run, wanted(team))
    for path in (run / "model").iterdir():
        if path.name != RELEASE_SIGNATURES:
            shutil.copyfile(path, run / path.name)
    (run / "config.toml").write_text("seed = 7\n")
    with pytest.raises(VerificationError, match=r"run/manifest\.json: expected none, since .* model/, found one"):
        verify_release(run, run, wanted(team))


@pytest.mark.parametrize("head", ['{"lines": 0}', "{}", "a key more", "another trail"])
def test_the_head_of_a_signed_run_is_that_of_its_ledger(run, team, head):
    signed(run, team, *ROLES)
    path = run / "privacy_head.json"
    if not head.startswith("{"):
        more = {"more": 1} if head == "a key more" else {"audit_trail_hash": "0" * 64}
        head = json.dumps({**json.loads(path.read_text()), **more})
    path.write_text(head)
    with pytest.raises(VerificationError, match=r"privacy_head\.json: expected the head of the ledger, found another"):
        release(run, wanted(team))
    path.unlink()
    assert release(run, wanted(team))  # of an earlier version


def test_signers_are_told_that_a_policy_deleted_the_audit(run, team):
    record_deletion(run, Deletion("2026-12-24T00:00:00+00:00", "audit.json", "reports", 1, 16, 7.0, 24.0, False))
    out = io.StringIO()
    sign_a_run(out, run, "trainer", team["trainer"], seen=seen(run))
    assert "audit none any more: deleted by policy on 2026-12-24" in " ".join(out.getvalue().split())
    assert "nobody has attacked" not in out.getvalue()


@pytest.mark.parametrize("name", ["audit.json", "privacy.md", "config.toml", "privacy.json"])
def test_what_changes_before_the_answer_is_not_signed(run, team, name):
    def answer(question):
        path = run / name
        path.write_text(path.read_text() + " " if path.exists() else "{}")
        if name == "privacy.json":
            path.write_text(path.read_text().replace("this run", "that run"))
        return "trainer"

    with pytest.raises(VerificationError, match=f"after the answer, found another {name}; nothing was signed"):
        sign_a_run(io.StringIO(), run, "trainer", team["trainer"], asks=answer)
    assert not (run / RELEASE_SIGNATURES).exists()


def test_a_trail_may_go_on_before_the_answer(run, team):
    def answer(question):
        with recording("verify"):
            begin_on(run)
        return "trainer"

    assert sign_a_run(io.StringIO(), run, "trainer", team["trainer"], asks=answer).exists()


def test_a_model_that_is_to_forget_phones_is_neither_signed_nor_handed_on(run, team, keys):
    signed(run, team, *ROLES)
    release(run, wanted(team))
    record_request(run, Request.of(np.array([5], np.uint64)))
    refusal = "expected a run without the phones that it was told to forget, found one that has yet to go back"
    commands = [(export_model, []), (export_model, flags_of(keys)), (personalise, [])]
    for command, flags in [*commands, (publish, [str(keys / "out")])]:
        with pytest.raises(ConfigError, match=refusal):
            command.main([str(run), *flags])
    with pytest.raises(ConfigError, match=refusal):
        signed(run, team, "trainer")
    assert not (run / "model" / RELEASE_SIGNATURES).exists()  # of the earlier release


@pytest.mark.parametrize("command", [keyboard_demo, type_sentences])
def test_a_command_that_types_on_such_a_model_says_so(run, command, capsys):
    record_request(run, Request.of(np.array([5], np.uint64)))
    with pytest.raises(ConfigError, match=r"keyboard\.tflite"):  # which is none that types
        command.main([str(run)])
    assert f"note: {run} was told to forget phones" in capsys.readouterr().err


def test_that_such_a_model_has_yet_to_forget_is_said_where_it_is_only_looked_at(run):
    out = io.StringIO()
    note_pending(out, run)
    assert out.getvalue() == ""
    record_request(run, Request.of(np.array([5], np.uint64)))
    note_pending(out, run)
    assert out.getvalue().startswith(f"note: {run} was told to forget phones, and is one that has yet to go back")


@pytest.fixture
def keys(team, tmp_path):
    """Their files, and that of whom is trusted."""
    for role, key in team.items():
        path = tmp_path / f"{role}.key"
        path.write_bytes(private_content(key))
        path.chmod(0o600)
    (tmp_path / "trusted.toml").write_bytes(b"".join(public_content(key.signer) for key in team.values()))
    return tmp_path


def flags_of(keys, *more):
    return ["--release.signatures", *ROLES, "--release.keys", str(keys / "trusted.toml"), *more]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--release.signatures", "trainer"], "--release.keys: expected the file of public keys"),
        (["--release.hybrid"], "--release.signatures: expected the roles that have to have signed, found none"),
        (
            ["--release.signatures", "trainer", "trainer", "--release.keys", "x"],
            "expected each role once, found one twice",
        ),
    ],
)
@pytest.mark.parametrize("command", [export_model, verify_model])
def test_flags_that_ask_for_half_are_refused(run, command, flags, message):
    with pytest.raises(ConfigError, match=message):
        command.main([str(run), *flags])


@pytest.mark.parametrize("flag", ["--sign", "--require"])
def test_what_changes_the_files_goes_before_the_signatures(run, keys, flag):
    with pytest.raises(ConfigError, match=f"{flag}: expected in an export before the signatures"):
        export_model.main([str(run), flag, str(keys / "trusted.toml"), *flags_of(keys)])


@pytest.mark.slow
def test_an_auditor_checks_an_encrypted_run_that_he_cannot_read(keys, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(envelope, "_OPENED", {})
    run, key = tmp_path / "run", key_file(tmp_path / "storage.key", DIGITS)
    tiny = [flag for flag in TINY if flag != "--engine.no-export"]
    paths = ("--data.path", write_messages(tmp_path / "m.jsonl"), "--data.cache-dir", tmp_path / "cache")
    played(*tiny, *paths, "--output-dir", run, "--storage.key", key)
    key.unlink()  # who signs and who checks has none
    monkeypatch.setattr(envelope, "_OPENED", {})
    for role in ROLES:
        own = ("--role", role, "--key", str(keys / f"{role}.key"), "--statement-seen", seen(run))
        sign_off.main([str(run), *own])
    capsys.readouterr()
    export_model.main([str(run), *flags_of(keys)])
    assert "signed: privacy-officer, eve, " in capsys.readouterr().out
    assert check_privacy.main([str(run)]) == 0
    assert "release_signatures.json" not in capsys.readouterr().out  # nothing is to be said of it
    assert verify_model.main([str(run), *flags_of(keys)]) == 0
    assert "so are statement, page, ledger, settings, audit and trail of the run" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"storage\.key: expected"):
        load_newest_checkpoint(run / "checkpoints")
    although = ("modelled-deployment", "vocabulary")
    publish.main([str(run), str(tmp_path / "with"), "--evaluation", "--although", *although])
    publish.main([str(run), str(tmp_path / "without"), "--although", *although])
    assert "model/release_signatures.json is of other files than the published ones" in capsys.readouterr().out
    assert verify_model.main([str(tmp_path / "with"), *flags_of(keys)]) == 0
    assert "all files of the model as they were signed\n" in capsys.readouterr().out
    with pytest.raises(SignatureError, match=r"without/model/release_signatures\.json: expected signatures by trainer"):
        verify_model.main([str(tmp_path / "without"), *flags_of(keys)])


def test_who_ends_the_input_in_the_place_of_an_answer_has_signed_nothing(monkeypatch, run, team):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    with pytest.raises(ConfigError, match="another; nothing was signed"):
        sign_a_run(io.StringIO(), run, "trainer", team["trainer"], asks=terminal_to_ask_on())
    assert not (run / RELEASE_SIGNATURES).exists()
