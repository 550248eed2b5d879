"""The strategy by itself: a grid of a few lines stands in for Flower's transport, phones are arrays."""

import json
from dataclasses import FrozenInstanceError, asdict, fields, replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from client_model.metrics.table import metric_table
from server_strategy.cohorts import RoundPlan, UniformCohorts
from server_strategy.config import CohortConfig
from server_strategy.dp_fedavg import DPFedAvg
from server_strategy.model_versions import weights_digest
from server_strategy.optimizers.config import ServerOptimizerConfig
from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.ledger import privacy_spent, recompute
from server_strategy.privacy.noise_key import NoiseKey
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError
from simulation.run.checkpoint import flattened, nested
from typefleet.errors import ConfigError

SIZE, PHONES = 12, 40


class Nodes:
    """A grid that only has nodes."""

    def __init__(self, count):
        self.count = count

    def get_node_ids(self):
        return list(range(100, 100 + self.count))


def update_of(phone, server_round):
    return np.random.default_rng([phone, server_round]).normal(0, 1, SIZE).astype(np.float32)


def host(message, broken=(), failing=()):
    """What `simulation.engine.client_app` does, with made-up updates."""
    config = message.content.config_records["config"]
    total = FixedPointSum(SIZE, config["clip-norm"], [9, 3] if config["clip-scope"] == "layer" else None)
    metrics = {"phone-ids": [], "rejected-ids": [], "update-norm": [], "loss-sum": [], "tokens": []}
    failed = [phone for phone in config["phone-ids"] if phone in failing]
    metrics["failed-ids"] = failed
    for phone in config["phone-ids"]:
        if phone in failed:
            continue
        update = update_of(phone, config["server-round"])
        if phone in broken:
            update[3] = np.nan
        try:
            norm = total.add(update, config["update-weight"])
        except NonFiniteUpdateError:
            metrics["rejected-ids"].append(phone)
            continue
        for name, value in (("phone-ids", phone), ("update-norm", norm), ("loss-sum", 1.5), ("tokens", 3)):
            metrics[name].append(value)
    content = RecordDict({"update-sum": ArrayRecord([total.values]), "metrics": MetricRecord(metrics)})
    content["failures"] = ConfigRecord({"causes": [f"Error {phone}" for phone in failed]})
    return Message(content, reply_to=message)


def make(goal=6, seed=4, z=1.0, nodes=3, **settings):
    arguments = dict(
        cohort=CohortConfig(goal=goal, min_separation_rounds=2, minimum_report_share=0.5),
        privacy=PrivacyConfig(clip_norm=0.5, noise_multiplier=z),
        rounds=5,
        optimizer=ServerOptimizerConfig("sgd", 1.0, schedule="constant"),
        noise=NoiseKey.seeded(seed),
    )
    cohorts = settings.pop("cohorts", UniformCohorts(goal, seed=1))
    return DPFedAvg(cohorts, PHONES, **(arguments | settings)), Nodes(nodes)


def start_arrays():
    return ArrayRecord({"a": Array(np.zeros((3, 3), np.float32)), "b": Array(np.zeros(3, np.float32))})


def stamp(message, number):
    message.metadata.__dict__["_message_id"] = f"m{number}"  # Flower does this when a message is sent
    return message


def play(strategy, grid, rounds, arrays=None, broken=(), shuffle=0, failing=()):
    arrays = arrays or start_arrays()
    rng = np.random.default_rng(shuffle)
    for r in range(1, rounds + 1):
        messages = [stamp(m, i) for i, m in enumerate(strategy.configure_train(r, arrays, ConfigRecord(), grid))]
        replies = [host(m, broken, failing) for m in rng.permutation(np.array(messages, object))]
        new, _ = strategy.aggregate_train(r, replies)
        arrays = new if new is not None else arrays
    return arrays


def play_round(strategy, grid, r, arrays):
    """The weights after one round; None if nothing was released."""
    messages = [stamp(m, f"{r}-{i}") for i, m in enumerate(strategy.configure_train(r, arrays, ConfigRecord(), grid))]
    return strategy.aggregate_train(r, [host(m) for m in messages])[0]


def flat(arrays):
    return np.concatenate([a.numpy().ravel() for a in arrays.values()])


