import json

import numpy as np
import pytest

from client_model.config import ModelConfig
from client_model.learning.cells.cifg import Cifg
from client_model.learning.cells.transformer import Transformer
from client_model.learning.language_model import flatten, initial_weights, model_shape, unflatten
from client_model.learning.local_training import LocalTrainer
from client_model.text.vocabulary import BOS, EOS, FIRST_WORD, PUNCTUATION, SPECIAL_TOKENS, Vocabulary, tokenize
from client_model.tflite import compensated_rounding, export_tflite
from client_model.tflite.export_checks import (
    CheckText,
    DisagreementError,
    ExportError,
    agreement,
    check_training,
    file_suggestions,
    measure_cost,
    reference_suggestions,
)
from client_model.tflite.export_folder import FILES, VerificationError, verify_folder
from client_model.tflite.export_tflite import Target, convert, export_model
from client_model.tflite.flatbuffer_model import pack_model, unpack_model
from client_model.tflite.interpreter import FileSteps, open_interpreter
from client_model.tflite.reference_model import ReferenceModel
from client_model.tflite.reference_vectors import reference_vectors
from tests.client_model.learning.test_local_training import SMALL_CELLS, make_phone, padded_logits, some_weights

T, V = 4, 300  # TFLite leaves weights of fewer than 1,024 numbers in float
EXPORTED_CELLS = {**SMALL_CELLS, "transformer": Transformer(layers=2, heads=3, window=T - 1)}


