"""What the weights cost that a run starts from: read from the folder of the run that they are of.

What its ledger records is counted, also where its statement says less. A folder without a ledger, such as one that was
passed on, is taken at its statement's word, and weights without a statement are of unknown cost. The runs that such a
run itself started from stand in its statement, so that each generation is there.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from client_model.public_start import PUBLIC_START, RANDOM_START
from server_strategy.privacy.adjacency import ZERO_OUT
from server_strategy.privacy.composition import MADE_UP, SYNTHETIC, EarlierRun, of_unknown_cost
from server_strategy.privacy.costs import Cost, Terms
from server_strategy.privacy.ledger import recompute, releases_on_record
from simulation.files import read_json_object
from simulation.run.checkpoint import CheckpointError, load_newest_checkpoint, part_of
from simulation.run.directory import RunDirectory, stored_weights_sha256
from typefleet.errors import ConfigError, InputError, expected
from typefleet.sealed.envelope import ErasedError
from typefleet.untrusted.own_json import require_object
from typefleet.untrusted.toml_tables import read_toml

SECTION, EARLIER = "other_runs", "earlier_runs"  # of a statement
_MOST_GENERATIONS = 1_000
_OF_A_RUN = ("privacy.json", "config.toml", "privacy_ledger.jsonl", "forgotten.jsonl")
_KNOWN_BY = ("its ledger", "its statement", "nothing")
_FIELDS: dict[str, tuple[type, ...]] = {
    "weights_sha256": (str, type(None)),
    "data": (str, type(None)),
    "same_data": (bool,),
    "zcdp_rho": (int, float, type(None)),
    "own_delta": (int, float),
    "delta": (int, float, type(None)),
    "epsilon_is_of": (str,),
    "adjacency": (str,),
    "known_by": (str,),
    "run": (str, type(None)),
}


def earlier_runs(weights: Path) -> tuple[EarlierRun, ...]:
    """The run that some weights are of, and those that it started from.

    Args:
        weights: the file, as `--model.init` has it.

    Raises:
        ConfigError, LedgerError: the folder's statement is of other weights, or its ledger was changed.
    """
    folder = run_of(weights)
    path, digest = folder / "privacy.json", stored_weights_sha256(weights)
    if not path.exists():
        return (of_unknown_cost(digest),)
    statement = read_json_object(path, "the privacy statement of a run", ("spent", "epsilon_is_of"))
    stated_of = statement.get("weights_sha256")
    if stated_of is None:  # an early version wrote it
        return (of_unknown_cost(digest),)
    if stated_of != digest:
        raise ConfigError(expected(f"--model.init: {path}", f"the statement of {weights.name} beside it", "another's"))
    population = _population_of(folder, statement)
    own = _own(folder, statement, digest, population)
    return (own, *_before(folder, statement, population))


def run_of(weights: Path) -> Path:
    """The folder of the run that weights lie in.

    Through a link it is the one that the link leads to, where there is a run: what it was told, and what it cost, go
    with its weights. A run whose files were moved elsewhere, with a link to them in their place, stays that run.
    """
    named, real = _above(weights), _above(Path(os.path.realpath(weights)))  # Path.resolve knows no loops of links
    if real == Path(os.path.realpath(named)):
        return named
    return real if any((real / name).exists() for name in _OF_A_RUN) else named


def _above(weights: Path) -> Path:
    return weights.parent.parent if weights.parent.name == "model" else weights.parent


def _population_of(folder: Path, statement: Mapping[str, Any]) -> str | None:
    """What a run's checkpoints know of its data; without them, whether it was made up."""
    section = statement.get(SECTION)
    if isinstance(section, dict) and section.get("data") == MADE_UP:
        return SYNTHETIC
    try:
        stored, _ = load_newest_checkpoint(RunDirectory(folder).checkpoints)
        text = part_of(stored, "fingerprint", dict).get("text", "")
    except (CheckpointError, ErasedError):  # they were not passed on, or can be read by nobody
        return None
    return population_named(text) if text is None or (isinstance(text, str) and text) else None


def population_named(cache_folder: str | None) -> str:
    """The digest of a population: of the text, whoever of its people train and whatever fleet is made of them.

    Made-up people are one population whatever their seed.

    Args:
        cache_folder: name of the tokenised text, which begins with the digest of its content; None: it is made up.
    """
    return SYNTHETIC if cache_folder is None else f"text-{cache_folder.partition('-')[0]}"


