"""From a sum to weights: what a line binds, in which order things happen, and releases that are made again."""

import hashlib
import json
from copy import deepcopy
from dataclasses import asdict, replace

import numpy as np
import pytest
from flwr.app import ConfigRecord

from client_model.learning.language_model import weights_sha256
from server_strategy.cohorts import RoundPlan
from server_strategy.config import CohortConfig
from server_strategy.privacy.accounting import gaussian_rho
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.ledger import Binding, PrivacyLedger, PrivacySpent, recompute
from server_strategy.privacy.ledger_lines import digest_of_sum
from server_strategy.privacy.rounded_up import Bound
from server_strategy.releases import Releases
from server_strategy.state import StateError
from server_strategy.update_sum import FixedPointSum
from tests.server_strategy.test_dp_fedavg import flat, host, make, play, play_round, stamp, start_arrays, update_of

ALL = ("gaussian", "tree", "banded", "blt")


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def resumed(state, path, **settings):
    strategy, grid = make(**settings, ledger_path=path)
    strategy.load_state(state)
    return strategy, grid


def play_without(strategy, grid, r, arrays, phone):
    """A round in which one phone's update is zero."""
    messages = [stamp(m, f"{r}-{i}") for i, m in enumerate(strategy.configure_train(r, arrays, ConfigRecord(), grid))]
    answers = [host(m) for m in messages]
    for answer in answers:
        ids = list(answer.content["metrics"]["phone-ids"])
        if phone in ids:
            own = FixedPointSum(12, 0.5)
            own.add(update_of(phone, r))
            total = answer.content.array_records["update-sum"]
            name = next(iter(total))
            total[name] = type(total[name])(total[name].numpy() - own.values)
    return strategy.aggregate_train(r, answers)[0]


def test_a_line_binds_the_exact_sum_and_the_weights(tmp_path):
    strategy, grid = make(ledger_path=tmp_path / "l")
    arrays = play(strategy, grid, 1)
    (line,) = lines_of(tmp_path / "l")
    total = FixedPointSum(12, 0.5)
    norms = [total.add(update_of(p, 1)) for p in strategy.last_round.plan.reporters]
    key = strategy.state()["ledger"]["key"].tobytes()
    said = json.dumps([0.5, 6, sum(norm <= 0.5 for norm in norms)]).encode() + b"\n" + total.values.tobytes()
    own = hashlib.blake2b(said, key=key, digest_size=32, person=b"typefleet ledger").hexdigest()
    assert line["sum_digest"] == own and len(key) == 32
    assert line["weights_sha256"] == weights_sha256(flat(arrays)) and (line["follows"], line["attempt"]) == (0, 0)
    other, grid = make(ledger_path=tmp_path / "other")  # another run: another key
    play(other, grid, 1)
    assert lines_of(tmp_path / "other")[0]["sum_digest"] != own


def test_what_the_digest_is_of_cannot_be_moved_from_one_part_to_another():
    key, total = bytes(32), np.arange(3)
    parts = dict(clip_norm=1.0, reports=1, reports_below=11)
    assert digest_of_sum(key, total, **parts) != digest_of_sum(
        key, total, **parts | {"reports": 11, "reports_below": 1}
    )


def test_nothing_leaves_before_its_line_is_on_disk(tmp_path, monkeypatch):
    strategy, grid = make(ledger_path=tmp_path / "l")
    order = []
    for where, name in ((type(strategy.protected_sum), "release"), (PrivacyLedger, "record")):
        inner = getattr(where, name)

        def noted(*args, inner=inner, name=name, **kwargs):
            order.append((name, len((tmp_path / "l").read_text().splitlines())))
            return inner(*args, **kwargs)

        monkeypatch.setattr(where, name, noted)
    monkeypatch.setattr("server_strategy.dp_fedavg.shaped_like", lambda *_: order.append(("out", 2)) or start_arrays())
    play(strategy, grid, 1)
    assert order == [("release", 1), ("record", 1), ("out", 2)]


def test_a_release_that_could_not_be_put_on_record_is_the_last(tmp_path):
    strategy, grid = make(ledger_path=tmp_path / "l")
    (tmp_path / "l").unlink()
    (tmp_path / "l").mkdir()
    with pytest.raises(OSError, match="directory"):
        play(strategy, grid, 1)
    assert strategy.releases == 0 and not strategy.participation.counts.any()
    with pytest.raises(RuntimeError, match="expected one after the last that went well"):
        play(strategy, grid, 1)


