"""What a run leaves on disk, and what it sums up to.

config.toml            the resolved configuration; simulate again from it alone
rounds.jsonl           one line per round, append-only, synced to disk
rounds.parquet         the same as a table, written when a run ends or is stopped
summary.json           the outcome
held_out.parquet       what the last measurement counted on each phone that never trains
privacy.json, .md      the privacy statement, for programs and for people
privacy_ledger.jsonl   every release, written before it is made
privacy_head.json      its last hash and digests of the statement, written when the run ends; .sig signs it
checkpoints/           the newest is enough to resume bit for bit
model/                 weights.npz, vocab.txt, *.tflite
tensorboard/           curves, figures and settings; mlflow/ and wandb/ if these trackers are chosen
report.html            all of it as one page, written when the run ends
audit_trail.jsonl      every command on the run, when and by whom
.lock                  held by the process that works on the run

`simulation.run.artefacts` says which of it is meant to be passed on. The rest is its owner's alone.
"""

import itertools
import json
import os
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_model.learning.language_model import ModelShape, Weights, flatten, weights_sha256
from client_model.metrics.table import MetricTable
from server_strategy.funnel import ALWAYS_TOLD, Funnel
from simulation.audit_trail import begin_on
from simulation.files import read_json_object, write_npz_atomically, write_text_atomically
from simulation.run.records import RoundRecord, Summary, require_metrics, wrong_values
from typefleet.errors import ConfigError, expected, unreadable, unwritable
from typefleet.private_files import PRIVATE_FOLDER, make_private_folder, open_private
from typefleet.untrusted.archives import read_arrays
from typefleet.untrusted.own_json import parse_json, read_lines

# What a line says of every round, whatever became of it.
_NOT_EVERY = {"funnel", "held_out", "profile", "aggregation", "not_told", "kernel", "kernel_bits"}
_EVERY_ROUND = {f.name for f in fields(RoundRecord)} - _NOT_EVERY
_FUNNEL = {f.name for f in fields(Funnel)}


class RunDirectory:
    """The folder of one run and the paths in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config, self.rounds = root / "config.toml", root / "rounds.jsonl"
        self.rounds_table = root / "rounds.parquet"
        self.summary, self.ledger = root / "summary.json", root / "privacy_ledger.jsonl"
        self.held_out_phones, self.report = root / "held_out.parquet", root / "report.html"
        self.checkpoints, self.model = root / "checkpoints", root / "model"

    @property
    def has_begun(self) -> bool:
        """Whether there is anything to go on from: a checkpoint, or a round that has one to come."""
        return any(self.checkpoints.glob("checkpoint-*")) or self.rounds.exists()

    def append_round(self, record: RoundRecord) -> None:
        """Add one line to rounds.jsonl and sync it."""
        with open_private(self.rounds, "a") as file:
            file.write(json.dumps(record.as_line()) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read_rounds(self) -> list[dict[str, Any]]:
        """All whole lines of rounds.jsonl; a last one that a crash left without its end is none.

        Raises:
            ConfigError: a line is not that of its round.
        """
        if not self.rounds.exists():
            return []
        lines = (line for line in read_lines(self.rounds, "the rounds of a run") if line.is_whole)
        return [_round_of(line.content, line.number, f"{self.rounds}:{line.number}") for line in lines]

    def read_rounds_of(self, summary: Summary, metrics: MetricTable) -> list[dict[str, Any]]:
        """The rounds that led to an outcome, with the metrics of its run.

        Raises:
            ConfigError: a line is not that of its round, or there are fewer than were completed.
        """
        require_metrics(metrics, summary.held_out, self.summary)
        rounds = self.read_rounds()
        for number, line in enumerate(rounds, start=1):
            require_metrics(metrics, line, f"{self.rounds}:{number}")
        if len(rounds) < summary.rounds_completed:
            what = f"the {summary.rounds_completed} rounds that {self.summary.name} counts"
            raise ConfigError(expected(self.rounds, what, f"{len(rounds)} whole lines"))
        return rounds

    def cut_rounds_after(self, server_round: int) -> None:
        """Drop the lines that a resumed run is about to write again, and the table that has them.

        Raises:
            ConfigError: a line before them is damaged or missing; the file is as it was.
        """
        kept = self.read_rounds()[:server_round]
        if len(kept) < server_round:
            found = f"{len(kept)} whole lines"
            raise ConfigError(expected(self.rounds, f"the {server_round} rounds that the checkpoint is after", found))
        write_text_atomically(self.rounds, "".join(json.dumps(r) + "\n" for r in kept), private=True)
        self.rounds_table.unlink(missing_ok=True)

    def write_summary(self, summary: Summary) -> None:
        """Replace summary.json, whole or not at all."""
        write_text_atomically(self.summary, json.dumps(summary.as_json(), indent=2) + "\n", private=True)

    def read_summary(self) -> Summary:
        """The summary on disk.

        Raises:
            ConfigError: there is none, or it is not one.
        """
        content = read_json_object(self.summary, "the outcome of a finished run")
        return Summary.from_json(content, self.summary)

    def write_weights(self, weights: dict[str, NDArray[np.float32]]) -> None:
        """Replace model/weights.npz, whole or not at all."""
        write_npz_atomically(self.model / "weights.npz", weights)


def _round_of(line: bytes, number: int, where: str) -> dict[str, Any]:
    """A line of rounds.jsonl, with at least the keys that every round has.

    Raises:
        ConfigError: it is none, or another round's.
    """
    found = parse_json(line, where, f"the line of round {number}")
    if not isinstance(found, dict) or not found.keys() >= _EVERY_ROUND or found["round"] != number:
        raise ConfigError(expected(where, f"the line of round {number}", "another one, or a part of one"))
    for kind in (RoundRecord, Funnel):
        for name in wrong_values(kind, found):
            raise ConfigError(expected(where, f"the line of round {number}", f"another value as {name}"))
    if found.keys() & _FUNNEL and not found.keys() >= ALWAYS_TOLD:
        raise ConfigError(expected(where, f"the line of round {number}", "a part of its funnel"))
    for name in ("profile", "aggregation"):
        if not isinstance(found.get(name), dict | None):
            raise ConfigError(expected(where, f"the line of round {number}", f"another value as {name}"))
    return found


def read_weights(path: Path, shape: ModelShape) -> Weights:
    """The weights of a run, or any in the same form: arrays by name in an .npz.

    Raises:
        ConfigError: missing, damaged, not finite, or of another shape.
    """
    found = read_arrays(path, "the weights of a finished run")
    wanted, shapes = shape.weight_shapes(), {name: weight.shape for name, weight in found.items()}
    for name in [*wanted, *shapes]:
        if shapes.get(name) != wanted.get(name):
            raise ConfigError(expected(path, f"{name} of shape {wanted.get(name)}", shapes.get(name)))
    weights = [found[name].astype(np.float32) for name in wanted]
    if not all(np.isfinite(weight).all() for weight in weights):
        raise ConfigError(expected(path, "finite weights", "others"))
    return weights


def stored_weights_sha256(path: Path) -> str:
    """SHA-256 of the numbers of a run's weights, as summary, statement and model card state it.

    Args:
        path: of weights.npz; its arrays are taken in the order in which they were written.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    found = read_arrays(path, "the weights of a finished run")
    weights = [np.asarray(array, np.float32) for array in found.values()]
    return weights_sha256(flatten(weights)) if weights else ""


