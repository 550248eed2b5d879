"""What a run is for is written into it, and neither a resume nor a start from it is for anything else."""

import numpy as np
import pytest

from simulation.config_files import to_toml
from simulation.flags import parse_simulate
from simulation.run.starting_point import open_starting_point
from typefleet.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    """A run for spelling, as far as another one asks about it."""
    (tmp_path / "model").mkdir()
    np.savez(tmp_path / "model" / "weights.npz", embedding=np.zeros((9, 2), np.float32))
    words = ["<pad>", "<bos>", "<eos>", "<oov>", ".", ",", "?", "!", "you"]
    (tmp_path / "model" / "vocab.txt").write_text("\n".join(words) + "\n")
    (tmp_path / "config.toml").write_text(to_toml(parse_simulate(["--data.purpose", "spelling"]).run))
    return tmp_path


@pytest.mark.parametrize("named", ["", "model/weights.npz"])
def test_a_run_starts_from_one_of_its_own_purpose_alone(folder, named):
    start = ("--model.init", str(folder / named))
    assert open_starting_point(parse_simulate([*start, "--data.purpose", "spelling"]).run) is not None
    with pytest.raises(ConfigError) as error:
        open_starting_point(parse_simulate(start).run)
    wanted = "--data.purpose: expected that of the run that it starts from, spelling, found next-word"
    assert str(error.value) == wanted


def test_a_run_that_was_written_before_there_were_purposes_is_for_the_next_word(folder):
    path = folder / "config.toml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("purpose")))
    assert open_starting_point(parse_simulate(["--model.init", str(folder)]).run) is not None
    with pytest.raises(ConfigError, match="found spelling"):
        open_starting_point(parse_simulate(["--model.init", str(folder), "--data.purpose", "spelling"]).run)


def test_a_run_goes_on_for_what_it_began_for(folder):
    with pytest.raises(ConfigError, match=r"--data\.purpose: expected spelling as in .*config\.toml, found research"):
        parse_simulate(["--resume", str(folder), "--data.purpose", "research"])
    assert parse_simulate(["--resume", str(folder)]).run.data.purpose == "spelling"
