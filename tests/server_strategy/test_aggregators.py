"""However the sum is protected, the strategy comes to the same bits, and is told of no phone."""

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message

from client_model.learning.trainers import LocalResult
from server_strategy.aggregation.graph import Assumptions
from server_strategy.aggregation.keys import RunSecret
from server_strategy.aggregators import SumsAlone
from server_strategy.cohorts import RoundPlan, UniformCohorts
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.protocol import TrainRequest
from server_strategy.update_sum import FixedPointSum
from simulation.engine.shard import ToldShard
from simulation.engine.summed_shard import SummedShard
from tests.server_strategy.test_dp_fedavg import SIZE, flat, make, stamp, start_arrays, update_of

MECHANISMS = {
    "none": {"mechanism": "none"},
    "gaussian": {"mechanism": "gaussian", "noise_multiplier": 1.0},
    "discrete": {"mechanism": "gaussian", "noise_multiplier": 1.0, "sampler": "discrete"},
    "tree": {"mechanism": "tree", "noise_multiplier": 1.0},
    "banded": {"mechanism": "banded", "noise_multiplier": 1.0},
    "blt": {"mechanism": "blt", "noise_multiplier": 1.0},
}
ADAPTS = {"clip_quantile": 0.5, "clip_count_stddev": 8.0}


def arithmetic():
    """Of rounds that go on with few phones."""
    return SumsAlone(RunSecret(bytes(32)), Assumptions(corrupted_share=0.0, check_views=False))


def trained(phone, server_round, broken, failing):
    if phone in failing:
        return f"Error {phone}"
    update = update_of(phone, server_round)
    if phone in broken:
        update[3] = np.nan
    return LocalResult(update=update, loss_sum=1.5 + phone / 7, num_tokens=3 + phone)


def host(message, broken=(), failing=()):
    """What `simulation.engine.client_app` does, with made-up updates."""
    request = TrainRequest.from_content(message.content)
    empty = FixedPointSum(SIZE, request.clip_norm, [9, 3] if request.clip_scope == "layer" else None)
    shard = ToldShard(empty) if request.aggregation == "none" else SummedShard(empty)
    for phone in request.phones.tolist():
        shard.add(phone, trained(phone, request.server_round, broken, failing), request.update_weight)
    return Message(shard.reply(None).to_content(), reply_to=message)


def play(strategy, grid, rounds=4, shuffle=0, broken=(), failing=()):
    """(weights after each round, outcomes, replies of the last)."""
    arrays, seen, outcomes, rng = start_arrays(), [], [], np.random.default_rng(shuffle)
    for r in range(1, rounds + 1):
        messages = [stamp(m, i) for i, m in enumerate(strategy.configure_train(r, arrays, ConfigRecord(), grid))]
        replies = [host(m, broken, failing) for m in rng.permutation(np.array(messages, object))]
        new, _ = strategy.aggregate_train(r, replies)
        arrays = new if new is not None else arrays
        seen.append(flat(arrays))
        outcomes.append(strategy.last_round)
    return seen, outcomes, replies


@pytest.mark.parametrize("adapts", [False, True], ids=["fixed clip", "adaptive clip"])
@pytest.mark.parametrize("scope", ["update", "layer"])
@pytest.mark.parametrize("name", MECHANISMS)
def test_not_one_bit_differs(name, scope, adapts):
    own = {k: v for k, v in ADAPTS.items() if k == "clip_quantile" or name != "none"} if adapts else {}
    privacy = PrivacyConfig(clip_norm=3.0, clip_scope=scope, **MECHANISMS[name], **own)
    without, outcomes, _ = play(*make(privacy=privacy), broken=(3,), failing=(5,))
    for nodes, per_message, shuffle in ((1, None, 0), (4, 1, 1), (3, 2, 2)):
        strategy, grid = make(privacy=privacy, nodes=nodes, phones_per_message=per_message, aggregator=arithmetic())
        found, told, _ = play(strategy, grid, shuffle=shuffle, broken=(3,), failing=(5,))
        np.testing.assert_array_equal(found, without)
        for one, other in zip(told, outcomes, strict=True):
            assert (one.reports, one.tokens, one.clipped_share, one.clip_norm) == (
                *(other.reports, other.tokens, other.clipped_share, other.clip_norm),
            )
            assert one.loss_per_token == pytest.approx(other.loss_per_token, abs=1e-5)
            assert one.spent == other.spent
    assert any(len(o.rejected) or len(o.failed) for o in outcomes)  # both were among the reporters


def test_a_reply_has_no_number_of_a_phone_but_who_reported():
    strategy, grid = make(aggregator=arithmetic(), nodes=2)
    _, outcomes, replies = play(strategy, grid, rounds=1)
    for reply in replies:
        assert set(reply.content) == {"update-sum", "metrics", "failures"}
        assert set(reply.content["metrics"]) == {"phone-ids", "rejected-ids", "failed-ids"}
    assert outcomes[0].aggregation["protocol"] == "arithmetic"
    reporters = outcomes[0].plan.reporters
    norms = [np.linalg.norm(update_of(p, 1).astype(np.float64)) for p in reporters]
    assert outcomes[0].aggregation["mean_update_norm"] == pytest.approx(np.mean(norms), abs=1e-4)


def test_more_reports_than_the_goal_and_rounds_too_small_come_out_as_without():
    class Deadline(UniformCohorts):
        most_reports = 9

        def plan_round(self, server_round, may_participate):
            drawn = np.flatnonzero(may_participate)[: 9 if server_round % 2 else 1]
            return RoundPlan(reporters=drawn, tokens=np.ones(len(drawn), np.int64))

    cohort = CohortConfig(goal=6, min_separation_rounds=1, minimum_report_share=0.5)
    seen = []
    for aggregator in (None, arithmetic()):
        strategy, grid = make(cohorts=Deadline(6), cohort=cohort, aggregator=aggregator)
        weights, outcomes, _ = play(strategy, grid)
        seen.append(weights)
        assert [o.plan.abandoned is None for o in outcomes] == [True, False, True, False]
        assert strategy.releases == 2
    np.testing.assert_array_equal(*seen)