def test_one_round_is_the_formula():
    strategy, grid = make()
    arrays = play(strategy, grid, 1)
    reporters = strategy.last_round.plan.reporters
    clipped = [u * min(1, 0.5 / np.linalg.norm(u)) for u in (update_of(p, 1) for p in reporters)]
    noise = NoiseKey.seeded(4).generator(0, 0).normal(0, 0.5, SIZE)
    np.testing.assert_allclose(flat(arrays), (np.sum(clipped, 0) + noise) / 6, rtol=1e-5, atol=1e-7)


def test_shards_nodes_and_order_of_arrival_do_not_change_a_bit():
    results = []
    for nodes, per_message, shuffle in ((1, None, 0), (3, None, 1), (4, 1, 2), (2, 5, 3)):
        strategy, grid = make(nodes=nodes, phones_per_message=per_message)
        results.append(flat(play(strategy, grid, 4, shuffle=shuffle)))
    assert all(np.array_equal(results[0], r) for r in results)


def test_denominator_is_fixed():
    # With the noise off, a rejected phone lowers the sum and not the denominator.
    strategy, grid = make(privacy=PrivacyConfig("none", clip_norm=0.5))
    broken = {int(strategy.cohorts.plan_round(1, np.ones(PHONES, bool)).reporters[0])}
    arrays = play(strategy, grid, 1, broken=broken)
    outcome = strategy.last_round
    assert outcome.reports == 5 and outcome.rejected.tolist() == sorted(broken) and outcome.lost == 0
    good = [p for p in outcome.plan.reporters if p not in broken]
    expected = np.sum([u * min(1, 0.5 / np.linalg.norm(u)) for u in (update_of(p, 1) for p in good)], 0) / 6
    np.testing.assert_allclose(flat(arrays), expected, rtol=1e-5)
    assert strategy.participation.counts.sum() == 6  # the rejected phone is counted all the same


def test_too_few_usable_updates_abandon_the_round_and_spend_nothing():
    strategy, grid = make()
    arrays = play(strategy, grid, 1, broken=range(PHONES))
    assert not flat(arrays).any()
    assert "0 usable updates" in strategy.last_round.plan.abandoned
    assert strategy.releases == strategy.ledger.releases == 0 and not strategy.participation.counts.any()


def test_lost_messages_are_counted():
    strategy, grid = make(privacy=PrivacyConfig("none"))
    messages = [stamp(m, i) for i, m in enumerate(strategy.configure_train(1, start_arrays(), ConfigRecord(), grid))]
    strategy.aggregate_train(1, [host(m) for m in messages[1:]])
    assert strategy.last_round.lost == len(messages[0].content["config"]["phone-ids"])


def test_a_phone_that_is_not_a_reporter_is_refused():
    strategy, grid = make()
    messages = [stamp(m, i) for i, m in enumerate(strategy.configure_train(1, start_arrays(), ConfigRecord(), grid))]
    messages[0].content["config"]["phone-ids"] = messages[1].content["config"]["phone-ids"]
    with pytest.raises(ValueError, match="at most once"):
        strategy.aggregate_train(1, [host(m) for m in messages])


@pytest.mark.parametrize("quantile", [None, 0.6])
@pytest.mark.parametrize("mechanism", ["gaussian", "tree", "banded", "blt", "none"])
def test_state_round_trip_continues_bit_for_bit(mechanism, quantile, tmp_path):
    z = None if mechanism == "none" else 0.8
    privacy = PrivacyConfig(mechanism, clip_norm=0.5, noise_multiplier=z, clip_quantile=quantile, clip_scope="layer")
    settings = dict(optimizer=ServerOptimizerConfig("adam", 0.1, schedule="cosine"), privacy=privacy)
    straight, grid = make(**settings)
    expected = flat(play(straight, grid, 4))
    first, _ = make(**settings, ledger_path=tmp_path / "l")
    arrays = play(first, grid, 2)
    np.savez(tmp_path / "checkpoint.npz", **flattened(first.state()))
    second, _ = make(**settings, ledger_path=tmp_path / "l")
    with np.load(tmp_path / "checkpoint.npz") as stored:
        second.load_state(nested(dict(stored)))
    for r in (3, 4):
        messages = [stamp(m, i) for i, m in enumerate(second.configure_train(r, arrays, ConfigRecord(), grid))]
        arrays, _ = second.aggregate_train(r, [host(m) for m in messages])
    np.testing.assert_array_equal(flat(arrays), expected)
    assert second.weights_sha256 == straight.weights_sha256 == weights_digest(expected)
    assert second.last_round.spent == straight.last_round.spent
    assert second.protected_sum.clip_norm == straight.protected_sum.clip_norm
    assert (second.protected_sum.clip_norm == 0.5) == (quantile is None)
    again = recompute(tmp_path / "l", 4)
    assert again == json.loads(json.dumps(asdict(straight.last_round.spent)))


