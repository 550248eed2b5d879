"""A host by itself: real text, real training; one phone of the shard is made to fail."""

import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict

from client_model.config import TrainingConfig
from client_model.learning.cells.cifg import Cifg
from client_model.learning.language_model import ModelShape, initial_weights
from client_model.metrics.table import sum_counts
from client_model.text.population import PopulationSpec
from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary
from server_strategy.pooled_evaluation import counts_of_phones
from server_strategy.protocol import EvaluateRequest, HostProfile
from simulation.engine import client_app
from simulation.engine.host_task import HostTask
from simulation.engine.phone_host import PhoneHost

WORDS = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, "the", "to", "you"))
SHAPE = ModelShape(Cifg(), len(WORDS), 8, 12, 6)
CONTEXT = Context(0, 0, {}, RecordDict(), {})


@pytest.fixture(autouse=True)
def tensorflow_is_at_work(monkeypatch):
    """A worker sets its threads before TensorFlow's first operation; here other tests have come before."""
    monkeypatch.setattr(client_app, "_open_hosts", [True])


def message(kind, phones, seed=0, group=None, **config):
    task = HostTask(
        population=PopulationSpec(seed, 40),
        vocabulary=WORDS.to_text(),
        shape=SHAPE,
        training=TrainingConfig(max_sequences=5),
        evaluation_sequences=4,
        seed=seed,
        group=group,
    )
    names = SHAPE.weight_shapes()
    arrays = ArrayRecord({n: Array(w) for n, w in zip(names, initial_weights(SHAPE, 0), strict=True)})
    settings = {"host-task": task.to_json(), "clip-norm": 0.5, "server-round": 1, "phone-ids": phones, **config}
    content = RecordDict({"arrays": arrays, "config": ConfigRecord(settings)})
    made = Message(content, dst_node_id=1, message_type=kind)
    made.metadata.__dict__["_message_id"] = "m"  # Flower does this when a message is sent
    return made


def train(phones, **config):
    content = client_app.train(message("train", phones, **config), CONTEXT).content
    (values,) = content["update-sum"].to_numpy_ndarrays()
    return values, content


def misbehave(monkeypatch, phone, how):
    """Make one phone of the shard fail in its training."""
    read, run = PhoneHost.read, PhoneHost.train
    now = []

    def note_phone(self, number, *when):
        now[:] = [number]
        return read(self, number, *when)

    def train_or_fail(self, received, batches):
        result = run(self, received, batches)
        return how(result) if now == [phone] else result

    monkeypatch.setattr(PhoneHost, "read", note_phone)
    monkeypatch.setattr(PhoneHost, "train", train_or_fail)


def test_a_phone_that_raises_is_left_out_and_named_without_its_text(monkeypatch):
    def fail(result):
        raise ValueError("cannot train on 'my secret words'")

    expected, _ = train([1, 2, 4])
    misbehave(monkeypatch, 3, fail)
    values, content = train([1, 2, 3, 4])
    np.testing.assert_array_equal(values, expected)
    assert list(content["metrics"]["phone-ids"]) == [1, 2, 4]
    assert list(content["metrics"]["failed-ids"]) == [3] and not content["metrics"]["rejected-ids"]
    (cause,) = content["failures"]["causes"]
    assert cause.startswith("ValueError at test_client_app.py:") and "secret" not in cause


def test_phones_that_are_read_together_give_what_each_gives_alone(monkeypatch):
    phones, reads = [*range(20), 30, 27], []
    alone = np.sum([train([phone])[0] for phone in phones], 0)
    read = PhoneHost._read
    monkeypatch.setattr(PhoneHost, "_read", lambda host, phone, *when: reads.append(phone) or read(host, phone, *when))
    np.testing.assert_array_equal(train(phones)[0], alone)
    assert sorted(reads) == sorted(phones)  # each once


def test_a_phone_whose_text_cannot_be_read_is_left_out_and_the_others_are_not(monkeypatch):
    expected, _ = train([1, 2, 4])
    read = PhoneHost._read

    def damaged(host, phone, *when):
        if phone == 3:
            raise ValueError("of 'my secret words'")
        return read(host, phone, *when)

    monkeypatch.setattr(PhoneHost, "_read", damaged)
    values, content = train([1, 2, 3, 4])
    np.testing.assert_array_equal(values, expected)
    assert content["metrics"]["failed-ids"] == [3] and "secret" not in content["failures"]["causes"][0]


