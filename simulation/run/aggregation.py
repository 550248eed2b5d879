"""What a run makes of the settings of its aggregation."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from server_strategy.aggregation.config import AggregationConfig
from server_strategy.aggregation.graph import Assumptions
from server_strategy.aggregation.keys import Authority, RunSecret
from server_strategy.aggregation.terms import RoundTerms
from server_strategy.aggregators import Aggregator, EachPhoneTold, Exchange, SumsAlone
from server_strategy.secagg_rounds import GraphSettings, SecAgg
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
    graph = graph_settings(config.aggregation)
    terms_of(graph).graph_size(config.cohort.goal)  # refuses one that cannot be
    aggregator = SecAgg(
        Authority.of(phones).public,
        order_secret(config.seed),
        most_reports=most_reports,
        graph=graph,
        exchange=on_the_way,
    )
    return Aggregation(aggregator, on_the_way)


def graph_settings(aggregation: AggregationConfig) -> GraphSettings:
    """What the graph of a round follows from, by the settings.

    Args:
        aggregation: the settings.
    """
    usual = Assumptions()
    corrupted, dropped = aggregation.corrupted_share, aggregation.dropout_share
    assumptions = Assumptions(
        usual.corrupted_share if corrupted is None else corrupted, usual.dropped_share if dropped is None else dropped
    )
    return GraphSettings(assumptions, aggregation.neighbours, aggregation.threshold)


def terms_of(graph: GraphSettings) -> RoundTerms:
    """Terms of some round, for the size of its graph."""
    return RoundTerms(0, 1, b"", **vars(graph))


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
    graph, phones = graph_settings(config.aggregation), config.cohort.goal
    return {
        "protocol": protocol,
        **asdict(terms_of(graph).graph_size(phones)),
        "corrupted": graph.assumptions.corrupted(phones),
        "dropped": graph.assumptions.dropped(phones),
        "security_bits": graph.assumptions.security_bits,
    }
