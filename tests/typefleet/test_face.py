"""The public face: every name leads somewhere, importing it is quick, and a notebook can use it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import typefleet
from tests.conftest import ROOT
from tests.forked_processes import run_forked
from tests.waiting import PATIENCE_S


def test_every_public_name_is_there_and_typed():
    source = ast.parse(Path(typefleet.__file__).read_text(encoding="utf-8"))
    (typed,) = (node for node in source.body if isinstance(node, ast.If))
    for_checkers = {alias.name for node in ast.walk(typed) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert for_checkers == set(typefleet.__all__) == set(typefleet.__dir__())
    for name in typefleet.__all__:
        assert getattr(typefleet, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'simulat'"):
        typefleet.simulat  # noqa: B018


def test_importing_it_imports_nothing_heavy():
    heavy = ("tensorflow", "ray", "flwr", "numpy", "scipy")
    code = f"import sys, typefleet; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_notebook_runs_it_twice_and_nothing_is_left(tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "typefleet" / "notebook.py"), str(tmp_path)]
    done = run_forked(command, timeout=PATIENCE_S, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *printed, last = done.stdout.splitlines()
    found = json.loads(last)
    assert found["left"] == []
    assert found["paths"] == [str(tmp_path / "first"), str(tmp_path / "second")]
    assert found["finished"] == [True, True]
    assert found["completed"] == [[1, 2], [1, 2]]
    assert len(found["recall"]) == 2 and None not in found["recall"]
    assert found["weights"][0] != found["weights"][1]
    assert "2 rounds, recall" in found["said"]
    for folder, weights in zip(found["paths"], found["weights"], strict=True):
        assert json.loads((Path(folder) / "summary.json").read_text())["weights_sha256"] == weights
    text = "\n".join(printed)
    assert "round    2/2" in text and text.count("Typefleet ") == 1  # the second run was asked to be silent
