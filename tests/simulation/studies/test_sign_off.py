"""Signing a run after its statement was shown, releasing it, and checking it without any key that reads."""

import hashlib
import io
import shutil

import pytest

from client_model.tflite.export_folder import RELEASE_SIGNATURES, VerificationError, verify_folder
from simulation.commands import check_privacy, export_model, publish, sign_off, verify_model
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.run.release_signatures import Wanted, read_signatures
from simulation.studies.sign_off import release
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
    assert "so are statement, ledger, settings, audit and trail of the run" in capsys.readouterr().out
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
