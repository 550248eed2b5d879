"""Parts of the machine fail under whole runs: the weights stay the same, or one line says what is wrong."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from ray.cluster_utils import Cluster

from client_model.config import DataConfig
from client_model.text.cache import seal
from client_model.text.population import prepare_population, split_phones
from server_strategy.privacy.noise_key import NoiseKey
from simulation.engine import ray_start
from simulation.processes import below
from simulation.run.checkpoint import load_newest_checkpoint
from simulation.run.counted_phones import sample_phones
from simulation.run.lock import LOCK
from simulation.studies.privacy_check import check_statement
from tests.conftest import ROOT
from tests.forked_processes import ForkedProcess, run_forked
from tests.simulation.conftest import WEIGHTS_ONLY
from tests.simulation.killed_driver import POINTS
from tests.simulation.planted_secrets import SECRETS, USERS, leaks, leaks_of_bits, plant
from tests.simulation.test_runs import assert_same_rounds, outcome, rounds_of
from tests.waiting import PATIENCE_S
from typefleet.errors import ConfigError

pytestmark = pytest.mark.slow
SIMULATE = [sys.executable, str(ROOT / "scripts" / "simulate.py")]
WITHOUT_RAY = [sys.executable, "-m", "tests.simulation.engine_in_process"]  # what fails is the driver's


@pytest.fixture
def undisturbed(straight):
    """What the run gives on one worker when nothing fails."""
    return outcome(straight[0])


def ledger_lines(folder):
    path = folder / "privacy_ledger.jsonl"
    return path.read_text().count("\n") - 1 if path.exists() else 0  # the first line is the plan


def test_a_driver_killed_in_every_phase_one_after_another_resumes_bit_for_bit(straight, simulate, tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "tests.simulation.killed_driver", "all", str(folder), *map(str, WEIGHTS_ONLY)]
    done = run_forked(command, cwd=ROOT, timeout=PATIENCE_S)
    releases = (0, 0, 1, 2, 3)  # on record: never fewer than what may have left the server
    died = [f"{point} {int(signal.SIGKILL)} {count}" for point, count in zip(POINTS, releases, strict=True)]
    assert done.stdout.splitlines() == died, done.stderr
    simulate("--resume", folder)
    assert_same_rounds(straight[0], folder)
    assert outcome(folder)["weights_sha256"] == outcome(straight[0])["weights_sha256"]
    assert outcome(folder)["epsilon"] == outcome(straight[0])["epsilon"]
    assert ledger_lines(folder) == 3 and [r["round"] for r in rounds_of(folder)] == [1, 2, 3]
    assert [path.name for path in folder.glob("**/.*")] == [LOCK]  # the half-written file is gone
    assert check_statement(folder, io.StringIO(), said := io.StringIO()), said.getvalue()


def test_an_asynchronous_run_on_a_trace_killed_in_mid_round_resumes_bit_for_bit(simulate, tmp_path):
    trace, runs = tmp_path / "t.csv", [tmp_path / "whole", tmp_path / "killed"]
    rows = (f"d{d},{day * 86400 + 600 * d},{day * 86400 + 600 * d + 40000}\n" for d in range(40) for day in range(3))
    trace.write_text("device_id,start_s,end_s\n" + "".join(rows))
    flags = [
        *map(str, WEIGHTS_ONLY),
        "--fleet.trace",
        str(trace),
        "--cohort.policy",
        "buffered",
        "--cohort.concurrency",
        "20",
    ]
    flags += ["--cohort.check-in-interval-s", "5", "--cohort.min-separation-rounds", "2", "--rounds", "4"]
    flags += ["--privacy.mechanism", "blt", "--privacy.clip-quantile", "0.5", "--privacy.clip-scope", "layer"]
    simulate(*flags, "--output-dir", runs[0])
    assert any(line["mean_staleness"] > 0 for line in rounds_of(runs[0]))
    assert len({line["clip_norm"] for line in rounds_of(runs[0])}) == 4
    command = [sys.executable, "-m", "tests.simulation.killed_driver", "after the ledger", "3", *flags]
    killed = run_forked([*command, "--output-dir", str(runs[1])], cwd=ROOT, timeout=PATIENCE_S)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    simulate("--resume", runs[1])
    assert_same_rounds(*runs)
    whole, resumed = (json.loads((run / "participation.json").read_text()) for run in runs)
    assert whole == resumed and whole["recall_by_group"]
    trace.write_text(trace.read_text() + "d39,999000,999900\n")
    with pytest.raises(ConfigError, match="the text and the trace that"):
        simulate("--resume", runs[1])


def test_a_worker_and_what_it_was_forked_from_killed_in_mid_round_leave_no_mark(undisturbed, tmp_path):
    folder = tmp_path / "run"
    # One worker: what it was at is done by whoever comes in its place, whose first message takes a second.
    command = [*SIMULATE, *map(str, WEIGHTS_ONLY), "--engine.workers", "1", "--output-dir", str(folder)]
    # Not forked itself: Ray finds no place for its workers' titles then, by which they are known here.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    killed = wait_for_busy_worker(process.pid)
    server = killed.parent()
    killed.kill()
    again = wait_for_busy_worker(process.pid, other_than=(killed,))
    assert server.name() == "fork-server" and again.parent() == server
    server.kill()  # with which its workers end; others are started in the ordinary way
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert not any(one.is_running() for one in (killed, again, server))
    assert outcome(folder)["weights_sha256"] == undisturbed["weights_sha256"]


def wait_for_busy_worker(above, other_than=()):
    """A worker below the process `above` that is at work on a message; looked for often, since messages are short."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up and psutil.pid_exists(above):
        for child in below(above):
            with suppress(OSError, psutil.NoSuchProcess):
                if b"ClientAppActor.run" in Path(f"/proc/{child}/cmdline").read_bytes():  # as Ray calls it
                    found = psutil.Process(child)
                    if found not in other_than:
                        return found
        time.sleep(0.002)
    raise AssertionError("expected a worker at work, found none")


