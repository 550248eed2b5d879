import importlib.util
import json

import numpy as np
import pytest

from server_strategy.privacy.ledger import PrivacyLedger, encode_labels
from tests.conftest import ROOT
from tests.server_strategy.privacy.test_ledger import ROUNDS, plan, play
from typefleet.errors import ConfigError


@pytest.fixture(scope="module")
def check():
    """The script's `check(folder)`."""
    spec = importlib.util.spec_from_file_location("check_privacy", ROOT / "scripts" / "check_privacy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.check


def write_run(folder, **changes):
    spent = play(PrivacyLedger(plan(), folder / "privacy_ledger.jsonl"), plan(), ROUNDS)
    claim = {"spent": {**spent.__dict__, **changes}, "epsilon_is_of": "this run"}
    (folder / "privacy.json").write_text(json.dumps(claim))


def test_a_half_written_line_is_said_not_counted_and_left_there(check, tmp_path, capsys):
    write_run(tmp_path)
    assert check(tmp_path) == 0 and capsys.readouterr().err == ""
    ledger = tmp_path / "privacy_ledger.jsonl"
    with ledger.open("a") as file:
        file.write('{"participants": "' + encode_labels(np.array([7], np.uint64)))
    before = ledger.read_bytes()
    assert check(tmp_path) == 0
    said = capsys.readouterr()
    assert "privacy_ledger.jsonl:9 is half-written and not counted: a release is made only once" in said.err
    assert said.err.count("\n") == 1 and "privacy.json agrees" in said.out
    assert ledger.read_bytes() == before


@pytest.mark.parametrize("releases", [float("inf"), float("nan"), "secret", None, -1, 2.5, True, [3]])
def test_a_claim_without_a_number_of_releases_is_one_line(check, tmp_path, releases):
    write_run(tmp_path, releases=releases)
    with pytest.raises(ConfigError, match=r"privacy\.json: expected what was spent, with its number of releases, fou"):
        check(tmp_path)
