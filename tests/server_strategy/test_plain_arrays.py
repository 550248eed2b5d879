"""Arrays of messages: to Flower they are its own, and between processes they are not copied."""

import pickle

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from server_strategy.plain_arrays import PlainArray, plain_record

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.arange(20, dtype=np.int64)[::3],
    np.arange(12.0).reshape(3, 4).T,
    np.zeros((0, 4), np.float32),
    np.array(3, np.int64),
    np.array([np.nan, -0.0, np.inf]),
    np.array([2**63 - 1, -(2**63)], np.int64),
]
each = pytest.mark.parametrize("values", ARRAYS, ids=lambda values: f"{values.dtype}{list(values.shape)}")


@each
def test_it_says_of_itself_what_flowers_own_array_says(values):
    ours, flowers = PlainArray(values), Array(values)
    assert isinstance(ours, Array)
    assert (ours.dtype, ours.shape, ours.stype, ours.data) == (
        flowers.dtype,
        flowers.shape,
        flowers.stype,
        flowers.data,
    )
    np.testing.assert_array_equal(ours.numpy(), flowers.numpy())
    assert ours.object_id == flowers.object_id  # by its content on the wire


@each
def test_over_a_network_it_arrives_as_flowers_own(values):
    sent = plain_record({"first": values, "second": values})
    wire = {number: part.deflate() for number, part in get_all_nested_objects(sent).items()}
    arrived = inflate_object_from_contents(sent.object_id, wire)
    assert isinstance(arrived, ArrayRecord) and list(arrived) == ["first", "second"]
    for array in arrived.values():
        assert type(array) is Array
        np.testing.assert_array_equal(array.numpy(), values)


@each
def test_pickled_its_numbers_are_handed_on_where_they_lie(values):
    buffers: list[pickle.PickleBuffer] = []
    said = pickle.dumps(plain_record({"w": values}), protocol=5, buffer_callback=buffers.append)
    (array,) = pickle.loads(said, buffers=buffers).to_numpy_ndarrays()  # noqa: S301 - written a line before
    np.testing.assert_array_equal(array, values)
    assert array.dtype == values.dtype and not array.flags.writeable
    if values.flags.forc and values.size:
        assert len(buffers) == 1 and np.shares_memory(array, values)


@each
def test_nobody_who_has_it_can_change_it(values):
    with pytest.raises(ValueError, match="read-only"):
        PlainArray(values).numpy()[...] = 0
    assert values.flags.writeable
