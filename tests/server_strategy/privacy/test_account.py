import json
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server_strategy.privacy.account import Account
from server_strategy.privacy.account_lines import AccountError
from server_strategy.privacy.accounting import epsilon_by_rdp
from server_strategy.privacy.costs import Cost, Terms, added_up
from server_strategy.privacy.ledger_lines import chained

TERMS = Terms("this run", delta=1e-6)
DATE = "2026-11-29"
ABOUT = {"name": "a", "phones": 9, "total_epsilon": None}
RHO = st.floats(0, 1e6, allow_nan=False)


def begun(tmp_path):
    return Account.begun(tmp_path / "account.jsonl", "text-00", "the messages in x.csv", DATE)


def with_run(account, run, rho, total=None, terms=TERMS, own_delta=0.0):
    return account.opened(run, Cost(rho, own_delta), terms, DATE, **{**ABOUT, "total_epsilon": total})


def kept(account):
    """As it comes back from its file."""
    account.path.write_text(account.to_text())
    return Account.read(account.path)


@pytest.fixture
def two_runs(tmp_path):
    account = with_run(with_run(begun(tmp_path), "r1", 0.5, 20.0), "r2", 0.25, own_delta=1e-9)
    return account.closed("r1", Cost(0.375), 7, DATE)


@given(st.lists(RHO, max_size=60))
def test_the_sum_is_never_below_the_exact_one_and_next_to_it(rhos):
    total, exact = added_up([Cost(rho) for rho in rhos]).zcdp_rho, sum(map(Fraction, rhos))
    assert Fraction(total) >= exact and (total == 0 or Fraction(math.nextafter(total, 0)) < exact)


class Histories(RuleBasedStateMachine):
    """Runs that open, spend, die, come back, end or are given up, in any order, beside what they truly spent."""

    def __init__(self):
        super().__init__()
        self.account = Account.begun("account.jsonl", "text-00", "somebody's", DATE)
        self.most, self.spent = {}, {}

    @rule(rho=RHO)
    def opens(self, rho):
        run = f"r{len(self.most)}"
        self.account = with_run(self.account, run, rho)
        self.most[run], self.spent[run] = rho, 0.0

    @rule(data=st.data(), share=st.floats(0, 1))
    def spends(self, data, share):
        if self.most:
            run = data.draw(st.sampled_from(sorted(self.most)))
            try:
                self.account = with_run(self.account, run, self.most[run])  # nothing is released that is not reserved
            except AccountError:
                assert self.account.charges[run].given_up
                return
            self.spent[run] = max(self.spent[run], share * self.most[run])

    @rule(data=st.data(), abandoned=st.booleans())
    def ends(self, data, abandoned):
        if self.most:
            run = data.draw(st.sampled_from(sorted(self.most)))
            self.account = self.account.closed(run, Cost(self.spent[run]), 3, DATE, abandoned=abandoned)

    @invariant()
    def never_too_little(self):
        exact = sum(map(Fraction, self.spent.values()), Fraction())
        assert Fraction(self.account.total.zcdp_rho) >= exact
        if self.most and not self.account.total.reserved:
            assert Fraction(math.nextafter(self.account.total.zcdp_rho, 0)) < exact or not exact


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=30, stateful_step_count=15)


def test_epsilon_is_of_the_sum_at_the_first_runs_delta_and_further_deltas_are_added(two_runs):
    account = kept(two_runs)
    total = account.total
    assert account == two_runs and total.zcdp_rho == 0.625
    assert total.epsilon == epsilon_by_rdp(0.625, 1e-6) and total.delta == 1e-6 + 1e-9
    assert (total.runs, total.reserved, total.unbounded, account.limit) == (2, 1, 0, 20.0)
    later = with_run(account, "r3", 0.1, terms=replace(TERMS, delta=1e-3))  # which translates its own rho elsewhere
    assert later.total.delta == 1e-6 + 1e-9


def test_a_limit_is_for_all_and_what_is_left_is_said(tmp_path):
    account = with_run(begun(tmp_path), "r1", 0.5, total=8.0)
    left = account.left().zcdp_rho
    assert epsilon_by_rdp(0.5 + left, 1e-6) <= 8 < epsilon_by_rdp(0.5 + left * 1.0001, 1e-6)
    fits = with_run(account, "r2", left * 0.999)  # a run that names no limit is held to it as well
    with pytest.raises(AccountError, match=r"a run of at most rho \S+ \(epsilon \S+ for a run alone\), which 2"):
        with_run(fits, "r3", left)
    with pytest.raises(AccountError, match=r"at most 8, with which a run on .* was begun, found 9"):
        with_run(account, "r2", 0.01, total=9.0)
    settled = fits.closed("r2", Cost(0.0), 0, DATE)
    assert with_run(settled, "r3", left * 0.999).total.epsilon <= 8  # what was reserved and not spent is free again
    reopened = with_run(settled, "r3", left * 0.9)
    with pytest.raises(AccountError, match=r"--privacy\.total-epsilon"):
        reopened.reopened("r2", Cost(left * 0.999), DATE)


