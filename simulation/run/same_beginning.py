"""What a run began with, and has to have again when it goes on: settings, text, parts and the key of its noise."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from server_strategy.privacy.ledger_lines import read_ledger
from server_strategy.privacy.noise_key import NoiseKey
from simulation.flags import result_settings
from simulation.run.checkpoint import CheckpointError
from simulation.run.directory import RunDirectory
from simulation.run.lives import ledger_entries, noise_life_of, require_record
from simulation.run.noise_secret import beginning, noise_of_resumed_run
from simulation.run.preparation import Prepared
from simulation.storage.deletion_log import found_gone
from typefleet.errors import ConfigError, expected

NOISE_HERE = "noise_key_check"  # among what a run began with: digest of the key that its secret gives in its place
_GROUP = "group"  # of a fingerprint: phones that are trained at once, and where; absent where they are not


def require_nothing_released(prepared: Prepared, directory: RunDirectory) -> None:
    """Refuse to start anew what has released something: with another secret that would be a second release.

    Raises:
        ConfigError: there is a release on record; or the record of phones to forget is not the one it went on by.
    """
    require_record(directory.root, prepared.forgotten.requests, ledger_entries(directory.ledger))
    if prepared.plan.noise_source == "secret" and directory.ledger.exists():
        entries, _ = read_ledger(directory.ledger)  # none, where the run was killed before its plan was written
        releases = max((entry["release"] for entry in entries), default=0)
        if releases:
            gone = found_gone(directory.root, f"{directory.checkpoints.name}/")
            found = f"{gone}, and {releases} releases on record; start a new run"
            raise ConfigError(expected(directory.checkpoints, "a checkpoint", found))


def noise_again(prepared: Prepared, directory: RunDirectory, began: dict[str, str], *, is_over: bool) -> NoiseKey:
    """The key that the run began with; of one that is over any, since nothing more is released.

    Raises:
        CheckpointError: the checkpoint does not say what the run began with.
        ConfigError: the secret is missing, damaged, or another run's.
    """
    plan, config = prepared.plan, prepared.config
    if is_over and plan.noise_source == "secret":
        return NoiseKey.fresh()
    if not began.keys() >= {"start_sha256", "noise_check"}:
        raise CheckpointError(expected(directory.checkpoints, "what the run began with", "a part of it"))
    bound_to = beginning(fingerprint(prepared), str(began["start_sha256"]))
    again = noise_of_resumed_run(directory.root, plan, config.seed, bound_to, check=str(began["noise_check"]))
    return again.of_life(noise_life_of(began))


def require_same_beginning(then: dict[str, Any], prepared: Prepared, root: Path) -> None:
    """Refuse to go on with other settings, other text or other parts than a run began with.

    Raises:
        ConfigError: they are.
    """
    now = fingerprint(prepared)
    given, missed = (found["parts"] or "none" for found in (now, {"parts": {}, **then}))
    if given != missed:
        raise ConfigError(expected(f"--resume: {root}", f"the parts that it began with handed in, {missed}", given))
    if now.get(_GROUP) != then.get(_GROUP):
        as_then = "--engine.device and --engine.phones-at-a-time as it began, since bits depend on them:"
        raise ConfigError(expected(f"--resume: {root}", f"{as_then} {_said(then)}", _said(now)))
    if now != then:
        what = f"the settings, the text and the trace that {root} began with"
        raise ConfigError(expected("--resume", what, "others"))


def fingerprint(prepared: Prepared) -> dict[str, Any]:
    """Everything that may change a result: the settings, the text, the vocabulary."""
    settings = result_settings(prepared.config)
    folder, group = prepared.task.population.cache_folder, prepared.task.group
    return {
        "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()},
        "text": None if folder is None else Path(folder).name,  # named by the file's content
        "traces": [hashlib.sha256(path.read_bytes()).hexdigest() for path in prepared.fleet.files],
        "start": None if prepared.start is None else prepared.start.digest,
        "metrics": [repr(metric) for metric in prepared.metrics.metrics],
        "parts": prepared.parts.described(),
        "vocabulary": hashlib.sha256(prepared.task.vocabulary.encode()).hexdigest(),
        **({} if group is None else {_GROUP: asdict(group)}),
    }


def _said(fingerprint: Mapping[str, Any]) -> str:
    group = fingerprint.get(_GROUP)
    return "one phone after another" if group is None else f"{group['phones']} phones at a time on a {group['device']}"
