"""Sums that the server has learnt, with the phones' noise in them, and that lead to no model: each is on record."""

import json
from copy import deepcopy
from dataclasses import asdict

import numpy as np
import pytest
from flwr.app import ConfigRecord

from server_strategy.privacy.distributed_noise.vectors_digest import added_digests, vector_digest
from server_strategy.privacy.ledger import recompute
from server_strategy.privacy.ledger_lines import ASKED, HIDDEN, LedgerError, chained, read_ledger
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.releases import REPEATED_WITH_ANOTHER_SUM, Releases
from simulation.engine import summed_shard
from simulation.studies.privacy_evidence import gather
from simulation.studies.privacy_findings import Findings
from simulation.studies.privacy_lines import check_lines
from tests.server_strategy.test_dp_fedavg import Nodes, flat, start_arrays
from tests.server_strategy.test_noised_rounds import NOISE, Hosts, plan_of, play_round, strategy_of

PLAN = plan_of()


class Killed(BaseException):
    """What a SIGKILL does to a process, as far as the files go."""


def kinds(path):
    return [entry.get("sum", "release") for entry in read_ledger(path)[0][1:]]


def killed_in(path, protocol, server_round, monkeypatch):
    """(state and weights before a round in which a run was killed when it had learnt the sum; the sum's line)."""
    hosts = Hosts()
    strategy, arrays = strategy_of(PLAN, protocol, hosts, ledger_path=path), start_arrays()
    for r in range(1, server_round):
        arrays = play_round(strategy, hosts, r, arrays)
    state = deepcopy(strategy.state())
    with monkeypatch.context() as patched:
        patched.setattr(Releases, "_next_weights", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            play_round(strategy, hosts, server_round, arrays)
    return state, arrays, read_ledger(path)[0][-1]


def gone_on(path, state, hosts, protocol="secagg"):
    strategy = strategy_of(PLAN, protocol, hosts, ledger_path=path)
    strategy.load_state(state)
    return strategy


@pytest.mark.parametrize("protocol", ["arithmetic", "secagg"])
def test_a_run_that_is_killed_when_it_has_the_sum_has_spent_it(protocol, tmp_path, monkeypatch):
    path = tmp_path / "l"
    _, _, line = killed_in(path, protocol, 2, monkeypatch)
    assert kinds(path) == [ASKED, "release", ASKED] and (line["round"], line["release"]) == (2, 2)
    spent = recompute(path, 1, everything=True)
    assert (spent["releases"], spent["unreleased_sums"], spent["repeated_releases"]) == (1, 1, 0)
    assert recompute(path, 1) == spent  # nor is it left out of what an unfinished run says of itself
    assert spent["zcdp_rho"] == pytest.approx(PLAN.rho_of(2, 1, spent["max_participations"]))


def test_the_same_sum_again_is_the_same_release_and_free(tmp_path, monkeypatch):
    path, straight = tmp_path / "l", tmp_path / "straight"
    state, arrays, _ = killed_in(path, "secagg", 2, monkeypatch)
    hosts = Hosts()
    again = gone_on(path, state, hosts)
    weights = play_round(again, hosts, 2, arrays)
    never = strategy_of(PLAN, "arithmetic", Hosts(), ledger_path=straight)
    first = play_round(never, Hosts(), 1, start_arrays())
    np.testing.assert_array_equal(flat(weights), flat(play_round(never, Hosts(), 2, first)))
    assert kinds(path) == kinds(straight) == [ASKED, "release"] * 2
    assert asdict(again.spent(ended=True)) == recompute(straight, 2, everything=True)


@pytest.mark.parametrize("other", ["vectors", "phones"])
def test_another_sum_with_the_same_noise_is_not_unmasked_and_the_lost_one_stays_counted(other, tmp_path, monkeypatch):
    path = tmp_path / "l"
    state, arrays, line = killed_in(path, "secagg", 2, monkeypatch)
    drawn = strategy_of(PLAN, "arithmetic", Hosts()).cohorts.plan_round(2, np.ones(40, bool)).reporters
    hosts = Hosts(lambda p, r, update: -update) if other == "vectors" else Hosts(failing=drawn[:1])
    steps, plain = [], hosts.__class__.__call__

    def counting(self, grid, messages, timeout_s):
        steps.append(len(messages))
        return plain(self, grid, messages, timeout_s)

    monkeypatch.setattr(Hosts, "__call__", counting)
    second, before = gone_on(path, state, hosts), path.read_bytes()
    assert play_round(second, hosts, 2, arrays) is None
    assert second.last_round.plan.abandoned == REPEATED_WITH_ANOTHER_SUM and path.read_bytes() == before
    assert len(steps) == 3  # advertise, share, confirm: nobody was asked for a share that takes off a mask
    monkeypatch.undo()
    assert play_round(second, hosts, 3, arrays) is not None
    spent = second.spent(ended=False)
    assert (spent.releases, spent.unreleased_sums, spent.repeated_releases) == (2, 1, 0)
    assert asdict(spent) == recompute(path, 2, everything=True)
    assert kinds(path) == [ASKED, "release", ASKED, ASKED, "release"]
    assert read_ledger(path)[0][-1]["follows"] == 4 and read_ledger(path)[0][4]["follows"] == 2
    assert line["hash"] == read_ledger(path)[0][3]["hash"]


def test_a_sum_that_cannot_be_read_is_spent(tmp_path, monkeypatch):
    path, hosts = tmp_path / "l", Hosts()
    strategy = strategy_of(PLAN, "secagg", hosts, ledger_path=path)
    with monkeypatch.context() as patched:
        patched.setattr(summed_shard, "tail_of", lambda figures: np.array([2, 1, 1, 1]))  # more short than there are
        assert play_round(strategy, hosts, 1, start_arrays()) is None
    assert strategy.last_round.aggregation["failed"] == "no_sum" and kinds(path) == [ASKED]
    spent = strategy.spent(ended=False)
    assert (spent.releases, spent.unreleased_sums, spent.max_participations) == (0, 1, 1)
    assert spent.epsilon == PLAN.phone_noise.epsilon(1, PLAN.delta)
    assert strategy._releases._beside(strategy.ledger.head, next_round=2).counts.sum() == 8  # when phones are admitted
    assert strategy._releases._beside(strategy.ledger.head, next_round=1).lines == 0  # while it may be made again
    assert strategy.most_rho(False, next_round=2) > strategy.plan.zcdp_rho == strategy.most_rho(False, next_round=1)
    assert play_round(strategy, hosts, 2, start_arrays()) is not None
    assert strategy.spent(ended=False).unreleased_sums == 1


def test_a_sum_that_nobody_can_unmask_is_not_spent(tmp_path):
    class Leaving(Hosts):
        calls = 0

        def __call__(self, grid, messages, timeout_s):
            self.calls += 1
            return [] if self.calls == 4 else super().__call__(grid, messages, timeout_s)  # the step of unmasking

    path, hosts = tmp_path / "l", Leaving()
    strategy = strategy_of(PLAN, "secagg", hosts, ledger_path=path)
    assert play_round(strategy, hosts, 1, start_arrays()) is None
    assert strategy.last_round.aggregation["failed"] == "too_few_unmasked"
    assert kinds(path) == [ASKED, HIDDEN] and recompute(path, 0, everything=True)["epsilon"] == 0
    assert strategy.spent(ended=True).max_participations == 0
    assert play_round(strategy, hosts, 2, start_arrays()) is not None
    assert strategy.spent(ended=True).max_participations == 1 and kinds(path) == [ASKED, HIDDEN, ASKED, "release"]
    fresh = strategy_of(PLAN, "secagg", Hosts(), ledger_path=path)  # the round may be played again, with any sum
    assert fresh._releases.may_sum(1, np.arange(8)) and not fresh.ledger.has_round(1)


def test_a_sum_of_too_few_is_not_learnt(tmp_path):
    path, drawn = tmp_path / "l", strategy_of(PLAN, "arithmetic", Hosts()).cohorts.plan_round(1, np.ones(40, bool))
    hosts = Hosts(failing=drawn.reporters[:2])
    strategy = strategy_of(PLAN, "arithmetic", hosts, ledger_path=path)
    assert play_round(strategy, hosts, 1, start_arrays()) is None and kinds(path) == []
    assert strategy.last_round.plan.abandoned is not None


def test_the_check_computes_the_cost_of_each_line_again(tmp_path, monkeypatch):
    path = tmp_path / "privacy_ledger.jsonl"
    state, arrays, _ = killed_in(path, "secagg", 2, monkeypatch)
    hosts = Hosts(lambda p, r, update: -update)
    strategy = gone_on(path, state, hosts)
    for r in (2, 3, 4):
        arrays = play_round(strategy, hosts, r, arrays) or arrays
    spent = json.loads(json.dumps(asdict(strategy.spent(ended=True))))
    claim = {"spent": spent, "epsilon_is_of": PLAN.epsilon_is_of, "facts": {}}
    (tmp_path / "privacy.json").write_text(json.dumps(claim))
    found, findings = gather(tmp_path), Findings([])
    check_lines(found, findings)
    assert not findings.wrongs and spent["unreleased_sums"] == 1 and found.unbound == 0
    cheaper = [json.loads(line) for line in path.read_text().splitlines()]
    cheaper[3]["spent"] = {**cheaper[3]["spent"], "epsilon": 0.001}
    write(path, cheaper)
    check_lines(gather(tmp_path), findings)
    assert [one.place for one in findings.wrongs] == ["privacy_ledger.jsonl:4"]


def write(path, entries):
    """Lines with a chain that holds."""
    previous, lines = "", []
    for entry in entries:
        body = {name: value for name, value in entry.items() if name not in ("previous", "hash")}
        lines.append(chained(body, previous))
        previous = lines[-1]["hash"]
    path.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))


