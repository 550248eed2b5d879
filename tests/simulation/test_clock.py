import pytest

from simulation.clock import simulated_date
from typefleet.errors import ConfigError


def test_the_calendar_ends_in_one_line():
    assert simulated_date("2026-01-05", 3600.4) == "2026-01-05T01:00:00Z"
    for now_s in (1e12, 1e300):
        with pytest.raises(ConfigError, match=r"--fleet\.start-date: expected a day .* year 9999, found 2026-01-05$"):
            simulated_date("2026-01-05", now_s)
