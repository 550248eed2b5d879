"""Runs on an account: opened before the first release, charged at every moment, whoever is killed or runs beside."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from server_strategy.config import CohortConfig
from server_strategy.privacy.account import Account
from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.costs import Cost, Terms
from server_strategy.privacy.ledger import ParticipationLog, privacy_after, privacy_spent
from server_strategy.privacy.ledger_lines import Binding
from server_strategy.privacy.planning import make_privacy_plan
from simulation.flags import parse_simulate
from simulation.run import account as module
from simulation.run.abandoning import abandon, given_up
from simulation.run.accepted_input import accept_input
from simulation.run.account import most_of
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.run.lifecycle import checkpoint, start_run
from simulation.run.other_runs import require_admission, settle
from simulation.run.outcome import write_outcome
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from simulation.run.records import RoundRecord
from simulation.studies.account_report import account_json, print_account
from tests.conftest import ROOT
from tests.simulation.conftest import TINY
from typefleet.errors import ConfigError, InputError

OWN_NOISE = ("--privacy.noise-source", "secret")
TERMS = Terms("a modelled deployment with 500 reports per round", delta=1e-6)


def opened(prepared, resume=False):
    said = io.StringIO()
    with RunProgress(said, 1, 0) as progress:
        run = start_run(prepared, resume=resume, progress=progress)
    run.close()
    return run, said.getvalue()


@pytest.fixture(scope="module")
def input_of_tiny():
    return prepare(parse_simulate([*map(str, TINY), "--privacy.vocabulary-epsilon", "none", *OWN_NOISE]).run)


@pytest.fixture
def prepared(input_of_tiny, tmp_path):
    """The input of a run on an account, as often as asked for, each time in a folder of its own."""

    def of(name, **privacy):
        config = input_of_tiny.config
        account = {"account": tmp_path / "account.jsonl", **privacy}
        changed = replace(config, output_dir=tmp_path / name, privacy=replace(config.privacy, **account))
        return replace(input_of_tiny, config=changed)

    return of


def account_of(prepared):
    return Account.read(prepared.config.privacy.account)


@pytest.mark.parametrize("privacy", [{}, {"target_epsilon": 3.0}, {"noise_multiplier": 1.0, "target_epsilon": 6.0}])
@pytest.mark.parametrize("seed", range(3))
def test_whoever_takes_part_within_the_plan_and_its_budget_costs_at_most_what_is_reserved(privacy, seed):
    cohort = CohortConfig(goal=4, min_separation_rounds=2, max_participations=5)
    settings = PrivacyConfig(**(privacy or {"noise_multiplier": 2.0}))
    plan = make_privacy_plan(cohort, settings, rounds=12, num_phones=10)
    most, log, rng = most_of(plan).zcdp_rho, ParticipationLog(10), np.random.default_rng(seed)
    for release in range(1, 13):
        free = np.flatnonzero(log.may_participate(release, 2, 5))
        phones = rng.permutation(free)[:4]
        after = privacy_after(plan, log, release, phones)
        if plan.epsilon_budget is not None and after.epsilon > plan.epsilon_budget:
            break  # which a run does
        log.record(release, phones)
        assert privacy_spent(plan, log, release).zcdp_rho <= most <= plan.zcdp_rho


def test_the_most_is_reserved_before_anything_is_released_and_the_total_is_said(prepared):
    one = prepared("one", total_epsilon=9.0)
    run, said = opened(one)
    (charge,) = account_of(one).charges.values()
    assert charge.is_open and charge.cost == most_of(one.plan) == Cost(0.5) and charge.name == "one"
    assert "account     account.jsonl: 1 run, together epsilon 5.23" in said and "above 9" in said
    write_outcome(run)
    stated = json.loads((run.directory.root / "privacy.json").read_text())["other_runs"]["account"]
    assert (stated["runs"], stated["zcdp_rho"], stated["total_epsilon"]) == (1, 0.5, 9.0)
    assert stated["line_sha256"] == account_of(one).head[1]
    page = (run.directory.root / "privacy.md").read_text()
    assert "The 1 run on account.jsonl, this one among them, cost each phone together at most epsilon 5.23" in page


@pytest.mark.parametrize("known_by", ["its statement", "its ledger"])
def test_a_run_with_releases_does_not_go_on_off_its_account_nor_without_it(known_by, prepared):
    one = prepared("one")
    run, _ = opened(one)
    if known_by == "its statement":
        write_outcome(run)
    else:
        releases_made(run, ["a" * 64])
    whole = one.config.privacy.account.read_text()
    with pytest.raises(AccountError, match=r"--privacy\.account: expected the account that .*one.* names, found none"):
        opened(prepared("one", account=None), resume=True)
    one.config.privacy.account.unlink()
    with pytest.raises(AccountError, match=r"the account that \S*one was charged on before its releases, found none"):
        opened(one, resume=True)
    assert not one.config.privacy.account.exists()
    opened(prepared("two"))  # which begins it anew
    with pytest.raises(AccountError, match=r"names, found another|found one without it"):
        opened(one, resume=True)
    one.config.privacy.account.write_text(whole)
    opened(one, resume=True)


def test_an_account_that_is_gone_before_the_first_release_is_begun_anew_by_the_run_that_goes_on(prepared):
    one = prepared("one")
    run, _ = opened(one)
    one.config.privacy.account.unlink()
    again, _ = opened(one, resume=True)
    (charge,) = account_of(one).charges.values()
    assert charge.run == run.on_account.run == again.on_account.run and charge.cost == most_of(one.plan)


def test_of_two_that_begin_at_once_the_one_without_room_keeps_no_secret(prepared):
    opened(prepared("one", total_epsilon=6.0))
    two = prepared("two")
    with pytest.raises(AccountError, match="leave of epsilon 6"):
        opened(two)  # it was let in before the other one had its line
    folder = two.config.output_dir
    assert not (folder / "noise_secret").exists() and not any((folder / "checkpoints").iterdir())
    given = prepared("two", account=None)
    (folder / "model" / ".vocab.txt-0123abcd").touch()
    _, said = opened(given, resume=True)
    assert "starting it anew" in said and not any((folder / "model").glob(".*"))


def test_noise_that_other_runs_share_is_refused_on_an_account(prepared):
    one = prepared("one", noise_source="seeded")
    one = replace(one, plan=replace(one.plan, noise_source="seeded"))
    said = r"--privacy\.noise-source: expected secret, with --privacy\.account, found seeded; what runs cost cannot be"
    with pytest.raises(ConfigError, match=said):
        require_admission(accept_input(one.config))
    with pytest.raises(ConfigError, match=said):
        opened(one)
    assert not one.config.privacy.account.exists()


def test_what_cannot_be_an_account_is_refused_under_its_flag(prepared, tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("none/account.jsonl")
    for place in (".", "loop", "nowhere", "loop/account.jsonl"):
        with pytest.raises(ConfigError, match=r"--privacy\.account: expected a file .*, found .*\S$"):
            require_admission(accept_input(prepared("one", account=tmp_path / place).config))


def test_a_run_that_may_not_fit_is_refused_before_anything_is_started(prepared, tmp_path):
    opened(prepared("one", total_epsilon=9.0))
    accepted = accept_input(prepared("two", noise_multiplier=0.5).config)
    with pytest.raises(AccountError, match=r"expected a run of at most rho \S+ \(epsilon \S+ .*, which 1 before it"):
        require_admission(accepted)
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("killed_at", ["before the line", "after the line", "after a checkpoint", "at the end"])
def test_killed_anywhere_a_run_is_charged_with_the_most_and_once(killed_at, prepared, monkeypatch):
    one = prepared("one")
    if killed_at == "before the line":
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(module, "_change", _killed)
            opened(one)
        assert not one.config.privacy.account.exists()  # and no round was begun
    else:
        run, _ = opened(one)
        if killed_at != "after the line":
            checkpoint(run)
            write_outcome(run)
        if killed_at == "at the end":
            settle(run)
        assert account_of(one).total.zcdp_rho == (0.0 if killed_at == "at the end" else 0.5)
    again, _ = opened(one, resume=True)
    assert len(account_of(one).charges) == 1 and account_of(one).total.zcdp_rho == 0.5
    settle(again)
    before = account_of(one)
    settle(again)  # a kill between this and the statement lets it be said twice
    assert account_of(one) == before and before.total.reserved == 0


def _killed(*_):
    raise KeyboardInterrupt


def test_abandoned_a_run_costs_what_its_ledger_records_and_never_goes_on(prepared):
    one, two = prepared("one", total_epsilon=6.0), prepared("two")
    run, _ = opened(one)
    with pytest.raises(AccountError, match="which 1 before it leave of epsilon 6"):
        opened(two)
    abandon(run.directory.root)
    (charge,) = account_of(one).charges.values()
    assert charge.state == "abandoned" and charge.cost == Cost(0.0)
    shutil.rmtree(two.config.output_dir)
    opened(two)
    given_up(two.config.output_dir)
    with pytest.raises(AccountError, match="expected a run that may go on, found one that was given up; that is for"):
        opened(one, resume=True)
    assert account_of(one).total.zcdp_rho == 0.0
    alone, _ = opened(prepared("alone", account=None))
    given_up(alone.directory.root)  # nothing to give up
    with pytest.raises(ConfigError, match="a run on an account"):
        abandon(alone.directory.root)


def test_a_run_that_came_to_an_account_as_it_went_on_does_not_leave_it(prepared):
    without, one = prepared("one", account=None), prepared("one")
    write_outcome(opened(without)[0])
    run, _ = opened(one, resume=True)
    releases_made(run, ["a" * 64])  # and it is killed before its statement names the account
    with pytest.raises(AccountError, match=r"--privacy\.account: expected the account that .*one.* names, found none"):
        opened(without, resume=True)
    opened(one, resume=True)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_run_that_was_given_up_goes_on_with_no_account_and_its_noise_is_forgotten(keeps, prepared, tmp_path):
    one = prepared("one", mechanism="blt", keep_noise_secret=keeps)
    run, _ = opened(one)
    copy = shutil.copyfile(one.config.privacy.account, tmp_path / "copy.jsonl")
    abandon(run.directory.root)
    for account in (one.config.privacy.account, copy, None):
        with pytest.raises(AccountError, match="expected a run that may go on, found one that was given up"):
            opened(prepared("one", mechanism="blt", keep_noise_secret=keeps, account=account), resume=True)
    stored, _ = load_newest_checkpoint(run.directory.checkpoints)
    assert ("forgotten" in stored.state["strategy"]["noise"]) is not keeps
    assert (run.directory.root / "noise_secret").exists() is keeps
    abandon(run.directory.root)  # again, which changes nothing
    assert account_of(one).total.reserved == 0


def test_one_whose_newest_checkpoint_is_damaged_leaves_none_to_go_on_from(prepared):
    one = prepared("one")
    run, _ = opened(one)
    damaged = run.directory.checkpoints / "checkpoint-000009.npz"
    damaged.write_bytes(b"PK")
    own = damaged.with_name("checkpoint-copy.npz")  # a file of somebody's, which stays
    own.write_bytes(b"PK")
    abandon(run.directory.root)
    assert {path.name for path in run.directory.checkpoints.iterdir()} == {damaged.name, own.name}
    with pytest.raises(AccountError, match="that was given up"):
        opened(one, resume=True)


def test_loops_of_links_are_no_account_and_no_folder(prepared, tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ConfigError, match=r"--privacy\.account: expected a file in .*, found \S*loop, a loop of links"):
        require_admission(accept_input(prepared("one", account=loop).config))
    for folder in (loop, loop / "one"):
        config = replace(prepared("one").config, output_dir=folder)
        with pytest.raises(ConfigError, match=r"--output-dir: expected a new or empty folder, found \S*loop, a link"):
            accept_input(config)
    opened(one := prepared("one"))
    with pytest.raises(ConfigError, match=r"--abandon: .*loop: expected the folder of a run"):
        abandon(loop, one.config.privacy.account)


def test_an_account_that_is_a_link_to_nothing_is_begun_where_it_leads(prepared, tmp_path):
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "there.jsonl")
    one = prepared("one", account=tmp_path / "link.jsonl")
    require_admission(accept_input(one.config))
    opened(one)
    assert (tmp_path / "link.jsonl").is_symlink() and len(Account.read(tmp_path / "there.jsonl").charges) == 1
    (tmp_path / "away.jsonl").symlink_to(tmp_path / "nowhere" / "there.jsonl")
    with pytest.raises(ConfigError, match=r"--privacy\.account: expected a file in a folder that is there"):
        require_admission(accept_input(prepared("two", account=tmp_path / "away.jsonl").config))


def test_a_copy_of_a_run_is_neither_given_up_nor_gone_on_with_on_its_account(prepared, tmp_path):
    one = prepared("one", total_epsilon=6.0)
    run, _ = opened(one)
    copy = shutil.copytree(run.directory.root, tmp_path / "copy")
    before = account_of(one)
    with pytest.raises(AccountError, match=r"copy: expected the very folder in which one was charged on \S+, found an"):
        abandon(copy)
    with pytest.raises(AccountError, match="found another one: a copy of it, or moved to another disk; the run stays"):
        opened(prepared("copy", total_epsilon=6.0), resume=True)
    run.directory.root.rename(tmp_path / "aside")
    copy.rename(run.directory.root)  # under its name
    with pytest.raises(AccountError, match="one: expected the very folder"):
        abandon(run.directory.root)
    assert account_of(one) == before
    abandon(tmp_path / "aside")  # it is the folder that counts, not its name
    assert account_of(one).total.reserved == 0


def test_before_each_release_a_run_asks_its_account(prepared):
    one = prepared("one", total_epsilon=6.0)
    run, _ = opened(one)
    permit, spent = run.strategy._releases.permit, run.strategy.spent(False)
    permit(replace(spent, zcdp_rho=0.5))
    permit(replace(spent, zcdp_rho=0.55))  # a release made again, of another sum
    assert account_of(one).total.zcdp_rho == 0.55
    with pytest.raises(AccountError, match="which 0 before it leave of epsilon 6"):
        permit(replace(spent, zcdp_rho=0.8))
    assert account_of(one).total.zcdp_rho == 0.55
    abandon(run.directory.root)  # as one can whose lock is lost
    with pytest.raises(AccountError, match="found one, which was given up"):
        permit(replace(spent, zcdp_rho=0.1))


def releases_made(run, weights):
    """Put releases on the run's ledger, and the last of them in rounds.jsonl, as rounds do."""
    ledger, log = run.strategy.ledger, ParticipationLog(8 * len(weights))
    for number, digest in enumerate(weights, start=1):
        phones = np.arange(8 * number - 8, 8 * number)
        log.record(number, phones)
        spent = privacy_spent(ledger.plan, log, number)
        ledger.record(number, phones.astype(np.uint64), spent, Binding("0" * 64, digest))
        run.directory.append_round(
            RoundRecord(
                **dict.fromkeys(("abandoned", "funnel", "clipped_share", "zcdp_rho", "epsilon", "held_out")),
                **dict.fromkeys(("loss", "clip_norm", "train_seconds", "tokens_per_second"), 1.0),
                round=number,
                completed=number,
                reports=8,
                rejected=[],
                failed={},
                tokens=1,
                epsilon_is_of="this run",
                weights_sha256=digest,
            )
        )


