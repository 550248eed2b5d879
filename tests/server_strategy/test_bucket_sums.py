"""Sums of buckets under a robust rule: the bits of a server that is told all, and nothing learnt but those sums."""

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from server_strategy.aggregation.graph import Assumptions
from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregation.terms import Step
from server_strategy.aggregation.vector import TAIL
from server_strategy.aggregators import Asked, Line
from server_strategy.bucket_sums import BucketsAlone, SecAggBuckets
from server_strategy.cohorts import RoundPlan, UniformCohorts
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.protocol_of_sums import StepRequest, SummedReply
from server_strategy.record_reader import ProtocolError
from server_strategy.robust.buckets import buckets_of
from server_strategy.robust.rule import RobustRule
from server_strategy.robust.rules import RULES, robust_mean
from server_strategy.robust_rounds import RobustRounds
from server_strategy.update_sum import FixedPointSum
from tests.server_strategy import test_aggregators as sums
from tests.server_strategy.test_dp_fedavg import PHONES, SIZE, flat, make, start_arrays, update_of
from tests.server_strategy.test_secagg_rounds import SECRET, Hosts
from typefleet.errors import ConfigError

GOAL, SEED = 20, 5
COHORT = CohortConfig(goal=GOAL, min_separation_rounds=1, minimum_report_share=0.5)
ONE_MAY_LEAVE = Assumptions(corrupted_share=0.0, dropped_share=0.34)  # of four phones
ORDER = RunSecret(bytes(32))
ALL = (*RULES, "norm-screening", "cosine-screening")


def rule_of(name="median", buckets=5, spoiled=1, **own):
    return RobustRule(name, buckets, spoiled, bucket_phones=4, longest=0.34, least_cosine=0.4, **own)


def masked(rule, hosts, assumptions=ONE_MAY_LEAVE):
    others = {"most_reports": GOAL, "assumptions": assumptions, "exchange": hosts}
    return SecAggBuckets(rule, SEED, Authority.of(SECRET).public, ORDER, **others)


def alone(rule, assumptions=ONE_MAY_LEAVE):
    return BucketsAlone(rule, SEED, ORDER, assumptions)


class Leaving(UniformCohorts):
    """Phones that leave in the steps, by phone, as the simulated world tells it."""

    leaves: dict

    def plan_round(self, server_round, may_participate):
        plan = super().plan_round(server_round, may_participate)
        gone = {phone: step for phone, step in self.leaves.items() if phone in plan.reporters}
        stay = [phone for phone in plan.reporters.tolist() if gone.get(phone, Step.DONE) > Step.MASK]
        return replace(plan.only(np.array(stay, np.int64)), leaves=gone)


def play(aggregator, answer, rounds=2, nodes=3, per_message=None, shuffle=0, leaves=None, **own):
    """(weights after each round, outcomes, strategy)."""
    cohorts = Leaving(GOAL, seed=1)
    object.__setattr__(cohorts, "leaves", leaves or {})
    given = {"privacy": PrivacyConfig(mechanism="none", clip_norm=3.0), "cohort": COHORT, "cohorts": cohorts, **own}
    strategy, grid = make(aggregator=aggregator, nodes=nodes, phones_per_message=per_message, **given)
    arrays, seen, outcomes, rng = start_arrays(), [], [], np.random.default_rng(shuffle)
    for r in range(1, rounds + 1):
        messages = np.array(list(strategy.configure_train(r, arrays, ConfigRecord(), grid)), object)
        new, _ = strategy.aggregate_train(r, [answer(one) for one in rng.permutation(messages)])
        arrays = new if new is not None else arrays
        seen.append(flat(arrays))
        outcomes.append(strategy.last_round)
    return seen, outcomes, strategy


def stamped(broken=(), failing=()):
    hosts = Hosts(broken, failing)

    def answer(message):
        message.metadata.__dict__["_message_id"] = f"m{next(hosts._ids)}"
        return sums.host(message, broken, failing)

    return answer


@pytest.mark.parametrize("name", ALL)
def test_not_one_bit_differs_from_a_server_that_is_told_of_each_phone(name):
    told, outcomes, _ = play(RobustRounds(rule_of(name), SEED), stamped((3,), (5,)))
    assert any(len(o.rejected) or len(o.failed) for o in outcomes) and not any(o.plan.abandoned for o in outcomes)
    as_if, others, _ = play(alone(rule_of(name)), stamped((3,), (5,)), nodes=2, shuffle=1)
    np.testing.assert_array_equal(as_if, told)
    hosts = Hosts((3,), (5,))
    found, real, _ = play(masked(rule_of(name), hosts), hosts.answer, nodes=4, per_message=3, shuffle=2)
    np.testing.assert_array_equal(found, told)
    screened = 0
    for one, other, each in zip(outcomes, others, real, strict=True):
        assert (one.reports, one.tokens, one.clipped_share, one.lost) == (
            *(each.reports, each.tokens, each.clipped_share, each.lost),
        )
        assert {**other.aggregation, "protocol": ""} == {**each.aggregation, "protocol": ""}
        assert each.aggregation["mean_update_norm"] == pytest.approx(one.aggregation["mean_update_norm"], abs=1e-4)
        screened += each.aggregation["buckets"]["screened_out"]
    assert (screened > 0) is ("screening" in name)


