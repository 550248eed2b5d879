"""The docs' Flower client for DPFedAvg, which can be made to misbehave; nothing of `simulation` is used."""

import os
import signal
import time
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from tests.simulation.engine import example_app

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train as the example does; fail or die first where the test asks for it."""
    _misbehave(str(message.content["config"].get("misbehave", "")))
    return example_app.train(message, context)


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
