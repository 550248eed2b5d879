import json
import shutil
import sys

import numpy as np
import pytest
from rich.console import Console

from client_model.learning.language_model import flatten, weights_sha256
from server_strategy.privacy.ledger import PrivacyLedger, encode_labels, recompute
from server_strategy.privacy.ledger_lines import LedgerError
from server_strategy.privacy.statement import StatementFacts
from simulation.files import write_npz_atomically
from simulation.run.statement_pages import statement_pages
from simulation.studies.privacy_check import check_statement
from simulation.studies.privacy_evidence import gather
from tests.server_strategy.privacy.test_ledger import ROUNDS, plan, play
from typefleet.errors import ConfigError

WEIGHTS = {"second": np.arange(6, dtype=np.float32).reshape(2, 3), "first": np.ones(2, np.float32)}


def check(folder):
    return check_statement(folder, sys.stdout, sys.stderr)


def said_by(capsys):
    """What was printed, as one line: where it breaks depends on the terminal."""
    return " ".join(capsys.readouterr().out.split())


def write_run(folder, **changes):
    own = plan(min_separation_rounds=2)
    spent = play(PrivacyLedger(own, folder / "privacy_ledger.jsonl"), own, ROUNDS)
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


def test_a_published_folder_is_said_to_have_no_ledger(tmp_path):
    write_run(tmp_path)
    (tmp_path / "privacy_ledger.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"ledger\.jsonl: expected .*, found none: a published folder has no"):
        check(tmp_path)
    (tmp_path / "config.toml").touch()  # of a run it is missing
    with pytest.raises(LedgerError, match="no such file"):
        check(tmp_path)


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
    assert check(tmp_path) and f"sha256 {digest[:16]}... of the numbers" in capsys.readouterr().out
    path = tmp_path / "model" / "weights.npz"
    write_npz_atomically(path, {**WEIGHTS, "first": np.zeros(2, np.float32)})
    assert not check(tmp_path)
    said = capsys.readouterr()
    assert "model/weights.npz: privacy.json is of other weights" in said.err and "agrees" not in said.out
    path.write_bytes(b"not an archive")
    with pytest.raises(ConfigError, match=r"weights\.npz: expected the weights of a finished run, found a damaged"):
        check(tmp_path)


def test_weights_that_are_not_there_or_not_named_are_said_and_no_disagreement(tmp_path, capsys):
    write_run(tmp_path)
    (tmp_path / "model" / "weights.npz").unlink()
    assert check(tmp_path) and "model/weights.npz is not there, so no weights were" in capsys.readouterr().out
    claim = json.loads((tmp_path / "privacy.json").read_text())
    del claim["weights_sha256"]
    (tmp_path / "privacy.json").write_text(json.dumps(claim))
    assert check(tmp_path) and "names no weights" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["config.toml", "summary.json", "participation.json", "privacy_head.json", "noise_secret", "model"]
)
@pytest.mark.parametrize(("leads_to", "why"), [(None, "too many levels"), ("nowhere", "no such file")])
def test_a_link_that_leads_nowhere_is_unreadable_and_not_absent(name, leads_to, why, tmp_path):
    write_run(tmp_path)
    path = tmp_path / name
    if name == "model":
        shutil.rmtree(path)
    path.symlink_to(leads_to or name)  # to itself: a loop
    with pytest.raises(ConfigError, match=rf"{name}: expected a file that can be read, found {why}"):
        check(tmp_path)


def test_a_ledger_of_before_is_said_to_bind_nothing(tmp_path, capsys):
    write_run(tmp_path)
    assert check(tmp_path) and "7 lines bind no sum and no weights" in capsys.readouterr().out
    check_statement(tmp_path, sys.stdout, sys.stderr, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["of_an_earlier_version"] is True and said["bound_to_weights"] is False and said["agrees"] is True


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epsilon_is_of", "these files, 20,000 reports per round"),
        ("unit", "all phones of all people together"),
        ("trust_model", "local: nobody is trusted"),
        ("adjacency", "any change of any number of phones"),
        ("statement", "(0.01, 1e-12)-differential privacy"),
        ("amplification_by_sampling", "none needed"),
        ("not_guaranteed", "nothing is lacking"),
        ("caveats", []),
        ("outside_the_budget", []),
        ("certified", "by nobody"),
    ],
)
def test_a_statement_of_before_is_held_to_the_words_that_never_changed(key, value, tmp_path, capsys):
    write_run(tmp_path)
    path = tmp_path / "privacy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert not check(tmp_path) and f"privacy.json: {key}: " in capsys.readouterr().err


def test_the_words_of_before_that_changed_are_not_recomputed_and_the_last_line_says_so(tmp_path, capsys):
    write_run(tmp_path)
    path = tmp_path / "privacy.json"
    formerly = "central: the server sees each round's sum of clipped updates, adds the noise, and is trusted to"
    words = {"caveats": ["Other words."], "outside_the_budget": ["Others."], "trust_model": formerly}
    path.write_text(json.dumps({**json.loads(path.read_text()), **words, "statement": _headline(tmp_path)}))
    (tmp_path / "privacy.md").write_text(f"**{_headline(tmp_path)}.**\nshare freely\n")
    assert check(tmp_path)
    unknown, _, held = capsys.readouterr().out.partition("\nrecomputed\n")
    assert all(name in unknown for name in (*words, "privacy.md")) and "privacy.md" not in held
    verdict, last = held.splitlines()[-2:]
    assert verdict.startswith("privacy.json agrees, of an earlier version: ") and verdict.endswith("cannot be checked")
    assert last.startswith("It is not bound to weights")


def _headline(folder):
    """What the ledger comes to, in the words that have not changed."""
    found = gather(folder)
    facts = StatementFacts("", (), "", "", "", "")
    return statement_pages(found.plan, found.spent, facts)[0]["statement"]


def test_no_line_is_wider_than_the_terminal(tmp_path, capsys, monkeypatch):
    write_run(tmp_path)
    monkeypatch.setattr("simulation.studies.privacy_check.console_for", lambda stream: Console(width=80))
    assert check(tmp_path) and max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_run_that_goes_on_is_compared_with_what_its_statement_counts(tmp_path, capsys):
    """Its ledger is ahead by a line that was written before a crash; once it has ended that is a disagreement."""
    write_run(tmp_path)
    (tmp_path / "model" / "weights.npz").unlink()
    claim = json.loads((tmp_path / "privacy.json").read_text())
    claim["spent"] = recompute(tmp_path / "privacy_ledger.jsonl", 6)
    (tmp_path / "privacy.json").write_text(json.dumps(claim))
    assert check(tmp_path) and "the run has not ended, and its ledger is ahead by 1" in said_by(capsys)
    (tmp_path / "privacy_head.json").write_text("{}")  # any of the files of a run's end, the private one not alone
    assert not check(tmp_path) and "privacy.json counts 6 of the 7 releases" in capsys.readouterr().err