@pytest.mark.parametrize("mechanism", ["gaussian", "tree", "banded", "blt"])
def test_the_run_stops_before_the_release_that_would_exceed_the_budget(mechanism, tmp_path):
    plain = PrivacyConfig(mechanism, clip_norm=0.5, noise_multiplier=1.0)
    free, grid = make(goal=15, privacy=plain)
    epsilons, arrays = [], start_arrays()
    for r in range(1, 6):
        arrays = play_round(free, grid, r, arrays)
        epsilons.append(free.last_round.spent.epsilon)
    assert epsilons[2] > epsilons[1]  # the third round takes phones a second time
    budget = (epsilons[1] + epsilons[2]) / 2
    strategy, grid = make(goal=15, privacy=replace(plain, target_epsilon=budget), ledger_path=tmp_path / "l")
    arrays = start_arrays()
    for r in (1, 2, 3, 4):
        released = play_round(strategy, grid, r, arrays)
        assert (released is None) == (r > 2)
        arrays = released or arrays
    assert strategy.releases == strategy.ledger.releases == 2
    assert not list(strategy.configure_evaluate(4, arrays, ConfigRecord(), grid))  # there are no phones to evaluate
    assert (strategy.participation.counts <= 1).all()  # who would have exceeded it is not counted
    assert "above the budget of" in strategy.budget_reached == strategy.last_round.plan.abandoned
    spent = privacy_spent(strategy.plan, strategy.participation, strategy.releases)
    assert spent.epsilon == epsilons[1] <= budget


def test_what_is_not_permitted_is_not_released(tmp_path):
    strategy, grid = make(ledger_path=tmp_path / "l")
    asked: list[float] = []

    def permit(spent):
        asked.append(spent.zcdp_rho)
        if len(asked) == 2:
            raise ConfigError("no further one")

    strategy.before_each_release(permit)
    arrays = play_round(strategy, grid, 1, start_arrays())
    assert asked == [strategy.spent(False).zcdp_rho]
    with pytest.raises(ConfigError, match="no further one"):
        play_round(strategy, grid, 2, arrays)
    assert strategy.releases == strategy.ledger.releases == 1 and asked[1] >= asked[0]


def test_no_release_beyond_the_planned_rounds():
    strategy, grid = make(privacy=PrivacyConfig("blt", noise_multiplier=1.0), rounds=3)
    arrays = play(strategy, grid, 3)
    assert play_round(strategy, grid, 4, arrays) is None
    assert strategy.releases == 3 and strategy.budget_reached == "all 3 planned releases are made"
    assert strategy.last_round.plan.abandoned == strategy.budget_reached and strategy.last_round.lost == 0


def test_clipping_by_layer_is_asked_of_the_hosts():
    strategy, grid = make(privacy=PrivacyConfig("none", clip_norm=0.5, clip_scope="layer"))
    arrays = play(strategy, grid, 1)
    bound = 0.5 / np.sqrt(2)
    expected = np.zeros(SIZE)
    for phone in strategy.last_round.plan.reporters:
        for part in (slice(0, 9), slice(9, 12)):
            update = update_of(phone, 1)[part].astype(np.float64)
            expected[part] += update * min(1, bound / np.linalg.norm(update))
    np.testing.assert_allclose(flat(arrays), expected / 6, rtol=1e-5, atol=1e-7)
    assert strategy.last_round.clipped_share == 1.0


