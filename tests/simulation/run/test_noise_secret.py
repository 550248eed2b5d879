"""The secret of a run's noise: the same bits when the run goes on, others in another run, gone when it has ended."""

import io
import json
import shutil
import signal
import stat
import sys
from dataclasses import replace

import numpy as np
import pytest

from server_strategy.privacy.ledger import privacy_after
from server_strategy.privacy.ledger_lines import Binding
from server_strategy.state import branch
from simulation.flags import parse_simulate
from simulation.run.checkpoint import RunTotals, load_newest_checkpoint, newest_about
from simulation.run.lifecycle import checkpoint, start_run
from simulation.run.noise_secret import NAME, beginning, erase_noise_secret
from simulation.run.outcome import finish_run
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from tests.conftest import ROOT
from tests.forked_processes import run_forked
from tests.simulation.conftest import TINY
from tests.simulation.engine_in_process import simulate
from tests.simulation.planted_secrets import leaks_of_bits
from tests.simulation.run.test_lifecycle import open_run as opened
from tests.waiting import PATIENCE_S
from typefleet.errors import ConfigError

FLAGS = [*(str(flag) for flag in TINY), "--privacy.noise-source", "secret"]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """(folder, what is prepared, first release of zeros) of a run before its first round."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    prepared = prepare(parse_simulate([*FLAGS, "--output-dir", str(folder)]).run)
    run = opened(prepared, resume=False)
    return folder, prepared, noise_of(run)


def noise_of(run):
    return run.strategy.protected_sum.release(np.zeros(len(run.flat)), 8, 4)


def in_folder(prepared, folder, **privacy):
    """The same, in another folder."""
    config = replace(prepared.config, output_dir=folder, privacy=replace(prepared.config.privacy, **privacy))
    return replace(prepared, config=config)


def noise_in_checkpoint(folder):
    """Names of what is left of the noise in a run's newest checkpoint."""
    stored, _ = load_newest_checkpoint(folder / "checkpoints")
    return list(branch(branch(stored.state, "strategy"), "noise"))


@pytest.fixture
def copied(begun, tmp_path):
    folder, prepared, _ = begun
    return shutil.copytree(folder, tmp_path / "run"), in_folder(prepared, tmp_path / "run")


def test_it_is_256_bits_that_the_owner_alone_can_read(begun):
    folder, _, _ = begun
    assert len(bytes.fromhex((folder / NAME).read_text().split()[0])) == 32
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600 and stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_stands_in_no_other_file(begun):
    folder, _, _ = begun
    secret = bytes.fromhex((folder / NAME).read_text().split()[0])
    assert leaks_of_bits(folder, secret) == [(NAME, "digits")]


def test_a_run_that_goes_on_has_the_same_noise(begun, tmp_path):
    folder, prepared = tmp_path / "run", in_folder(begun[1], tmp_path / "run")
    first = noise_of(opened(prepared, resume=False))
    np.testing.assert_array_equal(noise_of(opened(prepared, resume=True)), first)
    from_its_files = prepare(parse_simulate(["--resume", str(folder)]).run, resume=True)  # as another process would
    np.testing.assert_array_equal(noise_of(opened(from_its_files, resume=True)), first)
    renamed = in_folder(prepared, folder.rename(tmp_path / "renamed"))
    np.testing.assert_array_equal(noise_of(opened(renamed, resume=True)), first)


def test_a_copy_of_a_run_has_noise_of_its_own_and_keeps_to_it(begun, copied, tmp_path):
    folder, prepared = copied
    noise, said = noise_and_words(prepared)
    assert (
        "is a copy of the folder in which the run began, or was moved to another disk or restored: it draws noise"
        in said
    )
    assert abs(np.corrcoef(noise, begun[2])[0, 1]) < 0.05
    run = opened(prepared, resume=True)
    checkpoint(run)
    again, said = noise_and_words(prepared)
    assert "note:" not in said  # its own checkpoint knows it
    np.testing.assert_array_equal(again, noise)
    (folder / NAME).write_bytes((folder / NAME).read_bytes())  # as a backup is put back into a folder
    restored, said = noise_and_words(prepared)
    assert "note:" in said and abs(np.corrcoef(restored, noise)[0, 1]) < 0.05


def noise_and_words(prepared):
    said = io.StringIO()
    with RunProgress(said, 1, 0) as progress:
        run = start_run(prepared, resume=True, progress=progress)
    run.close()
    return noise_of(run), said.getvalue()


@pytest.mark.slow
def test_killed_after_a_release_it_makes_it_again_bit_for_bit(begun, tmp_path):
    flags = ["--engine.no-export", "--engine.no-report"]
    folder = tmp_path / "run"
    opened(in_folder(begun[1], folder), resume=False)
    whole = shutil.copytree(folder, tmp_path / "whole")
    simulate(["--resume", str(folder), *flags, "--privacy.keep-noise-secret"])
    as_it_began(folder, whole)  # the same place, for its secret is as it was; and in `whole` is what was made there
    killed = folder
    command = [sys.executable, "-m", "tests.simulation.killed_driver", "after the ledger", "2", "--resume", str(killed)]
    died = run_forked([*command, *flags], cwd=ROOT, timeout=PATIENCE_S)
    ledger = killed / "privacy_ledger.jsonl"
    assert died.returncode == -signal.SIGKILL and ledger.read_text().count("\n") == 3, died.stderr
    assert newest_about(killed / "checkpoints")["totals"]["rounds_completed"] == 1  # the second release is in no other
    simulate(["--resume", str(killed), *flags])
    assert ledger.read_bytes() == (whole / "privacy_ledger.jsonl").read_bytes()
    assert ledger.read_text().count("\n") == 4  # the plan and three releases, none of them twice
    ends = [json.loads((folder / "summary.json").read_text()) for folder in (killed, whole)]
    assert ends[0]["weights_sha256"] == ends[1]["weights_sha256"] and ends[0]["epsilon"] == ends[1]["epsilon"]
    assert not (killed / NAME).exists()