def test_nothing_is_free_again_of_a_run_whose_ledger_is_missing_cut_off_or_of_another_run(prepared):
    one, two = prepared("one"), prepared("two")
    run, other = opened(one)[0], opened(two)[0]
    releases_made(run, ["a" * 64, "b" * 64])
    releases_made(other, ["a" * 64, "c" * 64])
    ledger, before = run.directory.ledger, account_of(one)
    whole = ledger.read_text()
    cut = "".join(whole.splitlines(keepends=True)[:-1])
    for content, why in {
        "": "the ledger of the run, found none",
        cut: r"at least the 2 releases that rounds\.jsonl knows of, found 1",
        other.directory.ledger.read_text(): r"the release that led to the weights of rounds\.jsonl, found none",
        whole.replace('"zero-out"', '"x"'): "an unbroken chain",
    }.items():
        ledger.write_text(content)
        with pytest.raises(InputError, match=why):
            abandon(run.directory.root)
    ledger.unlink()
    with pytest.raises(AccountError, match="found none; the run stays charged with the most that it could spend"):
        abandon(run.directory.root)
    third, _ = opened(prepared("third", account=None))
    ledger.write_text(third.directory.ledger.read_text())  # of a run without releases
    with pytest.raises(AccountError, match="found 0"):
        abandon(run.directory.root)
    assert account_of(one) == before
    ledger.write_text(whole)
    abandon(run.directory.root)
    charge = account_of(one).charges[run.on_account.run]
    assert (charge.state, charge.cost, charge.releases) == ("abandoned", Cost(0.5), 2)