def test_a_run_without_privacy_is_on_record_and_the_total_has_no_bound(tmp_path):
    none = Terms("no privacy")
    account = kept(with_run(with_run(begun(tmp_path), "r1", None, terms=none), "r2", 0.5))
    assert account.total.epsilon is None and account.total.unbounded == 1
    assert account.closed("r1", Cost(None), 3, DATE).total.unbounded == 1
    with pytest.raises(AccountError, match="1 before it that nothing bounds; nothing is left"):
        with_run(account, "r3", 0.1, total=8.0)
    with pytest.raises(AccountError, match="epsilon 8, found one that nothing bounds"):
        with_run(with_run(begun(tmp_path), "r1", 0.1, total=8.0), "r2", None, terms=none)


@pytest.mark.parametrize(
    "other", [Terms("a modelled deployment", delta=1e-6), Terms("this run", "add-or-remove", 1e-6)]
)
def test_two_currencies_are_not_mixed(other, two_runs):
    with pytest.raises(AccountError, match="costs of two deployments do not add up, so each has an account of its own"):
        with_run(two_runs, "r3", 0.1, terms=other)


def test_another_population_is_refused(two_runs):
    two_runs.require_population("text-00")
    with pytest.raises(AccountError, match=r"the account of this run's data, found one of the messages in x\.csv"):
        two_runs.require_population("text-01")


def test_repeating_a_step_changes_nothing(two_runs):
    assert two_runs.closed("r1", Cost(0.375), 7, DATE) is two_runs
    assert with_run(two_runs, "r2", 0.25) is two_runs
    assert two_runs.with_earlier("w", "start", Cost(0.1), TERMS, DATE).with_earlier("w", "s", Cost(9), TERMS, DATE) == (
        two_runs.with_earlier("w", "start", Cost(0.1), TERMS, DATE)
    )
    with pytest.raises(AccountError, match="the account that the run was opened on, found one without it"):
        two_runs.closed("r9", Cost(0.1), 1, DATE)


# Forged accounts -------------------------------------------------------------------------------------------


def lines(account):
    return account.to_text().splitlines(keepends=True)


def rechained(entries):
    """What somebody writes who can compute hashes."""
    chain = []
    for number, entry in enumerate(entries, start=1):
        body = {k: v for k, v in entry.items() if k not in ("hash", "previous")}
        chain.append(chained({**body, "line": number}, chain[-1]["hash"] if chain else ""))
    return "".join(json.dumps(entry) + "\n" for entry in chain)


def refused(account, text, where, match):
    account.path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(AccountError, match=match) as caught:
        Account.read(account.path)
    assert str(caught.value).startswith(f"{account.path}{where}: expected ") and "\n" not in str(caught.value)


def test_every_edit_of_every_field_is_found_in_its_line(two_runs):
    for number, line in enumerate(lines(two_runs)):
        for name, value in json.loads(line).items():
            for other in (None, 0.125, 3, "x", [], True):
                if other != value or type(other) is not type(value):
                    edited = lines(two_runs)
                    edited[number] = json.dumps({**json.loads(line), name: other}) + "\n"
                    refused(two_runs, "".join(edited), f":{number + 1}", "expected")
            short = lines(two_runs)
            short[number] = json.dumps({k: v for k, v in json.loads(line).items() if k != name}) + "\n"
            refused(two_runs, "".join(short), f":{number + 1}", f"no {name}|another kind")


def test_lines_that_are_missing_moved_or_cut_off_are_found(two_runs):
    one, two, three, four = lines(two_runs)
    refused(two_runs, one + three + four, ":2", "edited or missing line")
    refused(two_runs, one + three + two + four, ":2", "edited or missing line")
    refused(two_runs, two + three, ":1", "another kind of line")
    refused(two_runs, one + one, ":2", "another kind of line")
    refused(two_runs, "", ":1", "an empty file")
    for cut in (1, 2, 40):
        refused(two_runs, (one + two + three + four)[:-cut], ":4", "a part of one")
    refused(two_runs, one + "{}\n", ":2", "another kind of line")
    refused(two_runs, one + "[]\n", ":2", "found a list")
    refused(two_runs, one + "nonsense\n", ":2", "invalid JSON")
    refused(two_runs, one.encode() + b"\xff\n", ":2", "UTF-8")
    two_runs.path.unlink()
    with pytest.raises(AccountError, match="no such file"):
        Account.read(two_runs.path)