def test_the_clip_norm_that_hosts_are_told_follows_the_updates():
    strategy, grid = make(privacy=PrivacyConfig("none", clip_norm=0.5, clip_quantile=0.5))
    arrays, told = start_arrays(), []
    for r in range(1, 6):
        messages = list(strategy.configure_train(r, arrays, ConfigRecord(), grid))
        told += [message.content["config"]["clip-norm"] for message in messages]
        arrays, _ = strategy.aggregate_train(r, [host(stamp(m, f"{r}-{i}")) for i, m in enumerate(messages)])
        assert strategy.last_round.clip_norm == told[-1]
    # Updates are some 3.5 long, so none is shorter: the clip norm grows by exp(rate x quantile) a round.
    assert sorted(set(told)) == pytest.approx([0.5 * np.exp(0.1 * r) for r in range(5)])


def test_state_with_more_releases_than_the_ledger_is_refused(tmp_path):
    first, grid = make()
    play(first, grid, 2)
    second, _ = make(ledger_path=tmp_path / "l")
    with pytest.raises(ValueError, match="expected at least 2 releases on record, found 0"):
        second.load_state(first.state())


def test_separation_is_enforced_and_spent_is_what_happened():
    strategy, grid = make(goal=15)
    play(strategy, grid, 5)
    assert strategy.participation.min_separation >= 2
    spent = strategy.last_round.spent
    assert spent.max_participations == strategy.participation.counts.max() <= strategy.plan.max_participations == 3
    assert spent.zcdp_rho == gaussian_rho(1.0, spent.max_participations)


@pytest.mark.parametrize(
    ("privacy", "stddev"),
    [
        (PrivacyConfig(clip_norm=2.0, noise_multiplier=0.7), 1.4),
        (PrivacyConfig(clip_norm=2.0, noise_multiplier=0.7, modelled_cohort=600), 1.4 * 6 / 600),
    ],
)
def test_noise_of_a_modelled_cohort(privacy, stddev):
    plan = make_privacy_plan(CohortConfig(goal=6), privacy, rounds=20, num_phones=PHONES)
    assert plan.noise_stddev == pytest.approx(stddev) and plan.noise_multiplier == 0.7
    assert plan.population == (PHONES if privacy.modelled_cohort is None else 4000)


def test_target_epsilon_is_met_by_the_plan():
    plan = make_privacy_plan(CohortConfig(goal=6), PrivacyConfig(target_epsilon=3.0), rounds=20, num_phones=PHONES)
    assert 2.999 < plan.epsilon <= 3.0


def test_contradictions():
    with pytest.raises(ValueError, match=r"noise-multiplier: expected it or --privacy\.target-epsilon, found neither"):
        make_privacy_plan(CohortConfig(), PrivacyConfig(), rounds=5, num_phones=PHONES)
    with pytest.raises(ValueError, match=r"modelled-cohort: expected a number >= --cohort.goal = 6, found 5"):
        privacy = PrivacyConfig(noise_multiplier=1.0, modelled_cohort=5)
        make_privacy_plan(CohortConfig(goal=6), privacy, rounds=5, num_phones=PHONES)
    with pytest.raises(ValueError, match=r"--cohort\.goal: expected a number from 1 to the 40 phones"):
        make(goal=PHONES + 1)


def test_a_plan_that_is_settled_already_is_used_and_must_fit():
    cohort, privacy = CohortConfig(goal=6, min_separation_rounds=2), PrivacyConfig(clip_norm=0.5, noise_multiplier=1.0)
    plan = make_privacy_plan(cohort, privacy, rounds=5, num_phones=PHONES)
    planned, grid = make(cohort=cohort, privacy=None, rounds=None, plan=plan)
    settled, _ = make(cohort=cohort, privacy=privacy)
    assert planned.plan == settled.plan == replace(plan, noise_source="seeded")  # as the key of `make` is
    np.testing.assert_array_equal(flat(play(planned, grid, 2)), flat(play(settled, grid, 2)))
    with pytest.raises(ConfigError, match="expected privacy and rounds, or a plan, found both"):
        make(cohort=cohort, plan=plan)
    with pytest.raises(ConfigError, match="expected privacy and rounds, or a plan, found neither"):
        make(cohort=cohort, rounds=None)
    with pytest.raises(ConfigError, match="plan: expected goal, separation and policy"):
        make(cohort=replace(cohort, min_separation_rounds=1), privacy=None, rounds=None, plan=plan)


