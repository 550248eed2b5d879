"""A TFLite file that explains itself: metadata, vocabulary and model card inside the file.

Platforms look for a `TFLITE_METADATA` buffer, a flatbuffer of its own (schema metadata_schema.fbs,
identifier M001), and for the files that it names in a zip archive appended to the model. Both are written
here, field by field, since the library for it pins a long outdated protobuf. The archive comes last: any
repacking of the model drops it. Dates are fixed, so the same content gives the same bytes.

The interpreters read the model from the front and never see the archive; `unzip` reads the archive from
the back and never sees the model.
"""

import io
import zipfile
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from client_model.tflite.flatbuffer_model import pack_model, unpack_model
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.archives import read_inner_files
from typefleet.untrusted.limits import INNER_BYTES

_PARSER_VERSION = "1.3.0"
_ENTRY = b"TFLITE_METADATA"
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive knows
# tflite.AssociatedFileType
DESCRIPTIONS, VOCABULARY = 1, 5


@dataclass(frozen=True)
class AssociatedFile:
    """A file inside the model."""

    name: str
    description: str
    kind: int
    content: str


@dataclass(frozen=True)
class ModelFacts:
    """What the metadata says of the model itself."""

    name: str
    description: str
    version: str
    author: str
    licence: str


def with_metadata(file: bytes, facts: ModelFacts, files: list[AssociatedFile]) -> bytes:
    """The model with its metadata and files."""
    model = unpack_model(file)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(_metadata(facts, len(model.subgraphs), files), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = _ENTRY, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    whole = io.BytesIO(pack_model(model))
    whole.seek(0, io.SEEK_END)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        for one in files:
            archive.writestr(zipfile.ZipInfo(one.name, _DATE), one.content)
    return whole.getvalue()


def without_metadata(file: bytes) -> bytes:
    """Inverse of `with_metadata`."""
    model = unpack_model(file)
    for entry in [one for one in model.metadata or [] if one.name == _ENTRY]:
        model.metadata.remove(entry)
        model.buffers[entry.buffer].data = None
        if entry.buffer == len(model.buffers) - 1:
            model.buffers.pop()
    return pack_model(model)


def read_associated_files(file: bytes, path: object = "the model") -> dict[str, str]:
    """The files inside a model, by name.

    Args:
        file: the model.
        path: where it is, for the error.

    Raises:
        ConfigError: there are none, or they are damaged, too large or no text.
    """
    what = "files inside it"
    inside = read_inner_files(file, path, what, most_bytes=INNER_BYTES, kind=ConfigError)
    try:
        return {name: content.decode("utf-8") for name, content in inside.items()}
    except UnicodeDecodeError as error:
        raise ConfigError(expected(path, what, "one that is not UTF-8")) from error


def _metadata(facts: ModelFacts, subgraphs: int, files: list[AssociatedFile]) -> bytes:
    """tflite.ModelMetadata; the comments name the fields of the slots."""
    b = flatbuffers.Builder(1024)
    name, description, version, author, licence, parser = (
        b.CreateString(text)
        for text in (facts.name, facts.description, facts.version, facts.author, facts.licence, _PARSER_VERSION)
    )
    associated = _vector(b, [_associated_file(b, one) for one in files])
    graphs = []
    for _ in range(subgraphs):
        b.StartObject(6)  # SubGraphMetadata, all of it left out
        graphs.append(b.EndObject())
    subgraph_metadata = _vector(b, graphs)
    b.StartObject(8)
    b.PrependUOffsetTRelativeSlot(0, name, 0)  # name
    b.PrependUOffsetTRelativeSlot(1, description, 0)  # description
    b.PrependUOffsetTRelativeSlot(2, version, 0)  # version
    b.PrependUOffsetTRelativeSlot(3, subgraph_metadata, 0)  # subgraph_metadata
    b.PrependUOffsetTRelativeSlot(4, author, 0)  # author
    b.PrependUOffsetTRelativeSlot(5, licence, 0)  # license
    b.PrependUOffsetTRelativeSlot(6, associated, 0)  # associated_files
    b.PrependUOffsetTRelativeSlot(7, parser, 0)  # min_parser_version
    b.Finish(b.EndObject(), b"M001")
    return bytes(b.Output())


def _associated_file(b: flatbuffers.Builder, one: AssociatedFile) -> int:
    name, description = b.CreateString(one.name), b.CreateString(one.description)
    b.StartObject(5)
    b.PrependUOffsetTRelativeSlot(0, name, 0)  # name
    b.PrependUOffsetTRelativeSlot(1, description, 0)  # description
    b.PrependInt8Slot(2, one.kind, 0)  # type
    return int(b.EndObject())


def _vector(b: flatbuffers.Builder, offsets: list[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())
