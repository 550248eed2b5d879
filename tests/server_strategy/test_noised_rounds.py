"""Rounds of the strategy in which phones add the noise, with and without masks."""

import json
from copy import deepcopy
from dataclasses import asdict, replace

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message

from server_strategy.aggregation.config import AggregationConfig
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions
from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregation.noised_vectors import NoisedVectors
from server_strategy.aggregators import SumsAlone
from server_strategy.cohorts import UniformCohorts
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.distributed_noise.encoding import PhoneEncoder
from server_strategy.privacy.distributed_noise.share import noise_share
from server_strategy.privacy.ledger import recompute
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.protocol import TrainRequest
from server_strategy.protocol_of_sums import with_noise_key, with_phone_secret
from server_strategy.record_reader import ProtocolError
from server_strategy.releases import REPEATED_WITH_ANOTHER_SUM
from server_strategy.secagg_rounds import SecAgg
from server_strategy.update_sum import FixedPointSum
from simulation.engine import phone_steps
from simulation.engine.noised_phones import noised_phones_of
from simulation.engine.summed_shard import MaskedShard, NoisedRound, SummedShard
from simulation.world.aggregation_settings import phones_add
from tests.server_strategy import test_aggregators as sums
from tests.server_strategy.test_dp_fedavg import PHONES, SIZE, Nodes, flat, make, start_arrays, update_of
from typefleet.errors import ConfigError

GOAL, ROUNDS = 8, 3
SECRET, NOISE = RunSecret(bytes(range(32))), NoiseKey.seeded(4)
COHORT = CohortConfig(goal=GOAL, min_separation_rounds=2)
KINDS = ("discrete-gaussian", "skellam")


def plan_of(kind="discrete-gaussian", bits=18, modelled=None, **privacy):
    privacy = {"noise_multiplier": 1.0} | privacy
    config = PrivacyConfig(
        clip_norm=0.5,
        noise_place="phones",
        phone_noise=kind,
        modelled_cohort=modelled,
        noise_source="seeded",
        **privacy,
    )
    add = phones_add(config, AggregationConfig("secagg", bits=bits), COHORT, SIZE)
    return make_privacy_plan(COHORT, config, rounds=ROUNDS, num_phones=PHONES, phones_add=add)


def form_of(plan):
    return NoisedVectors(plan.phone_noise_here, rotation_seed=7, is_modelled=plan.share_of_the_noise < 1)


class Hosts:
    """What `simulation.engine.client_app` and the way to it do, with made-up updates."""

    def __init__(self, altered=None, broken=(), failing=()):
        self.altered, self.broken, self.failing, self._sent = altered, broken, failing, 0

    def __call__(self, grid, messages, timeout_s):
        return [self.answer(message) for message in messages]

    def answer(self, message):
        self._sent += 1
        message.metadata.__dict__["_message_id"] = f"m{self._sent}"
        content = with_phone_secret(message.content, SECRET)
        if message.metadata.message_type != "train":
            return Message(phone_steps.take_steps(content).to_content(), reply_to=message)
        content = with_noise_key(content, NOISE.of_phones())
        return Message(self.train(TrainRequest.from_content(content), content), reply_to=message)

    def train(self, request, content):
        def empty():
            return FixedPointSum(SIZE, request.clip_norm, [9, 3] if request.clip_scope == "layer" else None)

        noised = NoisedRound(noised_phones_of(content), request.server_round, empty)
        shard = SummedShard(empty(), noised=noised)
        if request.aggregation == "secagg":
            shard = MaskedShard(empty, phone_steps.masks_of(content), noised)
        for phone in request.phones.tolist():
            result = sums.trained(phone, request.server_round, self.broken, self.failing)
            if self.altered is not None and not isinstance(result, str):
                result = result._replace(update=self.altered(phone, request.server_round, result.update))
            shard.add(phone, result, request.update_weight)
        return shard.reply(None).to_content()


def strategy_of(plan, protocol, hosts, per_message=None, assumptions=USUAL_ASSUMPTIONS, **settings):
    form = form_of(plan)
    order = RunSecret(bytes(32))
    aggregator = SumsAlone(order, assumptions, form, GOAL)
    if protocol == "secagg":
        authority = Authority.of(SECRET).public
        aggregator = SecAgg(authority, order, most_reports=GOAL, exchange=hosts, noised=form)
    given = {"cohort": COHORT, "noise": NOISE, "cohorts": UniformCohorts(GOAL, seed=1), "aggregator": aggregator}
    return make(privacy=None, rounds=None, plan=plan, phones_per_message=per_message, **(given | settings))[0]


