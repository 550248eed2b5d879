"""What is said of other runs, made again from its own numbers."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from client_model.config import DataConfig, ModelConfig
from client_model.public_start import PUBLIC_START, RANDOM_START
from client_model.text.population import PopulationSpec, text_source
from server_strategy.config import CohortConfig
from server_strategy.privacy.account_sums import AccountTotal
from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.composition import SYNTHETIC, EarlierRun
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.costs import Cost, Terms
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.rounded_up import BoundOnEarlierRho, as_earlier_builds_round
from server_strategy.privacy.statement_account import OnAccount, OtherRuns, other_runs_json
from simulation.config import RunConfig
from simulation.run.starting_point import StartingPoint
from simulation.run.words_outside import says_what_is_outside, words_outside
from simulation.studies.privacy_told import adds_up, are_plain, has_earlier_runs, is_of_source
from typefleet.plain_names import plain

PLAN = make_privacy_plan(CohortConfig(goal=10), PrivacyConfig(noise_multiplier=1.0), rounds=3, num_phones=500)
TERMS = Terms(PLAN.epsilon_is_of, PLAN.adjacency, PLAN.delta)
RHO = 0.5
FOUND = SimpleNamespace(plan=PLAN, spent=SimpleNamespace(zcdp_rho=RHO), statement={"weights_sha256": "ab"})


def others(population="a file", earlier=(), rho=0.75):
    own = EarlierRun("ab", population, Cost(RHO), TERMS, "its ledger", "run-1", PLAN.noise_source, 5)
    before = tuple(EarlierRun("cd", one, Cost(0.25), TERMS, "its ledger") for one in earlier)
    total = AccountTotal(2, rho, PLAN.delta, epsilon_by_rdp(rho, PLAN.delta), 0, 0)
    account = OnAccount("account.jsonl", "run-1", (3, "0" * 64), total, None)
    return OtherRuns(own, before, "counted", account)


def as_read(said):
    return json.loads(json.dumps(other_runs_json(said)))


@pytest.mark.parametrize("population", ["a file", SYNTHETIC, None])
@pytest.mark.parametrize("earlier", [(), ("a file",), ("another", SYNTHETIC), (None, "a file")])
def test_what_a_run_says_adds_up(population, earlier):
    assert adds_up(FOUND, as_read(others(population, earlier)))


def test_rho_of_an_earlier_run_may_be_rounded_as_builds_had_it_and_no_lower():
    run = others(earlier=("a file",))
    run = replace(run, earlier=(replace(run.earlier[0], cost=Cost(0.123412)),))
    today = as_read(run)
    with as_earlier_builds_round(BoundOnEarlierRho):
        former = as_read(run)
    assert "(rho 0.1235)" in today["says"][0] and "(rho 0.1234)" in former["says"][0]
    lower = {**former, "says": [one.replace("(rho 0.1234)", "(rho 0.1233)") for one in former["says"]]}
    assert adds_up(FOUND, today) and adds_up(FOUND, former) and not adds_up(FOUND, lower)


SEEDED = [("seeded", 5), ("seeded", 6), ("seeded", None)]


@pytest.mark.parametrize("own", ["secret", "seeded"])
@pytest.mark.parametrize("start", [(None, None), ("secret", None), *SEEDED])
@pytest.mark.parametrize("before", [None, ("secret", None), ("seeded", None)])
def test_a_run_from_a_run_with_noise_adds_up_whatever_keyed_it(own, start, before):
    run = others(earlier=("a file",) * (1 if before is None else 2))
    noises = [start] if before is None else [start, before]
    earlier = [
        replace(one, noise_source=source, noise_seed=seed)
        for one, (source, seed) in zip(run.earlier, noises, strict=True)
    ]
    run = replace(run, own=replace(run.own, noise_source=own), earlier=tuple(earlier))
    found = SimpleNamespace(**{**vars(FOUND), "plan": replace(PLAN, noise_source=own)})
    assert adds_up(found, as_read(run))


def test_a_total_of_runs_that_may_share_their_noise_does_not():
    one = others(earlier=("a file", "a file"))
    one = replace(one, own=replace(one.own, noise_source="seeded"))
    stated = as_read(replace(one, earlier=tuple(replace(run, noise_source="secret") for run in one.earlier)))
    found = SimpleNamespace(**{**vars(FOUND), "plan": replace(PLAN, noise_source="seeded")})
    assert stated["with_earlier_runs"]["epsilon"] is not None and adds_up(found, stated)
    stated["earlier_runs"][1]["noise_source"] = "seeded"
    assert not adds_up(found, stated)


def test_sentences_totals_and_accounts_of_others_do_not():
    said = as_read(others(earlier=("a file",)))
    assert adds_up(FOUND, said)
    for wrong in (
        {"says": ["At most epsilon 0.05."]},
        {"earlier_runs": []},
        {"note": "x"},
        {"with_earlier_runs": None},
    ):
        assert not adds_up(FOUND, said | wrong)
    cheaper = replace(others(), account=replace(others().account, total=others(rho=RHO / 2).account.total))
    assert not adds_up(FOUND, as_read(cheaper))  # less than the run's own cost
    total = AccountTotal(**{**asdict(others().account.total), "epsilon": 0.1})
    assert not adds_up(FOUND, as_read(replace(others(), account=replace(others().account, total=total))))


def test_a_start_of_a_run_has_earlier_runs_and_no_other_has():
    some, none = {"earlier_runs": [{}]}, {"earlier_runs": []}
    for init, said, expected in (
        (Path("run"), some, True),
        (Path("run"), none, False),
        (RANDOM_START, none, True),
        (RANDOM_START, some, False),
        (PUBLIC_START, some, False),
    ):
        assert has_earlier_runs(said, [], RunConfig(model=ModelConfig(init=init))) == expected


NAMES = ("a.jsonl", "<b>.jsonl", "**x** ", "[a](b)", "a\nb", "50% <", "\udc80<.csv", "\N{RIGHT-TO-LEFT OVERRIDE}c")


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_file_is_called_the_statement_names_it_and_is_plain(name):
    config = RunConfig(data=DataConfig(path=Path("folder") / name, vocabulary_path=Path(name)))
    covered = f"the text of the 1,234 training phones of {plain(text_source(config.data))}"
    assert is_of_source(f"{covered}, as far as their phones took part", config)
    listed = words_outside(config.data, "listed")
    start = StartingPoint(Path(name) / name, None, "", PopulationSpec(0, 1))
    assert are_plain([covered, listed, start.name, start.description])
    assert says_what_is_outside((listed,), config, "listed")
    init = RunConfig(model=ModelConfig(init=Path(name)))
    assert has_earlier_runs({"earlier_runs": []}, [start.description], init)
    assert unquote(plain(name), errors="surrogateescape") == name and len({plain(one) for one in NAMES}) == len(NAMES)


def test_a_text_of_several_lines_or_with_markup_is_not_plain():
    assert are_plain({"a": ["the text of 3 phones", "`Other runs`"], "b": None, "c": 1})
    assert not any(are_plain({"a": ["x", text]}) for text in ("a\nb", "a **b**", "<b>", "[a](b)", "a\u2028b"))
