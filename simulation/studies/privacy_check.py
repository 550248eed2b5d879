"""A run's privacy statement held to what it can be held to: epsilon to the ledger, the hash to the weights on disk."""

import json
import re
from pathlib import Path
from typing import Any, TextIO

from server_strategy.privacy.ledger import charged_more, half_written_line, recompute, releases_on_record
from simulation.files import read_json_object
from typefleet.errors import ConfigError, expected, printable
from typefleet.untrusted.own_json import json_kind

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_statement(folder: Path, out: TextIO, errors: TextIO) -> bool:
    """Print the recomputed cost and whether privacy.json agrees; nothing is written.

    Args:
        folder: of a run.
        out: takes the cost and the verdict.
        errors: takes notes, and what does not agree.

    Returns:
        Whether everything that is claimed and can be checked is so.

    Raises:
        ConfigError: the statement, the ledger or the weights cannot be read.
    """
    path, ledger = folder / "privacy.json", folder / "privacy_ledger.jsonl"
    statement = read_json_object(path, "the privacy statement of a run", ("spent", "epsilon_is_of"))
    claimed, is_of = statement["spent"], statement["epsilon_is_of"]
    releases = claimed.get("releases") if isinstance(claimed, dict) else None
    if type(releases) is not int or releases < 0:
        raise ConfigError(expected(path, "what was spent, with its number of releases", "none"))
    spent = recompute(ledger, releases)
    if (line := half_written_line(ledger)) is not None:
        why = "a release is made only once its line is whole"
        print(f"note: {printable(str(ledger))}:{line} is half-written and not counted: {why}", file=errors)
    if (more := charged_more(ledger)) is not None:
        print(f"note: {more}", file=errors)
    on_record, deployment = releases_on_record(ledger)
    print(json.dumps({**spent, "epsilon_is_of": deployment}, indent=2), file=out)
    agrees = _has_the_weights(statement, folder / "model" / "weights.npz", out, errors)
    if str(is_of).replace("reports a round", "reports per round") != deployment:  # as earlier versions said
        print(f"privacy.json says another deployment than the ledger's plan: {deployment}", file=errors)
        agrees = False
    if on_record > releases and (folder / "participation.json").exists():  # which a run writes when it has ended
        print(f"privacy.json counts {releases} of the {on_record} releases that the ledger records", file=errors)
        agrees = False
    elif on_record > releases:
        print(f"note: the run has not ended, and its ledger is {on_record - releases} releases ahead", file=errors)
    if others := _other_claims(claimed, spent):
        print(f"privacy.json claims something else: {', '.join(others)}", file=errors)
        agrees = False
    if agrees:
        print("privacy.json agrees", file=out)
    return agrees


def _other_claims(claimed: dict[str, Any], spent: dict[str, Any]) -> list[str]:
    """What is claimed beside what was spent: a value of another type is another value, and a text is not repeated."""
    others = []
    for name, value in spent.items():
        said = claimed.get(name)
        if name not in claimed:
            others.append(f"no {name}")
        elif type(said) is not type(value) or said != value:
            others.append(
                f"{name} {json.dumps(said)}" if type(said) in (int, float) else f"{name} is {json_kind(said)}"
            )
    return [*others, "more than is spent"] if claimed.keys() - spent.keys() else others


def _has_the_weights(statement: dict[str, Any], path: Path, out: TextIO, errors: TextIO) -> bool:
    """Whether the statement is of the weights on disk; what cannot be compared is said, and is no disagreement."""
    from simulation.run.directory import stored_weights_sha256

    claimed = statement.get("weights_sha256")
    if claimed is None:
        print("note: privacy.json names no weights, so none were compared with it", file=errors)
        return True
    if not path.exists():
        print(f"note: {printable(str(path))} is not there, so no weights were compared with privacy.json", file=errors)
        return True
    found = stored_weights_sha256(path)
    if found != claimed:
        print(f"privacy.json is of weights {_short(claimed)}, {path} has {_short(found)}", file=errors)
        return False
    print(f"weights {found}", file=out)
    return True


def _short(digest: object) -> str:
    return f"{digest[:16]}..." if isinstance(digest, str) and _SHA256.fullmatch(digest) else "of no name"
