"""Runs killed between their line on an account and their first checkpoint: freed if they released nothing."""

import io
from contextlib import nullcontext
from dataclasses import replace

import pytest

from server_strategy.privacy.account import Account
from server_strategy.privacy.account_lines import AccountError
from simulation.commands.account import main as account_main
from simulation.flags import parse_simulate
from simulation.run import lifecycle
from simulation.run.abandoning import abandon
from simulation.run.accepted_input import accept_input
from simulation.run.account import drawn_on_account, free_unbegun, most_of
from simulation.run.lifecycle import start_run
from simulation.run.other_runs import require_admission
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from simulation.run.reservation import reserved_for_words
from tests.simulation.run.test_private_vocabulary import on_an_account
from typefleet.errors import ConfigError


def charges_of(config):
    return [
        (one.state, one.cost.zcdp_rho, one.releases) for one in Account.read(config.privacy.account).charges.values()
    ]


def killed_before_its_words(config):
    """What is left of a process that was killed there, SIGKILL leaving it no time for anything."""
    return reserved_for_words(accept_input(config))


def started(prepared):
    with RunProgress(io.StringIO(), prepared.config.rounds, 0) as progress:
        run = start_run(prepared, resume=False, progress=progress)
    run.close()
    return run


def test_a_run_that_was_killed_before_it_began_is_freed_when_it_is_begun_anew(tmp_path):
    config = on_an_account(tmp_path)
    killed_before_its_words(config)
    most = most_of(accept_input(config).plan).zcdp_rho
    assert charges_of(config) == [("reserved", most, None)]
    epsilon = Account.read(config.privacy.account).total.epsilon
    elsewhere = on_an_account(tmp_path, name="elsewhere")
    reserved_for_words(accept_input(elsewhere))  # of another folder, which may be alive
    limited = replace(config, privacy=replace(config.privacy, total_epsilon=1.6 * epsilon))  # no room for three
    require_admission(accept_input(limited))
    started(prepare(limited))
    assert charges_of(config) == [("freed", 0.0, 0), ("reserved", most, None), ("begun", most, None)]


def test_the_account_is_asked_to_free_what_never_began_whatever_became_of_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(on_an_account(tmp_path), output_dir=None)
    made = killed_before_its_words(config).made
    most = most_of(accept_input(config).plan).zcdp_rho
    with pytest.raises(ConfigError, match="or of one that was killed before it and released nothing"):
        abandon(tmp_path / "another", config.privacy.account)
    assert charges_of(config) == [("reserved", most, None)]
    made.rmdir()
    account_main([str(config.privacy.account), "--abandon", str(made)])
    assert charges_of(config) == [("freed", 0.0, 0)]


@pytest.mark.parametrize("left", ["privacy_ledger.jsonl", "model/vocab.txt", "checkpoints/checkpoint-000000.npz"])
def test_nothing_is_freed_where_the_folder_holds_what_only_a_run_that_began_writes(left, tmp_path):
    config = on_an_account(tmp_path)  # its account being an older copy of itself
    killed_before_its_words(config)
    (config.output_dir / left).parent.mkdir(parents=True)
    (config.output_dir / left).touch()
    assert not free_unbegun(config.privacy.account, config.output_dir)
    assert [state for state, *_ in charges_of(config)] == ["reserved"]


def test_a_run_that_was_killed_before_its_words_costs_its_words(tmp_path, monkeypatch):
    config = on_an_account(tmp_path)
    prepared = prepare(config)
    words, most = prepared.plan.vocabulary.rho, most_of(prepared.plan).zcdp_rho
    assert charges_of(config) == [("drawn", most, None)]
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(lifecycle, "checkpoint", lambda *_: 1 / 0)  # its words are on disk
        patched.setattr(lifecycle, "words_alone_if_it_fails", lambda _: nullcontext())  # of a process that is gone
        started(prepared)
    folder = config.output_dir
    for left in ("rounds.jsonl", "checkpoints/checkpoint-000000.npz"):
        (folder / left).touch()
        assert not free_unbegun(config.privacy.account, folder)
        (folder / left).unlink()
    prepared = prepare(parse_simulate(["--resume", str(folder)]).run, resume=True)
    with RunProgress(io.StringIO(), config.rounds, 0) as progress:
        start_run(prepared, resume=True, progress=progress).close()
    charges = Account.read(config.privacy.account).charges.values()
    assert [(one.state, one.cost.zcdp_rho) for one in charges] == [("abandoned", words), ("opened", most)]
    assert not free_unbegun(config.privacy.account, folder)  # it goes on with its own number


def test_a_run_that_was_freed_while_it_lived_reserves_anew_or_ends(tmp_path):
    config = on_an_account(tmp_path)
    reserved, plan = killed_before_its_words(config), accept_input(config).plan
    most, epsilon = most_of(plan).zcdp_rho, Account.read(config.privacy.account).total.epsilon
    assert free_unbegun(config.privacy.account, config.output_dir)
    whole = config.privacy.account.read_text()
    drawn_on_account(reserved.on_account, reserved.words, plan)
    assert charges_of(config) == [("reopened", most, None)]
    config.privacy.account.write_text(whole)
    other = on_an_account(tmp_path, "--privacy.total-epsilon", str(1.1 * epsilon), name="other")
    reserved_for_words(accept_input(other))  # takes what was free
    with pytest.raises(AccountError, match="a run of at most rho"):
        drawn_on_account(reserved.on_account, reserved.words, plan)
    assert charges_of(config) == [("freed", 0.0, 0), ("reserved", most, None)]