def test_a_machine_of_a_cluster_killed_in_mid_round_leaves_no_mark(undisturbed, engine_alone, tmp_path):
    health = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": health}  # a lost machine is known in seconds
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        second, folder = cluster.add_node(num_cpus=1), tmp_path / "run"
        command = [*SIMULATE, *map(str, WEIGHTS_ONLY), "--engine.address", cluster.address, "--output-dir", str(folder)]
        command.append("--engine.trust-network")  # the machine's own address may be any
        process = ForkedProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        raylet = psutil.Process(second.all_processes["raylet"][0].process.pid)
        while not (folder / "rounds.jsonl").exists() and process.poll() is None:
            time.sleep(0.005)
        for part in (raylet, *raylet.children(recursive=True)):  # at once, as when a machine is switched off
            part.kill()
        cluster.remove_node(second, allow_graceful=False)
        printed, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        cluster.shutdown()
    assert process.returncode == 0, printed + errors
    assert "starting the engine again" in errors
    assert "whoever reaches its ports runs code" in " ".join(printed.split())  # broken where the terminal ends
    assert outcome(folder)["weights_sha256"] == undisturbed["weights_sha256"]


def test_workers_and_messages_do_not_change_a_bit(straight, simulate_on_ray, tmp_path):
    printed = simulate_on_ray(*WEIGHTS_ONLY, "--engine.devices-per-message", 1, "--output-dir", tmp_path / "run")
    assert_same_rounds(straight[0], tmp_path / "run")
    assert "scripts/export_model.py" in printed and not list((tmp_path / "run" / "model").glob("*.tflite"))


def write_messages(path, users=60):
    words = ["the", "of", "and", "to", "in", "is", "you", "that", "it", "was", "for", "on"]
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        for user in range(users):
            for _ in range(12):
                text = " ".join(rng.choice(words, 6))
                file.write(json.dumps({"user_id": f"u{user}", "text": text}) + "\n")