def without(*gone):
    return lambda lines: [line for n, line in enumerate(lines) if n not in gone]


def hidden(follows, **changed):
    line = {"release": 2, "round": 2, "sum": HIDDEN, "follows": follows} | changed
    return lambda lines: [*lines, line]


def changed(number, **values):
    return lambda lines: [{**line, **(values if n == number else {})} for n, line in enumerate(lines)]


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (without(1), "unbroken chain"),  # the sum of a release whose line names it
        (changed(2, round=7), "unbroken chain"),
        (changed(2, participants=""), "unbroken chain"),
        (changed(3, follows=1), "unbroken chain"),  # a sum after a sum
        (changed(3, sum="seen"), "something that none has"),
        (changed(3, vectors_digest="short"), "digest that is none"),
        (hidden(2), "unbroken chain"),  # of a release
        (hidden(3, round=3), "unbroken chain"),
        (hidden(1, release=1, round=1), "unbroken chain"),  # of a sum that was released
        (hidden(9), "unbroken chain"),
        (lambda lines: hidden(3)(hidden(3)(lines)), "unbroken chain"),
    ],
)
def test_lines_of_sums_have_their_places(forge, said, tmp_path, monkeypatch):
    path = tmp_path / "l"
    killed_in(path, "arithmetic", 2, monkeypatch)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    write(path, hidden(3)(lines))
    assert kinds(path) == [ASKED, "release", ASKED, HIDDEN]
    write(path, forge(lines))
    with pytest.raises(LedgerError, match=said):
        read_ledger(path)


