"""Rounds under a robust rule: its bits on the buckets' own sums, whatever hosts there are, and no noise."""

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message

from client_model.learning.trainers import LocalResult
from server_strategy.aggregators import Asked
from server_strategy.cohorts import UniformCohorts
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.protocol import TrainRequest
from server_strategy.record_reader import ProtocolError
from server_strategy.robust.buckets import buckets_of
from server_strategy.robust.rule import RobustRule
from server_strategy.robust.rules import RULES, robust_mean
from server_strategy.robust_rounds import RobustRounds
from server_strategy.update_sum import FRACTION_BITS, FixedPointSum
from simulation.engine.shard import ToldShard
from tests.server_strategy.test_aggregators import host, play, trained
from tests.server_strategy.test_dp_fedavg import SIZE, make, start_arrays, update_of
from typefleet.errors import ConfigError

PLAIN = PrivacyConfig(mechanism="none", clip_norm=3.0)
COHORT = CohortConfig(goal=12, min_separation_rounds=1, minimum_report_share=0.5)


def robust(name="median", buckets=6, spoiled=1):
    return RobustRounds(RobustRule(name, buckets, spoiled), seed=5)


def strategy_of(rule, **own):
    return make(privacy=PLAIN, cohort=COHORT, aggregator=rule, cohorts=UniformCohorts(12, seed=1), **own)


@pytest.mark.parametrize("name", RULES)
def test_not_one_bit_depends_on_hosts_messages_or_their_order(name):
    first, outcomes, _ = play(*strategy_of(robust(name)), broken=(3,), failing=(5,))
    assert any(len(o.rejected) or len(o.failed) for o in outcomes) and not any(o.plan.abandoned for o in outcomes)
    for nodes, per_message, shuffle in ((1, None, 0), (4, 1, 1), (3, 2, 2), (9, None, 3)):
        strategy, grid = strategy_of(robust(name), nodes=nodes, phones_per_message=per_message)
        found, _, _ = play(strategy, grid, shuffle=shuffle, broken=(3,), failing=(5,))
        np.testing.assert_array_equal(found, first)
    assert (play(*strategy_of(None), broken=(3,), failing=(5,))[0][-1] != first[-1]).any()


@pytest.mark.parametrize("name", RULES)
def test_what_takes_the_place_of_the_sum_is_the_rule_on_the_buckets_own_means(name):
    rule = robust(name, buckets=5)  # of three phones and of two
    strategy, grid = strategy_of(rule, nodes=3)
    messages = list(strategy.configure_train(1, start_arrays(), ConfigRecord(), grid))
    reporters = strategy._round_plan.reporters
    came = rule.join([host(m, failing=(5,)) for m in messages], Asked(reporters, SIZE))
    means = []
    for own in buckets_of(reporters, 5, seed=5, server_round=1):
        total = FixedPointSum(SIZE, 3.0)
        for phone in own.tolist():
            if phone != 5:
                total.add(update_of(phone, 1))
        means.append(total.values / len(own))  # who failed counts as zeros
    expected = robust_mean(name, np.array(means), 1) * len(reporters)
    assert np.abs(came.total - expected).max() <= 0.5 and came.total.dtype == np.int64
    assert sorted([*came.reported.tolist(), *came.failed.tolist()]) == sorted(reporters.tolist())


def test_one_bucket_alone_is_the_plain_round_to_rounding():
    plain = play(*strategy_of(None))[0]
    alone = play(*strategy_of(robust(buckets=1, spoiled=0)))[0]
    np.testing.assert_allclose(alone, plain, rtol=0, atol=1e-5)


def test_one_attacker_moves_the_mean_and_not_the_rule():
    """The real host's sum of one update that is as long as clipping lets it be, among phones that are nearly alike."""

    def total(rule, attacked):
        strategy, grid = strategy_of(rule)
        messages = list(strategy.configure_train(1, start_arrays(), ConfigRecord(), grid))
        reporters, replies = strategy._round_plan.reporters, []
        for message in messages:
            request = TrainRequest.from_content(message.content)
            shard = ToldShard(FixedPointSum(SIZE, request.clip_norm))
            for phone in request.phones.tolist():
                update = np.float32(0.5) + np.float32(0.01) * update_of(phone, 1)
                if attacked and phone == reporters[0]:
                    update = np.full(SIZE, -1e30, np.float32)
                shard.add(phone, LocalResult(update, 1.0, 3), 1.0)
            replies.append(Message(shard.reply(None).to_content(), reply_to=message))
        return strategy._aggregator.join(replies, Asked(reporters, SIZE)).total * 2.0**-FRACTION_BITS

    def moved(rule):
        return np.abs(total(rule, True) - total(rule, False)).max()

    assert moved(None) > 0.4 and all(moved(robust(name)) < 0.05 for name in RULES)


def test_phones_of_two_buckets_in_one_answer_are_refused():
    rule = robust()
    strategy, grid = strategy_of(rule)
    messages = list(strategy.configure_train(1, start_arrays(), ConfigRecord(), grid))
    request = TrainRequest.from_content(messages[0].content)
    assert 1 <= len(request.phones) <= 2
    shard = ToldShard(FixedPointSum(SIZE, 3.0))
    for phone in strategy._round_plan.reporters.tolist():
        shard.add(phone, trained(phone, 1, (), ()), 1.0)
    reply = Message(shard.reply(None).to_content(), reply_to=messages[0])
    with pytest.raises(ProtocolError, match="answer to train: expected phones of one bucket, found those of 6"):
        rule.join([reply], Asked(strategy._round_plan.reporters, SIZE))


def test_a_round_of_too_few_phones_for_the_rule_is_abandoned():
    strategy, grid = strategy_of(robust("krum", buckets=12, spoiled=5))
    _, outcomes, _ = play(strategy, grid, rounds=1)
    assert "12 buckets of phones are too few for krum" in outcomes[0].plan.abandoned


def test_no_noise_is_added_to_what_is_no_sum():
    with pytest.raises(ConfigError, match="aggregator: expected one that gives the sum, for which noise is made"):
        make(privacy=PrivacyConfig(noise_multiplier=1.0), cohort=COHORT, aggregator=robust())