def means_of(dealt, server_round=1):
    found = []
    for own in dealt:
        total = FixedPointSum(SIZE, 3.0)
        for phone in own.tolist():
            total.add(update_of(phone, server_round))
        found.append(total.values / len(own))
    return np.array(found)


@pytest.mark.parametrize("how", ["masked", "as if"])
@pytest.mark.parametrize("step", [Step.ADVERTISE, Step.SHARE, Step.MASK, Step.CONFIRM, Step.UNMASK])
def test_a_bucket_below_its_threshold_is_left_out_and_the_goal_stays_the_denominator(step, how):
    reporters = UniformCohorts(GOAL, seed=1).plan_round(1, np.ones(PHONES, bool)).reporters
    dealt = buckets_of(reporters, 5, seed=SEED, server_round=1)
    out = dealt[2]
    leaves = dict.fromkeys(out[:2].tolist(), int(step))
    hosts = Hosts()
    aggregator = masked(rule_of(), hosts) if how == "masked" else alone(rule_of())
    answer = hosts.answer if how == "masked" else stamped()
    seen, (outcome,), strategy = play(aggregator, answer, rounds=1, leaves=leaves)
    told = outcome.aggregation
    name = {"advertise": "advertised", "share": "shared", "mask": "masked", "confirm": "confirmed"}
    cause = f"too_few_{name.get(step.word, 'unmasked')}"
    assert told["buckets"]["left_out"] == {cause: 1} and told["failed"] is None
    assert (told["buckets"]["formed"], told["buckets"]["in_rule"]) == (5, 4)
    kept = np.delete(np.arange(5), 2)
    total = robust_mean("median", means_of(dealt)[kept], 1) * 16
    step_taken = (np.rint(total) * 3.0 * 2.0**-40 / GOAL).astype(np.float32)
    np.testing.assert_allclose(seen[0], flat(start_arrays()) + step_taken, atol=1e-7)
    assert outcome.reports == 16 and outcome.spent.max_participations == 1
    vectors = {Step.ADVERTISE: 0, Step.SHARE: 0, Step.MASK: 2}.get(step, 4)  # of the bucket's that came
    assert told["buckets"]["vectors_left_out"] == vectors
    assert strategy.participation.counts[out].sum() == vectors  # who trained counts as having taken part


def unmasked(hosts):
    """Rounds and phones that were asked for shares which take masks off."""
    asked = [m for m in hosts.sent if m.metadata.message_type != "train"]
    steps = [StepRequest.from_content(m.content) for m in asked]
    return [one for one in steps if len(one.heard[0]) == 4]  # keys, shares, survivors, confirmations


def test_with_too_few_buckets_nothing_is_unmasked():
    hosts = Hosts()
    reporters = UniformCohorts(GOAL, seed=1).plan_round(1, np.ones(PHONES, bool)).reporters
    leaves = {
        int(own[i]): int(Step.CONFIRM) for own in buckets_of(reporters, 5, seed=SEED, server_round=1) for i in (0, 1)
    }
    _, (outcome,), _ = play(masked(rule_of(), hosts), hosts.answer, rounds=1, leaves=leaves)
    assert outcome.plan.abandoned.startswith("0 buckets of phones are too few for median: of 5 there were 5 left out")
    assert not unmasked(hosts) and outcome.aggregation["failed"] == "too_few_buckets"
    leaves = dict(list(leaves.items())[:6])  # three of them: two are left, and three are needed
    hosts = Hosts()
    _, (outcome,), strategy = play(masked(rule_of(), hosts), hosts.answer, rounds=1, leaves=leaves)
    assert "3 since too few phones confirmed who is in the sum" in outcome.plan.abandoned
    assert not unmasked(hosts) and strategy.releases == 0


def test_leave_to_learn_is_asked_once_and_before_any_bucket_is_unmasked():
    hosts, heard = Hosts(), []
    strategy, grid = make(
        aggregator=masked(rule_of(), hosts),
        privacy=PrivacyConfig(mechanism="none", clip_norm=3.0),
        cohort=COHORT,
        cohorts=UniformCohorts(GOAL, seed=1),
    )
    replies = [hosts.answer(one) for one in strategy.configure_train(1, start_arrays(), ConfigRecord(), grid)]

    def may_learn(came):
        heard.append((len(came.reported), len(unmasked(hosts))))
        return "not today"

    came = strategy._aggregator.join(replies, Asked(strategy._round_plan.reporters, SIZE, may_learn))
    assert heard == [(GOAL, 0)] and not unmasked(hosts)
    assert came.not_summed == "not today" and not came.total.any()


