"""The Flower ClientApp: a host that trains or evaluates the phones named in a message.

A host is not a phone. It receives the weights once, trains its phones one after another from them,
clips each update, and answers with one exact sum (`server_strategy.update_sum`). A phone whose
update is not finite is left out and named; it does not spoil the sum.

This module must be importable by name: code that lives in `__main__` is rebuilt for every message
and would be traced anew each time.
"""

from typing import Any

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from client_model.keyboard_metrics import count_hits
from client_model.local_training import limit_threads
from server_strategy.update_sum import FixedPointSum, NonFiniteUpdateError
from simulation.phone_host import PhoneHost, host_for

app = ClientApp()


def _open(message: Message) -> tuple[PhoneHost, list, Any]:
    config = message.content.config_records["config"]
    if not _open_hosts:
        limit_threads(1)
        _open_hosts.append(True)
    host = host_for(str(config["host-task"]))
    weights = message.content.array_records["arrays"].to_numpy_ndarrays()
    return host, host.load(weights), config


_open_hosts: list[bool] = []  # threads can be set only once, before TensorFlow's first operation


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train the phones of a shard; see `server_strategy.dp_fedavg` for the form of the answer."""
    host, received, config = _open(message)
    total = FixedPointSum(host.task.shape.num_weights, float(config["clip-norm"]))
    metrics: dict[str, Any] = {
        "phone-ids": [],
        "rejected-ids": [],
        "update-norm": [],
        "loss-sum": [],
        "tokens": [],
    }
    for phone in config["phone-ids"]:
        result = host.train(received, int(phone), int(config["server-round"]))
        try:
            norm = total.add(result.update)
        except NonFiniteUpdateError:
            metrics["rejected-ids"].append(int(phone))
            continue
        for name, value in (
            ("phone-ids", int(phone)),
            ("update-norm", norm),
            ("loss-sum", result.loss_sum),
            ("tokens", result.num_tokens),
        ):
            metrics[name].append(value)
    content = RecordDict({"update-sum": ArrayRecord([total.values]), "metrics": MetricRecord(metrics)})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Score the held-out phones of a shard, phone by phone."""
    host, received, config = _open(message)
    metrics: dict[str, Any] = {
        name: []
        for name in (
            *("phone-ids", "tokens", "loss-sum", "word-positions"),
            *("out-of-vocabulary", "top1-hits", "top3-hits"),
        )
    }
    for phone in config["phone-ids"]:
        scores = host.score(received, int(phone))
        counts = count_hits(scores.targets, scores.rank)
        metrics["phone-ids"].append(int(phone))
        metrics["loss-sum"].append(float(scores.loss.astype("float64").sum()))
        metrics["tokens"].append(counts.tokens)
        metrics["word-positions"].append(counts.word_positions)
        metrics["out-of-vocabulary"].append(counts.out_of_vocabulary)
        metrics["top1-hits"].append(counts.top1_hits)
        metrics["top3-hits"].append(counts.top3_hits)
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)
