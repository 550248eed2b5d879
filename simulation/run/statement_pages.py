"""The two forms of a run's privacy statement, made from the same facts, so that a reader can make them again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from server_strategy.privacy.ledger import PrivacySpent
from server_strategy.privacy.plan import PrivacyPlan
from server_strategy.privacy.statement import StatementFacts, privacy_json, privacy_markdown
from simulation.files import write_text_atomically
from simulation.run.files_statement import WORDS, with_files
from typefleet.errors import ConfigError, expected

FACTS = "facts"
"""Key of privacy.json under which the facts stand that the run told; all else follows from ledger and settings."""
_COMMAND = "recompute"  # which names the run's folder, so that it stands in one place alone


def statement_pages(
    plan: PrivacyPlan,
    spent: PrivacySpent,
    facts: StatementFacts,
    listed: Sequence[Mapping[str, Any]] | None = None,
) -> tuple[dict[str, Any], str]:
    """(the content of privacy.json, that of privacy.md).

    Args:
        plan: on record.
        spent: so far.
        facts: of the run around the mechanism.
        listed: rows of a shorter list of files, which an earlier build made; None: all that this one knows of.
    """
    optional = ("aggregation", "audit", "forgotten", "handling")
    unsaid = {_COMMAND, *(name for name in optional if getattr(facts, name) is None)}
    told = {name: value for name, value in asdict(facts).items() if name not in unsaid}
    content = {**privacy_json(plan, spent, facts), FACTS: told}
    return with_files(content, privacy_markdown(plan, spent, facts), facts.files, facts.words, listed)


def write_pages(root: Path, content: Mapping[str, Any], page: str) -> None:
    """Replace privacy.json and privacy.md in a run's folder."""
    write_text_atomically(root / "privacy.json", json.dumps(content, indent=2) + "\n")
    write_text_atomically(root / "privacy.md", page)


def facts_from(statement: Mapping[str, Any], where: object) -> StatementFacts:
    """The facts that a statement was made of.

    Args:
        statement: the content of privacy.json, with `facts` in it.
        where: it comes from, for the error.

    Raises:
        ConfigError: these are not such facts.
    """
    stated, command = statement[FACTS], statement.get(_COMMAND)
    if isinstance(stated, dict):
        stated = {**stated, _COMMAND: command if isinstance(command, str) else ""}
    found: StatementFacts = built(StatementFacts, stated, where)
    if found.words not in WORDS:
        raise ConfigError(expected(where, "the facts of a privacy statement", "words of another origin"))
    return found


def built(hint: Any, value: Any, where: object) -> Any:
    """A value of a type out of what JSON knows: dataclasses, tuples, lists, dictionaries, plain values, or None.

    Args:
        hint: the type.
        value: as JSON has it.
        where: it was read, for the error.

    Raises:
        ConfigError: it is no such value.
    """
    if isinstance(hint, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        return built(next(kind for kind in get_args(hint) if kind is not NoneType), value, where)
    if is_dataclass(hint):
        return _dataclass(hint, value, where)
    kind = get_origin(hint) or hint
    if kind is Literal and any(type(value) is type(one) and value == one for one in get_args(hint)):
        return value
    if kind is tuple and isinstance(value, list) and ... not in get_args(hint):
        if len(value) == len(get_args(hint)):
            return tuple(built(of, one, where) for of, one in zip(get_args(hint), value, strict=True))
    elif kind in (tuple, list) and isinstance(value, list):
        of = get_args(hint)[0] if get_args(hint) else Any
        return kind(built(of, one, where) for one in value)
    if kind in (dict, Mapping) and isinstance(value, dict):
        return value
    if hint is Any or type(value) is hint or (hint is float and type(value) is int):
        return value
    raise ConfigError(expected(where, "the facts of a privacy statement", "another value"))


def _dataclass(kind: Any, value: Any, where: object) -> Any:
    hints = get_type_hints(kind)
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    if not isinstance(value, dict) or not needed <= value.keys() <= hints.keys():
        raise ConfigError(expected(where, "the facts of a privacy statement", "others"))
    return kind(**{name: built(hints[name], one, where) for name, one in value.items()})
