"""The packages import one way, and scripts are thin doors."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "client_model": {"client_model"},
    "server_strategy": {"server_strategy"},
    "simulation": {"simulation", "server_strategy", "client_model"},
    "benchmarks": {"benchmarks", "simulation", "server_strategy", "client_model"},
    "scripts": {"benchmarks", "simulation", "server_strategy", "client_model"},
}
OURS = {*MAY_IMPORT, "tests"}
MODULES = [p for package in MAY_IMPORT for p in sorted((ROOT / package).glob("**/*.py"))]


def imported_packages(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            names.add("a relative import")
    return names


def test_there_are_modules_to_check():
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    assert imported_packages(path) & (OURS | {"a relative import"}) <= MAY_IMPORT[package]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_public_parts_of_flower_are_used(path):
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "flwr":
            public = ("flwr.app", "flwr.clientapp", "flwr.serverapp", "flwr.serverapp.strategy", "flwr.simulation")
            assert node.module in public


def test_tensorflow_privacy_is_imported_in_one_module():
    users = [p.name for p in MODULES if "tensorflow_privacy" in imported_packages(p)]
    assert users == ["noise.py"]