def play_round(strategy, hosts, r, arrays, nodes=1):
    messages = list(strategy.configure_train(r, arrays, ConfigRecord(), Nodes(nodes)))
    return strategy.aggregate_train(r, [hosts.answer(message) for message in messages])[0]


def play(plan, protocol="arithmetic", nodes=1, per_message=None, hosts=None, rounds=ROUNDS, **settings):
    """(weights after each round, outcomes)."""
    hosts = hosts or Hosts()
    strategy, arrays, seen, outcomes = (
        strategy_of(plan, protocol, hosts, per_message, **settings),
        start_arrays(),
        [],
        [],
    )
    for r in range(1, rounds + 1):
        arrays = play_round(strategy, hosts, r, arrays, nodes) or arrays
        seen.append(flat(arrays))
        outcomes.append(strategy.last_round)
    return seen, outcomes


@pytest.mark.parametrize("scope", ["update", "layer"])
@pytest.mark.parametrize(("kind", "bits"), [("discrete-gaussian", 18), ("skellam", 12)])
def test_with_masks_and_without_and_on_any_hosts_not_one_bit_differs(kind, bits, scope):
    plan = plan_of(kind, bits, clip_scope=scope)
    alone, told = play(plan)
    for protocol, nodes, per_message in (("arithmetic", 3, 2), ("secagg", 1, None), ("secagg", 3, 1)):
        found, outcomes = play(plan, protocol, nodes, per_message)
        np.testing.assert_array_equal(found, alone)
        for one, other in zip(outcomes, told, strict=True):
            assert (one.reports, one.tokens, one.clipped_share) == (other.reports, other.tokens, other.clipped_share)
            assert one.spent == other.spent and one.plan.abandoned is None
    facts = [outcome.aggregation for outcome in (told[0], outcomes[0])]
    assert [one["bits"] for one in facts] == [bits, bits] and facts[0]["vector_bytes"] == facts[1]["vector_bytes"]
    assert isinstance(facts[0]["wrapped_coordinates"], int) and facts[1]["wrapped_coordinates"] is None
    assert "known to nobody" in facts[1]["wrapped_coordinates_why"]


def test_a_release_is_the_sum_of_clipped_updates_with_noise_that_is_the_phones_alone():
    plan = plan_of(bits=32, noise_multiplier=0.001)
    weights, outcomes = play(plan, "secagg", rounds=1)
    updates = [update_of(phone, 1).astype(np.float64) for phone in outcomes[0].plan.reporters]
    clipped = sum(one * min(1, 0.5 / np.linalg.norm(one)) for one in updates)
    stddev = plan.phone_noise.noise_stddev(GOAL, 0.5)
    assert np.abs(weights[0] * GOAL - clipped).max() < 5 * stddev < 0.005


def test_phones_that_fail_or_have_no_finite_update_take_their_noise_with_them_and_the_claim_holds():
    cohort = replace(COHORT, minimum_report_share=0.5)
    config = PrivacyConfig(clip_norm=0.5, noise_place="phones", noise_multiplier=1.0, noise_source="seeded")
    add = phones_add(config, AggregationConfig("arithmetic"), cohort, SIZE)
    plan = make_privacy_plan(cohort, config, rounds=ROUNDS, num_phones=PHONES, phones_add=add)
    noise = plan.phone_noise
    assert (noise.phones, noise.counted_on) == (8, 3)  # half of the goal has to report, and one may be corrupted
    assert noise.noise_stddev(3, 0.5) == pytest.approx(0.5, rel=1e-12)
    hosts = Hosts(broken=tuple(range(0, PHONES, 5)), failing=tuple(range(1, PHONES, 5)))
    few = Assumptions(corrupted_share=0.0, check_views=False)  # of rounds that go on with few phones
    _, outcomes = play(plan, hosts=hosts, cohort=cohort, assumptions=few)
    assert any(len(one.rejected) for one in outcomes) and any(len(one.failed) for one in outcomes)
    for one in outcomes:
        assert one.plan.abandoned is not None or one.reports >= 4


