"""Settings of the aggregation that do not go together are refused at once, by the flag's name."""

import pytest

from server_strategy.aggregation.config import AggregationConfig, check_aggregation
from server_strategy.config import CohortConfig
from typefleet.errors import ConfigError


@pytest.mark.parametrize("protocol", ["arithmetic"])
def test_a_buffer_is_refused_with_its_reason(protocol):
    with pytest.raises(ConfigError, match=rf"--aggregation.protocol {protocol}: .*nobody is there to take the masks"):
        check_aggregation(AggregationConfig(protocol), CohortConfig(policy="buffered"))
    check_aggregation(AggregationConfig(), CohortConfig(policy="buffered"))
