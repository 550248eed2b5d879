"""What is installed is pinned, with hashes, and is what pyproject.toml asks for."""

import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

FOLDER = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ASKED = {
    "run.txt": [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]],
    "test.txt": PROJECT["project"]["optional-dependencies"]["test"],
    "docs.txt": PROJECT["project"]["optional-dependencies"]["docs"],
}


def pins(name):
    """(version, hashes) by package, of a file and of those that it names."""
    found = {}
    for line in (FOLDER / name).read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.startswith("-r "):
            found |= pins(line.removeprefix("-r "))
        elif not line.startswith("#"):
            pinned, *hashes = line.split()
            package, version = pinned.split("==")
            assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes) and hashes, pinned
            found[canonicalize_name(package)] = version, hashes
    return found


@pytest.mark.parametrize("name", ASKED)
def test_every_package_that_is_asked_for_is_pinned_to_a_release_that_is_allowed(name):
    found = pins(name)
    for asked in map(Requirement, [*ASKED["run.txt"], *ASKED[name]]):
        version, hashes = found[canonicalize_name(asked.name)]
        assert asked.specifier.contains(version), asked
        assert len(hashes) == len(set(hashes))
    assert len(found) > len(ASKED["run.txt"])  # what they need in turn, too


def test_test_and_docs_can_be_installed_into_one_environment():
    test, docs = pins("test.txt"), pins("docs.txt")
    assert all(test[package] == docs[package] for package in test.keys() & docs.keys())


def test_no_registry_is_named():
    for path in FOLDER.glob("*.txt"):
        assert not re.search(r"://|index-url|find-links", path.read_text(encoding="utf-8")), path


def test_the_files_are_those_of_the_script():
    script = FOLDER / "lock.sh"
    assert set(ASKED) == {path.name for path in FOLDER.glob("*.txt")}
    assert all(f"{name.removesuffix('.txt')}" in script.read_text(encoding="utf-8") for name in ASKED)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_documented_commands_install_from_them_and_nothing_else():
    for name in ("README.md", "CONTRIBUTING.md", "Makefile", "Dockerfile"):
        text = (ROOT / name).read_text(encoding="utf-8")
        text = re.sub(r"(\\|&&)\n", r"\1 ", text).replace("\\ ", " ")
        for line in re.findall(r"^.*pip install.*--no-build-isolation.*$", text, re.MULTILINE):
            assert re.search(r"--require-hashes -r requirements/(run|test)\.txt &&.*--no-deps", line), line
    assert "--require-hashes -r requirements/test.txt" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_accepted_vulnerabilities_are_of_what_is_pinned():
    accepted = re.findall(r"^\| ([\w-]+) (\d[\d.]*) \| CVE-", (ROOT / "SECURITY.md").read_text("utf-8"), re.MULTILINE)
    assert accepted
    for package, version in accepted:
        assert pins("run.txt")[package][0] == version, f"{package}: is it still vulnerable?"
