import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from client_model.tflite import tried_file as tried
from client_model.tflite.flatbuffer_model import pack_model
from client_model.tflite.interpreter import FileSteps, open_interpreter
from client_model.tflite.tried_file import Tensor, tried_file
from tests.fuzz.tiny_model import STATE, WORDS, tiny_file, tiny_graph
from typefleet.errors import ConfigError

PATH = Path("runs/first/model/keyboard.tflite")


def test_a_file_is_told_by_what_it_can_be_called_with():
    found = tried_file(PATH, tiny_file())
    assert found.state_widths == {"memory": STATE} and found.vocabulary_size == len(WORDS)
    assert found.by_name["step"].inputs["token"] == Tensor((1,), "int32")
    assert "tensorflow" not in vars(sys.modules["client_model.tflite.tried_file"])


def test_a_file_is_tried_once(monkeypatch):
    first = tried_file(PATH, tiny_file())
    monkeypatch.setattr(tried, "_trial", lambda path, file: pytest.fail("tried again"))
    assert tried_file(PATH, tiny_file()) is first


def negative_input(model):
    model.subgraphs[0].operators[2].inputs = np.array([-1, 1], np.int32)


def no_options(model):
    model.subgraphs[0].operators[0].inputs = np.array([2, 2**31 - 1], np.int32)


def huge_state(model):
    model.subgraphs[0].tensors[1].shape = np.array([1, 10**9], np.int32)


def other_token(model):
    model.subgraphs[0].tensors[0].shape = np.array([2], np.int32)


def no_ids(model):
    model.signatureDefs[0].outputs[0].name = b"words"


def no_step(model):
    model.signatureDefs[0].signatureKey = b"score"


def no_signature(model):
    model.signatureDefs = []


def no_following_state(model):
    model.signatureDefs[0].outputs[2].name = b"memory_in"


def endless_graph(model):
    model.signatureDefs[0].subgraphIndex = 7


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (negative_input, "one that ends the process which opens it"),
        (no_options, "."),
        (huge_state, "."),
        (endless_graph, "."),
        (other_token, "."),
        (no_ids, "a step that does not suggest 3 words"),
        (no_step, "no step in it"),
        (no_signature, "no step in it"),
        (no_following_state, "a step without the state that follows"),
    ],
)
def test_a_file_that_was_made_to_break_whoever_opens_it_is_one_line(change, found):
    model = tiny_graph()
    change(model)
    message = rf"^{re.escape(str(PATH))}: expected (a|the) model .*, found {found}"
    with pytest.raises(ConfigError, match=message) as refused:
        tried_file(PATH, pack_model(model))
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_in_a_file_are_refused_or_harmless(seed):
    chosen, file = random.Random(seed), bytearray(tiny_file())
    for _ in range(1 + 4 * seed):
        file[chosen.randrange(len(file))] = chosen.randrange(256)
    try:
        tried_file(PATH, bytes(file))
    except ConfigError as refused:
        assert str(refused).startswith(f"{PATH}: expected ") and str(refused).isprintable()


def test_no_file_at_all_is_one_line():
    for content in (b"", b"TFL3", tiny_file()[:300]):
        with pytest.raises(ConfigError, match=r"found a damaged one, or another file$"):
            tried_file(PATH, content)


def small_table(model):
    model.subgraphs[0].tensors[2].shape = np.array([len(WORDS) - 1, len(WORDS)], np.int32)
    model.buffers[1].data = model.buffers[1].data[: -4 * len(WORDS)]


def test_a_file_that_knows_fewer_words_than_it_says_is_one_line_when_it_reads_one():
    model = tiny_graph()
    small_table(model)
    file = pack_model(model)
    assert tried_file(PATH, file).vocabulary_size == len(WORDS)
    steps = FileSteps(open_interpreter(file))
    steps.read(np.array([1, 2], np.int32))
    with pytest.raises(
        ConfigError, match=r"^the model file's step: expected it to run on tokens of .*, found a fault$"
    ):
        steps.read(np.array([len(WORDS) - 1], np.int32))