def test_the_claim_is_recomputed_from_the_ledger_and_is_never_below_that_of_central_noise(tmp_path):
    for kind in KINDS:
        plan, central = (
            plan_of(kind),
            make_privacy_plan(
                COHORT, PrivacyConfig(clip_norm=0.5, noise_multiplier=1.0), rounds=ROUNDS, num_phones=PHONES
            ),
        )
        _, outcomes = play(plan, ledger_path=tmp_path / kind)
        spent = outcomes[-1].spent
        found = recompute(tmp_path / kind, ROUNDS)
        assert found == asdict(spent)
        times = spent.max_participations
        assert spent.epsilon == plan.phone_noise.epsilon(times, plan.delta)
        assert spent.epsilon > central.epsilon_of(central.rho_of(ROUNDS, 1, times))
        assert spent.zcdp_rho > central.rho_of(ROUNDS, 1, times)


def test_a_round_that_is_repeated_with_the_same_sum_is_free(tmp_path):
    plan = plan_of()
    hosts, path = Hosts(), tmp_path / "l"
    first = strategy_of(plan, "arithmetic", hosts, ledger_path=path)
    arrays = play_round(first, hosts, 1, start_arrays())
    state = deepcopy(first.state())
    released = play_round(first, hosts, 2, arrays)
    again = strategy_of(plan, "secagg", hosts, ledger_path=path)
    again.load_state(state)
    np.testing.assert_array_equal(flat(play_round(again, hosts, 2, arrays)), flat(released))
    assert again.last_round.spent.repeated_releases == 0 and again.releases == 2


def test_a_round_that_is_repeated_with_another_sum_is_not_released(tmp_path):
    """Its phones' noise is that of the first one, and the difference of the two sums would have none."""
    plan = plan_of()
    hosts, path = Hosts(), tmp_path / "l"
    first = strategy_of(plan, "arithmetic", hosts, ledger_path=path)
    arrays = play_round(first, hosts, 1, start_arrays())
    state = deepcopy(first.state())
    play_round(first, hosts, 2, arrays)
    before = path.read_bytes()
    second, others = strategy_of(plan, "arithmetic", hosts, ledger_path=path), Hosts(lambda p, r, update: -update)
    second.load_state(state)
    assert play_round(second, others, 2, arrays) is None
    assert second.last_round.plan.abandoned == REPEATED_WITH_ANOTHER_SUM and path.read_bytes() == before
    assert play_round(second, others, 3, arrays) is not None  # another round has noise of its own
    assert second.last_round.spent.repeated_releases == 1  # and what is on record beside it is counted


def test_noise_is_a_phones_own_in_each_round_and_no_other_draws_it():
    form, one, other = form_of(plan_of()), NOISE.of_phones(), NoiseKey.seeded(5).of_phones()
    draws = [
        PhoneEncoder(form.noise, key, 7).whole_numbers(np.zeros(SIZE), r, phone, clip_norm=1.0)
        for key, r, phone in ((one, 1, 1), (one, 1, 2), (one, 2, 1), (other, 1, 1))
    ]
    for i, first in enumerate(draws):
        assert not any(np.array_equal(first, second) for second in draws[:i])
    assert one.source == "seeded" and one != NOISE
    assert NoiseKey.imported(*one.exported()) == one
    for key, source in ((b"short", "secret"), (bytes(32), "other"), ("a" * 32, "secret"), (None, None)):
        with pytest.raises(ValueError, match="a key of phones"):
            NoiseKey.imported(key, source)
    with pytest.raises(ValueError, match="one of phones"):
        NOISE.exported()


