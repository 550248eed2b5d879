import io

import pytest

from benchmarks.long_life import Sample, growth, play_months, print_growth, print_months
from benchmarks.measure import BenchmarkError
from simulation.tables import console_for


def test_what_grows_steadily_has_its_slope_and_what_comes_and_goes_has_none():
    rounds = list(range(0, 10_000, 50))
    steady = growth(rounds, [500 + 3 * n for n in rounds])
    assert steady.per_1000.mean == pytest.approx(3000) and not steady.per_1000.half_width
    at_the_start = growth(rounds, [min(n, 1000) for n in rounds])
    assert at_the_start.per_1000.mean == 0 and not at_the_start.per_1000.leaves_out_zero
    comes_and_goes = growth(rounds, [1e6 + 1e5 * ((n // 50) % 3) for n in rounds])
    assert not comes_and_goes.per_1000.leaves_out_zero
    with pytest.raises(BenchmarkError, match="to be looked at 20 times, found 4 times"):
        growth(range(5), range(5))


def test_each_thing_has_a_row_and_the_end_of_the_run_is_left_out():
    disk = {"config.toml": 2000, ".rounds.jsonl-a": 0}
    samples = [
        Sample(n, n, {"driver": 10**8}, {"driver": 30}, disk_bytes={"rounds.jsonl": 800 * n, **disk})
        for n in range(100)
    ]
    stream = io.StringIO()
    print_growth(console_for(stream), [*samples, Sample(100, 100, {"driver": 10**9})], 100)
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert ["rounds.jsonl", "disk,", "MB", "0.016", "0.079", "+0.800"] in lines
    assert ["driver", "memory,", "MB", "100.000", "100.000", "+0.000"] in lines
    assert not any("config.toml" in line or ".rounds.jsonl-a" in line for line in stream.getvalue().splitlines())
    assert ["driver", "open", "files", "30.000", "30.000", "+0.000"] in lines


@pytest.mark.slow
def test_months_of_a_dry_run_are_played_and_told():
    rounds, rss, _ = play_months(61)
    assert len(rounds) == 2 and rounds == sorted(rounds) and min(rss) > 10**7
    stream = io.StringIO()
    print_months(console_for(stream), [100, 200, 300], [10**8] * 3, [1.0, 2.0, 3.0])
    assert "3 months of 30 days, 300 rounds" in " ".join(stream.getvalue().split())
