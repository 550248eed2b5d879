"""The table of exported files says of which messages its figures are."""

import io
import json
from pathlib import Path

import pytest

from client_model.metrics.table import metric_table
from client_model.tflite.export_checks import Agreement, DeviceCost
from client_model.tflite.export_tflite import Export, ExportedFile
from simulation.device.export_report import print_export_table
from tests.simulation.studies.run_folders import make_run

VALUES = metric_table().nothing() | {"top1_recall": 0.2192}
FILE = ExportedFile("int8", Path("keyboard.tflite"), 10, Agreement(1, 1, 7710), VALUES, DeviceCost(1, 1, None, None))


@pytest.mark.parametrize("measured", [True, False])
def test_it_says_that_the_run_was_measured_on_other_messages_and_what_it_reached(tmp_path, measured):
    folder = make_run(tmp_path / "run", evaluation={"max_sequences": 33})
    summary = json.loads((folder / "summary.json").read_text())
    own = summary["top1_recall"]
    assert f"{own:.4f}" != "0.2192"
    if not measured:
        (folder / "summary.json").write_text(json.dumps(summary | {"top1_recall": None}))
    stream = io.StringIO()
    print_export_table(stream, Export([FILE], VALUES, messages=1188), folder)
    said = " ".join(stream.getvalue().split())
    assert "21.92" in said and "Recall and keystrokes here are of 1,188 messages of people held out" in said
    reached = f", {100 * own:.2f} %," if measured else ""
    assert said.endswith(f"The recall that the run ended with{reached} is of up to 33 of each.")