def test_a_phone_whose_text_is_damaged_is_dropped_and_named_and_the_rounds_go_on(
    simulate_on_ray, tmp_path, monkeypatch
):
    of_noise, keyed = [], NoiseKey.secret

    def recorded(secret, bound_to):
        key = keyed(secret, bound_to)
        of_noise.extend((secret, key._key))
        return key

    monkeypatch.setattr(NoiseKey, "secret", recorded)
    messages, cache, folder = tmp_path / "m.jsonl", tmp_path / "cache", tmp_path / "run"
    write_messages(messages)
    plant(messages)
    spec = prepare_population(DataConfig(path=messages, cache_dir=cache), 0, None)
    where = Path(spec.cache_folder)
    digests, first = np.load(where / "digests.npy"), np.load(where / "first_message.npy")
    offsets, types = np.load(where / "message_offsets.npy"), np.load(where / "types.npy")
    training, _ = split_phones(digests, 0, DataConfig().held_out_share)
    read_by_driver = sample_phones(training, digests, 0, "vocabulary phones", 20)
    damaged = np.setdiff1d(training, read_by_driver)[:10]
    for phone in damaged:
        types[offsets[first[phone]] : offsets[first[phone + 1]]] = -(2**30)
    np.save(where / "types.npy", types)
    seal(where)  # so that no check of the cache finds it
    printed = simulate_on_ray(
        *("--data.path", messages, "--data.cache-dir", cache, "--output-dir", folder),
        *("--data.vocabulary-phones", 20, "--rounds", 2, "--cohort.goal", 20, "--cohort.min-separation-rounds", 1),
        *("--cohort.minimum-report-share", 0.2, "--model.embedding-size", 8, "--model.units", 8),
        *("--fleet.eligible-share-alpha", 1e4, "--fleet.eligible-share-beta", 0.01, "--fleet.failure-share", 0),
    )
    assert "left out for errors" in printed
    # Words of one phone are only in what is kept of the messages; who it is, and what keys the noise, is nowhere.
    session = Path(ray_start.session_folder())
    assert leaks(cache) and not leaks(folder) and not leaks(session)
    assert of_noise and not any(leaks_of_bits(where, bits) for where in (folder, cache, session) for bits in of_noise)
    assert not any(secret in printed for secret in (*SECRETS, *USERS))
    exported = {path.name for path in (folder / "model").iterdir()}
    assert "keyboard_fp32.tflite" in exported and (folder / "report.html").exists()
    failed = [line["failed"] for line in rounds_of(folder)]
    assert any(failed)
    to_pass_on = "".join((folder / name).read_text() for name in ("report.html", "summary.json", "privacy.json"))
    assert not any(label in to_pass_on for causes in failed for label in causes)
    for line, causes in zip(rounds_of(folder), failed, strict=True):
        assert line["reports"] == line["reported"] - len(causes)
        assert all(len(label) == 16 and cause.startswith("IndexError at ") for label, cause in causes.items())


def tmpfs(folder, megabytes):
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system can only be mounted by root")


def test_a_full_disk_stops_the_run_and_the_earlier_checkpoint_resumes(undisturbed, simulate, tmp_path):
    disk = tmp_path / "disk"
    tmpfs(disk, 16)
    try:
        ballast = disk / "ballast"
        command = [*WITHOUT_RAY, *map(str, WEIGHTS_ONLY), "--output-dir", str(disk / "run")]
        process = ForkedProcess(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        checkpoints = disk / "run" / "checkpoints"
        while not (checkpoints / "checkpoint-000001.npz").exists() and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)  # it writes on meanwhile, and its rounds are short
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        ballast.write_bytes(bytes(free - 180_000))  # room for the ledger and the records, not for a checkpoint
        process.send_signal(signal.SIGCONT)
        printed, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 2, printed + errors
        *_, said = errors.splitlines()  # TensorFlow, which is in this process, has spoken before
        assert said.startswith("error: ") and "Traceback" not in errors
        assert "checkpoint-" in said and said.endswith("no space left on device")
        ballast.unlink()
        assert load_newest_checkpoint(checkpoints)[0].about["totals"]["rounds_completed"] in (1, 2)
        simulate("--resume", disk / "run")
        assert outcome(disk / "run")["weights_sha256"] == undisturbed["weights_sha256"]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_workers_that_cannot_start_are_said_with_their_reason(script_here, no_engine, monkeypatch, tmp_path):
    # Every Python that begins now works but Ray's workers and what they are forked from, as with a broken package.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if any(name in ' '.join(sys.orig_argv) for name in ('default_worker', 'fork_server')):\n"
        "    os.write(2, b'ImportError: numpy.core.multiarray failed to import\\n')\n"
        "    os._exit(1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)  # which is handed on to the fork server
    monkeypatch.setattr(ray_start, "COMPLAINT_S", 2.0)
    done = script_here("simulate.py", *WEIGHTS_ONLY, "--output-dir", tmp_path / "run")  # Ray itself never gives up
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    line = done.stderr
    assert line.startswith("error: Ray: expected to start, found worker processes that do not: ImportError: numpy.core")
    kept = Path(re.search(r"in (/\S+)", line)[1])
    assert "started, not forked: " in (kept / "raylet.err").read_text()
    shutil.rmtree(next(one for one in kept.parents if one.name.startswith("typefleet-ray-")))
