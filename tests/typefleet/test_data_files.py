"""Code that Flower carried to a machine finds the files that do not travel with it, in what is installed there."""

import os
import shutil
import subprocess
import sys

import pytest

import client_model.public_start
from client_model.public_start import FOLDER
from tests.conftest import ROOT
from typefleet.data_files import data_folder

TRAVELS = (".py", ".toml", ".md")


def test_files_beside_the_code_come_first():
    assert FOLDER == ROOT / "client_model" / "public_start"
    found = data_folder("client_model.public_start", client_model.public_start.__file__, "no such file")
    assert found == FOLDER  # where whoever opens it says what is missing


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """A copy of the code as Flower bundles it."""
    root = tmp_path_factory.mktemp("app") / "typefleet"
    for package in ("typefleet", "client_model", "server_strategy", "simulation"):
        for path in (ROOT / package).rglob("*"):
            if path.suffix in TRAVELS:
                copy = root / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    return root


BY_PATH = f"import sys; sys.path.append({str(ROOT)!r})\n"
BY_A_HOOK = f"""
import sys
from importlib.util import spec_from_file_location
class Hook:
    @staticmethod
    def find_spec(name, path=None, target=None):
        place = {str(ROOT)!r} + "/" + name
        if name in ("client_model", "simulation"):
            return spec_from_file_location(name, place + "/__init__.py", submodule_search_locations=[place])
sys.meta_path.append(Hook)
"""
SHOW = """
import client_model.public_start as start, simulation.studies.pages as pages
print(start.__file__, start.FOLDER, pages._TEMPLATES)
"""


@pytest.mark.parametrize("installed", [BY_PATH, BY_A_HOOK], ids=["by path", "by a hook"])
def test_code_without_its_files_takes_those_of_the_installed_package(carried, installed):
    """Both ways of an installation: a folder of packages, and the hook of an editable one."""
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    done = subprocess.run(
        [sys.executable, "-S", "-c", installed + SHOW],  # -S: nothing of ours is installed but what the line says
        cwd=carried,  # first on the path, where Flower puts the app
        env={"PYTHONPATH": os.pathsep.join(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    code, folder, templates = done.stdout.split()
    assert code.startswith(str(carried))
    assert folder == str(FOLDER) and templates == str(ROOT / "simulation" / "studies" / "templates")
