from dataclasses import dataclass

from server_strategy.funnel import Funnel

COUNTS = dict(
    invited=13,
    dropped_failure=1,
    dropped_ineligible=2,
    dropped_upload=1,
    late=1,
    unused=0,
    reported=8,
    closed_s=90.0,
    checked_in=40,
    selection_s=0.0,
    opened_s=30.0,
    simulated_date="2026-01-01 00:01",
)


@dataclass(frozen=True, kw_only=True)
class WavesFunnel(Funnel):
    waves: int
    mean_wave_s: float | None = None


def test_all_that_is_there_is_written_and_a_value_that_never_was_is_left_out():
    assert Funnel(**COUNTS).as_line() == COUNTS and Funnel(**COUNTS).dropped == 4
    assert WavesFunnel(**COUNTS, waves=3).as_line() == COUNTS | {"waves": 3}
    assert WavesFunnel(**COUNTS, waves=0, mean_wave_s=0.0).as_line() == COUNTS | {"waves": 0, "mean_wave_s": 0.0}
