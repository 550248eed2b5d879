import pytest

REFUSED = [
    (("--bits", "11"), "--bits: expected a number >= 12 and <= 32, found 11"),
    (("--bits", "33"), "--bits: expected a number >= 12 and <= 32, found 33"),
    (("--lost-share", "0.3", "--threshold-share", "0.8"), "--lost-share: expected at most 1 - --threshold-share = 0.2"),
    (("--block", "48"), "--block: expected a power of 2, at most 8192, found 48"),
    (("--epsilons", "0"), "--epsilons: expected a number > 0"),
    (("--deviations", "1e-300"), "--deviations: expected a number >= 0.1 and <= 20"),
    (("--seeds", "1000000000000000"), "--seeds: expected a number >= 1 and <= 10000"),
    (("--phones", "100000", "--dimension", "4194304"), "--dimension: expected at most 268,435,456 / --phones = 2,684"),
]


@pytest.mark.parametrize(("flags", "said"), REFUSED)
def test_flags_out_of_bounds_are_refused_before_anything_is_measured(script_here, flags, said):
    done = script_here("measure_distributed_noise.py", *flags)
    assert done.returncode == 2 and said in done.stderr and not done.stdout