def test_digests_of_vectors_add_up_whatever_the_hosts_and_tell_any_other_vector():
    key, other, rng = NOISE.of_phones(), NoiseKey.seeded(5).of_phones(), np.random.default_rng(0)
    vectors = rng.integers(-(2**40), 2**40, (4, 6))
    one = [vector_digest(key, 3, phone, vector) for phone, vector in enumerate(vectors)]
    halves = added_digests([added_digests(one[2:]), added_digests(one[:2])])
    assert halves == added_digests(reversed(one)) and len(halves) == 32
    for phone in range(4):
        nudged = vectors[phone].copy()
        nudged[5] += 1
        for changed in (
            vector_digest(key, 3, phone, nudged),
            vector_digest(key, 4, phone, vectors[phone]),
            vector_digest(key, 3, 9, vectors[phone]),
            vector_digest(other, 3, phone, vectors[phone]),
        ):
            assert added_digests([*one[:phone], changed, *one[phone + 1 :]]) != added_digests(one)
    assert added_digests(one[:3]) != added_digests(one)


def test_a_host_without_a_digest_is_asked_for_nothing_more(tmp_path, monkeypatch):
    hosts, path = Hosts(), tmp_path / "l"
    strategy = strategy_of(PLAN, "arithmetic", hosts, ledger_path=path)
    (message,) = strategy.configure_train(1, start_arrays(), ConfigRecord(), Nodes(1))
    reply = hosts.answer(message)
    del reply.content["vectors"]
    with pytest.raises(RuntimeError, match="digest of their vectors"):
        strategy.aggregate_train(1, [reply])
    assert kinds(path) == []
