"""A parser of what is named alone reads it as a parser of everything does, and refuses it in the same words."""

import pytest

from simulation.config import RunConfig
from simulation.flags import SimulateFlags, parse_over, parse_with_tyro
from simulation.named_settings import named_part, whole_again
from simulation.settings import choose, leaves
from typefleet.errors import ConfigError

BLT = {("privacy", "mechanism"): "blt"}
LINES = {
    "nothing": ([], {}),
    "a setting of no section": (["--rounds", "5", "--output-dir=a"], {}),
    "two sections": (["--fleet.size", "50", "--cohort.goal=7", "--fleet.memory-floor-gb", "3"], {}),
    "a switch and its negation": (["--engine.no-export", "--print-config", "--engine.profile"], {}),
    "a list": (["--fleet.utc-offsets-h", "0", "1", "--fleet.utc-offset-weights", "1", "2", "--seed", "3"], {}),
    "a setting of a kind": (["--privacy.mechanism", "blt", "--privacy.buffers", "2"], BLT),
    "a kind alone": (["--privacy.mechanism=blt"], BLT),
    "no number": (["--fleet.size", "many"], {}),
    "out of bounds": (["--cohort.goal", "0"], {}),
    "a missing value": (["--privacy.clip-norm", "--rounds", "3"], {}),
    "a stray word": (["stray", "--rounds", "3"], {}),
}


def outcome(parse):
    try:
        return parse()
    except ConfigError as refused:
        return str(refused)


@pytest.mark.parametrize("line", LINES)
def test_a_part_is_parsed_as_the_whole_is(line):
    argv, kinds = LINES[line]
    base = choose(RunConfig(), kinds)
    in_part = outcome(lambda: parse_over(SimulateFlags, argv, base, ("--print-config",)))
    assert in_part == outcome(lambda: parse_with_tyro(SimulateFlags, argv, SimulateFlags(base)))


def test_a_part_has_what_is_named_and_the_rest_stays():
    base = choose(RunConfig(rounds=7), {})
    part = named_part(SimulateFlags(base), base, ["--fleet.size=5", "--engine.no-export"])
    assert set(leaves(part.run)) == {("output_dir",), ("rounds",), ("seed",), ("fleet", "size"), ("engine", "export")}
    assert whole_again(part, SimulateFlags(base)) == SimulateFlags(base)
