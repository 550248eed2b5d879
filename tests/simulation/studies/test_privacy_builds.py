"""A statement of an earlier build agrees where it is shorter and true, not where it is silent of what is there."""

import json
import re
from types import SimpleNamespace

import pytest

from server_strategy.privacy.ledger import PrivacyLedger
from server_strategy.privacy.rounded_up import Bound, BoundOnMu, as_earlier_builds_round
from server_strategy.privacy.statement import StatementFacts
from server_strategy.privacy.statement_aggregation import aggregation_json
from server_strategy.privacy.statement_noise import REPEATABLE
from server_strategy.privacy.statement_signing import separation_that_happened
from simulation.run.artefacts import ARTEFACTS, BESIDE
from simulation.run.statement_pages import statement_pages
from simulation.studies.privacy_builds import WRITTEN_SINCE, in_words_of_today, left_out, same_words
from simulation.studies.privacy_evidence import compare_statement, gather
from simulation.studies.privacy_findings import Findings, Standing
from tests.server_strategy.privacy.test_ledger import ROUNDS, plan, play

LEAVES = ("privacy.json", "privacy.md", "privacy_ledger.jsonl", "rounds.jsonl", "rounds.parquet", "summary.json")


@pytest.fixture
def run(tmp_path):
    own = plan(min_separation_rounds=2)
    spent = play(PrivacyLedger(own, tmp_path / "privacy_ledger.jsonl"), own, ROUNDS)
    (tmp_path / "rounds.jsonl").write_text('{"round": 1, "completed": 20}\n')
    (tmp_path / "rounds.parquet").write_bytes(b"the same as a table")
    facts = StatementFacts("some text", (), "a command", "uniform weights", "ab" * 32, "2026-11-30", files=LEAVES)
    content, page = statement_pages(own, spent, facts)
    (tmp_path / "privacy.json").write_text(json.dumps(content))
    (tmp_path / "privacy.md").write_text(page)
    return tmp_path


def restate(run, keep, words=lambda page: page):
    """The statement as a build wrote it whose list had the rows that `keep` leaves, and the page of that list."""
    content = json.loads((run / "privacy.json").read_text())
    content["files"] = [row for row in map(keep, content["files"]) if row is not None]
    (run / "privacy.json").write_text(json.dumps(content))
    found = gather(run)
    facts = StatementFacts(**{**content["facts"], "recompute": content["recompute"], "files": LEAVES})
    (run / "privacy.md").write_text(words(statement_pages(found.plan, found.spent, facts, content["files"])[1]))


def wrongs(run):
    findings = Findings([])
    compare_statement(gather(run), findings)
    earlier = [one for one in findings.lines if "earlier build" in one.why and one.standing is Standing.NOT_CHECKABLE]
    return [f"{one.place}: {one.why}" for one in findings.wrongs], [one.place for one in earlier]


def without_file(*names):
    return lambda row: None if set(names) & set(row["files"]) else row


def without_key(name):
    return lambda row: {**row, "keys": [key for key in row["keys"] if key != name]} if name in row["keys"] else row


@pytest.mark.parametrize("name", WRITTEN_SINCE)
def test_what_a_later_command_wrote_into_the_folder_is_no_silence_of_the_list(run, name):
    restate(run, without_file(name))
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text('{"number": 1, "schema": 1}\n')
    assert wrongs(run) == ([], ["privacy.json: files"])


def test_what_this_build_writes_is_recomputed_line_by_line(run):
    assert wrongs(run) == ([], [])


def test_what_a_run_does_not_have_may_be_unsaid_and_is_said_to_be_of_an_earlier_build(run):
    restate(run, without_file("poison.png", "deletions.jsonl", "audit.json"))
    assert wrongs(run) == ([], ["privacy.json: files"])


