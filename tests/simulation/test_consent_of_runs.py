"""A whole run keeps to the consents in a file: who is invited, who is measured, and what is told of whom."""

import json
import shutil

import numpy as np
import pytest

from client_model.text.population import phone_labels
from client_model.text.synthetic_text import SyntheticPopulation
from server_strategy.privacy.ledger_lines import decode_labels
from simulation.run.checkpoint import load_newest_checkpoint, newest_about
from simulation.run.held_out_phones import read_phone_counts
from simulation.studies.comparing.reading import read_run
from tests.simulation.conftest import TINY
from typefleet.errors import ConfigError

PHONES, LEFT_S = 300, 150.0
NUMBER = np.arange(PHONES)
NEVER, LEAVES, TELLS, MEASURED = NUMBER % 3 == 0, NUMBER % 3 == 1, NUMBER % 2 == 0, NUMBER % 4 < 3


def statements():
    yield from (f"#{n},train,0,given" for n in NUMBER[~NEVER])
    yield from (f"#{n},train,{LEFT_S},withdrawn" for n in NUMBER[LEAVES])
    yield from (f"#{n},telemetry,-1,given" for n in NUMBER[TELLS])
    yield from (f"#{n},evaluate,0,given" for n in NUMBER[MEASURED])


@pytest.fixture
def run(tmp_path, simulate):
    path = tmp_path / "said.csv"
    path.write_text("\n".join(["phone,purpose,time_s,consent", *statements()]) + "\n")
    flags = ("--rounds", 5, "--evaluation.max-phones", 30, "--consent.path", path, "--output-dir", tmp_path / "run")
    small = ("--model.embedding-size", 8, "--model.units", 8, "--data.vocabulary-phones", 30)
    slow = ("--fleet.train-s-per-token-median", 0.1, "--cohort.min-separation-rounds", 1)
    simulate(*TINY, *small, *slow, *flags, "--engine.no-export", "--tracking.trackers")
    return tmp_path / "run"


def test_a_run_keeps_to_a_file_of_consents(run, simulate):
    salt = newest_about(run / "checkpoints")["salt"]
    labels = phone_labels(salt, SyntheticPopulation(0, PHONES).digests())
    number_of = {int(label, 16): number for number, label in enumerate(labels)}
    closed_s = {line["round"]: line["closed_s"] for line in map(json.loads, (run / "rounds.jsonl").open())}
    ledger = map(json.loads, (run / "privacy_ledger.jsonl").open())
    releases = {line["round"]: decode_labels(line["participants"]) for line in ledger if "participants" in line}
    assert min(closed_s.values()) < LEFT_S < max(closed_s.values())
    for number, participants in releases.items():
        took_part = np.array([number_of[label] for label in participants.tolist()])
        assert not NEVER[took_part].any()
        assert closed_s[number] < LEFT_S or not LEAVES[took_part].any()

    state = load_newest_checkpoint(run / "checkpoints")[0].state
    counts, tokens = state["strategy"]["participation"]["counts"], state["tokens_by_phone"]
    assert counts.sum() == sum(map(len, releases.values()))  # all of them, for the account
    assert not tokens[~TELLS].any() and tokens[TELLS & (counts > 0)].all() and counts[~TELLS].any()

    measured = read_phone_counts(run / "held_out.parquet").phones
    assert len(measured) and MEASURED[measured].all() and TELLS[measured].all()
    recalls = json.loads((run / "participation.json").read_text())["consent"]["recall"]
    assert sum(row["measured"] for row in recalls) > len(measured)  # the others count in what is measured
    assert "lacks owners who do not agree to telemetry" in (run / "report.html").read_text()
    assert read_run(run).why_no_held_out == "held_out.parquet lacks owners who do not agree to telemetry"

    consent = json.loads((run / "participation.json").read_text())["consent"]
    page = (run / "report.html").read_text()
    assert "Who agreed, and who left" in page and "said.csv: " in page
    train = consent["purposes"][0]
    assert train["given"] + train["withdrawn"] + train["never_given"] == train["phones"] and train["withdrawn"] > 50
    assert json.loads((run / "summary.json").read_text())["consent"]["train_share"] == train["given"] / train["phones"]

    stated = json.loads((run / "privacy.json").read_text())["handling"]
    assert f"{100 * train['given'] / train['phones']:.1f} % when this was written" in stated["consent"]
    assert "was not encrypted" in stated["at_rest"]
    told = " ".join((run / "privacy.md").read_text().split())
    shown = page.replace("\N{NO-BREAK SPACE}", " ")
    assert all(one in told and one.replace("'", "&#39;") in shown for one in stated.values())

    said = run.parent / "said.csv"
    said.write_text(said.read_text() + "#0,train,0,given\n")
    shutil.copytree(run, run.parent / "again")
    with pytest.raises(
        ConfigError, match=r"--resume: expected the settings, the text and the trace that .* began with"
    ):
        simulate("--resume", run.parent / "again")