def test_a_ledger_of_another_plan_frees_nothing(prepared):
    one = prepared("one")
    run, _ = opened(one)
    cheap = prepared("cheap", account=None)
    opened(replace(cheap, plan=replace(cheap.plan, noise_multiplier=4.0)))
    run.directory.ledger.write_bytes((cheap.config.output_dir / "privacy_ledger.jsonl").read_bytes())
    with pytest.raises(AccountError, match=r"jsonl:1: expected the plan that the run was opened with, found another"):
        abandon(run.directory.root)


def test_a_folder_that_is_no_run_is_left_as_it_is(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    account = Account.begun(tmp_path / "account.jsonl", "of nobody", "nothing", "2026-01-05")
    for there in (False, True):
        if there:
            account.path.write_text(account.to_text())
        for folder, found in ((tmp_path, "another one"), (tmp_path / "none", "none"), (tmp_path / "loop", "none")):
            with pytest.raises(ConfigError, match=rf"--abandon: .*: expected the folder of a run .*, found {found}"):
                abandon(folder, account.path)
    assert account.path.read_text() == account.to_text()


def test_an_account_of_other_data_another_deployment_or_without_the_line_of_a_run_is_refused(prepared, tmp_path):
    one = prepared("one")
    run, _ = opened(one)
    write_outcome(run)
    path = one.config.privacy.account
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:1]))  # an older copy of itself, in which nothing is broken
    with pytest.raises(AccountError, match=r"account\.jsonl:2: expected the line that .*privacy\.json names"):
        opened(one, resume=True)
    path.write_text(whole)
    other = prepared("other", modelled_cohort=None)
    plan = replace(other.plan, modelled_cohort=None)
    with pytest.raises(AccountError, match="costs of two deployments do not add up"):
        opened(replace(other, plan=plan))
    path.write_text(Account.begun(path, "text-00", "the messages in x.csv", "2026-11-29").to_text())
    with pytest.raises(AccountError, match="the account of this run's data, found one of the messages in x"):
        opened(prepared("third"))
    path.unlink()
    with pytest.raises(AccountError, match="the account that the run was opened on, found none"):
        settle(run)


