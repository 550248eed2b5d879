"""Tiny runs of few words, without Ray, and keys to encrypt them with."""

import io
import json

import numpy as np

from simulation.flags import parse_simulate
from simulation.parts import Parts
from simulation.start import start

DIGITS, OTHER = "0123456789abcdef" * 4, "f" * 64
WORDS = ["quibble", "zephyr", "marzipan", "obelisk", "tundra", "walnut", "cobalt", "ferret"]
TINY = (
    *("--rounds", 2, "--cohort.goal", 4, "--data.vocabulary-phones", 40, "--evaluation.max-phones", 4),
    *("--model.embedding-size", 4, "--model.units", 4, "--model.sequence-length", 6, "--training.max-sequences", 4),
    *("--privacy.noise-multiplier", 1, "--privacy.modelled-cohort", 500, "--engine.checkpoint-every-rounds", 1),
    *("--engine.no-export", "--engine.no-report", "--tracking.trackers"),
)


def key_file(path, digits):
    path.write_text(f"{digits}\n")
    path.chmod(0o600)
    return path


def played(*arguments, rounds=None):
    """simulate.py without Ray; `rounds`: it is stopped after so many."""
    from tests.simulation.engine_in_process import EngineInProcess  # which imports TensorFlow

    flags, printed = parse_simulate([str(one) for one in arguments]), io.StringIO()
    stop = None if rounds is None else lambda record: record.round >= rounds
    start(flags.run, Parts(), printed, flags.resume is not None, EngineInProcess(), on_round=stop)
    return printed.getvalue()


def write_messages(path):
    """Forty phones, six messages each, of rare words."""
    texts = np.random.default_rng(0).choice(np.array(WORDS), (40, 6, 5))
    rows = [{"user_id": f"user{u}", "text": " ".join(one)} for u, own in enumerate(texts) for one in own]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
