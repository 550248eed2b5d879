"""Secure aggregation under the strategy: not one bit differs, and nothing that the server handles bares an update."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message

from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions
from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregation.terms import Step
from server_strategy.aggregation.vector import LARGEST, ring_for
from server_strategy.aggregators import SumsAlone
from server_strategy.cohorts import UniformCohorts
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.protocol import TrainRequest
from server_strategy.protocol_of_sums import StepRequest, with_phone_secret
from server_strategy.secagg_rounds import SecAgg
from server_strategy.update_sum import MAX_PHONES, FixedPointSum
from simulation.engine import phone_steps, summed_shard
from simulation.run.checkpoint import flattened
from tests.server_strategy import test_aggregators as sums
from tests.server_strategy.test_dp_fedavg import SIZE, flat, make, start_arrays

GOAL = 8
SECRET = RunSecret(bytes(range(32)))
COMBINED = [  # each mechanism, each scope, clip norms that adapt and not
    ("none", "layer", False),
    ("gaussian", "update", True),
    ("discrete", "layer", True),
    ("tree", "update", False),
    ("banded", "layer", False),
    ("blt", "update", True),
]


class Hosts:
    """Hosts that have the phones; remembers all that passes between them and the server."""

    def __init__(self, broken=(), failing=(), lost=lambda message: False):
        self.broken, self.failing, self.lost = broken, failing, lost
        self.sent, self.answers, self.vectors, self._ids = [], [], {}, count()

    def __call__(self, grid, messages, timeout_s):
        return [self.answer(message) for message in messages if not self.lost(message)]

    def answer(self, message):
        message.metadata.__dict__["_message_id"] = f"m{next(self._ids)}"
        self.sent.append(message)
        content = with_phone_secret(message.content, SECRET)
        if message.metadata.message_type == "train":
            content = self.train(TrainRequest.from_content(content), content)
        else:
            content = phone_steps.take_steps(content).to_content()
        self.answers.append(Message(content, reply_to=message))
        return self.answers[-1]

    def train(self, request, content):
        def empty():
            return FixedPointSum(SIZE, request.clip_norm, [9, 3] if request.clip_scope == "layer" else None)

        shard = summed_shard.MaskedShard(empty, phone_steps.masks_of(content))
        for phone in request.phones.tolist():
            result = sums.trained(phone, request.server_round, self.broken, self.failing)
            shard.add(phone, result, request.update_weight)
            alone = summed_shard.SummedShard(empty())
            alone.add(phone, result, request.update_weight)
            if alone.phones:
                self.vectors[request.server_round, phone] = alone.vector()
        return shard.reply(None).to_content()


def secagg(hosts, assumptions=USUAL_ASSUMPTIONS):
    authority = Authority.of(SECRET).public
    return SecAgg(authority, RunSecret(bytes(32)), most_reports=GOAL, assumptions=assumptions, exchange=hosts)


def play(hosts, rounds=2, nodes=3, per_message=None, shuffle=0, assumptions=USUAL_ASSUMPTIONS, **own):
    """(weights after each round, outcomes, strategy)."""
    strategy, grid = make(aggregator=secagg(hosts, assumptions), nodes=nodes, phones_per_message=per_message, **own)
    arrays, seen, outcomes, rng = start_arrays(), [], [], np.random.default_rng(shuffle)
    for r in range(1, rounds + 1):
        messages = np.array(list(strategy.configure_train(r, arrays, ConfigRecord(), grid)), object)
        new, _ = strategy.aggregate_train(r, hosts(grid, rng.permutation(messages), 1.0))
        arrays = new if new is not None else arrays
        seen.append(flat(arrays))
        outcomes.append(strategy.last_round)
    return seen, outcomes, strategy


def cohort(**own):
    return {
        "cohorts": UniformCohorts(GOAL, seed=1),
        "cohort": CohortConfig(goal=GOAL, min_separation_rounds=2, minimum_report_share=0.5, **own),
    }


def test_a_round_is_not_begun_again_under_the_same_keys():
    hosts = Hosts()
    _, _, strategy = play(hosts, rounds=2, **cohort())
    sent = len(hosts.sent)
    for again in (1, 2):
        with pytest.raises(ValueError, match="server_round: expected a number above 2"):
            strategy._aggregator.begin(again, strategy._round_plan, strategy._aggregator._line)
    assert len(hosts.sent) == sent


def test_phones_are_told_how_many_are_invited():
    hosts = Hosts()
    play(hosts, rounds=1, **cohort())
    steps = [message for message in hosts.sent if message.metadata.message_type != "train"]
    assert {StepRequest.from_content(message.content).terms.phones for message in steps} == {GOAL}


@pytest.mark.parametrize("name, scope, adapts", COMBINED)
def test_not_one_bit_differs(name, scope, adapts):
    own = {k: v for k, v in sums.ADAPTS.items() if k == "clip_quantile" or name != "none"} if adapts else {}
    privacy = PrivacyConfig(clip_norm=3.0, clip_scope=scope, **sums.MECHANISMS[name], **own)
    drawn = UniformCohorts(GOAL, seed=1).plan_round(1, np.ones(40, bool)).reporters
    left_out = {"broken": drawn[1:2], "failing": drawn[4:5]}  # after they have shared their secrets
    without, before, _ = sums.play(*make(privacy=privacy, **cohort()), rounds=2, **left_out)
    for nodes, per_message, shuffle in ((1, None, 0), (3, 1, 1)):
        hosts = Hosts(**left_out)
        found, outcomes, _ = play(
            hosts, nodes=nodes, per_message=per_message, shuffle=shuffle, privacy=privacy, **cohort()
        )
        np.testing.assert_array_equal(found, without)
        for one, other in zip(outcomes, before, strict=True):
            assert (one.reports, one.tokens, one.clipped_share, one.spent) == (
                *(other.reports, other.tokens, other.clipped_share, other.spent),
            )
    took = outcomes[0].aggregation["took"]
    assert took == {"invited": 8, "advertise": 8, "share": 8, "mask": 6, "confirm": 6, "unmask": 6}


def test_nothing_that_the_server_handles_bares_a_single_update():
    hosts = Hosts()
    _, outcomes, strategy = play(hosts, nodes=GOAL, per_message=1, **cohort())  # a message has one phone's vector alone
    assert [o.reports for o in outcomes] == [GOAL, GOAL] and len(hosts.vectors) == 2 * GOAL
    handled = [*hosts.sent, *hosts.answers]
    arrays = [a.numpy() for m in handled for record in m.content.array_records.values() for a in record.values()]
    arrays += list(flattened(strategy.state()).values())
    ring = ring_for(GOAL)
    words = [ring.encode(vector) for vector in hosts.vectors.values()]
    masked = [array.view(np.uint64) for array in arrays if array.shape == words[0].shape]
    assert len(masked) == 2 * GOAL
    for sent in masked:
        for vector in words:
            assert not np.any(sent[:SIZE] == vector[:SIZE])  # no coordinate, let alone all
    configs = b"".join(
        str(dict(record)).encode() + b"".join(v for v in _bytes_in(record))
        for m in handled
        for record in m.content.config_records.values()
    )
    assert SECRET.key not in configs
    for vector, word in zip(hosts.vectors.values(), words, strict=True):
        assert vector.tobytes() not in configs and word.tobytes() not in configs
    for message in hosts.answers:
        if "update-sum" in message.content:
            assert set(message.content["metrics"]) == {"phone-ids", "rejected-ids", "failed-ids"}


def _bytes_in(record):
    for value in record.values():
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, bytes))


def test_masked_vectors_look_uniform_and_their_sum_is_the_sum():
    hosts = Hosts()
    play(hosts, nodes=GOAL, per_message=1, rounds=3, **cohort())
    replies = [m.content["update-sum"] for m in hosts.answers if "update-sum" in m.content]
    words = np.stack([next(iter(record.values())).numpy().view(np.uint64) for record in replies])
    bits = (words[..., None] >> np.arange(ring_for(GOAL).bits, dtype=np.uint64)) & np.uint64(1)
    share, deviation = bits.mean(), 0.5 / np.sqrt(bits.size)
    assert abs(share - 0.5) < 5 * deviation


@pytest.mark.parametrize("phones, bits", [(1, 48), (100, 48), (10_000, 56), (MAX_PHONES, 64)])
def test_the_ring_is_the_smallest_of_whole_bytes_that_holds_the_sum(phones, bits):
    ring = ring_for(phones)
    assert ring.bits == bits and phones * LARGEST <= ring.largest
    assert bits == 48 or phones * LARGEST > 2 ** (bits - 9) - 1


def lost_in(step, phones):
    """Loses the hosts of some phones in a step; each message has one phone."""

    def lost(message):
        kind = message.metadata.message_type
        record = message.content["config"]["phone-ids"]
        asked = record if isinstance(record, list) else [record]
        heard = message.content["steps"]["heard"]
        each = 0 if not heard else (len(heard) if isinstance(heard, list) else 1) // len(asked)
        at = {0: "advertise", 1: "share", 3: "confirm", 4: "unmask"}.get(each) if kind != "train" else "mask"
        return at == step and bool(set(asked) & set(phones))

    return lost


@pytest.mark.parametrize("step", ["advertise", "share", "mask", "confirm", "unmask"])
def test_phones_that_are_lost_in_a_step_are_made_up_for(step):
    drawn = UniformCohorts(GOAL, seed=1).plan_round(1, np.ones(40, bool)).reporters
    hosts = Hosts(lost=lost_in(step, drawn[:1]))
    privacy = PrivacyConfig("none", clip_norm=3.0)
    found, outcomes, _ = play(hosts, rounds=1, nodes=GOAL, per_message=1, privacy=privacy, **cohort())
    early = step in ("advertise", "share", "mask")
    assert outcomes[0].plan.abandoned is None and outcomes[0].reports == GOAL - early
    in_the_sum = [vector for (_, phone), vector in hosts.vectors.items() if phone != drawn[0] or not early]
    expected = np.sum(in_the_sum, 0)[:SIZE] * (3.0 * 2.0**-40) / GOAL
    np.testing.assert_allclose(found[0], expected.astype(np.float32), rtol=1e-6, atol=1e-9)
    assert outcomes[0].aggregation["took"][step] == GOAL - 1 and outcomes[0].aggregation["failed"] is None


@pytest.mark.parametrize("step", ["advertise", "share", "mask", "confirm", "unmask"])
def test_a_round_that_too_many_leave_fails_by_its_cause_and_spends_nothing(step):
    drawn = UniformCohorts(GOAL, seed=1).plan_round(1, np.ones(40, bool)).reporters
    gone = drawn[:6] if step == "advertise" else drawn[:4]
    hosts = Hosts(lost=lost_in(step, gone))
    _, outcomes, strategy = play(hosts, rounds=1, nodes=GOAL, per_message=1, **cohort())
    cause = {"advertise": "too_few_advertised", "share": "too_few_shared", "mask": "too_few_masked"}
    cause |= {"confirm": "too_few_confirmed", "unmask": "too_few_unmasked"}
    assert outcomes[0].aggregation["failed"] == cause[step]
    assert outcomes[0].plan.abandoned.startswith("secure aggregation: ")
    assert strategy.releases == strategy.ledger.releases == 0 and not strategy.participation.counts.any()
    if step in ("advertise", "share"):
        assert not hosts.vectors  # nobody trained in vain


def test_a_worker_that_is_started_again_says_the_same_again(monkeypatch):
    kept = Hosts()
    with_memory = play(kept, rounds=1, **cohort())[0]
    forgetful = Hosts()
    answer = forgetful.answer
    monkeypatch.setattr(forgetful, "answer", lambda message: (phone_steps._hosted.clear(), answer(message))[1])
    np.testing.assert_array_equal(play(forgetful, rounds=1, **cohort())[0], with_memory)
    for one, other in zip(kept.answers, forgetful.answers, strict=True):
        assert _bytes_of(one) == _bytes_of(other)


def test_phones_that_a_worker_has_no_room_for_say_the_same(monkeypatch):
    kept = Hosts()
    with_memory = play(kept, rounds=1, **cohort())[0]
    phone_steps._hosted.clear()
    monkeypatch.setattr(phone_steps, "_MOST_KEPT", 3)
    cramped = Hosts()
    np.testing.assert_array_equal(play(cramped, rounds=1, **cohort())[0], with_memory)
    assert [len(one._kept) for one in phone_steps._hosted] == [3]
    for one, other in zip(kept.answers, cramped.answers, strict=True):
        assert _bytes_of(one) == _bytes_of(other)


def _bytes_of(message):
    arrays = [a.numpy().tobytes() for r in message.content.array_records.values() for a in r.values()]
    return arrays, [list(_bytes_in(r)) for r in message.content.config_records.values()]


def test_a_sparse_graph_is_used_where_it_does():
    assumptions = Assumptions(0.0, 0.0, security_bits=1, correctness_bits=1, complete_up_to=3)
    _, outcomes, _ = play(Hosts(), rounds=1, assumptions=assumptions, **cohort())
    assert outcomes[0].plan.abandoned is None and outcomes[0].aggregation["neighbours"] < GOAL - 1


class Leaving(UniformCohorts):
    """Phones leave in the simulated world, by the step that they do not take any more."""

    def __init__(self, leaves):
        super().__init__(GOAL, seed=1)
        object.__setattr__(self, "steps", leaves)

    def plan_round(self, server_round, may_participate):
        plan = super().plan_round(server_round, may_participate)
        leaves = dict(zip(plan.reporters.tolist(), self.steps, strict=False))
        in_sum = np.array([leaves.get(phone, Step.DONE) > Step.MASK for phone in plan.reporters.tolist()])
        return replace(plan.only(plan.reporters[in_sum]), leaves=leaves)


@pytest.mark.parametrize(
    "steps",
    [(), (Step.MASK,), (Step.ADVERTISE, Step.UNMASK), (Step.SHARE, Step.CONFIRM), (Step.CONFIRM, Step.UNMASK)]
    + [(step,) * 4 for step in (Step.SHARE, Step.MASK, Step.CONFIRM, Step.UNMASK)],
)
def test_arithmetic_has_the_same_bits_records_and_counts(steps):
    order, privacy = RunSecret(bytes(32)), PrivacyConfig("none", clip_norm=3.0)
    settings = {**cohort(), "cohorts": Leaving(steps), "privacy": privacy}
    masked, records, _ = play(Hosts(), rounds=1, **settings)
    counted, told, _ = sums.play(*make(aggregator=SumsAlone(order), **settings), rounds=1)
    np.testing.assert_array_equal(masked, counted)
    one, other = records[0], told[0]
    assert {**one.aggregation, "protocol": ""} == {**other.aggregation, "protocol": ""}
    assert (one.plan.abandoned, one.reports, one.tokens) == (other.plan.abandoned, other.reports, other.tokens)
    assert (len(steps) == 4) == (one.plan.abandoned is not None)