@pytest.fixture(scope="module", autouse=True)
def rounded_on_few_tokens():
    """How many cost a second for each file; how well it is done is seen in test_compensated_rounding.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compensated_rounding, "_TOKENS", 400)
        yield


@pytest.fixture(scope="module", params=EXPORTED_CELLS)
def exported(request, made_once):
    config = ModelConfig(vocabulary_size=V, embedding_size=16, units=42, sequence_length=T)
    shape = model_shape(config, cell=EXPORTED_CELLS[request.param])
    weights = some_weights(shape, seed=2)

    def make(folder):
        for kind, file in convert(shape, weights, tuple(FILES), max_gradient_norm=0.5).items():
            (folder / FILES[kind]).write_bytes(file)

    folder = made_once(f"converted-{request.param}", make)
    return shape, weights, {kind: (folder / name).read_bytes() for kind, name in FILES.items()}


ONE_CELL = pytest.mark.parametrize("exported", ["cifg"], indirect=True)  # what does not depend on the cell


VOCABULARY = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, *(f"w{number}" for number in range(V - FIRST_WORD))))


def text(count=50, seed=0):
    """Random messages of all lengths, their words in the vocabulary."""
    rng = np.random.default_rng(seed)
    messages = []
    for _ in range(count):
        stream = np.array([BOS, *rng.integers(FIRST_WORD, V, rng.integers(0, T - 1)), EOS], np.int32)
        messages.append((stream[:-1], stream[1:]))
    return CheckText(messages, VOCABULARY)


def compare(file, shape, weights):
    return agreement(file_suggestions(file, shape, text()), reference_suggestions(shape, weights, text()), text())


def learned_weights(shape, weights):
    """Trained weights agree more often than random ones."""
    trainer = LocalTrainer(shape)
    batches, _ = make_phone([T] * 20, 5, seed=6, most=T)
    return unflatten(flatten(weights) + 3 * trainer.train(trainer.load(weights), batches, 1.0).update, shape)


def test_the_reference_is_the_trained_model(exported):
    shape, weights, _ = exported
    x = np.stack([np.resize(s, T) for s in text(5).inputs])
    expected = padded_logits(shape, weights, x).numpy()
    model = ReferenceModel(shape, weights)
    for row in range(5):
        np.testing.assert_allclose(model.logits(x[row]), expected[row], rtol=1e-4, atol=1e-5)


def test_float_file_agrees_in_the_interpreter(exported):
    shape, weights, files = exported
    assert compare(files["float32"], shape, weights) == (1.0, 1.0, int(text().new_contexts.sum()))


def test_int8_file_is_smaller_and_close(exported):
    shape, weights, files = exported
    assert len(files["int8"]) < len(files["float32"])
    assert compare(files["int8"], shape, weights).first > 0.8  # random weights are the hard case


def test_every_file_uses_builtin_operators_and_half_precision_hardly_differs(exported):
    shape, weights, files = exported
    assert set(files) == set(FILES)
    assert compare(files["float16"], shape, weights).first > 0.98
    assert compare(files["training"], shape, weights)[:2] == (1.0, 1.0)


@pytest.mark.parametrize("exported", ["cifg", "transformer"], indirect=True)  # the others' graphs are like cifg's
def test_the_same_weights_give_the_same_bytes(exported):
    shape, weights, files = exported
    kinds = ("int8", "training") if isinstance(shape.cell, Cifg) else ("int8",)
    again = convert(shape, weights, kinds, max_gradient_norm=0.5)
    assert again == {kind: files[kind] for kind in kinds}


def test_the_file_learns_as_a_simulated_phone_does(exported):
    shape, weights, files = exported
    file, bound = files["training"], 0.5
    check_training(file, shape, weights, text().inputs, bound)
    with pytest.raises(ExportError, match=r"as in local training|within 0.0001 of local training"):
        check_training(file, shape, weights, text().inputs, 0.05)  # it was made for another bound
    fewer = text(3).inputs  # of the eight that a batch can hold
    check_training(file, shape, weights, fewer, bound)


@ONE_CELL
def test_without_a_bound_it_learns_as_a_phone_without_one_does(exported):
    shape, weights, files = exported
    unbounded = convert(shape, weights, ("training",))["training"]
    check_training(unbounded, shape, weights, text().inputs, 0.0)
    assert unbounded != files["training"]


def test_weights_of_a_phone_survive_saving_and_restoring(exported):
    shape, weights, files = exported
    interpreter = open_interpreter(files["training"])
    save, restore = (interpreter.get_signature_runner(name) for name in ("save", "restore"))
    other = dict(zip(shape.weight_shapes(), some_weights(shape, seed=8), strict=True))
    restore(**other)
    saved = save(request=np.array([7], np.int32))
    assert saved.pop("saved").tolist() == [7] and set(saved) == set(other)
    for name, value in saved.items():
        np.testing.assert_array_equal(value, other[name])
    assert compare(files["training"], shape, weights).first == 1.0  # a new interpreter starts anew


def test_every_signature_has_an_input(exported):
    # Java's Interpreter.runSignature refuses an empty map of inputs.
    for kind in ("int8", "training"):
        for name, signature in open_interpreter(exported[2][kind]).get_signature_list().items():
            assert signature["inputs"], name


@ONE_CELL
def test_a_very_sure_model_keeps_its_order_and_never_suggests_special_tokens_or_punctuation(exported):
    # Probabilities underflow to zero, logits do not; and nothing is as likely as what is no word.
    shape, weights, _ = exported
    sure = [weights[0] * np.float32(1000), *weights[1:-1], weights[-1].copy()]
    sure[-1][:FIRST_WORD] += 1e7
    file = convert(shape, sure, ("float32",))["float32"]
    assert compare(file, shape, sure)[:2] == (1.0, 1.0)
    step = open_interpreter(file).get_signature_runner("step")
    state = {name: np.zeros((1, width), np.float32) for name, width in shape.state_sizes.items()}
    found = step(token=np.array([BOS], np.int32), **state)
    assert (found["ids"] >= FIRST_WORD).all() and found["probabilities"].sum() < 1e-3


@pytest.fixture(scope="module")
def written(exported, tmp_path_factory):
    """(shape, trained weights, their folder, what its export said)."""
    shape, weights, _ = exported
    folder, learned = tmp_path_factory.mktemp("written"), learned_weights(shape, weights)
    (folder / "vocab.txt").write_text(VOCABULARY.to_text())
    return shape, learned, folder, export_model(folder, shape, learned, text(), of_the_run={"vocab.txt": {}})


@pytest.mark.parametrize("exported", ["cifg", "lstm"], indirect=True)  # which learn enough here to pass the checks
def test_export_writes_the_files_their_facts_and_no_drafts(written):
    _, _, folder, done = written
    names = {"keyboard.tflite", "keyboard_fp32.tflite", "test_vectors.json", "vocab.txt"}
    assert {p.name for p in folder.iterdir()} == {*names, "manifest.json"}
    manifest = verify_folder(folder, None)
    assert set(manifest) == names
    assert {f.kind: f.size_bytes for f in done.files} == {
        "float32": (folder / "keyboard_fp32.tflite").stat().st_size,
        "int8": (folder / "keyboard.tflite").stat().st_size,
    }
    for file in done.files:
        assert 0 < file.cost.median_ms <= file.cost.p95_ms and file.cost.memory_bytes > file.size_bytes
        assert file.cost.train_step_ms is None
    float32 = done.files[0]
    assert float32.values["top3_recall"] == done.trained["top3_recall"]  # both on the same text
    assert manifest["keyboard_fp32.tflite"]["metrics"]["top3_recall"] == done.trained["top3_recall"]
    assert float32.values["perplexity"] == pytest.approx(done.trained["perplexity"], rel=1e-4)


@ONE_CELL
def test_of_a_file_made_again_the_manifest_says_the_same_and_one_that_was_changed_it_does_not_vouch_for(written):
    shape, learned, folder, _ = written
    before = json.loads((folder / "manifest.json").read_text())
    (folder / "keyboard_fp32.tflite").write_bytes(b"changed by somebody")
    export_model(folder, shape, learned, text(), ("int8",), of_the_run={"vocab.txt": {}})
    after = json.loads((folder / "manifest.json").read_text())
    assert set(after) == {"keyboard.tflite", "test_vectors.json", "vocab.txt"}
    assert after["keyboard.tflite"] == before["keyboard.tflite"]
    with pytest.raises(VerificationError, match="expected only files of the manifest"):
        verify_folder(folder, None)


@ONE_CELL
@pytest.mark.parametrize(
    ("target", "message"),
    [(Target(1.01, 0.0), "same first word"), (Target(0.0, 1.01), "same three words")],
)
def test_each_bound_fails_the_export(exported, tmp_path, monkeypatch, target, message):
    shape, weights, files = exported
    monkeypatch.setattr(export_tflite, "convert", lambda *_, **__: {"float32": files["float32"]})
    monkeypatch.setitem(export_tflite.TARGETS, "float32", target)  # more than any file can do
    with pytest.raises(DisagreementError, match=message):
        export_model(tmp_path, shape, weights, text(), ("float32",))


@ONE_CELL
def test_a_slow_key_press_fails_the_export(exported, tmp_path, monkeypatch):
    shape, weights, files = exported
    monkeypatch.setattr(export_tflite, "convert", lambda *_, **__: {"float32": files["float32"]})
    monkeypatch.setattr(export_tflite, "KEY_PRESS_BUDGET_MS", 1e-6)
    with pytest.raises(ExportError, match=r"a key press to take 1e-06 ms or less"):
        export_model(tmp_path, shape, weights, text(), ("float32",))
    assert not list(tmp_path.iterdir())


@ONE_CELL
def test_a_file_that_disagrees_fails_and_replaces_nothing(exported, tmp_path, monkeypatch):
    shape, weights, files = exported
    (tmp_path / "keyboard.tflite").write_bytes(b"former")
    other = convert(shape, initial_weights(shape, 9))
    monkeypatch.setattr(export_tflite, "convert", lambda *_, **__: other)  # a converter that got it wrong
    with pytest.raises(DisagreementError, match="same first word as the trained weights: expected"):
        export_model(tmp_path, shape, weights, text())
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"former"]
    assert files


@ONE_CELL
def test_no_text_to_check_on_is_an_error(exported, tmp_path):
    shape, weights, _ = exported
    with pytest.raises(ExportError, match="held-out text"):
        export_model(tmp_path, shape, weights, CheckText([], VOCABULARY))


@ONE_CELL
def test_the_learning_file_says_what_a_training_step_takes(exported, tmp_path):
    _, _, files = exported
    (tmp_path / "train.tflite").write_bytes(files["training"])
    assert measure_cost(tmp_path / "train.tflite").train_step_ms > 0
    tiny = model_shape(ModelConfig(vocabulary_size=FIRST_WORD + 3, embedding_size=4, units=4, sequence_length=3))
    (tmp_path / "tiny.tflite").write_bytes(convert(tiny, initial_weights(tiny, 0), ("float32",))["float32"])
    assert measure_cost(tmp_path / "tiny.tflite").median_ms > 0  # no token past its few words is read
    (tmp_path / "broken.tflite").write_bytes(b"not a model")
    with pytest.raises(ExportError, match=r"broken.tflite: expected it to run"):
        measure_cost(tmp_path / "broken.tflite")


@ONE_CELL
@pytest.mark.parametrize("kind", ["float32", "training"])
def test_vectors_hold_the_file_and_the_tokeniser(exported, kind):
    _, _, files = exported
    words = ("see", "you", "to", "top", "told", "at", "the", "don't", "it's", "caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    vocabulary = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, *words, *VOCABULARY.tokens[FIRST_WORD + len(words) :]))
    vectors = json.loads(reference_vectors({"f": files[kind]}, vocabulary))["vectors"]
    steps = FileSteps(open_interpreter(files[kind]))
    for vector in vectors:
        tokens = [vocabulary.tokens[i] for i in vector["ids"]]
        known = [t if t in vocabulary.tokens else "<oov>" for t in vector["tokens"]]
        assert tokens == ["<bos>", *known] and vector["tokens"] == tokenize(vector["text"])
        logits, ids = steps.read(np.array(vector["ids"], np.int32))
        found = vector["expected"]["f"]
        assert [vocabulary.tokens[i] for i in found["ids"]] == found["words"]
        if vector["typed"]:
            assert all(word.startswith(vector["typed"]) for word in found["words"])
            assert found["ids"] == sorted(found["ids"], key=lambda i: -logits[-1, i])
        else:
            assert found["ids"] == ids[-1].tolist()
    assert {v["text"] for v in vectors if "don't" in v["tokens"]}  # written with a typographic apostrophe
    completed = next(v for v in vectors if v["typed"] == "to")["expected"]["f"]["words"]
    assert set(completed) == {"to", "top", "told"}


@ONE_CELL
def test_operators_outside_the_builtin_set_fail(exported):
    _, _, files = exported
    from ai_edge_litert import schema_py_generated as schema

    model = unpack_model(files["float32"])
    code = schema.OperatorCodeT()
    code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, b"FlexTensorListReserve"
    model.operatorCodes.append(code)
    with pytest.raises(ExportError, match="FlexTensorListReserve"):
        export_tflite._require_builtin_operators(pack_model(model), "float32")