@pytest.mark.parametrize("mechanism", ALL)
def test_a_release_of_another_sum_has_fresh_noise_and_a_line_of_its_own(mechanism, tmp_path):
    path = tmp_path / "l"
    settings = dict(privacy=PrivacyConfig(mechanism, clip_norm=0.5, noise_multiplier=1.0), goal=15)
    first, grid = make(**settings, ledger_path=path)
    arrays = play(first, grid, 2)
    state, before = deepcopy(first.state()), flat(arrays)
    released = play_round(first, grid, 3, arrays)
    reporter = int(first.last_round.plan.reporters[0])
    straight, whole = first.last_round.spent, path.read_bytes()

    second, grid = resumed(state, path, **settings)
    other = play_without(second, grid, 3, arrays, reporter)
    lines = lines_of(path)
    assert path.read_bytes().startswith(whole)
    assert [(line["release"], line["follows"], line["attempt"]) for line in lines[2:]] == [(3, 2, 0), (3, 2, 1)]
    # The two differ by more than the phone: by the draws of two releases, as wide as they are alone.
    clipped = update_of(reporter, 3) * 0.5 / np.linalg.norm(update_of(reporter, 3))
    gap = (flat(released) - before - (flat(other) - before)) * 15 - clipped
    assert np.std(gap) > 0.2  # 0.5 sqrt(2) of independent noise, somewhat less of a row that others cancel
    # Both are counted, in the file as in the process.
    spent = second.last_round.spent
    assert spent.repeated_releases == 1 and spent.zcdp_rho > straight.zcdp_rho and spent.epsilon > straight.epsilon
    assert recompute(path, 3) == json.loads(json.dumps(asdict(spent))) == lines[-1]["spent"]
    if mechanism == "gaussian":
        most = np.bincount(np.concatenate([np.arange(40), *(decoded(line) for line in lines)])).max() - 1
        assert spent.zcdp_rho == gaussian_rho(1.0, most) and spent.max_participations == most
    # Made once more, either is the release that it was: nothing is written, and nothing more is spent.
    now = path.read_bytes()
    third, grid = resumed(state, path, **settings)
    np.testing.assert_array_equal(flat(play_without(third, grid, 3, arrays, reporter)), flat(other))
    assert third.last_round.spent == spent
    fourth, grid = resumed(state, path, **settings)
    np.testing.assert_array_equal(flat(play_round(fourth, grid, 3, arrays)), flat(released))
    assert fourth.last_round.spent == spent and path.read_bytes() == now


def decoded(line):
    from server_strategy.privacy.ledger import decode_labels

    return decode_labels(line["participants"]).astype(np.int64)


def test_after_a_repeated_release_the_run_goes_on_and_keeps_what_it_planned(tmp_path):
    """Phones of the release that was given up are invited as often less, and the way is found again from a state."""
    path, settings = tmp_path / "l", dict(goal=15, rounds=6)
    first, grid = make(**settings, ledger_path=path)
    arrays = play(first, grid, 1)
    state = deepcopy(first.state())
    play_round(first, grid, 2, arrays)
    given_up = first.last_round.plan.reporters
    second, grid = resumed(state, path, **settings)
    arrays = play_without(second, grid, 2, arrays, int(given_up[0]))
    assert not second.spent(ended=False).max_participations > 3
    arrays = play_round(second, grid, 3, arrays)
    middle, at = deepcopy(second.state()), arrays
    for r in (4, 5, 6):
        arrays = play_round(second, grid, r, arrays)
    assert second.last_round.spent.max_participations <= second.plan.max_participations
    assert recompute(path, 6) == json.loads(json.dumps(asdict(second.spent(ended=True))))
    before = path.read_bytes()
    third, grid = resumed(middle, path, **settings)
    for r in (4, 5, 6):
        at = play_round(third, grid, r, at)
    np.testing.assert_array_equal(flat(at), flat(arrays))
    assert path.read_bytes() == before


