"""What comes out when a run's rounds are planned once more, held against what the run itself wrote down."""

import json
import shutil
from collections import Counter
from copy import copy
from datetime import UTC, datetime

import numpy as np
import pytest

from server_strategy.privacy.ledger_lines import decode_labels, read_ledger
from simulation.flags import parse_simulate
from simulation.run.checkpoint import CheckpointError
from simulation.run.preparation import prepare
from simulation.studies.phone_story import history as history_module
from simulation.studies.phone_story.history import (
    ENDED,
    HELD_OUT,
    IN_SUM,
    MEASURED,
    NOT_USED,
    REFUSED,
    SMALL,
    TRAINS,
    RunHistory,
    role_of,
)
from simulation.studies.retention import delete_from_run, look_at_run
from simulation.world.attempts import FAILED, INELIGIBLE, UPLOAD_FAILED
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import simulate
from typefleet.errors import ConfigError

STEPS = ("--aggregation.protocol", "arithmetic", "--aggregation.step-latency-s", 1)
FAILING = ("--fleet.failure-share", 0.2, "--fleet.upload-failure-share", 0.6, "--fleet.upload-tries", 2)
CONSENT = ("--consent.train-share", 0.5, "--consent.evaluate-share", 0.5)


@pytest.fixture(scope="module")
def histories(planted, made_once):
    """(folder, history) of a buffered run on a file of messages, and of one with failures and steps in time."""

    def run(folder):
        arguments = (*WEIGHTS_ONLY, *STEPS, *FAILING, "--output-dir", folder / "run")
        simulate([str(one) for one in arguments])

    stepped = made_once("stepped", run)
    return [(root, RunHistory(root)) for root in (planted / "run", stepped / "run")]


def labels(history):
    """Names of its phones that all of them have."""
    return [f"{label:016x}" for label in history._labels.tolist()]


def _ledger(root):
    return [json.loads(line) for line in (root / "privacy_ledger.jsonl").read_text().splitlines()[1:]]


def _rounds(root):
    return [json.loads(line) for line in (root / "rounds.jsonl").read_text().splitlines()]


def test_all_phones_together_are_what_the_run_counted(histories):
    for root, history in histories:
        asked = [one for phone in labels(history) for one in history.of(phone).asked]
        rounds = _rounds(root)
        assert len(asked) == sum(line["invited"] for line in rounds)
        outcomes = Counter(one.outcome for one in asked)
        in_sums = sum(len(decode_labels(line["participants"])) for line in _ledger(root))
        assert outcomes[IN_SUM] == in_sums > 0
        if "in_flight" not in rounds[0]:  # those are still under way
            for outcome, name in ((FAILED, "failure"), (INELIGIBLE, "ineligible")):
                assert outcomes[ENDED[outcome]] == sum(line[f"dropped_{name}"] for line in rounds)
            assert outcomes[ENDED[FAILED]] > 0


def test_what_never_went_out_has_no_bytes_and_what_was_used_has(histories):
    for _, history in histories:
        for phone in labels(history):
            for one in history.of(phone).asked:
                assert one.download_bytes > 0 <= one.minutes
                if one.outcome in (ENDED[FAILED], ENDED[INELIGIBLE], ENDED[UPLOAD_FAILED]):
                    assert one.upload_bytes == 0
                if one.outcome == IN_SUM:
                    assert one.upload_bytes > 0


def test_a_phones_own_epsilon_is_of_its_own_part(histories):
    for root, history in histories:
        takes_part = Counter(label for line in _ledger(root) for label in decode_labels(line["participants"]).tolist())
        everybody = [history.of(phone) for phone in labels(history)]
        for one in everybody:
            assert one.epsilon is not None
            assert len(one.in_sum) == takes_part[int(one.label, 16)] <= one.most_participations
            assert one.own_epsilon <= one.epsilon * (1 + 1e-9)
            assert (one.own_epsilon == 0) == (not one.in_sum and one.plan.vocabulary is None)
        assert max(one.own_epsilon for one in everybody) == pytest.approx(everybody[0].epsilon)


def test_sums_that_were_given_up_are_counted_beside_those_that_led_to_the_model(histories, tmp_path):
    root, history = histories[1]
    entries, _ = read_ledger(root / "privacy_ledger.jsonl")
    last = entries[-1]
    beside = {**last, "follows": last["follows"], "attempt": 1}  # the last release, made again of another sum
    history = copy(history)
    history._entries = [*entries, beside]
    history._last = len(entries)
    again = [history.of(phone).given_up for phone in labels(history)]
    assert sum(again) == len(decode_labels(last["participants"])) > 0 and max(again) == 1
    assert not any(histories[1][1].of(phone).given_up for phone in labels(history))


