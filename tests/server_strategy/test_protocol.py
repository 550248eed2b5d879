"""Both ends of the wire speak as documented, and what does not is refused in one clear line."""

from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from server_strategy.pooled_evaluation import counts_of_phones
from server_strategy.protocol import (
    Briefing,
    EvaluateReply,
    EvaluateRequest,
    HostProfile,
    TrainReply,
    TrainRequest,
)
from server_strategy.record_reader import ProtocolError
from server_strategy.round_replies import join_replies

ARRAYS = ArrayRecord({"w": Array(np.ones((2, 2), np.float32))})
ASKED = np.arange(10)
PROFILE = HostProfile(
    decode_s=0.1, read_s=0.2, train_s=3.0, clip_and_sum_s=0.4, message_s=4.0, cpu_s=3.5, peak_rss_bytes=9, worker=7
)
TRAINED = TrainReply(
    update_sum=np.arange(4),
    phones=np.array([5, 2]),
    norms=np.array([0.5, 2.5]),
    loss_sums=np.array([10.0, 20.0]),
    tokens=np.array([3, 4]),
    rejected=np.array([1]),
    failed=np.array([7]),
    failure_causes=("ValueError",),
    profile=PROFILE,
)


def answer(content):
    """As it comes back: after a trip through Flower's serialisation, which forgets the kind of an empty list."""
    question = Message(RecordDict(), dst_node_id=3, message_type="train")
    question.metadata.__dict__["_message_id"] = "m"  # Flower does this when a message is sent
    travelled = {name: type(record).inflate(record.deflate()) for name, record in _without_arrays(content).items()}
    return Message(RecordDict({**content, **travelled}), reply_to=question)


def _without_arrays(content):
    return {name: record for name, record in content.items() if not isinstance(record, ArrayRecord)}


def assert_same(found, expected):
    assert type(found) is type(expected)
    for name, value in vars(expected).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(found, name), value, strict=True)
        elif isinstance(value, ArrayRecord):
            np.testing.assert_array_equal(getattr(found, name)["w"].numpy(), value["w"].numpy())
        elif name != "counts":
            assert getattr(found, name) == value


def test_requests_arrive_as_they_were_made_with_what_the_caller_said():
    briefing = Briefing("a task", True, {"learning-rate": 0.5})
    train = TrainRequest(
        arrays=ARRAYS,
        phones=np.array([3, 1]),
        server_round=4,
        clip_norm=0.5,
        clip_scope="layer",
        update_weight=0.25,
        opened_s=90_000.5,
        briefing=briefing,
    )
    assert_same(TrainRequest.from_content(train.to_content()), train)
    anytime = replace(train, opened_s=0.0)
    assert "opened-s" not in anytime.to_content()["config"]
    assert_same(TrainRequest.from_content(anytime.to_content()), anytime)
    measure = EvaluateRequest(arrays=ARRAYS, phones=np.array([3, 1, 2]), unit_sizes=np.array([2, 1]), briefing=briefing)
    assert_same(EvaluateRequest.from_content(measure.to_content()), measure)
    assert [unit.tolist() for unit in measure.units()] == [[3, 1], [2]]


def test_a_callers_config_passes_through_and_nothing_is_added_that_was_not_said():
    own = {"misbehave": "raise", "phones": [1, 2]}
    assert dict(Briefing.from_config(own).to_config()) == own
    assert Briefing.from_config(Briefing("t", True, own).to_config()) == Briefing("t", True, own)


def test_the_wire_has_the_words_that_are_documented():
    content = TRAINED.to_content()
    assert set(content) == {"update-sum", "metrics", "failures", "profile"}
    names = ("phone-ids", "update-norm", "loss-sum", "tokens", "rejected-ids", "failed-ids")
    assert set(content["metrics"]) == set(names)
    assert content["failures"]["causes"] == ["ValueError"]
    seconds = ("decode-s", "read-s", "train-s", "clip-and-sum-s", "message-s", "cpu-s")
    assert set(content["profile"]) == {*seconds, "peak-rss-bytes", "worker"}


def test_answers_arrive_as_they_were_made():
    assert_same(TrainReply.from_message(answer(TRAINED.to_content()), ASKED, 4), TRAINED)
    counts = {"hits": np.array([1, 2, 3]), "loss": np.array([0.5, 0.0, 1.0]), "by-place": np.arange(6).reshape(3, 2)}
    measured = EvaluateReply(phones=np.array([4, 9, 0]), counts=counts)
    found = EvaluateReply.from_message(answer(measured.to_content()), ASKED)
    assert_same(found, measured)
    assert set(found.counts) == set(counts)
    for name, values in counts.items():
        np.testing.assert_array_equal(found.counts[name], values, strict=True)


def test_nobody_in_the_sum_is_an_answer_too():
    none = np.zeros(0, np.int64)
    empty = TrainReply(
        update_sum=np.zeros(4, np.int64), phones=none, norms=np.zeros(0), loss_sums=np.zeros(0), tokens=none
    )
    assert_same(TrainReply.from_message(answer(empty.to_content()), ASKED, 4), empty)


