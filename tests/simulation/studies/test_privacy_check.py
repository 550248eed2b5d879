import json
import sys

import numpy as np
import pytest

from client_model.learning.language_model import flatten, weights_sha256
from server_strategy.privacy.ledger import PrivacyLedger, encode_labels
from simulation.files import write_npz_atomically
from simulation.studies.privacy_check import check_statement
from tests.server_strategy.privacy.test_ledger import ROUNDS, plan, play
from typefleet.errors import ConfigError

WEIGHTS = {"second": np.arange(6, dtype=np.float32).reshape(2, 3), "first": np.ones(2, np.float32)}


def check(folder):
    return check_statement(folder, sys.stdout, sys.stderr)


def write_run(folder, **changes):
    spent = play(PrivacyLedger(plan(), folder / "privacy_ledger.jsonl"), plan(), ROUNDS)
    digest = weights_sha256(flatten(list(WEIGHTS.values())))
    claim = {"spent": {**spent.__dict__, **changes}, "epsilon_is_of": "this run", "weights_sha256": digest}
    (folder / "privacy.json").write_text(json.dumps(claim))
    (folder / "model").mkdir()
    write_npz_atomically(folder / "model" / "weights.npz", WEIGHTS)
    return digest


def test_a_half_written_line_is_said_not_counted_and_left_there(tmp_path, capsys):
    write_run(tmp_path)
    assert check(tmp_path) and capsys.readouterr().err == ""
    ledger = tmp_path / "privacy_ledger.jsonl"
    with ledger.open("a") as file:
        file.write('{"participants": "' + encode_labels(np.array([7], np.uint64)))
    before = ledger.read_bytes()
    assert check(tmp_path)
    said = capsys.readouterr()
    assert "privacy_ledger.jsonl:9 is half-written and not counted: a release is made only once" in said.err
    assert said.err.count("\n") == 1 and "privacy.json agrees" in said.out
    assert ledger.read_bytes() == before


@pytest.mark.parametrize("releases", [float("inf"), float("nan"), "secret", None, -1, 2.5, True, [3]])
def test_a_claim_without_a_number_of_releases_is_one_line(tmp_path, releases):
    write_run(tmp_path, releases=releases)
    with pytest.raises(
        ConfigError,
        match=r"privacy\.json: expected (what was spent, with its number|the privacy statement of a run, fou)",
    ):
        check(tmp_path)


def test_the_hash_that_it_names_is_held_to_the_weights_on_disk(tmp_path, capsys):
    digest = write_run(tmp_path)
    assert check(tmp_path) and f"weights {digest}" in capsys.readouterr().out
    path = tmp_path / "model" / "weights.npz"
    write_npz_atomically(path, {**WEIGHTS, "first": np.zeros(2, np.float32)})
    assert not check(tmp_path)
    said = capsys.readouterr()
    assert f"privacy.json is of weights {digest[:16]}..., {path} has " in said.err and "agrees" not in said.out
    path.write_bytes(b"not an archive")
    with pytest.raises(ConfigError, match=r"weights\.npz: expected the weights of a finished run, found a damaged"):
        check(tmp_path)


def test_weights_that_are_not_there_or_not_named_are_said_and_no_disagreement(tmp_path, capsys):
    write_run(tmp_path)
    (tmp_path / "model" / "weights.npz").unlink()
    assert check(tmp_path) and "weights.npz is not there, so no weights were compared" in capsys.readouterr().err
    claim = json.loads((tmp_path / "privacy.json").read_text())
    del claim["weights_sha256"]
    (tmp_path / "privacy.json").write_text(json.dumps(claim))
    assert check(tmp_path) and "names no weights" in capsys.readouterr().err
