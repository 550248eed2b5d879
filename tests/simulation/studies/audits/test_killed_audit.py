"""An audit that dies while it is written leaves each file as it was or new, and whole; the next one completes."""

import subprocess
import sys
from dataclasses import replace

import pytest

from simulation.flags import read_config
from simulation.run.directory import RunDirectory
from simulation.studies.audits.audit import Audit, draw_figures, settings_digest, write_audit
from simulation.studies.audits.page import write_page
from tests.conftest import ROOT
from tests.simulation.studies.audits.test_attack import attack
from tests.simulation.studies.run_folders import make_run
from tests.waiting import PATIENCE_S

FILES = ("audit.json", "audit.html", "memorisation_groups.png")


def groups(bits):
    one = {"protection": "sum", "grouping": "text", "exposures": [], "before": []}
    gained = {"mean": bits, "low": bits - 1, "high": bits + 1}
    return [{**one, "group": name, "gained": gained} for name in ("little", "much")]


@pytest.mark.slow
def test_whatever_ends_it_each_file_is_whole(tmp_path):
    run = make_run(tmp_path / "run")
    weights = RunDirectory(run).read_summary().weights_sha256
    told = replace(attack(), name="memorisation-groups: text, sum", details={"remembered_of_groups": groups(3.0)})
    stale = Audit(0, False, weights, (told,), settings_digest(read_config(run / "config.toml")))
    write_audit(run, stale)
    draw_figures(run, stale)
    write_page(run, stale)
    (run / FILES[2]).write_bytes(b"\x89PNG of an earlier picture")
    module = "tests.simulation.studies.audits.killed_audit"
    done = subprocess.run(
        [sys.executable, "-m", module, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )
    lives = [line.split() for line in done.stdout.splitlines()]
    assert lives, done.stderr
    old, new = ({name: (folder / name).read_bytes() for name in FILES} for folder in (run, tmp_path / "whole-0"))
    assert all(old[name] != new[name] for name in FILES)
    kept = {path.name for path in (tmp_path / "whole-0").iterdir()}
    seen = {}
    for way, point, code in lives:
        folder = tmp_path / f"{way}-{point}"
        found = {name: (folder / name).read_bytes() for name in FILES}
        assert all(found[name] in (old[name], new[name]) for name in FILES), (way, point)
        drafts = {path.name for path in folder.iterdir()} - kept
        assert way == "killed" or not drafts, (way, point)
        seen[way, int(point)] = int(code), [found[name] == new[name] for name in FILES], len(drafts)
    json_alone = [True, False, False]
    assert seen == {
        ("whole", 0): (0, [True] * 3, 0),
        ("killed", 2): (-9, [False] * 3, 1),
        ("killed", 9): (-9, json_alone, 1),
        ("killed", 15): (-9, [True, False, True], 1),
        ("stopped", 9): (130, json_alone, 0),
        ("full", 5000): (2, json_alone, 0),
        ("again", 0): (0, [True] * 3, 0),
    }
