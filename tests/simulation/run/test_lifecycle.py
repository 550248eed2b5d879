"""A run goes on from what is whole, and refuses in one line what is damaged."""

import io
import json
import shutil

import numpy as np
import pytest

from simulation.flags import parse_simulate
from simulation.run.checkpoint import CheckpointError, load_newest_checkpoint, numbered
from simulation.run.directory import RunDirectory
from simulation.run.lifecycle import checkpoint, start_run
from simulation.run.preparation import prepare
from simulation.run.progress import RunProgress
from simulation.start import _is_finished
from tests.simulation.conftest import TINY
from typefleet.errors import ConfigError


def open_run(prepared, resume):
    with RunProgress(io.StringIO(), 1, 0) as progress:
        run = start_run(prepared, resume=resume, progress=progress)
    run.close()
    return run


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run before its first round."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    flags = [*map(str, TINY), "--output-dir", str(folder)]
    open_run(prepare(parse_simulate(flags).run), resume=False)
    return folder


@pytest.fixture
def prepared_copy(begun, tmp_path):
    folder = shutil.copytree(begun, tmp_path / "run")
    return folder, prepare(parse_simulate(["--resume", str(folder)]).run, resume=True)


def rewrite(folder, change):
    """The newest checkpoint with other content, whole as a file."""
    (path,) = (folder / "checkpoints").glob("checkpoint-*")
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    about = json.loads(arrays["about"].tobytes())
    change(about, arrays)
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(path, **arrays)
    return path


DAMAGE = {
    "no totals": lambda about, arrays: about.pop("totals"),
    "no fingerprint": lambda about, arrays: about.pop("fingerprint"),
    "no salt": lambda about, arrays: about.pop("salt"),
    "no measurement": lambda about, arrays: about.pop("held_out"),
    "an unknown total": lambda about, arrays: about["totals"].update(extra=1),
    "a total of words": lambda about, arrays: about["totals"].update(rounds_completed="x"),
    "short weights": lambda about, arrays: arrays.update(weights=arrays["weights"][:-1]),
    "weights of words": lambda about, arrays: arrays.update(weights=arrays["weights"].astype(str)),
    "no weights": lambda about, arrays: arrays.pop("weights"),
    "short counts": lambda about, arrays: arrays.update({"strategy/participation/counts": np.zeros(3, np.int32)}),
    "other counts": lambda about, arrays: arrays["strategy/participation/counts"].__setitem__(0, 1),
    "a last participation": lambda about, arrays: arrays["strategy/participation/last"].__setitem__(0, 1),
    "a separation": lambda about, arrays: arrays.update({"strategy/participation/min_separation": np.array(9)}),
    "short tokens": lambda about, arrays: arrays.update(tokens_by_phone=np.zeros(3, np.int64)),
    "no diary": lambda about, arrays: arrays.pop("world/timeline/diary/free_from_s"),
    "no noise": lambda about, arrays: arrays.pop("strategy/noise/releases"),
    "two noises": lambda about, arrays: arrays.update({"strategy/noise/releases": np.zeros(2, np.int64)}),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_checkpoint_of_other_content_is_refused_by_its_name(prepared_copy, damage):
    folder, prepared = prepared_copy
    path = rewrite(folder, DAMAGE[damage])
    ledger, rounds = folder / "privacy_ledger.jsonl", folder / "rounds.jsonl"
    before = ledger.read_bytes()
    assert not _is_finished(prepared.config)
    with pytest.raises(CheckpointError) as refused:
        open_run(prepared, resume=True)
    message = str(refused.value)
    assert message.startswith(f"{path}: expected ") and ", found " in message and "\n" not in message
    assert ledger.read_bytes() == before and not rounds.exists()


def test_a_run_whose_rounds_are_gone_is_refused(prepared_copy):
    folder, prepared = prepared_copy
    rewrite(folder, lambda about, arrays: about["totals"].update(server_round=2))
    with pytest.raises(
        ConfigError, match=r"rounds\.jsonl: expected the 2 rounds that the checkpoint is after, found 0"
    ):
        open_run(prepared, resume=True)


def test_a_whole_one_goes_on(prepared_copy):
    folder, prepared = prepared_copy
    before = load_newest_checkpoint(folder / "checkpoints")[0]
    run = open_run(prepared, resume=True)
    assert (run.flat == before.state["weights"]).all() and run.salt == before.about["salt"]
    assert RunDirectory(folder).read_rounds() == []


@pytest.mark.parametrize(("keep", "left"), [("2", [2]), ("spaced", [0, 1, 2]), ("all", [0, 1, 2])])
def test_a_run_that_is_over_has_no_checkpoint_with_a_state_of_its_noise(tmp_path, keep, left):
    """The noise of a tree or a bank of filters is a sum that gives earlier draws away."""
    flags = ["--engine.keep-checkpoints", keep, "--privacy.mechanism", "blt", "--output-dir", str(tmp_path / "run")]
    run = open_run(prepare(parse_simulate([*map(str, TINY), *flags]).run), resume=False)
    folder = run.directory.checkpoints
    for number in (1, 2):
        run.totals.server_round = number
        run.strategy.protected_sum.release(np.zeros(len(run.flat)), 8, 8)
        checkpoint(run)
    with_noise = {name for path in folder.iterdir() for name in arrays_of_noise(path)}
    assert len(with_noise) > 2
    checkpoint(run, forget_noise=True)
    assert list(numbered(folder)) == left
    for path in numbered(folder).values():
        assert arrays_of_noise(path) == {"releases", "clip_norm", "forgotten"}


def arrays_of_noise(path):
    with np.load(path) as stored:
        return {name.removeprefix("strategy/noise/") for name in stored.files if name.startswith("strategy/noise/")}