def test_the_same_sum_with_noise_of_another_key_is_another_release(tmp_path):
    first, grid = make(ledger_path=tmp_path / "l")
    state = deepcopy(first.state())
    play(first, grid, 1)
    second, grid = make(seed=5, ledger_path=tmp_path / "l")
    second.load_state(state)
    play(second, grid, 1)
    one, two = lines_of(tmp_path / "l")
    assert one["sum_digest"] == two["sum_digest"] and one["weights_sha256"] != two["weights_sha256"]
    assert two["attempt"] == 1 and second.last_round.spent.zcdp_rho == 2 * first.last_round.spent.zcdp_rho


def test_a_budget_counts_releases_that_are_made_again(tmp_path):
    privacy = PrivacyConfig(clip_norm=0.5, noise_multiplier=1.0)
    free, grid = make(privacy=privacy)
    play(free, grid, 1)
    privacy = replace(privacy, target_epsilon=free.last_round.spent.epsilon * 1.01)
    first, grid = make(privacy=privacy, ledger_path=tmp_path / "l")
    state = deepcopy(first.state())
    play(first, grid, 1)
    second, grid = make(privacy=privacy, ledger_path=tmp_path / "l")
    second.load_state(state)
    phone = int(first.last_round.plan.reporters[0])
    assert play_without(second, grid, 1, start_arrays(), phone) is None and "above the budget" in second.budget_reached
    assert len(lines_of(tmp_path / "l")) == 1 and second.releases == 0
    # It has ended without a release of its own, and the one on record was seen all the same.
    assert second.spent(ended=True).epsilon == first.last_round.spent.epsilon and second.spent(ended=False).epsilon == 0
    assert recompute(tmp_path / "l", 0, everything=True)["epsilon"] == first.last_round.spent.epsilon


class Asked:
    """Phones as they are named, round by round."""

    most_reports, max_staleness, weighting = 6, 0, "uniform weights"

    def __init__(self, *rounds):
        self.rounds = rounds

    def plan_round(self, server_round, may_participate):
        phones = np.array(self.rounds[server_round - 1])
        return RoundPlan(reporters=phones, tokens=np.ones(len(phones), np.int64))


def with_room_for_one(rounds, share, **settings):
    """A run of six phones a round whose budget has room for one participation of a phone."""
    cohort = CohortConfig(goal=6, min_separation_rounds=1, minimum_report_share=share)
    privacy = PrivacyConfig(clip_norm=0.5, noise_multiplier=1.0)
    free, grid = make(privacy=privacy, cohorts=Asked(range(6)), cohort=cohort)
    play(free, grid, 1)
    privacy = replace(privacy, target_epsilon=free.last_round.spent.epsilon * 1.01)
    return make(privacy=privacy, cohorts=Asked(*rounds), cohort=cohort, phones_per_message=1, **settings)


@pytest.mark.parametrize(("again", "trained"), [(1, True), (3, True), (4, False), (6, False)])
def test_a_round_is_not_trained_if_no_half_of_its_phones_fits_the_budget(again, trained):
    strategy, grid = with_room_for_one([range(6), range(6 - again, 12 - again)], 0.5)
    arrays = play(strategy, grid, 1)
    before = strategy.spent(ended=True)
    messages = [stamp(m, i) for i, m in enumerate(strategy.configure_train(2, arrays, ConfigRecord(), grid))]
    assert len(messages) == (6 if trained else 0) and (strategy.budget_reached is None) == trained
    assert strategy.aggregate_train(2, [host(m) for m in messages])[0] is None  # neither is released if all come
    reached = strategy.budget_reached
    twice = strategy.plan.epsilon_of(gaussian_rho(1.0, 2))
    assert reached.startswith(f"the next release would take epsilon to {Bound(twice):.4g}, above the budget of")
    assert strategy.last_round.plan.abandoned == reached and strategy.last_round.reports == (6 if trained else 0)
    assert strategy.spent(ended=True) == before and strategy.releases == 1


def test_a_round_is_released_without_those_who_stayed_away_and_would_not_have_fitted():
    strategy, grid = with_room_for_one([range(6), range(3, 9)], 0.5)
    arrays = play(strategy, grid, 1)
    messages = [stamp(m, i) for i, m in enumerate(strategy.configure_train(2, arrays, ConfigRecord(), grid))]
    fit = [host(m) for m in messages if m.content["config"]["phone-ids"][0] >= 6]
    assert strategy.aggregate_train(2, fit)[0] is not None
    assert strategy.releases == 2 and strategy.budget_reached is None and strategy.last_round.lost == 3


