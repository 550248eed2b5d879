"""A user's own Flower client for DPFedAvg: phones are arrays, nothing of `simulation` is used."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from server_strategy.update_sum import FixedPointSum

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Pull the weights towards each phone's own target; fail or die where the test asks for it."""
    config = message.content["config"]
    _misbehave(str(config.get("misbehave", "")))
    weights = np.concatenate([a.ravel() for a in message.content["arrays"].to_numpy_ndarrays()])
    total = FixedPointSum(len(weights), float(config["clip-norm"]))
    metrics = {"phone-ids": [], "rejected-ids": [], "update-norm": [], "loss-sum": [], "tokens": []}
    for phone in config["phone-ids"]:
        target = np.random.default_rng(phone).normal(1.0, 0.1, len(weights))
        update = (0.5 * (target - weights)).astype(np.float32)
        row = (phone, total.add(update), float(np.square(target - weights).sum()), 1)
        for name, value in zip(("phone-ids", "update-norm", "loss-sum", "tokens"), row, strict=True):
            metrics[name].append(value)
    content = RecordDict({"update-sum": ArrayRecord([total.values]), "metrics": MetricRecord(metrics)})
    return Message(content, reply_to=message)


def _misbehave(how: str) -> None:
    """ "raise FILE", "die FILE" or "hang FILE": once, as long as FILE exists; "always raise" and "wait SECONDS":
    every time. Whoever hangs leaves the id of its process in FILE.pid.
    """
    kind, _, flag = how.partition(" ")
    if kind == "wait":
        time.sleep(float(flag))
    if how == "always raise":
        raise RuntimeError("this host never works")
    if kind not in ("raise", "die", "hang"):
        return
    try:
        Path(flag).unlink()  # only one of the hosts finds it
    except FileNotFoundError:
        return
    if kind == "die":
        os.kill(os.getpid(), 9)
    if kind == "hang":
        Path(f"{flag}.pid").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    raise RuntimeError("this host failed once")