def test_the_page_of_that_time_may_break_its_lines_elsewhere_and_say_nothing_else(run):
    former = lambda page: page.replace("\n  ", " ").replace(  # noqa: E731
        "### For others, once the guarantee", "### Files meant for others once the guarantee"
    )
    restate(run, without_file("poison.png"), former)
    assert wrongs(run) == ([], ["privacy.json: files"])
    restate(run, lambda row: row, lambda page: former(page).replace("not covered", "covered"))
    assert wrongs(run)[0][0].startswith("privacy.md:")


@pytest.mark.parametrize("name", ["poison.png", "deletions.jsonl", "audit.html"])
def test_a_list_that_is_silent_of_a_file_that_is_there_does_not_agree(run, name):
    restate(run, without_file(name))
    (run / name).write_text("{}")
    assert wrongs(run)[0] == [f"privacy.json: files: silent of {name}; a later build may have written it"]


@pytest.mark.parametrize("name", [LEAVES[3], *(one.name for one in BESIDE)])
def test_what_a_run_leaves_and_what_is_no_file_is_always_named(run, name):
    content = json.loads((run / "privacy.json").read_text())
    facts = {**content["facts"], "files": [*LEAVES, *(one.name for one in BESIDE)]}
    (run / "privacy.json").write_text(json.dumps({**content, "facts": facts}))
    (run / "rounds.jsonl").unlink()
    (run / "rounds.parquet").unlink()
    shorter = [row for row in content["files"] if name not in row["files"]]
    (run / "privacy.json").write_text(json.dumps({**content, "facts": facts, "files": shorter}))
    assert any(one.startswith("privacy.json: files: ") for one in wrongs(run)[0])


@pytest.mark.parametrize(("line", "agrees"), [('{"round": 1}', True), ('{"round": 1, "withdrawn": 2}', False)])
def test_a_value_may_be_unsaid_where_no_line_of_the_file_has_it(run, line, agrees):
    (run / "rounds.jsonl").write_text(f"{line}\n")
    restate(run, without_key("withdrawn"))
    said = "privacy.json: files: silent of withdrawn in rounds.jsonl and rounds.parquet; "
    assert wrongs(run)[0] == ([] if agrees else [f"{said}a later build may have written it"])


def test_a_row_that_says_another_thing_is_no_shorter_list(run):
    made = json.loads((run / "privacy.json").read_text())["files"]
    assert left_out(made, made) == [] and len(left_out(made[1:], made)) == 1 and left_out([], made) is not None
    for changed in (
        [{**made[0], "guarantee": "covered"}, *made[1:]],
        [*made[1:], made[0]],
        [*made, made[-1]],
        [{**made[0], "keys": "all"}, *made[1:]],
        ["a row"],
        {},
        None,
    ):
        assert left_out(changed, made) is None
    restate(run, lambda row: {**row, "guarantee": "covered"} if row == made[0] else row)
    assert "privacy.json: files: something else comes out" in wrongs(run)[0]


def test_a_number_that_is_not_said_yet_may_be_missing_where_there_are_none(run):
    content = json.loads((run / "privacy.json").read_text())
    assert content["spent"].pop("unreleased_sums") == 0
    (run / "privacy.json").write_text(json.dumps(content))
    assert wrongs(run) == ([], ["privacy.json: spent.unreleased_sums"])
    del content["spent"]["max_participations"]
    (run / "privacy.json").write_text(json.dumps(content))
    assert wrongs(run)[0] == ["privacy.json: spent.max_participations: it is missing"]


def test_words_are_compared_and_not_how_they_are_joined():
    assert same_words(["In `a`: x, and y.", "- z;"], ["`a`:", "- x", "- y", "- z"])
    assert not same_words(["not covered"], ["covered"]) and not same_words(["6.3"], ["63"])


def test_every_row_is_of_a_file_or_of_something_beside_the_run():
    assert {one.name for one in BESIDE}.isdisjoint(one.name for one in ARTEFACTS)