def _own(folder: Path, statement: Mapping[str, Any], digest: str, population: str | None) -> EarlierRun:
    path = folder / "privacy.json"
    spent = require_object(statement["spent"], path, "what a run spent", ("zcdp_rho", "delta"))
    section = statement.get(SECTION)
    others = {} if section is None else require_object(section, path, "what is said of other runs", ("run",))
    planned = require_object(statement.get("planned"), path, "the plan of a run")
    vocabulary = planned.get("vocabulary")
    own = {
        "weights_sha256": digest,
        "data": None,
        "same_data": True,
        "zcdp_rho": spent["zcdp_rho"],
        "own_delta": vocabulary.get("delta", 0.0) if isinstance(vocabulary, dict) else 0.0,
        "delta": spent["delta"],
        "epsilon_is_of": statement["epsilon_is_of"],
        "adjacency": planned.get("adjacency", ZERO_OUT),
        "known_by": "its statement",
        "run": others.get("run"),
        # Statements of before say nothing of it, and had nothing else.
        "noise_source": None if spent["zcdp_rho"] is None else planned.get("noise_source", "seeded"),
    }
    ledger = RunDirectory(folder).ledger
    if ledger.exists() and spent["zcdp_rho"] is not None:
        rho = recompute(ledger, releases_on_record(ledger)[0], everything=True)["zcdp_rho"]
        own |= {"known_by": "its ledger", "zcdp_rho": max(rho or 0.0, _number(spent["zcdp_rho"], path))}
    found = _read(own, path, population)
    return replace(found, noise_seed=_seed_of(folder)) if found.noise_source == "seeded" else found


def _seed_of(folder: Path) -> int | None:
    """The seed of a run; None where its settings were not passed on."""
    try:
        seed = read_toml(RunDirectory(folder).config, "the settings of a run", ConfigError).get("seed")
    except InputError:
        return None
    return seed if type(seed) is int else None


def _before(folder: Path, statement: Mapping[str, Any], population: str | None) -> tuple[EarlierRun, ...]:
    """What a run itself started from."""
    path, section = folder / "privacy.json", statement.get(SECTION)
    if section is not None:
        found = require_object(section, path, "what is said of other runs", (EARLIER,))[EARLIER]
        if not isinstance(found, list) or len(found) > _MOST_GENERATIONS:
            raise ConfigError(expected(path, f"at most {_MOST_GENERATIONS:,} earlier runs", "something else"))
        return tuple(_read(one, path, population) for one in found)
    config = RunDirectory(folder).config
    try:
        init = read_toml(config, "the settings of a run", ConfigError).get("model", {}).get("init")
    except InputError:  # it was not passed on
        return (of_unknown_cost(None),)
    return () if init in (str(PUBLIC_START), str(RANDOM_START)) else (of_unknown_cost(None),)


def _read(found: Any, path: Path, population: str | None) -> EarlierRun:
    """Of a statement.

    Args:
        found: what it says.
        path: of it.
        population: of its run.

    Raises:
        ConfigError: it is none.
    """
    one = require_object(found, path, "an earlier run", list(_FIELDS))
    for name, types in _FIELDS.items():
        value = one[name]
        if type(value) not in types or (isinstance(value, int | float) and not 0 <= value <= 1e300):
            raise ConfigError(expected(path, "an earlier run", f"{name} of another kind"))
    noise_source = one.get("noise_source", "seeded")  # as above
    if noise_source not in (None, "secret", "seeded"):
        raise ConfigError(expected(path, "an earlier run", "noise_source of another kind"))
    if one["known_by"] not in _KNOWN_BY or (one["zcdp_rho"] is not None and one["delta"] is None):
        raise ConfigError(expected(path, "an earlier run", "known_by or delta of another kind"))
    return EarlierRun(
        weights_sha256=one["weights_sha256"],
        population=population if one["same_data"] else SYNTHETIC if one["data"] == MADE_UP else None,
        cost=Cost(one["zcdp_rho"], one["own_delta"]),
        terms=Terms(one["epsilon_is_of"], one["adjacency"], one["delta"]),
        known_by=one["known_by"],
        run=one["run"],
        noise_source=noise_source,
    )


def _number(value: Any, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(expected(path, "what was spent", "zcdp_rho of another kind"))
    return float(value)
