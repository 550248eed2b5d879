"""Whole runs on real Ray, Flower and TensorFlow: same bits, kills, resumes, bad input."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from client_model.tflite import export_tflite
from client_model.tflite.export_checks import DisagreementError
from client_model.tflite.tflite_metadata import read_associated_files
from simulation.audit_trail import TRAIL
from simulation.config import RunConfig
from simulation.device import export
from simulation.flags import parse_simulate, read_config
from simulation.parts import Parts
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.run.directory import RunDirectory
from simulation.run.lifecycle import start_run
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from simulation.runner import _stop_on_interrupt
from simulation.start import start
from tests.client_model.tflite.test_export_folder import KEY
from tests.client_model.tflite.test_export_folder import pem as private_pem
from tests.conftest import ROOT
from tests.simulation.conftest import TINY, WEIGHTS_ONLY
from tests.simulation.engine_in_process import EngineInProcess
from typefleet import studies

pytestmark = pytest.mark.slow


def outcome(folder):
    return json.loads((folder / "summary.json").read_text())


def rounds_of(folder):
    return [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]


def test_a_run_leaves_what_it_promises(straight):
    folder, printed = straight
    summary = outcome(folder)
    keys = """rounds_completed rounds_abandoned devices_trained tokens_trained wall_seconds train_wall_seconds
    tokens_per_second simulated_seconds top1_recall top3_recall perplexity oov_rate zcdp_rho epsilon delta
    weights_sha256 peak_driver_rss_bytes baseline_unigram_top1 baseline_bigram_top1""".split()  # noqa: SIM905
    assert set(keys) <= set(summary)
    assert summary["rounds_completed"] == 3
    assert summary["devices_trained"] == sum(line["reports"] for line in rounds_of(folder)) in range(21, 25)
    assert summary["participation"]["updates"] == summary["devices_trained"]
    assert summary["epsilon"] > 0 and "500 reports" in summary["epsilon_is_of"]
    found = {p.name for p in folder.iterdir()}
    assert found == {
        *(
            "config.toml",
            "rounds.jsonl",
            "rounds.parquet",
            "summary.json",
            "privacy.json",
            "privacy.md",
            "privacy_head.json",
            "privacy_ledger.jsonl",
        ),
        *("checkpoints", "model", "tensorboard", "participation.json", ".lock"),
        *("held_out.parquet", "report.html", TRAIL),
    }
    files = {p.name for p in (folder / "model").iterdir()}
    exported = {"keyboard.tflite", "keyboard_fp32.tflite", "test_vectors.json"}
    assert files == {"weights.npz", "vocab.txt", "manifest.json", *exported}
    inside = read_associated_files((folder / "model" / "keyboard.tflite").read_bytes())
    assert inside["vocab.txt"] == (folder / "model" / "vocab.txt").read_text()
    card = json.loads(inside["model_card.json"])
    assert card["weights_sha256"] == summary["weights_sha256"] and card["privacy"]["spent"]["epsilon"] > 0
    assert card["privacy"]["not_guaranteed"] in inside["model_card.md"]
    for line in rounds_of(folder):
        dropped = line["dropped_failure"] + line["dropped_ineligible"] + line["dropped_upload"]
        assert line["invited"] == line["reported"] + dropped + line["late"] + line["unused"] <= line["checked_in"]
    assert "modelled deployment with 500 reports" in printed and "keyboard.tflite" in printed
    assert rounds_of(folder)[-1]["weights_sha256"] == summary["weights_sha256"]


def test_the_ledger_recomputes_to_the_claim(straight, script_here):
    folder, _ = straight

    def changed():
        return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != TRAIL}

    before = changed()
    done = script_here("check_privacy.py", folder)
    assert done.returncode == 0 and "privacy.json agrees" in done.stdout
    assert changed() == before  # who reads writes nothing but that
    claim = json.loads((folder / "privacy.json").read_text())
    claim["spent"]["epsilon"] /= 2
    lying = folder.parent / "lying"
    lying.mkdir(exist_ok=True)
    (lying / "privacy.json").write_text(json.dumps(claim))
    (lying / "privacy_ledger.jsonl").write_bytes((folder / "privacy_ledger.jsonl").read_bytes())
    assert script_here("check_privacy.py", lying).returncode == 1


def assert_same_rounds(folder, other):
    same = ("weights_sha256", "loss", "clipped_share", "epsilon", "tokens", "checked_in", "simulated_date")
    same += ("top1_recall", "perplexity", "clip_norm")
    expected, found = rounds_of(folder), rounds_of(other)
    assert [{k: r.get(k) for k in same} for r in found] == [{k: r.get(k) for k in same} for r in expected]


def test_a_truncated_checkpoint_falls_back_and_ends_the_same(straight, simulate, tmp_path):
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(straight[0]), str(folder)], check=True)
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    os.truncate(newest, newest.stat().st_size // 2)
    assert "falling back" in simulate("--resume", folder, "--engine.no-export")
    assert outcome(folder)["weights_sha256"] == outcome(straight[0])["weights_sha256"]


def test_a_reader_who_goes_away_stops_the_run_and_loses_nothing(straight, simulate, tmp_path):
    folder = tmp_path / "run"
    reader, writer = os.pipe()
    config = parse_simulate([*map(str, WEIGHTS_ONLY), "--output-dir", str(folder)]).run

    def leave(record):
        if record.round == 1:
            os.close(reader)

    with os.fdopen(writer, "w") as stream:
        run = start(config, Parts(), stream, engine=EngineInProcess(), on_round=leave)
    assert not run.finished and len(rounds_of(folder)) == 2
    assert load_newest_checkpoint(folder / "checkpoints")[0].about["totals"]["rounds_completed"] == 2
    simulate("--resume", folder)
    assert outcome(folder)["weights_sha256"] == outcome(straight[0])["weights_sha256"]


def test_another_configuration_cannot_resume(straight, script_here):
    done = script_here("simulate.py", "--resume", straight[0], "--cohort.goal", 9)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --cohort.goal: expected 8 as in ") and done.stderr.count("\n") == 1


def test_export_again_gives_the_same_bytes_and_the_other_files(straight, script_here, tmp_path):
    folder = shutil.copytree(straight[0], tmp_path / "run")
    before = {p.name: p.read_bytes() for p in (folder / "model").glob("*.tflite")}
    refused = script_here("personalise.py", folder)
    assert refused.returncode == 2 and "keyboard_train.tflite: expected the training file" in refused.stderr
    key = tmp_path / "key.pem"
    key.write_bytes(private_pem(KEY))
    done = script_here("export_model.py", folder, "--sign", key)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if ".tflite " in line}
    assert set(rows) >= {"keyboard.tflite", "keyboard_fp16.tflite", "keyboard_fp32.tflite", "keyboard_train.tflite"}
    assert "The recall that the run ended with, " in done.stdout and "of up to " in done.stdout
    assert "100.00 >= 99.9" in rows["keyboard_fp32.tflite"] and "<= 20" in rows["keyboard.tflite"]
    after = {p.name: p.read_bytes() for p in (folder / "model").glob("*.tflite")}
    assert set(after) == set(before) | {"keyboard_fp16.tflite", "keyboard_train.tflite"} and len(before) == 2
    assert all(after[name] == content for name, content in before.items())
    personal = script_here("personalise.py", folder, "--phones", 6, "--most-messages", 20)
    assert personal.returncode == 0 and " all " in personal.stdout, personal.stderr
    record = json.loads((folder / "personalisation.json").read_text())
    *_, everybody = studies.personalise(folder, phones=6, most_messages=20)
    assert everybody.name == "all" and everybody.phones == record["phones"]
    assert record["phones"] + record["phones_with_too_little_text"] == 6
    assert (folder / "personalisation.png").read_bytes().startswith(b"\x89PNG")
    public = tmp_path / "public.pem"
    public.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    verified = script_here("verify_model.py", folder, "--public-key", public)
    assert verified.returncode == 0 and "signed by this key" in verified.stdout and "weights.npz" in verified.stdout
    (folder / "model" / "keyboard.tflite").write_bytes(b"another")
    refused = script_here("verify_model.py", folder)
    assert refused.returncode == 2 and refused.stderr.startswith("error: ") and refused.stderr.count("\n") == 1
    assert "keyboard.tflite: expected" in refused.stderr


def test_a_run_that_8_bits_cannot_hold_ends_well_and_says_so(straight, tmp_path, monkeypatch):
    folder = shutil.copytree(straight[0], tmp_path / "run")
    prepared = prepare(read_config(folder / "config.toml"))
    monkeypatch.setitem(export_tflite.TARGETS, "int8", export_tflite.Target(1.01, 0))  # more than any file can do
    done = export.export_at_the_end(RunDirectory(folder), prepared)
    assert [file.kind for file in done.files] == ["float32"]
    assert done.not_written.startswith("int8: same first word as the trained weights: expected 101.0%")


def test_a_run_whose_float32_file_disagrees_does_not_end_well(monkeypatch):
    def disagree(*_):
        raise DisagreementError("float32", "expected the same words")

    monkeypatch.setattr(export, "export_run", disagree)
    with pytest.raises(DisagreementError, match=r"^float32: expected the same words"):
        export.export_at_the_end(RunDirectory(Path("none")), SimpleNamespace(config=RunConfig()))


def test_real_messages_and_no_privacy(real_text, simulate, tmp_path):
    printed = simulate(
        *("--data.path", real_text, "--data.cache-dir", tmp_path / "cache"),
        *("--privacy.mechanism", "none", "--rounds", 1, "--cohort.goal", 4, "--evaluation.max-phones", 5),
        *("--model.vocabulary-size", 400, "--model.embedding-size", 16, "--model.units", 24),
        *("--cohort.selection-timeout-s", 86400, "--output-dir", tmp_path / "run"),
    )
    assert "No privacy mechanism was used" in printed
    summary = outcome(tmp_path / "run")
    assert summary["epsilon"] is None and summary["zcdp_rho"] is None and summary["delta"] is None
    assert 0.02 < summary["baseline_unigram_top1"] < summary["baseline_bigram_top1"] < 0.12
    raw_ids = {json.loads(line)["user_id"].encode() for line in real_text.open()}
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(raw in content for raw in raw_ids), path


BAD_INPUT = {
    "missing file": (
        ["--data.path", "{tmp}/none.jsonl"],
        "none.jsonl: expected a file of messages, found no such file",
    ),
    "empty file": (["--data.path", "{tmp}/empty.jsonl"], "empty.jsonl: expected messages, found none"),
    "bad line": (["--data.path", "{tmp}/bad.jsonl"], "bad.jsonl:2: expected a JSON object"),
    "negative noise": (
        ["--privacy.noise-multiplier", "-1"],
        "--privacy.noise-multiplier: expected a number > 0, found -1",
    ),
    "too many bands": (
        ["--privacy.mechanism", "banded", "--privacy.bands", "99"],
        "--privacy.bands: expected a number <=",
    ),
    "impossible epsilon": (["--privacy.target-epsilon", "1e9"], "epsilon: expected a target that"),
    "goal above fleet": (
        ["--cohort.goal", "500", "--fleet.size", "300"],
        "--cohort.goal: expected a number <= --fleet.size = 300",
    ),
    "goal above training phones": (["--cohort.goal", "295", "--fleet.size", "300"], "the 270 training phones"),
    "goal above the file's phones": (
        ["--data.path", "{tmp}/two.jsonl"],
        "--cohort.goal: expected at most the fleet's 2 phones",
    ),
    "unknown flag": (["--cohort.gaol", "3"], "--cohort.gaol: expected a flag that --help lists"),
    "unknown key": (
        ["--config", "{tmp}/bad.toml"],
        "bad.toml: cohort.gaol: expected a setting, found none of that name; did you mean",
    ),
    "folder in use": (["--output-dir", "{tmp}"], "--output-dir: expected a new or empty folder"),
    "folder in a file": (
        ["--output-dir", "{tmp}/two.jsonl/run"],
        "a folder that can be written, found {tmp}/two.jsonl",
    ),
    "folder at a link to nothing": (["--output-dir", "{tmp}/link"], "{tmp}/link, a link that leads nowhere"),
    "folder at a link to itself": (["--output-dir", "{tmp}/loop"], "{tmp}/loop, a link that leads nowhere"),
    "nothing to resume": (["--resume", "{tmp}/none"], "none: expected the folder of a run, found no such folder"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_and_leaves_nothing(case, script_here, tmp_path):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "bad.jsonl").write_text('{"user_id": "a", "text": "b"}\nnot json\n')
    (tmp_path / "two.jsonl").write_text('{"user_id": "a", "text": "b"}\n{"user_id": "b", "text": "b"}\n')
    (tmp_path / "bad.toml").write_text("[cohort]\ngaol = 3\n")
    (tmp_path / "link").symlink_to("none/run")
    (tmp_path / "loop").symlink_to("loop")
    arguments, message = BAD_INPUT[case]
    arguments = [a.format(tmp=tmp_path) for a in arguments]
    if "--output-dir" not in arguments and "--resume" not in arguments:
        arguments += ["--output-dir", str(tmp_path / "run")]
    if "--data.path" in arguments:
        arguments += ["--data.cache-dir", str(tmp_path / "cache")]
    done = script_here("simulate.py", *arguments)
    assert done.returncode == 2
    assert (
        message.format(tmp=tmp_path) in done.stderr
        and done.stderr.count("\n") == 1
        and done.stderr.startswith("error: ")
    )
    assert not (tmp_path / "run").exists() and not (tmp_path / "none").exists()


def test_folder_without_permission(tmp_path):
    # Root may write anywhere, so the check is made as another user where there is one.
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from simulation.config import ConfigError\n"
        "from simulation.run.directory import new_run_directory\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try:\n"
        "    new_run_directory(Path(sys.argv[1]) / 'run', '')\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        if parent.stat().st_uid == os.geteuid() and parent != parent.parent:
            parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run([sys.executable, "-c", code, str(locked)], capture_output=True, text=True, cwd=ROOT)
    assert "--output-dir: expected a folder that can be written" in done.stdout, done.stderr
    assert list(locked.iterdir()) == []


def test_weights_file_is_what_was_hashed(straight):
    import hashlib

    folder, _ = straight
    with np.load(folder / "model" / "weights.npz") as stored:
        flat = np.concatenate([stored[name].ravel() for name in stored.files])
    assert hashlib.sha256(flat.astype("<f4").tobytes()).hexdigest() == outcome(folder)["weights_sha256"]


@pytest.mark.slow
def test_a_budget_ends_the_run_with_its_model_and_says_so(script_here, simulate, tmp_path):
    folder = tmp_path / "run"
    # With a separation of one round the second release takes some phones again, which the budget has no room for.
    flags = [*TINY, "--cohort.goal", 12, "--cohort.min-separation-rounds", 1, "--privacy.mechanism", "tree"]
    printed = simulate(*flags, "--privacy.target-epsilon", 7, "--rounds", 20, "--output-dir", folder)
    summary, last = outcome(folder), rounds_of(folder)[-1]
    assert 0 < summary["rounds_completed"] < 20 and 0 < summary["epsilon"] <= 7
    assert summary["stopped_early"].startswith("privacy budget: the next release would take epsilon to")
    assert last["abandoned"] and last["top1_recall"] == summary["top1_recall"] and last["epsilon"] is None
    assert "stopped early" in printed and (folder / "model" / "keyboard.tflite").exists()
    lines = (folder / "privacy_ledger.jsonl").read_text().splitlines()
    assert len(lines) == 1 + summary["rounds_completed"]
    assert script_here("check_privacy.py", folder).returncode == 0
    config = parse_simulate(["--resume", str(folder)]).run
    with RunProgress(io.StringIO(), config.rounds, 0) as progress:
        run = start_run(prepare(config, resume=True), resume=True, progress=progress)
        run.close()
        assert run.finished  # no round is left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_the_round_and_the_second_everything(number):
    before = signal.getsignal(number)
    said = io.StringIO()
    with RunProgress(said, 3, 0) as progress, _stop_on_interrupt(progress) as stop:
        os.kill(os.getpid(), number)
        assert stop.wait(5)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            time.sleep(5)
    assert "stopping after this round" in said.getvalue()
    assert signal.getsignal(number) == before
