"""What a run makes of the settings of its aggregation."""

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any

from server_strategy.aggregation.config import AggregationConfig
from server_strategy.aggregation.graph import USUAL_ASSUMPTIONS, Assumptions, graph_size
from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregators import Aggregator, EachPhoneTold, Exchange, SumsAlone
from server_strategy.secagg_rounds import SecAgg
from simulation.config import RunConfig
from simulation.engine.exchange import exchange
from simulation.engine.phone_secret import ExchangeWithPhones

_SUMS_ALONE = "under --aggregation.protocol secagg and arithmetic the server learns sums over a round's phones alone"
NOT_SHOWN = {
    "by_group.share_of_tokens": f"null: {_SUMS_ALONE}, so nobody is told what the phones of a group trained on",
    "by_group, tokens a round": f"left out: {_SUMS_ALONE}, so phones cannot be grouped by how much text they hold",
}
"""What participation.json does not show where the server learns sums alone, and why."""


@dataclass(frozen=True)
class Aggregation:
    """How updates are added up: the server's part, and the way to the hosts."""

    aggregator: Aggregator
    exchange: Exchange = exchange


def aggregation_of(config: RunConfig, most_reports: int) -> Aggregation:
    """How a run adds updates up, by its settings.

    Args:
        config: of the run.
        most_reports: of a round.

    Raises:
        ConfigError: a graph of so many phones does not withstand what is assumed.
    """
    protocol = config.aggregation.protocol
    if protocol == "none":
        return Aggregation(EachPhoneTold())
    if protocol == "arithmetic":
        return Aggregation(SumsAlone())
    phones = RunSecret.fresh()
    on_the_way = ExchangeWithPhones(phones)
    assumptions = assumptions_of(config.aggregation)
    graph_size(config.cohort.goal, assumptions)  # refuses one that cannot be
    aggregator = SecAgg(
        Authority.of(phones).public,
        order_secret(config.seed),
        most_reports=most_reports,
        assumptions=assumptions,
        exchange=on_the_way,
    )
    return Aggregation(aggregator, on_the_way)


def assumptions_of(aggregation: AggregationConfig) -> Assumptions:
    """What a round has to withstand, by the settings.

    Args:
        aggregation: the settings.
    """
    corrupted, dropped = aggregation.corrupted_share, aggregation.dropout_share
    return replace(
        USUAL_ASSUMPTIONS,
        corrupted_share=USUAL_ASSUMPTIONS.corrupted_share if corrupted is None else corrupted,
        dropped_share=USUAL_ASSUMPTIONS.dropped_share if dropped is None else dropped,
        neighbours=aggregation.neighbours,
        threshold=aggregation.threshold,
    )


def order_secret(seed: int) -> RunSecret:
    """Draws the order of the phones in each round's graph; nothing that is hidden from anybody."""
    return RunSecret(hashlib.sha256(f"order of the phones, seed {seed}".encode()).digest())


def aggregation_facts(config: RunConfig) -> dict[str, Any] | None:
    """What the privacy statement says of it, see `statement_aggregation`; None where the server is told of each phone.

    Args:
        config: of the run.
    """
    protocol = config.aggregation.protocol
    if protocol != "secagg":
        return {"protocol": protocol} if config.aggregation.is_summed else None
    assumptions, phones = assumptions_of(config.aggregation), config.cohort.goal
    return {
        "protocol": protocol,
        **asdict(graph_size(phones, assumptions)),
        "corrupted": assumptions.corrupted(phones),
        "dropped": assumptions.dropped(phones),
        "security_bits": assumptions.security_bits,
    }
