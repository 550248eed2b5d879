"""A noise mechanism of somebody else's: all of it stands in one file, and it goes wherever ours go."""

import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest

from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.ledger import LedgerError, recompute
from server_strategy.privacy.mechanisms.base import MechanismKind
from server_strategy.privacy.mechanisms.door import MECHANISMS
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.statement import StatementFacts, privacy_json, privacy_markdown
from simulation.flags import parse_simulate, to_toml
from simulation.parts import Parts
from simulation.run.preparation import prepare
from simulation.settings import flag_name, leaves
from tests.doors.toy_mechanism import KIND, Toy, ToySettings
from tests.server_strategy.test_dp_fedavg import PHONES, flat, make, play, play_round
from tests.simulation.conftest import WEIGHTS_ONLY
from typefleet.errors import ConfigError

PRIVACY = PrivacyConfig(clip_norm=0.5, noise_multiplier=0.8)
FACTS = StatementFacts(
    data_covered="some text",
    outside_the_budget=(),
    weighting="uniform weights",
    recompute="scripts/check_privacy.py it",
    weights_sha256="ab" * 32,
    date="2026-11-29",
)


@pytest.fixture
def registered():
    """The toy is behind the door until the test ends."""
    with MECHANISMS.lend(KIND):
        yield


def as_json(spent):
    return json.loads(json.dumps(asdict(spent)))


def test_an_object_protects_a_run_and_its_ledger_is_recomputed(tmp_path):
    strategy, grid = make(privacy=PRIVACY, mechanism=Toy(2.0), ledger_path=tmp_path / "l")
    quiet, _ = make(privacy=PrivacyConfig("none", clip_norm=0.5))
    ours, _ = make(privacy=PRIVACY)
    weights, without, with_ours = (flat(play(one, grid, 4)) for one in (strategy, quiet, ours))
    np.testing.assert_allclose(weights - without, np.sqrt(2) * (with_ours - without), rtol=1e-3, atol=1e-6)
    spent = strategy.last_round.spent
    assert spent.zcdp_rho == gaussian_rho(0.8, spent.max_participations / 2)
    assert recompute(tmp_path / "l", 4, Toy(2.0)) == as_json(spent)
    first_line = json.loads((tmp_path / "l").read_text().splitlines()[0])
    assert (first_line["plan"]["mechanism"], first_line["plan"]["parameters"]) == ("toy", {"variance": 2.0})


def test_an_object_goes_on_from_a_checkpoint_and_no_other_does(tmp_path):
    arguments = dict(privacy=PRIVACY, ledger_path=tmp_path / "l")
    straight, grid = make(privacy=PRIVACY, mechanism=Toy(2.0))
    expected = play(straight, grid, 3)
    first, _ = make(**arguments, mechanism=Toy(2.0))
    arrays = play(first, grid, 2)
    for other in (Toy(3.0), None):
        with pytest.raises(LedgerError, match="expected the plan of this run, found another one"):
            make(**arguments, mechanism=other)
    second, _ = make(**arguments, mechanism=Toy(2.0))
    second.load_state(first.state())
    np.testing.assert_array_equal(flat(play_round(second, grid, 3, arrays)), flat(expected))
    assert second.last_round.spent == straight.last_round.spent


def test_a_ledger_of_a_mechanism_that_is_not_known_here_is_not_guessed_at(tmp_path):
    strategy, grid = make(privacy=PRIVACY, mechanism=Toy(2.0), ledger_path=tmp_path / "l")
    play(strategy, grid, 2)
    with pytest.raises(LedgerError) as error:
        recompute(tmp_path / "l", 2)
    assert f"{tmp_path / 'l'}:1: noise mechanism: expected one of gaussian, " in str(error.value)
    assert "found 'toy'" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_statement_says_whose_word_the_cost_is(registered, monkeypatch, is_installed):
    monkeypatch.setattr(MECHANISMS, "every_process_finds", lambda name: is_installed)
    for mechanism in (None, Unregistered(2.0)):
        named = replace(PRIVACY, mechanism="toy", mechanism_settings=ToySettings(2.0))
        strategy, grid = make(privacy=named, mechanism=mechanism)
        play(strategy, grid, 2)
        content = privacy_json(strategy.plan, strategy.last_round.spent, FACTS)
        page = privacy_markdown(strategy.plan, strategy.last_round.spent, FACTS)
        whose = type(mechanism or Toy(2.0)).__module__
        assert "Independent noise of another variance." in page and f"`{whose}` computes" in page
        can_be_checked = is_installed and mechanism is None
        warning = "is registered where not every process finds it"
        assert (warning in page) == (warning in content["caveats"][-1]) == (not can_be_checked)
        assert (FACTS.recompute in page) == (content["recompute"] == FACTS.recompute) == can_be_checked


class Unregistered(Toy):
    name = "unregistered"


