"""The lines of a privacy account: their form, the chain that holds them together, and reading them back.

The first line names the population. Every further one is a step of a run:

    opened     the most that it can spend, put down before it releases anything
    reserved   the same, of a run that says by lines of its own what it may have released so far: nothing yet
    drawn      its words and nothing else, with what they cost
    begun      anything
    freed      that a reserved run never came to its words, and so cost nothing
    reopened   the same, for a run that was closed or can now spend more
    settled    what it did spend, when it ended
    abandoned  what it did spend, of a run that nobody will go on with: it is closed for good
    earlier    what weights cost that a run starts from and that are of no run of the account

A line is taken only with exactly the fields that it has (one that earlier versions had not may be absent), each of its
kind, and with the hash of the line before it. The file is replaced as a whole, so that a crash leaves the old lines or
the new: a half of one is damage, and is refused.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from typefleet.chained_log import chained
from typefleet.errors import InputError, expected
from typefleet.untrusted.own_json import json_kind, parse_json, read_lines

OPENED, REOPENED, SETTLED, ABANDONED, EARLIER = "opened", "reopened", "settled", "abandoned", "earlier"
RESERVED, DRAWN, BEGUN, FREED = "reserved", "drawn", "begun", "freed"
_POPULATION = "population"
_NUMBER = (int, float)
_MAYBE_NUMBER = (int, float, type(None))
# What lines have, and of which types.
_CHAIN = {"line": (int,), "kind": (str,), "date": (str,), "previous": (str,), "hash": (str,)}
_COST = {"run": (str,), "zcdp_rho": _MAYBE_NUMBER, "own_delta": _NUMBER}
_TERMS = {"delta": _MAYBE_NUMBER, "deployment": (str,), "adjacency": (str,)}
_FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    _POPULATION: {"population": (str,), "salt": (str,), "about": (str,)},
    OPENED: {**_COST, **_TERMS, "name": (str,), "phones": (int,), "total_epsilon": _MAYBE_NUMBER},
    RESERVED: {
        **_COST,
        **_TERMS,
        "name": (str,),
        "phones": (int,),
        "total_epsilon": _MAYBE_NUMBER,
        "zcdp_rho": _NUMBER,
        "place": (str,),  # the digest of its folder
    },
    DRAWN: {"run": (str,), "zcdp_rho": _NUMBER, "own_delta": _NUMBER},
    BEGUN: {"run": (str,)},
    FREED: {"run": (str,)},
    REOPENED: {**_COST, "total_epsilon": _MAYBE_NUMBER},
    SETTLED: {**_COST, "releases": (int,)},
    ABANDONED: {**_COST, "releases": (int,)},
    EARLIER: {**_COST, **_TERMS, "name": (str,)},
}
# The digest of the very folder of a run, which is there when these are written; earlier versions wrote none.
_WITH_FOLDER, _FOLDER = (OPENED, BEGUN), {"folder": (str,)}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LARGEST = 1e300


class AccountError(InputError):
    """An account that was changed, is of another population, or has too little left."""


def first_line(population: str, about: str, date: str, salt: str) -> dict[str, Any]:
    """The line with which an account begins.

    Args:
        population: the digest of the text.
        about: whose text it is, for people.
        date: YYYY-MM-DD.
        salt: a secret of the account. Statements name hashes of its lines, and whoever has all of a text but one
            person's could otherwise try out what the digest is of.
    """
    of_it = salted(population, salt)
    body = {"line": 1, "kind": _POPULATION, "population": of_it, "salt": salt, "about": about, "date": date}
    return chained(body, "")


def salted(population: str, salt: str) -> str:
    """The digest of a population as an account has it."""
    return hashlib.sha256(f"{salt} {population}".encode()).hexdigest()


def next_line(entries: list[dict[str, Any]], kind: str, date: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The line that follows some others.

    Args:
        entries: the lines before it, at least one.
        kind: of the step.
        date: YYYY-MM-DD.
        fields: of such a line.
    """
    body = {"line": len(entries) + 1, "kind": kind, "date": date, **fields}
    return chained(body, entries[-1]["hash"])


def to_text(entries: list[dict[str, Any]]) -> str:
    """The content of an account's file."""
    return "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in entries)


def read_account_lines(path: Path) -> list[dict[str, Any]]:
    """All lines of an account, each held to its form and to the one before it.

    Raises:
        AccountError: the file cannot be read, is another one, or was edited or cut off; says in which line.
    """
    entries: list[dict[str, Any]] = []
    for number, content, is_whole in read_lines(path, "a privacy account", AccountError):
        where = f"{path}:{number}"
        if not is_whole:
            raise AccountError(expected(where, "a whole line of an account", "a part of one"))
        entry = _entry(parse_json(content, where, "a line of an account", AccountError), where, is_first=not entries)
        body = {name: value for name, value in entry.items() if name not in ("previous", "hash")}
        previous = entries[-1]["hash"] if entries else ""
        if entry != chained(body, previous) or entry["line"] != number:
            raise AccountError(expected(where, "an unbroken chain", "an edited or missing line"))
        entries.append(entry)
    if not entries:
        raise AccountError(expected(f"{path}:1", "the population of an account", "an empty file"))
    return entries


def _entry(found: Any, where: str, is_first: bool) -> dict[str, Any]:
    """A line with all that such a line has, and nothing else, each of its type."""
    what = "the population of an account" if is_first else "a line of an account"
    if not isinstance(found, dict):
        raise AccountError(expected(where, what, json_kind(found)))
    kind = found.get("kind")
    if not isinstance(kind, str) or kind not in _FIELDS or is_first != (kind == _POPULATION):
        raise AccountError(expected(where, what, "another kind of line"))
    types = _CHAIN | _FIELDS[kind]
    if kind in _WITH_FOLDER and "folder" in found:
        types = types | _FOLDER
    if absent := next((name for name in types if name not in found), None):
        raise AccountError(expected(where, what, f"no {absent}"))
    if found.keys() != types.keys():
        raise AccountError(expected(where, what, "something that none has"))
    for name, allowed in types.items():
        value = found[name]
        if type(value) not in allowed:
            raise AccountError(expected(where, what, f"{name} of another kind"))
        if isinstance(value, int | float) and not 0 <= value <= _LARGEST:
            raise AccountError(expected(where, what, f"{name} out of its bounds"))
    if not _DATE.fullmatch(found["date"]):
        raise AccountError(expected(where, what, "date of another kind"))
    return found
