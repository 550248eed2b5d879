"""What is noted of a module is what the tracer of coverage sees of it."""

import importlib.util
import sys

import coverage
import pytest
from coverage.python import PythonParser

from tests.reached_lines import marked

SOURCE = '''"""A docstring."""
from __future__ import annotations
import functools
from typing import Protocol

@functools.lru_cache
@functools.wraps(
    len
)
def decorated(a, *b):
    """A docstring."""
    try:
        if a == 1:
            return 1
        elif a == 2:
            raise KeyError
        else:
            b = [
                i
                for i in range(3)
            ]
    except ValueError:
        pass
    except (TypeError,
            KeyError):
        return 2
    finally:
        a
    return 3

class Documented:
    """A docstring."""
    y: int = 3
    """Of y."""

    def one_line(self): return 4

    class Within(Protocol):
        def left_open(self): ...

def matched(v):
    match v:
        case 1:
            return "one"
        case [
            a, b
        ] if a:
            return "two"
        case _:
            return "another"

def looped(global_=0):
    global n
    n = 0
    while n < 2:
        n += 1
    else:
        n = 9
    with open("/dev/null") as h, \\
         open("/dev/null") as k:
        pass
    for q in (1, 2):
        if q: continue
        n = 1
    lambda: (
        n
    )
    del n
    assert h, (
        "closed"
    )

async def never():
    """A docstring alone."""

def generated():
    yield from (
        1, 2
    )
    "a string"
    return
'''
CALLS = ("decorated(2)", "decorated(3)", "matched([1, 2])", "matched(3)", "Documented().one_line()", "looped()", "0")


@pytest.mark.parametrize("call", [*CALLS, "list(generated())"])
def test_the_lines_are_those_of_the_tracer(call, tmp_path, monkeypatch):
    path = tmp_path / "an_example.py"
    path.write_text(SOURCE)
    reached = [0] * (SOURCE.count("\n") + 2)
    space = {"__reached__": reached, "__name__": "an_example"}
    exec(marked(SOURCE.encode(), str(path)), space)
    eval(call, space)

    tracer = coverage.Coverage(data_file=None, include=[str(path)], config_file=False)
    spec = importlib.util.spec_from_file_location("an_example", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with tracer.collect():
        spec.loader.exec_module(module)
        eval(call, vars(module))
    _, statements, _, missed, _ = tracer.analysis2(str(path))
    parser = PythonParser(text=SOURCE)
    parser.parse_source()
    found = parser.translate_lines(line for line, was in enumerate(reached) if was)
    assert set(statements) - set(found) == set(missed)
