"""The textbook way to the same work: python -m benchmarks.textbook FOLDER CELL MESSAGES PHONES ROUNDS WORKERS

One Flower node a phone, a Keras model that is built and compiled for every message, `fit`, and the
stock FedAvg strategy: the form of Flower's own TensorFlow example. Writes FOLDER/rounds.jsonl, one line
a round, as the simulator does.
"""

import json
import logging
import sys
import time
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from keras import ops
from numpy.typing import NDArray

from benchmarks.workload import BATCH, LEARNING_RATE, TOKENS, VOCABULARY
from client_model.text.vocabulary import BOS, EOS, FIRST_WORD, OOV

EMBEDDING, UNITS = 96, 670


class CifgCell(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """LSTM cell with coupled input and forget gate whose recurrent input is the projected state."""

    def __init__(self) -> None:
        super().__init__()
        self.state_size, self.output_size = [EMBEDDING, UNITS], EMBEDDING

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights, as Keras asks for."""
        self.kernel = self.add_weight(shape=(EMBEDDING, 3 * UNITS))
        self.recurrent = self.add_weight(shape=(EMBEDDING, 3 * UNITS))
        self.bias = self.add_weight(shape=(3 * UNITS,), initializer="zeros")
        self.projection = self.add_weight(shape=(UNITS, EMBEDDING))

    def call(self, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """One time step: (output, next states)."""
        state, cell = states
        z = ops.matmul(inputs, self.kernel) + ops.matmul(state, self.recurrent) + self.bias
        forget, output, candidate = ops.split(z, 3, axis=-1)
        forget = ops.sigmoid(forget)
        cell = forget * cell + (1 - forget) * ops.tanh(candidate)
        state = ops.matmul(ops.sigmoid(output) * ops.tanh(cell), self.projection)
        return state, [state, cell]


class TiedLogits(keras.layers.Layer):  # type: ignore[misc]
    """Logits by the embedding's own table."""

    def __init__(self, embedding: keras.layers.Embedding) -> None:
        super().__init__()
        self._embedding = embedding

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the bias, as Keras asks for."""
        self.bias = self.add_weight(shape=(VOCABULARY,), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """[..., V] from outputs of the cell [..., D]."""
        return ops.matmul(inputs, ops.transpose(self._embedding.embeddings)) + self.bias


def load_model(cell: str) -> keras.Model:
    """The model, built and compiled."""
    inputs = keras.Input((TOKENS,), dtype="int32")
    embedding = keras.layers.Embedding(VOCABULARY, EMBEDDING)
    x = embedding(inputs)
    if cell == "cifg":
        x = keras.layers.RNN(CifgCell(), return_sequences=True)(x)
    else:
        x = keras.layers.Dense(EMBEDDING, use_bias=False)(keras.layers.LSTM(UNITS, return_sequences=True)(x))
    model = keras.Model(inputs, TiedLogits(embedding)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss)
    return model


@lru_cache(maxsize=1)
def load_data(path: str) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """(inputs, targets) of every phone: int32 [sentences, TOKENS] each."""
    sentences: dict[str, list[list[str]]] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        sentences.setdefault(message["user_id"], []).append(message["text"].split())
    counts = Counter(word for texts in sentences.values() for text in texts for word in text)
    ids = {word: FIRST_WORD + i for i, (word, _) in enumerate(counts.most_common(VOCABULARY - FIRST_WORD))}
    phones = []
    for texts in sentences.values():
        rows = np.array([[BOS, *(ids.get(w, OOV) for w in text), EOS] for text in texts], np.int32)
        phones.append((rows[:, :-1], rows[:, 1:]))
    return phones


client_app = ClientApp()


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """One phone's round: build and compile the model, fit it, and return its weights."""
    config = message.content["config"]
    keras.backend.clear_session()
    model = load_model(str(config["cell"]))
    model.set_weights(message.content.array_records["arrays"].to_numpy_ndarrays())
    inputs, targets = load_data(str(config["messages"]))[int(context.node_config["partition-id"])]
    history = model.fit(inputs, targets, epochs=1, batch_size=BATCH, verbose=0)
    metrics = MetricRecord({"loss": float(history.history["loss"][-1]), "num-examples": len(inputs)})
    content = RecordDict({"arrays": ArrayRecord(model.get_weights()), "metrics": metrics})
    return Message(content, reply_to=message)


def main(folder: Path, cell: str, messages: Path, phones: int, rounds: int, workers: int) -> None:
    """Run all rounds and write what they took into the folder."""
    server_app = ServerApp()

    @server_app.main()
    def serve(grid: Grid, context: Context) -> None:
        began = [time.perf_counter()]

        def round_done(server_round: int, arrays: ArrayRecord) -> MetricRecord:
            now = time.perf_counter()
            if server_round:
                record = {"round": server_round, "reports": phones, "train_seconds": now - began[0]}
                with (folder / "rounds.jsonl").open("a") as file:
                    file.write(json.dumps(record) + "\n")
            began[0] = now
            return MetricRecord({})

        strategy = FedAvg(fraction_train=1.0, fraction_evaluate=0.0, min_train_nodes=phones, min_available_nodes=phones)
        start = ArrayRecord(load_model(cell).get_weights())
        config = ConfigRecord({"cell": cell, "messages": str(messages)})
        strategy.start(grid, start, num_rounds=rounds, train_config=config, evaluate_fn=round_done)

    logging.getLogger("flwr").setLevel(logging.ERROR)
    backend: Any = {
        "init_args": {"address": "local", "num_cpus": workers, "include_dashboard": False, "log_to_driver": False},
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    }
    run_simulation(server_app, client_app, phones, backend_config=backend)


if __name__ == "__main__":
    # Under its own name, not as __main__: workers rebuild what lives there for every message.
    from benchmarks.textbook import main as run

    run(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), *(int(a) for a in sys.argv[4:]))
