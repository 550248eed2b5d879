"""Coverage that costs next to nothing: our modules note their lines themselves, and nothing else is slowed down.

The tracer of coverage makes Python two to five times as slow in all that a process does, of which what is measured is a
small part: hypothesis, TensorFlow and the tests themselves take most. So our modules are compiled with a mark before
each statement, `__reached__[line] = 1`, the tracer is stopped, and what was reached is handed to coverage in the end,
whose reports, floor and merging of processes stay as they are. (From Python 3.12 on, coverage can do this itself, by
sys.monitoring.)

A line counts where the tracer would count it: a decorator and what it decorates, an `except` and a `case` that were
tried before the one that fitted.
"""

import ast
import os
import sys
from collections.abc import Generator, Iterator
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

import pytest

PACKAGES = ("typefleet", "client_model", "server_strategy", "simulation")
TOLD = "TYPEFLEET_NOTE_REACHED_LINES"  # set for the processes that run tests, which do not see the command line
_MARKS = "__reached__"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_reached: dict[str, list[int]] = {}  # for each file, 1 for each line that was reached


def _mark(line: int) -> ast.stmt:
    """`__reached__[line] = 1`, made without the parser, which would take most of the time of all."""
    at = {"lineno": line, "end_lineno": line, "col_offset": 0, "end_col_offset": 0}  # a traceback has no other line
    marks = ast.Name(_MARKS, ast.Load(), **at)
    mark = ast.Subscript(marks, ast.Constant(line, **at), ast.Store(), **at)
    return ast.Assign([mark], ast.Constant(1, **at), **at)


def _is_from_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _with_marks(statements: list[ast.stmt], documented: bool) -> Iterator[ast.stmt]:
    """The statements, each behind its mark; nothing comes before a docstring and imports from __future__."""
    lines: set[int] = set()
    for number, statement in enumerate(statements):
        if documented and number == 0:
            yield statement
            continue
        lines |= {statement.lineno, *(one.lineno for one in getattr(statement, "decorator_list", ()))}
        if not _is_from_future(statement):
            yield from map(_mark, sorted(lines))
            lines = set()
        yield statement


def marked(source: bytes, path: str) -> CodeType:
    """The code of a module that notes which of its lines are reached."""
    tree = ast.parse(source, path)
    for node in list(ast.walk(tree)):
        documented = isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, field, None), list):
                setattr(node, field, list(_with_marks(statements, documented)))
        if isinstance(node, ast.Try | ast.Match):
            tried = []
            for one in node.handlers if isinstance(node, ast.Try) else node.cases:
                tried.append(one.lineno if isinstance(one, ast.ExceptHandler) else one.pattern.lineno)
                one.body = [*map(_mark, tried), *one.body]
    return compile(tree, path, "exec", dont_inherit=True)


class _Loader(SourceFileLoader):
    """Loads a module with marks; what is compiled without them, for other processes, is neither read nor written."""

    def get_code(self, fullname: str) -> CodeType:
        return marked(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        lines = self.get_data(self.path).count(b"\n") + 2
        vars(module)[_MARKS] = _reached.setdefault(self.path, [0] * lines)
        super().exec_module(module)


class _Finder:
    """Finds our modules as they are found without it."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in PACKAGES:
            return None
        found = PathFinder.find_spec(name, path, target)
        if found is not None and type(found.loader) is SourceFileLoader:
            found.loader = _Loader(found.loader.name, found.loader.path)
        return found


def note_if_asked() -> None:
    """Note the lines of what is imported from now on, if this process or the one that started it was asked to.

    To be called before the first of our modules is imported, when pytest has not read its options yet.
    """
    asked = any(word.startswith("--cov") for word in (*sys.argv, *os.environ.get("PYTEST_ADDOPTS", "").split()))
    if asked or TOLD in os.environ:
        os.environ[TOLD] = "1"
        sys.meta_path.insert(0, _Finder)


class HandedToCoverage:
    """The tracer of coverage rests, in each process of pytest; in the end it is given the lines that were noted."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        if (controller := self._controller(session)) is not None:
            controller.pause()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            if (controller := self._controller(session)) is not None:
                found = {path: [line for line, was in enumerate(marks) if was] for path, marks in _reached.items()}
                controller.cov.get_data().add_lines({path: lines for path, lines in found.items() if lines})

    @staticmethod
    def _controller(session: pytest.Session) -> Any:
        """That of pytest-cov; None without coverage."""
        return getattr(session.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
