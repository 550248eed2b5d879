"""scripts/audit.py on a run that the engine made."""

import json

import pytest

from simulation.studies.audits.audit import read_audit
from tests.simulation.conftest import TINY


@pytest.mark.slow
def test_a_run_is_attacked_and_held_to_its_own_claim(script_here, straight, tmp_path):
    folder, _ = straight
    assert TINY[:2] == ("--rounds", 3)
    done = script_here("audit.py", folder, "--attacks", "canaries", "--quick", "--output-dir", tmp_path)
    claimed = json.loads((folder / "summary.json").read_text())["epsilon"]
    found = {one.name: one for one in read_audit(tmp_path).attacks}
    every = found["canaries: all releases"]
    assert done.returncode == 0 and every.bound == claimed and every.value is None and "too few" in every.why