def test_a_release_on_record_is_made_again_though_the_budget_has_no_room_for_another(tmp_path):
    first, grid = with_room_for_one([range(6)], 1.0, ledger_path=tmp_path / "l")
    state = deepcopy(first.state())
    straight, whole = play(first, grid, 1), (tmp_path / "l").read_bytes()
    second, grid = with_room_for_one([range(6)], 1.0, ledger_path=tmp_path / "l")
    second.load_state(state)
    np.testing.assert_array_equal(flat(play(second, grid, 1)), flat(straight))
    assert second.last_round.spent == first.last_round.spent and second.budget_reached is None
    assert (tmp_path / "l").read_bytes() == whole


@pytest.mark.parametrize("mechanism", ALL)
def test_what_is_not_trained_would_not_have_been_released_and_ends_the_run_as_that_does(mechanism, monkeypatch):
    cohort = CohortConfig(goal=15, min_separation_rounds=2, minimum_report_share=1.0)
    plain = PrivacyConfig(mechanism, clip_norm=0.5, noise_multiplier=1.0)
    free, grid = make(goal=15, cohort=cohort, privacy=plain)
    spent, arrays = [], start_arrays()
    for r in (1, 2, 3):
        arrays = play_round(free, grid, r, arrays)
        spent.append(free.last_round.spent.epsilon)
    settings = dict(goal=15, cohort=cohort, privacy=replace(plain, target_epsilon=(spent[1] + spent[2]) / 2))
    forecast, grid = make(**settings)
    arrays = play(forecast, grid, 3)
    assert forecast.last_round.reports == 0 and forecast.releases == 2
    monkeypatch.setattr(Releases, "_may_fit", lambda *_: True)
    refused, grid = make(**settings)
    np.testing.assert_array_equal(flat(play(refused, grid, 3)), flat(arrays))
    assert refused.last_round.reports == 15
    assert refused.budget_reached == forecast.budget_reached == forecast.last_round.plan.abandoned
    assert refused.spent(ended=True) == forecast.spent(ended=True)
    np.testing.assert_equal({**refused.state(), "ledger": {}}, {**forecast.state(), "ledger": {}})


def test_a_line_of_before_binds_nothing_so_that_the_release_is_another(tmp_path):
    path = tmp_path / "l"
    first, grid = make(ledger_path=path)
    state = deepcopy(first.state())
    play(first, grid, 1)
    spent, phones = first.last_round.spent, decoded(lines_of(path)[0])
    path.unlink()
    PrivacyLedger(first.plan, path).record(1, phones.astype(np.uint64), spent)  # as an earlier version wrote it
    second, grid = make(ledger_path=path)
    second.load_state({**state, "ledger": {}})  # an earlier version's, too
    play(second, grid, 1)
    assert [line.get("attempt") for line in lines_of(path)] == [None, 1]
    assert second.last_round.spent.zcdp_rho == 2 * spent.zcdp_rho


@pytest.mark.parametrize("key", [0, 31, 64])
def test_a_state_with_another_kind_of_key_is_refused(key):
    strategy, _ = make()
    with pytest.raises(StateError, match="expected a key of 32 bytes"):
        strategy.load_state({**strategy.state(), "ledger": {"line": np.array(0), "key": np.zeros(key, np.uint8)}})


def test_a_line_that_says_the_same_release_twice_is_no_ledger(tmp_path):
    from server_strategy.privacy.ledger import LedgerError
    from tests.server_strategy.privacy.test_ledger import plan

    ledger, spent = PrivacyLedger(plan(), tmp_path / "l"), PrivacySpent(1, 1, None, 0.5, 1.0, 1e-6)
    for _ in range(2):
        ledger.go_on_after(0)
        ledger.record(1, np.array([1], np.uint64), spent, Binding("a" * 64, "b" * 64))
    with pytest.raises(LedgerError, match=":3: expected an unbroken chain"):
        PrivacyLedger(plan(), tmp_path / "l")