def test_evaluation_pools_counts_over_phones_and_is_due_when_asked():
    # As a Flower user would measure the built-in metrics: the strategy itself does not know what is counted.
    strategy, grid = make(evaluation_phones=np.arange(4), evaluate_every=2, metrics=metric_table().numbers)
    first = list(strategy.configure_evaluate(0, start_arrays(), ConfigRecord(), grid))
    assert sorted(p for m in first for p in m.content["config"]["phone-ids"]) == [0, 1, 2, 3]
    play(strategy, grid, 1)
    assert not list(strategy.configure_evaluate(1, start_arrays(), ConfigRecord(), grid))
    play(strategy, grid, 1)
    assert list(strategy.configure_evaluate(2, start_arrays(), ConfigRecord(), grid))

    def reply(message, phone):
        metrics = {
            "phone-ids": [phone],
            "tokens": [10],
            "loss-sum": [20.0 + phone],
            "word-positions": [8],
            "out-of-vocabulary": [3],
            "top1-hits": [phone],
            "top3-hits": [phone + 1],
        }
        return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=stamp(message, phone))

    pooled = strategy.aggregate_evaluate(0, [reply(first[0], p) for p in (2, 0, 1)])
    assert pooled["top1_recall"] == 3 / 15 and pooled["top3_recall"] == 6 / 15
    assert pooled["impression_recall"] == 6 / 30
    assert "keystroke_savings" not in pooled  # nobody counted them
    assert pooled["oov_rate"] == 9 / 24 and pooled["perplexity"] == pytest.approx(np.exp(63 / 30))
    assert pooled["tokens"] == 30 and strategy.last_evaluation.counts["top1-hits"].tolist() == [0, 1, 2]


def test_plan_is_immutable():
    plan = make()[0].plan
    for field in fields(plan):
        with pytest.raises(FrozenInstanceError):
            setattr(plan, field.name, None)


def test_failed_phones_are_named_with_their_cause_counted_in_the_ledger_and_not_in_the_sum():
    strategy, grid = make(privacy=PrivacyConfig("none", clip_norm=0.5))
    chosen = strategy.cohorts.plan_round(1, np.ones(PHONES, bool)).reporters[[1, 4]]
    arrays = play(strategy, grid, 1, failing=set(chosen.tolist()))
    outcome = strategy.last_round
    assert outcome.failed.tolist() == chosen.tolist() and outcome.reports == 4 and outcome.lost == 0
    assert outcome.failure_causes == tuple(f"Error {phone}" for phone in chosen)
    assert strategy.participation.counts[chosen].tolist() == [1, 1]  # conservative
    rest = np.setdiff1d(outcome.plan.reporters, chosen)
    clipped = [u * min(1, 0.5 / np.linalg.norm(u)) for u in (update_of(p, 1) for p in rest)]
    np.testing.assert_allclose(flat(arrays), np.sum(clipped, 0) / 6, rtol=1e-5, atol=1e-7)


def test_a_round_in_which_too_many_phones_fail_is_abandoned_with_a_cause():
    strategy, grid = make()
    reporters = strategy.cohorts.plan_round(1, np.ones(PHONES, bool)).reporters
    play(strategy, grid, 1, failing=set(reporters[:4].tolist()))
    assert strategy.last_round.plan.abandoned.startswith("2 usable updates of 6 reports; phones failed with Error")
    assert strategy.releases == 0 and strategy.participation.counts.sum() == 0


class Late:
    """A cohort source whose reporters began in this round and in the two before, and count the less."""

    most_reports, max_staleness, weighting = 6, 2, "the older, the less"

    def __init__(self, **changes):
        self.changes = changes

    def plan_round(self, server_round, may_participate):
        phones = np.flatnonzero(may_participate)[:6]
        started = np.maximum(server_round - np.arange(6) % 3, 1)
        weight = 1 / (1.0 + server_round - started)
        tokens = np.ones(6, np.int64)
        plan = RoundPlan(reporters=phones, tokens=tokens, started_round=started, update_weight=weight)
        return replace(plan, **self.changes)