def test_registered_it_is_chosen_by_its_flags_which_are_there_only_then(registered):
    run = parse_simulate(["--privacy.mechanism", "toy", "--privacy.toy-setting", "3"]).run
    assert run.privacy.mechanism_settings == ToySettings(3.0)
    assert run.privacy.target_epsilon == 6.4 and run.privacy.noise_multiplier is None  # as with any other mechanism
    assert "toy_setting = 3.0" in to_toml(run)
    assert "--privacy.toy-setting" in map(flag_name, leaves(run))
    assert "--privacy.toy-setting" not in map(flag_name, leaves(parse_simulate([]).run))
    for flags, message in (
        (["--privacy.toy-setting", "3"], "--privacy.toy-setting: expected only with --privacy.mechanism toy"),
        (["--privacy.mechanism", "toy", "--privacy.bands", "3"], "only with --privacy.mechanism banded"),
        (["--privacy.mechanism", "toy", "--privacy.toy-setting", "0"], "--privacy.toy-setting: expected a number > 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_simulate(flags)
    counted = parse_simulate(["--privacy.mechanism", "toy", "--privacy.poisson-counterfactual"]).run
    assert counted.privacy.poisson_counterfactual  # it is independent


def test_registered_its_ledger_is_recomputed_by_name(registered, tmp_path):
    privacy = replace(PRIVACY, mechanism="toy", mechanism_settings=ToySettings(2.0))
    strategy, grid = make(privacy=privacy, ledger_path=tmp_path / "l")
    by_object, _ = make(privacy=PRIVACY, mechanism=Toy(2.0))
    np.testing.assert_array_equal(flat(play(strategy, grid, 3)), flat(play(by_object, grid, 3)))
    assert recompute(tmp_path / "l", 3) == as_json(strategy.last_round.spent)


def test_without_the_fixture_nothing_of_it_is_left():
    assert "toy" not in MECHANISMS.names
    with pytest.raises(ConfigError, match=r"--privacy\.mechanism: expected one of gaussian"):
        parse_simulate(["--privacy.mechanism", "toy"])


@dataclass(frozen=True)
class Forgetful(Toy):
    """Puts less on record than it costs."""

    name = "forgetful"

    def parameters(self):
        return {"variance": 4 * self.variance}


def test_a_mechanism_whose_record_would_be_cheaper_is_refused():
    kind = MechanismKind("forgetful", "", make=lambda settings, horizon: Forgetful(1.0), makes=Forgetful)
    with MECHANISMS.lend(kind):
        for given in ({"mechanism": Forgetful(1.0)}, {}):
            privacy = replace(PRIVACY, mechanism="forgetful")
            with pytest.raises(ConfigError, match="expected parameters that give its squared sensitivity of 1 again"):
                make_privacy_plan(CohortConfig(goal=6), privacy, rounds=20, num_phones=PHONES, **given)


@dataclass(frozen=True)
class Impostor(Toy):
    name = "gaussian"


def test_the_name_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match="mechanism 'gaussian': expected a name of its own"):
        make(privacy=PRIVACY, mechanism=Impostor(2.0))


def test_a_run_is_prepared_with_an_object():
    config = parse_simulate([str(flag) for flag in WEIGHTS_ONLY]).run
    prepared = prepare(config, parts=Parts(mechanism=Toy(2.0)))
    assert prepared.plan.mechanism == Toy(2.0) and prepared.plan.mechanism_name == "toy"
    vocabulary = prepared.plan.vocabulary.rho  # words that are counted on phones have a cost of their own
    assert prepared.plan.zcdp_rho - vocabulary == pytest.approx((prepare(config).plan.zcdp_rho - vocabulary) / 2)


def test_installed_it_is_planned_with(as_installed, tmp_path):
    setting = ("--noise-multiplier", 2, "--rounds", 60, "--cohort", 10, "--population", 200)
    out = tmp_path / "out"
    done = as_installed("privacy_budget.py", "--mechanism", "toy", "--toy-setting", 3, *setting, "--output-dir", out)
    assert done.returncode == 0, done.stderr
    content = json.loads((out / "budget.json").read_text())
    toy, gaussian = content["at_equal_rho"]["toy"], content["at_equal_rho"]["gaussian"]
    assert content["answer"] == toy and toy["sensitivity_squared"] == pytest.approx(gaussian["sensitivity_squared"] / 3)
    assert toy["rho"] == pytest.approx(gaussian["rho"])  # the same noise at the same cost, counted in other draws
    assert toy["error"] == pytest.approx(gaussian["error"])
    assert len(content["cohorts"]["toy"]) == 5
    done = as_installed("privacy_budget.py", "--toy-setting", 3, *setting)
    assert done.returncode == 2
    assert "--toy-setting: expected only with --mechanism toy, found it without" in done.stderr


@pytest.mark.slow
def test_installed_it_protects_a_whole_run_whose_ledger_is_checked(installed_run, as_installed, script_here, tmp_path):
    assert "toy noise, multiplier 1" in installed_run.printed
    done = as_installed("check_privacy.py", installed_run.folder)
    assert done.returncode == 0 and "privacy.json agrees" in done.stdout, done.stderr
    ledger = (installed_run.folder / "privacy_ledger.jsonl").read_text()
    assert json.loads(ledger.splitlines()[0])["plan"]["parameters"] == {"variance": 3.0}
    for name in ("privacy.json", "privacy_ledger.jsonl"):  # without the cell, which is not known here either
        (tmp_path / name).write_bytes((installed_run.folder / name).read_bytes())
    done = script_here("check_privacy.py", tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "privacy_ledger.jsonl:1: noise mechanism: expected one of gaussian" in done.stderr
