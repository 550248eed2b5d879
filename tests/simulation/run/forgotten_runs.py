"""Runs in this process whose phones make their updates up, so that many of them take seconds; all else is real."""

import io
import json
from dataclasses import replace
from functools import cache

import numpy as np

from client_model.learning.trainers import LocalResult
from client_model.text.population import phone_labels
from client_model.text.synthetic_text import SyntheticPopulation
from server_strategy.privacy.ledger_lines import decode_labels
from simulation.config import settled
from simulation.flags import parse_simulate, read_config
from simulation.parts import Parts
from simulation.run.checkpoint import newest_about
from simulation.start import start
from simulation.studies.forgetting.forget import forget
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.engine_in_process import EngineInProcess

PHONES, ROUNDS = 90, 6
SMALL = (
    *WEIGHTS_ONLY,
    *("--rounds", ROUNDS, "--fleet.size", PHONES, "--cohort.goal", 5, "--data.vocabulary-phones", 20),
    *("--model.vocabulary-size", 60, "--model.embedding-size", 4, "--model.units", 4, "--model.sequence-length", 4),
    *("--evaluation.max-phones", 2, "--training.max-sequences", 2, "--engine.keep-checkpoints", "all"),
    *("--cohort.min-separation-rounds", 2, "--cohort.max-participations", 2),
)


def made_up(host, received, phone, request, clock):
    """An update that depends on the phone, the round and the weights, in the place of training."""
    tensors = [received.flat] if hasattr(received, "flat") else received  # as the kernels have them
    flat = np.concatenate([np.ravel(one) for one in tensors])
    seed = [phone, request.server_round, int(np.abs(flat).sum() * 1e6)]
    update = np.random.default_rng(seed).normal(0, 1, flat.size).astype(np.float32)
    return LocalResult(update=update, loss_sum=1.5, num_tokens=3)


@cache
def settings(flags):
    return parse_simulate(flags).run


def simulate(folder, *flags, resume=False, stop_after=None):
    """A run, stopped after a round if so asked; returns it."""
    config = settled(read_config(folder / "config.toml")) if resume else settings(tuple(map(str, flags)))
    config = replace(config, output_dir=folder)
    stop = None if stop_after is None else lambda record: record.round >= stop_after
    return start(config, Parts(), io.StringIO(), resume, EngineInProcess(), on_round=stop)


def played_on(config, out):
    return start(config, Parts(), out, True, EngineInProcess())


def forgotten(folder, *names, **how):
    """What scripts/forget.py does; returns what it prints, whatever the lines."""
    out = io.StringIO()
    forget(out, folder, [str(one) for one in names], play=lambda config: played_on(config, out), **how)
    return " ".join(out.getvalue().split())


def first_rounds(folder):
    """The round in which each phone first took part, by its number; of the last life."""
    labels = phone_labels(newest_about(folder / "checkpoints")["salt"], SyntheticPopulation(0, PHONES).digests())
    number_of = {int(label, 16): number for number, label in enumerate(labels)}
    found = {}
    for line in ledger(folder):
        if "forgotten" in line:
            found = {} if line["release"] == 0 else found
        for label in decode_labels(line.get("participants", "")).tolist():
            found.setdefault(number_of[label], line["round"])
    return found


def ledger(folder):
    return [json.loads(line) for line in (folder / "privacy_ledger.jsonl").read_text().splitlines()[1:]]


def who(folder, since):
    """Numbers of the phones in the sums on record after a line."""
    labels = phone_labels(newest_about(folder / "checkpoints")["salt"], SyntheticPopulation(0, PHONES).digests())
    number_of = {int(label, 16): number for number, label in enumerate(labels)}
    return {
        number_of[one]
        for line in ledger(folder)[since:]
        for one in decode_labels(line.get("participants", "")).tolist()
    }


def weights_of(folder):
    with np.load(folder / "model" / "weights.npz") as stored:
        return np.concatenate([stored[name].ravel() for name in stored.files])
