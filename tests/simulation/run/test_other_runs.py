import io
import json
from dataclasses import replace

import pytest

from client_model.public_start import FOLDER
from client_model.text.vocabulary import read_vocabulary
from server_strategy.privacy.account import Account
from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.composition import SYNTHETIC
from server_strategy.privacy.rounded_up import Bound
from simulation.flags import parse_simulate
from simulation.run.account import most_of
from simulation.run.earlier_runs import earlier_runs
from simulation.run.files_statement import origin_of_start
from simulation.run.ledger_head import for_manifest, head_of
from simulation.run.lifecycle import start_run
from simulation.run.other_runs import epsilon_with_earlier, words_from
from simulation.run.outcome import finish_run, run_summary, statement_facts, write_outcome
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from simulation.run.starting_point import StartingPoint
from simulation.runner import _of_what
from simulation.studies.publishing import _lacks, _notes
from tests.simulation.conftest import TINY
from typefleet.errors import ConfigError, InputError

OWN_NOISE = ("--privacy.noise-source", "secret")


def opened(*flags):
    said = io.StringIO()
    with RunProgress(said, 1, 0) as progress:
        run = start_run(prepare(parse_simulate([*map(str, (*TINY, *OWN_NOISE, *flags))]).run), False, progress)
    run.close()
    return run, said.getvalue()


def state(folder, **changed):
    """The statement with other content."""
    path = folder / "privacy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A finished run, of which somebody says that it has spent rho 0.25; no ledger is beside it."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    run, _ = opened("--output-dir", folder)
    finish_run(run)
    spent = json.loads((folder / "privacy.json").read_text())["spent"]
    state(folder, spent={**spent, "zcdp_rho": 0.25, "epsilon": 3.5})
    run.directory.ledger.unlink()
    return folder


def started_from(path, *flags):
    at = TINY.index("--model.vocabulary-size")
    kept = [*TINY[:at], *TINY[at + 2 :]]
    said = io.StringIO()
    config = parse_simulate([*map(str, (*kept, *OWN_NOISE, "--model.init", path, *flags))]).run
    with RunProgress(said, 1, 0) as progress:
        run = start_run(prepare(config), False, progress)
    run.close()
    return run, said.getvalue()


def test_the_budget_of_a_start_is_added_up_through_all_generations(first, tmp_path):
    second, said = started_from(first, "--output-dir", tmp_path / "second", "--seed", 3)
    (one,) = second.earlier
    assert one.cost.zcdp_rho == 0.25 and one.known_by == "its statement" and one.population == SYNTHETIC
    assert "start       with 1 earlier run (rho 0.25): epsilon" in said and "(rho 0.75), by the same data" in said
    assert _of_what(second).startswith(f", {epsilon_with_earlier(second)} in all")
    assert epsilon_with_earlier(second) == f"{Bound(epsilon_by_rdp(0.25, second.strategy.plan.delta)):.2f}"
    finish_run(second)
    assert run_summary(second).other_runs["with_earlier_runs"]["zcdp_rho"] == 0.25  # nothing was released since
    third, _ = started_from(tmp_path / "second" / "model" / "weights.npz", "--output-dir", tmp_path / "third")
    own, before = third.earlier
    assert own.known_by == "its ledger" and before == one
    facts = statement_facts(third)
    assert any("added up under `Other runs`" in item for item in facts.outside_the_budget)
    write_outcome(third)
    page = (tmp_path / "third" / "privacy.md").read_text()
    assert "Epsilon above is of this run alone; with 2 earlier runs (rho 0 + 0.25): epsilon" in page


def test_the_head_has_the_total_with_the_start_and_publishing_asks_only_where_there_is_none(first, tmp_path):
    alone, _ = opened("--output-dir", tmp_path / "alone")
    finish_run(alone)
    second, _ = started_from(first, "--output-dir", tmp_path / "second", "--seed", 3)
    finish_run(second)
    stated = json.loads((tmp_path / "second" / "privacy.json").read_text())
    total = stated["other_runs"]["with_earlier_runs"]["epsilon"]
    assert for_manifest(head_of(tmp_path / "second"))["epsilon_with_earlier_runs"] == total > 0
    assert "epsilon_with_earlier_runs" not in head_of(tmp_path / "alone")
    words = stated["vocabulary_from"]
    known = dict(_lacks(stated, words, second.config))
    assert "start" not in known
    assert f"{stated['statement_with_earlier_runs']}." in _notes(tmp_path / "second", stated, known, ())
    (one,) = stated["other_runs"]["earlier_runs"]
    for name, others in {
        "no cost": {"earlier_runs": [{**one, "known_by": "nothing"}]},
        "no total": {"with_earlier_runs": {"epsilon": None, "why_not": "of two deployments"}},
        "nothing": {"earlier_runs": [], "with_earlier_runs": None},
    }.items():
        changed = {**stated, "other_runs": {**stated["other_runs"], **others}}
        assert "start" in dict(_lacks(changed, words, second.config)), name
    public = replace(second.config, model=replace(second.config.model, init_is_public=True))
    assert "declared to be public" in dict(_lacks(stated, words, public))["start"]


def test_a_start_with_noise_of_the_same_seed_has_no_total(tmp_path):
    seeded = ("--privacy.noise-source", "seeded")
    run, _ = opened("--output-dir", tmp_path / "first", *seeded)
    finish_run(run)
    second, said = started_from(tmp_path / "first", "--output-dir", tmp_path / "second", *seeded)
    assert second.earlier[0].noise_seed == 0 and "no epsilon can be stated, since runs among them have" in said
    finish_run(second)
    _, said = started_from(tmp_path / "first", "--output-dir", tmp_path / "third", *seeded, "--seed", 3)
    assert "epsilon" in said and "no epsilon can be stated" not in said
    _, said = started_from(tmp_path / "second", "--output-dir", tmp_path / "fourth", "--seed", 3)
    assert "no epsilon can be stated" in said  # of the two before it
    stated = json.loads((tmp_path / "second" / "privacy.json").read_text())["other_runs"]
    assert stated["earlier_runs"][0]["noise_source"] == "seeded" and stated["with_earlier_runs"]["epsilon"] is None