@pytest.mark.parametrize(
    ("former", "today"),
    [
        ("(6.3)-DP; repeatable: epsilon holds only for who does not know the seed", f"(6.3)-DP; {REPEATABLE}"),
        (
            "a round of 1,200 with fewer than 16 vectors in it fails, and releases nothing",
            "a round of 1,200 needs 16 v",
        ),
    ],
)
def test_a_sentence_of_before_is_compared_as_this_build_has_it(former, today):
    assert in_words_of_today(former).startswith(today)
    assert in_words_of_today(in_words_of_today(former)) == in_words_of_today(former)


def test_the_sentences_of_today_are_those_that_a_statement_has():
    terms = {
        "phones": 20,
        "neighbours": 19,
        "threshold": 11,
        "least_survivors": 16,
        "corrupted": 2,
        "security_bits": 40,
    }
    said = " ".join(aggregation_json({"protocol": "secagg", **terms})["aggregation"]["assumed"])
    assert in_words_of_today("a round of 20 with fewer than 16 vectors in it fails, and releases nothing") in said
    assert in_words_of_today(said) == said


@pytest.mark.parametrize("modelled", [None, 4000])
def test_a_statement_that_does_not_say_yet_whom_its_population_includes_still_agrees(run, modelled):
    (run / "privacy_ledger.jsonl").unlink()
    own = plan(min_separation_rounds=2, modelled_cohort=modelled)
    spent = play(PrivacyLedger(own, run / "privacy_ledger.jsonl"), own, ROUNDS)
    facts = StatementFacts("some text", (), "a command", "uniform weights", "ab" * 32, "2026-11-30", files=LEAVES)
    content, page = statement_pages(own, spent, facts)
    today = "phones of this run, held-out ones included"
    assert today in content["population_rule"] and page.count(today) == 1
    former = json.dumps(content).replace(today, "phones of this run")
    (run / "privacy.json").write_text(former)
    (run / "privacy.md").write_text(page.replace(today, "phones of this run"))
    assert wrongs(run) == ([], ["privacy.json: words"])
    (run / "privacy.md").write_text(page.replace(today, "phones of this run, held-out ones left out"))
    assert wrongs(run)[0] and wrongs(run)[0][0].endswith("another line")


@pytest.mark.parametrize("what", [Bound, BoundOnMu])
def test_a_statement_whose_bounds_are_rounded_to_the_nearest_digit_is_of_an_earlier_build(run, what):
    content = json.loads((run / "privacy.json").read_text())
    found = gather(run)
    facts = StatementFacts(**{**content["facts"], "recompute": content["recompute"], "files": LEAVES})
    with as_earlier_builds_round(what):
        former, page = statement_pages(found.plan, found.spent, facts)
    assert (former["statement"] != content["statement"]) == (what is Bound) and page != (run / "privacy.md").read_text()
    (run / "privacy.json").write_text(json.dumps(former))
    (run / "privacy.md").write_text(page)
    assert wrongs(run) == ([], ["privacy.json: bounds as shown"])
    shown = re.search(r"e\^[0-9.]+", page)[0]
    (run / "privacy.md").write_text(page.replace(shown, f"e^{found.spent.epsilon * 0.9:.3g}"))
    assert wrongs(run)[0] and wrongs(run)[0][0].endswith("another line")


def test_sentences_of_earlier_builds_become_those_of_this_one():
    trust = "central: the server sees each round's sum of clipped updates, and is trusted to add the noise"
    assert "could look at it" in in_words_of_today(f"- Trust: {trust}.")
    rows = "| participations of the busiest phone | 3 | {} |\n| smallest separation, rounds | 2 | no phone came twice |"
    for times, added in ((0, ""), (1, ""), (2, " on the way to these weights"), (10, " on the way to these weights")):
        spent = SimpleNamespace(min_separation_rounds=None, max_participations=times)
        said = separation_that_happened(spent)
        assert said == f"no phone came twice{added}"
        assert in_words_of_today(rows.format(times)).endswith(f"| {said} |")
