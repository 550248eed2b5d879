"""Every message of an error has one form: `WHERE: expected X, found Y`."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tests.syntax_trees import nodes_of_file

PACKAGES = ("typefleet", "client_model", "server_strategy", "simulation", "benchmarks", "scripts")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).glob("**/*.py"))]
FORM = re.compile(r"^\S.*: expected .+, found .+$", re.DOTALL)
BUILT_IN = {"ValueError", "RuntimeError", "TypeError", "OSError", "TimeoutError", "NotImplementedError"}

# Messages of another form, and why.
EXCEPTIONS = {"an address that is neither auto nor HOST:PORT": "start_failed says what was expected"}


@cache
def makers() -> set[str]:
    """Names of the functions that return a message in the form and nothing else."""
    functions = [n for path in MODULES for n in nodes_of_file(path) if isinstance(n, ast.FunctionDef)]
    returned = {f.name: [n.value for n in ast.walk(f) if isinstance(n, ast.Return)] for f in functions}
    found = {"expected"}
    while (
        more := {name for name, values in returned.items() if values and all(makes(v, found) for v in values)} - found
    ):
        found |= more
    return found


def makes(value: ast.expr | None, known: set[str]) -> bool:
    if isinstance(value, ast.BinOp):  # and a hint
        return makes(value.left, known)
    return isinstance(value, ast.Call) and called(value) in known


def called(node: ast.Call) -> str:
    return last_name(node.func)


def last_name(value: ast.expr) -> str:
    if isinstance(value, ast.Attribute):
        return value.attr
    return value.id if isinstance(value, ast.Name) else ast.unparse(value).split(".")[-1]


class Made(NamedTuple):
    """One place where an error is made."""

    path: Path
    line: int
    kind: str
    message: ast.expr | None
    re_raised: bool  # `raise ... from error`

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


@cache
def error_classes() -> set[str]:
    """Names of TypefleetError and all that descends from it, wherever it is defined."""
    bases = {
        node.name: set(map(last_name, node.bases))
        for path in MODULES
        for node in nodes_of_file(path)
        if isinstance(node, ast.ClassDef)
    }
    found = {"TypefleetError"}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return found


@cache
def errors_made(path: Path) -> tuple[Made, ...]:
    """Those of a module; read when they are asked for, since to read all modules takes seconds."""
    return tuple(_errors_made(path))


def _errors_made(path: Path) -> Iterator[Made]:
    nodes = nodes_of_file(path)
    raised = {id(node.exc): node for node in nodes if isinstance(node, ast.Raise)}
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        kind = called(node)
        statement = raised.get(id(node))
        # Ours wherever they are made, since some are kept for later; Python's where they are raised.
        if kind in error_classes() or (kind in BUILT_IN and statement is not None):
            again = statement is not None and statement.cause is not None
            yield Made(path, node.lineno, kind, node.args[-1] if node.args else None, again)


def template(message: ast.expr | None) -> str:
    """The text of a message, with {} for what is filled in."""
    if isinstance(message, ast.Constant):
        return str(message.value)
    if isinstance(message, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else template_of_value(part) for part in message.values
        )
    if isinstance(message, ast.BinOp):
        return template(message.left) + template(message.right)
    if isinstance(message, ast.Call):
        return "{}: expected {}, found {}" if called(message) in makers() else "{}"
    return "{}"


def template_of_value(part: ast.expr) -> str:
    return template(part.value) if isinstance(part, ast.FormattedValue) else "{}"


def has_the_form(made: Made) -> bool:
    text = template(made.message)
    if made.re_raised and re.fullmatch(r"((\S.*: )?|--(\w+\.)?)\{\}(; .+)?", text):
        return True  # another error's message, said of a place, and perhaps what to do about it
    return FORM.match(text) is not None


def test_there_are_errors_to_check_and_every_exception_is_still_there():
    made = [one for path in MODULES for one in errors_made(path)]
    assert len(made) > 100 and {"ConfigError", "DataError", "LedgerError", "EngineError"} <= {m.kind for m in made}
    assert set(EXCEPTIONS) <= {template(one.message) for one in made}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_message_says_where_what_was_expected_and_what_was_found(path):
    said = [(one, template(one.message)) for one in errors_made(path)]
    wrong = [f"{one}: {text}" for one, text in said if text not in EXCEPTIONS and not has_the_form(one)]
    assert not wrong, "\n".join(wrong)