WRITER = """
import sys
from pathlib import Path
from server_strategy.privacy.account import Account
from server_strategy.privacy.costs import Cost, Terms
from simulation.run.account import _change
path, own = Path(sys.argv[1]), sys.argv[2]
terms = Terms("this run", delta=1e-6)
for number in range(12):
    def change(account):
        account = account or Account.begun(path, "text-00", "somebody's", "2026-11-29")
        about = dict(name=own, phones=9, total_epsilon=None)
        return account.opened(f"{own}-{number}", Cost(0.25), terms, "2026-11-29", **about)
    _change(path, change)
"""


def test_processes_at_once_lose_no_line(tmp_path):
    path = tmp_path / "account.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    account = Account.read(path)
    assert account.total.runs == 36 and account.total.zcdp_rho == 9.0
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == [".account.jsonl.lock", "account.jsonl"]


def test_without_an_account_the_statement_says_that_other_runs_are_not_counted(input_of_tiny, tmp_path):
    run, _ = opened(replace(input_of_tiny, config=replace(input_of_tiny.config, output_dir=tmp_path / "run")))
    write_outcome(run)
    page = (tmp_path / "run" / "privacy.md").read_text()
    assert "Other runs on the same phones are not counted here" in page and "--privacy.account" in page


def test_an_account_is_shown_to_people_and_to_programs(prepared):
    one = prepared("one", total_epsilon=9.0)
    opened(one)
    shown, content = io.StringIO(), io.StringIO()
    print_account(shown, one.config.privacy.account)
    account_json(content, one.config.privacy.account)
    found = json.loads(content.getvalue())
    assert "reserved" in shown.getvalue() and "of epsilon 9 in all" in shown.getvalue()
    assert found["total"]["zcdp_rho"] == 0.5 and found["runs"][0]["reserved"] and found["left_zcdp_rho"] > 0