def test_a_rewritten_chain_still_has_to_be_a_history(two_runs):
    first, opened, other, settled = two_runs.entries
    reopened = {"kind": "reopened", "run": "r1", "date": DATE, "zcdp_rho": 0.1, "own_delta": 0.0, "total_epsilon": None}
    mixed = {**other, "deployment": "a modelled one"}
    unbounded = {**settled, "zcdp_rho": None}
    refused(two_runs, rechained([first, settled]), ":2", "a run settled out of it")
    refused(two_runs, rechained([first, opened, opened]), ":3", "a run opened out of it")
    refused(two_runs, rechained([first, opened, settled, reopened]), ":4", "no less than what was settled before")
    refused(two_runs, rechained([first, opened, {**settled, "zcdp_rho": None}]), ":3", "no less")
    refused(two_runs, rechained([first, opened, mixed]), ":3", "deployment and adjacency")
    refused(two_runs, rechained([first, opened, other, unbounded]), ":4", "no less")
    refused(two_runs, rechained([first, {**opened, "delta": None}]), ":2", "a cost with its delta")
    refused(two_runs, rechained([first, {**opened, "zcdp_rho": -1.0}]), ":2", "out of its bounds")
    refused(two_runs, rechained([first, {**opened, "date": "today"}]), ":2", "date")


def test_what_is_spent_beyond_the_reserved_is_put_down_whether_there_is_room_or_not(tmp_path):
    account = with_run(begun(tmp_path), "r1", 0.5, total=6.0)
    assert account.outgrown("r1", Cost(0.5), DATE) is account
    more = kept(account.outgrown("r1", Cost(0.75), DATE))
    assert more.total.zcdp_rho == 0.75 and more.total.epsilon > 6
    assert more.closed("r1", Cost(0.75), 9, DATE).total.zcdp_rho == 0.75


def test_an_account_with_two_names_is_refused(two_runs):
    kept(two_runs)
    (other := two_runs.path.with_name("other")).hardlink_to(two_runs.path)
    for name in (two_runs.path, other):
        with pytest.raises(
            AccountError, match=r"expected an account with one name \(no hard links\), found 2; each would"
        ):
            Account.read(name)
    other.unlink()
    other.symlink_to(two_runs.path)  # leads to the same file, whatever becomes of it
    assert Account.read(other).charges == two_runs.charges


@pytest.mark.parametrize("limit", [None, 20.0])
def test_deltas_are_added_and_stay_below_1(limit, tmp_path):
    account = begun(tmp_path)
    for run in ("r1", "r2", "r3"):
        account = with_run(account, run, 0.1, limit, own_delta=0.3)
    assert account.total.delta == pytest.approx(0.9 + 1e-6)
    with pytest.raises(AccountError, match=r"runs whose deltas add up to less than 1, found 1\.21 with this one"):
        with_run(account, "r4", 0.1, limit, own_delta=0.3)
    with pytest.raises(AccountError, match="deltas add up to less than 1"):
        account.reopened("r1", Cost(0.1, 0.5), DATE)
    with pytest.raises(AccountError, match=r"found 1\.1 with this one"):
        with_run(begun(tmp_path), "r1", 0.1, limit, terms=replace(TERMS, delta=0.8), own_delta=0.3)
    closed = account.closed("r1", Cost(0.1, 0.1), 1, DATE)
    with_run(closed, "r4", 0.1, limit, own_delta=0.2)


def test_only_a_reserved_run_draws_begins_or_is_freed_and_once(tmp_path):
    most, words = Cost(0.5), Cost(0.125, 1e-9)
    account = begun(tmp_path).opened("r", most, TERMS, DATE, place="00", **ABOUT)
    assert account.charges["r"].is_open and account.charges["r"].place == "00"
    freed, drawn = account.freed("r", DATE), account.drawn("r", words, most, DATE)
    going = drawn.begun_by("r", DATE)
    assert (freed.total.zcdp_rho, freed.total.reserved, freed.charges["r"].releases) == (0.0, 0, 0)
    assert going.total == drawn.total == account.total and drawn.charges["r"].words == words
    for told in (drawn, going):
        assert told.freed("r", DATE) is told  # it may have released something
    assert freed.freed("r", DATE) is freed and kept(freed).charges == freed.charges
    assert freed.drawn("r", words, most, DATE).total == account.total  # it was alive
    assert kept(going).closed("r", Cost(0.25), 3, DATE).total.zcdp_rho == 0.25
    with_one = with_run(begun(tmp_path), "r", 0.5)
    assert with_one.freed("r", DATE) is with_one.begun_by("r", DATE) is with_one  # one that tells nothing of this
    for kind, fields in (("drawn", vars(words)), ("begun", {}), ("freed", {})):
        for one in (freed, going, with_one, *([drawn] if kind != "begun" else [])):
            with pytest.raises(AccountError, match=f"a step of a run in its order, found a run {kind} out of it"):
                kept(one._grown(kind, DATE, {"run": "r", **fields}))
