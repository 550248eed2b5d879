"""What an audit left, as the report of a release and its gate read it again, and the rule of a gate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulation.studies.audits.attack import Attack
from simulation.studies.audits.audit import FILE_NAME, Audit, read_audit, write_audit
from simulation.studies.audits.gate import read_rule
from tests.fuzz.cases import MARKER, Case, Parser
from typefleet.errors import ConfigError, expected

RULE_FILE = "audit.toml"


def write(folder: Path) -> None:
    said = dict(attacker=MARKER, sees="all", assumes="nothing", quantity="epsilon", bound_is="what is claimed")
    one = Attack(name=f"{MARKER}: all", value=2.0, low=1.0, high=3.0, confidence=0.95, bound=4.0, **said)
    write_audit(folder, Audit(1, True, "ab", (one, one)))


def write_rule(folder: Path) -> None:
    (folder / RULE_FILE).write_text(f'[at_most]\n"{MARKER}: all" = "bound"\n"others" = 2.5\n')


def reads(folder: Path) -> Audit:
    """As the gate does: that there is none is refused as well."""
    found = read_audit(folder)
    if found is None:
        raise ConfigError(expected(FILE_NAME, "an audit", "none"))
    return found


AUDIT = Parser("audit", write, FILE_NAME, reads)
RULE = Parser("release_rule", write_rule, RULE_FILE, lambda folder: read_rule(folder / RULE_FILE), may_quote=True)
PARSERS = (AUDIT, RULE)


def changed(name: str, change: Callable[[dict[str, Any]], object]) -> Case:
    def make(folder: Path) -> None:
        content = json.loads((folder / FILE_NAME).read_text())
        change(content)
        (folder / FILE_NAME).write_text(json.dumps(content))

    return Case(AUDIT, name, make)


CASES = (
    changed("a verdict that the figures do not give", lambda c: c["attacks"][0].update(holds=False)),
    changed("a number without end", lambda c: c["attacks"][0].update(value=10**400)),
    changed("infinite", lambda c: c["attacks"][0].update(high=float("inf"))),
    changed("a figure that is a text", lambda c: c["attacks"][0].update(low="1")),
    changed("an attack that is a list", lambda c: c.update(attacks=[[]])),
    changed("a seed that is true", lambda c: c.update(seed=True)),
    changed("no weights", lambda c: c.pop("weights_sha256")),
    Case(RULE, "not a number", lambda folder: (folder / RULE_FILE).write_text("[at_most]\na = nan\n")),
    Case(RULE, "true", lambda folder: (folder / RULE_FILE).write_text("[at_most]\na = true\n")),
)
