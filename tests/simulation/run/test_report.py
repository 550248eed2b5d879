"""The closing table of a run, on terminals of several widths."""

import io
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from client_model.metrics.table import metric_table
from client_model.tflite.export_tflite import Export
from server_strategy.config import CohortConfig
from server_strategy.privacy.config import PrivacyConfig
from server_strategy.privacy.planning import make_privacy_plan
from server_strategy.privacy.statement_noise import REPEATABLE
from simulation.run.central import CentralTrained
from simulation.run.report import _consent_rows, plan_lines, print_closing_table
from tests.simulation.run.test_records import SUMMARY

FOLDER = Path("runs") / "2026-11-29-135910"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def printed(monkeypatch, columns=80, summary=SUMMARY, central=None, noise_source="secret"):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    privacy = PrivacyConfig(mechanism="gaussian", noise_multiplier=1.0, noise_source=noise_source)
    print_closing_table(
        stream,
        summary,
        plan=make_privacy_plan(CohortConfig(goal=5), privacy, rounds=3, num_phones=40),
        metrics=metric_table(),
        export=Export([]),
        central=central,
        folder=FOLDER,
        page=["none"],
    )
    return re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())  # without bold


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_beside_counting_stands_what_measures_training_in_one_place(columns, monkeypatch):
    lines = printed(monkeypatch, columns).splitlines()
    (row,) = [number for number, line in enumerate(lines) if line.startswith("   trained in one place")]
    counting = next(number for number, line in enumerate(lines) if line.startswith("   by counting"))
    between = [line for line in lines[counting + 1 : row] if line[3:4].strip()]
    assert not between and "not measured; to do so:" in lines[row]
    command = next(line for line in lines[row:] if "scripts/compare_central.py" in line)
    assert command.rstrip().endswith(f"scripts/compare_central.py {FOLDER}")
    assert all(len(line) <= columns for line in lines if not any(name in line for name in ("scripts/", str(FOLDER))))


@pytest.mark.parametrize("columns", [60, 80])
def test_below_epsilon_stands_whether_the_noise_can_be_repeated(columns, monkeypatch):
    said = " ".join(printed(monkeypatch, columns, noise_source="seeded").split())
    assert f"of this run {REPEATABLE} rounds" in said
    assert REPEATABLE not in " ".join(printed(monkeypatch, columns).split())


def test_beside_counting_stands_what_training_in_one_place_reached(monkeypatch):
    reached = 2 * SUMMARY.held_out["top1_recall"]
    text = printed(monkeypatch, central=CentralTrained(2, 1.0, {"top1_recall": reached}))
    told = f"   trained in one place {100 * reached:.2f} % (2 epochs); the run reached 0.500 of it"
    assert told.strip() in " ".join(text.split())
    assert "compare_central" not in text


def test_a_value_that_says_nothing_is_a_word_and_one_that_is_missing_says_why(monkeypatch):
    held_out = {**SUMMARY.held_out, "perplexity": 1e304, "impression_recall": None}
    text = " ".join(printed(monkeypatch, summary=replace(SUMMARY, held_out=held_out)).split())
    assert "perplexity diverged: 1,000,000 or more, where guessing evenly" in text and "e+" not in text
    assert "impression recall - (nothing to count, or no finite number)" in text
    nothing = printed(monkeypatch, summary=replace(SUMMARY, held_out=metric_table().nothing()))
    assert "nothing to count" not in nothing


def test_the_plan_has_epsilon_to_as_many_places_as_the_table(monkeypatch):
    plan = make_privacy_plan(CohortConfig(goal=5), PrivacyConfig(noise_multiplier=1.0), rounds=3, num_phones=40)
    for said in (plan_lines(plan, 10, None), printed(monkeypatch)):
        assert re.search(r"epsilon \d+\.\d\d at", said)


def test_the_time_is_said_to_be_that_of_the_rounds(monkeypatch):
    (line,) = (line for line in printed(monkeypatch, 120).splitlines() if line.startswith(" time "))
    assert f"in {SUMMARY.wall_seconds:.0f} s of rounds" in line


def test_consent_says_whose_it_is():
    consent = {"train_share_at_start": 0.894, "train_share": 0.5, "updates_withdrawn": 1}
    ((_, (said,)),) = _consent_rows(SimpleNamespace(consent=consent))
    assert "of the owners of phones with memory enough agreed to training at first" in said and "of them" not in said
    assert _consent_rows(SimpleNamespace(consent=None)) == []
