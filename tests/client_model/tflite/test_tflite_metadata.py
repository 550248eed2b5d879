import io
import struct
import zipfile

import numpy as np
import pytest

from client_model.config import ModelConfig
from client_model.learning.language_model import initial_weights, model_shape
from client_model.tflite.export_checks import open_interpreter
from client_model.tflite.export_tflite import convert
from client_model.tflite.flatbuffer_model import unpack_model
from client_model.tflite.tflite_metadata import (
    DESCRIPTIONS,
    VOCABULARY,
    AssociatedFile,
    ModelFacts,
    read_associated_files,
    with_metadata,
)

FACTS = ModelFacts("a keyboard", "suggests", "v1", "somebody", "some licence")
FILES = [
    AssociatedFile("vocab.txt", "words", VOCABULARY, "a\nb\n"),
    AssociatedFile("card.md", "card", DESCRIPTIONS, "é"),
]


@pytest.fixture(scope="module")
def bare():
    shape = model_shape(ModelConfig(vocabulary_size=60, embedding_size=8, units=10, sequence_length=4))
    return convert(shape, initial_weights(shape, 0), ("float32",))["float32"]


def metadata_of(file):
    model = unpack_model(file)
    (entry,) = [m for m in model.metadata if m.name == b"TFLITE_METADATA"]
    return bytes(bytearray(model.buffers[entry.buffer].data))


def text_field(buffer, table, slot):
    """A string of a flatbuffer table, read by the format's own rules: vtable, then offset, then length."""
    (back,) = struct.unpack_from("<i", buffer, table)
    (offset,) = struct.unpack_from("<H", buffer, table - back + 4 + 2 * slot)
    at = table + offset
    at += struct.unpack_from("<I", buffer, at)[0]
    (length,) = struct.unpack_from("<I", buffer, at)
    return buffer[at + 4 : at + 4 + length].decode()


def test_files_are_read_back_by_any_unzip_and_the_model_still_runs(bare):
    file = with_metadata(bare, FACTS, FILES)
    assert read_associated_files(file) == {"vocab.txt": "a\nb\n", "card.md": "é"}
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert archive.testzip() is None
    inputs = {"tokens": np.ones((1, 4), np.int32), "length": np.array([3], np.int32)}
    found = [open_interpreter(f).get_signature_runner("score")(**inputs) for f in (bare, file)]
    np.testing.assert_array_equal(found[0]["probabilities"], found[1]["probabilities"])


def test_the_metadata_is_where_platforms_look(bare):
    buffer = metadata_of(with_metadata(bare, FACTS, FILES))
    assert buffer[4:8] == b"M001"
    (root,) = struct.unpack_from("<I", buffer, 0)
    fields = {0: "a keyboard", 1: "suggests", 2: "v1", 4: "somebody", 5: "some licence"}
    assert {slot: text_field(buffer, root, slot) for slot in fields} == fields


def test_the_same_content_gives_the_same_bytes(bare):
    assert with_metadata(bare, FACTS, FILES) == with_metadata(bare, FACTS, FILES)


def test_a_model_without_files_is_said(bare):
    with pytest.raises(ValueError, match="found none"):
        read_associated_files(bare)
