"""What a run makes of the settings of its aggregation."""

from typing import Any

from server_strategy.aggregators import Aggregator, EachPhoneTold, SumsAlone
from simulation.config import RunConfig

_SUMS_ALONE = "under --aggregation.protocol secagg and arithmetic the server learns sums over a round's phones alone"
NOT_SHOWN = {
    "by_group.share_of_tokens": f"null: {_SUMS_ALONE}, so nobody is told what the phones of a group trained on",
    "by_group, tokens a round": f"left out: {_SUMS_ALONE}, so phones cannot be grouped by how much text they hold",
}
"""What participation.json does not show where the server learns sums alone, and why."""


def aggregation_facts(config: RunConfig) -> dict[str, Any] | None:
    """What the privacy statement says of it, see `statement_aggregation`; None where the server is told of each phone.

    Args:
        config: of the run.
    """
    return {"protocol": config.aggregation.protocol} if config.aggregation.is_summed else None


def aggregator_of(config: RunConfig) -> Aggregator:
    """What makes one sum of the hosts' answers, by the settings.

    Args:
        config: of the run.
    """
    return SumsAlone() if config.aggregation.is_summed else EachPhoneTold()