def test_a_plain_flower_client_may_write_single_numbers_bare_and_leave_failures_out():
    metrics = MetricRecord({"phone-ids": 5, "update-norm": 1, "loss-sum": 2.0, "tokens": 3, "rejected-ids": []})
    content = RecordDict({"update-sum": ArrayRecord([np.zeros(4, np.int64)]), "metrics": metrics})
    found = TrainReply.from_message(answer(content), ASKED, 4)
    assert found.phones.tolist() == [5] and found.norms.dtype == np.float64 and not len(found.failed)
    assert found.profile is None


def train_content(records=(), **changed):
    content = TRAINED.to_content()
    for key, value in changed.items():
        key = key.replace("_", "-")
        if value is None:
            del content["metrics"][key]
        else:
            content["metrics"][key] = value
    for name, record in dict(records).items():
        content[name] = record
    return content


MALFORMED = {
    "a key is missing": (train_content(loss_sum=None), "expected a value loss-sum, found none"),
    "ids are no integers": (train_content(phone_ids=[5.0, 2.0]), "expected phone-ids to be integers, found float"),
    "another length": (train_content(tokens=[3, 4, 5]), "expected 2 of tokens, found 3"),
    "not asked": (train_content(rejected_ids=[99]), "expected only phones that were asked, found phone 99"),
    "twice": (train_content(rejected_ids=[5]), "expected each phone at most once, found phone 5 again"),
    "too few causes": (
        train_content(failed_ids=[7, 8]),
        "expected causes to be 2 texts, one for each of failed-ids, found 1 values",
    ),
    "another dtype": (
        train_content({"update-sum": ArrayRecord([np.zeros(4, np.float32)])}),
        "expected update-sum to be one array int64 [4], found float32 [4]",
    ),
    "another model": (
        train_content({"update-sum": ArrayRecord([np.zeros(5, np.int64)])}),
        "expected update-sum to be one array int64 [4], found int64 [5]",
    ),
    "two arrays": (
        train_content({"update-sum": ArrayRecord([np.zeros(4, np.int64)] * 2)}),
        "expected update-sum to be one array int64 [4], found int64 [4], int64 [4]",
    ),
    "no metrics": (RecordDict({"update-sum": ArrayRecord([np.zeros(4, np.int64)])}), "a record metrics, found none"),
    "no sum": (RecordDict({"metrics": TRAINED.to_content()["metrics"]}), "expected a record update-sum, found none"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_answer_is_one_clear_line(case):
    content, message = MALFORMED[case]
    with pytest.raises(ProtocolError) as error:
        TrainReply.from_message(answer(content), ASKED, 4)
    assert str(error.value).startswith("answer of node 3 to train: expected ") and message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"phone-ids": [1, 12]}, "expected only phones that were asked, found phone 12"),
        ({"hits": [1, 2, 3]}, "expected equally many hits for each of 2 phones, found 3"),
        ({"hits": []}, "expected equally many hits for each of 2 phones, found 0"),
    ],
)
def test_a_malformed_measurement_is_one_clear_line(changed, message):
    content = RecordDict({"metrics": MetricRecord({"phone-ids": [1, 2], "hits": [1, 2], **changed})})
    with pytest.raises(ProtocolError, match=r"^answer of node 3 to evaluate: ") as error:
        EvaluateReply.from_message(answer(content), ASKED)
    assert message in str(error.value)


def test_a_phone_in_two_answers_is_refused():
    content = TRAINED.to_content()
    with pytest.raises(ProtocolError, match="answers to train: expected each phone at most once, found phone 1 again"):
        join_replies([answer(content), answer(content)], ASKED, 4)
    measured = EvaluateReply(phones=np.array([4]), counts={}).to_content()
    with pytest.raises(ProtocolError, match="answers to evaluate: expected each phone at most once"):
        counts_of_phones([answer(measured), answer(measured)], ASKED)


def test_answers_with_other_numbers_a_phone_are_refused():
    answers = [
        answer(EvaluateReply(phones=np.array(phones), counts={"places": np.array(places)}).to_content())
        for phones, places in (([1, 2], [[1, 2], [3, 4]]), ([3, 4], [[1, 2, 3], [3, 4, 5]]))
    ]
    with pytest.raises(ProtocolError, match="as many places of each phone in all of them, found 2 and 3"):
        counts_of_phones(answers, ASKED)


def test_a_request_without_its_form_is_refused():
    with pytest.raises(ProtocolError, match="message to a host: expected a record config, found none"):
        TrainRequest.from_content(RecordDict({"arrays": ARRAYS}))
    units = ConfigRecord({"phone-ids": [1, 2], "unit-sizes": [1]})
    with pytest.raises(ProtocolError, match="expected unit-sizes that add up to the 2 phones, found"):
        EvaluateRequest.from_content(RecordDict({"arrays": ARRAYS, "config": units}))