def test_those_held_out_are_never_asked(histories):
    for _, history in histories:
        everybody = [history.of(phone) for phone in labels(history)]
        held_out = [one for one in everybody if one.role in (MEASURED, HELD_OUT)]
        assert held_out and all(not one.asked and not one.words_counted for one in held_out)
        assert all(one.role == TRAINS for one in everybody if one.asked)


def test_a_phone_is_found_by_its_user_id(histories):
    _, history = histories[0]
    by_label = {history.of(label).label for label in labels(history)}
    assert {history.of(f"user{number}").label for number in range(100)} < by_label  # and those with planted words
    with pytest.raises(ConfigError, match="found its number"):
        history.of("#0")
    other = histories[1][1]  # of made-up people, who have no user ids
    assert [other.of(f"#{number}").label for number in range(other.num_phones)] == labels(other)


def test_another_ledger_is_said_and_nothing_is_told(histories, tmp_path):
    root, _ = histories[1]
    shutil.copytree(root, tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace("failure_share = 0.2", "failure_share = 0.3", 1))
    with pytest.raises(ConfigError, match=r"^round \d+ of the run: expected to come out as its ledger has it"):
        RunHistory(tmp_path / "run")


def test_who_is_nobody_is_refused_before_the_rounds_are_planned(histories, monkeypatch):
    def not_yet(*_, **__):
        raise AssertionError("the run was prepared first")

    monkeypatch.setattr(history_module, "prepare", not_yet)
    for root, _ in histories:
        with pytest.raises(ConfigError, match=r"^--phone: expected a user id"):
            RunHistory(root, ["nobody at all"])


@pytest.mark.parametrize(("category", "what"), [("checkpoints", "checkpoints"), ("telemetry", "rounds.jsonl")])
def test_an_expired_run_says_since_when_and_tells_nothing(histories, tmp_path, category, what):
    root = shutil.copytree(histories[0][0], tmp_path / "run")
    now_s = datetime(2027, 3, 4, 12, tzinfo=UTC).timestamp()
    delete_from_run(root, look_at_run(root, {category: 1.0}, now_s), now_s)
    with pytest.raises((ConfigError, CheckpointError)) as raised:
        RunHistory(root)
    assert str(raised.value).startswith(f"{root / what}: expected ")
    assert str(raised.value).endswith("found none: deleted on 2027-03-04, as deletions.jsonl says")


def test_no_run_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="expected"):
        RunHistory(tmp_path)


def test_not_used_is_what_the_run_did_not_need(histories):
    root, history = histories[1]
    asked = [one for phone in labels(history) for one in history.of(phone).asked]
    rounds = _rounds(root)
    left = Counter(one.outcome for one in asked)[NOT_USED]
    reported_in_vain = [line for line in rounds if line["abandoned"]]
    if not reported_in_vain:
        gone = np.sum([[line[name] for name in ("late", "unused", "left_mask")] for line in rounds])
        assert left == gone


@pytest.mark.parametrize("people", ["held-out", "validation"])
def test_only_who_was_measured_is_said_to_have_been(people):
    """Of people held out beyond the number measured, of those who refused, and of those kept for a last test: none."""
    flags = [f"--evaluation.people={people}", "--evaluation.max-phones=20", "--fleet.memory-floor-gb=4"]
    config = parse_simulate([*map(str, (*WEIGHTS_ONLY, *CONSENT)), *flags]).run
    prepared = prepare(config)
    consents, phones = prepared.fleet.consents, np.arange(len(prepared.digests))
    roles = np.array([role_of(prepared, phone) for phone in phones.tolist()])
    agrees = {purpose: consents.holds(purpose, phones, 0.0) for purpose in ("train", "evaluate")}
    asked = np.isin(phones, prepared.held_out_phones) & agrees["evaluate"]
    np.testing.assert_array_equal(roles == MEASURED, asked)
    np.testing.assert_array_equal(roles == TRAINS, prepared.fleet.may_train & agrees["train"])
    assert (roles[prepared.training_phones] != REFUSED).all() and not agrees["train"][roles == REFUSED].any()
    assert not prepared.fleet.may_train[roles == HELD_OUT].any()
    assert set(roles) == {TRAINS, MEASURED, HELD_OUT, REFUSED, SMALL}