def test_a_modelled_deployment_has_its_noise_and_rounding_in_the_mean():
    plan = plan_of("skellam", bits=16, modelled=800)
    there, here = plan.phone_noise, plan.phone_noise_here
    assert (there.phones, there.counted_on) == (800, 600)  # 80 % have to report, and 5 % may be corrupted
    assert here.share_stddev == there.share_stddev and here.phones == 8
    means = [noise.noise_stddev(n, 0.5) / n for noise, n in ((there, 800), (here, 8))]
    assert means[0] == pytest.approx(means[1], rel=1e-12)
    units = [noise.clip_units * np.sqrt(n) for noise, n in ((there, 800), (here, 8))]  # of rounding, in the mean
    assert units[0] == pytest.approx(units[1], rel=1e-12)
    assert plan.noise_stddev == pytest.approx(here.noise_stddev(8, 0.5), rel=1e-12)
    assert plan.epsilon == there.epsilon(2, plan.delta) and plan.epsilon_is_of.startswith("a modelled deployment")
    assert noise_share(np.random.default_rng(0), "skellam", here.share_stddev, 40_000).std() == pytest.approx(
        there.share_stddev, rel=0.03
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_is_met_by_the_least_noise(kind):
    plan = plan_of(kind, noise_multiplier=None, target_epsilon=3.0)
    assert 2.9 < plan.epsilon <= 3.0 and plan.epsilon_budget == 3.0
    with pytest.raises(ConfigError, match=r"--aggregation.bits: expected .* found 12|--privacy"):
        plan_of("discrete-gaussian", bits=12, noise_multiplier=1e-4)


def test_a_plan_on_record_is_the_plan_and_a_broken_one_is_refused():
    plan = plan_of()
    values = json.loads(json.dumps(plan.to_json()))
    assert PrivacyPlan.from_json(values) == plan
    assert "phone_noise" not in replace(plan, phone_noise=None).to_json()
    for change in (
        *({name: None} for name in ("bits", "block", "kind")),
        *({"bits": 11}, {"block": 3}, {"kind": "other"}, {"counted_on": 0}, {"counted_on": 9}, {"share_stddev": 2.5}),
        *({"clip_units": 0.0}, {"dimension": 0}, {"more": 1}, {"share_stddev": float("inf")}),
        *({"clip_units": 1e-300}, {"share_stddev": 1e300}, {"phones": 10**12, "counted_on": 10**12}),
    ):
        with pytest.raises(ConfigError):
            PrivacyPlan.from_json({**values, "phone_noise": {**values["phone_noise"], **change}})
    with pytest.raises(ConfigError):
        PrivacyPlan.from_json({**values, "phone_noise": 3})


def test_phones_that_add_other_noise_than_is_accounted_for_are_refused():
    plan = plan_of()
    for aggregator in (None, SumsAlone(RunSecret(bytes(32)), USUAL_ASSUMPTIONS)):
        with pytest.raises(ConfigError, match="the noise of phones that the plan has"):
            strategy_of(plan, "arithmetic", Hosts(), aggregator=aggregator)
    with pytest.raises(ConfigError, match="the noise of phones that the plan has"):
        others = SumsAlone(RunSecret(bytes(32)), USUAL_ASSUMPTIONS, form_of(plan_of(noise_multiplier=2.0)))
        strategy_of(plan, "arithmetic", Hosts(), aggregator=others)
    with pytest.raises(ConfigError, match="what the phones are to add"):
        make_privacy_plan(
            COHORT, PrivacyConfig(noise_place="phones", noise_multiplier=1.0), rounds=2, num_phones=PHONES
        )


def test_a_host_without_the_key_or_with_a_broken_form_says_so():
    strategy = strategy_of(plan_of(), "arithmetic", Hosts())
    (message,) = strategy.configure_train(1, start_arrays(), ConfigRecord(), Nodes(1))
    with pytest.raises(ProtocolError, match="message to a host"):
        noised_phones_of(message.content)
    message.content["phone-noise"]["form"] = "{}"
    with pytest.raises(ProtocolError, match="phone-noise of a run"):
        noised_phones_of(with_noise_key(message.content, NOISE.of_phones()))


@pytest.mark.parametrize("protocol", ["arithmetic", "secagg"])
def test_a_sum_that_the_budget_has_no_room_for_does_not_come_to_be(protocol):
    hosts = Hosts()
    strategy = strategy_of(replace(plan_of(), epsilon_budget=0.5), protocol, hosts)
    assert list(strategy.configure_train(1, start_arrays(), ConfigRecord(), Nodes(1))) == []
    assert not hosts._sent  # no phone has even sent a key
    assert strategy.aggregate_train(1, [])[0] is None
    assert "above the budget" in strategy.budget_reached and strategy.spent(ended=True).epsilon == 0


def test_an_account_is_asked_before_the_phones_are():
    strategy = strategy_of(plan_of(), "arithmetic", Hosts())

    def refuse(spent):
        assert spent.epsilon > 0
        raise ConfigError("no room")

    strategy.before_each_release(refuse)
    with pytest.raises(ConfigError, match="no room"):
        strategy.configure_train(1, start_arrays(), ConfigRecord(), Nodes(1))
