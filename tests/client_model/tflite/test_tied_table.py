import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from client_model.config import ModelConfig
from client_model.learning.language_model import model_shape
from client_model.tflite import compensated_rounding
from client_model.tflite.export_tflite import convert
from client_model.tflite.flatbuffer_model import operator_kind, pack_model, unpack_model
from client_model.tflite.interpreter import open_interpreter
from client_model.tflite.keyboard_modules import KeyboardModule
from client_model.tflite.tflite_metadata import AssociatedFile, ModelFacts, with_metadata
from client_model.tflite.tied_table import TiedTableError, tie_table
from tests.client_model.learning.test_local_training import some_weights


def tables(file, shape):
    """Sizes of the int8 buffers that are as large as the embedding."""
    model = unpack_model(file)
    size = shape.vocabulary_size * shape.embedding_size
    return sum(buffer.data is not None and len(buffer.data) == size for buffer in model.buffers)


def untied(shape, weights, monkeypatch):
    with monkeypatch.context() as patch:
        for change in ("tie_table", "with_compensated_rounding", "with_float_products"):
            patch.setattr(f"client_model.tflite.export_tflite.{change}", lambda file, *_: file)
        return convert(shape, weights, ("int8",))["int8"]


@pytest.mark.parametrize("cell", ["cifg", "lstm"])
def test_one_table_is_kept_and_the_suggestions_stay(cell, monkeypatch):
    shape = model_shape(ModelConfig(cell=cell, vocabulary_size=300, embedding_size=24, units=40, sequence_length=4))
    weights = some_weights(shape, seed=1)
    before = untied(shape, weights, monkeypatch)
    after = tie_table(before)
    assert (tables(before, shape), tables(after, shape)) == (2, 1)
    assert len(before) - len(after) > 300 * 24
    inputs = {
        "token": np.array([17], np.int32),
        "hidden": np.zeros((1, weights[2].shape[0]), np.float32),
        "cell": np.zeros((1, shape.units), np.float32),
    }
    found = [open_interpreter(file).get_signature_runner("step")(**inputs) for file in (before, after)]
    assert found[0]["ids"].tolist() == found[1]["ids"].tolist()
    # A scale for each row instead of one for the table: closer to the float model, not equal.
    np.testing.assert_allclose(found[0]["hidden_out"], found[1]["hidden_out"], atol=0.02)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_weight_of_the_tables_shape_is_not_taken_for_it(backwards, monkeypatch):
    """Three gates of 100 units read 24 numbers: 300 x 24, as the table of 300 words does."""
    shape = model_shape(ModelConfig(vocabulary_size=300, embedding_size=24, units=100, sequence_length=4))
    weights = some_weights(shape, seed=1)
    model = unpack_model(untied(shape, weights, monkeypatch))
    if backwards:  # the order in which products stand says nothing
        for graph in model.subgraphs:
            graph.operators.reverse()
    tied = unpack_model(tie_table(pack_model(model)))
    for graph in tied.subgraphs:
        lookups = [op for op in graph.operators if operator_kind(tied, op) == schema.BuiltinOperator.EMBEDDING_LOOKUP]
        (table,) = (graph.tensors[op.inputs[1]] for op in lookups)
        step = np.asarray(table.quantization.scale)[:, None]
        values = tied.buffers[table.buffer].data.view(np.int8).reshape(300, 24) * step
        assert np.abs(values - weights[0]).max() <= step.max()


def test_tables_too_small_to_be_quantised_stay(monkeypatch):
    shape = model_shape(ModelConfig(vocabulary_size=30, embedding_size=8, units=6, sequence_length=4))
    before = untied(shape, some_weights(shape, seed=1), monkeypatch)
    after = tie_table(before)
    stored = [{bytes(b.data) for b in unpack_model(file).buffers if b.data is not None} for file in (before, after)]
    assert stored[0] == stored[1]  # not a weight was changed or left out
    floats = [table for table in stored[0] if len(table) == 30 * 8 * 4]
    assert floats and tables(before, shape) == 0
    inputs = {"token": np.array([17], np.int32), "hidden": np.zeros((1, 8), np.float32)}
    inputs["cell"] = np.zeros((1, 6), np.float32)
    found = [open_interpreter(file).get_signature_runner("step")(**inputs) for file in (before, after)]
    assert all((found[0][name] == found[1][name]).all() for name in found[0]) and len(found[0]) >= 3


def test_a_model_put_together_otherwise_is_refused(monkeypatch):
    shape = model_shape(ModelConfig(vocabulary_size=300, embedding_size=24, units=40, sequence_length=4))
    model = unpack_model(untied(shape, some_weights(shape, seed=1), monkeypatch))
    for graph in model.subgraphs:
        graph.operators = [
            op for op in graph.operators if operator_kind(model, op) != schema.BuiltinOperator.DEQUANTIZE
        ]
    with pytest.raises(TiedTableError, match="expected a lookup of rows"):
        tie_table(pack_model(model))


def test_the_published_model_fits_its_sizes(monkeypatch):
    shape = model_shape(ModelConfig(preset="gboard"))
    weights = some_weights(shape, seed=1)  # none of them zero: a table of zeros would not be stored
    monkeypatch.setattr(compensated_rounding, "_TOKENS", 40)  # how well it is rounded does not change its size
    file = convert(shape, weights, ("int8",))["int8"]
    assert len(file) <= 1_800_000  # step and score
    words = "\n".join(f"word{number:04d}" for number in range(shape.vocabulary_size))  # as long as real ones
    facts = ModelFacts("n", "d", "v", "a", "l")
    whole = with_metadata(
        file, facts, [AssociatedFile("vocab.txt", "", 5, words), AssociatedFile("card", "", 1, "x" * 8000)]
    )
    assert len(whole) <= 1_900_000
    monkeypatch.setattr(KeyboardModule, "signatures", property(lambda module: {"step": module.step}))
    assert len(convert(shape, weights, ("int8",))["int8"]) <= 1_620_000  # step alone


def test_scales_that_signatures_share_are_stored_once():
    shape = model_shape(ModelConfig(vocabulary_size=300, embedding_size=24, units=40, sequence_length=4))
    file = convert(shape, some_weights(shape, seed=1), ("int8",))["int8"]
    scales = [
        tensor.quantization.scale
        for graph in unpack_model(file).subgraphs
        for tensor in graph.tensors
        if tensor.quantization is not None and tensor.quantization.scale is not None
    ]
    tables = [scale for scale in scales if len(scale) == 300]
    assert len(tables) == 2 and file.count(tables[0].tobytes()) == 1  # in step and in score
    again = pack_model(unpack_model(file))
    assert len(again) == len(file)
