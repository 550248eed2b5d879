"""What an assessment counts, and in which words: on runs that are made in milliseconds."""

import hashlib
import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from client_model.text.personal.kinds import WORDS, Kind
from server_strategy.privacy.ledger_lines import chained, encode_labels
from simulation.audit_trail import recording
from simulation.studies.assessment.assessment import assess
from simulation.studies.assessment.flows import as_text, stations
from simulation.studies.assessment.gathering import STATEMENT, SUMMARY, gather
from simulation.studies.assessment.markdown import page
from simulation.studies.assessment.parts import THIS_MACHINE, State
from simulation.studies.assessment.processing import categories, held_out_phones, storage, subjects
from simulation.studies.assessment.records import SIGNERS, Forgetting, Released, Signing, Trail, read_released
from simulation.studies.assessment.risks import residual_risks
from simulation.studies.assessment.safeguards import safeguards
from simulation.studies.assessment.scale import severity_of_text
from simulation.studies.assessment.showing import page_of
from simulation.studies.assessment.words import figure_shown
from simulation.studies.retention import CACHES, CATEGORIES
from simulation.studies.sign_off import sign_off
from tests.simulation.studies.signed_runs import make_run, signing_key
from typefleet.signing.key_files import public_content

IBAN, BIRTH = WORDS[Kind.IBAN], WORDS[Kind.BIRTH_DATE]
SPENT = {"releases": 1, "max_participations": 1, "min_separation_rounds": None}
SPENT |= {"zcdp_rho": None, "epsilon": None, "delta": None}


@pytest.fixture
def root(tmp_path):
    return make_run(tmp_path / "run")


def rated(run):
    return {one.id: one for one in residual_risks(run, safeguards(run), storage(run))}


def release(number, reports, *, follows, attempt=0, weights="a"):
    labels = encode_labels(np.arange(reports, dtype=np.uint64) + 100 * number)
    of_it = {"round": number, "reports": reports, "participants": labels, "spent": SPENT, "epsilon_is_of": "this run"}
    bound = {"sum_digest": "0" * 64, "weights_sha256": weights * 64, "follows": follows, "attempt": attempt}
    return {"release": number, **of_it, **bound}


def test_releases_of_all_lives_of_a_run_are_counted(tmp_path):
    back = {"release": 1, "forgotten": 2, "round": 1, "follows": 1, "record_lines": 1, "record_sha256": "0" * 64}
    lines = [{"plan": {}, "release": 0}, release(1, 10, follows=0), release(2, 9, follows=1), back]
    lines.append(release(2, 8, follows=1, attempt=1, weights="b"))
    previous, path = "", tmp_path / "privacy_ledger.jsonl"
    with path.open("w") as file:
        for line in lines:
            whole = chained(line, previous)
            file.write(json.dumps(whole, sort_keys=True) + "\n")
            previous = whole["hash"]
    assert read_released(tmp_path) == Released(releases=3, updates=27)
    assert read_released(tmp_path / "nowhere") is None


def test_the_flow_and_the_record_say_what_was_released_and_what_of_it_is_in_this_model(root):
    run = gather(root)
    records = {STATEMENT: {"spent": {"releases": 6}}, SUMMARY: {"devices_trained": 59}}
    run = replace(run, records=records, released=Released(8, 77))
    flow = " ".join(as_text(stations(run, safeguards(run))).split())
    assert "77 changes of the model (59 in this model)" in flow and "8 releases (6 on the way to this model)" in flow
    figures = {one.name: one.value for row in categories(run) for one in row.figures}
    assert figures["releases on record"] == 8 and figures["of them, on the way to this model"] == 6
    updates = [one.value for one in subjects(run) if one.unit == "updates"]
    assert updates[:2] == [77, 59]
    alike = replace(run, released=Released(6, 59))
    assert "in this model" not in as_text(stations(alike, safeguards(alike)))


def test_whom_no_checkpoint_is_left_for_cannot_be_taken_out_though_others_were(root):
    run = gather(root)
    run.forgotten = Forgetting(1, 1, None)
    assert rated(run)["cannot-delete"].likelihood.level == 4
    (root / "checkpoints").mkdir()
    (root / "checkpoints" / "checkpoint-000001.npz").write_bytes(b"a checkpoint")
    found = rated(run)["cannot-delete"].likelihood
    assert found.level == 2 and "1 phone on record as taken out" in found.because


