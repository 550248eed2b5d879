"""What encryption at rest costs, as ratios in one process: python -m benchmarks.storage

The same work on the same text with and without a storage key, in turns, so that whatever else the machine does meets
both: what a host does in a round (read and train 20 phones), what a checkpoint takes, and what a run does before its
first round (accept settings and text, choose words, set up the fleet). Prints medians of processor time, their ratio,
the rate of encryption alone, and what a passphrase takes. What is trained on once it is read is the same, so the cost
of a round is computed from what is not: the reading, and its share of a checkpoint. Takes a minute or two.
"""

import json
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import annotated_types as at
import numpy as np

from client_model.text.population import open_population
from client_model.text.word_counts import type_counts, type_writers
from simulation.config import RunConfig
from simulation.flags import parse_with_tyro, run_door, settled
from simulation.run.checkpoint import load_newest_checkpoint, save_checkpoint
from simulation.storage.config import StorageConfig
from simulation.storage.run_files import begin_storage
from simulation.tables import console_for, print_table
from typefleet.sealed.chunks import read_sealed, seal
from typefleet.sealed.storage_key import Scrypt, key_of_passphrase

_PHONES = 20  # of a round
_MIB = 2**20


@dataclass(frozen=True)
class StorageFlags:
    """Measure what encryption at rest costs."""

    turns: Annotated[int, at.Ge(3)] = 15
    """How often each is done."""


@dataclass(frozen=True)
class Pair:
    """Medians of the same work without and with a key, in seconds of processor time."""

    what: str
    plain_s: float
    sealed_s: float

    @property
    def ratio(self) -> float:
        """Above 1: it takes longer with a key."""
        return self.sealed_s / self.plain_s


def in_turns(what: str, plain: Callable[[], object], sealed: Callable[[], object], turns: int) -> Pair:
    """Both once to warm up, then each so often, the first of a turn being now one and now the other."""
    works = (plain, sealed)
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(-1, turns):
        for which in (0, 1) if turn % 2 else (1, 0):
            began = time.process_time()
            works[which]()
            if turn >= 0:
                times[which].append(time.process_time() - began)
    return Pair(what, statistics.median(times[0]), statistics.median(times[1]))


def _key_in(root: Path) -> Path:
    """A new storage key, in a file."""
    key = root / "key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    return key


class _Side:
    """The default run on text with a storage key, or without, and what is measured of it.

    Args:
        folder: which is not there yet, of the run and its cache.
        place: of the storage key; None: without.
    """

    def __init__(self, folder: Path, place: str | None) -> None:
        from client_model.learning.language_model import initial_weights
        from simulation.engine.phone_host import PhoneHost
        from simulation.run.preparation import prepare

        default = settled(RunConfig())
        data = replace(default.data, cache_dir=folder / "cache")
        self.config = replace(default, data=data, storage=StorageConfig(place))
        self._prepared = prepare(self.config)
        self._checkpoints = folder / "checkpoints"
        self._checkpoints.mkdir(parents=True)
        begin_storage(folder, place)
        self._host, shape = PhoneHost(self._prepared.task), self._prepared.shape
        self._weights = initial_weights(shape, 0)
        training = self._prepared.training_phones
        self._phones = training[:: max(len(training) // _PHONES, 1)][:_PHONES].tolist()
        self._state = {f"array {n}": np.random.default_rng(n).random(shape.num_weights, np.float32) for n in range(4)}

    def read(self) -> None:
        """Read the phones of a round."""
        for phone in self._phones:
            self._host.read(phone, 1)

    def play(self) -> None:
        """Read and train them."""
        received = self._host.load(self._weights)
        for phone in self._phones:
            self._host.train(received, self._host.read(phone, 1))

    def save(self) -> None:
        """Write a checkpoint."""
        save_checkpoint(self._checkpoints, 1, self._state, {}, 1)

    def resume(self) -> None:
        """Read the checkpoint that was written last."""
        load_newest_checkpoint(self._checkpoints)

    def count(self) -> None:
        """Open the text, and count its words."""
        population = open_population(self._prepared.task.population)
        type_counts(population, self._prepared.training_phones)
        type_writers(population, self._prepared.training_phones)

    def begin(self) -> None:
        """Do what a run does before its first round."""
        from simulation.run.preparation import prepare

        prepare(self.config)


def measure(root: Path, turns: int) -> list[Pair]:
    """All of it, in an empty folder."""
    from client_model.learning.local_training import limit_threads

    limit_threads(1)
    plain, sealed = _Side(root / "plain", None), _Side(root / "sealed", str(_key_in(root)))
    works: dict[str, Callable[[_Side], None]] = {
        "read 20 phones": _Side.read,
        "write a checkpoint": _Side.save,
        "read a checkpoint": _Side.resume,
        "open the text, count its words": _Side.count,
        "what a run does before its first round": _Side.begin,
    }
    pairs = [in_turns(what, partial(work, plain), partial(work, sealed), turns) for what, work in works.items()]
    played, (read_pair, saved, *_) = in_turns("", plain.play, plain.play, turns), pairs
    every = plain.config.engine.checkpoint_every_rounds
    plain_s = played.plain_s + saved.plain_s / every
    more_s = read_pair.sealed_s - read_pair.plain_s + (saved.sealed_s - saved.plain_s) / every
    return [*pairs, Pair(f"a round, with a checkpoint in {every}", plain_s, plain_s + more_s)]


def rates(root: Path) -> tuple[float, float]:
    """MB/s of encrypting and of decrypting 64 MiB, the disk's cache included."""
    content, key, path = secrets.token_bytes(64 * _MIB), secrets.token_bytes(32), root / "rate"
    began = time.perf_counter()
    with path.open("wb") as file:
        seal(file, [content], key, "rate")
    written = time.perf_counter()
    read_sealed(path, key, "rate")
    return len(content) / 1e6 / (written - began), len(content) / 1e6 / (time.perf_counter() - written)


def passphrase_s(turns: int) -> float:
    """Median seconds of processor time that a passphrase takes to become a key."""
    times = []
    for _ in range(turns):
        began = time.process_time()
        key_of_passphrase(secrets.token_hex(16), Scrypt(secrets.token_hex(16)))
        times.append(time.process_time() - began)
    return statistics.median(times)


def main(argv: Sequence[str]) -> None:
    """Measure, and print a table; the numbers as one line of JSON below it."""
    flags = parse_with_tyro(StorageFlags, argv)
    with tempfile.TemporaryDirectory() as folder:
        pairs, (sealing, opening) = measure(Path(folder), flags.turns), rates(Path(folder))
    passphrase_ms = 1e3 * passphrase_s(flags.turns)
    console = console_for(sys.stdout)
    rows = [[one.what, *(f"{1e3 * s:,.1f}" for s in (one.plain_s, one.sealed_s)), f"{one.ratio:.3f}"] for one in pairs]
    print_table(console, ("", "plain,\nms", "encrypted,\nms", "ratio"), rows)
    console.print(f"encryption alone: {sealing:,.0f} MB/s, decryption: {opening:,.0f} MB/s")
    console.print(f"a passphrase becomes a key in {passphrase_ms:,.0f} ms")
    console.print(json.dumps({one.what: round(one.ratio, 4) for one in pairs}), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(run_door(lambda: main(sys.argv[1:])))
