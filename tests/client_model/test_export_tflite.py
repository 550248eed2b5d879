import hashlib
import json

import numpy as np
import pytest

from client_model import export_tflite
from client_model.config import ModelConfig
from client_model.export_checks import (
    ExportError,
    check_training,
    open_interpreter,
    reference_step,
    top1_agreement,
)
from client_model.export_tflite import FILES, convert, export_model
from client_model.language_model import flatten, initial_weights, model_shape, unflatten
from client_model.local_training import LocalTrainer
from client_model.vocabulary import BOS, FIRST_WORD
from tests.client_model.test_local_training import T as PHONE_T
from tests.client_model.test_local_training import make_phone, padded_logits, some_weights

T, V = PHONE_T, 300  # TFLite leaves weights of fewer than 1,024 numbers in float


@pytest.fixture(scope="module", params=["cifg", "lstm"])
def exported(request):
    config = ModelConfig(cell=request.param, vocabulary_size=V, embedding_size=16, units=40, sequence_length=T)
    shape = model_shape(config)
    weights = some_weights(shape, seed=2)
    return shape, weights, convert(shape, weights, tuple(FILES), max_gradient_norm=0.5)


def sentences(count=20, seed=0):
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([[BOS], rng.integers(FIRST_WORD, V, rng.integers(0, T - 1))]).astype(np.int32)
        for _ in range(count)
    ]


def test_the_reference_is_the_trained_model(exported):
    shape, weights, _ = exported
    x = np.stack([np.resize(s, T) for s in sentences(5)])
    expected = padded_logits(shape, weights, x).numpy()
    for row in range(5):
        hidden, cell = np.zeros(weights[2].shape[0], np.float32), np.zeros(shape.units, np.float32)
        for t in range(T):
            logits, hidden, cell = reference_step(shape, weights, int(x[row, t]), hidden, cell)
            np.testing.assert_allclose(logits, expected[row, t], rtol=1e-4, atol=1e-5)


def test_float_file_agrees_in_the_interpreter(exported):
    shape, weights, files = exported
    agreement, positions = top1_agreement(files["float32"], shape, weights, sentences())
    assert agreement == 1.0
    assert positions == sum(len(s) + 1 for s in sentences())


def test_int8_file_is_smaller_and_close(exported):
    shape, weights, files = exported
    assert len(files["int8"]) < len(files["float32"])
    assert top1_agreement(files["int8"], shape, weights, sentences())[0] > 0.8  # random weights are the hard case


def test_every_file_uses_builtin_operators_and_half_precision_hardly_differs(exported):
    shape, weights, files = exported
    assert set(files) == set(FILES)
    assert top1_agreement(files["float16"], shape, weights, sentences())[0] > 0.98
    assert top1_agreement(files["training"], shape, weights, sentences())[0] == 1.0


def test_the_same_weights_give_the_same_bytes(exported):
    shape, weights, files = exported
    again = convert(shape, weights, ("int8", "training"), max_gradient_norm=0.5)
    assert again == {kind: files[kind] for kind in again}


def test_the_file_learns_as_a_simulated_phone_does(exported):
    shape, weights, files = exported
    file, bound = files["training"], 0.5
    check_training(file, shape, weights, sentences(), bound)
    unbounded = convert(shape, weights, ("training",))["training"]
    check_training(unbounded, shape, weights, sentences(), 0.0)
    with pytest.raises(ExportError, match=r"as in local training|within 0.0001 of local training"):
        check_training(file, shape, weights, sentences(), 0.05)  # it was made for another bound
    fewer = sentences(3)  # of the eight that a batch can hold
    check_training(file, shape, weights, fewer, bound)


def test_weights_of_a_phone_survive_saving_and_restoring(exported):
    shape, weights, files = exported
    interpreter = open_interpreter(files["training"])
    save, restore = (interpreter.get_signature_runner(name) for name in ("save", "restore"))
    other = dict(zip(shape.weight_shapes(), some_weights(shape, seed=8), strict=True))
    restore(**other)
    for name, value in save().items():
        np.testing.assert_array_equal(value, other[name])
    assert top1_agreement(files["training"], shape, weights, sentences())[0] == 1.0  # a new interpreter starts anew


def test_suggestions_of_a_very_sure_model_keep_their_order(exported):
    # Probabilities underflow to zero, logits do not.
    shape, weights, _ = exported
    sure = [w * (1000.0 if i == 0 else 1.0) for i, w in enumerate(weights)]
    file = convert(shape, [w.astype(np.float32) for w in sure], ("float32",))["float32"]
    assert top1_agreement(file, shape, sure, sentences())[0] == 1.0


def test_special_tokens_and_punctuation_are_never_suggested(exported):
    shape, weights, _ = exported
    loud = [w.copy() for w in weights]
    loud[5][:FIRST_WORD] += 100.0
    file = convert(shape, loud, ("float32",))["float32"]
    step = open_interpreter(file).get_signature_runner("step")
    hidden = np.zeros((1, weights[2].shape[0]), np.float32)
    found = step(token=np.array([BOS], np.int32), hidden=hidden, cell=np.zeros((1, shape.units), np.float32))
    assert (found["ids"] >= FIRST_WORD).all() and found["probabilities"].sum() < 1e-3


def test_export_writes_both_files_and_leaves_no_drafts(exported, tmp_path):
    shape, weights, _ = exported
    trained = LocalTrainer(shape)
    batches, _ = make_phone([7] * 12, 4, seed=6)
    received = trained.load(weights)
    update = trained.train(received, batches, 1.0).update  # trained weights agree more often than random ones
    learned = unflatten(flatten(weights) + 3 * update, shape)
    files = export_model(tmp_path, shape, learned, sentences())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["keyboard.tflite", "keyboard_fp32.tflite", "manifest.json"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {name: entry["sha256"] for name, entry in manifest.items()} == {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tmp_path.glob("*.tflite")
    }
    (tmp_path / "keyboard_fp32.tflite").write_bytes(b"changed by somebody")
    export_model(tmp_path, shape, learned, sentences(), ("int8",))
    assert set(json.loads((tmp_path / "manifest.json").read_text())) == {"keyboard.tflite"}  # no longer that file
    export_model(tmp_path, shape, learned, sentences())
    assert {f.kind: f.size_bytes for f in files} == {
        "float32": (tmp_path / "keyboard_fp32.tflite").stat().st_size,
        "int8": (tmp_path / "keyboard.tflite").stat().st_size,
    }


def test_a_file_that_disagrees_fails_and_replaces_nothing(exported, tmp_path, monkeypatch):
    shape, weights, files = exported
    (tmp_path / "keyboard.tflite").write_bytes(b"former")
    other = convert(shape, initial_weights(shape, 9))
    monkeypatch.setattr(export_tflite, "convert", lambda *_, **__: other)  # a converter that got it wrong
    with pytest.raises(ExportError, match="expected top-1 agreement"):
        export_model(tmp_path, shape, weights, sentences())
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"former"]
    assert files


def test_no_text_to_check_on_is_an_error(exported, tmp_path):
    shape, weights, _ = exported
    with pytest.raises(ExportError, match="held-out text"):
        export_model(tmp_path, shape, weights, [])


def test_operators_outside_the_builtin_set_fail(exported):
    _, _, files = exported
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import Builder

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(files["float32"], 0))
    code = schema.OperatorCodeT()
    code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, b"FlexTensorListReserve"
    model.operatorCodes.append(code)
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ExportError, match="FlexTensorListReserve"):
        export_tflite._require_builtin_operators(bytes(builder.Output()), "float32")
