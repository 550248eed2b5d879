"""A run's privacy statement held to what it can be held to: ledger, settings, weights, records, head and signature."""

import json
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from server_strategy.privacy.ledger import half_written_line
from server_strategy.privacy.statement_together import together_json
from simulation.run.statement_pages import FACTS
from simulation.studies.privacy_deletions import check_deletions
from simulation.studies.privacy_evidence import Evidence, compare_statement, gather
from simulation.studies.privacy_files import (
    check_end,
    check_records,
    check_settings,
    check_weights,
)
from simulation.studies.privacy_findings import Finding, Findings, Standing
from simulation.studies.privacy_forgotten import check_forgotten
from simulation.studies.privacy_heads import check_head, check_model_files, check_others, require_readable
from simulation.studies.privacy_lines import check_lines
from simulation.studies.privacy_trail import check_trail_of
from simulation.tables import console_for
from typefleet.errors import printable

_INDENT, _NARROWEST, _WIDEST = 32, 24, 100  # columns


def check_statement(
    folder: Path, out: TextIO, errors: TextIO, *, public_key: Path | None = None, as_json: bool = False
) -> bool:
    """Print the recomputed cost, what each line of the statement stands on, and whether all agrees; write nothing.

    Args:
        folder: of a run.
        out: takes the cost, the table and the verdict.
        errors: takes notes, and what does not agree.
        public_key: an Ed25519 public key in PEM of who is expected to have signed; None: no signature is asked for.
        as_json: print one JSON object.

    Returns:
        Whether everything that is claimed and can be checked is so.

    Raises:
        ConfigError: the statement, the ledger or another file cannot be read.
        VerificationError: the key cannot be used.
    """
    found, findings = checked(folder, public_key)
    if (line := half_written_line(found.ledger)) is not None:
        why = "a release is made only once its line is whole"
        print(f"note: {printable(str(found.ledger))}:{line} is half-written and not counted: {why}", file=errors)
    if (more := found.plan.charged_more) is not None:
        print(f"note: {more}", file=errors)
    numbers = _numbers(found)
    if as_json:
        lines = [one._asdict() for one in findings.lines]
        kind = {"of_an_earlier_version": found.of_before, "bound_to_weights": not found.unbound}
        print(json.dumps({"agrees": not findings.wrongs, **kind, **numbers, "lines": lines}, indent=2), file=out)
    else:
        _print(out, numbers, findings)
    for one in findings.wrongs:
        print(f"{printable(one.place)}: {printable(one.why)}", file=errors)
    if not findings.wrongs and not as_json:
        print(f"privacy.json agrees{_how_much(found, findings)}", file=out)
    return not findings.wrongs


def checked(folder: Path, public_key: Path | None = None) -> tuple[Evidence, Findings]:
    """What a run's folder comes to, and every finding; see `check_statement` for what is raised."""
    from client_model.tflite.export_folder import read_public_key

    key = None if public_key is None else read_public_key(public_key)
    require_readable(folder)
    found, findings = gather(folder), Findings([])
    compare_statement(found, findings)
    check_lines(found, findings)
    check_end(found, findings)
    check_weights(found, findings)
    check_settings(found, findings)
    signed = check_head(found, findings, key)  # of what stands above: what follows is in no head
    check_records(found, findings)
    check_deletions(found, findings)
    check_forgotten(found, findings)
    check_model_files(found, findings, signed)
    check_others(found, findings)
    check_trail_of(found, findings)
    return found, findings


def _how_much(found: Evidence, findings: Findings) -> str:
    """On how much of it that stands, and what a ledger without bindings leaves open."""
    unknown = dict(findings.counts()).get(Standing.NOT_CHECKABLE, 0)
    before = ", of an earlier version" if found.of_before else ""
    unbound = "\nIt is not bound to weights: lines of the ledger do not say what they led to." if found.unbound else ""
    return f"{before}: {len(findings.lines) - unknown} lines hold, {unknown} cannot be checked{unbound}"


def _numbers(found: Evidence) -> dict[str, Any]:
    others = found.statement.get("other_runs")  # as the run told of them
    together = together_json(others if isinstance(others, dict) else None)
    told = {name: text for name, text in together.items() if text is not None}
    return {**asdict(found.spent), "epsilon_is_of": found.plan.epsilon_is_of, **told}


def _print(out: TextIO, numbers: dict[str, Any], findings: Findings) -> None:
    """The numbers first, then on what each line stands, what asks for a look first."""
    print(json.dumps(numbers, indent=2), file=out)
    width = min(console_for(out).width, _WIDEST)
    for standing in list(Standing)[::-1]:
        groups = _grouped([line for line in findings.lines if line.standing is standing], _whole(findings))
        if groups:
            print(f"\n{standing}", file=out)
        for (file, why), names in groups.items():
            what = ", ".join(filter(None, names))
            _print_row(out, file, f"{why}: {what}" if what else why, width)
    said = ", ".join(f"{number} {standing}" for standing, number in findings.counts())
    print(f"\n{len(findings.lines)} lines: {said}", file=out)


def _whole(findings: Findings) -> set[str]:
    """Objects of the statement all of whose values stand on the same: they are one name; not all facts are compared."""
    found: dict[str, set[tuple[str, str]]] = {}
    for line in findings.lines:
        found.setdefault(line.place.rpartition(".")[0], set()).add((line.standing, line.why))
    return {name for name, stands in found.items() if ": " in name and len(stands) == 1 and not name.endswith(FACTS)}


def _grouped(lines: list[Finding], whole: set[str]) -> dict[tuple[str, str], list[str]]:
    """What of a file stands on the same, by (file, why)."""
    groups: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        inside = line.place.rpartition(".")[0]
        file, _, what = (f"{inside}.*" if inside in whole else line.place).partition(": ")
        names = groups.setdefault((file, line.why), [])
        if what not in names:
            names.append(what)
    return groups


def _print_row(out: TextIO, file: str, text: str, width: int) -> None:
    room = max(width - _INDENT, _NARROWEST)
    first, *rest = textwrap.wrap(printable(text), room, break_on_hyphens=False) or [""]
    print(f"  {printable(file):<{_INDENT - 4}}  {first}", file=out)
    for line in rest:
        print(f"{' ' * _INDENT}{line}", file=out)
