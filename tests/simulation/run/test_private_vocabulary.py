"""Words that enter with noise: how often, how often those of one phone, and what a resume makes of it."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from client_model.text.population import open_population, prepare_population
from server_strategy.privacy.account import Account
from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.costs import Cost
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.statement_vocabulary import vocabulary_json, vocabulary_markdown
from simulation.flags import parse_simulate
from simulation.run import lifecycle, preparation
from simulation.run.accepted_input import accept_input
from simulation.run.account import most_of
from simulation.run.lifecycle import start_run
from simulation.run.preparation import prepare
from simulation.run.private_vocabulary import private_vocabulary, record_vocabulary, recorded_vocabulary
from simulation.run.progress import RunProgress
from typefleet.errors import ConfigError

HONEST = ("--cohort.goal", "2", "--privacy.noise-multiplier", "1")  # the noise of this run's own phones


def opened(tmp_path, texts, *flags, name="messages"):
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"user_id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)))
    data = ["--data.path", str(path), "--data.cache-dir", str(tmp_path / "cache")]
    config = parse_simulate([*data, *HONEST, *flags]).run
    return config, open_population(prepare_population(config.data, 0, None)), plan_of(config)


def plan_of(config):
    return make_privacy_plan(config.cohort, config.privacy, rounds=3, num_phones=100, counts_words=True)


def selections(config, population, plan, draws):
    """The sets of words of many selections, each with other noise."""
    found = []
    for draw in range(draws):
        try:
            noise = NoiseKey.seeded(draw)
            vocabulary = private_vocabulary(config, population, np.arange(population.num_phones), plan, noise)
            found.append(set(vocabulary.tokens[8:]))
        except ConfigError:
            found.append(set())
    return found


def bounds(hits, draws, miss=1e-4):
    """Clopper-Pearson: the chance is between these, but for `miss` on either side."""
    low = beta.ppf(miss, hits, draws - hits + 1) if hits else 0.0
    return low, beta.ppf(1 - miss, hits + 1, draws - hits) if hits < draws else 1.0


@pytest.mark.parametrize("phones", [10, 12, 14])
def test_a_word_of_so_many_phones_enters_as_often_as_the_formula_says(tmp_path, phones):
    words = [f"w{i}" for i in range(40)]
    texts = [" ".join(words)] * phones  # each phone gives all 40, at 1/sqrt(40)
    flags = ("--privacy.vocabulary-epsilon", "12", "--privacy.delta", "0.01")
    config, population, plan = opened(tmp_path, texts, *flags)
    found = selections(config, population, plan, 60)
    low, high = bounds(sum(map(len, found)), 60 * 40)
    assert low <= plan.vocabulary.chance_of(phones / math.sqrt(40)) <= high
    assert 0.005 < plan.vocabulary.chance_of(phones / math.sqrt(40)) < 0.995  # so that another formula would be seen


def test_words_of_one_phone_alone_enter_no_more_often_than_delta_and_the_threshold_is_what_does_it(tmp_path):
    own = [f"own{i}" for i in range(25)]
    texts = ["the you and", " ".join(own), *["the you and"] * 20]
    flags = (
        "--privacy.vocabulary-epsilon",
        "0.5",
        "--privacy.delta",
        "0.5",
        "--privacy.vocabulary-words-per-phone",
        "25",
    )
    config, population, plan = opened(tmp_path, texts, *flags)
    draws = 600
    low, high = bounds(sum(bool(found & {*own}) for found in selections(config, population, plan, draws)), draws)
    assert low <= plan.vocabulary.delta <= high  # 25 words of equal weight are the worst case, so it is just that
    lower = replace(plan, vocabulary=replace(plan.vocabulary, threshold=0.85 * plan.vocabulary.threshold))
    low, _ = bounds(sum(bool(found & {*own}) for found in selections(config, population, lower, draws)), draws)
    assert low > plan.vocabulary.delta


def test_neighbours_are_told_apart_no_better_than_epsilon_and_delta_say(tmp_path):
    """One phone alone gave the word that is at the threshold without it, and one of its own."""
    texts = [*["common"] * 5, "common own"]
    flags = ("--privacy.vocabulary-epsilon", "1.5", "--privacy.delta", "0.2")
    config, with_it, plan = opened(tmp_path, texts, *flags)
    _, without, _ = opened(tmp_path, [*texts[:-1], "?"], *flags, name="without")
    draws = 1500
    drawn = [selections(config, population, plan, draws) for population in (with_it, without)]
    for event in ({"common"}, {"own"}, {"common", "own"}):
        one, other = (bounds(sum(bool(found & event) for found in of_one), draws) for of_one in drawn)
        assert one[0] <= math.exp(1.5) * other[1] + 0.2
        assert 1 - other[1] <= math.exp(1.5) * (1 - one[0]) + 0.2
    assert one[0] > other[1]  # they are told apart, so that a smaller epsilon could be seen to be wrong


def test_words_come_by_their_noised_weight_as_many_as_fit_and_from_the_key_alone(tmp_path):
    texts = [" ".join(f"w{j}" for j in range(30) if j <= i) for i in range(30)]  # w0 on all phones, w29 on one
    flags = ("--privacy.vocabulary-epsilon", "500", "--privacy.delta", "0.1", "--model.vocabulary-size", "16")
    config, population, plan = opened(tmp_path, texts, *flags)
    once, again, other = (
        private_vocabulary(config, population, np.arange(30), plan, NoiseKey.secret(secret, b"run"))
        for secret in (b"a" * 32, b"a" * 32, b"b" * 32)
    )
    assert once == again and len(once) == 16
    assert once.tokens[8:] == ("w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7")  # hardly any noise
    plan = replace(plan, vocabulary=replace(plan.vocabulary, noise_stddev=1.0))
    orders = {
        private_vocabulary(config, population, np.arange(30), plan, NoiseKey.seeded(seed)).tokens for seed in range(5)
    }
    assert len(orders) == 5 and other.tokens[8:] == once.tokens[8:]


def test_too_few_phones_for_any_word_are_refused_with_how_many_it_takes(tmp_path):
    config, population, plan = opened(tmp_path, ["the you and"] * 30)
    needed = plan.vocabulary.phones_for_half
    expected = rf"the training phones: expected words of enough phones \(some {needed:,} at epsilon 1; .* on 30 phones"
    with pytest.raises(ConfigError, match=expected):
        private_vocabulary(config, population, np.arange(30), plan, NoiseKey.seeded(0))


def test_a_modelled_deployment_scales_the_threshold_and_one_phone_still_never_suffices(tmp_path):
    texts = [f"hello you {'pair' if i < 2 else ''} own{i}" for i in range(30)]
    config, population, plan = opened(tmp_path, texts, "--privacy.delta", "1e-6", "--privacy.modelled-cohort", "100000")
    vocabulary = private_vocabulary(config, population, np.arange(30), plan, NoiseKey.seeded(0))
    assert set(vocabulary.tokens[8:]) == {"hello", "you"}  # --data.min-phones-a-word is 3
    assert (
        plan.vocabulary == opened(tmp_path, texts, "--privacy.delta", "1e-6")[2].vocabulary
    )  # the cost is that of the deployment, unscaled
    said = "\n".join(vocabulary_markdown(plan))
    assert "noise and threshold in this run" in said and "several of its phones" in said
    here = vocabulary_json(plan)["vocabulary"]
    assert here["threshold_in_this_run"] == pytest.approx(plan.vocabulary.threshold * 2 / 100_000)


FEW = ("--data.format", "synthetic", "--fleet.size", "60", "--cohort.goal", "2", "--model.vocabulary-size", "60")


def test_what_was_selected_is_read_when_the_run_goes_on_or_is_opened_again(tmp_path):
    flags = [*FEW, "--privacy.noise-multiplier", "1", "--privacy.modelled-cohort", "60"]
    config = parse_simulate(flags).run
    first, second = prepare(config), prepare(replace(config, seed=1))
    assert first.vocabulary != second.vocabulary
    (tmp_path / "model").mkdir()
    record_vocabulary(tmp_path, first.plan, first.task.vocabulary)
    assert prepare(config, of_run=tmp_path).vocabulary == first.vocabulary
    config = replace(config, output_dir=tmp_path)
    assert prepare(config, resume=True).vocabulary == first.vocabulary
    (tmp_path / "model" / "vocab.txt").write_text(second.task.vocabulary)
    assert prepare(config, resume=True).vocabulary == second.vocabulary  # it is read, and not counted again


def test_nothing_is_recorded_of_a_vocabulary_outside_of_the_guarantee(tmp_path):
    prepared = prepare(parse_simulate([*FEW, "--privacy.vocabulary-epsilon", "none"]).run)
    record_vocabulary(tmp_path, prepared.plan, prepared.task.vocabulary)
    assert not any(tmp_path.iterdir()) and recorded_vocabulary(tmp_path, prepared.plan) is None
    assert vocabulary_json(prepared.plan)["vocabulary"] is None and not vocabulary_markdown(prepared.plan)


def test_a_run_with_secret_noise_goes_on_with_its_words(tmp_path):
    flags = [*FEW, "--privacy.noise-multiplier", "1", "--privacy.modelled-cohort", "60", "--output-dir", str(tmp_path)]
    config = parse_simulate(flags).run
    assert config.privacy.noise_source == "secret" and prepare(config).vocabulary != prepare(config).vocabulary
    with RunProgress(io.StringIO(), config.rounds, 0) as progress:
        begun = start_run(prepare(config), resume=False, progress=progress)
        begun.close()
        config = parse_simulate(["--resume", str(tmp_path)]).run
        resumed = start_run(prepare(config, resume=True), resume=True, progress=progress)
        resumed.close()
    assert resumed.prepared.vocabulary == begun.prepared.vocabulary
    assert (tmp_path / "model" / "vocab.txt").read_text() == begun.prepared.task.vocabulary
    assert resumed.strategy.plan.vocabulary == begun.strategy.plan.vocabulary is not None


def on_an_account(tmp_path, *flags, name="run"):
    account = ["--privacy.account", str(tmp_path / "account.jsonl"), "--output-dir", str(tmp_path / name)]
    noise = ["--privacy.noise-multiplier", "1", "--privacy.modelled-cohort", "60", "--privacy.noise-source", "secret"]
    return parse_simulate([*FEW, *noise, *account, *flags]).run


def test_a_run_is_on_its_account_before_its_words_are_drawn(tmp_path, monkeypatch):
    config, at_the_draw = on_an_account(tmp_path), []

    def drawn(*arguments):
        at_the_draw.extend(Account.read(config.privacy.account).charges.values())
        return private_vocabulary(*arguments)

    monkeypatch.setattr(preparation, "private_vocabulary", drawn)
    prepared = prepare(config)
    (charge,) = at_the_draw
    assert charge.is_open and charge.cost == most_of(prepared.plan) and charge.name == "run"
    with RunProgress(io.StringIO(), config.rounds, 0) as progress:
        run = start_run(prepared, resume=False, progress=progress)
    run.close()
    now = Account.read(config.privacy.account).charges.values()
    words = Cost(prepared.plan.vocabulary.rho, prepared.plan.vocabulary.delta)
    assert charge.state == "reserved"
    in_it = Account.read(config.privacy.account).folder_of(run.directory.root)
    assert list(now) == [replace(charge, state="begun", words=words, folder=in_it)]  # the same one, once
    assert run.on_account.run == charge.run
    account, cost = Account.read(config.privacy.account), prepared.plan.vocabulary
    room = epsilon_by_rdp(2 * charge.cost.zcdp_rho + 1.5 * cost.rho, account.terms.delta)
    second = on_an_account(tmp_path, "--privacy.total-epsilon", str(room), name="second")
    with pytest.raises(AccountError, match="leave of epsilon"):
        for _ in range(9):
            prepare(second)  # and is killed
    charges = [*Account.read(config.privacy.account).charges.values()]
    assert not (tmp_path / "second").exists() and [one.state for one in charges] == ["begun", "abandoned", "drawn"]
    assert len(at_the_draw) == len(charges) + 3  # nothing was drawn for the one that was refused


def test_every_selection_without_words_is_charged(tmp_path):
    config = on_an_account(tmp_path, "--data.min-phones-a-word", "1000")
    for asked in (1, 2):
        with pytest.raises(ConfigError, match="expected words of enough phones"):
            prepare(config)
        plan = accept_input(config).plan
        charges = Account.read(config.privacy.account).charges.values()
        assert [(one.state, one.cost.zcdp_rho, one.cost.own_delta) for one in charges] == [
            ("settled", plan.vocabulary.rho, plan.vocabulary.delta)
        ] * asked
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_be_opened_has_spent_its_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(on_an_account(tmp_path), output_dir=None)
    prepared = prepare(config)
    assert [one.name for one in (tmp_path / "runs").iterdir()] == [prepared.reserved.made.name]
    monkeypatch.setattr(lifecycle, "record_vocabulary", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), RunProgress(io.StringIO(), config.rounds, 0) as progress:
        start_run(prepared, resume=False, progress=progress)
    (charge,) = Account.read(config.privacy.account).charges.values()
    assert charge.name == prepared.reserved.made.name
    assert (charge.state, charge.cost.zcdp_rho) == ("settled", prepared.plan.vocabulary.rho)
