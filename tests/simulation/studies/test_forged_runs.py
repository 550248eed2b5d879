"""Forged run directories: each is refused, and the place of the lie is named."""

import io
import json
import re

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from simulation.studies.privacy_check import check_statement
from tests.simulation.studies.forged_runs import (
    FORGERIES,
    OWN_KEY,
    all_of,
    chain,
    copy_run,
    invented,
    restate,
    signed_by,
    signed_manifest,
    without,
)
from typefleet.errors import InputError

pytestmark = pytest.mark.slow  # the one run that all are made of


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "public.pem"
    path.write_bytes(OWN_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


@pytest.fixture
def run(straight, tmp_path):
    return copy_run(straight[0], tmp_path / "run")


def check(folder, key=None, as_json=False):
    """(exit code, what was printed, what was said of it)."""
    out, errors = io.StringIO(), io.StringIO()
    try:
        agrees = check_statement(folder, out, errors, public_key=key, as_json=as_json)
    except InputError as error:
        return 2, out.getvalue(), f"{error}\n"
    return int(not agrees), out.getvalue(), errors.getvalue()


def test_there_are_at_least_sixty():
    assert len(FORGERIES) >= 60 and len({one.name for one in FORGERIES}) == len(FORGERIES)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda one: one.name)
def test_a_forged_run_is_refused_by_the_place(forgery, run, key):
    forgery.forge(run)
    code, _, said = check(run, key if forgery.with_key else None)
    assert code in (1, 2) and re.search(forgery.place, said), said
    assert code == 1 or said.count("\n") == 1


def test_the_run_as_it_was_is_not(run, key):
    code, printed, said = check(run)
    assert (code, said) == (0, "") and "privacy.json agrees" in printed and "does not agree" not in printed
    assert "told by the run" in printed and "not checkable" in printed
    signed_by(OWN_KEY)(run)
    code, printed, said = check(run, key)
    assert (code, said) == (0, "") and "signed" in printed
    _, printed, _ = check(run, key, as_json=True)
    unsigned = [line["place"] for line in json.loads(printed)["lines"] if line["standing"] == "not checkable"]
    assert unsigned and all(place.startswith("model/") for place in unsigned)  # which the manifest's signature is of
    code, printed, said = check(run)
    assert code == 0 and "give --public-key" in printed


def test_a_signed_manifest_covers_the_ledger(run, key):
    signed_manifest(OWN_KEY)(run)
    code, printed, _ = check(run, key)
    assert code == 0 and "not checkable" not in printed
    manifest = json.loads((run / "model" / "manifest.json").read_text())
    assert not {"config_sha256", "vocabulary_sha256"} & manifest["weights.npz"]["ledger"].keys()
    (run / "privacy_head.json").unlink()
    assert check(run, key)[0] == 0
    chain(invented)(run)
    code, _, said = check(run, key)
    assert code == 1 and "manifest.json: another last_hash" in said


def test_what_is_printed_for_programs_has_a_standing_for_each_line(run):
    code, printed, said = check(run, as_json=True)
    content = json.loads(printed)
    assert (code, said) == (0, "") and content["agrees"] is True and content["releases"] == 3
    stands = {line["place"]: line["standing"] for line in content["lines"]}
    stated = json.loads((run / "privacy.json").read_text())
    assert all(any(place.startswith(f"privacy.json: {key}") for place in stands) for key in stated)
    assert stands["privacy.json: spent.epsilon"] == "recomputed" and stands["privacy.json: date"] == "not checkable"


def test_whoever_makes_all_of_it_anew_is_told_only_by_a_signature(run, key):
    """Said and not hidden: without a key, another's labels in every file that has them are as good as the true ones."""
    all_of(chain(invented), restate, without("participation.json", "rounds.jsonl", "summary.json"))(run)
    code, printed, _ = check(run)
    assert code == 0 and "participation.json" in printed and "not checkable" in printed
    code, _, said = check(run, key)
    assert code == 1 and "nothing here is signed by this key" in said


def test_a_statement_with_the_run_still_going_is_compared_with_its_own_release(run):
    """The run was stopped after a line was written: a note, and no disagreement."""
    for name in ("participation.json", "privacy_head.json", "model/weights.npz", "model/manifest.json"):
        (run / name).unlink()
    code, printed, _ = check(run)
    assert code == 0 and "weights.npz is not there" in printed
