"""A keyboard's model file of a few kilobytes, made without TensorFlow: a table of bigrams that the interpreter runs."""

import json
from functools import cache

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from client_model.text.vocabulary import PUNCTUATION, SPECIAL_TOKENS, Vocabulary
from client_model.tflite.flatbuffer_model import add_operator_code, pack_model
from client_model.tflite.tflite_metadata import DESCRIPTIONS, VOCABULARY, AssociatedFile, ModelFacts, with_metadata
from tests.fuzz.cases import MARKER

WORDS = Vocabulary((*SPECIAL_TOKENS, *PUNCTUATION, "see", "you", "soon", MARKER))
STATE = 2
CARD = {
    "name": "A tiny keyboard",
    "weights_sha256": "ab" * 32,
    "model": {"sequence_length": 20},
    "metrics_on_held_out_phones": {"top3_recall": 0.25},
    "privacy": {"statement": MARKER, "epsilon_is_of": "this run", "spent": {"delta": 1e-6}},
}
_KINDS = {np.dtype(np.float32): schema.TensorType.FLOAT32, np.dtype(np.int32): schema.TensorType.INT32}


class _Graph:
    """A subgraph that grows tensor by tensor."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.operatorCodes, self.model.buffers = 3, [], [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name, shape, dtype, values=None):
        """A new tensor, with values if it is constant; gives its number."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), np.array(shape, np.int32), _KINDS[np.dtype(dtype)]
        tensor.buffer = 0
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(values, dtype).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, builtin, inputs, outputs, kind=0, options=None):
        """A new operator."""
        operator = schema.OperatorT()
        operator.opcodeIndex = add_operator_code(self.model, builtin, 1)
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.graph.operators.append(operator)


def tiny_graph():
    """The objects of the file, to be changed."""
    made, size = _Graph(), len(WORDS)
    token, memory = made.tensor("token", [1], np.int32), made.tensor("memory", [1, STATE], np.float32)
    table = made.tensor("table", [size, size], np.float32, np.eye(size, k=1) + np.arange(size) / 100)
    three = made.tensor("three", [], np.int32, 3)
    one = made.tensor("one", [1, STATE], np.float32, np.ones((1, STATE)))
    logits = made.tensor("logits", [1, size], np.float32)
    best, ids = made.tensor("probabilities", [1, 3], np.float32), made.tensor("ids", [1, 3], np.int32)
    after = made.tensor("memory_out", [1, STATE], np.float32)
    operator, options = schema.BuiltinOperator, schema.BuiltinOptions
    made.operator(operator.GATHER, [table, token], [logits], options.GatherOptions, schema.GatherOptionsT())
    made.operator(operator.TOPK_V2, [logits, three], [best, ids], options.TopKV2Options, schema.TopKV2OptionsT())
    made.operator(operator.ADD, [memory, one], [after], options.AddOptions, schema.AddOptionsT())
    outputs = {"ids": ids, "probabilities": best, "memory_out": after, "logits": logits}
    made.graph.inputs, made.graph.outputs = np.array([token, memory], np.int32), np.array([*outputs.values()], np.int32)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"step", 0
    signature.inputs = [_named("token", token), _named("memory", memory)]
    signature.outputs = [_named(name, number) for name, number in outputs.items()]
    made.model.signatureDefs = [signature]
    return made.model


def _named(name, number):
    found = schema.TensorMapT()
    found.name, found.tensorIndex = name.encode(), number
    return found


def model_file(card=CARD, vocabulary=None, graph=None):
    """A whole file: with its vocabulary and its card inside."""
    page = card if isinstance(card, str) else json.dumps(card)
    inside = [
        AssociatedFile("vocab.txt", "words", VOCABULARY, WORDS.to_text() if vocabulary is None else vocabulary),
        AssociatedFile("model_card.json", "card", DESCRIPTIONS, page),
    ]
    facts = ModelFacts("a keyboard", "suggests", "v1", "nobody", "none")
    return with_metadata(pack_model(tiny_graph() if graph is None else graph), facts, inside)


@cache
def tiny_file():
    """The file as it should be."""
    return model_file()
