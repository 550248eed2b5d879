"""The public face has every class that its own members ask for, hold or give."""

import ast
import inspect
import sys
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import Any

import pytest

import typefleet
from server_strategy.dp_fedavg import DPFedAvg

OURS = ("client_model", "server_strategy", "simulation", "typefleet")
FACE = {name: getattr(typefleet, name) for name in typefleet.__all__}
CLASSES = {thing for thing in FACE.values() if isinstance(thing, type)}
SAID_INTERNAL = {"DPFedAvg.aggregator"}  # a parameter, which has no docstring of its own


@cache
def names_of(module: str) -> dict[str, Any]:
    """What a module's hints may name: what it imports for type checkers alone among it."""
    names: dict[str, Any] = {}
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found = import_module(node.module)
            names |= {alias.asname or alias.name: getattr(found, alias.name, None) for alias in node.names}
    return names | vars(sys.modules[module])


def classes_in(hint: Any) -> Iterator[type]:
    """Every class of ours that a hint has anywhere in it."""
    if isinstance(hint, list | tuple):
        parts = hint
    else:
        parts = typing.get_args(hint)
        if isinstance(hint, type) and hint.__module__.split(".")[0] in OURS:
            yield hint
    for part in parts:
        yield from classes_in(part)


def hints_of(thing: Any) -> dict[str, Any]:
    return typing.get_type_hints(thing, names_of(thing.__module__))


def signatures(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """(where, hint) of a public function, or of the fields, constructor and public methods of a class."""
    if inspect.isfunction(thing):
        yield from ((f"{name}.{part}", hint) for part, hint in hints_of(thing).items())
    for kind in thing.__mro__ if isinstance(thing, type) else ():
        if kind.__module__.split(".")[0] not in OURS:
            continue
        if is_dataclass(kind) or hasattr(kind, "_fields"):
            yield from ((f"{name}.{field}", hint) for field, hint in hints_of(kind).items())
        for member, value in vars(kind).items():
            value = getattr(value, "fget", None) or getattr(value, "__func__", value)
            value = value.func if isinstance(value, cached_property) else value
            is_ours = inspect.isfunction(value) and value.__module__ == kind.__module__
            if not is_ours or (member.startswith("_") and member != "__init__") or is_internal(value):
                continue
            own = name if member == "__init__" else f"{name}.{member}"
            yield from ((f"{own}.{part}", hint) for part, hint in hints_of(value).items())


def is_internal(member: Any) -> bool:
    return "internal, its " in (inspect.getdoc(member) or "")


@pytest.mark.parametrize("name", FACE)
def test_what_a_public_name_needs_is_public(name):
    needed = {where: found for where, hint in signatures(name, FACE[name]) for found in classes_in(hint)}
    lacking = {where: found.__qualname__ for where, found in needed.items() if found not in CLASSES}
    assert {where: found for where, found in lacking.items() if where not in SAID_INTERNAL} == {}


def test_hints_are_read_through():
    needed = dict(signatures("DPFedAvg", DPFedAvg))
    assert {found.__name__ for found in classes_in(needed["DPFedAvg.plan"])} == {"PrivacyPlan"}
    assert {found.__name__ for found in classes_in(needed["DPFedAvg.before_each_release.permit"])} == {"PrivacySpent"}
    assert "DPFedAvg.aggregator" in needed and "DPFedAvg.ledger.return" not in needed
    assert "Internal: its form" in (inspect.getdoc(DPFedAvg) or "")