def test_signatures_hold_though_commands_were_given_since(root, tmp_path):
    trusted = tmp_path / "trusted.toml"
    keys = [signing_key(role, name) for role, name in zip(SIGNERS, ("ann", "eve"), strict=True)]
    trusted.write_bytes(b"".join(public_content(key.signer) for key in keys))
    seen = hashlib.sha256((root / "privacy.md").read_bytes()).hexdigest()
    for key in keys:
        sign_off(StringIO(), root, key.signer.role, key, seen=seen)
    with recording("check") as record:
        record.begin_on(root)
    found = gather(root, keys=trusted)
    assert found.trail is not None and found.signing == Signing(
        SIGNERS, SIGNERS, None, ("ann as trainer", "eve as privacy-officer")
    )
    figures = [one.value for each in safeguards(found) if each.id == "signatures" for one in each.figures]
    assert figures == ["trainer, privacy-officer", "ann as trainer, eve as privacy-officer"]


def test_a_bound_is_shown_no_smaller_than_it_is(root):
    run = gather(root)
    config = replace(run.config, privacy=replace(run.config.privacy, mechanism="gaussian"))
    spent = {"epsilon": 2.50328, "delta": 4.4059e-07, "max_participations": 2}
    others = {"with_earlier_runs": {"epsilon": 3.66008}, "account": {"epsilon": 8.0}}
    run = replace(run, config=config, records={STATEMENT: {"spent": spent, "other_runs": others}})
    (noise,) = [one for one in safeguards(run) if one.id == "differential-privacy"]
    shown = {one.name: figure_shown(one) for one in noise.figures}
    assert shown["epsilon"] == "2.51" and shown["delta"] == "4.41e-07"
    assert shown["epsilon with the runs it starts from"] == "3.67" and shown["epsilon with its account"] == "8"
    assert json.loads(json.dumps([one.value for one in noise.figures]))[1:3] == [2.50328, 4.4059e-07]


def test_phones_that_were_forgotten_are_not_counted_as_held_out(root):
    run = gather(root)
    said = {"planned": {"population": 100, "goal": 10}, "forgotten": {"phones": 4}}
    said |= {"facts": {"data_covered": "the text of the 80 training phones of a file"}}
    run = replace(run, records={STATEMENT: said})
    assert held_out_phones(run).value == 16


def test_a_section_that_the_statement_does_not_have_shows_nothing(root):
    run = gather(root)
    (without,) = [one for one in safeguards(run) if one.id == "secure-aggregation"]
    assert without.state is State.OFF and "privacy.md" not in without.shown_by
    run.records[STATEMENT]["aggregation"] = {"phones": 10}
    (told,) = [one for one in safeguards(run) if one.id == "secure-aggregation"]
    assert "privacy.md (Who sees what of an update)" in told.shown_by


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"iban": 2, "birth-date": None}, f"the messages hold {IBAN}; they were not searched for {BIRTH}"),
        ({"iban": 0, "birth-date": None}, f"the messages were not searched for {BIRTH}"),
        ({"iban": 2, "birth-date": 0}, f"the messages hold {IBAN}"),
    ],
)
def test_what_messages_hold_and_what_was_not_searched_for_are_two_things(root, found, said):
    run = gather(root)
    run.config = replace(run.config, data=replace(run.config.data, path=root / "m.jsonl"))
    kinds = {"national-id": 0, "card": 0, **found}
    run.text_audit = {"personal": [{"kind": kind, "messages": number} for kind, number in kinds.items()]}
    assert severity_of_text(run, THIS_MACHINE) == (4, said)


def test_pages_name_safeguards_and_articles_as_people_do(root):
    said = assess(root)
    for content in (page(said), page_of(said)):
        assert "Safeguards not there: Secure aggregation: the server sees sums alone" in " ".join(content.split())
        assert "not there: secure-aggregation" not in content
        assert "GDPR Art. 13" in content and "GDPR 13" not in content


def test_each_category_of_a_policy_has_words_of_its_own(root):
    run = replace(gather(root), policy=dict.fromkeys((*CATEGORIES, CACHES), 1.0))
    (policy,) = [one for one in safeguards(run) if one.id == "retention"]
    names = [one.name for one in policy.figures if one.unit == "days"]
    assert len(set(names)) == 5 and not any(name.startswith(("people", "telemetry")) for name in names)


def test_one_of_a_thing_is_not_said_as_many(root):
    run = replace(gather(root), trail=Trail(1, 0, 0))
    assert "1 command;" in rated(run)["cannot-show"].likelihood.because