def test_stale_updates_train_from_their_own_weights_and_count_less():
    strategy, grid = make(cohorts=Late())
    received = {}

    def one_round(server_round, arrays):
        messages = list(strategy.configure_train(server_round, arrays, ConfigRecord(), grid))
        for message in messages:
            config = message.content.config_records["config"]
            began = config["server-round"]
            weights = message.content.array_records["arrays"]["a"].numpy()
            np.testing.assert_array_equal(weights, received.setdefault(began, weights))
            assert config["update-weight"] == 1 / (1 + server_round - began)
        replies = [host(stamp(m, f"{server_round}-{i}")) for i, m in enumerate(messages)]
        return strategy.aggregate_train(server_round, replies)[0]

    arrays = start_arrays()
    for r in range(1, 4):
        received[r] = arrays["a"].numpy()
        arrays = one_round(r, arrays)
    # The third release by hand: half of the phones are a round or two old.
    expected = np.zeros(SIZE)
    for phone, began in zip(strategy.last_round.plan.reporters, strategy.last_round.plan.started_round, strict=True):
        update = update_of(phone, began).astype(np.float64)
        expected += update * min(1, 0.5 / np.linalg.norm(update)) / (4 - began)
    noise = NoiseKey.seeded(4).generator(2, 0).normal(0, 0.5, SIZE)
    before = received[3]
    step = (expected + noise)[:9].reshape(3, 3) / 6
    np.testing.assert_allclose(arrays["a"].numpy(), before + step, atol=1e-6)
    # And what a checkpoint keeps is enough to go on from.
    other, _ = make(cohorts=Late())
    state = strategy.state()
    nothing = {"noise": {**state["noise"], "releases": np.array(0)}, "ledger": {}}
    nothing["participation"] = other.state()["participation"]
    other.load_state({**state, **nothing})
    np.testing.assert_array_equal(other._versions.state()["weights"], strategy._versions.state()["weights"])


def test_phones_of_one_round_may_count_differently():
    weight = np.array([1.0, 0.25, 0.5, 0.25, 1.0, 0.125])
    strategy, grid = make(cohorts=Late(update_weight=weight, started_round=None), privacy=PrivacyConfig("none"))
    arrays = play(strategy, grid, 1)
    clip_norm, expected = strategy.plan.clip_norm, np.zeros(SIZE)
    for phone, counts in zip(strategy.last_round.plan.reporters, weight, strict=True):
        update = update_of(phone, 1).astype(np.float64)
        expected += counts * update * min(1, clip_norm / np.linalg.norm(update))
    np.testing.assert_allclose(flat(arrays), expected / 6, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"update_weight": np.array([1, 1, 1, 1, 1, 1.0001])},
            r"update_weight: expected numbers in \(0, 1\], found 1.0 to 1.0001",
        ),
        ({"update_weight": np.array([1, 1, 1, 1, 1, np.nan])}, r"update_weight: expected numbers in \(0, 1\]"),
        ({"update_weight": np.array([1, 1, 1, 1, 1, 0.0])}, r"update_weight: expected numbers in \(0, 1\], found 0.0"),
        ({"update_weight": np.ones(5)}, "tokens, rounds and weights: expected those of 6 reporters"),
        (
            {"started_round": np.array([4, 4, 4, 4, 4, 5])},
            "started_round: expected round 4 or up to 2 rounds before, found 4 to 5",
        ),
        ({"started_round": np.array([4, 4, 4, 4, 4, 1])}, "found 1 to 4"),
        ({"reporters": np.array([0, 1, 2, 3, 4, 4])}, "each once"),
        (
            {"reporters": np.arange(7), "tokens": np.ones(7, np.int64)},
            "reporters: expected at most 6, each once, found 7",
        ),
    ],
)
def test_a_plan_that_would_break_the_guarantee_or_the_sum_is_refused_before_anybody_trains(changes, message):
    strategy, grid = make(cohorts=Late(**changes))
    with pytest.raises(ValueError, match=message):
        strategy.configure_train(4, start_arrays(), ConfigRecord(), grid)
    assert strategy.releases == strategy.ledger.releases == 0


def test_reporters_that_may_not_participate_are_refused():
    strategy, grid = make(cohorts=Late(reporters=np.arange(6), started_round=None, update_weight=None))
    play(strategy, grid, 1)
    with pytest.raises(ValueError, match="that the participation rule admits"):
        strategy.configure_train(2, start_arrays(), ConfigRecord(), grid)