def test_a_phone_that_returns_nan_is_left_out_and_named(monkeypatch):
    expected, _ = train([1, 2, 4])
    misbehave(monkeypatch, 3, lambda result: result._replace(update=result.update * np.nan))
    values, content = train([1, 2, 3, 4])
    np.testing.assert_array_equal(values, expected)
    assert list(content["metrics"]["rejected-ids"]) == [3] and not content["metrics"]["failed-ids"]


@pytest.mark.parametrize("failure", [MemoryError(), OSError(28, "No space left on device")])
def test_a_failure_of_the_machine_is_not_the_phones(monkeypatch, failure):
    def fail(result):
        raise failure

    misbehave(monkeypatch, 3, fail)
    with pytest.raises(type(failure)):
        train([1, 2, 3, 4])


def test_every_phone_failing_gives_an_empty_sum(monkeypatch):
    misbehave(monkeypatch, 3, lambda result: 1 / 0)
    values, content = train([3])
    assert not values.any() and content["failures"]["causes"][0].startswith("ZeroDivisionError")


def test_the_profile_comes_only_when_asked_for():
    _, content = train([1, 2])
    assert "profile" not in content
    _, content = train([1, 2], profile=True)
    profile = HostProfile.from_content(content)
    phases = profile.decode_s + profile.read_s + profile.train_s + profile.clip_and_sum_s
    assert 0 < phases <= profile.message_s * 1.001
    assert profile.train_s > 0 and profile.peak_rss_bytes > 1e8


def test_evaluation_units_do_not_depend_on_their_message():
    def evaluate(phones, sizes):
        content = client_app.evaluate(message("evaluate", phones, **{"unit-sizes": sizes}), CONTEXT).content
        metrics = {name: list(values) for name, values in dict(content["metrics"]).items()}
        by_phone = {name: np.reshape(values, (len(phones), -1)).tolist() for name, values in metrics.items()}
        return {phone: {name: rows[i] for name, rows in by_phone.items()} for i, phone in enumerate(phones)}

    together = evaluate([5, 6, 7, 8, 9], [3, 2])
    apart = evaluate([5, 6, 7], [3]) | evaluate([8, 9], [2])
    assert together == apart
    counts = together[5]
    assert 0 < counts["keystrokes"][0] <= counts["characters"][0]
    assert sum(counts["in-vocabulary-by-position"]) == counts["word-positions"][0] - counts["out-of-vocabulary"][0]
    for hits in ("top1-hits", "top3-hits"):
        assert sum(counts[f"{hits}-by-position"]) == counts[hits][0]
    assert json.dumps(together)  # plain numbers


def test_the_server_adds_up_what_the_host_counts_to_the_same_metrics():
    asked = message("evaluate", [5, 6, 7], **{"unit-sizes": [3]})
    request = EvaluateRequest.from_content(asked.content)
    host = client_app._open(request.briefing, CONTEXT)
    metrics = host.task.metrics
    found = metrics.values(counts_of_phones([client_app.evaluate(asked, CONTEXT)], np.arange(40)).sums())
    received = host.load(request.arrays.to_numpy_ndarrays())
    expected = metrics.values(sum_counts(host.score(received, [5, 6, 7])))
    assert found.pop("perplexity") == pytest.approx(expected.pop("perplexity"))  # the sum of floats has an order
    assert found == expected and None not in found.values()


@pytest.mark.parametrize(
    ("kernel", "is_there", "limited"), [("native", False, []), ("native", True, [1]), ("tensorflow", False, [1])]
)
def test_tensorflow_is_limited_where_it_is_used_and_not_imported_for_that(monkeypatch, kernel, is_there, limited):
    found = []
    for name in client_app._TENSORFLOWS_THREADS:
        monkeypatch.setenv(name, "7")
    if is_there:
        monkeypatch.setitem(sys.modules, "tensorflow", sys)
    else:
        monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setitem(
        sys.modules, "client_model.learning.local_training", SimpleNamespace(limit_threads=found.append)
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    client_app._set_tensorflow_up(SimpleNamespace(kernel=kernel, group=None))
    assert found == limited and ("tensorflow" in sys.modules) == is_there
    assert {os.environ[name] for name in client_app._TENSORFLOWS_THREADS} == {"1"}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
