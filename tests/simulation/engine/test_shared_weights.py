"""What a worker gets of a message is what the driver sent; that Ray brings it there is in `test_flower_on_ray`."""

import pickle
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict

from server_strategy.plain_arrays import plain_record
from simulation.engine import shared_weights
from simulation.engine.shared_weights import _FROM_BYTES, _MOST_KEPT, SharedWeights

CONTEXT = Context(1, 1, {}, RecordDict(), {})
LARGE = _FROM_BYTES // 4


def the_app():
    return echoed


def echoed(message, context):
    return message


def message_of(**records):
    return Message(RecordDict({"config": ConfigRecord({"phone": 3}), **records}), 7, "train")


def weights_of(number, size=LARGE):
    return plain_record({"w": np.full(size, number, np.float32), "b": np.arange(3.0)})


@pytest.fixture
def put(monkeypatch):
    """What was put into Ray's memory, as bytes; a reference is its place."""
    found = []

    def into_memory(value):
        found.append(pickle.dumps(value))
        return len(found) - 1

    monkeypatch.setattr(shared_weights, "ray", SimpleNamespace(put=into_memory))
    return found


def as_a_worker_has_it(put, sent):
    """What a worker's app is called with, which has unpickled all that it was sent."""
    reference, bare = sent
    app_fn = pickle.loads(put[reference]) if isinstance(reference, int) else reference  # noqa: S301 - our own
    return app_fn()(message=pickle.loads(pickle.dumps(bare)), context=CONTEXT)  # noqa: S301 - of the line itself


@pytest.mark.parametrize("names", [["arrays"], ["arrays", "more"]])
def test_a_worker_gets_the_message_that_was_sent(put, names):
    whole = message_of(**{name: weights_of(number) for number, name in enumerate(names)})
    sent = SharedWeights(the_app).apart(whole)
    assert len(pickle.dumps(sent[1])) < _FROM_BYTES / 10 and len(put) == 1
    got = as_a_worker_has_it(put, sent)
    assert got.metadata == whole.metadata and set(got.content) == {"config", *names}
    assert got.content["config"] == whole.content["config"]
    for name in names:
        for key, array in whole.content[name].items():
            np.testing.assert_array_equal(got.content[name][key].numpy(), array.numpy(), strict=True)


def test_the_message_stays_as_it_is(put):
    whole = message_of(arrays=weights_of(1))
    content, records = whole.content, dict(whole.content)
    SharedWeights(the_app).apart(whole)
    assert whole.content is content and dict(content) == records


def test_the_same_weights_are_put_once(put):
    shared, same, equal = SharedWeights(the_app), weights_of(1), weights_of(1)
    references = [shared.apart(message_of(arrays=record))[0] for record in (same, same, equal, same)]
    assert references == [0, 0, 1, 0]  # of what looks alike nobody knows before it is read
    same["w"] = weights_of(2)["w"]
    assert shared.apart(message_of(arrays=same))[0] == 2


@pytest.mark.parametrize(
    "records",
    [
        {},
        {"arrays": weights_of(1, 10)},
        {"arrays": ArrayRecord({"w": Array(np.zeros(LARGE, np.float32))})},  # bytes to Ray
    ],
    ids=["none", "small", "Flower's own"],
)
def test_what_ray_would_not_share_goes_along(put, records):
    message = message_of(**records)
    app_fn, sent = SharedWeights(the_app).apart(message)
    assert app_fn is the_app and sent is message and not put


def test_the_last_few_are_kept_and_no_more(put):
    shared, alive = SharedWeights(the_app), []
    for number in range(_MOST_KEPT + 2):
        record = weights_of(number)
        alive.append(weakref.ref(record["w"]))
        shared.apart(message_of(arrays=record))
    del record
    assert [one() is not None for one in alive] == [False, False] + [True] * _MOST_KEPT


def test_messages_that_are_sent_at_once_wait_for_one_copy(put):
    shared, record, found = SharedWeights(the_app), weights_of(1), []
    ready = threading.Barrier(8)

    def send():
        ready.wait()
        found.append(shared.apart(message_of(arrays=record))[0])

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0] * 8
