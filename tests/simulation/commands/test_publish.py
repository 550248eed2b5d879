"""What `publish` says of a command line."""

import pytest

from simulation.commands.publish import Flags
from simulation.flags import parse_with_tyro
from typefleet.errors import ConfigError


@pytest.mark.parametrize("typed", [["R", "-o", "X"], ["-o", "X", "R"], ["R", "X", "-o", "Y"]])
def test_a_letter_that_is_no_flag_is_said_to_be_none(typed):
    with pytest.raises(ConfigError, match=r"^-o: expected a flag that --help lists, found none of that name$"):
        parse_with_tyro(Flags, typed)


def test_the_two_folders_are_told_apart(capsys):
    with pytest.raises(SystemExit):
        parse_with_tyro(Flags, ["--help"])
    assert "[OPTIONS] RUN_DIR FOLDER" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"expected a path .New folder; it must not be there yet., found none"):
        parse_with_tyro(Flags, ["R"])
