import pytest


@pytest.mark.slow
def test_statistics_stand_beside_their_targets(script_here):
    done = script_here("describe_population.py", "--phones", 300)
    assert done.returncode == 0, done.stderr
    for target in (".80 / .93 / .96", "3 / 8 / 16 %", ".38 / .61 bits", "2.8 / 2.0"):
        assert target in done.stdout


def test_too_few_phones_to_describe(script_here):
    done = script_here("describe_population.py", "--phones", 5)
    assert done.returncode == 2 and done.stderr == "error: --phones: expected a number >= 200, found 5\n"
