"""The regulator's file says what a run's files say and claims nothing; what is absent or unknown makes risks higher."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest

from client_model.config import DataConfig
from simulation.audit_trail import begin_on, recording
from simulation.commands import assess as command
from simulation.run.forgotten import Request, record_request
from simulation.run.keys import ASSESSMENT, dotted_keys
from simulation.run.lock import RunInUseError, only_writer
from simulation.studies.assessment import scale
from simulation.studies.assessment.assessment import assess
from simulation.studies.assessment.drawing import as_svg
from simulation.studies.assessment.flows import WIDTH, as_text
from simulation.studies.assessment.gathering import PARTICIPATION, SIGNATURES, STATEMENT, SUMMARY, TRAIL, gather
from simulation.studies.assessment.parts import Answer, State
from simulation.studies.assessment.processing import LEAST_PHONES, storage
from simulation.studies.assessment.records import SIGNERS, Forgetting, Signing, read_forgetting
from simulation.studies.assessment.risks import residual_risks, total_epsilon
from simulation.studies.assessment.safeguards import safeguards
from simulation.studies.assessment.showing import FIGURES, PAGE, TEXT, print_assessment
from simulation.studies.audits.audit import Audit, settings_digest, write_audit
from simulation.studies.data_audit.audit import audit_text
from simulation.studies.data_audit.report import write_report
from simulation.studies.retention import CATEGORIES, delete_from_run, look_at_run
from simulation.studies.sign_off import sign_off
from simulation.tables import _PlainConsole
from tests.conftest import ROOT
from tests.simulation.run.test_keys import fit
from tests.simulation.storage.encrypted_run import DIGITS, TINY, key_file, played, write_messages
from tests.simulation.studies.audits.test_attack import attack
from tests.simulation.studies.signed_runs import export, make_run, signing_key
from typefleet.errors import ConfigError
from typefleet.signing.key_files import public_content

HOSTILE = "<img src=x onerror=alert(1)> *b* [l](j).jsonl"  # the name of a file of messages
RUNS = ("safe", "plain", "none")
SAFE = ("--aggregation.protocol", "secagg", "--consent.train-share", 0.9, "--data.keep-tokens", 20)
NOISE = TINY.index("--privacy.noise-multiplier")


class Written(NamedTuple):
    """A run, and what the command writes of it."""

    root: Path
    page: str
    text: str
    said: dict[str, Any]


@pytest.fixture(scope="session")
def assessed(made_once):
    """A run with what protects it and is light, one with the defaults, and one without noise."""

    def make(folder):
        messages, key = write_messages(folder / "m.jsonl"), key_file(folder / "key", DIGITS)
        data = ("--data.path", messages, "--data.cache-dir", folder / "cache")
        played(*TINY, *data, *SAFE, "--storage.key", key, "--output-dir", folder / "safe")
        played(*TINY, *data, "--output-dir", folder / "plain")
        quiet = (*TINY[:NOISE], *TINY[NOISE + 4 :], "--privacy.mechanism", "none")
        played(*quiet, *data, "--output-dir", folder / "none")
        key.unlink()  # an auditor has none

    return made_once("assessed", make)


@pytest.fixture(scope="module")
def all_written(assessed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    return {name: written(copied(assessed, name, folder)) for name in RUNS}


@pytest.fixture(params=RUNS)
def run(request, all_written):
    return all_written[request.param]


def copied(assessed, name, folder):
    return Path(shutil.copytree(assessed / name, folder / name))


def written(root, *flags):
    command.main([str(root), *map(str, flags)])
    said = json.loads((root / FIGURES).read_text())
    return Written(root, (root / PAGE).read_text(), (root / TEXT).read_text(), said)


def at(content, path):
    for name in path.split("."):
        content = content[name]
    return content


def changed(run, name, change):
    content = json.loads((run / name).read_text())
    change(content)
    (run / name).write_text(json.dumps(content))


# What it says -------------------------------------------------------------------------------------------------


def test_every_figure_is_that_of_the_file_it_names(run):
    said, root = run.said, run.root
    figures = [
        *said["run"],
        *said["processing"]["subjects"],
        *chain.from_iterable(one["figures"] for one in said["processing"]["categories"]),
        *chain.from_iterable(one["figures"] for one in said["safeguards"]),
    ]
    compared = 0
    for one in figures:
        assert (one["value"] is None) <= bool(one["why"]), one
        file, _, path = one["source"].partition(": ")
        if file.endswith(".json") and (root / file).exists() and one["unit"] != "share":
            with suppress(KeyError, TypeError, json.JSONDecodeError):
                value = at(json.loads((root / file).read_text()), path)
                compared += value == one["value"]
                assert isinstance(value, str | list | dict) or value == one["value"], one
    assert compared >= 12


def test_what_is_open_is_counted_marked_and_has_whose_it_is(run):
    _, page, text, said = run
    number = len(said["open_decisions"])
    assert said["counts"]["open_decisions"] == number >= 15
    assert said["processing"]["legal_basis"] is None and said["processing"]["transfers"] is None
    assert text.count("**OPEN: ") == text.count("To be decided by: ") == number
    assert page.count('class="open">Open.') == number + 2 and page.count("To be decided by: ") == number
    assert f"Open decisions: {number}" in page and f"Open decisions: {number}" in text
    assert text.index("Open decisions") < text.index("## ") and "no legal advice" in text.partition("## ")[0]
    assert "is a simulation" in text.partition("## ")[0] and "is a simulation" in page


CLAIM = re.compile(
    r"\b(compl(y|ies|ied|iant|iance)|conform(s|ity|ant)?|certif\w+|lawful|fulfil\w*|satisf\w+|approved|adequate"
    r"|meets?|in (accordance|line) with|is (legal|safe|anonymous)|guarantees that)\b",
    re.IGNORECASE,
)
NO_CLAIM = (
    "use of data is lawful, fair, and open to the people concerned",
    "data is safe from others, from loss and from damage",
    "to speak to a provision is not to fulfil it",
)


def test_no_sentence_claims_that_a_law_is_kept(run):
    for content in (run.page, run.text, json.dumps(run.said)):
        content = " ".join(content.split())
        for sentence in NO_CLAIM:
            content = content.replace(sentence, "")
        assert CLAIM.search(content) is None, CLAIM.search(content)
    said = run.said
    assert {one["answer"] for one in said["provisions"]} == {*Answer}
    assert all(one["left"] for one in said["provisions"])  # nothing is answered as a whole
    assert all(bool(one["where"]) == (one["answer"] != Answer.NOT) for one in said["provisions"])
    by_command = [one["where"] for one in said["provisions"] if one["answer"] == Answer.BY_A_COMMAND]
    assert all(where.startswith("scripts/") for where in chain.from_iterable(by_command))


def test_the_provisions_that_were_asked_for_are_there_and_name_what_is_there(run):
    said = run.said
    gdpr = {re.match(r"[0-9]+", one["number"])[0] for one in said["provisions"] if one["law"] == "GDPR"}
    ccpa = {one["number"] for one in said["provisions"] if one["law"] == "CCPA"}
    assert gdpr == {"5", "13", "14", "15", "16", "17", "25", "30", "32", "35"}
    assert ccpa == {f"1798.{one}" for one in (100, 105, 106, 110, 115, 120, 121, 130, 150, 185)}
    for where in chain.from_iterable(one["where"] for one in said["provisions"]):
        name = where.partition(" ")[0]
        assert (ROOT / name).exists() if name.startswith("scripts/") else (run.root / name).exists(), where


def test_the_keys_are_those_of_the_table_and_of_the_page_about_them(all_written):
    found = set().union(*(dotted_keys(one.said) for one in all_written.values()))
    fit(found, ASSESSMENT)
    told = (ROOT / "docs" / "how-to" / "assess.md").read_text()
    assert all(f"`{name}`" in told for name in {key.partition(".")[0] for key in found})


# Text from outside ------------------------------------------------------------------------------------------


def test_a_name_from_outside_is_shown_as_it_is_and_does_nothing(assessed, tmp_path):
    root = copied(assessed, "plain", tmp_path)
    settings = (root / "config.toml").read_text()
    (root / "config.toml").write_text(re.sub('path = ".*m.jsonl"', f'path = "{HOSTILE}"', settings))
    with pytest.raises(ConfigError, match="data_covered"):
        assess(root)  # the statement is of another text
    (root / STATEMENT).unlink()
    _, page, text, said = written(root)
    (row,) = [one for one in said["processing"]["categories"] if one["name"] == "messages that people typed"]
    assert HOSTILE in row["said"]
    assert "<img" not in page and "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in text and "\\*b\\* \\[l\\](j)" in text and "<script" not in page


# Runs of every kind --------------------------------------------------------------------------------------------


def test_without_noise_nothing_bounds_what_the_model_tells(all_written):
    said = all_written["none"].said
    risks = {one["id"]: one for one in said["risks"]}
    assert risks["model-tells"]["likelihood"]["level"] == risks["passed-on"]["likelihood"]["level"] == 4
    (noise,) = [one for one in said["safeguards"] if one["id"] == "differential-privacy"]
    assert noise["state"] == "off" and noise["why"]
    assert {one["name"]: one["value"] for one in noise["figures"]}["epsilon"] is None


def test_an_encrypted_run_needs_no_key_and_says_what_is_encrypted(all_written):
    said = all_written["safe"].said
    sealed = {one["what"]: one["encrypted"] for one in said["processing"]["storage"]}
    assert sealed["checkpoints/"] and not sealed["config.toml"]
    states = {one["id"]: one["state"] for one in said["safeguards"]}
    on = {"encryption", "secure-aggregation", "consent", "minimisation", "differential-privacy"}
    on |= {"clipping", "purpose", "audit-trail"}
    assert {name for name, state in states.items() if state == "on"} == on


def test_an_expired_run_says_what_is_gone_and_since_when(assessed, tmp_path):
    root = copied(assessed, "safe", tmp_path)
    delete_from_run(root, look_at_run(root, dict.fromkeys(CATEGORIES, 0.0)))
    _, _, text, said = written(root)
    figures = {one["name"]: one for one in said["safeguards"][1]["figures"]}
    assert "participation.json was deleted on 20" in figures["tokens that phones which may train wrote"]["why"]
    assert {one["id"]: one["state"] for one in said["safeguards"]}["encryption"] == "on"
    assert "can be read by nobody" in text and "epsilon" in text
    assert {one["id"]: one["likelihood"]["level"] for one in said["risks"]}["kept-too-long"] == 1


def test_a_statement_that_does_not_agree_is_refused_and_nothing_is_written(assessed, tmp_path):
    root = copied(assessed, "plain", tmp_path)
    changed(root, STATEMENT, lambda said: said["spent"].update(epsilon=0.01))
    with pytest.raises(ConfigError, match=r"privacy\.json: expected a privacy statement that agrees .*spent\.epsilon"):
        assess(root)
    with pytest.raises(ConfigError):
        command.main([str(root)])
    assert not any((root / name).exists() for name in (PAGE, TEXT, FIGURES))


def test_a_run_without_a_statement_has_no_known_epsilon(assessed, tmp_path):
    root = copied(assessed, "plain", tmp_path)
    for name in (STATEMENT, "privacy.md", "privacy_head.json", SUMMARY):
        (root / name).unlink()
    *_, said = written(root)
    assert {one["id"]: one["likelihood"]["level"] for one in said["risks"]}["model-tells"] == 4
    assert "the run has not ended" in json.dumps(said["safeguards"])


def test_what_is_no_run_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="the folder of a run, found one without config"):
        assess(tmp_path)


# Attacks, text, policy ----------------------------------------------------------------------------------------


def audit_of(root, *attacks, quick=False, weights=None):
    run = gather(root)
    weights = run.at(SUMMARY, "weights_sha256") if weights is None else weights
    return write_audit(root, Audit(0, quick, weights, attacks, settings_digest(run.config)))


def test_attacks_count_only_if_they_are_of_these_weights(assessed, tmp_path):
    root = copied(assessed, "plain", tmp_path)
    audit_of(root, attack(), weights="0" * 64)
    assert gather(root).audit is None
    *_, said = written(root)
    assert "of other weights than this run's" in {one["id"]: one["why"] for one in said["safeguards"]}["attacks"]
    audit_of(root, attack())
    assert gather(root).audit is not None


def test_an_audit_of_the_text_says_what_is_in_it_and_must_be_of_this_text(assessed, tmp_path):
    root = copied(assessed, "plain", tmp_path)
    (figures,) = [
        path
        for path in write_report(tmp_path / "text", audit_text(DataConfig(path=assessed / "m.jsonl")))
        if path.suffix == ".json"
    ]
    *_, said = written(root, "--data-audit", tmp_path / "text")
    kinds = [one for one in said["processing"]["categories"] if "inside the messages" in one["name"]]
    assert len(kinds[0]["figures"]) == 8
    (text,) = [one["severity"] for one in said["risks"] if one["id"] == "identifiers"]
    assert text["level"] in (3, 4) and "no audit of the text" not in text["because"]
    changed(tmp_path, "text/data_audit.json", lambda content: content.update(source="another"))
    with pytest.raises(ConfigError, match="that the run trained on, found one of another text"):
        written(root, "--data-audit", figures)
    changed(tmp_path, "text/data_audit.json", lambda content: content.update(messages="many"))
    with pytest.raises(ConfigError):
        written(root, "--data-audit", figures)


@pytest.mark.parametrize(("days", "level"), [("36500", 2), ("0", 4)])
def test_a_policy_is_held_against_what_is_there(assessed, tmp_path, days, level):
    root, policy = copied(assessed, "plain", tmp_path), tmp_path / "policy.toml"
    policy.write_text("[keep_days]\n" + "".join(f"{name} = {days}\n" for name in CATEGORIES))
    *_, said = written(root, "--policy", policy)
    assert {one["id"]: one["likelihood"]["level"] for one in said["risks"]}["kept-too-long"] == level
    assert {one["keep_days"] for one in said["processing"]["storage"]} == {float(days), None}


def signed(root, key):
    seen = hashlib.sha256((root / "privacy.md").read_bytes()).hexdigest()
    sign_off(StringIO(), root, key.signer.role, key, seen=seen)


def test_signatures_count_once_all_have_signed_and_they_are_verified(tmp_path):
    root, trusted = make_run(tmp_path / "run"), tmp_path / "trusted.toml"
    keys = [signing_key(role, name) for role, name in zip(SIGNERS, ("ann", "eve"), strict=True)]
    trusted.write_bytes(b"".join(public_content(key.signer) for key in keys))

    def told(*flags):
        *_, said = written(root, *flags)
        state = {one["id"]: (one["state"], one["why"]) for one in said["safeguards"]}["signatures"]
        return *state, {one["id"]: one["likelihood"]["level"] for one in said["risks"]}["unseen-release"]

    assert told("--keys", trusted) == ("off", f"{SIGNATURES} is not in the run's folder", 4)
    signed(root, keys[0])
    assert told("--keys", trusted) == ("off", "no signature by privacy-officer", 3)
    signed(root, keys[1])
    assert told() == ("off", "the signatures were not verified: no keys were handed in (--keys)", 3)
    assert told("--keys", trusted) == ("on", None, 2)
    with recording("verify"):
        begin_on(root)  # the trail goes on
    assert told("--keys", trusted) == ("on", None, 2)
    export(root, b"another network")
    state, why, level = told("--keys", trusted)
    assert (state, level) == ("off", 3) and "one of another" in why


def test_a_phone_counts_as_forgotten_once_the_statement_says_so(assessed, tmp_path):
    root = copied(assessed, "plain", tmp_path)
    assert gather(root).forgotten is None
    record_request(root, Request.of(np.arange(3, dtype=np.uint64)))
    (root / STATEMENT).unlink()  # which would not agree with the record
    (root / "privacy_head.json").unlink()
    found = gather(root)
    assert found.forgotten is not None and (found.forgotten.times, found.forgotten.phones) == (1, 3)
    assert rated(found)["cannot-delete"].likelihood.level == 4
    told = replace(found, records={STATEMENT: {"facts": {"forgotten": {"times": 1}}}})
    told.forgotten = read_forgetting(root, told.records[STATEMENT])
    assert rated(told)["cannot-delete"].likelihood.level == 2
    log = root / "forgotten.jsonl"
    log.write_text(log.read_text().replace('"phones": [', '"phones": ["0123456789abcdef", '))
    with pytest.raises(ConfigError, match=r"forgotten\.jsonl:1: expected"):
        gather(root)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("a line less", r"audit_trail\.jsonl:1: expected line 1 .* some are missing"),
        ("cut off", r"audit_trail\.jsonl: expected a line whose hash is that in privacy_head\.json"),
        ("taken away", r"it is not there, and privacy_head\.json has the hash of a line of it"),
        ("a folder", r"audit_trail\.jsonl.*: expected "),
    ],
)
def test_a_record_of_commands_that_was_changed_is_a_finding(assessed, tmp_path, change, said):
    root = copied(assessed, "plain", tmp_path)
    lines = (root / TRAIL).read_text().splitlines(keepends=True)
    (root / TRAIL).write_text("".join(lines[1:] if change == "a line less" else []))
    if change in ("taken away", "a folder"):
        (root / TRAIL).unlink()
    if change == "a folder":
        (root / TRAIL).mkdir()
    found = gather(root)
    assert found.trail.wrong is not None and re.match(said, found.trail.wrong) and str(root) not in found.trail.wrong
    (trail,) = [one for one in safeguards(found) if one.id == "audit-trail"]
    assert trail.state is State.OFF and trail.why == found.trail.wrong
    risk = rated(found)["cannot-show"]
    assert risk.likelihood.level == 4 and found.trail.wrong in risk.likelihood.because and "audit-trail" in risk.absent
    (root / STATEMENT).unlink()
    assert gather(root).trail == found.trail


# The scale ------------------------------------------------------------------------------------------------------


def rated(run):
    found = safeguards(run)
    return {one.id: one for one in residual_risks(run, found, storage(run))}


def everything(root):
    """A run of which as much is known as can be."""
    audit_of(root, *(replace(attack(), name=name) for name in ("canaries: a", "fairness: a", "poison: a")))
    run = gather(root)
    run.forgotten, run.signing = Forgetting(1, 2, None), Signing(SIGNERS, SIGNERS, None)
    assert run.trail is not None
    kinds = [{"kind": kind, "messages": 0} for kind in ("iban", "national-id", "card", "birth-date")]
    run.text_audit = {"personal": kinds, "redactable": {"messages": 0}}
    run.policy = dict.fromkeys(CATEGORIES, 36_500.0)
    return run


LESS = ("audit", "text_audit", "policy", "forgotten", "trail", "signing", STATEMENT, SUMMARY, PARTICIPATION)


@pytest.mark.parametrize("name", RUNS)
def test_what_is_not_known_or_not_there_makes_no_risk_smaller(assessed, tmp_path, name):
    whole = everything(copied(assessed, name, tmp_path))
    before, rises = rated(whole), set()
    for what in LESS:
        records = {key: value for key, value in whole.records.items() if key != what}
        less = replace(whole, records=records, **({what: None} if hasattr(whole, what) else {}))
        after = rated(less)
        assert all(after[one].score >= before[one].score for one in before), what
        rises |= {what} if any(after[one].score > before[one].score for one in before) else set()
    assert rises >= {"text_audit", "policy", "forgotten", "trail", "signing", "audit"}


def test_every_safeguard_that_is_not_there_is_counted_at_its_risk(run):
    found = assess(run.root)
    absent = {one.id: set(one.absent) for one in found.risks}
    assert {one.risk for one in found.safeguards} <= absent.keys()
    for one in found.safeguards:
        assert (one.id in absent[one.risk]) == (one.state is not State.ON)
        assert one.state is State.ON or one.why


def with_epsilon(run, epsilon, **statement):
    said = {**run.records[STATEMENT], "vocabulary_from": "public", **statement}
    said["spent"] = {**said["spent"], "epsilon": epsilon}
    return replace(run, records={**run.records, STATEMENT: said})


def test_epsilon_and_attacks_make_the_level(assessed, tmp_path):
    run = everything(copied(assessed, "plain", tmp_path))
    levels = [rated(with_epsilon(run, one))["model-tells"].likelihood.level for one in (0.5, 1, 1.01, 10, 10.01, None)]
    assert levels == [1, 1, 2, 2, 4, 4]
    assert run.audit is not None
    for audit, level in (
        (None, 3),
        (replace(run.audit, quick=True), 3),
        (replace(run.audit, attacks=(attack(low=99.0, value=99.0, bound=1.0),)), 4),
        (replace(run.audit, attacks=(attack(bound=None),)), 3),
    ):
        assert rated(with_epsilon(replace(run, audit=audit), 1.0))["model-tells"].likelihood.level == level
    counted = with_epsilon(run, 1.0, vocabulary_from="counted")
    assert rated(counted)["model-tells"].likelihood.level == 3
    privacy = replace(run.config.privacy, noise_source="seeded")
    seeded = replace(run, config=replace(run.config, privacy=privacy))
    assert rated(with_epsilon(seeded, 1.0))["model-tells"].likelihood.level == 4


@pytest.mark.parametrize(
    ("statement", "epsilon"),
    [
        ({}, 1.0),
        ({"other_runs": {"earlier_runs": [{}], "with_earlier_runs": {"epsilon": 5.0}}}, 5.0),
        ({"other_runs": {"earlier_runs": [{}], "with_earlier_runs": None}}, None),
        ({"other_runs": {"earlier_runs": [], "account": {"epsilon": 7.0}}}, 7.0),
        ({"other_runs": {"earlier_runs": [], "account": {"epsilon": None}}}, None),
        ({"most_phones_of_a_person": 2, "group_privacy": [{"phones": 3, "epsilon": 9.0}]}, 9.0),
        ({"most_phones_of_a_person": 4, "group_privacy": [{"phones": 3, "epsilon": 9.0}]}, None),
    ],
)
def test_epsilon_is_of_all_that_a_person_is_in_or_not_known(assessed, tmp_path, statement, epsilon):
    run = gather(copied(assessed, "plain", tmp_path))
    assert total_epsilon(with_epsilon(run, 1.0, **statement)) == epsilon


def test_the_bands_cover_every_score_and_go_up():
    scores = sorted({a * b for a in scale.LIKELIHOOD for b in scale.SEVERITY})
    order = [name for name, _, _ in scale.BANDS]
    places = [order.index(scale.band(one)) for one in scores]
    assert places == sorted(places) and set(places) == set(range(len(order)))


def test_a_group_of_few_phones_is_not_shown(assessed, tmp_path):
    root = copied(assessed, "safe", tmp_path)

    def few(said):
        for number, row in enumerate(said["consent"]["by_group"]):
            size = LEAST_PHONES - 1 if number else LEAST_PHONES
            row |= {"group": f"group-{number}", "phones": size, "given": size if number else 5}

    changed(root, PARTICIPATION, few)
    run = gather(root)
    (consent,) = [one for one in safeguards(run) if one.id == "consent"]
    shown = [one.name for one in consent.figures if "group-" in one.name]
    assert len(shown) == 2 and all("group-0," in one for one in shown)


# Forms -----------------------------------------------------------------------------------------------------------


def test_the_figure_is_drawn_from_the_settings_in_both_forms(run):
    found = assess(run.root)
    marks = [each.state for one in found.way for each in (*one.protections, *one.on_the_way)]
    drawn, text = ElementTree.fromstring(as_svg(found.way)), as_text(found.way)
    states = [one.get("class").split()[1] for one in drawn.iter("rect") if one.get("class", "").startswith("mark")]
    assert states == [str(state) for state in marks] and "off" in states
    assert text.count("[x]") == marks.count(State.ON) and text.count("[ ]") == marks.count(State.OFF)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    secagg = {each.text: each.state for one in found.way for each in one.on_the_way}["masked by secure aggregation"]
    assert (secagg is State.ON) == (run.root.name == "safe")


def test_it_fits_a_terminal_of_80_columns(run):
    stream = StringIO()
    print_assessment(_PlainConsole(file=stream, width=80, highlight=False), assess(run.root))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and any("decisions are open" in line for line in lines[:6])


def test_the_files_are_their_owners_alone_and_nobody_else_writes_meanwhile(assessed, tmp_path):
    root = copied(assessed, "plain", tmp_path)
    with only_writer(root), pytest.raises(RunInUseError):
        command.main([str(root)])
    assert not (root / TEXT).exists()
    draft = root / f".{TEXT}-0123abcd"
    draft.touch()
    written(root)
    assert not draft.exists()
    assert {(root / name).stat().st_mode & 0o777 for name in (PAGE, TEXT, FIGURES)} == {0o600}
    *_, again = written(root)
    assert again["processing"]["files_in_no_table"] == 0
    assert {one["what"] for one in again["processing"]["storage"]} >= {TEXT, PAGE, FIGURES}


def test_who_may_only_read_the_run_writes_elsewhere(assessed, tmp_path):
    root, other = copied(assessed, "plain", tmp_path), tmp_path / "auditor" / "files"
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with only_writer(root):  # and even while a process is at work on it
        before[root / ".lock"] = (root / ".lock").stat().st_mtime_ns
        assert command.main([str(root), "--output-dir", str(other)]) is None
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert sorted(path.name for path in other.iterdir()) == sorted((PAGE, TEXT, FIGURES))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: expected"):
        command.main([str(root), "--output-dir", str(tmp_path / "file")])


def test_it_imports_no_tensorflow_and_no_flower(assessed, tmp_path):
    root = copied(assessed, "safe", tmp_path)
    code = (
        "import sys; from simulation.commands.assess import main; main(sys.argv[1:]); "
        "sys.exit(' '.join({'tensorflow', 'flwr', 'ray', 'keras'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
