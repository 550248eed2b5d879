"""Settings of the aggregation that do not go together are refused at once, by the flag's name."""

import pytest

from server_strategy.aggregation.config import AggregationConfig, check_aggregation
from server_strategy.config import CohortConfig
from typefleet.errors import ConfigError


@pytest.mark.parametrize("protocol", ["arithmetic", "secagg"])
def test_a_buffer_is_refused_with_its_reason(protocol):
    with pytest.raises(ConfigError, match=rf"--aggregation.protocol {protocol}: .*nobody is there to take the masks"):
        check_aggregation(AggregationConfig(protocol), CohortConfig(policy="buffered"))
    check_aggregation(AggregationConfig(), CohortConfig(policy="buffered"))


def test_masks_want_three_phones_and_a_threshold_among_the_neighbours():
    with pytest.raises(ConfigError, match=r"--cohort.goal: expected a number >= 3"):
        check_aggregation(AggregationConfig("secagg"), CohortConfig(goal=2))
    check_aggregation(AggregationConfig("none"), CohortConfig(goal=1))
    with pytest.raises(ConfigError, match=r"--aggregation.threshold: expected a number <= .*neighbours = 4"):
        check_aggregation(AggregationConfig("secagg", neighbours=4, threshold=5), CohortConfig())