def test_a_sum_that_is_none_leaves_out_its_bucket_alone():
    hosts, spoiled = Hosts(), []

    def answer(message):
        reply = hosts.answer(message)
        if not spoiled:
            (total,) = reply.content["update-sum"].to_numpy_ndarrays()
            reply.content["update-sum"] = ArrayRecord([total + 2**45])  # a host that adds what no phone sent
            spoiled.append(reply.content["metrics"]["phone-ids"][0])
        return reply

    _, (outcome,), strategy = play(masked(rule_of(), hosts), answer, rounds=1)
    assert outcome.aggregation["buckets"]["left_out"] == {"no_sum": 1} and outcome.reports == 16
    assert strategy.participation.counts[spoiled[0]] == 1


def test_no_answer_bares_a_vector_and_what_is_unmasked_is_the_sum_of_each_bucket():
    hosts = Hosts()
    _, _, strategy = play(masked(rule_of(), hosts), hosts.answer, rounds=1, per_message=1)
    vectors = {phone: vector for (_, phone), vector in hosts.vectors.items()}
    told = [a.content["update-sum"].to_numpy_ndarrays()[0] for a in hosts.answers if "update-sum" in a.content]
    assert len(told) == len(vectors) == GOAL
    ring = 2**48 - 1
    for vector in vectors.values():
        assert not any(((one ^ vector) & ring == 0).mean() > 0.2 for one in told)
    sessions = strategy._aggregator._sessions
    for session in sessions:
        np.testing.assert_array_equal(session.total(), sum(vectors[phone] for phone in session.phones))
    assert len(sessions) == 5 and all(len(session.phones) == 4 for session in sessions)


def test_every_phone_is_told_the_number_of_its_bucket_and_knows_none_outside():
    hosts = Hosts()
    play(masked(rule_of(), hosts), hosts.answer, rounds=1)
    asked = [StepRequest.from_content(m.content) for m in hosts.sent if m.metadata.message_type != "train"]
    assert {one.terms.phones for one in asked} == {4}
    assert len(unmasked(hosts)) >= 5 and all(len(one.phones) <= 4 for one in asked)


def test_phones_of_two_buckets_in_one_answer_are_refused():
    rule = alone(rule_of())
    strategy, grid = make(
        aggregator=rule,
        privacy=PrivacyConfig(mechanism="none", clip_norm=3.0),
        cohort=COHORT,
        cohorts=UniformCohorts(GOAL, seed=1),
    )
    messages = list(strategy.configure_train(1, start_arrays(), ConfigRecord(), grid))
    rule._round._whose[int(rule._round.dealt[0][0])] = 4
    with pytest.raises(ProtocolError, match="answer to train: expected phones of one bucket, found those of 2"):
        rule.join([stamped()(one) for one in messages], Asked(strategy._round_plan.reporters, SIZE))


@pytest.mark.parametrize(("phones", "formed"), [(20, 5), (19, 4), (12, 3), (7, 1), (2, 1), (41, 5)])
def test_a_round_of_fewer_phones_has_fewer_buckets_and_none_is_smaller(phones, formed):
    dealt = rule_of().deal(np.arange(phones), seed=0, server_round=3)
    assert len(dealt) == formed and min(map(len, dealt)) >= min(4, phones)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(phones))


def test_no_noise_is_added_to_what_is_no_sum():
    for aggregator in (alone(rule_of()), masked(rule_of(), Hosts())):
        with pytest.raises(ConfigError, match="aggregator: expected one that gives the sum, for which noise is made"):
            make(privacy=PrivacyConfig(noise_multiplier=1.0), cohort=COHORT, aggregator=aggregator)


def test_the_servers_memory_is_that_of_the_buckets_whatever_the_number_of_phones():
    """One answer a phone, each let go of once it is added."""
    weights = 50_000

    def answers(phones):
        total = np.ones(weights + TAIL, np.int64)
        for phone in phones.tolist():
            message = Message(RecordDict(), dst_node_id=1, message_type="train")
            message.metadata.__dict__["_message_id"] = "one"
            content = SummedReply(phones=np.array([phone]), total=total.copy()).to_content()
            yield Message(content, reply_to=message)

    peaks = []
    for phones in (np.arange(20), np.arange(200)):
        aggregator = alone(rule_of())
        plan = RoundPlan(reporters=phones, tokens=np.ones(len(phones), np.int64))
        aggregator.begin(1, plan, Line(None, [1], 1.0, weights))
        gc.collect()
        tracemalloc.start()
        came = aggregator.join(answers(phones), Asked(phones, weights))
        peaks.append(tracemalloc.get_traced_memory()[1] / 8 / weights)  # in vectors
        tracemalloc.stop()
        assert came.not_summed is None and len(came.reported) == len(phones)
    assert peaks[0] > 5 and peaks[1] < peaks[0] + 1