def new_run_directory(requested: Path | None, config_toml: str) -> RunDirectory:
    """Make the folder of a fresh run.

    Raises:
        ConfigError: the folder is in use or cannot be written; nothing is left behind.
    """
    run = RunDirectory(new_folder(requested))
    root = run.root
    try:
        make_private_folder(root)
        for folder, mode in ((run.checkpoints, PRIVATE_FOLDER), (run.model, 0o777)):
            folder.mkdir(mode)
        write_text_atomically(run.config, config_toml, private=True)
    except FileExistsError as error:  # another run has begun in it since
        raise ConfigError(expected("--output-dir", "a new or empty folder", f"{root} in use")) from error
    except OSError as error:
        raise ConfigError(unwritable(f"--output-dir: {root}", error)) from error
    begin_on(root)
    return run


def new_folder(requested: Path | None, prefix: str = "") -> Path:
    """The folder asked for, or one in runs/ named by the date and time; made if it is not there.

    Raises:
        ConfigError: it is in use or cannot be written; nothing is left behind.
    """
    root = requested or new_name(prefix)
    if requested is not None:
        check_output_dir(root)
    try:
        if requested is None:
            return _first_that_is_free(root)
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(unwritable(f"--output-dir: {root}", error)) from error
    return root


def _first_that_is_free(root: Path) -> Path:
    """Make the folder, or one of that name and a number: several runs may begin within one second."""
    names = itertools.chain([root], (root.with_name(f"{root.name}-{number}") for number in itertools.count(2)))
    return next(name for name in names if _is_made(name))


def _is_made(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def new_name(prefix: str = "") -> Path:
    """A folder in runs/ named by the date and time; it is not made."""
    return Path("runs") / f"{prefix}{datetime.now():%Y-%m-%d-%H%M%S}"


def check_output_dir(root: Path) -> None:
    """Refuse early, before any work, a folder that cannot take a run."""
    if root.exists() and (not root.is_dir() or any(_entries(root))):
        raise ConfigError(expected("--output-dir", "a new or empty folder", f"{root} in use"))
    check_can_be_written(root)


def check_can_be_written(root: Path) -> None:
    """Refuse early, before any work, a folder that cannot be made, or written into if it is there."""
    parent = root
    while not parent.exists():
        if parent.is_symlink():
            raise ConfigError(expected("--output-dir", "a new or empty folder", f"{parent}, a link that leads nowhere"))
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        found = f"{parent} without permission" if parent.is_dir() else f"{parent}, which is none"
        raise ConfigError(expected("--output-dir", "a folder that can be written", found))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise ConfigError(unreadable(f"--output-dir: {folder}", error, "a folder that can be read")) from error