def test_the_statement_says_where_the_words_of_a_start_are_from(first, tmp_path):
    second, _ = started_from(first, "--output-dir", tmp_path / "second")
    finish_run(second)
    third, _ = started_from(tmp_path / "second", "--output-dir", tmp_path / "third")
    for run in (second, third):  # the first one's words, whoever comes after it
        (item,) = (item for item in statement_facts(run).outside_the_budget if item.startswith("the vocabulary"))
        assert "the run that they are of chose it privately, at a cost that is part of that run's" in item


def test_a_start_of_no_record_is_unknown_unless_it_is_declared_to_be_public(first, tmp_path):
    alone = tmp_path / "weights.npz"
    alone.write_bytes((first / "model" / "weights.npz").read_bytes())
    (tmp_path / "vocab.txt").write_text((first / "model" / "vocab.txt").read_text())
    account = ("--privacy.account", tmp_path / "account.jsonl")
    run, said = started_from(alone, "--output-dir", tmp_path / "a", *account)
    assert run.earlier[0].known_by == "nothing" and "since what the starting weights cost is not known" in said
    assert any("what they cost a phone is not known" in one for one in statement_facts(run).outside_the_budget)
    assert Account.read(tmp_path / "account.jsonl").total.epsilon is None
    declared, said = started_from(alone, "--output-dir", tmp_path / "b", "--model.init-is-public")
    assert not declared.earlier and "start  " not in said
    assert any("declared to be trained on public text" in one for one in statement_facts(declared).outside_the_budget)
    with pytest.raises(ConfigError, match=r"--model\.init-is-public: expected weights that no run has trained"):
        started_from(first, "--output-dir", tmp_path / "c", "--model.init-is-public")


def test_a_start_that_an_account_did_not_see_is_charged_on_it_once(first, tmp_path):
    account = ("--privacy.account", tmp_path / "account.jsonl")
    run, _ = started_from(first, "--output-dir", tmp_path / "a", *account)
    started_from(first, "--output-dir", tmp_path / "b", *account)
    found = Account.read(tmp_path / "account.jsonl")
    assert found.total.zcdp_rho == 0.25 + 2 * most_of(run.strategy.plan).zcdp_rho and found.total.runs == 3
    finish_run(run)  # from which a third run starts that the account has seen
    started_from(tmp_path / "a", "--output-dir", tmp_path / "c", *account)
    assert Account.read(tmp_path / "account.jsonl").total.runs == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"weights_sha256": "ab" * 32},
        {"spent": {"zcdp_rho": "little", "delta": 1e-6}},
        {"spent": {"zcdp_rho": -1.0, "delta": 1e-6}},
        {"spent": {"zcdp_rho": 0.5, "delta": None}},
        {"spent": []},
        {"planned": None},
        {"other_runs": "none"},
        {"other_runs": {"run": None}},
        {"other_runs": {"run": None, "earlier_runs": [{}]}},
        {"other_runs": {"run": None, "earlier_runs": 3}},
        {"other_runs": {"run": 7, "earlier_runs": []}},
    ],
)
def test_a_statement_that_was_changed_is_refused_in_one_line(changed, first, tmp_path):
    for name in ("model/weights.npz", "privacy.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((first / name).read_bytes())
    state(tmp_path, **changed)
    with pytest.raises(InputError, match=r"privacy\.json: expected") as caught:
        earlier_runs(tmp_path / "model" / "weights.npz")
    assert "\n" not in str(caught.value)


def test_words_of_a_start_are_covered_only_at_a_cost_that_a_ledger_knows(first, tmp_path):
    run, _ = started_from(first, "--output-dir", tmp_path / "from")  # whose guarantee is of a modelled deployment
    facts, plan = statement_facts(run), run.strategy.plan
    assert facts.words == (uncovered := "earlier private, not covered") and any(
        "weights.npz of first" in item for item in facts.outside_the_budget
    )
    own = replace(plan, modelled_cohort=None)
    others = {
        "vocabulary": "private",
        "earlier_runs": [{"known_by": "its ledger"}],
        "with_earlier_runs": {"epsilon": 3},
    }
    assert origin_of_start(own, others) == "earlier private" and origin_of_start(plan, others) == uncovered
    for key, value in (("earlier_runs", [{"known_by": "its statement"}]), ("with_earlier_runs", {"epsilon": None})):
        assert origin_of_start(own, {**others, key: value}) == uncovered


def test_words_that_ship_with_us_are_public_whoever_hands_them_on_and_no_others(first, tmp_path):
    prepared = prepare(parse_simulate([*map(str, TINY)]).run)
    point = StartingPoint(first / "model" / "weights.npz", read_vocabulary(FOLDER / "vocab.txt"), "", None)
    assert words_from(prepared.config, prepared.plan, point) == "shipped"
    statement = json.loads((first / "privacy.json").read_text())
    folder = tmp_path / "liar"
    folder.mkdir()
    (folder / "privacy.json").write_text(
        json.dumps({**statement, "other_runs": {**statement["other_runs"], "vocabulary": "shipped"}})
    )
    own = read_vocabulary(first / "model" / "vocab.txt")
    point = StartingPoint(folder / "model" / "weights.npz", own, "", None)
    assert words_from(prepared.config, prepared.plan, point) == "unknown"