def as_it_began(folder, began):
    """Exchange all but the secret of a folder for what it began with; that folder then has what it had."""
    made = {path.name for path in folder.iterdir()} - {NAME}
    at_first = {path.name for path in began.iterdir()} - {NAME}
    (aside := began.with_name("aside")).mkdir()
    for name in made:
        (folder / name).rename(aside / name)
    for name in at_first:
        (began / name).rename(folder / name)
    for name in made:
        (aside / name).rename(began / name)


def test_a_run_of_the_same_settings_has_other_noise(begun, tmp_path):
    noise = noise_of(opened(in_folder(begun[1], tmp_path / "again"), resume=False))
    assert abs(np.corrcoef(noise, begun[2])[0, 1]) < 0.05  # 6 standard errors of 40,000 weights, and more


def test_the_noise_is_bound_to_all_that_a_run_begins_with(begun):
    there = newest_about(begun[0] / "checkpoints")
    fingerprint, start = there["fingerprint"], there["began"]["start_sha256"]
    bound = {
        beginning(fingerprint, start),
        beginning(fingerprint, "00" * 32),
        *(beginning({**fingerprint, name: "another"}, start) for name in ("settings", "text", "start", "vocabulary")),
    }
    assert len(bound) == 6


SPOILT = {
    "missing": (lambda path: path.unlink(), "none"),
    "cut short": (lambda path: path.write_text(path.read_text()[:40]), "a damaged one"),
    "one digit": (lambda path: path.write_text(path.read_text().translate({ord("a"): "b"})), "a damaged one"),
    "empty": (lambda path: path.write_text(""), "a damaged one"),
    "no text": (lambda path: path.write_bytes(b"\xff" * 82), "a damaged one"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_without_its_secret_a_run_does_not_go_on(copied, spoilt):
    folder, prepared = copied
    spoil, found = SPOILT[spoilt]
    spoil(folder / NAME)
    message = rf"noise_secret: expected the secret of the noise that the run began with, found {found}; without it the "
    with pytest.raises(ConfigError, match=message + "run cannot go on bit for bit: put the file back, or start a new"):
        opened(prepared, resume=True)


def test_the_secret_of_another_run_is_refused(begun, copied, tmp_path):
    folder, prepared = copied
    opened(in_folder(begun[1], tmp_path / "again"), resume=False)
    shutil.copy(tmp_path / "again" / NAME, folder / NAME)
    with pytest.raises(ConfigError, match="found that of another run, or of another beginning"):
        opened(prepared, resume=True)


@pytest.mark.parametrize("keep", [False, True])
def test_it_is_erased_when_the_run_has_ended_unless_it_is_to_be_kept(copied, keep):
    folder, prepared = copied
    run = opened(in_folder(prepared, folder, keep_noise_secret=keep), resume=True)
    run.totals = RunTotals(stopped_early="its budget is spent")
    checkpoint(run)
    finish_run(run)
    assert (folder / NAME).exists() == keep
    assert len(list((folder / "checkpoints").iterdir())) == 1
    assert ("forgotten" in noise_in_checkpoint(folder)) == (not keep)
    assert opened(prepared, resume=True).finished  # which needs no secret
    said = json.loads((folder / "privacy.json").read_text())
    assert said["noise_source"] == "secret" and said["noise_secret"] == ("kept" if keep else "erased when the run ends")
    assert json.loads((folder / "summary.json").read_text())["noise_source"] == "secret"


def test_erasing_overwrites_what_the_name_led_to(tmp_path):
    path = tmp_path / NAME
    path.write_text("ab" * 32)
    (tmp_path / "another name").hardlink_to(path)
    erase_noise_secret(tmp_path)
    assert not path.exists() and (tmp_path / "another name").read_bytes() == bytes(64)
    erase_noise_secret(tmp_path)  # it is gone already


def test_nothing_is_erased_through_a_link(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigError, match="noise_secret: expected"):
        erase_noise_secret(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_folder_without_checkpoints_that_has_released_is_not_started_anew(copied):
    folder, prepared = copied
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").mkdir()
    for torn in (b"", b'{"plan": {"adap'):  # killed before the plan was on record as a whole
        (folder / "privacy_ledger.jsonl").write_bytes(torn)
        opened(prepared, resume=True).close()
        shutil.rmtree(folder / "checkpoints")
        (folder / "checkpoints").mkdir()
    run = opened(prepared, resume=True)  # nothing was released
    phones = np.arange(8)
    run.strategy.ledger.record(1, phones.astype(np.uint64), run_spent(run, phones), Binding("0" * 64, "0" * 64))
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").mkdir()
    with pytest.raises(ConfigError, match="expected a checkpoint, found none, and 1 releases on record; start a new"):
        opened(prepared, resume=True)


def run_spent(run, phones):
    return privacy_after(run.strategy.plan, run.strategy.participation, 1, phones)
