"""The Flower ClientApp: a host that trains or evaluates the phones named in a message.

A host is not a phone. It receives the weights once, trains its phones one after another from them,
clips each update, and answers with one exact sum (`server_strategy.update_sum`). A phone whose
training raises, or whose update is not finite, is left out and named; it does not spoil the sum.

This module must be importable by name: code that lives in `__main__` is rebuilt for every message
and would be traced anew each time.
"""

import math
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from client_model.learning.local_training import LocalResult, limit_threads
from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError
from simulation.engine.memory import return_large_blocks
from simulation.engine.phone_host import PhoneHost, host_for
from simulation.engine.profile import HostClock, attach

app = ClientApp()


def _open(message: Message) -> tuple[PhoneHost, list, Any]:
    config = message.content.config_records["config"]
    if not _open_hosts:
        limit_threads(1)
        return_large_blocks()
        _open_hosts.append(True)
    host = host_for(str(config["host-task"]))
    weights = message.content.array_records["arrays"].to_numpy_ndarrays()
    return host, host.load(weights), config


_open_hosts: list[bool] = []  # threads can be set only once, before TensorFlow's first operation


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the phones of a shard; see `server_strategy.dp_fedavg` for the form of the answer."""
    clock = HostClock()
    host, received, config = _open(message)
    shape = host.task.shape
    layers = [math.prod(sizes) for sizes in shape.weight_shapes().values()]
    by_layer = config.get("clip-scope") == "layer"
    total = FixedPointSum(shape.num_weights, float(config["clip-norm"]), layers if by_layer else None)
    clock.lap("decode")
    metrics: dict[str, Any] = {
        name: [] for name in ("phone-ids", "rejected-ids", "failed-ids", "update-norm", "loss-sum", "tokens")
    }
    failures: list[str] = []
    weight = float(config.get("update-weight", 1.0))
    for phone in config["phone-ids"]:
        result = _train_phone(host, received, int(phone), int(config["server-round"]), clock)
        if isinstance(result, str):
            metrics["failed-ids"].append(int(phone))
            failures.append(result)
            continue
        try:
            norm = total.add(result.update, weight)
        except NonFiniteUpdateError:
            metrics["rejected-ids"].append(int(phone))
            continue
        finally:
            clock.lap("clip_and_sum")
        for name, value in (
            ("phone-ids", int(phone)),
            ("update-norm", norm),
            ("loss-sum", result.loss_sum),
            ("tokens", result.num_tokens),
        ):
            metrics[name].append(value)
    content = RecordDict({"update-sum": ArrayRecord([total.values]), "metrics": MetricRecord(metrics)})
    content["failures"] = ConfigRecord({"causes": failures})
    if config.get("profile"):
        attach(clock, content)
    return Message(content, reply_to=message)


def _train_phone(host: PhoneHost, received: list, phone: int, server_round: int, clock: HostClock) -> LocalResult | str:
    """The phone's result, or the cause of its failure.

    A failure of the machine is not one of the phone: it is passed on, and the engine repeats the
    whole message, so that it leaves no mark on the result.
    """
    try:
        batches = host.read(phone, server_round)
        clock.lap("read")
        result = host.train(received, batches)
        clock.lap("train")
        return result
    except (MemoryError, OSError):
        raise
    except Exception as error:
        if type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's out of memory
            raise
        return _where(error)


def _where(error: Exception) -> str:
    """Kind and place of an error. Its message is left out: it might quote the phone's text."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Score the held-out phones of a shard, unit by unit.

    A unit's phones share batches, which is several times faster than one by one. The last bits of a
    product may depend on its size, so the units are the strategy's and not the engine's.
    """
    host, received, config = _open(message)
    metrics: dict[str, Any] = {"phone-ids": [int(phone) for phone in config["phone-ids"]]}
    begin = 0
    for size in config["unit-sizes"]:
        unit = metrics["phone-ids"][begin : begin + int(size)]
        begin += int(size)
        for counts in host.score(received, unit):
            for name, value in counts._asdict().items():
                values = value.tolist() if isinstance(value, np.ndarray) else [value]
                metrics.setdefault(name.replace("_", "-"), []).extend(values)
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)
